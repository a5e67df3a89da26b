#!/usr/bin/env bash
# run.sh [NAME…]: runs what lies in deploy/ by the tools that read it. Without a name: what takes under two minutes in all.
# --all: everything. Tools from PyPI go to target/deploy-tools; what is missing is skipped with a line.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
quick=(lint supply systemd kubernetes monitoring logs)
slow=(sbom vector image package)
case ${1:-} in
'') names=("${quick[@]}") ;;
--all) names=("${quick[@]}" "${slow[@]}") ;;
*) names=("$@") ;;
esac

tools=$PWD/target/deploy-tools
if [[ ! -e $tools/.complete || $here/requirements.txt -nt $tools/.complete ]]; then
    if python3 -m venv "$tools" >/dev/null && "$tools/bin/pip" install -q -r "$here/requirements.txt"; then
        touch "$tools/.complete"
    else
        echo "skipped: no tools from PyPI; what needs them is skipped"
    fi
fi
export PATH=$tools/bin:$PATH
if [[ -z ${B24_BINARY:-} ]]; then
    cargo build --quiet --bin b24-migration-proxy
    B24_BINARY=$PWD/target/debug/b24-migration-proxy
fi
export B24_BINARY

failed=()
for name in "${names[@]}"; do
    printf -- '-- deploy/test/%s\n' "$name"
    status=0
    case $name in
    systemd) command=(env MACHINE_FILES="$B24_BINARY" "$here/machine.sh" /repository/deploy/test/systemd.sh) ;;
    image)
        # A binary without any library beside it, as the Dockerfile's.
        RUSTFLAGS="-C target-feature=+crt-static" cargo build --quiet --target x86_64-unknown-linux-gnu --bin b24-migration-proxy
        static=$PWD/target/x86_64-unknown-linux-gnu/debug/b24-migration-proxy
        command=(env MACHINE_FILES="$static" "$here/machine.sh" /repository/deploy/test/image.sh)
        ;;
    vector)
        # The crate vrl has some 250 others.
        cargo build --quiet --manifest-path deploy/logs/vector/check/Cargo.toml --target-dir target/vector
        command=("$here/logs.sh")
        ;;
    package)
        "$here/package.sh" || status=$?
        command=(env MACHINE_FILES="$PWD/target/package" "$here/machine.sh" /repository/deploy/test/package.sh life)
        ((status == 0)) || command=(exit "$status")
        ;;
    *) command=("$here/$name.sh") ;;
    esac
    ("${command[@]}") || status=$?
    ((status == 0 || status == 77)) || failed+=("$name")
done
if ((${#failed[@]})); then
    echo "failed: ${failed[*]}"
    exit 1
fi
