# How many objects of each kind an apiserver serves: "served KIND COUNT" or "unlisted KIND WHY" a line, "incomplete WHY"
# where not all kinds are known, then "counted". Set: NODE (whose pods are left out, or nothing).
export NODE KUBECONFIG=/etc/kubernetes/admin.conf
kinds=$(kubectl api-resources --verbs=list -o name 2>/dev/null) || echo 'incomplete not every API answers'
# shellcheck disable=SC2016
printf '%s\n' "$kinds" | grep -v '^componentstatuses$' | xargs -n 1 -P 4 sh -c '
	only=
	[ -z "$NODE" ] || [ "$1" != pods ] || only="--field-selector=spec.nodeName!=$NODE"
	if said=$(kubectl get "$1" -A -o name --chunk-size=500 $only 2>&1); then
		echo "served $1 $(printf "%s\n" "$said" | grep -c "^[^ ]*/[^ ]*$")"
	else
		echo "unlisted $1 $(printf "%s\n" "$said" | tail -n 1 | cut -c1-200)"
	fi' sh
echo counted
