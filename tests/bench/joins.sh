#!/bin/sh
# The usual way, for comparison: kubeadm init on the first control plane, then every other node joins, one by
# one. Run on the operator's machine: joins.sh SSH-ARGUMENTS-FILE ENDPOINT CP1 [CP...] -- [WORKER...]
# Nodes are prepared and have their images; their kubeadm.yaml is the one of the cluster that stood before.
set -eu
run() { # NODE SCRIPT
	# shellcheck disable=SC2046,SC2029
	ssh $(cat "$arguments/$1") "$2"
}
arguments=$1 endpoint=$2 first=$3
shift 3
# A member that is bootstrapped is new, whatever our configuration says.
run "$first" "sed '/dataDir: \/var\/lib\/etcd/{n;N;N;d}' /etc/rekindle/kubeadm.yaml | sed '/^patches:/,+1d' >/run/init.yaml
	kubeadm init --config /run/init.yaml --upload-certs --ignore-preflight-errors=all >/run/init.log 2>&1 || { tail -n 20 /run/init.log; exit 1; }"
[ "${ONLY_INIT:-}" = "" ] || exit 0
key=$(run "$first" "sed -n 's/.*--certificate-key //p' /run/init.log | head -n 1")
join=$(run "$first" "kubeadm token create --print-join-command 2>/dev/null")
address=$(run "$first" "sed -n 's/ *advertiseAddress: //p' /etc/rekindle/kubeadm.yaml | head -n 1")
role=control-plane
for node; do
	if [ "$node" = -- ]; then
		role=worker
		continue
	fi
	# A worker, and a control plane until its own apiserver stands, reaches the endpoint at the first one.
	own=$(run "$node" "grep '$endpoint' /etc/hosts")
	run "$node" "sed -i 's/.* $endpoint.*/$address $endpoint/' /etc/hosts"
	extra=
	[ $role = worker ] || extra="--control-plane --certificate-key $key --apiserver-advertise-address ${own%% *}"
	run "$node" "$join $extra --node-name $node --ignore-preflight-errors=all >/run/join.log 2>&1 || { tail -n 20 /run/join.log; exit 1; }"
	[ $role = worker ] || run "$node" "sed -i 's/.* $endpoint.*/$own/' /etc/hosts"
done
