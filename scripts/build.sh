#!/usr/bin/env bash
# Builds the release, and writes two files: target/dist/hopwatch without symbols, and target/dist/hopwatch.debug with them. The first names
# the second (.gnu_debuglink), so backtraces, gdb and perf show functions and lines where both lie in one folder.
set -euo pipefail
cd "$(dirname "$0")/.."

target=${CARGO_TARGET_DIR:-target}
cargo build --release --locked
mkdir -p "$target/dist"
objcopy --only-keep-debug "$target/release/hopwatch" "$target/dist/hopwatch.debug"
chmod -x "$target/dist/hopwatch.debug"
objcopy --strip-all --add-gnu-debuglink="$target/dist/hopwatch.debug" "$target/release/hopwatch" "$target/dist/hopwatch"
du -h "$target/dist/hopwatch" "$target/dist/hopwatch.debug"
