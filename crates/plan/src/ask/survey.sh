# What a machine is, and what stands on it. One "key value" a line; nothing is changed.
PATH=$PATH:/usr/local/bin:/usr/local/sbin:/usr/sbin:/sbin
say() { printf '%s %s\n' "$1" "$2"; }

system=$(uname -s)
if [ "$system" != Linux ]; then
	# Nothing below is there.
	say os "$system"
	say os-version "$(uname -r)"
	say arch "$(uname -m)"
	say time "$(date +%s)"
	exit 0
fi

# shellcheck disable=SC1091
[ ! -r /etc/os-release ] || . /etc/os-release
say os "${ID:-unknown}"
say os-version "${VERSION_ID:-}"
say user "$(id -u)"
say arch "$(uname -m)"
say hostname "$(uname -n)"
say machine-id "$(cat /etc/machine-id 2>/dev/null)"
[ -d /run/systemd/system ] && say init systemd
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then say cgroup 2; else say cgroup 1; fi
say time "$(date +%s)"
while read -r key kilobytes _; do
	case $key in MemTotal:) say memory "$kilobytes" ;; SwapTotal:) say swap "$kilobytes" ;; esac
done </proc/meminfo
say cpus "$(grep -c ^processor /proc/cpuinfo)"
say disk "$(df -Pk /var/lib | { read -r _; read -r _ _ _ free _; echo "$free"; })"
for command in curl openssl tar base64 sha256sum apt-get haproxy socat conntrack nft; do
	command -v "$command" >/dev/null && say has "$command"
done

# What only a cluster leaves behind. An etcd that found no disk leaves a member folder too, but no log in it.
for trace in /etc/kubernetes/manifests/*.yaml /etc/kubernetes/*.conf /var/lib/kubelet/config.yaml /var/lib/etcd/member/wal/*.wal; do
	[ -e "$trace" ] && say trace "$trace"
done
ss -Hltn 2>/dev/null | while read -r _ _ _ at _; do say listens "${at##*:}"; done
why=$(head -n 1 /var/lib/rekindle/fenced/why 2>/dev/null) && say fenced "$why"
if mark=$(cat /var/lib/rekindle/cluster 2>/dev/null); then
	say cluster "$mark"
	epoch=$(cat /var/lib/rekindle/epoch 2>/dev/null) && say epoch "$epoch"
else
	# A cluster that was adopted has no mark: it is known by its CA.
	[ -r /etc/kubernetes/pki/ca.crt ] || exit 0
	ca=$(openssl x509 -in /etc/kubernetes/pki/ca.crt -noout -pubkey 2>/dev/null | openssl pkey -pubin -outform DER 2>/dev/null | sha256sum)
	say ca "sha256:${ca%% *}"
	# kubectl's cache is not to stay there.
	export HOME=/proc
fi

# On a node of ours: ask etcd and the API, each through this node's own door.
tls=/etc/kubernetes/pki/etcd
if [ -d /var/lib/etcd/member/wal ] && [ -r $tls/healthcheck-client.key ]; then
	etcd_programs
	etcdctl --endpoints=https://127.0.0.1:2379 --dial-timeout=2s --command-timeout=3s --cacert=$tls/ca.crt \
		--cert=$tls/healthcheck-client.crt --key=$tls/healthcheck-client.key member list 2>/dev/null |
		while IFS= read -r line; do say member "$line"; done
fi
if [ -r /etc/kubernetes/admin.conf ] && curl -ksf -m 3 -o /dev/null https://127.0.0.1:6443/readyz; then
	say apiserver ready
	say api-version "$(curl -ksf -m 3 https://127.0.0.1:6443/version | sed -n 's/^ *"gitVersion": "\(.*\)",\{0,1\}$/\1/p')"
	kubectl --kubeconfig=/etc/kubernetes/admin.conf --request-timeout=5s get nodes \
		-o jsonpath='{range .items[*]}{.metadata.name} {.status.nodeInfo.kubeletVersion}{"\n"}{end}' 2>/dev/null |
		while IFS= read -r line; do say node "$line"; done
fi
exit 0
