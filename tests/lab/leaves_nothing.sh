#!/bin/sh
# Ends the laboratory in the middle of a scenario, by each signal, and compares the machine before and after:
# processes, mounts, namespaces, interfaces, firewall rules, control groups and /run.
# Usage: leaves_nothing.sh LAB-TEST-BINARY [SIGNAL…]     (as root; switches of the lab are passed on)
set -u
lab=$1
shift
[ $# -gt 0 ] || set -- INT TERM KILL
export HOPWATCH_LAB=1

traces() {
    ps -eo stat,pid,args | grep -E 'dockerd|containerd|squid|dnsmasq|nginx|tcpdump|hopwatch-lab|unshare|nsenter|wireguard-go|openvpn|sshd|iodine|dns2tcp|ptunnel|dnsdist|socat' | grep -Ev '^Z|grep|leaves_nothing' | sort
    cat /proc/mounts
    find /run -maxdepth 2 | sort
    ip netns; ip -br link; ip route; ip -6 route
    iptables-save 2>/dev/null | grep -v '^#'
    nft list ruleset 2>/dev/null
    ls -d /sys/fs/cgroup/*/hopwatch-lab-* /sys/fs/cgroup/hopwatch-lab-* /tmp/hopwatch* 2>/dev/null
}

failed=0
for signal in "$@"; do
    before=$(traces)
    "$lab" >/tmp/hopwatch-leaves.$$ 2>&1 &
    pid=$!
    # In the middle: the first scenario is over, the next one has begun.
    tries=0
    until grep -Eq '^(ok|FAIL) ' /tmp/hopwatch-leaves.$$ || [ $tries -gt 300 ]; do tries=$((tries + 1)); sleep 0.2; done
    sleep 1
    kill -s "$signal" "$pid"
    wait "$pid"
    ended=$?
    # The kernel takes apart what a killed lab held.
    sleep 1
    rm -f /tmp/hopwatch-leaves.$$
    after=$(traces)
    [ "$signal" != KILL ] || after=$(printf '%s\n' "$after" | grep -v '/hopwatch-lab-')
    if [ "$before" = "$after" ]; then
        echo "ok   $signal: ended with $ended, nothing left"
    else
        failed=1
        echo "FAIL $signal: ended with $ended, and left:"
        printf '%s\n' "$before" >/tmp/hopwatch-before.$$
        printf '%s\n' "$after" | diff /tmp/hopwatch-before.$$ -
        rm -f /tmp/hopwatch-before.$$
    fi
done
exit $failed
