#!/usr/bin/env bash
# Runs the tests and shows one line a test binary. Tests that cannot run here print `skipped: WHY` (the laboratory: `the laboratory
# does not run: WHY`); those lines are listed at the end, so that a green run never hides what it did not do. A failing run prints
# everything.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TERM_COLOR=never

mkdir -p target
log=target/test.log
status=0
cargo test --locked --no-fail-fast "$@" -- --show-output 2>&1 | tee "$log" |
  { grep --line-buffered -E '^ *(Compiling hopwatch|Running|Doc-tests) |^test result:|FAILED' || true; } || status=$?

if [ "$status" -ne 0 ]; then
  printf '\n---- the whole output (%s) ----\n\n' "$log"
  cat "$log"
fi

tests=$(awk '/^test result:/ { passed += $4; failed += $6 } END { printf "%d passed, %d failed", passed, failed }' "$log")
skips=$(grep -E '^(skipped|the laboratory does not run): ' "$log" | sort -u || true)
if [ -n "$skips" ]; then
  printf '\nleft out, and why\n'
  sed 's/^skipped: //; s/^/  - /' <<<"$skips"
fi
printf '\n%s, %s left out\n' "$tests" "$(grep -c . <<<"$skips" || true)"
exit "$status"
