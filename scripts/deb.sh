#!/usr/bin/env bash
# Builds target/dist/hopwatch_VERSION_ARCHITECTURE.deb: binary, unit, configuration, manual pages, completions, documents. The same sources
# and compiler give the same bytes. HOPWATCH_BINARY takes a binary that was built already.
set -euo pipefail
cd "$(dirname "$0")/.."
umask 022

. scripts/package-env.sh

architecture=$(dpkg --print-architecture)
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
chmod 755 "$root"

put() { install -D -m "$1" "$2" "$root/$3"; }

put 755 "$HOPWATCH_BINARY" usr/bin/hopwatch
put 644 packaging/systemd/hopwatch.service lib/systemd/system/hopwatch.service
put 644 packaging/systemd/hopwatch-responder.service lib/systemd/system/hopwatch-responder.service
put 640 config/hopwatch.yaml etc/hopwatch/hopwatch.yaml
mkdir -p "$root/etc/hopwatch/conf.d"
for example in config/examples/*.yaml; do put 644 "$example" "usr/share/doc/hopwatch/examples/$(basename "$example")"; done
put 644 config/prometheus/hopwatch.rules.yaml usr/share/doc/hopwatch/examples/prometheus/hopwatch.rules.yaml
put 644 config/grafana/hopwatch.json usr/share/doc/hopwatch/examples/grafana/hopwatch.json
for page in README.md SECURITY.md CHANGELOG.md; do put 644 "$page" "usr/share/doc/hopwatch/$page"; done
(cd docs && find . -name '*.md' -o -name '*.json') | while read -r page; do put 644 "docs/$page" "usr/share/doc/hopwatch/docs/$page"; done
put 644 LICENSE-MIT usr/share/doc/hopwatch/copyright
cat LICENSE-APACHE >>"$root/usr/share/doc/hopwatch/copyright"

pages=$root/usr/share/man/man1
mkdir -p "$pages"
"$HOPWATCH_BINARY" man -o "$pages"
find "$pages" -type f -exec gzip -9n {} +
completion() {
  mkdir -p "$(dirname "$root/$2")"
  "$HOPWATCH_BINARY" completions "$1" >"$root/$2"
}
completion bash usr/share/bash-completion/completions/hopwatch
completion zsh usr/share/zsh/vendor-completions/_hopwatch
completion fish usr/share/fish/vendor_completions.d/hopwatch.fish

# The libraries that the binary asks for, by their packages.
depends=libc6
# Not into a pipe: grep -q ends at the first match, and what is killed by that counts as a failure.
libraries=$(ldd "$HOPWATCH_BINARY")
if grep -q libpcap <<<"$libraries"; then depends="$depends, libpcap0.8"; fi
if grep -q libgcc_s <<<"$libraries"; then depends="$depends, libgcc-s1"; fi
size=$(du -sk "$root" | cut -f1)
mkdir -p "$root/DEBIAN"
sed -e "s/@VERSION@/$version/; s/@ARCHITECTURE@/$architecture/; s/@SIZE@/$size/; s/@DEPENDS@/$depends/" \
  packaging/debian/control.in >"$root/DEBIAN/control"
echo /etc/hopwatch/hopwatch.yaml >"$root/DEBIAN/conffiles"
for script in postinst prerm postrm; do install -m 755 "packaging/debian/$script" "$root/DEBIAN/$script"; done
(cd "$root" && find . -type f -not -path './DEBIAN/*' -printf '%P\0' | sort -z | xargs -0 md5sum) >"$root/DEBIAN/md5sums"
find "$root" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +

mkdir -p "$target/dist"
package=$target/dist/hopwatch_${version}_$architecture.deb
dpkg-deb --root-owner-group --build "$root" "$package" >/dev/null
ls -l "$package" | awk '{ printf "%s, %.1f MB\n", $NF, $5 / 1e6 }'
