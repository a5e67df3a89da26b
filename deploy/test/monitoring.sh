#!/usr/bin/env bash
# One alert on its whole way: a refused call at the proxy, scraped by Prometheus, sent by Alertmanager, read by a webhook. And
# the dashboard: each panel has data once each kind of call has come.
set -euo pipefail
. "$(dirname "$0")/steps.sh"
deploy=$(cd "$(dirname "$0")/.." && pwd)
alertmanager=$(command -v prometheus-alertmanager || command -v alertmanager || true)
[[ -n $alertmanager ]] || { echo "skipped: Alertmanager is not installed (prometheus-alertmanager)"; exit 77; }
command -v prometheus >/dev/null || { echo "skipped: Prometheus is not installed (prometheus)"; exit 77; }
folder=$(mktemp -d)
jobs=()
trap 'kill "${jobs[@]}" 2>/dev/null || true; rm -rf "$folder"' EXIT
context() { tail -n 3 "$folder"/*.err; }
read -r sandbox portal proxy tls admin prometheus manager hook < <(python3 -c '
import socket
held = [socket.create_server(("127.0.0.1", 0)) for _ in range(8)]
print(*(s.getsockname()[1] for s in held))')

cat >"$folder/hook.py" <<'PY'
import http.server, sys
class Hook(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        open(sys.argv[2], "ab").write(body + b"\n")
        self.send_response(200)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Hook).serve_forever()
PY
cat >"$folder/prometheus.yml" <<YAML
global: { scrape_interval: 1s, evaluation_interval: 1s, external_labels: { runbook_base: "https://docs.example.com" } }
rule_files: ["$deploy/prometheus/alerts.yml"]
alerting: { alertmanagers: [{ static_configs: [{ targets: ["127.0.0.1:$manager"] }] }] }
scrape_configs: [{ job_name: b24, static_configs: [{ targets: ["127.0.0.1:$admin"] }] }]
YAML
cat >"$folder/alertmanager.yml" <<YAML
route: { receiver: hook, group_wait: 0s, group_by: [alertname] }
receivers: [{ name: hook, webhook_configs: [{ url: "http://127.0.0.1:$hook/" }] }]
YAML
start() {
    local name=$1
    shift
    "$@" >"$folder/$name.out" 2>"$folder/$name.err" &
    jobs+=($!)
}
start hook python3 "$folder/hook.py" "$hook" "$folder/received"
# The sandbox knows no limit of a method's time: this stands in for it.
cat >"$folder/portal.py" <<'PY'
import http.client, http.server, sys
class Portal(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if "crm.lead.delete" in self.path:
            status, answer = 429, b'{"error":"OPERATION_TIME_LIMIT","error_description":"Method is blocked"}'
        else:
            sandbox = http.client.HTTPConnection("127.0.0.1", int(sys.argv[2]))
            sandbox.request(self.command, self.path, body, {"Content-Type": self.headers.get("Content-Type", "")})
            response = sandbox.getresponse()
            status, answer = response.status, response.read()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
    do_POST = do_GET
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Portal).serve_forever()
PY
start sandbox "$B24_BINARY" sandbox --listen "127.0.0.1:$sandbox"
start portal python3 "$folder/portal.py" "$portal" "$sandbox"
openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=rest.example.com -keyout "$folder/key.pem" -out "$folder/cert.pem" 2>/dev/null
cat >"$folder/callers.toml" <<'TOML'
[[caller]]
name = "shop"
user = 1
TOML
cat >"$folder/proxy.toml" <<TOML
upstream = "http://127.0.0.1:$portal"
listen = ["http://127.0.0.1:$proxy", "127.0.0.1:$tls"]
tls-cert = "$folder/cert.pem"
tls-key = "$folder/key.pem"
admin-listen = "127.0.0.1:$admin"
deprecation-log = "-"
callers = "$folder/callers.toml"
portal-rate = "50:2"
mode = [
    "crm.lead.details.configuration.get=block",
    "crm.deal.details.configuration.get=compare",
    "crm.contact.details.configuration.get=brownout until $(date -u -d '+1 hour' +%Y-%m-%dT%H:%MZ)",
]
TOML
start proxy "$B24_BINARY" serve --config "$folder/proxy.toml"
start alertmanager "$alertmanager" --config.file "$folder/alertmanager.yml" --storage.path "$folder/am" \
    --web.listen-address "127.0.0.1:$manager" --cluster.listen-address ""
start prometheus prometheus --config.file "$folder/prometheus.yml" --storage.tsdb.path "$folder/tsdb" \
    --web.listen-address "127.0.0.1:$prometheus"
call() { equal "$(curl -sS -o /dev/null -w '%{http_code}' "http://127.0.0.1:$proxy/rest/1/sandboxcode/crm.lead.details.configuration.get.json")" 410; }
seen() {
    curl -sS "http://127.0.0.1:$prometheus/api/v1/query" --data-urlencode \
        'query=sum(b24_proxy_deprecated_calls_total{action="refused"}) >= 1' | grep -q '"value"'
}
ok "a switched-off call is refused" until_true call
ok "Prometheus has seen it" until_true seen
ok "another one" call
ok "Alertmanager tells the webhook of DeprecatedCallRefused" until_true grep -q '"alertname":"DeprecatedCallRefused"' "$folder/received"
received=$(cat "$folder/received")
ok "it names the method" has "$received" "crm.lead.details.configuration.get"
ok "and links to its explanation" has "$received" \
    '"runbook_url":"https://docs.example.com/ALERTS.md#deprecatedcallrefused"'
anchor=$(grep -o 'ALERTS.md#[a-z]*' <<<"$received" | head -1)
ok "which is there" grep -qi "^## ${anchor#*#}$" "$deploy/../docs/ALERTS.md"

to() { curl -sS -o /dev/null "http://127.0.0.1:$proxy/rest/1/$1" "${@:2}"; }
for method in crm.deal.details.configuration.get crm.contact.details.configuration.get crm.company.details.configuration.get \
    crm.lead.fields user.current crm.lead.delete; do
    to "sandboxcode/$method.json"
done
# The portal refuses this one, the proxy that one; and a burst over the portal's limit waits.
to wrongcode/user.current.json
to sandboxcode/crm.lead.details.configuration.set.json -H 'Content-Type: application/json' -d '{'
for _ in {1..52}; do to sandboxcode/user.current.json; done
cat >"$folder/panels.py" <<'PY'
import json, sys, urllib.parse, urllib.request
dashboard, address = json.load(open(sys.argv[1])), sys.argv[2]
def has_data(query):
    for variable in ("$job", "$instance", "$caller", "$method"):
        query = query.replace(variable, ".*")
    query = query.replace("$__rate_interval", "1m").replace("$__range", "1h")
    data = urllib.parse.urlencode({"query": query}).encode()
    answer = json.load(urllib.request.urlopen(f"http://{address}/api/v1/query", data))
    return any(series["value"][1] != "NaN" for series in answer["data"]["result"])
panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
empty = [panel["title"] for panel in panels if not any(has_data(target["expr"]) for target in panel["targets"])]
print(f"{len(panels)} panels, without data: {empty}")
sys.exit(bool(empty))
PY
ok "each panel of the dashboard has data" until_true \
    python3 "$folder/panels.py" "$deploy/grafana/b24-migration-proxy.json" "127.0.0.1:$prometheus"
