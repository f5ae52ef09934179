#!/usr/bin/env bash
# Builds target/dist/hopwatch_VERSION_ARCHITECTURE.deb: binary, unit, configuration, manual pages, completions, documents. The same sources
# and compiler give the same bytes. HOPWATCH_BINARY takes a binary that was built already.
set -euo pipefail
cd "$(dirname "$0")/.."
umask 022

. scripts/package-env.sh
. scripts/package-files.sh

architecture=$(dpkg --print-architecture)
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
chmod 755 "$root"

package_files lib/systemd/system usr/share/zsh/vendor-completions

# The libraries that the binary asks for, by their packages.
depends=libc6
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
