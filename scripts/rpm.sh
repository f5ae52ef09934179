#!/usr/bin/env bash
# Builds target/dist/hopwatch-VERSION-1.ARCHITECTURE.rpm: the files of the Debian package, libpcap linked statically, since each distribution calls its own
# library otherwise. The same sources and compiler give the same bytes. Needs rpmbuild (Debian: rpm; Fedora: rpm-build). HOPWATCH_BINARY takes a binary that was built already.
set -euo pipefail
cd "$(dirname "$0")/.."
umask 022
command -v rpmbuild >/dev/null || { echo "rpm: needs rpmbuild: apt-get install rpm, or dnf install rpm-build" >&2; exit 1; }

HOPWATCH_STATIC_LIBPCAP=yes
. scripts/package-env.sh
. scripts/package-files.sh

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
mkdir -p "$root"
package_files usr/lib/systemd/system usr/share/zsh/site-functions

# What is hopwatch's own, and nothing that other packages own.
files() {
  echo '%dir /etc/hopwatch'
  echo '%dir /etc/hopwatch/conf.d'
  echo '%config(noreplace) %attr(640, root, root) /etc/hopwatch/hopwatch.yaml'
  (cd "$root" && find usr/share/doc/hopwatch -type d -printf '%%dir /%p\n' | sort)
  (cd "$root" && find usr -type f ! -path 'usr/share/doc/*' ! -path 'usr/share/man/*' -printf '/%p\n' | sort)
  (cd "$root" && find usr/share/doc usr/share/man -type f -printf '%%doc /%p\n' | sort)
}
files >"$work/files"

architecture=$(uname -m)
licence='MIT OR Apache-2.0'
if [ -n "$static_libpcap" ]; then licence="($licence) AND BSD-3-Clause"; fi
sed -e "s|@VERSION@|$version|; s|@LICENCE@|$licence|; s|@ARCHITECTURE@|$architecture|; s|@ROOT@|$root|; s|@FILES@|$work/files|" \
  packaging/rpm/hopwatch.spec.in >"$work/hopwatch.spec"
find "$root" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
# No post-processing: the program is stripped already, and the manual pages are packed.
rpmbuild --quiet -bb --define "_topdir $work/rpm" --define "_dbpath $work/db" --define '_buildhost localhost' \
  --define 'use_source_date_epoch_as_buildtime 1' --define 'clamp_mtime_to_source_date_epoch 1' \
  --define 'debug_package %{nil}' --define '__os_install_post %{nil}' --define '_build_id_links none' \
  --define "_binary_payload ${RPM_BINARY_PAYLOAD:-w6.gzdio}" "$work/hopwatch.spec" >&2

mkdir -p "$target/dist"
package=$target/dist/hopwatch-$version-1.$architecture.rpm
cp "$work/rpm/RPMS/$architecture/hopwatch-$version-1.$architecture.rpm" "$package"
if rpm -qp --requires "$package" 2>/dev/null | grep '^libpcap'; then
  echo "rpm: this binary asks for the libpcap of the distribution that it was built on, and others do not have it: leave HOPWATCH_BINARY out" >&2
fi
ls -l "$package" | awk '{ printf "%s, %.1f MB\n", $NF, $5 / 1e6 }'
