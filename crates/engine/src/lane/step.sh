#!/bin/sh
# The functions of a lane for steps that are scripts: each is probed, acted and probed again within its deadline.
# Set before: as for lane.sh.

COUNT=0
WATCH=

# ask KIND SECONDS: runs $DIR/probe and $DIR/act. KIND is ask (probe only), wait (probe until it holds) or run (probe,
# act, probe). Sets RESULT, and LINE to what the last probe said.
ask() {
    COUNT=$((COUNT + 1))
    LIMIT=$2
    : >"$DIR/acted"
    if [ -z "$WATCH" ]; then
        watch </dev/null >/dev/null 2>&1 &
        WATCH=$!
    fi
    "ask_$1"
    : >"$DIR/now"
    first "$DIR/why"
}

ask_ask() {
    body probe why said
    case $STATUS:$OVERWRITE in
    0:*) RESULT=unchanged ;;
    1:* | 3:1) RESULT=open ;;
    3:*) RESULT=kept ;;
    late:*) RESULT=late ;;
    *) RESULT=unprobed ;;
    esac
}

ask_wait() {
    ask_ask
    until [ "$RESULT" = unchanged ] || [ "$RESULT" = late ]; do
        tell_all
        sleep 0.2
        if late; then RESULT=late; else ask_ask; fi
    done
}

ask_run() {
    ask_ask
    [ "$RESULT" = open ] || return 0
    tell_all
    body act acted acted
    case $STATUS in
    0) ;;
    late)
        RESULT=late
        return
        ;;
    *)
        RESULT=broken
        return
        ;;
    esac
    body probe why said
    case $STATUS in
    0) RESULT=changed ;;
    late) RESULT=late ;;
    *) RESULT=useless ;;
    esac
}

# body NAME OUT ERR: runs $DIR/NAME in a shell of its own, which the watch ends when its time is over. Sets STATUS.
body() {
    body=$DIR/$1
    : >"$DIR/$2"
    : >"$DIR/$3"
    (
        umask 022
        set --
        # A plain command, never a condition: there, `set -e` would be ignored.
        set -eu
        # shellcheck source=/dev/null
        . "$body"
    ) <"$body.in" >>"$DIR/$2" 2>>"$DIR/$3" &
    echo "$COUNT $LIMIT $!" >"$DIR/now"
    wait "$!"
    STATUS=$?
    echo "$COUNT $LIMIT" >"$DIR/now"
    if late; then STATUS=late; fi
}

# late: whether the watch has found that the time of what is asked is over.
late() {
    first "$DIR/late"
    [ "$LINE" = "$COUNT" ]
}

# watch: looks every NAP seconds whether what runs has had its time, and ends it. A timeout(1) a step would cost as
# much as most steps.
watch() {
    last='' age=0 nap=
    # What is left of a unit when its shell ends keeps systemd waiting, with cgroups of version 1 for 90 s.
    trap 'kill "$nap"; wait "$nap"; exit' TERM
    while nap "$NAP" && kill -0 "$$"; do
        read -r count limit pid <"$DIR/now" || continue
        if [ "$count" != "$last" ]; then
            last=$count age=0
            continue
        fi
        age=$((age + NAP))
        [ "$age" -ge "$limit" ] || continue
        echo "$count" >"$DIR/late"
        end TERM
        nap 5
        # Only what is still waited for: another process may have the number by now.
        read -r count limit pid <"$DIR/now" || continue
        [ "$count" != "$last" ] || end KILL
    done
}

# nap SECONDS: one that a signal ends.
nap() {
    sleep "$1" &
    nap=$!
    wait "$nap"
}

unwatch() {
    [ -n "$WATCH" ] || return 0
    kill "$WATCH" 2>/dev/null
    wait "$WATCH" 2>/dev/null || :
}

# end SIGNAL: to $pid and all that it has begun.
end() {
    # shellcheck disable=SC2046
    [ -z "$pid" ] || kill -s "$1" $(tree "$pid")
}

# tree PID: it and all that it has begun.
tree() {
    echo "$1"
    for stat in /proc/[0-9]*/stat; do
        # PID (NAME) STATE PARENT, and the process may be gone.
        read -r process <"$stat" || continue
        process=${process##*) ? }
        [ "${process%% *}" = "$1" ] || continue
        process=${stat#/proc/}
        tree "${process%/stat}"
    done
}

# step INDEX KIND SECONDS
step() {
    note "$1 started"
    ask "$2" "$3"
    case $RESULT in
    unchanged | changed) say "$1 $RESULT" ;;
    kept | open) say "$1 $RESULT $LINE" ;;
    unprobed) fail "$1" "the probe failed with exit status $STATUS" "$DIR/why" "$DIR/said" ;;
    broken) fail "$1" "exited with $STATUS" "$DIR/acted" ;;
    useless) fail "$1" "the action exited 0, but its probe does not hold: $LINE" "$DIR/acted" "$DIR/why" "$DIR/said" ;;
    late) fail "$1" "not done within $3 s${LINE:+: $LINE}" "$DIR/acted" "$DIR/why" "$DIR/said" ;;
    esac
    return "$FAILED"
}
