#!/usr/bin/env bash
# What the proxy costs beside nginx and HAProxy, on this machine.
#   benches/compare.sh [--rounds 5] [--seconds 2] [--only small,batch,…] [--candidates ours,nginx,…] [--binary PATH]
#       all workloads, and each goal with what was measured
#   benches/compare.sh --document
#       the same, with the peers' counts, and writes its tables into docs/BENCHMARKS.md, between their marks
#   benches/compare.sh --count instructions [--only small,…]     user-mode instructions a call, which have next to no noise
#   benches/compare.sh --count syscalls [--only small,…]         system calls a call, and which
#   benches/compare.sh --count allocations [--only small,…]      blocks taken from the allocator, under valgrind's DHAT
#   benches/compare.sh --growth [--rounds 3] [--only connections,batch,…]
#       how cost grows: writes docs/benchmarks/growth.json, its pictures, and its tables into docs/BENCHMARKS.md
# Needs a Debian or Ubuntu with two cores and a Rust toolchain; as root it installs the peers. It takes CPU time of all
# threads from /proc/PID/task/*/schedstat, checks each answer and what reached the portal, and prints tables in Markdown.
# How to read them: docs/BENCHMARKS.md.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(nginx libnginx-mod-http-lua lua-cjson haproxy openssl strace util-linux valgrind nghttp2-client)
missing=()
for package in "${packages[@]}"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done
if ((${#missing[@]})); then
    [[ $(id -u) == 0 ]] || { echo "missing: ${missing[*]}; install them, or run this as root" >&2; exit 1; }
    # The packages must not start daemons of their own beside what is measured.
    policy=/usr/sbin/policy-rc.d
    if [[ ! -e $policy ]]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod +x "$policy"
        trap 'rm -f "$policy"' EXIT
    fi
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -yqq --no-install-recommends "${missing[@]}" >/dev/null
fi

target=${CARGO_TARGET_DIR:-target}
arguments=()
growth=
for argument; do
    case $argument in
        --growth) growth=docs/benchmarks/growth.json ;;
        --document) arguments+=(--document docs/BENCHMARKS.md) ;;
        *) arguments+=("$argument") ;;
    esac
done
if [[ " $* " != *" --binary "* ]]; then
    cargo build --release --bin b24-migration-proxy
    arguments+=(--binary "$target/release/b24-migration-proxy")
fi
cargo build --profile bench -p b24-migration-proxy-compare
ulimit -n "$(ulimit -Hn)"

about=$(printf '%s, %s cores; Linux %s; %s; %s; %s; %s' \
    "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1)" "$(nproc)" "$(uname -r)" "$(rustc -V)" \
    "$(nginx -v 2>&1 | sed 's/.*: //')" "$(haproxy -v | sed -nE '1s/ [0-9/]+ -.*//p')" "$(date -u +%F)")
echo "$about"
if [[ $growth ]]; then
    mkdir -p docs/benchmarks
    "$target/release/compare" "${arguments[@]}" --growth "$growth" --about "$about"
    "$target/release/plot" "$growth" docs/benchmarks docs/BENCHMARKS.md
else
    "$target/release/compare" "${arguments[@]}" --about "$about"
fi
