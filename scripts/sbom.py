#!/usr/bin/env python3
"""The bill of materials of hopwatch's program, as CycloneDX 1.6 in JSON, on standard output.

Every crate that is compiled into it (of the features that are built, on Linux), with its version, licence, SHA-256 from Cargo.lock and what it depends on; what only
builds or tests it is left out. --libpcap VERSION adds the libpcap that is linked statically. Offline once `cargo fetch` has run; the same sources give the same bytes
(SOURCE_DATE_EPOCH is its time)."""

import argparse
import datetime
import json
import os
import pathlib
import subprocess
import sys
import tomllib
import uuid

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent


def metadata(target):
    command = ["cargo", "metadata", "--format-version=1", "--locked", "--offline", f"--filter-platform={target}"]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=REPOSITORY).stdout)


def listed():
    """Names and versions of what cargo compiles in: it knows which features only tests ask for, and `cargo metadata` does not."""
    command = ["cargo", "tree", "--locked", "--offline", "--edges=normal,no-proc-macro", "--prefix=none", "--format={p}"]
    lines = subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=REPOSITORY, text=True).stdout.splitlines()
    return {(name, version.removeprefix("v")) for name, version in (line.split()[:2] for line in lines if line)}


def host():
    lines = subprocess.run(["rustc", "-vV"], check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    return next(line.removeprefix("host: ") for line in lines if line.startswith("host: "))


def compiled_in(resolved, packages):
    """What the program consists of, and what each part depends on: from the root along normal dependencies, without what runs while it is compiled."""
    there = listed()
    nodes = {node["id"]: node for node in resolved["nodes"]}
    edges, waiting = {}, [resolved["root"]]
    while waiting:
        package = waiting.pop()
        if package in edges:
            continue
        is_normal = lambda dependency: any(kind["kind"] is None for kind in dependency["dep_kinds"])
        is_there = lambda package: (packages[package]["name"], packages[package]["version"]) in there
        edges[package] = sorted(one["pkg"] for one in nodes[package]["deps"] if is_normal(one) and is_there(one["pkg"]))
        waiting.extend(edges[package])
    return edges


def purl(package):
    return f"pkg:cargo/{package['name']}@{package['version']}"


def component(package, checksums):
    described = {"type": "library", "bom-ref": purl(package), "name": package["name"], "version": package["version"], "purl": purl(package)}
    if package.get("license"):
        described["licenses"] = [{"expression": " ".join(package["license"].replace("/", " OR ").split())}]
    checksum = checksums.get((package["name"], package["version"]))
    if checksum:
        described["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    if package.get("repository"):
        described["externalReferences"] = [{"type": "vcs", "url": package["repository"]}]
    return described


def libpcap(version):
    reference = f"pkg:generic/libpcap@{version}"
    site = [{"type": "website", "url": "https://www.tcpdump.org/"}]
    return {"type": "library", "bom-ref": reference, "name": "libpcap", "version": version, "purl": reference, "licenses": [{"license": {"id": "BSD-3-Clause"}}], "externalReferences": site}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--libpcap", metavar="VERSION", help="of the libpcap that is linked statically")
    arguments = parser.parse_args()
    lock = tomllib.loads((REPOSITORY / "Cargo.lock").read_text())
    checksums = {(package["name"], package["version"]): package.get("checksum") for package in lock["package"]}
    found = metadata(host())
    packages = {package["id"]: package for package in found["packages"]}
    edges = compiled_in(found["resolve"], packages)
    root = packages[found["resolve"]["root"]]
    others = sorted((packages[package] for package in edges if packages[package] is not root), key=purl)
    components = [component(package, checksums) for package in others]
    depends = [{"ref": purl(packages[package]), "dependsOn": [purl(packages[one]) for one in sorted(on)]} for package, on in edges.items()]
    if arguments.libpcap:
        components.append(libpcap(arguments.libpcap))
        [pcap] = [one for one in depends if one["ref"].startswith("pkg:cargo/pcap@")]
        pcap["dependsOn"].append(components[-1]["bom-ref"])
    moment = datetime.datetime.fromtimestamp(int(os.environ.get("SOURCE_DATE_EPOCH", "0")), datetime.UTC)
    bill = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "lifecycles": [{"phase": "build"}],
            "component": component(root, checksums) | {"type": "application", "description": root["description"]},
        },
        "components": components,
        "dependencies": sorted(depends, key=lambda one: one["ref"]),
    }
    # The same content has the same number.
    name = json.dumps(bill, sort_keys=True)
    bill["serialNumber"] = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, name)}"
    json.dump(bill, sys.stdout, indent=1, sort_keys=True)
    sys.stdout.write("\n")


main()
