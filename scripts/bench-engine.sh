#!/usr/bin/env bash
# What stands behind the meter: CPU time of whole replays, in turn (A B A B …), the least of the passes, as ratios with their goals; and the
# instructions of an event beside n things and beside 4 n (benches/scaling.rs, needs valgrind), which fail when an event costs more.
#
#   PASSES=3  HOPWATCH=PATH another binary  FLOWS=100000 connections of a replay  KEEP=1 keeps the loads
set -euo pipefail
cd "$(dirname "$0")/.."

folder=target/bench-engine
passes=${PASSES:-3}
flows=${FLOWS:-100000}
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
"$workload" datagrams "$folder/unknown/connections.pcap" 20000 4000 >/dev/null
for workloads in 10 15000; do "$workload" facts "$folder/$workloads.jsonl" "$workloads" 0; done
for events in 0 1600; do "$workload" facts "$folder/events-$events.jsonl" 10 "$events"; done
for contracts in 1 500; do
  for by in name label; do "$workload" contracts "$folder/$contracts-$by.yaml" "$contracts" "$by"; done
done

# Microseconds of CPU of one run.
once() {
  command time -f '%U %S' -o "$folder/time" "$@" >/dev/null 2>"$folder/stderr" || [ $? -lt 3 ] || { cat "$folder/stderr" >&2; exit 1; }
  awk '{ printf "%d\n", ($1 + $2) * 1e6 }' "$folder/time"
}

summary() { "$hopwatch" flows --summary "$folder/connections.pcap"; }
replay() { "$hopwatch" replay "$folder/$1" --facts "$folder/$2" -c "$folder/$3" --format json; }
empty() { "$hopwatch" replay "$folder/empty.pcap" --facts "$folder/$1" -c "$folder/1-name.yaml" --format json; }

# The cost of A over the cost of B, both in turn, each less what reading its facts costs.
"$workload" connections "$folder/empty.pcap" 0 10 >/dev/null
compare() {
  local what=$1 most=$2 a=$3 b=$4 minus_a=${5:-} minus_b=${6:-} pass cost
  declare -A least
  for ((pass = 0; pass < passes; pass++)); do
    for run in "$a" "$b" "$minus_a" "$minus_b"; do
      [ -n "$run" ] || continue
      cost=$(once bash -c "$(declare -f summary replay empty); hopwatch=$hopwatch folder=$folder; $run")
      if [ "$cost" -lt "${least[$run]:-999999999999}" ]; then least[$run]=$cost; fi
    done
  done
  local over=$((least[$a] - ${least[${minus_a:-none}]:-0})) under=$((least[$b] - ${least[${minus_b:-none}]:-0}))
  awk -v what="$what" -v a="$over" -v b="$under" -v most="$most" \
    'BEGIN { printf "| %s | %.2f | %s | %d, %d ms |\n", what, a / b, most, a / 1000, b / 1000 }'
}

echo '| what | ratio | goal | CPU of both |'
echo '|---|---|---|---|'
compare 'replay, 1 contract / `flows --summary`' 4 'replay connections.pcap 10.jsonl 1-name.yaml' 'summary'
compare 'replay, 15,000 workloads / 10' 1.5 'replay connections.pcap 15000.jsonl 1-name.yaml' \
  'replay connections.pcap 10.jsonl 1-name.yaml' 'empty 15000.jsonl' 'empty 10.jsonl'
compare 'replay, 500 contracts by name / 1' 1.5 'replay connections.pcap 10.jsonl 500-name.yaml' 'replay connections.pcap 10.jsonl 1-name.yaml'
compare 'replay, 500 contracts by label / 1' 1.5 'replay connections.pcap 10.jsonl 500-label.yaml' 'replay connections.pcap 10.jsonl 1-label.yaml'
compare 'waiting flows, 1,600 inventory events / 0' 1.3 'replay unknown/connections.pcap events-1600.jsonl 1-name.yaml' \
  'replay unknown/connections.pcap events-0.jsonl 1-name.yaml' 'empty events-1600.jsonl' 'empty events-0.jsonl'
echo
cargo bench --locked --bench scaling || status=1
[ -n "${KEEP:-}" ] || rm -rf "$folder"
exit "$status"
