# shellcheck shell=sh
# Stops this node's part of a control plane for good: kubelet, static pods, the timer of snapshots. Nothing is
# deleted: manifests are moved aside, data stays where it is. Each thing that is changed is said. Set: WHY (in words).
PATH=$PATH:/usr/local/bin:/usr/sbin:/sbin
umask 022
aside=/var/lib/rekindle/fenced
stop() {
	[ "$(systemctl show -p LoadState --value "$1")" = loaded ] || return 0
	case $(systemctl is-active "$1" || :) in
	inactive | failed) ;;
	*)
		systemctl stop "$1"
		echo "stopped $1"
		;;
	esac
	if systemctl is-enabled -q "$1" 2>/dev/null; then
		systemctl disable -q "$1"
		echo "disabled $1"
	fi
}

# First of all, so that whoever looks at a node that was killed halfway knows what is going on.
if [ ! -s $aside/why ]; then
	mkdir -p $aside/manifests
	printf '%s\n' "$WHY" >$aside/why.new
	sync $aside/why.new
	mv $aside/why.new $aside/why
	echo "this control plane is fenced by $WHY"
fi

# It would start again what is stopped below.
stop kubelet.service
for manifest in /etc/kubernetes/manifests/*; do
	[ -f "$manifest" ] || continue
	to=$aside/manifests/${manifest##*/}
	# One that came back is no reason to lose the one before.
	while [ -e "$to" ]; do to=$to.again; done
	mv "$manifest" "$to"
	echo "moved $manifest to $to"
done

# A pod that comes from a file has a uid without dashes, and one that comes from the API has one with them.
running() {
	static=$(ctr -n k8s.io containers ls -q 'labels."io.kubernetes.pod.uid"~="^[0-9a-f]+$"') || return
	[ -n "$static" ] || return 0
	tasks=$(ctr -n k8s.io tasks ls) || return
	printf '%s\n' "$tasks" | while read -r id _ status; do
		[ "$status" != RUNNING ] || ! printf '%s\n' "$static" | grep -qxF "$id" || echo "$id"
	done
}
if systemctl is-active -q containerd.service; then
	left=$(running)
	# Five seconds to end requests and to write what is under way; then the signal that nothing can ignore.
	for id in $left; do
		ctr -n k8s.io tasks kill --signal SIGTERM "$id" || :
		echo "stopped container $id"
	done
	tries=0
	while [ -n "$left" ]; do
		tries=$((tries + 1))
		[ $tries -le 40 ] || { echo "containers run on: $left"; exit 1; }
		sleep 0.5
		left=$(running)
		[ $tries -lt 10 ] || for id in $left; do ctr -n k8s.io tasks kill --signal SIGKILL "$id" || :; done
	done
fi

# Last: until here its next run goes on.
stop rekindle-snapshot.timer
