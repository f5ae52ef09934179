#!/usr/bin/env bash
# Builds the release (with libpcap in it where HOPWATCH_STATIC_LIBPCAP is set), and writes two files: target/dist/hopwatch without symbols, and target/dist/hopwatch.debug with them. The first names
# the second (.gnu_debuglink), so backtraces, gdb and perf show functions and lines where both lie in one folder.
set -euo pipefail
cd "$(dirname "$0")/.."

target=${CARGO_TARGET_DIR:-target}
# For hosts of other distributions: a library that each calls otherwise is part of the program.
if [ -n "${HOPWATCH_STATIC_LIBPCAP:-}" ]; then
  if LIBPCAP_LIBDIR=$(scripts/static-libpcap.sh); then
    export LIBPCAP_LIBDIR
  else
    echo "build: libpcap stays the host's" >&2
    unset LIBPCAP_LIBDIR
  fi
fi
cargo build --release --locked
mkdir -p "$target/dist"
objcopy --only-keep-debug "$target/release/hopwatch" "$target/dist/hopwatch.debug"
chmod -x "$target/dist/hopwatch.debug"
objcopy --strip-all --add-gnu-debuglink="$target/dist/hopwatch.debug" "$target/release/hopwatch" "$target/dist/hopwatch"
du -h "$target/dist/hopwatch" "$target/dist/hopwatch.debug"
