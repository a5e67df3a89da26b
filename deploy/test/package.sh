#!/usr/bin/env bash
# package.sh: builds the Debian package from target/release, and looks at it. package.sh life: in the machine, its whole life.
set -euo pipefail
. "$(dirname "$0")/steps.sh"
name=b24-migration-proxy
unit=$name.service

build() {
    cd "$(dirname "$0")/../.."
    for tool in cargo-deb cargo-auditable; do
        command -v $tool >/dev/null || { echo "skipped: cargo install --locked $tool"; exit 77; }
    done
    # A release knows its crates (cargo audit bin), and comes from nobody's own flags.
    env -u RUSTFLAGS cargo auditable build --release --locked --quiet --bin $name
    mkdir -p target/package
    target/release/$name man >target/package/$name.1
    target/release/$name completions bash >target/package/$name.bash
    target/release/$name completions zsh >target/package/_$name
    target/release/$name completions fish >target/package/$name.fish
    gzip -9nc CHANGELOG.md >target/package/changelog.gz
    rm -f target/package/*.deb
    for version in 0.1.0-1 0.1.0-2; do
        cargo deb --quiet --no-build --no-strip --deb-version $version --output target/package/ >/dev/null
    done
    old=$(echo target/package/*_0.1.0-1_*.deb)
    ok "man has nothing to say against the manual page" bash -c \
        "! MANROFFSEQ= man --warnings -l target/package/$name.1 2>&1 >/dev/null | grep ."
    if command -v lintian >/dev/null; then
        ok "lintian has nothing to say against the package" lintian --allow-root --fail-on error,warning,info --display-info "$old"
    else
        echo "skipped: lintian is not installed"
    fi
    if command -v checksec >/dev/null; then
        said=$(checksec --file=target/release/$name --format=csv)
        for wanted in "Full RELRO" "NX enabled" "PIE enabled" "No Symbols"; do
            ok "the program has: $wanted" has "$said" "$wanted"
        done
    else
        echo "skipped: checksec is not installed"
    fi
    ok "the program carries the list of its crates" bash -c "readelf -SW target/release/$name | grep -q dep-v0"
}

life() {
    context() { systemctl status --no-pager --lines 5 $unit || true; }
    config=/etc/$name/$name.toml
    log=/var/log/$name/deprecations.jsonl
    old=$(echo /test/files/*_0.1.0-1_*.deb)
    new=$(echo /test/files/*_0.1.0-2_*.deb)
    method=rest/1/sandboxcode/crm.lead.details.configuration.get.json
    call() { curl -sS -o /dev/null -w '%{http_code}\n' --max-time 10 "$@"; }
    version() { dpkg-query -W -f '${Version}' $name; }

    ok "it installs" bash -c "dpkg -i $old >/tmp/said 2>&1"
    ok "and says how to go on" grep -q "systemctl enable --now $name" /tmp/said
    ok "nothing is enabled" bash -c "! systemctl is-enabled -q $unit && ! systemctl is-enabled -q $name.socket"
    ok "nothing runs" bash -c "! systemctl is-active -q $unit"
    ok "its user is there" id $name
    ok "bash completes its options" bash -c ". /usr/share/bash-completion/completions/$name && complete -p $name"

    systemd-run -q --unit portal /usr/bin/$name sandbox --listen 127.0.0.1:8081
    sed -i 's|^upstream = .*|upstream = "http://127.0.0.1:8081"|' $config
    ok "the two commands of the message work" bash -c \
        "$name check --config $config >/dev/null && systemctl enable --now $name 2>/dev/null"
    ok "a call is answered" equal "$(call http://127.0.0.1:8080/$method)" 200
    ok "it runs as its user" equal "$(stat -c %U "/proc/$(systemctl show -P MainPID $unit)")" $name
    ok "the log is its user's" equal "$(stat -c '%U %a' $log)" "$name 640"
    ok "the shipped logrotate file rotates it" bash -c \
        "logrotate -f /etc/logrotate.d/$name && ls /var/log/$name | grep -q 'jsonl-'"
    ok "the next line is in the new file" bash -c "curl -sS -o /dev/null http://127.0.0.1:8080/$method && sleep 1.5 && \
        curl -sS -o /dev/null http://127.0.0.1:8080/$method && grep -q deprecated_call $log"
    systemctl disable -q --now $name

    sed -i 's|^listen|#listen|' $config
    systemctl enable -q --now $name.socket
    load() {
        while [[ ! -e /tmp/enough ]]; do call "http://127.0.0.1:443/$method" || true; done >>/tmp/answers 2>>/tmp/refused
    }
    load & load & load &
    until_true test -s /tmp/answers
    before=$(systemctl show -P MainPID $unit)
    ok "an upgrade under load" dpkg -i "$new"
    ok "the new one runs" bash -c "[[ \$(systemctl show -P MainPID $unit) != $before ]] && systemctl is-active -q $unit"
    ok "the configuration that was edited stayed" grep -q '^#listen' $config
    equal "$(version)" 0.1.0-2
    ok "a downgrade under load" dpkg -i "$old"
    equal "$(version)" 0.1.0-1
    sleep 0.5
    touch /tmp/enough
    wait
    calls=$(wc -l </tmp/answers)
    ok "no connection of $calls was refused, and each call was answered" \
        equal "$(cat /tmp/refused)$(grep -cv '^200$' /tmp/answers || true)" 0
    ok "the socket unit is still enabled" systemctl is-enabled -q $name.socket

    ok "it is removed" dpkg -r $name
    ok "nothing listens any more" bash -c '! (: </dev/tcp/127.0.0.1/443) 2>/dev/null'
    ok "logs and configuration stay" test -s $log -a -s $config
    ok "it is installed again, and the socket unit is enabled as before" bash -c \
        "dpkg -i $new >/dev/null && systemctl is-enabled -q $name.socket"
    ok "it is purged" dpkg -P $name
    ok "logs, configuration and units are gone" bash -c \
        "[[ ! -e /var/log/$name && ! -e /etc/$name && ! -e /etc/systemd/system/sockets.target.wants/$name.socket ]]"
}

case ${1:-} in
life) life ;;
*) build ;;
esac
