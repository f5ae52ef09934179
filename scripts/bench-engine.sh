#!/usr/bin/env bash
# What stands behind the meter: the cost of whole replays as ratios with their goals, by instructions (valgrind), which do not jitter; and the
# instructions of an event beside n things and beside 4 n (benches/scaling.rs), which fail when an event costs more.
#
#   BY=time    CPU time instead: in turn (A B A B …), the least of PASSES=3; a quiet machine, and FLOWS=100000
#   FLOWS=10000 connections of a replay  HOPWATCH=PATH another binary  WORKLOAD=PATH another maker of loads  KEEP=1 keeps the loads
set -euo pipefail
cd "$(dirname "$0")/.."

folder=target/bench-engine
by=${BY:-instructions}
passes=${PASSES:-$([ "$by" = time ] && echo 3 || echo 1)}
flows=${FLOWS:-10000}
hopwatch=${HOPWATCH:-target/release/hopwatch}
workload=${WORKLOAD:-target/release/examples/workload}
mkdir -p "$folder"
status=0

if [ -z "${HOPWATCH:-}" ]; then
  cargo build --release --locked
fi
if [ -z "${WORKLOAD:-}" ]; then
  cargo build --release --locked --example workload
fi

# The name of a capture is that of its observation point; the facts name it as the bridge of the network.
"$workload" connections "$folder/connections.pcap" "$flows" 10 >/dev/null
mkdir -p "$folder/unknown"
"$workload" datagrams "$folder/unknown/connections.pcap" "$((flows / 5))" 4000 >/dev/null
for interfaces in 1 100; do "$workload" interfaces "$folder/interfaces-$interfaces.pcapng" "$((flows * 10))" "$interfaces" >/dev/null; done
for workloads in 10 15000; do "$workload" facts "$folder/$workloads.jsonl" "$workloads" 0; done
for events in 16 1600; do "$workload" facts "$folder/events-$events.jsonl" 10 "$events"; done
for contracts in 1 500; do
  for selector in name label; do "$workload" contracts "$folder/$contracts-$selector.yaml" "$contracts" "$selector"; done
done

# Thousands of instructions, or microseconds of CPU, of one run; exit statuses below 3 say what was found.
once() {
  if [ "$by" = time ]; then
    command time -f '%U %S' -o "$folder/time" "$@" >/dev/null 2>"$folder/stderr" || [ $? -lt 3 ] || { cat "$folder/stderr" >&2; exit 1; }
    awk 'END { printf "%d\n", ($1 + $2) * 1e6 }' "$folder/time"
    return
  fi
  valgrind --tool=callgrind --callgrind-out-file=/dev/null "$@" >/dev/null 2>"$folder/stderr" || [ $? -lt 3 ] || { cat "$folder/stderr" >&2; exit 1; }
  awk '/Collected :/ { printf "%d\n", $NF / 1000 }' "$folder/stderr"
}

summary() { once "$hopwatch" flows --summary "$folder/$1"; }
records() { once "$hopwatch" flows --format "$1" "$folder/connections.pcap"; }
replay() { once "$hopwatch" replay "$folder/$1" --facts "$folder/$2" -c "$folder/$3" --format json; }
nothing() { replay empty.pcap "$1" "$2"; }

# The cost of A over the cost of B, both in turn, each less what its third and fourth command costs: starting, reading the facts.
"$workload" connections "$folder/empty.pcap" 0 10 >/dev/null
compare() {
  local what=$1 most=$2 a=$3 b=$4 minus_a=$5 minus_b=$6 pass cost run
  declare -A least
  for ((pass = 0; pass < passes; pass++)); do
    for run in "$a" "$b" "$minus_a" "$minus_b"; do
      cost=$($run)
      if [ "$cost" -lt "${least[$run]:-999999999999}" ]; then least[$run]=$cost; fi
    done
  done
  awk -v what="$what" -v a="$((${least[$a]} - ${least[$minus_a]}))" -v b="$((${least[$b]} - ${least[$minus_b]}))" -v most="$most" -v flows="$flows" \
    'BEGIN { printf "| %s | %.2f | %s | %.1f, %.1f |\n", what, a / b, most, a / flows, b / flows }'
}

if [ "$by" = time ]; then unit='µs of CPU'; else unit='thousands of instructions'; fi
echo "| what | ratio | goal | both, $unit a connection |"
echo '|---|---|---|---|'
few='10.jsonl 1-name.yaml'
compare 'replay, 1 contract / `flows --summary`' 4 "replay connections.pcap $few" 'summary connections.pcap' "nothing $few" 'summary empty.pcap'
compare 'replay, 15,000 workloads / 10' 1.5 'replay connections.pcap 15000.jsonl 1-name.yaml' "replay connections.pcap $few" \
  'nothing 15000.jsonl 1-name.yaml' "nothing $few"
for selector in name label; do
  compare "replay, 500 contracts by $selector / 1" 1.5 "replay connections.pcap 10.jsonl 500-$selector.yaml" \
    "replay connections.pcap 10.jsonl 1-$selector.yaml" "nothing 10.jsonl 500-$selector.yaml" "nothing 10.jsonl 1-$selector.yaml"
done
# The few events let time pass: the flows come up at their deadlines in both runs.
compare 'waiting flows, 1,600 inventory events / 16' 1.3 'replay unknown/connections.pcap events-1600.jsonl 1-name.yaml' \
  'replay unknown/connections.pcap events-16.jsonl 1-name.yaml' 'nothing events-1600.jsonl 1-name.yaml' 'nothing events-16.jsonl 1-name.yaml'
compare 'flows, 100 interfaces in turn / 1' 1.7 'summary interfaces-100.pcapng' 'summary interfaces-1.pcapng' 'summary empty.pcap' 'summary empty.pcap'
compare 'records, csv / zeek' 1.5 'records csv' 'records zeek' 'summary connections.pcap' 'summary connections.pcap'
echo
cargo test --locked --bench scaling || status=1
cargo test --locked --bench baseline || status=1
[ -n "${KEEP:-}" ] || rm -rf "$folder"
exit "$status"
