#!/usr/bin/env bash
# Installs, upgrades and purges the Debian package in a bare root of its own, and uses what it installed (root; mmdebstrap).
# HOPWATCH_BINARY: the binary to package; else the release is built.
set -euo pipefail
cd "$(dirname "$0")/.."

[ "$(id -u)" -eq 0 ] || { echo "needs root: sudo make deb-test" >&2; exit 1; }
command -v mmdebstrap >/dev/null || { echo "needs the Debian package mmdebstrap" >&2; exit 1; }

# Of a package that lives for a minute.
export DPKG_DEB_COMPRESSOR_TYPE=none

fail() { echo "deb-test: $*" >&2; exit 1; }

target=${CARGO_TARGET_DIR:-target}
package=$(scripts/deb.sh | tail -1 | cut -d, -f1)
first=$(sha256sum <"$package")
scripts/deb.sh >/dev/null
[ "$first" = "$(sha256sum <"$package")" ] || fail "two builds of one binary give two packages"

bare=$(mktemp -d)
trap 'rm -rf "$bare"' EXIT
chmod 755 "$bare"
# shellcheck source=/dev/null
release=$(. /etc/os-release && echo "${VERSION_CODENAME:-bookworm}")
mmdebstrap --quiet --variant=minbase --include=libpcap0.8,libgcc-s1 "$release" "$bare"
inside() { chroot "$bare" "$@"; }

cp "$package" "$bare/new.deb"
# A version before it, with the same files.
dpkg-deb -R "$package" "$bare/old"
sed -i 's/^Version: .*/Version: 0.0.1/' "$bare/old/DEBIAN/control"
dpkg-deb --root-owner-group --build "$bare/old" "$bare/old.deb" >/dev/null

inside dpkg -i /old.deb | grep "systemctl enable" >/dev/null || fail "the installation does not say what to do next"
inside hopwatch config check || fail "the installed configuration is wrong"
echo "# kept" >>"$bare/etc/hopwatch/hopwatch.yaml"
inside dpkg -i /new.deb >/dev/null
[ "$(inside dpkg-query -W -f '${Version}' hopwatch)" != 0.0.1 ] || fail "the upgrade did not take place"
grep -q "# kept" "$bare/etc/hopwatch/hopwatch.yaml" || fail "an upgrade overwrites the configuration"
inside dpkg --verify hopwatch | grep -v hopwatch.yaml && fail "installed files differ from the package"

cp -r captures/egress-around-proxy "$bare/capture"
alerts=$(inside hopwatch replay /capture --format json)
grep -q '"rule":"egress-skips-proxy"' <<<"$alerts" || fail "the installed program does not detect"
[ -e "$bare/usr/share/man/man1/hopwatch-replay.1.gz" ] && [ -e "$bare/usr/share/man/man5/hopwatch.yaml.5.gz" ] || fail "there is no manual page"
bash -n "$bare/usr/share/bash-completion/completions/hopwatch" || fail "the completion is no bash"
if command -v systemd-analyze >/dev/null; then
  systemd-analyze security --offline=yes --threshold=35 "$bare/lib/systemd/system/hopwatch.service" >/dev/null ||
    fail "the unit gives away more rights than before: systemd-analyze security --offline=yes packaging/systemd/hopwatch.service"
fi

mkdir -p "$bare/var/lib/hopwatch" && touch "$bare/var/lib/hopwatch/outbox.sqlite"
inside dpkg --purge hopwatch >/dev/null
left=$(find "$bare/etc" "$bare/usr" "$bare/lib" "$bare/var/lib/hopwatch" -name '*hopwatch*' 2>/dev/null || true)
[ -z "$left" ] || fail "the purge leaves: $left"
echo "deb-test: installed, upgraded, used and purged $(basename "$package")"
