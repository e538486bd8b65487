# shellcheck shell=sh
# A snapshot of etcd, taken through this node's own member and proven before anything else is done with it:
# restored in scratch, an etcd booted on it, its hash compared with that of every member. The snapshot goes to
# standard output, what is known of it to standard error, one "key value" a line. Set: CLIENT (address and client port
# of this node's), FROM (member; or disk, where there is no quorum), KEEP (where the snapshot is to stay, or nothing).
umask 077
PATH=$PATH:/usr/local/bin:/usr/sbin:/sbin
tls=/etc/kubernetes/pki/etcd
work=/var/lib/rekindle/snapshot
say() { printf '%s %s\n' "$1" "$2" >&2; }
refuse() { say refused "$1"; exit 1; }
ctl() {
	etcdctl --endpoints=https://127.0.0.1:2379 --cacert=$tls/ca.crt --cert=$tls/healthcheck-client.crt \
		--key=$tls/healthcheck-client.key --dial-timeout=2s --command-timeout="${wait:-5s}" "$@"
}
scratch() { etcdctl --endpoints=unix://client:1 --dial-timeout=1s --command-timeout="${wait:-5s}" "$@"; }
# One line a member: endpoint, hash, compact revision.
hashes() { tr -d ' \n' | sed 's/{"Endpoint":/\n/g' | sed -n 's/^"\([^"]*\)".*"hash":\([0-9]*\),"compact_revision":\(-\{0,1\}[0-9]*\).*/\1 \2 \3/p'; }

# A node that was adopted and has no timer keeps nothing of ours, and no cache of kubectl's.
leave() {
	if [ ! -e /var/lib/rekindle/cluster ] && [ ! -e /etc/rekindle/archive ]; then
		rm -f /var/lib/rekindle/snapshot.lock
		rmdir /var/lib/rekindle 2>/dev/null || :
	fi
}
[ -e /var/lib/rekindle/cluster ] || export HOME=/proc

# What lives on this node comes first.
renice -n 19 -p $$ >/dev/null 2>&1 || :
ionice -c 3 -p $$ 2>/dev/null || :
etcd_programs
mkdir -p /var/lib/rekindle
exec 9>/var/lib/rekindle/snapshot.lock
flock -w 120 9 || refuse "another snapshot is being taken on this node, for two minutes now"
# What a killed run left.
if old=$(cat "$work/etcd.pid" 2>/dev/null) && tr '\0' ' ' 2>/dev/null <"/proc/$old/cmdline" | grep -q '^etcd --name drill '; then
	kill -9 "$old"
fi
rm -rf "$work"
mkdir "$work"
cd "$work" || exit 1
etcd=
trap 'exit 143' HUP INT TERM
trap '[ -z "$etcd" ] || kill -9 "$etcd" 2>/dev/null || :; cd /; rm -rf "$work"; leave' EXIT

field() { printf '%s\n' "$own" | sed -n "s/^\"$1\" : //p" | tail -n 1; }
# Room for what follows, and for the log of an etcd that is booted (64 MB at once).
room() {
	free=$(($(df -Pk . | { read -r _; read -r _ _ _ free _; echo "$free"; }) * 1024))
	need=$(($1 + 150000000))
	[ "$free" -ge "$need" ] || refuse "a database of $size bytes needs $need bytes of scratch in /var/lib/rekindle, and $free are free"
}
# An etcd of its own on a data directory of this scratch.
boot() {
	dir=$1
	shift
	etcd --name drill --data-dir "$dir" --unsafe-no-fsync --log-level error --listen-client-urls unix://client:1 \
		--advertise-client-urls unix://client:1 --listen-peer-urls unix://peer:1 --initial-advertise-peer-urls unix://peer:1 \
		--initial-cluster drill=unix://peer:1 --initial-cluster-token "drill-$$" "$@" >etcd.log 2>&1 9>&- &
	etcd=$!
	echo $etcd >etcd.pid
	waited=0
	until count=$(scratch get '' --prefix --count-only -w fields 2>/dev/null | sed -n 's/^"Count" : //p') && [ -n "$count" ]; do
		waited=$((waited + 1))
		{ [ $waited -lt 1200 ] && kill -0 $etcd 2>/dev/null; } || refuse "etcd does not start on the $dir: $(tail -n 1 etcd.log)"
		sleep 0.05
	done
}
unboot() {
	kill -9 $etcd 2>/dev/null
	wait $etcd 2>/dev/null || :
	etcd=
}

of_member() {
	own=$(ctl endpoint status -w fields 2>&1) || refuse "etcd does not answer on this node: $(printf '%s' "$own" | tail -n 1)"
	[ "$(field IsLearner)" = false ] || refuse "this node's member is a learner"
	size=$(field DBSize)
	# The snapshot, and its restored copy.
	room $((size * 5 / 2))
	leading=$(ctl endpoint status --cluster -w fields 2>/dev/null | sed -n 's/^"RaftIndex" : //p' | sort -n | tail -n 1)
	[ $((${leading:-0} - $(field RaftAppliedIndex))) -lt 1000 ] || refuse "this node's member lags behind the others"
	ctl alarm list 2>/dev/null | while IFS= read -r alarm; do say alarm "$alarm"; done
	ctl member list 2>/dev/null | while IFS= read -r member; do say member "$member"; done
}
# What this node's disk has, whether its etcd runs or not: an etcd is booted on a copy, and forgets the other members.
of_disk() {
	[ -f /var/lib/etcd/member/snap/db ] || refuse "this node has no data of etcd"
	size=$(($(du -sk /var/lib/etcd/member | cut -f1) * 1024))
	room $((size * 7 / 2))
	mkdir copied-disk
	cp -r /var/lib/etcd/member copied-disk/ 2>copy.log || refuse "etcd's data cannot be copied: $(tail -n 1 copy.log)"
	boot copied-disk --force-new-cluster
	own=$(scratch endpoint status -w fields 2>/dev/null)
	wait=600s scratch snapshot save kept >save.log 2>&1 || refuse "etcdctl snapshot save: $(tail -n 1 save.log)"
	unboot
	rm -rf copied-disk
	say from disk
}
case $FROM in
disk) of_disk ;;
*) of_member ;;
esac
say cluster "$(printf '%x' "$(field ClusterID)" 2>/dev/null || field ClusterID)"
say version "$(field Version | tr -d '"')"

# A compaction between the snapshot and the comparison changes the hash: then all is done again.
tries=0
while :; do
	tries=$((tries + 1))
	rm -rf db snapshot
	if [ "$FROM" = disk ]; then
		mv kept db
	else
		wait=600s ctl snapshot save db >save.log 2>&1 || refuse "etcdctl snapshot save: $(tail -n 1 save.log)"
	fi
	status=$(etcdutl snapshot status db -w fields 2>&1) || refuse "etcdutl snapshot status: $(printf '%s' "$status" | tail -n 1)"
	revision=$(printf '%s\n' "$status" | sed -n 's/^"Revision" : //p')
	etcdutl snapshot restore db --data-dir snapshot --name drill --initial-cluster drill=unix://peer:1 --initial-advertise-peer-urls unix://peer:1 \
		--initial-cluster-token "drill-$$" >restore.log 2>&1 || refuse "etcdutl snapshot restore: $(tail -n 1 restore.log)"
	boot snapshot
	proven=$(wait=120s scratch endpoint hashkv --rev "$revision" -w json 2>/dev/null | hashes | cut -d' ' -f2-)
	live=
	[ "$FROM" = disk ] || live=$(wait=120s ctl endpoint hashkv --cluster --rev "$revision" -w json 2>/dev/null | hashes)
	name=$(scratch get /registry/namespaces/kube-system --keys-only 2>/dev/null | head -n 1)
	unboot
	[ -n "$proven" ] || refuse "the etcd that was booted on the snapshot tells no hash"
	mine=$(printf '%s\n' "$live" | grep -F "://$CLIENT " | cut -d' ' -f2-)
	if [ "$FROM" = disk ] || [ "${mine#* }" = "${proven#* }" ] || [ $tries -ge 4 ]; then break; fi
done
[ "$name" = /registry/namespaces/kube-system ] || refuse "the snapshot holds no namespace kube-system"
say revision "$revision"
say keys "$count"
say hash "$proven"
printf '%s\n' "$live" | while IFS= read -r line; do [ -z "$line" ] || say live "$line"; done
say size "$(stat -c %s db)"

# What the identity set must hold as it lies here.
for name in ca front-proxy-ca etcd/ca; do
	say public-key "$name $(openssl x509 -in /etc/kubernetes/pki/$name.crt -noout -pubkey | openssl pkey -pubin -outform DER | sha256sum | cut -d' ' -f1)"
done
say public-key "sa $(openssl pkey -in /etc/kubernetes/pki/sa.key -pubout -outform DER | sha256sum | cut -d' ' -f1)"
# Keys of the encryption at rest, as the file has them that this node's apiserver reads: digests only. kubectl is the
# reader of YAML that is here.
reads() { kubectl annotate --local -f "$1" rekindle= -o "jsonpath=$2" 2>/dev/null; }
manifest=/etc/kubernetes/manifests/kube-apiserver.yaml
encryption=$(reads $manifest '{range .spec.containers[0].command[*]}{@}{"\n"}{end}{range .spec.containers[0].args[*]}{@}{"\n"}{end}' |
	sed -n 's/^--encryption-provider-config=//p' | tail -n 1)
if [ -n "$encryption" ]; then
	keys=$(for provider in aescbc aesgcm secretbox; do
		reads "$encryption" "{range .resources[*].providers[*].$provider.keys[*]}{.secret} $provider/{.name}{\"\\n\"}{end}" || exit 1
	done) || say encryption-unread "$encryption"
	printf '%s\n' "$keys" | sort -u | while read -r secret name; do
		[ -z "$name" ] || say encryption-key "$(printf '%s' "$secret" | base64 -d | sha256sum | cut -d' ' -f1) $name"
	done
fi

# Configuration as it lies here, for a person to compare; not more than whoever listens takes.
room=393216
for file in /etc/kubernetes/manifests/*.yaml /etc/rekindle/kubeadm.yaml /var/lib/kubelet/config.yaml /var/lib/kubelet/kubeadm-flags.env; do
	[ -f "$file" ] || continue
	bytes=$(stat -c %s "$file")
	[ "$bytes" -le "$room" ] || continue
	room=$((room - bytes))
	say file "$file $(base64 -w0 "$file")"
done
kubectl --kubeconfig=/etc/kubernetes/admin.conf --request-timeout=8s get nodes \
	-o jsonpath='{range .items[*]}{.metadata.name} {.status.nodeInfo.machineID} {.spec.podCIDR}{"\n"}{end}' 2>/dev/null |
	while IFS= read -r node; do say node "$node"; done
say taken yes
cat db
[ -z "$KEEP" ] || mv db "$KEEP"
