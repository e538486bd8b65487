#!/bin/sh
# The functions of a lane, with those of step.sh; its steps follow as calls of them. Every result is one line on
# standard output: MARK INDEX STATE DETAIL. Set before: MARK DIR STATE OVERWRITE LIVE NAP.
#
# Programs are the cost, a millisecond each: builtins do what they can, one stat and one sha256sum look at a whole group
# of files, and a step's scripts run in a fork of this shell.

# What is set here is read in step.sh and files.sh.
# shellcheck disable=SC2153,SC2034
set -u
FAILED=0
TOLD=

# note WORD...: a line, told with what is told next.
note() {
    TOLD="$TOLD$MARK $*
"
}

# tell_all: tells what was noted, in one write: each is a packet on its way.
tell_all() {
    printf %s "$TOLD"
    TOLD=
}

# say WORD...: a line, told at once where somebody waits for it: where LIVE is 1.
say() {
    note "$@"
    [ "$LIVE" = 0 ] || tell_all
}

# first FILE: sets LINE to its first line.
first() {
    LINE=
    [ ! -s "$1" ] || IFS= read -r LINE <"$1" || :
}

# fail INDEX REASON FILE...: the end of the files is what the step said.
fail() {
    fail_index=$1
    fail_reason=$2
    shift 2
    fail_output=$(cat -- "$@" 2>/dev/null | tail -c 65536 | base64 | tr -d '\n')
    say "$fail_index failed $fail_output $fail_reason"
    FAILED=1
}

finish() {
    say end
    tell_all
    exit 0
}

# blob SHA256: whether it is in the store, wholly or in part.
blob() {
    if [ -f "$STATE/blobs/$1" ]; then
        say "blob $1 whole"
    elif [ -f "$STATE/blobs/$1.part" ]; then
        say "blob $1 $(wc -c <"$STATE/blobs/$1.part" | tr -d ' ')"
    else
        say "blob $1 0"
    fi
}

# sweep PATH...: removes them, and what a crash left: spools of which neither the owner nor the lane lives.
sweep() {
    for other in "${DIR%/*}"/lane.* "${DIR%/*}"/probe.*; do
        [ "$other" != "$DIR" ] || continue
        first "$other/owner"
        # Without an owner yet, it is being made.
        if [ -z "$LINE" ] || kill -0 "$LINE" 2>/dev/null; then continue; fi
        first "$other/pid"
        if [ -n "$LINE" ] && kill -0 "$LINE" 2>/dev/null; then continue; fi
        set -- "$@" "$other"
    done
    [ $# = 0 ] || rm -rf -- "$@"
}

# begin: the lane runs as a unit of its own. Its script is removed at once: the shell has it open, and what it
# holds must not outlive it.
begin() {
    if [ "$DETACHED" = 1 ]; then
        exec >>"$DIR/out" 2>>"$DIR/err" </dev/null
        sweep "$DIR/lane"
    else
        rm -f -- "$DIR/lane"
    fi
    trap leave EXIT
    trap 'exit 143' TERM INT HUP PIPE
    echo "$$" >"$DIR/pid"
}

# leave: what was read and said is emptied; it may hold secrets.
leave() {
    unwatch
    for file in "$DIR"/*.in "$DIR/why" "$DIR/said" "$DIR/acted"; do
        [ ! -s "$file" ] || : >"$file"
    done
}
