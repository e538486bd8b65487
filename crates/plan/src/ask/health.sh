# shellcheck shell=sh
# What the cluster says of itself, asked on a control plane. Set: DNS (service address), DOMAIN, SERVERS
# ("NAME URL" a line). One "key value" a line.
export KUBECONFIG=/etc/kubernetes/admin.conf
tls=/etc/kubernetes/pki/etcd
say() { printf '%s %s\n' "$1" "$2"; }
printf '%s\n' "$SERVERS" | while read -r name url; do
	[ -n "$name" ] || continue
	if said=$(curl -ksf -m 3 "$url/readyz" 2>&1); then say apiserver "$name ok"; else say apiserver "$name ${said:-does not answer}"; fi
done
# A cluster that was adopted: its etcdctl may lie in its etcd's image, and kubectl's cache is not to stay.
etcd_programs
[ -e /var/lib/rekindle/cluster ] || export HOME=/proc
ctl() {
	etcdctl --endpoints=https://127.0.0.1:2379 --cacert=$tls/ca.crt --cert=$tls/healthcheck-client.crt \
		--key=$tls/healthcheck-client.key --dial-timeout=2s --command-timeout=4s "$@" 2>/dev/null
}
ctl member list | while IFS= read -r line; do say member "$line"; done
ctl endpoint status --cluster -w fields | sed -nE 's/^"(MemberID|Revision|Leader)" : //p' | paste -d' ' - - - | while IFS= read -r line; do say etcd "$line"; done
ctl alarm list | while IFS= read -r line; do say alarm "$line"; done
kubectl --request-timeout=8s get nodes -o jsonpath='{range .items[*]}{.metadata.name} {.status.conditions[?(@.type=="Ready")].status} {.status.nodeInfo.kubeletVersion} {.status.addresses[?(@.type=="InternalIP")].address}{"\n"}{end}' 2>/dev/null |
	while IFS= read -r line; do say node "$line"; done
kubectl --request-timeout=8s get validatingwebhookconfigurations,mutatingwebhookconfigurations,apiservices -o jsonpath='{range .items[?(@.metadata.annotations.rekindle\.dev/put-back)]}{.kind} {.metadata.name} {.metadata.annotations.rekindle\.dev/waits-for}{"\n"}{end}' 2>/dev/null |
	while IFS= read -r line; do say aside "$line"; done
say coredns "$(kubectl --request-timeout=8s -n kube-system get deployment coredns -o jsonpath='{.status.readyReplicas}/{.spec.replicas}' 2>/dev/null)"
if dns_answers; then say dns ok; else say dns "no answer from $DNS"; fi
exit 0
