# shellcheck shell=sh
# Boots a generation apart from everything else: own network, mounts and processes, all of which end with the first
# of them. Set: DB, SPACE (folder on disk), INSIDE (script of the first process), and what that one needs; on a node
# MEMORY (MiB that must be free).
# Standard input: files, and open for as long as anybody waits.
umask 077
refuse() {
	echo "$1" >&2
	exit 198
}
[ "$(id -u)" = 0 ] || refuse 'only root can give processes a network of their own'
command -v unshare >/dev/null || refuse 'no unshare on this machine (package util-linux)'
[ -r "$DB" ] || refuse "$DB: cannot be read"
: "${MEMORY=}"
# The program in a layer of the image of this node's own apiserver. The container's own files are on top of the layers
# and are left alone, and so is every other process that calls itself an apiserver.
own_apiserver() {
	ctr -n k8s.io containers ls -q 'labels."io.kubernetes.pod.namespace"==kube-system,labels."io.kubernetes.container.name"==kube-apiserver' |
		while read -r id; do
			ctr -n k8s.io snapshots mounts /none "$id" | sed -n 's/.*[ ,]lowerdir=\([^, ]*\).*/\1/p' | tr : '\n'
		done | while read -r layer; do
			program=$layer/usr/local/bin/kube-apiserver
			if [ -f "$program" ] && [ ! -L "$program" ]; then
				echo "$program"
				break
			fi
		done
} 2>/dev/null
mkdir -p "$SPACE"
for old in "$SPACE"/drill.*; do
	[ ! -e "$old" ] || kill -0 "${old##*.}" 2>/dev/null || rm -rf -- "$old"
done
size=$(wc -c <"$DB")
wanted=$((size * 3 / 2 / 1024 + 65536))
free=$(df -Pk "$SPACE" | awk 'END { print $4 }')
[ "$free" -ge "$wanted" ] || refuse "$SPACE: $((wanted / 1024)) MiB are needed to restore $((size / 1048576)) MiB, $((free / 1024)) are free"
idly=
if [ -n "$MEMORY" ]; then
	# What lives here comes first: it is waited for, and what is started now is what the kernel ends when memory is short.
	idly='nice -n 19 ionice -c 3'
	wanted=$((MEMORY + size * 3 / 1048576))
	free=$(($(sed -n 's/^MemAvailable: *\([0-9]*\) kB/\1/p' /proc/meminfo) / 1024))
	[ "$free" -ge "$wanted" ] || refuse "$wanted MiB of memory are needed to boot it, and $free are free"
	echo 1000 >/proc/self/oom_score_adj 2>/dev/null || :
	etcd_programs
	for program in etcd etcdctl etcdutl kubeadm kubectl; do
		command -v $program >/dev/null || refuse "there is no $program on this node"
	done
	ETCD=$(command -v etcd) ETCDCTL=$(command -v etcdctl) ETCDUTL=$(command -v etcdutl)
	KUBEADM=$(command -v kubeadm) KUBECTL=$(command -v kubectl)
	APISERVER=$(own_apiserver)
	[ -n "$APISERVER" ] || refuse "the program of this node's kube-apiserver is not found: no container of it, or no overlay"
fi
export SCRATCH="$SPACE/drill.$$"
rm -rf -- "$SCRATCH"
mkdir "$SCRATCH"
trap 'rm -rf -- "$SCRATCH"; rmdir "$SPACE" 2>/dev/null || :' EXIT
printf '%s\n' "$INSIDE" >"$SCRATCH/inside.sh"
export DB ETCD ETCDCTL ETCDUTL KUBEADM APISERVER KUBECTL MODE ARGUMENTS
status=0
# shellcheck disable=SC2086
$idly unshare --net --mount --pid --fork --kill-child sh "$SCRATCH/inside.sh" || status=$?
exit "$status"
