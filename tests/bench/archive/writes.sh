# shellcheck shell=sh
# Small writes to etcd through one connection, one after the other for SECONDS seconds: the time of each, in
# seconds, a line. Set: SECONDS_LONG.
set -eu
tls=/etc/kubernetes/pki/etcd
end=$(($(date +%s) + SECONDS_LONG))
i=0
while [ $i -lt 200 ]; do
	printf 'url = "https://127.0.0.1:2379/v3/kv/put"\ndata = "{\\"key\\":\\"YmVuY2g=\\",\\"value\\":\\"eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4\\"}"\noutput = /dev/null\nwrite-out = "%%{time_total}\\n"\n'
	printf 'cacert = %s/ca.crt\ncert = %s/healthcheck-client.crt\nkey = %s/healthcheck-client.key\nsilent\nfail\n' $tls $tls $tls
	i=$((i + 1))
	[ $i -eq 200 ] || echo next
done >/run/writes.curl
while [ "$(date +%s)" -lt $end ]; do curl -K /run/writes.curl; done
rm -f /run/writes.curl
