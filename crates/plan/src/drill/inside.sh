# shellcheck shell=sh
# The first process of a drill's own namespaces: when it ends, all end. Environment: SCRATCH, DB, paths of programs,
# MODE (prove, ask, export, or both for the first and the last), ARGUMENTS (kubectl's, quoted). Standard input: `PATH BASE64` a file, then `.`.
set -eu
# Below, all processes that can be seen are killed: these must be ours alone.
[ $$ -eq 1 ] || exit 199
umask 022
root=$SCRATCH/root
nobody=65534:65534
curl=$(command -v curl || :)

end() {
	status=$?
	trap - EXIT
	kill -s KILL -- -1 2>/dev/null || :
	umount -R -l "$root" 2>/dev/null || :
	rm -rf -- "$SCRATCH"
	rmdir "${SCRATCH%/*}" 2>/dev/null || :
	exit "$status"
}
trap end EXIT
trap 'exit 143' TERM INT HUP

fail() {
	printf '%s\n' "$1" >&2
	exit 199
}
tell() { [ "$MODE" = ask ] || printf '%s %s\n' "$1" "$2"; }
mark() {
	read -r now _ </proc/uptime
	tell at "$1 $now"
}
# The last words of a program's log.
last() { tail -n 3 "$1" | tr -c '[:print:]' ' ' | tail -c 600; }
bind() {
	: >"$root/$2"
	mount --bind "$1" "$root/$2"
}
inside() { chroot --userspec="$nobody" "$root" "$@"; }

mark start
ip link set lo up
mkdir -p "$root" "$SCRATCH/data"
mount -t tmpfs -o mode=0755 drill "$root"
mkdir -p "$root/data" "$root/etc/kubernetes/manifests" "$root/var/log" "$root/dev"
mkdir -m 1777 "$root/tmp"
chown "$nobody" "$root/etc/kubernetes/manifests" "$root/var/log"
mount --bind "$SCRATCH/data" "$root/data"
bind /dev/null dev/null
bind "$DB" db
bind "$ETCD" etcd
bind "$ETCDCTL" etcdctl
bind "$ETCDUTL" etcdutl
bind "$KUBEADM" kubeadm
bind "$KUBECTL" kubectl
bind "$APISERVER" kube-apiserver
# Keys lie in memory that goes with this process.
while read -r path text; do
	[ "$path" != . ] || break
	case $path in /*) ;; *) fail "no absolute path: $path" ;; esac
	case $path/ in */../*) fail "no plain path: $path" ;; esac
	mkdir -p "$root${path%/*}"
	(umask 077 && printf %s "$text" | base64 -d >"$root$path")
	chown "$nobody" "$root$path"
done
[ "${path-}" = . ] || fail 'what was handed over ended early'
# Whoever waits is gone when this ends.
exec 3<&0 </dev/null
(
	trap '' INT HUP
	cat <&3
	kill -s TERM 1
	kill -s KILL -- -1
) >/dev/null 2>&1 &
exec 3<&-

# kubeadm says with which flags this cluster's apiserver runs.
flags() {
	inside /kubeadm init phase control-plane apiserver --config /etc/rekindle/kubeadm.yaml
	HOME=/tmp inside /kubectl annotate --local -f /etc/kubernetes/manifests/kube-apiserver.yaml drill= \
		-o 'jsonpath={range .spec.containers[0].command[*]}{@}{"\n"}{end}' >"$SCRATCH/flags"
}
flags >"$SCRATCH/kubeadm.log" 2>&1 &
flags=$!

chroot "$root" /etcdutl snapshot status /db -w json >"$SCRATCH/status" 2>"$SCRATCH/etcdutl.log" ||
	fail "the snapshot cannot be read: $(last "$SCRATCH/etcdutl.log")"
revision=$(sed -n 's/.*"revision":\([0-9]*\).*/\1/p' "$SCRATCH/status")
[ -n "$revision" ] || fail 'the snapshot does not say its revision'
chroot "$root" /etcdutl snapshot restore /db --data-dir /data/etcd >"$SCRATCH/etcdutl.log" 2>&1 ||
	fail "the snapshot cannot be restored: $(last "$SCRATCH/etcdutl.log")"
chown -R "$nobody" "$SCRATCH/data"
mark restored

inside /etcd --data-dir /data/etcd --unsafe-no-fsync --heartbeat-interval=10 --election-timeout=50 \
	--quota-backend-bytes=17179869184 --listen-client-urls http://127.0.0.1:2379 \
	--advertise-client-urls http://127.0.0.1:2379 --listen-peer-urls http://127.0.0.1:2380 >"$SCRATCH/etcd.log" 2>&1 &
store=$!
ctl() { inside /etcdctl --endpoints=http://127.0.0.1:2379 --command-timeout=60s "$@"; }

wait "$flags" || fail "kubeadm did not say the apiserver's flags: $(last "$SCRATCH/kubeadm.log")"
etcd_prefix=/registry
set --
off=MutatingAdmissionWebhook,ValidatingAdmissionWebhook
while IFS= read -r flag; do
	case $flag in
	kube-apiserver | --etcd-cafile=* | --etcd-certfile=* | --etcd-keyfile=* | --etcd-servers=* | --etcd-servers-overrides=*) continue ;;
	--advertise-address=* | --bind-address=* | --endpoint-reconciler-type=* | --secure-port=*) continue ;;
	# Nobody is there to be told.
	--audit-webhook-* | --audit-log-*) continue ;;
	--disable-admission-plugins=*)
		off=$off,${flag#*=}
		continue
		;;
	--enable-admission-plugins=*)
		flag=$(printf %s "$flag" | sed -E 's/(=|,)(Mutating|Validating)AdmissionWebhook(,|$)/\1/g; s/(=|,)(Mutating|Validating)AdmissionWebhook(,|$)/\1/g; s/,$//')
		[ "${flag#*=}" ] || continue
		;;
	--etcd-prefix=*) etcd_prefix=${flag#*=} ;;
	esac
	set -- "$@" "$flag"
done <"$SCRATCH/flags"
[ $# -gt 0 ] || fail "kubeadm did not say the apiserver's flags"
inside /kube-apiserver "$@" --disable-admission-plugins="$off" --etcd-servers=http://127.0.0.1:2379 \
	--etcd-compaction-interval=0 --endpoint-reconciler-type=none --advertise-address=127.0.0.1 \
	--bind-address=127.0.0.1 --secure-port=6443 >/dev/null 2>"$SCRATCH/apiserver.log" &
server=$!

tries=0
until ctl --command-timeout=1s endpoint health >/dev/null 2>&1; do
	kill -0 "$store" 2>/dev/null || fail "etcd did not start: $(last "$SCRATCH/etcd.log")"
	tries=$((tries + 1))
	[ $tries -lt 100 ] || fail "etcd did not answer: $(last "$SCRATCH/etcd.log")"
	sleep 0.05
done
mark etcd
if [ "$MODE" = prove ] || [ "$MODE" = both ]; then
	said=$(ctl endpoint hashkv --rev "$revision" -w json) || fail 'etcd did not give its HashKV'
	tell revision "$revision"
	tell hash_kv "$(printf %s "$said" | sed -n 's/.*"hash":\([0-9]*\).*/\1/p')"
	tell compact_revision "$(printf %s "$said" | sed -n 's/.*"compact_revision":\(-*[0-9]*\).*/\1/p')"
	# Every key, by what its first parts say that it is.
	ctl get '' --prefix --keys-only --rev="$revision" >"$SCRATCH/keys" || fail 'etcd did not list its keys'
	awk -v prefix="$etcd_prefix/" '
		$0 == "" { next }
		index($0, prefix) != 1 { other[$0]++; next }
		{
			count = split(substr($0, length(prefix) + 1), part, "/")
			kind = part[1]
			if (count > 2 && (kind ~ /\./ || kind == "services" || kind == "ranges")) kind = kind "/" part[2]
			keys[kind]++
		}
		END {
			for (kind in keys) { name = kind; gsub(/[^A-Za-z0-9._\/-]/, "?", name); print "keys", name, keys[kind] }
			for (key in other) { name = key; gsub(/[^A-Za-z0-9._\/-]/, "?", name); print "other", name, other[key] }
		}' "$SCRATCH/keys"
	mark keys
fi

conf=/etc/kubernetes/super-admin.conf
sed -n 's/^ *client-certificate-data: //p' "$root$conf" | base64 -d >"$root/client.crt"
(umask 077 && sed -n 's/^ *client-key-data: //p' "$root$conf" | base64 -d >"$root/client.key")
ask() { HOME=/tmp inside /kubectl --kubeconfig="$conf" --request-timeout=60s "$@"; }
# A certificate of kubeadm's own names no loopback address; every one names `kubernetes`.
# fetch: the answers of the addresses in $SCRATCH/pages (`NUMBER ADDRESS` a line), as $SCRATCH/lists/NUMBER.
fetch() {
	if [ -n "$curl" ]; then
		while read -r number address; do
			printf 'next\ncacert = "%s"\ncert = "%s"\nkey = "%s"\nsilent\nmax-time = 120\n' \
				"$root/etc/kubernetes/pki/ca.crt" "$root/client.crt" "$root/client.key"
			printf 'noproxy = "*"\nresolve = "kubernetes:6443:127.0.0.1"\nurl = "https://kubernetes:6443%s"\noutput = "%s"\n' "$address" "$SCRATCH/lists/$number"
		done <"$1" | sed 1d >"$SCRATCH/curl"
		curl --parallel --parallel-max 4 --parallel-immediate -K "$SCRATCH/curl" 2>"$SCRATCH/curl.log"
	else
		while read -r number address; do
			ask get --raw "$address" >"$SCRATCH/lists/$number" 2>"$SCRATCH/said" ||
				tr -c '[:alnum:][:space:].,:;/_()=-' ' ' <"$SCRATCH/said" | sed 's/.*/  "message": "&"/' >"$SCRATCH/lists/$number"
		done <"$1"
	fi
}
says() {
	if [ -n "$curl" ]; then
		"$curl" -sf -m 5 -o /dev/null --noproxy '*' --resolve kubernetes:6443:127.0.0.1 --cacert "$root/etc/kubernetes/pki/ca.crt" "https://kubernetes:6443$1"
	else
		ask get --raw "$1" >/dev/null 2>&1
	fi
}
tries=0
unready=0
until says /readyz; do
	kill -0 "$server" 2>/dev/null || fail "its kube-apiserver did not start: $(last "$SCRATCH/apiserver.log")"
	# One that serves, and waits for something that can't be read, is asked for what that is.
	[ $unready = 0 ] && ! says /version || unready=$((unready + 1))
	if [ $unready -gt 300 ]; then
		ask get --raw '/readyz?verbose' >"$SCRATCH/said" 2>&1 || :
		tell unready "$(grep -o '\[-\][^ ]*' "$SCRATCH/said" | cut -c4- | sort -u | tr '\n' ' ')"
		break
	fi
	tries=$((tries + 1))
	[ $tries -lt 1200 ] || fail "its kube-apiserver was not ready: $(last "$SCRATCH/apiserver.log")"
	sleep 0.05
done
mark apiserver

if [ "$MODE" = ask ]; then
	# The caller's own files, by their own paths.
	(umask 077 && cp "$root$conf" "$SCRATCH/kubeconfig")
	eval "set -- $ARGUMENTS"
	KUBECONFIG=$SCRATCH/kubeconfig "$KUBECTL" --cache-dir="$SCRATCH/cache" "$@" || exit $?
	exit 0
fi

# Every kind that can be listed, as it was at the snapshot's revision; first what others need to be applied.
ask api-resources --verbs=list --no-headers >"$SCRATCH/resources" 2>"$SCRATCH/said" || tell incomplete "$(last "$SCRATCH/said")"
[ -s "$SCRATCH/resources" ] || fail "its kube-apiserver did not say what it serves: $(last "$SCRATCH/said")"
awk '$1 != "componentstatuses" {
	version = $(NF - 2); split(version, part, "/")
	group = version ~ /\// ? "." part[1] : ""
	rank = $1 group == "namespaces" ? 0 : $1 group == "customresourcedefinitions.apiextensions.k8s.io" ? 1 : 2
	print rank, $1 group, (group == "" ? "/api/" : "/apis/") version "/" $1
}' "$SCRATCH/resources" | sort -s -n -k1,1 | awk '{ print NR, $2, $3 }' >"$SCRATCH/kinds"
mark resources
mkdir "$SCRATCH/lists"
query="?limit=500&pretty=true"
awk -v query="$query&resourceVersion=$revision&resourceVersionMatch=Exact" '{ print $1, $3 query }' "$SCRATCH/kinds" >"$SCRATCH/pages"
while [ -s "$SCRATCH/pages" ]; do
	fetch "$SCRATCH/pages"
	cut -d' ' -f1 "$SCRATCH/pages" | while read -r number; do
		[ -e "$SCRATCH/lists/$number" ] || echo '  "message": "no answer",' >"$SCRATCH/lists/$number"
		echo "$SCRATCH/lists/$number"
	done >"$SCRATCH/answers"
	if [ "$MODE" != prove ]; then
		while read -r file; do
			kind=$(awk -v number="${file##*/}" '$1 == number { print $2 }' "$SCRATCH/kinds")
			tell list "$kind $(($(wc -c <"$file")))"
			cat "$file"
		done <"$SCRATCH/answers"
	fi
	# A string has no line breaks in it, so these lines are the list's own.
	: >"$SCRATCH/pages"
	# shellcheck disable=SC2046
	awk -v kinds="$SCRATCH/kinds" -v pages="$SCRATCH/pages" -v query="$query" '
		BEGIN { while ((getline line <kinds) > 0) { split(line, part, " "); kind[part[1]] = part[2]; path[part[1]] = part[3] } }
		FNR == 1 { number = FILENAME; sub(/.*\//, "", number); seen[number] = 1 }
		/^  "items": (\[|null)/ { whole[number] = 1 }
		/^    [{]}?,?$/ { items[number]++ }
		/^    "continue": "[^"]/ { split($0, part, "\""); print number, path[number] query "&continue=" part[4] >pages }
		/^  "message": "/ { why[number] = $0 }
		END {
			for (number in seen)
				if (number in whole) print "served", kind[number], items[number] + 0
				else { sub(/^  "message": "/, "", why[number]); print "unlisted", kind[number], substr(why[number], 1, 300) }
		}' $(cat "$SCRATCH/answers") >"$SCRATCH/counts"
	cat "$SCRATCH/counts"
	rm -f "$SCRATCH/lists"/*
done
mark listed
if [ "$MODE" = export ]; then
	tell complete .
	exit 0
fi

# A token that the archived key signed, by the way that any other comes about.
account=$(sed -n "s|^$etcd_prefix/serviceaccounts/\([^/]*\)/\([^/]*\)\$|\1 \2|p" "$SCRATCH/keys" | head -n 1)
if [ -n "$account" ]; then
	(umask 077 && ask create token "${account#* }" -n "${account% *}" >"$root/token" 2>"$SCRATCH/said") || :
	chown "$nobody" "$root/token"
	printf '%s\n' 'apiVersion: v1' 'kind: Config' 'current-context: drill' \
		'clusters: [{name: drill, cluster: {server: "https://127.0.0.1:6443", tls-server-name: kubernetes, certificate-authority: /etc/kubernetes/pki/ca.crt}}]' \
		'users: [{name: drill, user: {tokenFile: /token}}]' \
		'contexts: [{name: drill, context: {cluster: drill, user: drill}}]' >"$root/token.conf"
	who=$(HOME=/tmp inside /kubectl --kubeconfig=/token.conf --request-timeout=20s auth whoami -o 'jsonpath={.status.userInfo.username}' 2>>"$SCRATCH/said") || :
	if [ "$who" = "system:serviceaccount:${account% *}:${account#* }" ]; then tell token ok; else tell token "$(last "$SCRATCH/said")"; fi
else
	tell token 'no service account'
fi
mark end
tell complete .
