#!/bin/sh
# Starts a lane as the unit rekindle-lane, or finds it, and follows what it writes.
# Set before: MARK RUN DIGEST PATIENCE LIFE RESUME DETACHED, and LANE, the text of the lane.
#
# systemd refuses a second unit of the name: that is the lock between two operators. The unit's description bears the
# lane's digest and its spool, so that whoever comes back finds them.

set -u
umask 077
UNIT=rekindle-lane

say() { printf '%s %s\n' "$MARK" "$*"; }

# follow SPOOL: prints what the lane writes until it has ended.
follow() {
    tries=0
    while [ ! -s "$1/pid" ]; do
        tries=$((tries + 1))
        if [ "$tries" -gt 500 ]; then
            say gone
            return
        fi
        sleep 0.02
    done
    read -r pid <"$1/pid"
    tail -n +1 -s 0.2 -f --pid="$pid" "$1/out" 2>/dev/null
    # Where a signal ended it, nobody reads any more.
    [ "$?" != 1 ] || poll "$1/out" "$pid"
    while kill -0 "$pid" 2>/dev/null; do sleep 1; done
    # A lane that was killed could not clean up.
    for file in "$1/lane" "$1"/*.in "$1/why" "$1/said" "$1/acted"; do
        [ ! -s "$file" ] || : >"$file"
    done
    say gone
}

# poll FILE PID: for a tail that knows no --pid.
poll() {
    at=0
    alive=1
    while [ "$alive" = 1 ]; do
        kill -0 "$2" 2>/dev/null || alive=0
        size=$(($(wc -c <"$1")))
        if [ "$size" -gt "$at" ]; then
            tail -c "+$((at + 1))" "$1" | head -c "$((size - at))"
            at=$size
        fi
        sleep 0.2
    done
}

refuse() {
    rm -rf -- "$SPOOL"
    say "refused $1"
    exit 0
}

spool() {
    mkdir -p -- "$SPOOL" || refuse "cannot make the folder $SPOOL"
    echo "$$" >"$SPOOL/owner"
    : >"$SPOOL/out"
    # The shell's own printf: what the lane holds is in no argument of a process.
    printf %s "$LANE" >"$SPOOL/lane" || refuse "cannot write to $SPOOL"
    LANE=
}

start() {
    systemd-run --quiet --unit="$UNIT" --collect --description="rekindle lane $DIGEST $MARK" \
        -p "RuntimeMaxSec=$LIFE" -p TimeoutStopSec=5 -p UMask=0077 /bin/sh "$SPOOL/lane" "$SPOOL" >"$SPOOL/refused" 2>&1
}

# runs SPOOL: whether its lane has not told its end yet, and was not killed.
runs() {
    [ -d "$1" ] && [ "$(tail -n 1 "$1/out" 2>/dev/null)" != "${1##*.} end" ] || return 1
    [ -s "$1/pid" ] || return 0
    read -r pid <"$1/pid"
    kill -0 "$pid" 2>/dev/null
}

launch() {
    failed=0
    waited=0
    until start; do
        running=$(systemctl show --property=Description --value "$UNIT.service" 2>/dev/null)
        case $running in
        "rekindle lane $DIGEST "*)
            theirs=${running##* }
            if runs "$RUN/lane.$theirs"; then
                say "attached $theirs"
                rm -rf -- "$SPOOL"
                follow "$RUN/lane.$theirs"
                return
            fi
            # It has told everything, or was killed, before we asked: ours probes again when it is gone.
            waited=$((waited + 1))
            [ "$waited" -le "$((PATIENCE * 2))" ] || refuse "a lane that has ended does not go away"
            sleep 0.1
            ;;
        "rekindle lane "*)
            [ "$waited" != 0 ] || say waiting
            waited=$((waited + 1))
            [ "$waited" -le "$((PATIENCE * 2))" ] || refuse "another lane has been running for more than $PATIENCE s"
            sleep 0.5
            ;;
        *)
            failed=$((failed + 1))
            read -r why <"$SPOOL/refused" || :
            [ "$failed" -lt 5 ] || refuse "${why:-systemd-run failed}"
            sleep 0.2
            ;;
        esac
    done
    follow "$SPOOL"
}

if [ "$DETACHED" = 0 ]; then
    RUN=$(mktemp -d) || exit 1
    SPOOL=$RUN/lane.$MARK
    trap 'rm -rf -- "$RUN"' EXIT
    spool
    sh "$SPOOL/lane" "$SPOOL"
elif [ -n "$RESUME" ] && [ -s "$RUN/lane.$RESUME/pid" ]; then
    say "attached $RESUME"
    follow "$RUN/lane.$RESUME"
else
    SPOOL=$RUN/lane.$MARK
    spool
    launch
fi
