#!/usr/bin/env bash
# Puts the published client libraries that tests/it/sdk.rs calls through the proxy under target/, in pinned versions, and a
# validator for the JSON Schema of rule files; and DuckDB for tests/it/duckdb.rs.
# The tests themselves need no network: they skip a library that is not there.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=${CARGO_TARGET_DIR:-$here/../../target}/tmp/sdk
mkdir -p "$folder"

python() {
    cmp -s "$here/requirements.txt" "$folder/python/requirements.txt" && return
    rm -rf "$folder/python"
    python3 -m venv "$folder/python" &&
        "$folder/python/bin/pip" install -q --disable-pip-version-check -r "$here/requirements.txt" &&
        cp "$here/requirements.txt" "$folder/python/"
}

duckdb() {
    local wanted=$here/../duckdb/requirements.txt
    cmp -s "$wanted" "$folder/duckdb/requirements.txt" && return
    rm -rf "$folder/duckdb"
    python3 -m venv "$folder/duckdb" &&
        "$folder/duckdb/bin/pip" install -q --disable-pip-version-check -r "$wanted" &&
        cp "$wanted" "$folder/duckdb/"
}

node() {
    [[ -d $folder/node_modules ]] && cmp -s "$here/package.json" "$folder/package.json" && return
    rm -rf "$folder/node_modules"
    cp "$here/package.json" "$folder/" &&
        (cd "$folder" && npm install --silent --ignore-scripts --no-audit --no-fund --no-package-lock) ||
        { rm -rf "$folder/node_modules"; return 1; }
}

python || echo "skipped: fast_bitrix24, b24pysdk and jsonschema cannot be installed; their tests will skip"
duckdb || echo "skipped: DuckDB cannot be installed; the test that counts with it will skip"
node || echo "skipped: @bitrix24/b24jssdk and axe-core cannot be installed; their tests will skip"
