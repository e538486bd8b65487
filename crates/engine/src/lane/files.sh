#!/bin/sh
# The functions of a lane for steps that are files: a group is looked at, written beside, checked and put in its place.
# Set before: as for lane.sh.

# shellcheck disable=SC2153
TAB='	'
NEWLINE='
'

# look: compares every file of $DIR/wanted with what is there. A line of it is
# INDEX PATH KIND(file link absent) MODE UMASK OWNER SHA256-OR-TARGET HOW(bytes unless holds) SHOW(yes no) RECORD.
# Sets for each index n: P_n K_n M_n U_n O_n W_n H_n S_n N_n, F_n (done mend write kept bad) and R_n (the reason);
# I_n, by which a large file is known again, and C_n, its sum when that is known already.
look() {
    FILES=
    SUMS=
    set --
    while IFS=$TAB read -r n path rest; do
        FILES="$FILES $n"
        set -- "$@" "$path"
    done <"$DIR/wanted"
    stat -c "%n$TAB%F$TAB%a$TAB%U:%G$TAB%Z:%d:%i:%s:%y:%z" -- "$@" >"$DIR/stats" 2>/dev/null
    set --
    exec 4<"$DIR/stats"
    next_stat
    while IFS=$TAB read -r n path kind mode mask owner want how show record; do
        type=none smode=- sowner=- id=
        if [ "$s_path" = "$path" ]; then
            type=$s_type smode=$s_mode sowner=$s_owner id=$s_id
            next_stat
        fi
        eval "P_$n=\$path K_$n=\$kind M_$n=\$mode U_$n=\$mask O_$n=\$owner W_$n=\$want H_$n=\$how S_$n=\$show N_$n=\$record"
        eval "T_$n=\$type A_$n=\$smode B_$n=\$sowner I_$n= C_$n="
        case $kind:$how:$type in file:bytes:regular* | *:unless:regular*) recall || set -- "$@" "$path" ;; esac
    done <"$DIR/wanted"
    exec 4<&-
    : >"$DIR/sums"
    [ $# = 0 ] || sha256sum -- "$@" >"$DIR/sums" 2>/dev/null
    exec 4<"$DIR/sums"
    next_sum
    for n in $FILES; do judge "$n"; done
    exec 4<&-
}

next_stat() { IFS=$TAB read -r s_path s_type s_mode s_owner s_id <&4 || s_path=; }
next_sum() { IFS=' ' read -r sum sum_path <&4 || sum_path=; }

# recall: whether the sum of the file $n, large and untouched since, is known. Hashing the programs of a node
# costs seconds; like git's index, we trust inode, size and times instead.
recall() {
    size=${id#*:*:*:}
    size=${size%%:*}
    [ "${#size}" -gt 6 ] || return 1
    eval "I_$n=\$id"
    [ -n "$SUMS" ] || SUMS=$NEWLINE$(cat -- "$RUN/sums" 2>/dev/null)
    case $SUMS in *"$NEWLINE$path$TAB$id$TAB"*) ;; *) return 1 ;; esac
    rest=${SUMS##*"$NEWLINE$path$TAB$id$TAB"}
    eval "C_$n=\${rest%%\"\$NEWLINE\"*}"
}

# remember: the sum of a large file that has not changed for a while; one that just did could change once more
# without another time.
remember() {
    [ $(($(date +%s) - ${id%%:*})) -gt 2 ] || return 0
    [ ! -d "$RUN" ] || printf '%s\t%s\t%s\n' "$path" "$id" "$found" >>"$RUN/sums"
}

# judge INDEX: sets F_ and R_ from what look found.
judge() {
    eval "path=\$P_$1 kind=\$K_$1 mode=\$M_$1 owner=\$O_$1 want=\$W_$1 how=\$H_$1 record=\$N_$1"
    eval "type=\$T_$1 smode=\$A_$1 sowner=\$B_$1 id=\$I_$1 found=\$C_$1"
    state='done' reason=''
    if [ -z "$found" ] && [ "$sum_path" = "$path" ]; then
        found=$sum
        next_sum
        [ -z "$id" ] || remember
    fi
    case $kind:$type in
    absent:none) ;;
    *:directory) state=bad reason='is a directory' ;;
    absent:*) state=write reason='is there' ;;
    # Its probe may hold without it: what was in an archive is where it belongs.
    *:none) [ "$how" = holds ] || state=write reason='is missing' ;;
    link:'symbolic link')
        is=$(readlink -- "$path")
        [ "$is" = "$want" ] || state=write reason="points to $is"
        ;;
    link:* | file:[!r]*) state=write reason="is a $type" ;;
    file:*)
        [ "$how" != holds ] || found=$want
        if [ "$found" != "$want" ]; then
            state=write reason='has other bytes'
        elif [ "$smode" != "$mode" ]; then
            state=mend reason="has mode $smode, not $mode"
        elif [ "$sowner" != "$owner" ]; then
            state=mend reason="belongs to $sowner, not $owner"
        fi
        ;;
    esac
    case $how:$state:$type:$OVERWRITE in
    *:none:* | *:1) ;;
    unless:write:*)
        if ! ours; then state=kept reason="$reason, by another hand"; fi
        ;;
    esac
    eval "F_$1=\$state R_$1=\$reason"
}

# ours: whether what is there is what we wrote last.
ours() {
    [ -n "$found" ] && [ -f "$STATE/wrote/$record" ] || return 1
    while IFS=' ' read -r recorded rest; do
        [ "$recorded" != "$found" ] || return 0
    done <"$STATE/wrote/$record"
    return 1
}

# is INDEX STATE...
is() {
    eval "state=\$F_$1"
    shift
    for wanted in "$@"; do [ "$state" != "$wanted" ] || return 0; done
    return 1
}

# holds INDEX SECONDS: $DIR/probe tells whether the bytes that are there will do.
holds() {
    ask ask "$2"
    case $RESULT in
    unchanged) return ;;
    kept) set -- "$1" kept "$LINE" ;;
    open) set -- "$1" write "${LINE:-does not do}" ;;
    late) set -- "$1" bad "its probe was not done within $2 s" ;;
    *)
        first "$DIR/said"
        set -- "$1" bad "its probe failed with exit status $STATUS${LINE:+: $LINE}"
        ;;
    esac
    eval "F_$1=\$2 R_$1=\$3"
}

# tell: what look found, for a preview.
tell() {
    for n in $FILES; do
        eval "state=\$F_$n reason=\$R_$n path=\$P_$n show=\$S_$n type=\$T_$n"
        case $state in
        'done') say "$n unchanged" ;;
        kept) say "$n kept $reason" ;;
        bad) fail "$n" "$reason" ;;
        *)
            case $state:$show:$type in
            write:yes:regular*) say "$n was $(head -c 65536 -- "$path" | base64 | tr -d '\n')" ;;
            esac
            say "$n open $reason"
            ;;
        esac
    done
}

# temp PATH: sets TEMP, the hidden name beside it; a fixed one, so that the next run replaces what a crash left.
temp() {
    folder=${1%/*}
    TEMP=$folder/.${1##*/}.rekindle
}

# open INDEX: whether its body must be written; sets TEMP, where to.
open() {
    is "$1" write || return 1
    note "$1 started"
    eval "path=\$P_$1 kind=\$K_$1 mode=\$M_$1 mask=\$U_$1"
    temp "$path"
    [ "$kind" != absent ] || return 0
    if [ ! -d "${folder:-/}" ]; then
        case $mode in
        *00) umask 077 ;;
        *) umask 022 ;;
        esac
        mkdir -p -- "$folder" 2>"$DIR/said" || {
            spoil "$1" "cannot make the folder $folder"
            return 1
        }
    fi
    if [ -e "$TEMP" ] || [ -L "$TEMP" ]; then rm -rf -- "$TEMP"; fi
    umask "$mask"
}

# spoil INDEX REASON: notes a failure; what was said is in $DIR/said.
spoil() {
    first "$DIR/said"
    eval "F_$1=bad R_$1=\$2\${LINE:+\": \$LINE\"}"
    umask 077
}

# unwritten INDEX: a body that could not be written; $DIR/said has the shell's words.
unwritten() {
    first "$DIR/said"
    why=${LINE##*: }
    df -Pk -- "$folder" >"$DIR/acted" 2>&1
    free=
    { read -r free && read -r free free free free rest; } <"$DIR/acted" || :
    : >"$DIR/said"
    spoil "$1" "cannot be written: $why${free:+; $free KiB are free there}"
}

# install_blob INDEX SHA256
install_blob() {
    if cp -- "$STATE/blobs/$2" "$TEMP" 2>"$DIR/said" && chmod "$mode" "$TEMP" 2>>"$DIR/said"; then return; fi
    spoil "$1" 'its blob cannot be copied'
}

# drop_blob SHA256: nothing on this host wants it any more.
drop_blob() { [ ! -e "$STATE/blobs/$1" ] || rm -f -- "$STATE/blobs/$1"; }

# settle: checks what was written, all in one go, puts it in its place in order, and looks again at what changed.
settle() {
    umask 077
    check_temps
    ALL=$FILES
    CHANGED=
    : >"$DIR/wanted"
    for n in $ALL; do
        if is "$n" bad; then break; fi
        is "$n" write mend || continue
        place "$n" || break
        CHANGED="$CHANGED $n"
        eval "printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n' $n \"\$P_$n\" \"\$K_$n\" \"\$M_$n\" \"\$U_$n\" \
            \"\$O_$n\" \"\$W_$n\" \"\$H_$n\" \"\$S_$n\" \"\$N_$n\"" >>"$DIR/wanted"
    done
    for n in $ALL; do
        eval "temp \"\$P_$n\""
        if [ -e "$TEMP" ] || [ -L "$TEMP" ]; then rm -f -- "$TEMP"; fi
    done
    [ -z "$CHANGED" ] || look
}

# check_temps: nothing takes the place of a file before all of its bytes are there.
check_temps() {
    set --
    for n in $FILES; do
        eval "path=\$P_$n kind=\$K_$n state=\$F_$n"
        temp "$path"
        case $state:$kind in write:file) set -- "$@" "$TEMP" ;; esac
    done
    [ $# != 0 ] || return 0
    sha256sum -- "$@" >"$DIR/sums" 2>/dev/null
    exec 4<"$DIR/sums"
    next_sum
    for n in $FILES; do
        eval "path=\$P_$n kind=\$K_$n state=\$F_$n want=\$W_$n"
        case $state:$kind in write:file) ;; *) continue ;; esac
        temp "$path"
        found=
        if [ "$sum_path" = "$TEMP" ]; then
            found=$sum
            next_sum
        fi
        if [ "$found" != "$want" ]; then
            echo 'its bytes did not arrive on the disk' >"$DIR/said"
            unwritten "$n"
        fi
    done
    exec 4<&-
}

# place INDEX
place() {
    eval "path=\$P_$1 kind=\$K_$1 mode=\$M_$1 owner=\$O_$1 want=\$W_$1 state=\$F_$1 record=\$N_$1"
    temp "$path"
    case $state:$kind in
    write:absent) rm -f -- "$path" ;;
    # Where nothing is, a link is there at once or not at all.
    write:link) ln -sT -- "$want" "$path" 2>/dev/null || { ln -s -- "$want" "$TEMP" && mv -fT -- "$TEMP" "$path"; } ;;
    write:file) own && promise && mv -fT -- "$TEMP" "$path" && keep ;;
    *)
        note "$1 started"
        chown -- "$owner" "$path" && chmod -- "$mode" "$path"
        ;;
    esac 2>"$DIR/said" || {
        spoil "$1" 'could not be put in its place'
        return 1
    }
}

# promise: records what we are about to write, beside what we wrote last: whatever a crash leaves is ours.
promise() {
    [ "$record" != - ] || return 0
    if [ ! -d "$STATE/wrote" ]; then (umask 022 && mkdir -p -- "$STATE/wrote") || return; fi
    printf '%s  %s\n' "$want" "$path" >>"$STATE/wrote/$record"
}

# keep: from now on, only what we have written is ours.
keep() {
    [ "$record" != - ] || return 0
    printf '%s  %s\n' "$want" "$path" >"$STATE/wrote/.$record" && mv -fT -- "$STATE/wrote/.$record" "$STATE/wrote/$record"
}

# own: gives $TEMP its owner and mode, where the umask has not.
own() {
    if [ "$owner" != "$ME" ] || [ -g "$folder" ]; then chown -- "$owner" "$TEMP" || return; fi
    case $mode in *[1357]* | ????*) chmod -- "$mode" "$TEMP" ;; esac
}

# changed INDEX
changed() { case "$CHANGED " in *" $1 "*) ;; *) return 1 ;; esac }

# conclude: the results of the group.
conclude() {
    for n in $ALL; do
        eval "state=\$F_$n reason=\$R_$n"
        if changed "$n"; then
            case $state in
            'done') note "$n changed" ;;
            *) fail "$n" "was written, but $reason" "$DIR/why" "$DIR/said" ;;
            esac
        else
            case $state in
            'done') note "$n unchanged" ;;
            kept) note "$n kept $reason" ;;
            bad) fail "$n" "$reason" "$DIR/acted" "$DIR/said" ;;
            esac
        fi
    done
    tell_all
    return "$FAILED"
}
