# What deb.sh, rpm.sh, tarball.sh and image.sh have in common; they source it from the repository's folder. Defines put; sets target, HOPWATCH_BINARY (built, unless one is given),
# version, libraries, static_libpcap, and SOURCE_DATE_EPOCH: the time of the last commit, so that a second build gives the same bytes.
# shellcheck shell=bash
export LC_ALL=C TZ=UTC

target=${CARGO_TARGET_DIR:-target}
if [ -z "${HOPWATCH_BINARY:-}" ]; then
  HOPWATCH_STATIC_LIBPCAP=${HOPWATCH_STATIC_LIBPCAP:-} scripts/build.sh >&2
  HOPWATCH_BINARY=$target/dist/hopwatch
fi
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date -r Cargo.toml +%s)}
export SOURCE_DATE_EPOCH
# What the binary asks for when it starts. Not into a pipe: grep -q ends at the first match, and what is killed by that counts as a failure.
libraries=$(ldd "$HOPWATCH_BINARY")
# The version of the libpcap that is linked statically, and its licence; empty where the host's is used.
static_libpcap=
libpcap_licence=/usr/share/doc/libpcap0.8-dev/copyright
if ! grep -q libpcap <<<"$libraries"; then static_libpcap=$(pkg-config --modversion libpcap); fi
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)

# Puts a file with a mode into $root.
put() { install -D -m "$1" "$2" "$root/$3"; }
