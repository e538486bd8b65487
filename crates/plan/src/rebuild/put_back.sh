# Webhooks and APIs that a rebuild set aside come back when a pod of their service is ready on a node that has reported;
# APIs first, since webhooks are asked about them.
export KUBECONFIG=/etc/kubernetes/admin.conf
tab='	'
aside() {
	kubectl get apiservices,validatingwebhookconfigurations,mutatingwebhookconfigurations -o \
		jsonpath='{range .items[*]}{.kind}{"\t"}{.metadata.name}{"\t"}{.metadata.annotations.rekindle\.dev/waits-for}{"\t"}{.metadata.annotations.rekindle\.dev/put-back}{"\n"}{end}' |
		awk -F "$tab" '$4 != ""'
}
serves() {
	kubectl get endpointslices -n "${1%/*}" -l "kubernetes.io/service-name=${1#*/}" \
		-o jsonpath='{range .items[*].endpoints[*]}{.conditions.ready} {.nodeName}{"\n"}{end}' 2>/dev/null |
		while read -r ready node; do
			[ "$ready" != true ] || kubectl get lease -n kube-node-lease "$node" -o name 2>/dev/null
		done | grep -q .
}
# The lines of those whose services all serve.
ready() {
	aside | while IFS="$tab" read -r kind name services back; do
		all=yes
		for service in $services; do serves "$service" || all=no; done
		[ $all = no ] || printf '%s\t%s\t%s\n' "$kind" "$name" "$back"
	done
}
put_back() {
	ready | while IFS="$tab" read -r kind name back; do
		kubectl patch "$kind" "$name" --type=json -p "$back" >/dev/null || exit 1
		echo "put back $kind $name"
	done
}
