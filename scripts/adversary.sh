#!/usr/bin/env bash
# The adversary, as a nightly job. Usage: scripts/adversary.sh [HISTORIES]
#   histories: the laws of tests/core/adversary.rs over at least so many histories (100,000), with new seeds
#   live:      the laboratory's live moves, each with its benign twin, several times over (HOPWATCH_LAB_RUNS, 3): raw frames from a container's link, a
#              masqueraded route that is lost in mid-flow, ARP poisoning; root, see tests/lab/install.sh
# HOPWATCH_ADVERSARY=histories or =live runs one part. Ends with 1 if one of them fails.
set -euo pipefail
cd "$(dirname "$0")/.."

histories() {
  local laws=5 # of tests/core/adversary.rs; each tries 64 histories a seed.
  local seeds=$((($1 + laws * 64 - 1) / (laws * 64)))
  HOPWATCH_FRESH_SEEDS=$seeds cargo test --no-default-features --test core -- --include-ignored adversary::
}

live() {
  if [ "$(id -u)" -ne 0 ]; then
    echo "adversary: the live moves are left out: they need root, for namespaces and a container runtime" >&2
    return 0
  fi
  HOPWATCH_LAB=1 HOPWATCH_LAB_LANES=4 HOPWATCH_LAB_RUNS=${HOPWATCH_LAB_RUNS:-3} cargo test --locked --test lab -- \
    adversary- spoof source-normal arp- midflow mirrored-
}

status=0
part=${HOPWATCH_ADVERSARY:-all}
if [ "$part" != live ]; then histories "${1:-100000}" || status=1; fi
if [ "$part" != histories ]; then live || status=1; fi
exit "$status"
