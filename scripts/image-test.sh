#!/usr/bin/env bash
# Builds the image twice, loads it into a Podman of its own, and uses it there (root; podman, mmdebstrap, jq).
# HOPWATCH_BINARY: the binary to package; else the release is built.
set -euo pipefail
cd "$(dirname "$0")/.."

[ "$(id -u)" -eq 0 ] || { echo "needs root: sudo make image-test" >&2; exit 1; }
fail() { echo "image-test: $*" >&2; exit 1; }
command -v podman >/dev/null || fail "needs the Debian package podman"

# Of an image that lives for a minute.
export IMAGE_COMPRESSION=1
image=$(scripts/image.sh | tail -1 | cut -d, -f1)
first=$(sha256sum <"$image")
scripts/image.sh >/dev/null
[ "$first" = "$(sha256sum <"$image")" ] || fail "two builds of one binary give two images"

work=$(mktemp -d)
podman() {
  command podman --root "$work/root" --runroot "$work/run" --storage-driver vfs --cgroup-manager cgroupfs --events-backend file --runtime runc "$@"
}
clean_up() {
  podman rm --all --force --time 0 >/dev/null 2>&1 || true
  rm -rf "$work"
}
trap clean_up EXIT
# Podman's own defaults are higher than what every machine allows.
printf '[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]\n' >"$work/containers.conf"
export CONTAINERS_CONF=$work/containers.conf

name=$(podman load --quiet --input "$image" | sed 's/^Loaded image: //')
run() { podman run --rm --network none --cap-drop ALL --read-only "$@"; }
[ "$(podman image inspect "$name" --format '{{.User}}')" = 65532:65532 ] || fail "the image runs as root"
run "$name" --version | grep -q '^hopwatch ' || fail "the program does not start"
run "$name" config check >/dev/null || fail "the configuration of the image is wrong"
alerts=$(run --volume "$PWD/captures/egress-around-proxy:/capture:ro" "$name" replay /capture --format json)
grep -q '"rule":"egress-skips-proxy"' <<<"$alerts" || fail "the program in the image does not detect"
# Live, with one capability and nothing that it may write: it captures, and says what it does not see.
said=$(run --user 0 --cap-add NET_RAW "$name" sniff -i lo --listen none --duration 1s --format json 2>&1) || fail "it does not capture: $said"
grep -q '"schema":"hopwatch.summary/1"' <<<"$said" || fail "no summary: $said"
echo "image-test: built twice alike, loaded, and used $name"
