#!/bin/sh
# One step, run under timeout(1): step.sh FOLDER KIND OVERWRITE.
#
# KIND is ask (probe only), wait (probe until it holds) or run (probe, act, probe). Exits with 0 when nothing was to
# be done, 20 changed, 21 kept, 22 does not hold, 23 the probe failed, 24 the action failed, 25 the action did not help.

set -u
umask 022
DIR=$1
KIND=$2
OVERWRITE=$3

# probe: sets STATUS. A plain command, never a condition: there, `set -e` would be ignored.
probe() {
    (
        set -eu
        set --
        # shellcheck source=/dev/null
        . "$DIR/probe"
    ) <"$DIR/probe.in" >"$DIR/why" 2>"$DIR/said"
    STATUS=$?
}

# leave CODE: with STATUS noted.
leave() {
    printf '%s\n' "$STATUS" >"$DIR/status"
    exit "$1"
}

# unless_open: leaves where the probe says that nothing is to be done, or nothing sensible.
unless_open() {
    case $STATUS in
    0) leave 0 ;;
    1) ;;
    3) [ "$OVERWRITE" = 1 ] || leave 21 ;;
    *) leave 23 ;;
    esac
}

probe
case $KIND in
ask)
    unless_open
    leave 22
    ;;
wait)
    until [ "$STATUS" = 0 ]; do
        sleep 0.2
        probe
    done
    leave 0
    ;;
run)
    unless_open
    (
        set -eu
        set --
        # shellcheck source=/dev/null
        . "$DIR/act"
    ) <"$DIR/act.in" >"$DIR/acted" 2>&1
    STATUS=$?
    [ "$STATUS" = 0 ] || leave 24
    probe
    [ "$STATUS" = 0 ] || leave 25
    leave 20
    ;;
esac
