# shellcheck shell=sh
# What the API says of a kubeadm cluster, asked on a control plane. One "key value" a line; nothing is changed.
PATH=$PATH:/usr/local/bin:/usr/local/sbin:/usr/sbin:/sbin
# kubectl's cache is not to stay on the node.
export HOME=/proc KUBECONFIG=/etc/kubernetes/admin.conf
say() { printf '%s %s\n' "$1" "$2"; }
refuse() {
	say refused "$1"
	exit 0
}
[ "$(id -u)" = 0 ] || refuse 'scripts do not run as root here'
[ -e /etc/kubernetes/manifests/kube-apiserver.yaml ] ||
	refuse 'no control plane of kubeadm: there is no /etc/kubernetes/manifests/kube-apiserver.yaml'
[ -r "$KUBECONFIG" ] || refuse "there is no $KUBECONFIG"
command -v kubectl >/dev/null || refuse 'there is no kubectl'
command -v openssl >/dev/null || refuse 'there is no openssl'
ask() { kubectl --request-timeout=10s "$@"; }
version=$(ask get --raw /version 2>&1) || refuse "the API does not answer: $(printf '%s' "$version" | tail -n 1)"
say version "$(printf '%s\n' "$version" | sed -n 's/^ *"gitVersion": "v\{0,1\}\(.*\)",\{0,1\}$/\1/p')"
map() {
	ask -n kube-system get configmap "$1" -o "jsonpath={.data.$2}" 2>/dev/null | base64 -w0
}
config=$(map kubeadm-config ClusterConfiguration)
[ -n "$config" ] || refuse 'not made by kubeadm: there is no ConfigMap kube-system/kubeadm-config'
say kubeadm "$config"
say kubelet "$(map kubelet-config kubelet)"
say proxy "$(map kube-proxy 'config\.conf')"
ask get nodes -o jsonpath='{range .items[*]}{.metadata.name}{"\t"}{.status.addresses[?(@.type=="InternalIP")].address}{"\t"}{.spec.podCIDRs[*]}{"\t"}{.status.nodeInfo.kubeletVersion}{"\t"}{.metadata.labels}{"\t"}{.spec.taints}{"\n"}{end}' 2>/dev/null |
	while IFS= read -r node; do say node "$node"; done
ask get daemonsets -A -o jsonpath='{range .items[*]}{.metadata.namespace}/{.metadata.name}{"\n"}{end}' 2>/dev/null |
	while IFS= read -r name; do say daemonset "$name"; done
say end .
