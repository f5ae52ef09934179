#!/usr/bin/env bash
# Builds target/dist/hopwatch-VERSION-ARCHITECTURE.tar.gz for hosts without Debian's packages: binary (with libpcap in it), units, configuration, manual pages, completions, documents, and
# SHA256SUMS of all; beside it a bill of materials (CycloneDX, .cdx.json) and the sums of both (.sha256).
# The same sources and compiler give the same bytes; `--check` packs twice, differently, and compares. HOPWATCH_BINARY takes a binary that was built already.
set -euo pipefail
cd "$(dirname "$0")/.."

HOPWATCH_STATIC_LIBPCAP=yes
. scripts/package-env.sh
name=hopwatch-$version-$(uname -m)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Fills $1/$name.
fill() {
  local root=$1/$name page
  put 755 "$HOPWATCH_BINARY" bin/hopwatch
  # One of `cargo build` holds its symbols, and where it was built.
  strip --strip-all "$root/bin/hopwatch"
  for page in packaging/systemd/*.service; do put 644 "$page" "systemd/$(basename "$page")"; done
  put 644 config/hopwatch.yaml etc/hopwatch.yaml
  for page in config/examples/*.yaml; do put 644 "$page" "examples/$(basename "$page")"; done
  for page in README.md SECURITY.md CHANGELOG.md LICENSE-MIT LICENSE-APACHE; do put 644 "$page" "$page"; done
  if [ -n "$static_libpcap" ]; then put 644 "$libpcap_licence" LICENSE-libpcap; fi
  (cd docs && find . -name '*.md' -o -name '*.json') | while read -r page; do put 644 "docs/$page" "docs/$page"; done
  mkdir -p "$root/man" "$root/completions"
  "$HOPWATCH_BINARY" man -o "$root/man"
  for page in bash zsh fish; do "$HOPWATCH_BINARY" completions "$page" >"$root/completions/hopwatch.$page"; done
  chmod -R u=rwX,go=rX "$root"
  (cd "$root" && find . -type f ! -name SHA256SUMS | sort | sed 's|^\./||' | tr '\n' '\0' | xargs -0 sha256sum >"$work/sums")
  install -m 644 "$work/sums" "$root/SHA256SUMS"
}

# Packs $1/$name into $2.
pack() {
  tar --create --format=ustar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner \
    --directory="$1" "$name" | gzip --no-name -9 >"$2"
}

mkdir "$work/one"
(umask 022 && fill "$work/one")
mkdir -p "$target/dist"
archive=$target/dist/$name.tar.gz
pack "$work/one" "$archive"

if [ "${1:-}" = --check ]; then
  # Under another umask, later, with other times of the files.
  mkdir "$work/two"
  (umask 077 && fill "$work/two")
  find "$work/two" -exec touch -d @86400 {} +
  (export TZ=Asia/Tokyo && pack "$work/two" "$work/two.tar.gz")
  cmp "$archive" "$work/two.tar.gz" || { echo "tarball: two builds of one binary give two archives" >&2; exit 1; }
  mkdir "$work/unpacked"
  tar --extract --gzip --file "$archive" --directory "$work/unpacked"
  (cd "$work/unpacked/$name" && sha256sum --check --quiet SHA256SUMS)
  "$work/unpacked/$name/bin/hopwatch" config check "$work/unpacked/$name/etc/hopwatch.yaml" >&2
  echo "tarball: two builds give the same bytes, and what is unpacked runs" >&2
fi
# What it consists of, for those who look for known weaknesses in it.
bill=$name.cdx.json
if [ -n "$static_libpcap" ]; then
  scripts/sbom.py --libpcap "$static_libpcap" >"$target/dist/$bill"
else
  scripts/sbom.py >"$target/dist/$bill"
  echo "tarball: this binary asks for the host's libpcap, as $(grep -o 'libpcap[^ ]*' <<<"$libraries" | head -1); without HOPWATCH_BINARY it is linked statically" >&2
fi
(cd "$target/dist" && sha256sum "$name.tar.gz" "$bill" | tee "$name.sha256")
