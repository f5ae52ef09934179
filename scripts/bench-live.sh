#!/usr/bin/env bash
# What live capture costs and loses: a sender in one network namespace, hopwatch in another, a veth pair between them. Needs root.
#
# For each snap length, frame length and number of flows: packets per second without and with capture (what it costs the sender), packets
# counted, packets lost, and CPU time a packet of the capture thread and of the whole process (from schedstat, so it counts time on a
# processor, not waiting). Other work on the machine makes the sender slower, and CPU times a little longer.
# SECONDS_EACH=5 SNAPS="adaptive 256 65535" LENGTHS="64 1514" FLOWS="1000 100000" RATE= are what can be set.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "$(id -u)" -ne 0 ]; then
  echo "bench-live: needs root for network namespaces" >&2
  exit 1
fi
if [ -z "${HOPWATCH:-}" ]; then
  cargo build --release --locked --example blast
  cargo build --release --locked
fi
hopwatch=${HOPWATCH:-target/release/hopwatch}
blast=${BLAST:-target/release/examples/blast}
each=${SECONDS_EACH:-5}
tag=hwb$$
work=$(mktemp -d)
pid=

finish() {
  [ -z "$pid" ] || kill "$pid" 2>/dev/null || true
  ip netns del "${tag}s" 2>/dev/null || true
  ip netns del "${tag}c" 2>/dev/null || true
  rm -rf "$work"
}
trap finish EXIT

sending() { nsenter --net="/var/run/netns/${tag}s" "$@"; }
capturing() { nsenter --net="/var/run/netns/${tag}c" "$@"; }

ip netns add "${tag}s"
ip netns add "${tag}c"
for side in s c; do
  nsenter --net="/var/run/netns/$tag$side" sh -c 'echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6; ip link set lo up'
done
sending ip link add out type veth peer name in netns "${tag}c"
sending ip link set out up
capturing ip link set in up

# Nanoseconds on a processor: of the capture threads, and of all threads.
cpu() {
  local capture=0 all=0 ran task
  for task in /proc/"$pid"/task/*; do
    read -r ran _ < "$task/schedstat"
    all=$((all + ran))
    [ "$(cat "$task/comm")" != capture ] || capture=$((capture + ran))
  done
  echo "$capture $all"
}

counted() { capturing curl -s http://127.0.0.1:9921/metrics | awk '/^hopwatch_packets_total\{.*"in"/ { print int($NF) }'; }

# Until so many are counted, or the counter stands still for two seconds: the rest was lost.
settled() {
  local now=-1 last=-2 same=0
  while now=$(counted) && [ "$now" -lt "$1" ] && [ "$same" -lt 8 ]; do
    if [ "$now" = "$last" ]; then same=$((same + 1)); else same=0; fi
    last=$now
    sleep 0.25
  done
  sleep 0.5
}

measure() {
  local snap=$1 length=$2 flows=$3 without with sent before after first packets lost
  read -r _ without < <(sending "$blast" out "$each" "$flows" "$length" ${RATE:-})
  printf 'capture: {snap_length: %s}\n' "$snap" > "$work/config.yaml"
  # Not through the function: $! must be hopwatch itself, which nsenter becomes.
  DOCKER_HOST=unix:///nowhere nsenter --net="/var/run/netns/${tag}c" \
    "$hopwatch" sniff -c "$work/config.yaml" -i in --format json > "$work/out" 2> "$work/log" &
  pid=$!
  until capturing curl -s http://127.0.0.1:9921/metrics | grep -q 'observation_point="in"'; do
    kill -0 "$pid" || { cat "$work/log" >&2; exit 1; }
    sleep 0.1
  done
  # All flows have begun, twice over, before anything is measured: what beginning costs is the engine's matter.
  read -r first _ < <(sending "$blast" out 2 "$flows" "$length" ${RATE:-})
  read -r -a before < <(settled "$first"; cpu)
  read -r sent with < <(sending "$blast" out "$each" "$flows" "$length" ${RATE:-})
  read -r -a after < <(settled "$((first + sent))"; cpu)
  kill -TERM "$pid"
  wait "$pid"
  pid=
  packets=$(($(tail -1 "$work/out" | grep -o '"packets":[0-9]*' | head -1 | tr -dc 0-9) - first))
  lost=$(tail -1 "$work/out" | grep -o '"dropped":{[^}]*}' | head -1)
  printf '| %s | %s | %s | %s | %s | %s | %s | %s | %s | %s |\n' "$snap" "$length" "$flows" "$without" "$with" "$sent" "$packets" \
    "$(sed 's/"dropped"://; s/[{}"]//g' <<< "$lost")" $(((after[0] - before[0]) / packets)) $(((after[1] - before[1]) / packets))
}

echo '| snap | frame | flows | sent/s without | sent/s with | sent | counted | lost | capture ns/packet | process ns/packet |'
echo '|---|---|---|---|---|---|---|---|---|---|'
for length in ${LENGTHS:-64 1514}; do
  for flows in ${FLOWS:-1000 100000}; do
    for snap in ${SNAPS:-adaptive 256 65535}; do
      measure "$snap" "$length" "$flows"
    done
  done
done
