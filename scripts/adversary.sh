#!/usr/bin/env bash
# The adversary's laws over at least 100,000 histories, with new seeds. Usage: scripts/adversary.sh [HISTORIES]
set -euo pipefail
cd "$(dirname "$0")/.."
laws=6 # of tests/core/adversary.rs; each tries 64 histories a seed.
seeds=$(((${1:-100000} + laws * 64 - 1) / (laws * 64)))
HOPWATCH_FRESH_SEEDS=$seeds cargo test --no-default-features --test core -- --include-ignored adversary::
