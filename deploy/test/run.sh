#!/usr/bin/env bash
# run.sh [NAME…]: runs what lies in deploy/ by the tools that read it. Without a name: what takes under two minutes in all.
# --all: everything. Tools from PyPI go to target/deploy-tools; what is missing is skipped with a line.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
quick=(systemd kubernetes)
slow=()
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
export PATH=$PATH:$tools/bin
if [[ -z ${B24_BINARY:-} ]]; then
    cargo build --quiet --bin b24-migration-proxy
    B24_BINARY=$PWD/target/debug/b24-migration-proxy
fi
export B24_BINARY

failed=()
for name in "${names[@]}"; do
    printf -- '-- deploy/test/%s\n' "$name"
    case $name in
    systemd) command=(env MACHINE_FILES="$B24_BINARY" "$here/machine.sh" /repository/deploy/test/systemd.sh) ;;
    *) command=("$here/$name.sh") ;;
    esac
    status=0
    "${command[@]}" || status=$?
    ((status == 0 || status == 77)) || failed+=("$name")
done
if ((${#failed[@]})); then
    echo "failed: ${failed[*]}"
    exit 1
fi
