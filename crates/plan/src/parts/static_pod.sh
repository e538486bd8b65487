# Lets kubeadm write a static pod's manifest and, where one ran before, waits until the new pod lives; else the
# old manifest is put back. Set: COMPONENT, PHASE (words), WANT (digest of what went in), LIVE (URL), ALIVE (seconds).
manifest=/etc/kubernetes/manifests/$COMPONENT.yaml
wrote=/var/lib/rekindle/wrote/manifest-$COMPONENT
before=/var/lib/rekindle/before-$COMPONENT.yaml
running() {
	for id in $(ctr -n k8s.io containers ls -q "labels.\"io.kubernetes.container.name\"==$COMPONENT"); do
		ctr -n k8s.io tasks ls | grep "^$id .*RUNNING" || :
	done | cut -d' ' -f1 | sort
}
write() {
	# shellcheck disable=SC2086
	kubeadm init phase $PHASE --config /etc/rekindle/kubeadm.yaml >/dev/null
	mkdir -p /var/lib/rekindle/wrote
	printf '%s %s\n' "$WANT" "$(sha256sum <"$manifest" | cut -d' ' -f1)" >"$wrote.tmp"
	mv -f "$wrote.tmp" "$wrote"
}
if [ ! -e "$manifest" ]; then
	write
	exit 0
fi
# Nothing restarts while the members that are there could not do without this one.
if [ "$COMPONENT" = etcd ] || [ "$COMPONENT" = kube-apiserver ]; then
	quorum_without_me || {
		echo 'etcd could not do without this member now'
		exit 1
	}
fi
old=$(running)
cp -p "$manifest" "$before"
cp -p "$wrote" "$before.wrote" 2>/dev/null || :
write
cmp -s "$before" "$manifest" && exit 0
tries=0
deaf=0
until new=$(running) && [ -n "$new" ] && [ "$new" != "$old" ] && curl -ksf -m 2 -o /dev/null "$LIVE"; do
	tries=$((tries + 1))
	# An apiserver that was told to end closes its port, finishes requests, and then holds its watches until the
	# kubelet kills it after 30 s. Requests had their time after 5; clients of watches are better off elsewhere.
	if [ "$COMPONENT" = kube-apiserver ] && [ -n "$old" ] && [ "$new" = "$old" ] && ! curl -ksf -m 2 -o /dev/null "$LIVE"; then
		deaf=$((deaf + 1))
		[ $deaf -ne 25 ] || ctr -n k8s.io tasks kill --signal SIGKILL "$old" || :
	fi
	if [ $tries -ge $((ALIVE * 5)) ]; then
		cp -p "$before" "/etc/kubernetes/.$COMPONENT.back" && mv -f "/etc/kubernetes/.$COMPONENT.back" "$manifest"
		mv -f "$before.wrote" "$wrote" 2>/dev/null || :
		echo "the new pod did not live within $ALIVE s; the old manifest was put back"
		exit 1
	fi
	sleep 0.2
done
