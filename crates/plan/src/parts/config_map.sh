# A ConfigMap in kube-system that a phase of kubeadm writes, compared three ways. Set: NAME, WANT (digest of the
# settings that go in).
#
# The annotation rekindle.dev/NAME of the namespace holds two digests: of the settings that went in, and of the data
# as the API gave it back. On the ConfigMap itself `kubeadm upgrade` would remove it.
export KUBECONFIG=/etc/kubernetes/admin.conf
# look: sets HAVE (digest of the data) and WROTE (the annotation).
look() {
	both=$(kubectl get -n kube-system "configmap/$NAME" namespace/kube-system \
		-o jsonpath="{range .items[*]}{.data}{'\t'}{.metadata.annotations.rekindle\\.dev/$NAME}{'\n'}{end}" 2>/dev/null) || return 1
	wrote=${both##*	}
	data=${both%%	*}
	have=$(printf %s "$data" | sha256sum)
	have=${have%% *}
}
is_ours() {
	look || { echo "$NAME is not there"; exit 1; }
	[ -n "$wrote" ] || { echo "$NAME was not marked yet"; exit 1; }
	[ "${wrote#* }" = "$have" ] || { echo "ConfigMap $NAME was changed by somebody else"; exit 3; }
	[ "${wrote% *}" = "$WANT" ] || { echo "its settings changed"; exit 1; }
}
mark() {
	look
	kubectl annotate --overwrite namespace kube-system "rekindle.dev/$NAME=$WANT $have" >/dev/null
}
