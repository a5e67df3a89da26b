#!/usr/bin/env bash
# The image as an OCI image, from a static binary: built by umoci, run by crun, read-only, as 65532, without a capability.
#   MACHINE_FILES=STATIC_BINARY deploy/test/machine.sh /repository/deploy/test/image.sh
# What it runs is what deploy/Dockerfile describes; the script reads user, variables, port and commands from there.
set -euo pipefail
. "$(dirname "$0")/steps.sh"
dockerfile=$(cd "$(dirname "$0")/.." && pwd)/Dockerfile
for tool in umoci crun; do
    command -v $tool >/dev/null || { echo "skipped: $tool is not installed"; exit 77; }
done
context() { cat /tmp/out /tmp/err 2>/dev/null | tail -5; }
of() { sed -n "/^FROM scratch/,\$s/^$1 //p" "$dockerfile" | tail -1; }
list() { tr -d '[],"' <<<"$1"; }

ok "the binary is static" bash -c '! readelf -l /test/files | grep -q INTERP'
cd /tmp
umoci init --layout image
umoci new --image image:latest
umoci unpack --image image:latest build >/dev/null 2>&1
install -m755 /test/files build/rootfs/b24-migration-proxy
install -Dm644 /etc/ssl/certs/ca-certificates.crt build/rootfs/etc/ssl/certs/ca-certificates.crt
ok "umoci makes a layer of the binary and the authorities" umoci repack --image image:latest build
options=(--config.user "$(of USER)" --config.stopsignal "$(of STOPSIGNAL)")
for word in $(list "$(of ENTRYPOINT)"); do options+=(--config.entrypoint "$word"); done
for word in $(list "$(of CMD)"); do options+=(--config.cmd "$word"); done
for port in $(of EXPOSE); do options+=(--config.exposedports "$port/tcp"); done
for variable in $(sed -n '/^ENV/,/[^\\]$/p' "$dockerfile" | grep -o 'B24_[A-Z_]*=[^ ]*'); do
    options+=(--config.env "$variable")
done
ok "and an image with what the Dockerfile says" umoci config --image image:latest "${options[@]}"
umoci unpack --image image:latest run >/dev/null 2>&1

python3 - <<'PY'
import json
file = "run/config.json"
config = json.load(open(file))
process = config["process"]
process["capabilities"] = {kind: [] for kind in ("bounding", "effective", "inheritable", "permitted", "ambient")}
process["noNewPrivileges"] = True
process["terminal"] = False
process["env"] += ["B24_PROXY_UPSTREAM=http://127.0.0.1:8081", "B24_PROXY_LOG_FORMAT=json"]
config["root"]["readonly"] = True
# The machine's own network, which is loopback alone.
config["linux"]["namespaces"] = [n for n in config["linux"]["namespaces"] if n["type"] not in ("network", "user")]
config["linux"].pop("uidMappings", None), config["linux"].pop("gidMappings", None)
# A filter of devices takes locked memory, which not every machine gives.
config["linux"].pop("resources", None)
json.dump(config, open(file, "w"))
PY
systemd-run -q --unit portal /test/files sandbox --listen 127.0.0.1:8081
until_true bash -c ': </dev/tcp/127.0.0.1/8081'

read -ra healthcheck <<<"$(list "$(sed -n 's/^HEALTHCHECK .* CMD //p' "$dockerfile")")"
crun --cgroup-manager=disabled run --bundle run proxy >out 2>err &
run=$!
ok "the health check of the image says that it works" until_true crun --cgroup-manager=disabled exec proxy \
    "${healthcheck[@]}"
pid=$(crun state proxy | sed -n 's/.*"pid": \([0-9]*\).*/\1/p')
ok "it runs as 65532" equal "$(awk '/^Uid/{print $2}' "/proc/$pid/status")" 65532
ok "without a capability" equal "$(awk '/^Cap(Eff|Prm|Bnd)/{print $2}' "/proc/$pid/status" | sort -u)" 0000000000000000
ok "on a root that nobody can write to" bash -c "awk '\$5 == \"/\" {print \$6}' /proc/$pid/mountinfo | grep -q '^ro'"
call() { curl -sS -o /dev/null -w '%{http_code}' --max-time 20 "$@"; }
local=http://127.0.0.1:8080/rest/1/sandboxcode
ok "a deprecated call is answered" equal "$(call $local/crm.lead.details.configuration.get.json)" 200
ok "its line is on standard output" until_true grep -q '"event":"deprecated_call".*crm.lead.details.configuration.get' out

(printf a; sleep 2; printf b) | call -T - -X POST $local/user.current.json >slow &
slow=$!
until_true bash -c 'curl -sS http://127.0.0.1:9090/metrics | grep -q "^b24_proxy_requests_in_flight 1"'
crun kill proxy "$(of STOPSIGNAL)"
wait $slow
ok "the call in flight at its stop signal is answered" equal "$(cat slow)" 200
status=0
wait $run || status=$?
ok "and then it ends with status 0" equal $status 0
ok "its stop line is the last of the log" bash -c 'tail -1 out | grep -q "\"stop\""'

ok "without an upstream it says what is missing" bash -c \
    'sed -i "s|B24_PROXY_UPSTREAM=[^\"]*|NOTHING=1|" run/config.json; ! crun --cgroup-manager=disabled run --bundle run proxy 2>&1 | tee said | grep -q serving && grep -q upstream said'
