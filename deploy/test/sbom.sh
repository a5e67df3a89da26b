#!/usr/bin/env bash
# The list of what the program is made of (CycloneDX), as a release ships it: target/package/b24-migration-proxy.cdx.json.
set -euo pipefail
. "$(dirname "$0")/steps.sh"
cd "$(dirname "$0")/../.."
command -v cargo-cyclonedx >/dev/null || { echo "skipped: cargo install --locked cargo-cyclonedx"; exit 77; }
mkdir -p target/package
ok "cargo cyclonedx makes one" cargo cyclonedx --quiet --format json --spec-version 1.5 --override-filename b24-migration-proxy.cdx
mv b24-migration-proxy.cdx.json target/package/
rm -f benches/*/b24-migration-proxy.cdx.json
ok "it names each crate of the program with its version" python3 - <<'PY'
import json, subprocess
made = {(c["name"], c["version"]) for c in json.load(open("target/package/b24-migration-proxy.cdx.json"))["components"]}
tree = subprocess.run(["cargo", "tree", "--offline", "--locked", "-p", "b24-migration-proxy", "-e", "normal", "--prefix", "none", "--format", "{p}"],
                      capture_output=True, text=True, check=True).stdout
used = {tuple(line.split(" v")[:2]) for line in tree.splitlines() if line}
used = {(name, version.split()[0]) for name, version in used if name != "b24-migration-proxy"}
print(len(made), len(used), used - made)
assert used <= made and len(used) > 100
PY
