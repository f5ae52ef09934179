#!/usr/bin/env bash
# Runs the tests and shows one line a test binary. Tests that cannot run here print `skipped: WHY` (the laboratory: `the laboratory
# does not run: WHY`); those lines are listed at the end, so that a green run never hides what it did not do. A failing run prints
# everything; one that was stopped, or whose binary died, says so and never counts as passed.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TERM_COLOR=never
# The first run is what counts here: without what a second build would reuse, target/ is half as large. Who edits and tests again uses `cargo test`, or
# CARGO_INCREMENTAL=1.
export CARGO_INCREMENTAL="${CARGO_INCREMENTAL:-0}"

# What the failing tests printed: of each binary the part from `failures:` to the list of names that follows it.
failures() {
  awk '/^failures:$/ { shown = !shown; next } shown && /^(test result:|successes:)/ { shown = 0 } shown' "$1"
}

# Many tests wait for daemons, receivers and time more than they compute: with a thread a processor, a third of the time is idle.
export RUST_TEST_THREADS="${RUST_TEST_THREADS:-$(($(nproc) * 2))}"

log=${TEST_LOG:-target/test.log}
mkdir -p "$(dirname "$log")"
trap 'printf "\nstopped before the end: this is no result (%s)\n" "$log"; exit 130' INT TERM HUP

tests() {
  cargo test --locked --no-fail-fast "$@" -- --show-output
}

# The tests of capture wait for daemons, and the others compute: they run side by side, and what they print is joined. Those that compute give way, since
# the others wait for a limited time.
all_tests() {
  local entry others=() waiting status=0
  for entry in tests/*.rs tests/*/main.rs; do
    entry=${entry%/main.rs} entry=${entry%.rs} entry=${entry#tests/}
    [ "$entry" = privileged ] || others+=(--test "$entry")
  done
  cargo test --locked --no-run || return
  # In a process group of its own, so that stopping the script stops them too.
  set -m
  tests --test privileged >"$log.capture" 2>&1 &
  waiting=$!
  set +m
  trap 'kill -INT -- "-$waiting"; exit 130' INT TERM HUP
  renice -n 5 "$BASHPID" >/dev/null || true
  tests --lib "${others[@]}" || status=$?
  tests --doc || status=$?
  wait "$waiting" || status=$?
  cat "$log.capture"
  return "$status"
}

status=0
all_tests 2>&1 | tee "$log" |
  { grep --line-buffered -E '^ *(Compiling hopwatch|Running|Doc-tests) |^test result:|FAILED' || true; } || status=$?

if [ "$status" -ne 0 ]; then
  printf '\n---- the whole output (%s) ----\n\n' "$log"
  cat "$log"
fi

skips=$(grep -E '^(skipped|the laboratory does not run): ' "$log" | sort -u || true)
if [ -n "$skips" ]; then
  printf '\nleft out, and why\n'
  sed 's/^skipped: //; s/^/  - /' <<<"$skips"
fi
tests=$(awk '
  /^ *(Running|Doc-tests) / { begun++ }
  /^the laboratory does not run: / { ended++ }
  /^test result:/ { ended++; passed += $4; failed += $6 }
  END {
    if (!begun) { print "no test ran"; exit }
    printf "%d passed, %d failed", passed, failed
    if (begun > ended) printf ", %d of %d test binaries did not end", begun - ended, begun
  }' "$log")
printf '\n%s, %s left out\n' "$tests" "$(grep -c . <<<"$skips" || true)"
if [ "$status" -ne 0 ]; then
  # The end of a failing run names what failed and why, since a reader may have only the end of the log.
  grep -E '^test .* FAILED$' "$log" | sort -u || true
  failures "$log" | tail -n 60
  printf 'the tests did not pass: cargo ended with %s\n' "$status"
fi
exit "$status"
