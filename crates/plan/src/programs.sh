# shellcheck shell=sh
# etcd's programs on a node that was adopted, where no PATH has them: in the layers of the image of the live etcd, which are only read. The
# container's own files lie on top of the layers and are left alone.
etcd_programs() {
	PATH=$PATH:/usr/local/bin
	# A node of ours has them; where one is missing, that is said.
	[ ! -e /var/lib/rekindle/cluster ] || return 0
	if command -v etcd && command -v etcdctl && command -v etcdutl; then return 0; fi >/dev/null
	for layer in $(ctr -n k8s.io containers ls -q 'labels."io.kubernetes.pod.namespace"==kube-system,labels."io.kubernetes.container.name"==etcd' |
		while read -r id; do
			ctr -n k8s.io snapshots mounts /none "$id" | sed -n 's/.*[ ,]lowerdir=\([^, ]*\).*/\1/p' | tr : '\n'
		done); do
		[ ! -d "$layer/usr/local/bin" ] || PATH=$PATH:$layer/usr/local/bin
	done 2>/dev/null
	return 0
}
