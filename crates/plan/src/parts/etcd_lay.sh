# Lays this member's data directory with the whole member list: nothing is bootstrapped, so no member can ever form a
# cluster of its own. From an empty snapshot, or from the archived one, with revisions above all that anybody has seen.
# Set: NAME, LIST, TOKEN, PEER, SNAPSHOT (a file, or nothing), BUMP (revisions), BEFORE (URL of the member that is to be
# up before this one, or nothing).
umask 077
work=/var/lib/rekindle/etcd-laying
rm -rf "$work" /var/lib/.etcd.laying
mkdir -p "$work"
etcd=
trap '[ -z "$etcd" ] || kill -9 $etcd 2>/dev/null || :; rm -rf "$work"' EXIT
cd "$work" || exit 1
empty() {
	# A database needs an etcd to make it: one that listens on two sockets in our own folder, for a moment.
	etcd --name empty --data-dir data --unsafe-no-fsync --log-level error --listen-client-urls unix://client:1 \
		--advertise-client-urls unix://client:1 --listen-peer-urls unix://peer:1 --initial-advertise-peer-urls unix://peer:1 \
		--initial-cluster empty=unix://peer:1 >log 2>&1 &
	etcd=$!
	tries=0
	until [ -s data/member/snap/db ] && ETCDCTL_API=3 etcdctl --endpoints=unix://client:1 --dial-timeout=1s --command-timeout=1s get none >/dev/null 2>&1; do
		tries=$((tries + 1))
		{ [ $tries -lt 100 ] && kill -0 $etcd; } || { cat log; exit 1; }
		sleep 0.05
	done
	kill $etcd
	wait $etcd || :
	etcd=
}
if [ -n "$SNAPSHOT" ]; then
	set -- "$SNAPSHOT" --bump-revision "$BUMP" --mark-compacted
else
	empty
	set -- data/member/snap/db --skip-hash-check
fi
etcdutl snapshot restore "$@" --name "$NAME" --data-dir /var/lib/.etcd.laying --initial-cluster "$LIST" \
	--initial-cluster-token "$TOKEN" --initial-advertise-peer-urls "$PEER" >log 2>&1 || { cat log; exit 1; }
mkdir -p /var/lib/etcd
chmod 700 /var/lib/etcd
rm -rf /var/lib/etcd/member
mv /var/lib/.etcd.laying/member /var/lib/etcd/member
rmdir /var/lib/.etcd.laying
# One that has data asks each peer for its hash when it starts; one whose port is open and that does not answer yet is
# waited for, one whose port is closed is not. A dead one holds nobody up for long.
if [ -n "$BEFORE" ]; then
	tls=/etc/kubernetes/pki/etcd
	tries=0
	until curl -sf --http1.1 -m 1 -o /dev/null --cacert $tls/ca.crt --cert $tls/peer.crt --key $tls/peer.key "$BEFORE"; do
		tries=$((tries + 1))
		[ $tries -lt 100 ] || break
		sleep 0.1
	done
fi
