#!/usr/bin/env bash
# The files of deploy/logs on a log that the proxy wrote: SQL in DuckDB and ClickHouse is compared with `report`; rsyslog carries
# the log to another file; lnav reads it.
set -euo pipefail
. "$(dirname "$0")/steps.sh"
logs=$(cd "$(dirname "$0")/../logs" && pwd)
folder=$(mktemp -d)
jobs=()
trap 'kill "${jobs[@]}" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$folder"' EXIT
read -r portal proxy remote < <(python3 -c '
import socket
held = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
print(*(s.getsockname()[1] for s in held))')
context() { tail -n 5 "$folder/said"; }
has_tool() { command -v "$1" >/dev/null || { echo "skipped: $1 is not installed"; return 1; }; }

# A log with all kinds of lines: named and unnamed callers, batches over fifty uses, errors, refusals, hourly sums, rotated.
printf "[[caller]]\nname = 'shop, the \"old\" one'\nuser = '1'\n" >"$folder/callers.toml"
"$B24_BINARY" sandbox --listen "127.0.0.1:$portal" >/dev/null 2>&1 &
jobs+=($!)
serve() {
    "$B24_BINARY" serve --upstream "http://127.0.0.1:$portal" --listen "127.0.0.1:$proxy" --admin-listen off \
        --callers "$folder/callers.toml" --deprecation-log "$folder/deprecations.jsonl" --portal-rate off \
        --mode crm.contact.details.configuration.get=block "$@" >"$folder/said" 2>&1 &
    serving=$!
    jobs+=("$serving")
    ok "the proxy serves" until_true bash -c ": </dev/tcp/127.0.0.1/$proxy"
}
to() { curl -sS -o /dev/null "http://127.0.0.1:$proxy/rest/$1" "${@:2}"; }
calls() {
    local method
    for method in crm.lead.details.configuration.get crm.deal.details.configuration.get crm.contact.details.configuration.get \
        crm.lead.fields crm.lead.list crm.lead.fields; do
        to "1/sandboxcode/$method.json"
        to "2/wrongcode/$method.json" -A "agent '2' \"x\""
        to "$method.json?auth=0123456789abcdef0123456789abcdef"
    done
    to "1/sandboxcode/batch.json?n=1$(printf '&cmd%%5B%s%%5D=crm.lead.fields' {1..70})"
    to "1/sandboxcode/crm.lead.details.configuration.set.json" -H 'Content-Type: application/json' -d '{'
}
serve
calls
kill "$serving"
wait "$serving" || true
mv "$folder/deprecations.jsonl" "$folder/deprecations.jsonl-20261129-1"
gzip "$folder/deprecations.jsonl-20261129-1"
serve --watched-log hourly
calls
kill "$serving"
wait "$serving" || true
# A line that was torn, and one of somebody else.
printf '%s\n' '{"schema":1,"timestamp":"2026-11-' 'hello' >>"$folder/deprecations.jsonl"
echo "$(zcat -f "$folder"/deprecations.jsonl* | wc -l) lines of a log"

"$B24_BINARY" report --format json "$folder"/deprecations.jsonl* >"$folder/report.json" 2>"$folder/said"
cat >"$folder/compare.py" <<'PY'
import datetime, glob, json, os, sys
engine, script, folder = sys.argv[1:]
os.chdir(folder)
statements = [s for s in "\n".join(l for l in open(script).read().split("\n") if not l.startswith("--")).split(";\n") if s.strip()]
if engine == "duckdb":
    import duckdb
    database = duckdb.connect()
    database.execute("SET TimeZone = 'UTC'")
    for statement in statements:
        database.execute(statement)
    ask = lambda query: database.execute(query).fetchall()
else:
    from chdb import session
    database = session.Session()
    for statement in statements:
        database.query(statement)
    def ask(query):
        answer = database.query(query, "JSONCompactStringsEachRow")
        return [json.loads(line) for line in str(answer).splitlines() if line]

def moment(value):
    if isinstance(value, datetime.datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S.") + "%03dZ" % (value.microsecond // 1000)
    return value.replace(" ", "T") + ("" if value.endswith("Z") else "Z")

report = json.load(open("report.json"))
who = lambda row: row["caller"].get("name") or row["caller"]["key"]
wanted, days = {}, {}
for row in report["rows"]:
    key = (who(row), row["method"])
    wanted[key] = (*(row[c] for c in ("calls", "rewritten", "observed", "refused", "errors")), row["first"], row["last"])
    for day, calls in row["days"].items():
        days[(*key, day)] = calls
rows = ask("SELECT who, method, calls, rewritten, observed, refused, errors, \"first\", \"last\" FROM report")
found = {(r[0], r[1]): (*(int(n) for n in r[2:7]), moment(r[7]), moment(r[8])) for r in rows}
assert found == wanted, (found, wanted)
assert len(rows) == len(wanted) > 10, len(rows)
found = {(r[0], r[1], str(r[2])): int(r[3]) for r in ask("SELECT who, method, day, calls FROM days")}
assert found == days, (found, days)
unnamed = {}
for row in report["rows"]:
    if not row["caller"].get("name"):
        unnamed[row["caller"]["key"]] = unnamed.get(row["caller"]["key"], 0) + row["calls"]
assert {r[0]: int(r[1]) for r in ask('SELECT "key", calls FROM unnamed')} == unnamed
last = {}
for row in report["rows"]:
    last[row["method"]] = max(last.get(row["method"], ""), row["last"])
assert {r[0]: moment(r[1]) for r in ask('SELECT method, "last" FROM last_use')} == last
assert sum(int(r[0]) for r in ask("SELECT calls FROM errors")) > 0
print(len(rows), "rows,", sum(w[0] for w in wanted.values()), "calls")
PY
for engine in duckdb:duckdb chdb:clickhouse; do
    module=${engine%%:*} name=${engine#*:}
    if python3 -c "import $module" 2>/dev/null; then
        ok "$name.sql gives what report gives" python3 "$folder/compare.py" "$module" "$logs/$name.sql" "$folder"
    else
        echo "skipped: pip install $module"
    fi
done

if has_tool rsyslogd; then
    mkdir "$folder/work" "$folder/kept"
    sed -e "s|/var/log/b24-migration-proxy|$folder|; s|\"6514\"|\"$remote\"|; s|logs.example.com|127.0.0.1|" \
        "$logs/rsyslog-sender.conf" >"$folder/sender.conf"
    sed -e "s|/var/log/b24-migration-proxy|$folder/kept|; s|\"6514\"|\"$remote\"|" "$logs/rsyslog-receiver.conf" >"$folder/receiver.conf"
    for side in sender receiver; do
        sed -i "1i global(workDirectory=\"$folder/work\" maxMessageSize=\"16k\")" "$folder/$side.conf"
        ok "rsyslog takes the configuration of the $side" rsyslogd -N1 -f "$folder/$side.conf"
    done
    rsyslogd -n -f "$folder/receiver.conf" -i "$folder/receiver.pid" >"$folder/said" 2>&1 &
    jobs+=($!)
    until_true bash -c ": </dev/tcp/127.0.0.1/$remote"
    rsyslogd -n -f "$folder/sender.conf" -i "$folder/sender.pid" >"$folder/said" 2>&1 &
    jobs+=($!)
    arrived() { cmp "$folder/deprecations.jsonl" "$folder"/kept/*.jsonl; }
    ok "rsyslog carries the log to another file, to the byte" until_true arrived
    serve
    calls
    ok "and what comes while it runs" until_true arrived
    kill "$serving"
    wait "$serving" || true
fi

if has_tool lnav; then
    mkdir -p "$folder/lnav/formats/b24"
    cp "$logs/lnav.json" "$folder/lnav/formats/b24/format.json"
    lines=$(grep -c '"method":' "$folder/deprecations.jsonl")
    said=$(lnav -n -I "$folder/lnav" -c ";SELECT count(*) AS n FROM b24_migration_proxy WHERE method IS NOT NULL" \
        -c ":write-csv-to -" "$folder/deprecations.jsonl" 2>&1 | tail -1)
    ok "lnav knows the $lines lines with a method" equal "$said" "$lines"
fi

vector_check=$(cd "$(dirname "$0")/../.." && pwd)/target/vector/debug/vector-check
if [[ -x $vector_check ]]; then
    "$vector_check" "$logs/vector/remap.vrl" <"$folder/deprecations.jsonl" >"$folder/ecs.jsonl"
    cat >"$folder/ecs.py" <<'PY'
import json, sys
events = []
for line in open(sys.argv[1]):
    try:
        event = json.loads(line)
    except ValueError:
        continue
    if isinstance(event, dict) and "schema" in event:
        events.append(event)
made = [json.loads(line) for line in open(sys.argv[2])]
assert len(made) == len(events) > 50, (len(made), len(events))
for event, ecs in zip(events, made):
    assert ecs["event"]["action"] == event["event"] and ecs["host"]["name"] == event["instance"], (event, ecs)
    assert ecs["event"].get("code") == event.get("method"), (event, ecs)
    assert ecs.get("http", {}).get("response", {}).get("status_code") == event.get("status"), (event, ecs)
    assert ecs.get("b24", {}).get("caller") == event.get("caller", {}).get("key"), (event, ecs)
    assert ecs["@timestamp"].replace(" ", "T")[:19] == event["timestamp"][:19], (event, ecs)
PY
    ok "Vector's remap makes each event one of ECS, and drops the torn and the foreign line" \
        python3 "$folder/ecs.py" "$folder/deprecations.jsonl" "$folder/ecs.jsonl"
else
    echo "skipped: Vector's remap needs its checker, which deploy/test/run.sh vector builds"
fi
