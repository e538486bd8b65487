# The root folders of @HOSTS@ hosts, and the keys. Runs where mounts are ours alone.
mount -t tmpfs -o mode=0755 fleet /run
mkdir -p /run/sshd /run/hosts /run/fleet/bin
cd /run/fleet
ssh-keygen -q -t ed25519 -N '' -f key
ssh-keygen -q -t ed25519 -N '' -f identity
mkdir etc
for file in passwd group nsswitch.conf ld.so.cache; do
	[ ! -e "/etc/$file" ] || cp "/etc/$file" etc/
done
: >bin/systemd-run
: >bin/systemctl
chmod 0755 bin/systemd-run bin/systemctl
host=0
while [ "$host" -lt @HOSTS@ ]; do
	root=/run/hosts/$host
	mkdir -p "$root/usr" "$root/dev" "$root/proc" "$root/root" "$root/opt" "$root/tmp" "$root/srv" \
		"$root/run/stub/units" "$root/var/lib"
	cp -r etc "$root/etc"
	for folder in bin sbin lib lib64; do
		[ ! -L "/$folder" ] || ln -s "$(readlink "/$folder")" "$root/$folder"
	done
	for folder in bin sbin lib lib64; do
		if [ -d "/$folder" ] && [ ! -L "/$folder" ]; then
			mkdir "$root/$folder"
			mount --bind "/$folder" "$root/$folder"
		fi
	done
	mount --bind /usr "$root/usr"
	mount --bind /dev "$root/dev"
	mount --bind /proc "$root/proc"
	mount --bind bin "$root/opt"
	host=$((host + 1))
done
