//! Keys that were taken are made anew, and what the snapshot still says of the old ones goes: what would let their holder
//! in goes before the first apiserver; whoever has read the old ones is started again when the cluster lives.
//!
//! What is left to do then is noted in etcd, so that any later run does it.

use super::kubelet_anew;
use crate::parts::etcd::CTL;
use crate::{Rebuild, encryption};
use inventory::Node;
use pki::Taken;
use std::collections::BTreeSet;
use step::{Script, Step};

/// What is made anew.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MadeAnew {
    /// Keys of the bundle.
    pub keys: BTreeSet<Taken>,
    /// Keys that encrypt what the API stores.
    pub encryption: Vec<encryption::FirstKey>,
}

impl MadeAnew {
    /// Whether nothing is.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.encryption.is_empty()
    }

    fn has(&self, key: Taken) -> bool {
        self.keys.contains(&key)
    }

    /// More of the transaction that comes before the first apiserver.
    pub(super) fn deletions(&self) -> String {
        if self.is_empty() {
            return String::new();
        }
        // Whoever joins by one of these gets a certificate of the new CA; `upload-certs` left keys under a short password.
        let mut lines = vec![
            "del --prefix /registry/secrets/kube-system/bootstrap-token-".to_owned(),
            "del /registry/secrets/kube-system/kubeadm-certs".into(),
            "del --prefix /registry/certificatesigningrequests/".into(),
        ];
        if self.has(Taken::ClusterCa) || self.has(Taken::FrontProxyCa) {
            // An apiserver adds its CAs to those that are there (combinedClusterAuthenticationInfo in
            // pkg/controlplane/controller/clusterauthenticationtrust), and every aggregated one believes all of them.
            lines.push("del /registry/configmaps/kube-system/extension-apiserver-authentication".into());
        }
        lines.push(format!("put {LEFT} \"{}\"", self.words()));
        lines.iter().map(|line| format!("\n{line}")).collect()
    }

    /// What is left to do, in words for the script.
    fn words(&self) -> String {
        let names =
            [(Taken::ClusterCa, "ca"), (Taken::FrontProxyCa, "front-proxy"), (Taken::ServiceAccounts, "sa")];
        let keys = names.into_iter().filter(|(key, _)| self.has(*key)).map(|(_, name)| name.to_owned());
        let encryption = self
            .encryption
            .iter()
            .map(|first| format!("encryption={}={}", first.prefix, first.resources.join(",")));
        keys.chain(encryption).collect::<Vec<_>>().join(" ")
    }

    /// Whether pods of before believe another CA.
    pub(super) fn roots(&self) -> &'static str {
        if self.has(Taken::ClusterCa) { "yes" } else { "" }
    }
}

/// In etcd: what is left to do.
const LEFT: &str = "rekindle/made-anew";

/// A kubelet reads its CA, its certificate and its kubeconfig once.
pub fn kubelet(rebuild: &Rebuild, node: &Node) -> Option<Step> {
    // One that registers again starts anew in any case.
    let wanted = rebuild.made_anew.has(Taken::ClusterCa) && !rebuild.unknown.contains(&node.name);
    let mark = format!("/run/rekindle/believes-{}", rebuild.epoch);
    let step = || kubelet_anew("start the kubelet with the new CA", "it was started with another CA", &mark);
    wanted.then(|| step().within(60))
}

/// Whoever has read what was taken starts again, and what the old key encrypted is written anew.
pub fn follow() -> Step {
    let body = format!("{CTL}{}", include_str!("taken.sh"));
    let set = |text: String| Script::new(text).set("LEFT", LEFT);
    let done_when = set(format!(
        "{CTL}left=$(ctl get --print-value-only \"$LEFT\") || exit 1\n[ -z \"$left\" ] || {{ echo \"$left\"; exit 1; }}"
    ));
    Step::run("let go of keys that were taken", done_when, set(body)).within(600)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_before_the_first_apiserver() {
        let of = |keys: &[Taken], first: Option<encryption::FirstKey>| {
            let encryption = first.into_iter().collect();
            MadeAnew { keys: keys.iter().copied().collect(), encryption }.deletions()
        };
        assert_eq!(of(&[], None), "");
        let believed = "extension-apiserver-authentication";
        assert!(!of(&[Taken::ServiceAccounts], None).contains(believed));
        for ca in [Taken::ClusterCa, Taken::FrontProxyCa] {
            assert!(of(&[ca], None).contains(believed), "{ca:?}");
        }
        let first = encryption::FirstKey {
            name: "epoch-2".into(),
            prefix: "k8s:enc:secretbox:v1:epoch-2:".into(),
            resources: vec!["configmaps".into(), "secrets".into()],
        };
        let all = of(&[Taken::ClusterCa, Taken::FrontProxyCa, Taken::ServiceAccounts], Some(first));
        insta::assert_snapshot!(all.trim_start(), @r#"
        del --prefix /registry/secrets/kube-system/bootstrap-token-
        del /registry/secrets/kube-system/kubeadm-certs
        del --prefix /registry/certificatesigningrequests/
        del /registry/configmaps/kube-system/extension-apiserver-authentication
        put rekindle/made-anew "ca front-proxy sa encryption=k8s:enc:secretbox:v1:epoch-2:=configmaps,secrets"
        "#);
    }
}
