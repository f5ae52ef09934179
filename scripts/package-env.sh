# What deb.sh, tarball.sh and image.sh have in common; they source it from the repository's folder. Sets target, HOPWATCH_BINARY (built, unless one is given),
# version, and SOURCE_DATE_EPOCH: the time of the last commit, so that a second build gives the same bytes.
# shellcheck shell=bash
export LC_ALL=C TZ=UTC

target=${CARGO_TARGET_DIR:-target}
if [ -z "${HOPWATCH_BINARY:-}" ]; then
  scripts/build.sh >&2
  HOPWATCH_BINARY=$target/dist/hopwatch
fi
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date -r Cargo.toml +%s)}
export SOURCE_DATE_EPOCH
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
