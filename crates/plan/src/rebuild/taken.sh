# Whoever has read keys that were taken starts again, and what an old key encrypted is written anew. Every call can be
# made twice. Set: LEFT (etcd's key that says what is left).
export KUBECONFIG=/etc/kubernetes/admin.conf
left=$(ctl get --print-value-only "$LEFT") || exit 1
has() { case " $left " in *" $1 "*) ;; *) return 1 ;; esac; }
patiently() {
	tries=0
	until "$@"; do
		tries=$((tries + 1))
		[ $tries -lt 120 ] || { echo "not within a minute: $*"; exit 1; }
		sleep 0.5
	done
}

# The controller-manager writes the new CA into each namespace.
believed() {
	last=$(sed '/-----END/d' /etc/kubernetes/pki/ca.crt | tail -n 1)
	namespaces=$(kubectl get namespaces --field-selector status.phase=Active -o name | wc -l)
	new=$(kubectl get configmaps -A --field-selector metadata.name=kube-root-ca.crt \
		-o jsonpath='{range .items[*]}{.data.ca\.crt}{"\n"}{end}' | grep -cxF "$last")
	[ "$new" -ge "$namespaces" ]
}
! has ca || patiently believed

# What is under another key, or under none, is written anew as it is; one that somebody changes meanwhile is written by
# them, and the others in the next round.
old() {
	for kind in $kinds; do
		# Where a kind of the API's own lies; others have been written once, above.
		at=/registry/${kind%%.*}/
		all=$(ctl get --prefix "$at" --keys-only | grep -c .) || :
		new=$(ctl get --prefix "$at" --print-value-only | grep -aoF "$prefix" | wc -l)
		[ "$new" -ge "$all" ] || echo "$kind"
	done
}
rewrite() {
	for kind in "$@"; do
		kubectl get "$kind" -A -o json | kubectl replace -f - >/dev/null 2>&1 || :
	done
}
rewritten() {
	left_over=$(old)
	# shellcheck disable=SC2086
	[ -z "$left_over" ] || { rewrite $left_over; false; }
}
for word in $left; do
	case $word in
	encryption=*)
		word=${word#encryption=}
		prefix=${word%%=*}
		kinds=$(echo "${word#*=}" | tr , ' ')
		# `*.*`, `*.apps`: whatever there is.
		case $kinds in *'*'*) kinds=$(kubectl api-resources --verbs=list,update -o name) ;; esac
		# shellcheck disable=SC2086
		rewrite $kinds
		patiently rewritten
		;;
	esac
done

# A Secret that holds a token gets another one from the controller-manager when it holds none.
if has sa; then
	kubectl get secrets -A --field-selector type=kubernetes.io/service-account-token \
		-o jsonpath='{range .items[*]}{.metadata.namespace} {.metadata.name}{"\n"}{end}' |
		while read -r namespace name; do
			kubectl patch secret -n "$namespace" "$name" --type=json -p '[{"op":"remove","path":"/data/token"}]' >/dev/null || exit 1
			echo "another token for secret $namespace/$name"
		done || exit 1
fi

# Pods that hold a token, and the CA beside it, where somebody makes them again. One of nobody's, and one of a Job, is
# left for a person to decide on.
if has ca || has sa; then
	# shellcheck disable=SC2016
	pods=$(kubectl get pods -A -o go-template='{{range .items}}{{$its := .metadata}}{{$token := false}}{{range .spec.volumes}}{{if .projected}}{{range .projected.sources}}{{if .serviceAccountToken}}{{$token = true}}{{end}}{{end}}{{end}}{{end}}{{if $token}}{{range $its.ownerReferences}}{{if .controller}}{{$its.namespace}} {{$its.name}} {{.kind}}{{"\n"}}{{end}}{{end}}{{end}}{{end}}') || exit 1
	pods=$(printf '%s\n' "$pods" | awk '$3 != "" && $3 != "Node" && $3 != "Job"')
	for namespace in $(printf '%s\n' "$pods" | cut -d' ' -f1 | sort -u); do
		printf '%s\n' "$pods" | awk -v its="$namespace" '$1 == its { print $2 }' |
			xargs -r -n 200 kubectl delete pods -n "$namespace" --ignore-not-found --wait=false >/dev/null || exit 1
	done
	echo "started $(printf '%s' "$pods" | grep -c .) pods again"
fi
ctl del "$LEFT" >/dev/null
