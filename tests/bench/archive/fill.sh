# shellcheck shell=sh
# Fills etcd with ConfigMaps of 900 kB that nothing compresses. Set: FROM and TO, their numbers.
set -eu
export KUBECONFIG=/etc/kubernetes/admin.conf
PATH=$PATH:/usr/local/bin
kubectl get namespace fill >/dev/null 2>&1 || kubectl create namespace fill >/dev/null
head -c 450000 /dev/urandom | od -An -v -tx1 | tr -d ' \n' >/run/fill.blob
n=$FROM
while [ "$n" -lt "$TO" ]; do
	# 50 at a time, for the memory of whoever reads them.
	end=$((n + 50))
	[ "$end" -le "$TO" ] || end=$TO
	while [ "$n" -lt "$end" ]; do
		printf '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c%d","namespace":"fill"},"data":{"b":"' "$n"
		cat /run/fill.blob
		printf '"}}\n'
		n=$((n + 1))
	done >/run/fill.json
	kubectl create -f /run/fill.json >/dev/null
done
rm -f /run/fill.blob /run/fill.json
