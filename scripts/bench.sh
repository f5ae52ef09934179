#!/usr/bin/env bash
# The project's own benchmarks: time (divan), instructions (gungraun, which does not jitter; needs valgrind), and where the time
# of metering goes, over a workload that is made for it.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"

cargo bench --locked --bench decode --bench flow_table --bench engine

# The runner must be of the same version as the library.
instructions() {
  local version
  version=$(awk '/^name = "gungraun"$/ { getline; gsub(/"/, "", $3); print $3 }' Cargo.lock)
  if ! command -v valgrind >/dev/null; then
    echo "instructions: left out, valgrind is not installed (Debian: apt-get install valgrind libc6-dbg)"
    return 0
  fi
  if [ "$(gungraun-runner --version 2>/dev/null | awk '{ print $NF }')" != "$version" ]; then
    cargo install --locked gungraun-runner --version "$version"
  fi
  cargo bench --locked --bench instructions --bench alerts
}
instructions

stages() {
  local workload=target/release/examples/workload file=target/bench/stages.pcap
  mkdir -p target/bench
  cargo build --release --locked --examples
  echo
  for flows in 1000 1000000; do
    "$workload" small "$file" 2000000 "$flows" >/dev/null
    echo "small frames, $flows flows"
    target/release/examples/stages "$file"
  done
  "$workload" elephants "$file" 200000 16 >/dev/null
  echo "full segments, 16 flows"
  target/release/examples/stages "$file"
  rm -f "$file"
}
stages
