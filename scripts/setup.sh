#!/usr/bin/env bash
# What the build needs: Rust as new as rust-toolchain.toml asks for, a C linker, libpcap with its headers. Says nothing when they are there.
# `setup.sh files`: for the half that reads files, which needs no libpcap.
set -euo pipefail
cd "$(dirname "$0")/.."

half=${1:-all}
packages=(gcc libc6-dev)
needed="a C compiler"
if [ "$half" != files ]; then
  packages+=(libpcap-dev pkg-config)
  needed="a C compiler and libpcap with its headers"
fi

present() {
  command -v cc >/dev/null || return 1
  [ "$half" = files ] || { command -v pkg-config >/dev/null && pkg-config --exists libpcap; }
}

how_to_get_rust() {
  cat >&2 <<TEXT
       Install Rust with rustup; it reads rust-toolchain.toml and fetches Rust $wanted by itself:
         curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh
       Then open a new shell (or run: . ~/.cargo/env) and run this again.
TEXT
  exit 1
}

# As new as wanted: `cargo 1.65.0` for example is not. Debian's cargo ignores rust-toolchain.toml, and fails at the manifest.
check_rust() {
  local found
  wanted=$(sed -n 's/^channel *= *"\(.*\)"/\1/p' rust-toolchain.toml)
  if ! command -v cargo >/dev/null; then
    echo "setup: cargo is missing; hopwatch needs Rust $wanted or newer." >&2
    how_to_get_rust
  fi
  if ! found=$(cargo --version); then
    echo "setup: \`cargo --version\` failed (see above); hopwatch needs Rust $wanted or newer." >&2
    how_to_get_rust
  fi
  found=$(awk '{ print $2 }' <<<"$found")
  if [ "$(printf '%s\n' "$wanted" "${found%%-*}" | sort -V | head -n 1)" != "$wanted" ]; then
    echo "setup: $(command -v cargo) is Rust $found; hopwatch needs Rust $wanted or newer." >&2
    how_to_get_rust
  fi
}

check_rust
if present; then
  exit 0
fi
if ! command -v apt-get >/dev/null; then
  cat >&2 <<TEXT
setup: $needed is needed, and there is no apt-get here to install them.
       Install them with your package manager, then run this again:
         Fedora: dnf install gcc pkgconf libpcap-devel
         Alpine: apk add build-base pkgconf libpcap-dev
         Arch:   pacman -S base-devel libpcap
TEXT
  exit 1
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "setup: as root, run: apt-get install -y --no-install-recommends ${packages[*]}" >&2
    exit 1
  fi
  as_root=(sudo)
fi

install_packages() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${packages[@]}"
}

echo "setup: installing ${packages[*]}"
if ! install_packages; then
  echo "setup: that failed; fetching fresh package lists and trying once more"
  "${as_root[@]}" apt-get update -q
  install_packages
fi
if ! present; then
  echo "setup: the packages are installed, yet $needed is not found; look at PATH and PKG_CONFIG_PATH" >&2
  exit 1
fi
