# Lays this member's data directory from an empty snapshot, with the whole member list: nothing is
# bootstrapped, so no member can ever form a cluster of its own.
# Set: NAME, LIST, TOKEN, PEER.
umask 077
work=/var/lib/rekindle/etcd-laying
rm -rf "$work" /var/lib/.etcd.laying
mkdir -p "$work"
# A database needs an etcd to make it: one that listens on two sockets in our own folder, for a moment.
cd "$work" || exit 1
etcd --name empty --data-dir data --unsafe-no-fsync --log-level error --listen-client-urls unix://client:1 \
	--advertise-client-urls unix://client:1 --listen-peer-urls unix://peer:1 --initial-advertise-peer-urls unix://peer:1 \
	--initial-cluster empty=unix://peer:1 >log 2>&1 &
etcd=$!
trap 'kill -9 $etcd 2>/dev/null || :; rm -rf "$work"' EXIT
tries=0
until [ -s data/member/snap/db ] && ETCDCTL_API=3 etcdctl --endpoints=unix://client:1 --dial-timeout=1s --command-timeout=1s get none >/dev/null 2>&1; do
	tries=$((tries + 1))
	{ [ $tries -lt 100 ] && kill -0 $etcd; } || { cat log; exit 1; }
	sleep 0.05
done
kill $etcd
wait $etcd || :
etcdutl snapshot restore data/member/snap/db --skip-hash-check --name "$NAME" --data-dir /var/lib/.etcd.laying \
	--initial-cluster "$LIST" --initial-cluster-token "$TOKEN" --initial-advertise-peer-urls "$PEER" >log 2>&1 || { cat log; exit 1; }
mkdir -p /var/lib/etcd
chmod 700 /var/lib/etcd
rm -rf /var/lib/etcd/member
mv /var/lib/.etcd.laying/member /var/lib/etcd/member
rmdir /var/lib/.etcd.laying
