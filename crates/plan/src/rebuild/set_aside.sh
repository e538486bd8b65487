
# The script above stopped it. What it had lies beside what comes now, and nothing is deleted. Set: EPOCH.
before=before-epoch-$EPOCH
if [ -e /var/lib/etcd/member ]; then
	mkdir -p "/var/lib/etcd/$before"
	to=/var/lib/etcd/$before/member
	while [ -e "$to" ]; do to=$to.again; done
	mv /var/lib/etcd/member "$to"
	echo "moved /var/lib/etcd/member to $to"
fi
to=/var/lib/rekindle/$before
while [ -e "$to" ]; do to=$to.again; done
mv /var/lib/rekindle/fenced "$to"
