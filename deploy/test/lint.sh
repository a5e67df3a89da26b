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
