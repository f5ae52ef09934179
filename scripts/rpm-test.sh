#!/usr/bin/env bash
# Builds the rpm twice, compares its content with that of the Debian package, and installs, upgrades, uses and erases it in a root of its own (root; rpm).
# HOPWATCH_BINARY: the binary to package; else the release is built.
set -euo pipefail
cd "$(dirname "$0")/.."

[ "$(id -u)" -eq 0 ] || { echo "needs root: sudo make rpm-test" >&2; exit 1; }
command -v rpmbuild >/dev/null || { echo "needs the Debian package rpm" >&2; exit 1; }
# No compression: the package lives for a minute.
export RPM_BINARY_PAYLOAD=w.ufdio DPKG_DEB_COMPRESSOR_TYPE=none

fail() { echo "rpm-test: $*" >&2; exit 1; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
package=$(scripts/rpm.sh 2>"$work/words" | tail -1 | cut -d, -f1) || { cat "$work/words" >&2; exit 1; }
first=$(sha256sum <"$package")
(export TZ=Asia/Tokyo && umask 077 && scripts/rpm.sh >/dev/null 2>&1)
[ "$first" = "$(sha256sum <"$package")" ] || fail "two builds of one binary give two packages"
rpm -K --nosignature "$package" >/dev/null || fail "its digests are wrong"

# The Debian package has its own folders for units and zsh, and dpkg's lists.
deb=$(scripts/deb.sh | tail -1 | cut -d, -f1)
dpkg-deb --fsys-tarfile "$deb" | tar --list | sed -n 's|^\.||; s|^/lib/systemd/|/usr/lib/systemd/|; s|/vendor-completions/|/site-functions/|; /[^/]$/p' | sort >"$work/deb"
rpm -qp --qf '[%{FILEMODES:perms} %{FILENAMES}\n]' "$package" | sed -n 's/^-[^ ]* //p' | sort >"$work/rpm"
diff "$work/deb" "$work/rpm" >&2 || fail "its files are not those of the Debian package"
rpm -qpc "$package" | grep -x /etc/hopwatch/hopwatch.yaml >/dev/null || fail "the configuration is not marked as such"

# An rpm database of its own. The package's scripts are only parsed (below): this root has no shell to run them.
bare=$work/bare
mkdir -p "$bare"
options=(--root "$bare" --dbpath /var/lib/rpm --nodeps --noscripts)
# Debian's rpm asks to be told so.
if [ -e /etc/debian_version ]; then options+=(--force-debian); fi
rpm_in() { rpm "${options[@]}" "$@"; }
rpm_in --install "$package"
rpm_in --verify hopwatch || fail "installed files differ from the package"
[ "$(stat -c '%a %U' "$bare/etc/hopwatch/hopwatch.yaml")" = "640 root" ] || fail "others may read the configuration"
"$bare/usr/bin/hopwatch" config check "$bare/etc/hopwatch/hopwatch.yaml" || fail "the installed configuration is wrong"
alerts=$("$bare/usr/bin/hopwatch" replay captures/egress-around-proxy --format json)
grep -q '"rule":"egress-skips-proxy"' <<<"$alerts" || fail "the installed program does not detect"
echo "# kept" >>"$bare/etc/hopwatch/hopwatch.yaml"
rpm_in --upgrade --force "$package"
grep -q "# kept" "$bare/etc/hopwatch/hopwatch.yaml" || fail "an upgrade overwrites the configuration"
rpm -qp --scripts "$package" | sed '/^[a-z]*install scriptlet/d' | sh -n || fail "a script is no shell"
rpm_in --erase hopwatch
left=$(find "$bare/etc" "$bare/usr" -path '*hopwatch*' ! -path '*/hopwatch.yaml.rpmsave' ! -path "$bare/etc/hopwatch" 2>/dev/null || true)
[ -z "$left" ] || fail "erasing it leaves: $left"
echo "rpm-test: built twice alike, the files of $(basename "$deb"), installed, upgraded, used and erased: $(basename "$package")"
