#!/bin/sh
# Installs the Debian packages that the laboratory (tests/lab) and the tests with real runtimes (tests/privileged) use. Nothing that they bring is started on this machine: while
# they are installed, a policy forbids it; and they are not enabled for the next boot where systemd runs.
set -eu

packages="docker.io iptables busybox-static squid dnsmasq nginx-light tcpdump iproute2 curl openssl util-linux dsniff
    haproxy conntrack
    podman crun runc conmon containerd containernetworking-plugins slirp4netns passt uidmap
    socat wireguard-go wireguard-tools openvpn openssh-server openssh-client iodine dns2tcp ptunnel dnsdist rsyslog nftables nfdump pmacct auditd"
services="docker.service docker.socket containerd.service squid.service dnsmasq.service nginx.service haproxy.service
    podman.service podman.socket podman-auto-update.timer podman-restart.service
    ssh.service ssh.socket openvpn.service iodined.service dns2tcp.service ptunnel.service dnsdist.service
    rsyslog.service syslog.socket nftables.service
    auditd.service nfdump.service pmacctd.service nfacctd.service sfacctd.service uacctd.service"

missing=""
for package in $packages; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q "ok installed" || missing="$missing $package"
done
if [ -z "$missing" ]; then
    echo "lab: every package is installed"
    exit 0
fi

as_root=""
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || { echo "lab: needs root or sudo to install:$missing" >&2; exit 1; }
    as_root=sudo
fi

echo "lab: installing$missing"
policy=/usr/sbin/policy-rc.d
made_policy=""
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
    $as_root chmod 755 "$policy"
    made_policy=1
fi
trap '[ -z "$made_policy" ] || $as_root rm -f "$policy"' EXIT
trap 'exit 1' INT TERM

# A service that was here before stays as it was.
fresh=""
if [ -d /run/systemd/system ]; then
    for service in $services; do
        systemctl cat "$service" >/dev/null 2>&1 || fresh="$fresh $service"
    done
fi

$as_root env DEBIAN_FRONTEND=noninteractive apt-get -q update
# shellcheck disable=SC2086
$as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends $missing

for service in $fresh; do
    $as_root systemctl disable "$service" >/dev/null 2>&1 || true
done
echo "lab: installed$missing; none of it was started"
