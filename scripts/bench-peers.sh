#!/usr/bin/env bash
# hopwatch and other flow meters over the same captures, in turn (A B A B …): CPU time of the whole process, the least of the
# passes; peak memory; and the flows that each counted. docs/performance.md says how to read it.
#
#   scripts/bench-peers.sh [WORKLOAD…] [PEER…]     all of them by default
#     workloads: small elephants mix mixc scaling     peers: softflowd nfpcapd suricata argus (argus only when named)
#   scripts/bench-peers.sh clean                   removes what it made
#
#   QUICK=1        a tenth of the packets            PASSES=5       more passes than 3
#   KEEP=1         keeps the workloads (9 GB)         HOPWATCH=PATH  another binary
#   LIMIT=300      seconds that one run of a tool may take
#   HOPWATCH_CASES the folder with dev.tar.xz that mix and mixc are made of; without it, the captures of this repository
set -euo pipefail
cd "$(dirname "$0")/.."

folder=target/bench
passes=${PASSES:-3}
limit=${LIMIT:-300}
hopwatch=${HOPWATCH:-target/release/hopwatch}
workload=target/release/examples/workload
cases=${HOPWATCH_CASES:-../shared/cases}
small_packets=10000000 small_flows=1000000 segments=2000000 mix_copies=14 mixc_copies=25
if [ -n "${QUICK:-}" ]; then
  small_packets=1000000 small_flows=100000 segments=200000 mix_copies=2 mixc_copies=3
fi
status=0

usage() {
  sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0"
  exit 2
}

# ---- peers ----

as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

apt() {
  as_root env DEBIAN_FRONTEND=noninteractive apt-get "$@" >>"$folder/apt.log" 2>&1
}

# Packages of these names, quietly; no service may start by being installed.
install() {
  local policy=/usr/sbin/policy-rc.d made=
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
    made=yes
  fi
  local result=0
  apt install -y -q --no-install-recommends "$@" || { apt update -q && apt install -y -q --no-install-recommends "$@"; } || result=1
  [ -z "$made" ] || as_root rm -f "$policy"
  return "$result"
}

# Debian 12 has no Suricata of its own; its backports have. The lists of the system stay as they are.
install_from_backports() {
  local name lists=$PWD/$folder/apt
  name=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
  [ -n "$name" ] || return 1
  mkdir -p "$lists"
  cp /etc/apt/sources.list.d/*.{list,sources} "$lists/" 2>/dev/null || true
  echo "deb http://deb.debian.org/debian $name-backports main" >"$lists/backports.list"
  apt -o "Dir::Etc::SourceParts=$lists" update -q &&
    install -o "Dir::Etc::SourceParts=$lists" -t "$name-backports" "$1"
}

# Makes a peer available, or says that it is not.
have() {
  local peer=$1
  command -v "$peer" >/dev/null && return 0
  case $peer in
    softflowd) install softflowd || true ;;
    nfpcapd) install nfdump || true ;;
    argus) install argus-server argus-client || true ;;
    suricata) install suricata || install_from_backports suricata || true ;;
  esac
  command -v "$peer" >/dev/null && return 0
  echo "$peer: not available here (see $folder/apt.log)"
  return 1
}

# Sets `command` to what meters FILE with TOOL, and leaves room for what it writes.
command_of() {
  local tool=$1 file=$2 kind=$3
  rm -rf "$folder/out" && mkdir -p "$folder/out"
  case $tool in
    hopwatch) command=("$hopwatch" flows --summary "$file") ;;
    softflowd) command=(softflowd -r "$file" -d -m 4000000) ;;
    nfpcapd)
      command=(nfpcapd -r "$file" -w "$folder/out")
      [ "$kind" != small ] || command+=(-B 4000000)
      ;;
    argus) command=(argus -F /dev/null -r "$file" -w "$folder/out/argus") ;;
    suricata)
      suricata_config >"$folder/suricata.yaml"
      command=(suricata -c "$folder/suricata.yaml" -S /dev/null -k none -r "$file" -l "$folder/out")
      ;;
  esac
}

# Only the flow log; room for all flows.
suricata_config() {
  cat <<'YAML'
%YAML 1.1
---
outputs:
  - eve-log:
      enabled: yes
      filetype: regular
      filename: eve.json
      types: [flow]
flow:
  memcap: 4gb
  hash-size: 1048576
  prealloc: 10000
stream:
  memcap: 4gb
  reassembly:
    memcap: 1gb
YAML
}

# Flows that TOOL counted in its last run.
flows_of() {
  case $1 in
    hopwatch) sed -n 's/.*"flows": *\([0-9][0-9]*\).*/\1/p' "$folder/stdout" | head -1 ;;
    softflowd) awk -F: '/Number of active flows/ { n += $2 } /Flows expired/ { n += $2 } END { print n + 0 }' "$folder/stdout" "$folder/stderr" ;;
    nfpcapd) sed -n 's/^Ident: .* Flows: \([0-9]*\),.*/\1/p' "$folder/stdout" "$folder/stderr" | awk '{ n += $1 } END { print n + 0 }' ;;
    argus) ra -nn -r "$folder/out/argus" -s proto 2>/dev/null | grep -cv -e man -e Proto || true ;;
    suricata) grep -c '"event_type":"flow"' "$folder/out/eve.json" || true ;;
  esac
}

# ---- workloads ----

# The captures that mix is made of.
captures() {
  if [ ! -f "$cases/dev.tar.xz" ]; then
    echo captures
    return
  fi
  if [ ! -d "$folder/cases" ]; then
    mkdir -p "$folder/cases.part"
    tar -xJf "$cases/dev.tar.xz" -C "$folder/cases.part"
    rm -rf "$folder/cases.part/packs"
    mv "$folder/cases.part" "$folder/cases"
  fi
  echo "$folder/cases"
}

# Makes WORKLOAD at FILE unless it is there.
make_workload() {
  local name=$1 file=$2
  [ ! -f "$file" ] || return 0
  case $name in
    small*) "$workload" small "$file.part" "$small_packets" "${name#small-}" ;;
    elephants) "$workload" elephants "$file.part" "$segments" 16 ;;
    mix) "$workload" amplify "$file.part" "$mix_copies" 300 60000 "$(captures)" ;;
    mixc) "$workload" amplify "$file.part" "$mixc_copies" 300 60000 clean "$(captures)" ;;
  esac | sed 's/ packets//' >"$file.count"
  mv "$file.part" "$file"
}

drop_workload() {
  [ -n "${KEEP:-}" ] || rm -f "$1" "$1.count"
}

# ---- measuring ----

# One run of TOOL over FILE: microseconds of CPU, peak kB, flows; `- - -` when it fails.
run_once() {
  local command=()
  command_of "$@"
  # Some peers never end on odd captures.
  if ! command time -f '%U %S %M' -o "$folder/time" timeout -k 5 "$limit" "${command[@]}" >"$folder/stdout" 2>"$folder/stderr"; then
    echo "- - -"
    return
  fi
  awk -v flows="$(flows_of "$1")" 'END { printf "%d %d %s\n", ($1 + $2) * 1e6, $3, flows }' "$folder/time"
}

# All tools over FILE in turn; prints TOOL MICROSECONDS KB FLOWS.
run_all() {
  local file=$1 kind=$2 pass tool micros kilobytes flows
  shift 2
  declare -A least peak counted
  for ((pass = 0; pass < passes; pass++)); do
    for tool in "$@"; do
      [ "${least[$tool]:-}" != - ] || continue
      read -r micros kilobytes flows < <(run_once "$tool" "$file" "$kind")
      counted[$tool]=$flows
      if [ "$micros" = - ]; then
        least[$tool]=- peak[$tool]=-
        cp "$folder/stderr" "$folder/$tool.failed"
        continue
      fi
      if [ "$micros" -lt "${least[$tool]:-999999999999}" ]; then least[$tool]=$micros; fi
      if [ "$kilobytes" -gt "${peak[$tool]:-0}" ]; then peak[$tool]=$kilobytes; fi
    done
  done
  rm -rf "$folder/out"
  for tool in "$@"; do
    echo "$tool ${least[$tool]} ${peak[$tool]} ${counted[$tool]}"
  done
}

# How the flows of TOOL compare with EXPECTED biflows; nothing is expected where timeouts and definitions differ.
compare_flows() {
  local tool=$1 flows=$2 expected=$3
  if [ "$flows" = - ]; then
    echo "failed, see $folder/$tool.failed"
  elif [ "$expected" = any ]; then
    [ "$tool" != nfpcapd ] || echo "one direction each"
  elif [ "$flows" = "$expected" ]; then
    echo "as made"
  elif [ "$tool" = nfpcapd ] && [ "$flows" = "$((2 * expected))" ]; then
    echo "as made, one direction each"
  else
    echo "DIFFERS, $expected were made"
  fi
}

row() {
  printf '%-10s %-10s %10s %8s %8s %10s  %s\n' "$@"
}

measure() {
  local name=$1 expected=$2 kind=$3 file=$folder/$1.pcap own='' packets tool micros kilobytes flows note ratio nanos
  shift 3
  make_workload "$name" "$file"
  packets=$(cat "$file.count")
  while read -r tool micros kilobytes flows; do
    note=$(compare_flows "$tool" "$flows" "$expected")
    case $note in DIFFERS*) status=1 ;; esac
    if [ "$micros" = - ]; then
      row "$name" "$tool" - - - - "$note"
      continue
    fi
    own=${own:-$micros}
    nanos=$(awk "BEGIN { printf \"%.1f\", $micros * 1000 / $packets }")
    ratio=$(awk "BEGIN { printf \"%.2f\", $micros / $own }")
    row "$name" "$tool" "$nanos" "$ratio" "$((kilobytes / 1024))" "$flows" "$note"
  done < <(run_all "$file" "$kind" hopwatch "$@")
  drop_workload "$file"
}

# ---- main ----

workloads=() peers=()
for word in "$@"; do
  case $word in
    small | elephants | mix | mixc | scaling) workloads+=("$word") ;;
    softflowd | nfpcapd | suricata | argus) peers+=("$word") ;;
    clean)
      rm -rf "$folder"
      exit 0
      ;;
    *) usage ;;
  esac
done
[ ${#workloads[@]} -gt 0 ] || workloads=(small elephants mix mixc scaling)
[ ${#peers[@]} -gt 0 ] || peers=(softflowd nfpcapd suricata)

mkdir -p "$folder"
type -P time >/dev/null || install time
if [ -z "${HOPWATCH:-}" ]; then
  cargo build --release --locked
fi
cargo build --release --locked --example workload
there=()
for peer in "${peers[@]}"; do
  if have "$peer"; then there+=("$peer"); fi
done

row workload tool ns/packet ratio 'peak MB' flows ''
for name in "${workloads[@]}"; do
  case $name in
    small) measure "small-$small_flows" "$small_flows" small "${there[@]}" ;;
    elephants) measure elephants 16 elephants "${there[@]}" ;;
    scaling)
      for ((flows = small_flows / 1000; flows <= small_flows; flows *= 10)); do
        measure "small-$flows" "$flows" small
      done
      ;;
    *) measure "$name" any "$name" "${there[@]}" ;;
  esac
done
exit "$status"
