# A prepared node without a cluster: programs, containerd, images and network configuration stay. Not by the whole of
# kubeadm's reset, which waits minutes for members that are reset at the same time.
exec 2>/dev/null
systemctl stop kubelet rekindle-api
kubeadm reset phase cleanup-node >/run/reset.log
rm -rf /etc/kubernetes /var/lib/kubelet/* /var/lib/etcd/* /var/lib/rekindle/cluster /var/lib/rekindle/wrote /var/log/pods/*
nft delete table ip kube-proxy
ip link delete cni0
ip -all netns delete
rm -rf /var/lib/cni/networks
sync
