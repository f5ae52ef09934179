# Servers at the far ends of tunnels, inside their site's namespace. Argument: the lab's folder. All end with the lab's namespaces.
home=$1/far
mkdir -p "$home/ssh" "$home/vpn" /run/sshd
cd "$home"
# A tunnel's device says nothing by itself: a packet that came first from here would take the place of the container's own in the
# lab host's translations.
echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6

# WireGuard in user space, on a port that is not its usual one. Its keys are made from text: they keep nothing secret.
key() { printf '%-32.32s' "$1" | base64; }
key "hopwatch lab: wireguard server" >wg.key
wireguard-go wg0 >wireguard.log 2>&1
wg set wg0 listen-port 443 private-key wg.key peer "$(key "hopwatch lab: wireguard client" | wg pubkey)" allowed-ips 10.9.1.2/32
ip addr add 10.9.1.1/24 dev wg0
ip link set dev wg0 up

# OpenVPN over TLS, by UDP and by TCP; each side knows the other's certificate by its fingerprint.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=far.example -keyout vpn/key.pem -out vpn/cert.pem 2>/dev/null
cat >vpn/both.conf <<END
key $home/vpn/key.pem
cert $home/vpn/cert.pem
peer-fingerprint $(openssl x509 -in vpn/cert.pem -noout -fingerprint -sha256 | cut -d= -f2)
END
openvpn --daemon --log vpn-udp.log --config vpn/both.conf --tls-server --dh none --topology subnet --dev tun-udp --dev-type tun \
    --server 10.9.2.0 255.255.255.0 --proto udp --local 192.0.2.30 --port 1194
openvpn --daemon --log vpn-tcp.log --config vpn/both.conf --tls-server --dh none --topology subnet --dev tun-tcp --dev-type tun \
    --server 10.9.3.0 255.255.255.0 --proto tcp-server --local 192.0.2.30 --port 443

# SSH on its usual port and on another.
ssh-keygen -q -t ed25519 -N "" -f ssh/host
ssh-keygen -q -t ed25519 -N "" -f ssh/id
/usr/sbin/sshd -f /dev/null -E sshd.log -h "$home/ssh/host" -o PidFile="$home/sshd.pid" -o UsePAM=no -o StrictModes=no \
    -o AuthorizedKeysFile="$home/ssh/id.pub" -o ListenAddress=192.0.2.22:22 -o ListenAddress=192.0.2.22:443

# IP over DNS, and TCP over DNS.
iodined -c -P lab -l 192.0.2.54 10.9.4.1/24 t.example >iodined.log 2>&1
cat >dns2tcpd.conf <<END
listen = 192.0.2.55
port = 53
user = nobody
chroot = /tmp
domain = d.example
resources = web:198.51.100.10:80
END
dns2tcpd -f dns2tcpd.conf >dns2tcpd.log 2>&1

# TCP over ICMP.
ptunnel -daemon ptunnel.pid -f ptunnel.log >/dev/null 2>&1

# DNS over HTTPS.
cat >dnsdist.conf <<END
setLocal("127.0.0.1:5353")
setACL({"0.0.0.0/0"})
newServer("203.0.113.53")
addDOHLocal("192.0.2.53:443", "$home/vpn/cert.pem", "$home/vpn/key.pem", "/dns-query")
END
dnsdist --supervised --disable-syslog -C dnsdist.conf >dnsdist.log 2>&1 &

# VXLAN by the kernel. Not every kernel has GRE and IP in IP: these are socat's, since the four bytes that Linux puts before a packet
# of a tun device (flags and protocol) are a GRE header. What containers send is masqueraded to the lab host's address.
ip link add vxlan0 type vxlan id 42 noudpcsum srcport 4789 4790 dstport 4789 local 192.0.2.70 remote 10.99.0.2
ip addr add 10.9.5.1/24 dev vxlan0
# This end only answers: what it sent by itself would take the port that the next container's packets leave by.
echo 1 > /proc/sys/net/ipv6/conf/vxlan0/disable_ipv6
ip neigh add 10.9.5.2 lladdr 02:00:00:00:05:02 dev vxlan0 nud permanent
ip link set dev vxlan0 up
socat TUN:10.9.6.1/24,up,tun-name=gre IP-DATAGRAM:10.99.0.2:47,bind=192.0.2.80 >gre.log 2>&1 &
socat TUN:10.9.7.1/24,up,iff-no-pi,tun-name=ipip IP-DATAGRAM:10.99.0.2:4,bind=192.0.2.80 >ipip.log 2>&1 &
