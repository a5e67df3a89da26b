#!/usr/bin/env bash
# What linters say of the files here. A linter that is missing is a line; hadolint and check-jsonschema come from PyPI.
set -euo pipefail
. "$(dirname "$0")/steps.sh"
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/.."
has_tool() { command -v "$1" >/dev/null || { echo "skipped: $1 is not installed"; return 1; }; }

! has_tool hadolint || ok "hadolint has nothing to say against the Dockerfile" hadolint --failure-threshold style Dockerfile
! has_tool check-jsonschema || ok "the Compose file has the form of one" \
    check-jsonschema --builtin-schema vendor.compose-spec compose.yaml
! has_tool shellcheck || ok "shellcheck has nothing to say against the scripts" shellcheck -S warning -x -P SCRIPTDIR test/*.sh
! has_tool yamllint || ok "the YAML files are well-formed" yamllint -d \
    '{extends: default, rules: {document-start: disable, line-length: {max: 128}, comments: disable, braces: {max-spaces-inside: 1}, indentation: {indent-sequences: whatever}}}' \
    kubernetes compose.yaml

# The layer of dependencies stands or falls with the manifests: cargo must find each target that they name.
stubs() {
    local folder line status=0
    folder=$(mktemp -d)
    while read -r _ line; do
        # shellcheck disable=SC2086 # several files and their folder
        (cd .. && set -- $line && mkdir -p "$folder/${!#}" && cp "${@:1:$#-1}" "$folder/${!#}")
    done < <(grep '^COPY .*Cargo' Dockerfile)
    (
        cd "$folder"
        sh -ec "$(sed -n '/^RUN mkdir/,/rm -r src$/{s/^RUN //; s/cargo build .*--bin b24-migration-proxy/cargo metadata --locked --offline --format-version 1 >meta/; p}' \
            "$OLDPWD/Dockerfile")"
        grep -q b24-migration-proxy meta
    ) || status=$?
    rm -r "$folder"
    return $status
}
! has_tool cargo || ok "cargo takes the Dockerfile's stand-ins for the sources" stubs
