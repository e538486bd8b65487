# A member whose disk is empty, or that was never one: removed if it is listed, added as a learner, its disk
# filled by a throw-away etcd at the real peer address. The static pod starts it; it is promoted last.
# Set: NAME, ADDRESS, PEER (URLs of this node), OTHERS (client URLs of the other members).
umask 077
pki=/etc/kubernetes/pki/etcd
ctl() {
	etcdctl --endpoints="$OTHERS" --cacert=$pki/ca.crt --cert=$pki/healthcheck-client.crt --key=$pki/healthcheck-client.key \
		--dial-timeout=3s --command-timeout=10s "$@"
}
list=$(ctl member list)
voters=$(printf '%s\n' "$list" | grep -c ', false$')
healthy=$(ctl endpoint health 2>&1 | grep -c 'is healthy' || :)
mine=$(printf '%s\n' "$list" | grep -F ", $PEER, " | cut -d, -f1)
# The arithmetic of the members that are there must allow it.
left=$voters
[ -z "$mine" ] || ! printf '%s\n' "$list" | grep -F ", $PEER, " | grep -q ', false$' || left=$((voters - 1))
[ "$healthy" -ge $((left / 2 + 1)) ] || { echo "only $healthy of $left other members are healthy"; exit 1; }

# A static pod that crashes on the empty disk would hold the peer port.
manifest=/etc/kubernetes/manifests/etcd.yaml
mkdir -p /var/lib/rekindle
if [ -e $manifest ]; then
	mv $manifest /var/lib/rekindle/etcd.yaml.rejoining
fi
tries=0
while pgrep -x etcd >/dev/null; do
	tries=$((tries + 1))
	[ $tries -lt 300 ] || { echo 'the old etcd does not end'; exit 1; }
	sleep 0.1
done
[ -z "$mine" ] || ctl member remove "$mine"
tries=0
until added=$(ctl member add "$NAME" --learner --peer-urls="$PEER" 2>&1); do
	tries=$((tries + 1))
	[ $tries -lt 60 ] || { echo "$added"; exit 1; }
	sleep 0.5
done
cluster=$(printf '%s\n' "$added" | sed -n 's/^ETCD_INITIAL_CLUSTER="\(.*\)"$/\1/p')
wanted=$(ctl endpoint status -w fields | sed -n 's/^"Revision" : //p' | sort -n | tail -n 1)

rm -rf /var/lib/etcd/* /var/lib/rekindle/etcd-joining
mkdir -p /var/lib/etcd /var/lib/rekindle/etcd-joining
chmod 700 /var/lib/etcd
client=unix:///var/lib/rekindle/etcd-joining/client:1
etcd --name "$NAME" --data-dir /var/lib/etcd --initial-cluster "$cluster" --initial-cluster-state existing \
	--listen-client-urls $client --advertise-client-urls "https://$ADDRESS:2379" --listen-peer-urls "$PEER" \
	--initial-advertise-peer-urls "$PEER" --peer-cert-file=$pki/peer.crt --peer-key-file=$pki/peer.key \
	--peer-trusted-ca-file=$pki/ca.crt --peer-client-cert-auth --log-level error >/var/lib/rekindle/etcd-joining/log 2>&1 &
etcd=$!
trap 'kill -9 $etcd 2>/dev/null || :; rm -rf /var/lib/rekindle/etcd-joining' EXIT
tries=0
until have=$(etcdctl --endpoints=$client --dial-timeout=1s --command-timeout=2s endpoint status -w fields 2>/dev/null | sed -n 's/^"Revision" : //p') &&
	[ "${have:-0}" -ge "$wanted" ]; do
	tries=$((tries + 1))
	{ [ $tries -lt 600 ] && kill -0 $etcd; } || { cat /var/lib/rekindle/etcd-joining/log; exit 1; }
	sleep 0.1
done
kill $etcd
wait $etcd || :
if [ -e /var/lib/rekindle/etcd.yaml.rejoining ]; then
	mv /var/lib/rekindle/etcd.yaml.rejoining $manifest
	# A pod that crashed for a while waits up to five minutes; a new kubelet does not know that it did.
	systemctl restart kubelet
fi
