#!/bin/sh
# One blob: VERB size says how much of it is there; VERB store takes the rest of it on standard input.
# Set before: MARK STORE SHA256 SIZE FROM VERB.

set -u
umask 077
say() { printf '%s %s\n' "$MARK" "$*"; }
blob=$STORE/$SHA256
part=$blob.part

if [ -f "$blob" ]; then
    say whole
    exit 0
fi
there=0
[ ! -f "$part" ] || there=$(($(wc -c <"$part")))
if [ "$VERB" = size ]; then
    # A part that is longer than the whole is none.
    if [ "$there" -gt "$SIZE" ]; then rm -f -- "$part" && there=0; fi
    say "$there"
    exit 0
fi
(umask 022 && mkdir -p -- "$STORE") || exit
if [ "$FROM" != "$there" ]; then
    say short
    exit 0
fi
why=$(cat 2>&1 >>"$part") || {
    say "${why:-cannot write}"
    exit 0
}
if [ "$(($(wc -c <"$part")))" -lt "$SIZE" ]; then
    say short
    exit 0
fi
sum=$(sha256sum -- "$part")
if [ "${sum%% *}" = "$SHA256" ]; then
    mv -f -- "$part" "$blob" && say whole
else
    rm -f -- "$part"
    say wrong
fi
