#!/usr/bin/env bash
# Counts the instructions of the core for each golden case and for bodies of doubled sizes, under callgrind.
#   benches/instructions.sh             compares with the committed counts: fails when all together have risen by over
#                                       3 % or one by over 10 % (a few hang on the allocator's lists and on hash seeds,
#                                       by up to 7 %; a rise of over 3 % is said), or when twice the input takes over
#                                       2.1 times the instructions
#   benches/instructions.sh --update    writes the counts of this compiler, target and C library
# Without counts for this key it prints them and passes; without valgrind it skips.
set -euo pipefail
cd "$(dirname "$0")/.."

command -v valgrind >/dev/null || { echo "skipped: no valgrind, so no instruction counts"; exit 0; }

rustc=$(rustc -vV)
libc=$(ldd --version 2>&1 | sed -nE '1{s/^ldd \(.*\) (.*)$/glibc-\1/p;s/^musl.*/musl/p}')
key=$(sed -nE 's/^release: (.*)/rustc-\1/p' <<<"$rustc")_$(sed -n 's/^host: //p' <<<"$rustc")_${libc:-unknown}
baseline=benches/baseline/$key.txt

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

if [[ ${1:-} == --update ]]; then
    mkdir -p benches/baseline
    cp "$work/counts" "$baseline"
    echo "written: $baseline, $number counts"
elif [[ ! -e $baseline ]]; then
    cat "$work/counts"
    echo "passed: no counts to compare with for $key; benches/instructions.sh --update writes them"
else
    awk -F'\t' '
        NR == FNR { before[$2] = $1; next }
        !($2 in before) { new++; next }
        { compared++; total += $1; total_before += before[$2] }
        $1 > 1.03 * before[$2] {
            much = $1 > 1.10 * before[$2]
            printf "%s: %s: %d instructions, %.1f %% more than the %d before\n", much ? "FAILED" : "more", $2, $1, 100 * ($1 / before[$2] - 1), before[$2]
            failed = failed || much
        }
        END {
            if (total > 1.03 * total_before) { print "FAILED: all together over 3 % more"; failed = 1 }
            printf "%s: %d counts, all together %+.2f %%, %d new\n", failed ? "failed" : "passed", compared, 100 * (total / total_before - 1), new
            if (failed) print "If this is the price of something worth it: benches/instructions.sh --update, and say so in the commit."
            exit failed
        }' "$baseline" "$work/counts"
fi
