#!/usr/bin/env bash
# Builds target/dist/hopwatch_VERSION_ARCHITECTURE.oci.tar: an image that `podman load` and `docker load` take, without a daemon and without a
# registry: the program, the libraries that it needs from Debian's packages, an empty configuration. The same sources, packages and compiler give the same bytes.
# Needs mmdebstrap and jq. HOPWATCH_BINARY takes a binary that was built already; IMAGE_COMPRESSION is gzip's level, 9 by default.
set -euo pipefail
cd "$(dirname "$0")/.."
umask 022

fail() { echo "image: $*" >&2; exit 1; }
for tool in mmdebstrap jq; do
  command -v "$tool" >/dev/null || fail "needs the Debian package $tool: sudo apt-get install $tool"
done

. scripts/package-env.sh
created=$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)
architecture=$(dpkg --print-architecture)
name=localhost/hopwatch:$version

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root

# The packages of the libraries that the binary asks for, unpacked; none of their scripts runs.
packages=libc6
libraries=$(ldd "$HOPWATCH_BINARY")
if grep -q libpcap <<<"$libraries"; then packages="$packages,libpcap0.8"; fi
if grep -q libgcc_s <<<"$libraries"; then packages="$packages,libgcc-s1"; fi
# shellcheck source=/dev/null
release=$(. /etc/os-release && echo "${VERSION_CODENAME:-bookworm}")
mmdebstrap --quiet --mode=root --variant=extract --include="$packages" "$release" "$root"

# Licences stay; what a program without a shell never reads goes.
find "$root/usr/share/doc" -type f ! -name copyright -delete
rm -rf "${root:?}"/{dev,proc,sys,run,tmp,boot,home,media,mnt,opt,root,srv} "$root"/var "$root"/etc/{apt,systemd,dpkg} \
  "$root"/usr/share/{man,locale,info,lintian,bash-completion,bug,doc-base} "$root"/usr/lib/*/gconv "$root"/usr/{games,include,src,local}
find "$root/usr/share/doc" -type d -empty -delete
mkdir -p "$root"/{etc/hopwatch/conf.d,var/lib/hopwatch,usr/bin,tmp}
chmod 1777 "$root/tmp"
install -m 755 "$HOPWATCH_BINARY" "$root/usr/bin/hopwatch"
strip --strip-debug "$root/usr/bin/hopwatch"
install -m 644 config/hopwatch.yaml "$root/etc/hopwatch/hopwatch.yaml"
install -D -m 644 LICENSE-MIT "$root/usr/share/doc/hopwatch/copyright"
cat LICENSE-APACHE >>"$root/usr/share/doc/hopwatch/copyright"
printf 'root:x:0:0:root:/:/usr/sbin/nologin\nhopwatch:x:65532:65532:hopwatch:/var/lib/hopwatch:/usr/sbin/nologin\n' >"$root/etc/passwd"
printf 'root:x:0:\nhopwatch:x:65532:\n' >"$root/etc/group"
chmod 700 "$root/var/lib/hopwatch"

pack() { tar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --numeric-owner --format=gnu -C "$1" -cf - "${@:2}"; }
(cd "$root" && find . -mindepth 1 -maxdepth 1 -printf '%P\n' | sort) >"$work/names"
mapfile -t names <"$work/names"
pack "$root" --owner=0 --group=0 "${names[@]}" >"$work/layer.tar"

blobs=$work/image/blobs/sha256
mkdir -p "$blobs"
# Keeps a file under its hash; prints that.
keep() {
  local hash
  hash=$(sha256sum <"$1" | cut -d' ' -f1)
  mv "$1" "$blobs/$hash"
  echo "$hash"
}
describe() { jq -cn --arg type "$1" --arg digest "sha256:$2" --argjson size "$(stat -c %s "$blobs/$2")" '{mediaType: $type, digest: $digest, size: $size}'; }

unpacked=sha256:$(sha256sum <"$work/layer.tar" | cut -d' ' -f1)
gzip "-${IMAGE_COMPRESSION:-9}n" "$work/layer.tar"
layer=$(keep "$work/layer.tar.gz")
jq -cn --arg created "$created" --arg architecture "$architecture" --arg version "$version" '{
  created: $created, architecture: $architecture, os: "linux",
  config: {
    User: "65532:65532", WorkingDir: "/var/lib/hopwatch", Entrypoint: ["/usr/bin/hopwatch"], Cmd: ["--help"],
    Env: ["PATH=/usr/bin"], Volumes: {"/var/lib/hopwatch": {}}, ExposedPorts: {"9921/tcp": {}}, StopSignal: "SIGTERM",
    Labels: {
      "org.opencontainers.image.title": "hopwatch",
      "org.opencontainers.image.description": "Network flow anomaly detector for containers",
      "org.opencontainers.image.version": $version,
      "org.opencontainers.image.licenses": "MIT OR Apache-2.0",
      "org.opencontainers.image.created": $created
    }
  },
  rootfs: {type: "layers", diff_ids: $ARGS.positional},
  history: [{created: $created, created_by: "scripts/image.sh"}]
}' --args "$unpacked" >"$work/config.json"
config=$(keep "$work/config.json")
describe application/vnd.oci.image.layer.v1.tar+gzip "$layer" | jq -c --argjson config "$(describe application/vnd.oci.image.config.v1+json "$config")" \
  '{schemaVersion: 2, mediaType: "application/vnd.oci.image.manifest.v1+json", config: $config, layers: [.]}' >"$work/manifest.json"
manifest=$(keep "$work/manifest.json")
describe application/vnd.oci.image.manifest.v1+json "$manifest" |
  jq -c --arg name "$name" '{schemaVersion: 2, mediaType: "application/vnd.oci.image.index.v1+json",
    manifests: [. + {annotations: {"io.containerd.image.name": $name, "org.opencontainers.image.ref.name": $name}}]}' >"$work/image/index.json"
echo '{"imageLayoutVersion":"1.0.0"}' >"$work/image/oci-layout"
# For Docker before version 25, which reads this instead of the index.
jq -cn --arg config "blobs/sha256/$config" --arg name "$name" '[{Config: $config, RepoTags: [$name], Layers: $ARGS.positional}]' \
  --args "blobs/sha256/$layer" >"$work/image/manifest.json"

mkdir -p "$target/dist"
image=$target/dist/hopwatch_${version}_$architecture.oci.tar
pack "$work/image" --owner=0 --group=0 --mode=u=rwX,go=rX blobs index.json manifest.json oci-layout >"$image"
ls -l "$image" | awk '{ printf "%s, %.1f MB\n", $NF, $5 / 1e6 }'
