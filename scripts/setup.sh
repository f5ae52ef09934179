#!/usr/bin/env bash
# What the build needs besides Rust: a C linker, and libpcap with its headers. Says nothing when they are there.
set -euo pipefail

packages=(libpcap-dev pkg-config gcc libc6-dev)

present() {
  command -v cc >/dev/null && command -v pkg-config >/dev/null && pkg-config --exists libpcap
}

if ! command -v cargo >/dev/null; then
  echo "setup: cargo is missing; install Rust with rustup (https://rustup.rs), then run this again" >&2
  exit 1
fi
if present; then
  exit 0
fi
if ! command -v apt-get >/dev/null; then
  cat >&2 <<'TEXT'
setup: a C compiler and libpcap with its headers are needed, and there is no apt-get here to install them.
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
  echo "setup: the packages are installed, yet pkg-config does not find libpcap; look at PKG_CONFIG_PATH" >&2
  exit 1
fi
