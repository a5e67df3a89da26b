# shellcheck shell=bash
# What the scripts of this folder share; they source it.

# ok SENTENCE COMMAND…: prints the sentence when the command succeeds; ends with what is known when it does not.
ok() {
    local sentence=$1 said
    shift
    if said=$("$@" 2>&1); then
        echo "ok: $sentence"
    else
        printf 'FAILED: %s\n  %s\n%s\n' "$sentence" "$*" "$said"
        ! type -t context >/dev/null || context
        exit 1
    fi
}

# until_true COMMAND…: waits until it succeeds, 20 s at most.
until_true() {
    local end=$((SECONDS + 20))
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < end)) || { echo "not within 20 s: $*"; "$@"; return 1; }
        sleep 0.1
    done
}

# equal WHAT WANTED: both are the same text.
equal() { [[ $1 == "$2" ]] || { echo "is: $1"; echo "wanted: $2"; return 1; }; }

# has TEXT PART
has() { [[ $1 == *"$2"* ]] || { echo "is: $1"; echo "wanted in it: $2"; return 1; }; }
