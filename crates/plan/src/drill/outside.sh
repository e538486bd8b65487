# shellcheck shell=sh
# Boots a generation apart from everything else: own network, mounts and processes, all of which end with the first
# of them. Set: DB, SPACE (folder on disk), INSIDE (script of the first process), and what that one needs.
# Standard input: files, and open for as long as anybody waits.
umask 077
refuse() {
	echo "$1" >&2
	exit 198
}
[ "$(id -u)" = 0 ] || refuse 'only root can give processes a network of their own'
command -v unshare >/dev/null || refuse 'no unshare on this machine (package util-linux)'
[ -r "$DB" ] || refuse "$DB: cannot be read"
mkdir -p "$SPACE"
for old in "$SPACE"/drill.*; do
	[ ! -e "$old" ] || kill -0 "${old##*.}" 2>/dev/null || rm -rf -- "$old"
done
size=$(wc -c <"$DB")
wanted=$((size * 3 / 2 / 1024 + 65536))
free=$(df -Pk "$SPACE" | awk 'END { print $4 }')
[ "$free" -ge "$wanted" ] || refuse "$SPACE: $((wanted / 1024)) MiB are needed to restore $((size / 1048576)) MiB, $((free / 1024)) are free"
export SCRATCH="$SPACE/drill.$$"
rm -rf -- "$SCRATCH"
mkdir "$SCRATCH"
trap 'rm -rf -- "$SCRATCH"; rmdir "$SPACE" 2>/dev/null || :' EXIT
printf '%s\n' "$INSIDE" >"$SCRATCH/inside.sh"
export DB ETCD ETCDCTL ETCDUTL KUBEADM APISERVER KUBECTL MODE ARGUMENTS
status=0
unshare --net --mount --pid --fork --kill-child sh "$SCRATCH/inside.sh" || status=$?
exit "$status"
