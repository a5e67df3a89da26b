#!/usr/bin/env bash
# Counts instructions under callgrind: of the core for each golden case and for bodies of doubled sizes, and of the whole
# program, built for release, for a call of each workload below.
#   benches/instructions.sh             compares with the committed counts. Of the core it fails when all together have
#                                       risen by over 3 % or one by over 10 % (a few hang on the allocator's lists and on
#                                       hash seeds, by up to 7 %), or when twice the input takes over 2.1 times the
#                                       instructions; of the whole program when all together have risen by over 10 % or
#                                       one by over 20 % (how many calls share a turn of the event loop hangs on the
#                                       clock, by up to 2 %). A rise of over 3 % is said
#   benches/instructions.sh --update    writes the counts of this compiler, target and C library
# Without counts for this key it prints them and passes; without valgrind it skips.
set -euo pipefail
cd "$(dirname "$0")/.."

command -v valgrind >/dev/null || { echo "skipped: no valgrind, so no instruction counts"; exit 0; }

rustc=$(rustc -vV)
libc=$(ldd --version 2>&1 | sed -nE '1{s/^ldd \(.*\) (.*)$/glibc-\1/p;s/^musl.*/musl/p}')
key=$(sed -nE 's/^release: (.*)/rustc-\1/p' <<<"$rustc")_$(sed -n 's/^host: //p' <<<"$rustc")_${libc:-unknown}
baseline=benches/baseline/$key
workloads=small,watched,watched-hourly,deprecated,batch,connect,watched-connect,upload16

cargo build --quiet --profile bench -p b24-migration-proxy-core-benches --bin core-instructions
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "${CARGO_TARGET_DIR:-target}/release/core-instructions" "$work/program"
ln -s "$PWD/tests/golden" "$work/golden"

# One dump each time that a measured request is done. So that the counts are the same on any machine and in any folder:
# names of one length and no environment, for stack and heap lie behind them, and the C library's plain routines, not
# the ones that it chooses for this processor and its caches.
tunables=glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX512BW,-AVX2,-AVX2_Usable,-AVX_Fast_Unaligned_Load,-ERMS,-FSRM
tunables+=:glibc.cpu.x86_non_temporal_threshold=786432
(cd "$work" && env -i GLIBC_TUNABLES="$tunables" valgrind --tool=callgrind --callgrind-out-file=out \
    --toggle-collect=core_instructions::measured_request --dump-after=core_instructions::measured_request \
    ./program golden >names 2>valgrind) || { cat "$work/valgrind" >&2; exit 1; }

dumps=$(find "$work" -name 'out.*' | wc -l)
expected=$(wc -l <"$work/names")
((dumps == expected)) || { echo "FAILED: $expected requests, but $dumps counts: is measured_request inlined?"; exit 1; }

number=0
while read -r name; do
    number=$((number + 1))
    printf '%s\t%s\n' "$(sed -nE 's/^(totals|summary): ([0-9]+).*/\2/p' "$work/out.$number" | head -1)" "$name"
done <"$work/names" >"$work/counts"

# Inputs of a size and of twice that size.
awk -F'\t' '
    match($2, / @[0-9]+$/) {
        kind = substr($2, 1, RSTART - 1)
        if (kind == before && $1 > 2.1 * count) {
            printf "FAILED: %s: %d instructions, after %d for half the input: it grows faster than its input\n", $2, $1, count
            failed = 1
        }
        before = kind; count = $1
    }
    END { exit failed }' "$work/counts"

# The whole program: its release build as it ships, with the clients and the portal of benches/compare.
cargo build --quiet --release --bin b24-migration-proxy
# Its clients and its portal are not counted: they may be a debug build, of crates that the tests have compiled.
cargo build --quiet -p b24-migration-proxy-compare --bin compare
GLIBC_TUNABLES="$tunables" "${CARGO_TARGET_DIR:-target}/debug/compare" --binary "${CARGO_TARGET_DIR:-target}/release/b24-migration-proxy" \
    --candidates ours --only "$workloads" --count instructions >"$work/table" 2>"$work/said" ||
    { cat "$work/table" "$work/said" >&2; exit 1; }
sed -nE 's/^\| ([a-z0-9-]+), ours \| ([0-9]+) \|.*/\2\t\1/p' "$work/table" >"$work/whole"
(($(wc -l <"$work/whole") == $(tr ',' '\n' <<<"$workloads" | wc -l))) ||
    { echo "FAILED: not each workload was counted"; cat "$work/table"; exit 1; }

# against COUNTS BASELINE ONE ALL WHAT: compares, or writes; by so many percent one count may rise, and all together.
against() {
    if [[ $update == --update ]]; then
        mkdir -p benches/baseline
        cp "$1" "$2"
        echo "written: $2, $(wc -l <"$1") counts"
    elif [[ ! -e $2 ]]; then
        cat "$1"
        echo "passed: no counts of $5 to compare with: $2 is missing; benches/instructions.sh --update writes it"
    else
        awk -F'\t' -v most="$3" -v all="$4" -v what="$5" '
            NR == FNR { before[$2] = $1; next }
            !($2 in before) { new++; next }
            { compared++; total += $1; total_before += before[$2] }
            $1 > 1.03 * before[$2] {
                much = $1 > (1 + most / 100) * before[$2]
                printf "%s: %s: %d instructions, %.1f %% more than the %d before\n", much ? "FAILED" : "more", $2, $1, 100 * ($1 / before[$2] - 1), before[$2]
                failed = failed || much
            }
            END {
                if (total > (1 + all / 100) * total_before) { printf "FAILED: all together over %d %% more\n", all; failed = 1 }
                printf "%s: %s: %d counts, all together %+.2f %%, %d new\n", failed ? "failed" : "passed", what, compared, 100 * (total / total_before - 1), new
                if (failed) print "If this is the price of something worth it: benches/instructions.sh --update, and say so in the commit."
                exit failed
            }' "$2" "$1"
    fi
}

update=${1:-}
failed=0
against "$work/counts" "$baseline.txt" 10 3 "the core" || failed=1
against "$work/whole" "$baseline.whole.txt" 20 10 "a call of the whole program" || failed=1
exit $failed
