#!/usr/bin/env bash
# Writes docs/scorecard.md: first the benign captures (HOPWATCH_CASES, else ../shared/cases; without them the page says "not measured"), then every
# scenario of the laboratory, which needs root. The page is written in any case; the exit code reports a scenario
# or a test that failed, the page of goals that were missed.
set -euo pipefail
cd "$(dirname "$0")/.."

status=0
mkdir -p target
export HOPWATCH_BENIGN_REPORT="$PWD/target/benign.jsonl" HOPWATCH_LAB_SCORECARD="$PWD/docs/scorecard.md"
rm -f "$HOPWATCH_BENIGN_REPORT"
if [ -f tests/shell/benign.rs ]; then
  cargo test --locked --test shell benign:: -- --show-output || status=$?
fi
# Delays are measured: nothing else runs meanwhile.
HOPWATCH_LAB_LANES=1 scripts/lab.sh || status=$?
if [ -f "$HOPWATCH_LAB_SCORECARD" ]; then
  measured="Measured at commit $(git rev-parse --short HEAD) on $(date -u +%F)."
  sed -i "2a $measured Scenarios that are newer are not in it.\n" "$HOPWATCH_LAB_SCORECARD"
fi
exit "$status"
