#!/usr/bin/env bash
# machine.sh SCRIPT [ARGUMENT…]: a machine to try things on that is thrown away behind it.
#
# Starts this machine's systemd as process 1 of its own namespaces, on a copy-on-write view of this machine's files, without
# any unit but those that a start needs; runs SCRIPT in it as root, and ends with the script's status. In the machine
# /repository is the source, read-only, and nothing but loopback is reachable. Nothing stays. Needs root, overlayfs and
# systemd 252 or newer; ends with 77 where something of that is missing.
set -euo pipefail
repository=$(cd "$(dirname "$0")/../.." && pwd)
skip() { echo "skipped: $*"; exit 77; }

[[ $(id -u) == 0 ]] || skip "only root can start a machine"
command -v systemd >/dev/null || [[ -x /lib/systemd/systemd ]] || skip "systemd is not installed"
grep -qw overlay /proc/filesystems || skip "the kernel has no overlayfs"
unshare --mount --pid --fork --uts --ipc --net --cgroup true 2>/dev/null || skip "namespaces are not permitted here"
(($# >= 1)) || { echo "usage: machine.sh SCRIPT [ARGUMENT…]" >&2; exit 2; }

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
printf '%s\0' "$@" >"$folder/arguments"
# Files that the script needs and that the view of / may not show (other file systems) go here.
[[ -z ${MACHINE_FILES:-} ]] || cp -r "$MACHINE_FILES" "$folder/files"

# shellcheck disable=SC2016 # it is expanded by the shell inside
timeout --foreground "${MACHINE_LIMIT:-300}" \
unshare --mount --pid --fork --uts --ipc --net --cgroup --kill-child bash -euc '
    folder=$1 repository=$2
    mount --make-rprivate /
    ip link set lo up 2>/dev/null || true
    mkdir "$folder/over" "$folder/out"
    mount -t tmpfs none "$folder/over"
    cd "$folder/over"
    mkdir upper work root
    mount -t overlay overlay -o "lowerdir=/,upperdir=$PWD/upper,workdir=$PWD/work" root || exit 77
    mount -t proc proc root/proc
    mount -t sysfs sysfs root/sys
    mount -t cgroup2 cgroup2 root/sys/fs/cgroup || exit 77
    # Devices of its own; among those of the machine systemd would leave its links.
    mount -t tmpfs -o mode=755 none root/dev
    for device in null zero full random urandom tty; do
        touch "root/dev/$device"
        mount --bind "/dev/$device" "root/dev/$device"
    done
    mkdir root/dev/shm root/dev/pts
    mount -t tmpfs none root/dev/shm
    mount -t devpts -o newinstance,ptmxmode=0666,mode=620 none root/dev/pts
    ln -s pts/ptmx root/dev/ptmx
    ln -s /proc/self/fd root/dev/fd
    ln -s fd/0 root/dev/stdin
    ln -s fd/1 root/dev/stdout
    ln -s fd/2 root/dev/stderr
    mount -t tmpfs -o mode=755 none root/run
    mount -t tmpfs none root/tmp
    mkdir -p root/repository root/test root/old
    mount --bind "$repository" root/repository
    mount -o remount,bind,ro root/repository
    mount --bind "$folder" root/test
    hostname machine
    # No unit of the real machine comes up with it, and a package that is installed finds the machine as a fresh one.
    rm -rf root/etc/systemd/system/*.wants root/etc/machine-id root/usr/sbin/policy-rc.d
    printf "%s\n" "[Unit]" "Requires=basic.target" "After=basic.target" "AllowIsolate=yes" >root/etc/systemd/system/test.target
    printf "%s\n" "[Unit]" "After=basic.target dbus.socket" "Wants=dbus.socket systemd-journald.service" "[Service]" "Type=oneshot" \
        "Environment=HOME=/root TERM=dumb" \
        "ExecStart=/bin/bash -c \"mapfile -td \\\"\\\" a </test/arguments; exec \\\"\$\${a[@]}\\\" >/test/out/log 2>&1\"" \
        "ExecStopPost=/bin/bash -c \"echo \$\$EXIT_STATUS >/test/out/status; systemctl --force --force poweroff\"" \
        >root/etc/systemd/system/test.service
    mkdir -p root/etc/systemd/system/test.target.wants
    ln -s ../test.service root/etc/systemd/system/test.target.wants/
    for unit in systemd-udevd.service systemd-udev-trigger.service systemd-modules-load.service systemd-hwdb-update.service \
        systemd-timesyncd.service systemd-resolved.service systemd-networkd.service keyboard-setup.service; do
        ln -sf /dev/null "root/etc/systemd/system/$unit"
    done
    cd root
    pivot_root . old
    umount -l /old
    # As a start on hardware has it; systemd hands out LoadCredential= so.
    mount --make-rshared /
    exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system --unit=test.target \
        --log-target=null --show-status=no </dev/null >/dev/null 2>&1
' machine "$folder" "$repository" || true
[[ ! -e $folder/out/log ]] || cat "$folder/out/log"
[[ -s $folder/out/status ]] || skip "systemd did not come up in a namespace here"
exit "$(cat "$folder/out/status")"
