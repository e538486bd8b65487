# Nodes whose labels or pod CIDRs are not as wanted. Set: WANTED, a line a node: NAME|CIDRS|LABELS|PATCH.
export KUBECONFIG=/etc/kubernetes/admin.conf
open_nodes() {
	have=$(kubectl get nodes -o jsonpath='{range .items[*]}{.metadata.name}|{.spec.podCIDRs}|{.metadata.labels}{"\n"}{end}')
	printf '%s' "$WANTED" | while IFS='|' read -r name cidrs labels _; do
		line=$(printf '%s\n' "$have" | grep "^$name|") || { echo "$name does not exist"; continue; }
		[ -z "$cidrs" ] || case $line in *"|[\"$(echo "$cidrs" | sed 's/,/","/g')\"]|"*) ;; *) echo "$name: pod network"; continue ;; esac
		echo "$labels" | tr , '\n' | while IFS='=' read -r key value; do
			[ -z "$key" ] || case $line in *"\"$key\":\"$value\""*) ;; *) echo "$name: label $key" ;; esac
		done
	done
}
patch_open_nodes() {
	open=$(open_nodes)
	# Several at once: most of a patch is kubectl's start.
	printf '%s' "$WANTED" | (
		running=0
		while IFS='|' read -r name _ _ patch; do
			case "
$open" in *"
$name"[:\ ]*) kubectl patch node "$name" --type=merge -p "$patch" >/dev/null & ;; esac
			running=$(((running + 1) % 8))
			[ $running != 0 ] || wait
		done
		wait
	)
}
