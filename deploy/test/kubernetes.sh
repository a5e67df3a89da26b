#!/usr/bin/env bash
# Renders the Kubernetes files and validates them against the oldest and the newest schema that kubernetes-validate has.
set -euo pipefail
. "$(dirname "$0")/steps.sh"
folder=$(cd "$(dirname "$0")/../kubernetes" && pwd)
if command -v kubectl >/dev/null; then
    render() { kubectl kustomize "$1"; }
elif command -v kustomize >/dev/null; then
    render() { kustomize build "$1"; }
else
    echo "skipped: neither kubectl nor kustomize is installed"
    exit 77
fi
command -v kubernetes-validate >/dev/null || { echo "skipped: pip install kubernetes-validate"; exit 77; }
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

cp -r "$folder" "$out/kubernetes"
overlays="$out/kubernetes/overlays"
# The overlay of the README, as it is written there.
mkdir "$overlays/mine"
sed -n '/# kustomization.yaml/,/^   ```/{/```/d; s/^   //; p}' "$folder/README.md" >"$overlays/mine/kustomization.yaml"
sed 's|^upstream = .*|upstream = "https://mine.bitrix24.com"|' "$folder/base/b24-migration-proxy.toml" >"$overlays/mine/b24-migration-proxy.toml"
# And one with all components.
mkdir "$overlays/all"
{
    printf '%s\n' 'apiVersion: kustomize.config.k8s.io/v1beta1' 'kind: Kustomization' 'resources: [../../base]' 'components:'
    for component in "$folder"/components/*/; do echo "  - ../../components/$(basename "$component")"; done
} >"$overlays/all/kustomization.yaml"

read -r oldest newest < <(python3 - <<'PY'
import subprocess, sys, shutil, re
tool = open(shutil.which("kubernetes-validate")).readline()[2:].strip()
print(subprocess.run([tool, "-c", """
import kubernetes_validate, pathlib, re
found = {tuple(map(int, m.groups())) for p in pathlib.Path(kubernetes_validate.__file__).parent.rglob('*')
         if (m := re.fullmatch(r'v?(\\d+)\\.(\\d+)(?:\\.\\d+)?(?:-.*)?', p.name)) and p.is_dir()}
found = sorted(found) or [(1, 25), (1, 37)]
print('%d.%d %d.%d' % (*found[0], *found[-1]))
"""], capture_output=True, text=True, check=True).stdout)
PY
)
for overlay in "$overlays"/*/; do
    name=$(basename "$overlay")
    file=$out/$name.yaml
    render_it() { render "$overlay" >"$file"; }
    ok "overlay $name renders" render_it
    for version in "$oldest" "$newest"; do
        ok "overlay $name is valid for Kubernetes $version" kubernetes-validate --strict -k "$version" "$file"
    done
done

sed 's/appProtocol:/appProtocoll:/' "$out/small.yaml" >"$out/wrong.yaml"
ok "a misspelt field would be found" bash -c "! kubernetes-validate --strict -k $newest $out/wrong.yaml"
ok "only what has two replicas has a PodDisruptionBudget" bash -c \
    "grep -q PodDisruptionBudget $out/replicated.yaml && ! grep -q PodDisruptionBudget $out/small.yaml"
ok "the README's host and upstream arrive" bash -c \
    "[[ \$(grep -c rest.example.org $out/mine.yaml) == 2 ]] && grep -q mine.bitrix24.com $out/mine.yaml"

# The user of components/redis can do what the proxy needs, and nothing else.
if [[ -n ${B24_BINARY:-} ]] && command -v redis-server >/dev/null; then
    read -r port admin < <(python3 -c '
import socket
held = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*(s.getsockname()[1] for s in held))')
    echo secretsecretsecret >"$out/redis-password"
    acl=$(grep -o 'user default off.*+time' "$folder/README.md" | sed 's/\$password/secretsecretsecret/; s/\\n/\n/')
    printf '%s\n' "$acl" >"$out/redis.acl"
    readarray -t args < <(sed -n '/^          args:/,/^          ports:/s/^            - //p' "$folder/components/redis/redis.yaml" | sed 's/^"\(.*\)"$/\1/')
    redis-server "${args[@]/#\/etc\/redis\/secret/$out}" --port "$port" --dir "$out" >"$out/redis.log" 2>&1 &
    jobs=($!)
    "$B24_BINARY" serve --upstream http://127.0.0.1:9 --listen 127.0.0.1:0 --admin-listen "127.0.0.1:$admin" --deprecation-log - \
        --portal-rate cloud --rate-store "redis://127.0.0.1:$port" --rate-store-user b24 \
        --rate-store-password-file "$out/redis-password" >"$out/said" 2>&1 &
    jobs+=($!)
    trap 'kill "${jobs[@]}" 2>/dev/null || true; wait; rm -rf "$out"' EXIT
    context() { tail -n 5 "$out/redis.log" "$out/said"; }
    up() { curl -sS "http://127.0.0.1:$admin/metrics" | grep -q '^b24_proxy_rate_store_up 1'; }
    ok "the proxy reaches a Redis of components/redis as the user of the README" until_true up
    ask() { redis-cli -p "$port" --user b24 -a secretsecretsecret --no-auth-warning "$@" 2>&1; }
    ok "that user can do nothing else" bash -c "$(declare -f ask); port=$port; [[ \$(ask GET x) == NOPERM* && \$(ask HGETALL other) == NOPERM* ]]"
    ok "and nobody else anything" bash -c "[[ \$(redis-cli -p $port PING 2>&1) == NOAUTH* ]]"
fi

if [[ -n ${B24_BINARY:-} ]]; then
    mkdir "$out/secret"
    for secret in admin-token fingerprint-key; do openssl rand -hex 32 >"$out/secret/$secret"; done
    sed "s|/etc/b24-migration-proxy/secret|$out/secret|" "$folder/base/b24-migration-proxy.toml" >"$out/config.toml"
    ok "the proxy takes the configuration of the ConfigMap" "$B24_BINARY" check --config "$out/config.toml"
fi
