# shellcheck shell=sh
# On a prepared node: nothing of rekindle's is left but the pod network and the units, as if somebody else had made
# them; and etcd's programs lie in etcd's image only.
systemctl disable -q --now rekindle-api 2>/dev/null
rm -rf /etc/kubernetes /root/.kube /var/lib/rekindle /run/rekindle /etc/systemd/system/rekindle-api.service /usr/local/bin/etcd /usr/local/bin/etcdctl /usr/local/bin/etcdutl
find /etc/rekindle -type f ! -name routes.sh -delete
sed -i '/# rekindle$/d' /etc/hosts
mkdir -p /etc/kubernetes/audit /etc/kubernetes/encryption
cat >/etc/kubernetes/audit/policy.yaml <<'END'
apiVersion: audit.k8s.io/v1
kind: Policy
rules:
- level: Metadata
END
cat >/etc/kubernetes/encryption/config.yaml <<'END'
apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources: [secrets]
  providers:
  - secretbox: {keys: [{name: theirs, secret: MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=}]}
  - identity: {}
END
chmod 600 /etc/kubernetes/encryption/config.yaml
