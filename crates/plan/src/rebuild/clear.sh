# What the snapshot says of machines that are no more, before anything acts on it. Every call can be made twice.
# Set: MARK, PATIENCE (seconds that it is left to another control plane), GONE and LIVING (nodes), ASIDE (a line each:
# KIND, NAME, PATCH, by tabs), ROOTS (whether the CA that pods believe was taken),
# KEPT (KIND, NAME likewise: what the pod network keeps of nodes that are gone).
export KUBECONFIG=/etc/kubernetes/admin.conf
tries=0
while [ $tries -lt "$PATIENCE" ]; do
	[ -z "$(ctl get --print-value-only "$MARK")" ] || exit 0
	tries=$((tries + 1))
	sleep 1
done

# First who would refuse what follows. Configurations of webhooks themselves are asked of no webhook.
printf '%s' "$ASIDE" | while IFS='	' read -r kind name patch; do
	kubectl patch "$kind" "$name" --type=json -p "$patch" >/dev/null || exit 1
	echo "set aside $kind $name"
done || exit 1

# The controller-manager makes it in every namespace; what it needs to do that waits for this one.
if [ -n "$ROOTS" ] && ! kubectl get configmap -n kube-system kube-root-ca.crt >/dev/null 2>&1; then
	kubectl create configmap -n kube-system kube-root-ca.crt --from-file=ca.crt=/etc/kubernetes/pki/ca.crt >/dev/null
fi

if [ -n "$GONE" ]; then
	# shellcheck disable=SC2086
	kubectl delete node,csinode $GONE --ignore-not-found --wait=false
	for node in $GONE; do
		kubectl delete pods -A --field-selector="spec.nodeName=$node" --force --grace-period=0 --ignore-not-found --wait=false 2>/dev/null
	done
fi

printf '%s' "$KEPT" | while IFS='	' read -r kind name; do
	kubectl delete "$kind" "$name" --ignore-not-found --wait=false
done

tries=0
for node in $LIVING; do
	until curl -ksf -m 5 -o /dev/null --cert /etc/kubernetes/pki/apiserver-kubelet-client.crt --key /etc/kubernetes/pki/apiserver-kubelet-client.key \
		"https://127.0.0.1:6443/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/$node"; do
		tries=$((tries + 1))
		[ $tries -lt 120 ] || { echo "the kubelet of $node has not reported"; break; }
		sleep 0.3
	done
done
ctl put "$MARK" yes >/dev/null
