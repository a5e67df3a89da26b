#!/usr/bin/env bash
# Whence the crates come and under which licences: cargo deny by deny.toml. Advisories need their database, so not here.
set -euo pipefail
. "$(dirname "$0")/steps.sh"
cd "$(dirname "$0")/../.."
command -v cargo-deny >/dev/null || { echo "skipped: cargo install --locked cargo-deny"; exit 77; }
ok "cargo deny: bans, licences and sources are as deny.toml says" cargo deny --offline check bans licenses sources
