#!/usr/bin/env bash
# Runs tests/lab: real containers behind real bridges, in network namespaces that the tests make and remove. Needs root. HOPWATCH_LAB_LANES says how
# many worlds stand side by side: six, since a scenario mostly waits.
set -euo pipefail
cd "$(dirname "$0")/.."

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "lab: needs root for network namespaces and the container runtime; run it as root" >&2
    exit 1
  fi
  as_root=(sudo -E env "PATH=$PATH")
fi

if [ ! -f tests/lab/install.sh ]; then
  echo "lab: tests/lab is not in this checkout; nothing to run"
  exit 0
fi
"${as_root[@]}" bash tests/lab/install.sh
"${as_root[@]}" env HOPWATCH_LAB=1 HOPWATCH_LAB_LANES="${HOPWATCH_LAB_LANES:-6}" cargo test --locked --test lab -- --show-output
# The kernel has one audit for the whole machine, so its test runs alone.
"${as_root[@]}" cargo test --locked --test privileged -- --ignored host_audit --show-output
