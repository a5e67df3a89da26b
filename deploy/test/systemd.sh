#!/usr/bin/env bash
# The shipped unit and socket unit under a real systemd. Run it with:
#   MACHINE_FILES=target/debug/b24-migration-proxy deploy/test/machine.sh /repository/deploy/test/systemd.sh
set -euo pipefail
. "$(dirname "$0")/steps.sh"
deploy=$(cd "$(dirname "$0")/.." && pwd)
name=b24-migration-proxy
unit=$name.service
file=/etc/$name/$name.toml
context() {
    systemctl status --no-pager --lines 0 "$unit" || true
    journalctl --no-pager -o cat -u "$unit" | tail -5
}

binary=/test/files
[[ ! -d $binary ]] || binary=$binary/$name
install -m755 "$binary" /usr/bin/$name
install -d /etc/$name
install -m644 "$deploy/$unit" "$deploy/$name.socket" /etc/systemd/system/
install -d /usr/share/man/man1
/usr/bin/$name man >/usr/share/man/man1/$name.1
configure() {
    sed -e 's|^upstream = .*|upstream = "http://127.0.0.1:8081"|' -e "$1" "$deploy/$name.toml" >$file
}
configure ''
systemd-run -q --unit portal /usr/bin/$name sandbox --listen 127.0.0.1:8081
until_true bash -c ': </dev/tcp/127.0.0.1/8081'
systemctl daemon-reload

log=/var/log/$name/deprecations.jsonl
show() { systemctl show -P "$1" "$unit"; }
call() { curl -sS -o /dev/null -w '%{http_code}' --max-time 10 "$@"; }
method=rest/1/sandboxcode/crm.lead.details.configuration.get.json
local=http://127.0.0.1:8080
metric_is() { equal "$(curl -sS http://127.0.0.1:9090/metrics | sed -n "s/^$1 \([0-9]*\).*/\1/p")" "$2"; }

ok "systemd has nothing to say against the units" \
    bash -c '! systemd-analyze verify /etc/systemd/system/'"$name"'.{service,socket} 2>&1 | grep -F '"$name"
ok "the unit starts, and is active once the proxy serves" systemctl start $unit
ok "a deprecated call is answered" equal "$(call "$local/$method")" 200
ok "its line is in the log folder that systemd made" has "$(cat $log)" crm.lead.details.configuration.get
ok "it runs as a user of its own" bash -c '[[ $(stat -c %u /proc/'"$(show MainPID)"') -ge 61184 ]]'
ok "it has no capability" equal "$(grep CapEff "/proc/$(show MainPID)/status" | tr -d '[:space:]')" CapEff:0000000000000000
ok "the exposure is 1.5 or less" bash -c \
    'systemd-analyze security --no-pager --threshold 15 '"$unit"' >/dev/null'

configure '$a mode = ["observe"]'
ok "a reload is taken" systemctl reload $unit
ok "and applied" until_true bash -c "curl -sS -o /dev/null $local/$method; tail -1 $log | grep -q observed"
configure '$a no-such-key = 1'
systemctl reload $unit
ok "a wrong configuration is not applied at a reload" until_true metric_is b24_proxy_config_last_reload_successful 0
ok "and the proxy serves on" equal "$(call "$local/$method")" 200

# A call whose body takes its time: the stop waits for it.
configure ''
systemctl reload $unit
(printf a; sleep 2; printf b) | call -T - -X POST "$local/rest/1/sandboxcode/user.current.json" >/tmp/slow &
slow=$!
until_true metric_is b24_proxy_requests_in_flight 1
ok "it stops" systemctl stop $unit
wait $slow
ok "the call in flight was answered" equal "$(cat /tmp/slow)" 200
ok "the stop is a clean one" equal "$(show Result) $(show ExecMainStatus)" "success 0"
ok "the log has its stop line" has "$(tail -1 $log)" '"stop"'

configure '$a no-such-key = 1'
ok "with a wrong configuration it does not start" bash -c "! systemctl start $unit"
ok "the exit status is 2" equal "$(show ExecMainStatus)" 2
ok "and there is no other try" equal "$(show NRestarts) $(show ActiveState)" "0 failed"

configure ''
systemctl reset-failed $unit
systemd-run -q --unit squatter /usr/bin/$name sandbox --listen 127.0.0.1:8080
until_true bash -c ': </dev/tcp/127.0.0.1/8080'
systemctl start --no-block $unit
ok "with its port in use the exit status is 3" until_true bash -c \
    "[[ \$(systemctl show -P NRestarts $unit) -ge 1 && \$(systemctl show -P ExecMainStatus $unit) == 3 ]]"
systemctl stop squatter
ok "and it starts by itself once the port is free" until_true systemctl is-active -q $unit
ok "a call is answered then" equal "$(call "$local/$method")" 200
systemctl stop $unit

install -m600 /dev/null /etc/$name/admin-token
echo 0123456789abcdef0123456789abcdef >/etc/$name/admin-token
install -d /etc/systemd/system/$unit.d
sed -n 's/^#\(LoadCredential=admin-token.*\)/[Service]\n\1/p' "$deploy/$unit" >/etc/systemd/system/$unit.d/token.conf
systemctl daemon-reload
configure "\$a admin-token-file = \"/run/credentials/$unit/admin-token\"\nprotect-metrics = true"
ok "it starts with a token that only root can read" systemctl start $unit
ok "the token opens the metrics" equal \
    "$(call -H "Authorization: Bearer $(cat /etc/$name/admin-token)" http://127.0.0.1:9090/metrics)" 200
ok "and nothing else does" equal "$(call http://127.0.0.1:9090/metrics)" 403
# As docs/OPERATIONS.md has it.
reload() { curl -sS -w ' %{http_code}' -X POST -H "Authorization: Bearer $(cat /etc/$name/admin-token)" http://127.0.0.1:9090/-/reload | tr -s ' \n' ' '; }
ok "POST /-/reload with the token reloads" has "$(reload)" "applied. 200"
echo 'no-such-key = 1' >>$file
ok "and says what is wrong as check does" equal "$(reload)" "$(/usr/bin/$name check --config $file 2>&1) 422"
systemctl stop $unit
rm -r /etc/systemd/system/$unit.d
systemctl daemon-reload

echo 'B24_PROXY_DEPRECATION_LOG=-' >/etc/default/$name
configure '/^deprecation-log/d'
systemctl start $unit
query=$(printf '&cmd%%5B%s%%5D=crm.lead.fields' {1..50})
ok "250 batches of 50 deprecated calls pass, their lines going to the journal" \
    curl -sS -o /dev/null --fail-early --fail "$local/rest/1/sandboxcode/batch.json?n=[1-250]$query"
in_journal() { equal "$(journalctl --sync; journalctl -o cat -u $unit | grep -c '"event":"deprecated_call"')" 12500; }
ok "the journal has all 12,500" until_true in_journal
systemctl stop $unit
rm /etc/default/$name

# With the socket unit a restart refuses nobody.
configure 's|^listen|#listen|'
ok "the socket unit starts, on port 443" systemctl start $name.socket
ok "the first connection starts the proxy" equal "$(call http://127.0.0.1:443/$method)" 200
load() {
    while [[ ! -e /tmp/enough ]]; do
        curl -sS -o /dev/null -w '%{http_code}\n' --max-time 10 "http://127.0.0.1:443/$method" || true
    done >>/tmp/answers 2>>/tmp/refused
}
load & load & load &
until_true test -s /tmp/answers
for _ in {1..5}; do
    ok "a restart under load" systemctl restart $unit
    sleep 0.3
done
touch /tmp/enough
wait
calls=$(wc -l </tmp/answers)
ok "no connection of $calls was refused, and each call was answered" \
    equal "$(cat /tmp/refused)$(grep -cv '^200$' /tmp/answers || true)" 0
ok "calls came all the time" test "$calls" -gt 20
systemctl stop $name.socket $unit
ok "all of it stops clean" equal "$(show Result)" success
