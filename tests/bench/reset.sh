# A prepared node without a cluster: programs, containerd, images and network configuration stay. Not by kubeadm's
# reset, which waits minutes for members that are reset at the same time.
exec 2>/dev/null
systemctl stop kubelet rekindle-api 2>/dev/null || :
ctr -n k8s.io tasks ls -q | while read -r id; do ctr -n k8s.io tasks kill -a -s SIGKILL "$id" 2>/dev/null || :; done
for try in 1 2 3 4 5 6 7 8 9 10; do
	[ -n "$(ctr -n k8s.io tasks ls -q)" ] || break
	sleep "0.$try"
done
ctr -n k8s.io containers ls -q | while read -r id; do ctr -n k8s.io tasks rm -f "$id" >/dev/null 2>&1 || :; ctr -n k8s.io containers rm "$id" >/dev/null 2>&1 || :; done
# Pods' sandboxes, or their shims would stay.
ctr -n k8s.io sandboxes ls | while read -r id _; do ctr -n k8s.io sandboxes rm "$id" >/dev/null 2>&1 || :; done
pkill -9 -x containerd-shim
awk '$2 ~ "^/var/lib/kubelet/" { print $2 }' /proc/mounts | while read -r at; do umount -l "$at" || :; done
rm -rf /etc/kubernetes /var/lib/kubelet/* /var/lib/etcd/* /var/lib/rekindle/cluster /var/lib/rekindle/wrote /var/log/pods/*
nft delete table ip kube-proxy 2>/dev/null || :
ip link delete cni0 2>/dev/null || :
ip -all netns delete 2>/dev/null || :
rm -rf /var/lib/cni/networks
sync
