# shellcheck shell=sh
# What a control plane is made of: manifests, CAs and keys. Set: FILES (paths, one a line). One "key value" a line;
# nothing is changed.
PATH=$PATH:/usr/local/bin:/usr/local/sbin:/usr/sbin:/sbin
say() { printf '%s %s\n' "$1" "$2"; }
mark=$(cat /var/lib/rekindle/cluster 2>/dev/null) && say mark "$mark"
[ ! -e /etc/rekindle/routes.sh ] || say routes yes
systemd-detect-virt -c -q 2>/dev/null && say container yes
[ -e /sys/fs/cgroup/cgroup.controllers ] || say cgroup 1
ip -o addr show 2>/dev/null | while read -r _ _ _ address _; do say address "${address%/*}"; done
say pki "$(readlink -f /etc/kubernetes/pki 2>/dev/null)"
printf '%s\n' "$FILES" | while IFS= read -r file; do
	[ -n "$file" ] || continue
	if [ -f "$file" ] && [ "$(stat -Lc %s "$file")" -le 524288 ]; then
		say file "$file $(base64 -w0 "$file")"
	elif [ -e "$file" ]; then
		say other "$file"
	else
		say missing "$file"
	fi
done
say end .
