#!/bin/sh
# Makes this container a node as it boots: mounts that a kubelet can share, control groups that it can write,
# its address. Values come from /etc/rekindle-lab.
set -eu
# shellcheck source=/dev/null
. /etc/rekindle-lab

mount --make-rshared /

# systemd-nspawn leaves the controllers of cgroup v1 read-only. They are rooted at this node's own group here.
if [ ! -e /sys/fs/cgroup/cgroup.controllers ]; then
	mount -o remount,rw /sys/fs/cgroup
	for hierarchy in /sys/fs/cgroup/*; do
		name=${hierarchy##*/}
		if [ -L "$hierarchy" ] || [ "$name" = systemd ] || [ "$name" = unified ]; then
			continue
		fi
		while umount "$hierarchy" 2>/dev/null; do :; done
		mount -t cgroup -o "$name" cgroup "$hierarchy"
	done
fi

set_if_present() {
	if [ -e "$1" ]; then
		echo "$2" > "$1"
	fi
}
set_if_present /proc/sys/net/ipv4/ip_forward 1
set_if_present /proc/sys/net/ipv6/conf/all/forwarding 1
set_if_present /proc/sys/net/bridge/bridge-nf-call-iptables 1
set_if_present /proc/sys/net/bridge/bridge-nf-call-ip6tables 1

ip link set dev host0 up
ip address replace "$ADDRESS" dev host0
# A packet to a Service needs a route before it is translated. The gateway forwards nothing.
ip route replace default via "$GATEWAY"
