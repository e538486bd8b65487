# Who answers of a cluster that should be gone: "ADDRESS PORT" a line, then "asked". Set: ADDRESSES, CLUSTER_CA and ETCD_CA
# (PEM, public).
PATH=$PATH:/usr/local/bin:/usr/sbin:/sbin
command -v curl >/dev/null || { echo 'no curl on this machine' >&2; exit 1; }
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
printf '%s\n' "$CLUSTER_CA" >"$folder/6443"
printf '%s\n' "$ETCD_CA" >"$folder/2379"
# In 5 s it has shown its certificate or it is not there. An etcd ends the call, since we have none for it: 52, 55 or 56
# come after its certificate was accepted (curl's exit codes).
answers() {
	case $1 in *:*) host="[$1]" ;; *) host=$1 ;; esac
	said=0
	curl -s -m 5 -o /dev/null --noproxy '*' --cacert "$folder/$2" "https://$host:$2/version" || said=$?
	case $said in 0 | 52 | 55 | 56) echo "$1 $2" ;; esac
}
for address in $ADDRESSES; do
	answers "$address" 6443 &
	answers "$address" 2379 &
done
wait
echo asked
