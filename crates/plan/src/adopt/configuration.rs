//! kubeadm's ClusterConfiguration as it stands in kube-system/kubeadm-config: v1beta3 (kubeadm 1.22 to 1.30) and
//! v1beta4 (since 1.31). Source: cmd/kubeadm/app/apis/kubeadm/{v1beta3,v1beta4}/types.go.

use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// What of it an inventory has words for, or must refuse.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Configuration {
    /// `kubeadm.k8s.io/v1beta4`.
    pub api_version: String,
    /// `kubernetes` where nobody named it.
    pub cluster_name: String,
    /// With its `v`.
    pub kubernetes_version: String,
    /// `host:port`, or nothing.
    pub control_plane_endpoint: String,
    /// Where the PKI lies; empty: the default.
    pub certificates_dir: String,
    /// `RSA-2048` where nobody said; v1beta4 only.
    pub encryption_algorithm: String,
    /// A duration like `8760h0m0s`; v1beta4 only.
    pub certificate_validity_period: String,
    /// Likewise, of CAs.
    #[serde(rename = "caCertificateValidityPeriod")]
    pub ca_certificate_validity_period: String,
    /// Where images come from.
    pub image_repository: String,
    /// kubeadm's own feature gates.
    pub feature_gates: BTreeMap<String, bool>,
    /// Pods, services, DNS.
    pub networking: Networking,
    /// Local or external.
    pub etcd: Etcd,
    /// kube-apiserver.
    pub api_server: Component,
    /// kube-controller-manager.
    pub controller_manager: Component,
    /// kube-scheduler.
    pub scheduler: Component,
}

/// `networking`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Networking {
    /// CIDRs with commas between them, or nothing.
    pub pod_subnet: String,
    /// Likewise.
    pub service_subnet: String,
    /// `cluster.local`.
    pub dns_domain: String,
}

/// `etcd`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Etcd {
    /// Static pods of kubeadm's.
    pub local: Option<LocalEtcd>,
    /// Somebody else's.
    pub external: Option<ExternalEtcd>,
}

/// `etcd.local`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct LocalEtcd {
    /// Empty: the default.
    pub data_dir: String,
    /// Flags.
    pub extra_args: Arguments,
}

/// `etcd.external`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ExternalEtcd {
    /// Client URLs.
    pub endpoints: Vec<String>,
}

/// One component.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Component {
    /// Flags.
    pub extra_args: Arguments,
    /// Names of the apiservers' certificates.
    #[serde(rename = "certSANs")]
    pub cert_sans: Vec<String>,
    /// What is mounted.
    pub extra_volumes: Vec<Value>,
    /// Environment variables; v1beta4 only.
    pub extra_envs: Vec<Value>,
}

/// Flags without dashes, in their order; one may be there more than once. v1beta3 writes a map, v1beta4 a list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Arguments(pub Vec<(String, String)>);

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Map(BTreeMap<String, String>),
    List(Vec<Argument>),
}

#[derive(Deserialize)]
struct Argument {
    name: String,
    #[serde(default)]
    value: String,
}

impl<'de> Deserialize<'de> for Arguments {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Self(match Option::<Written>::deserialize(from)? {
            None => Vec::new(),
            Some(Written::Map(map)) => map.into_iter().collect(),
            Some(Written::List(list)) => list.into_iter().map(|one| (one.name, one.value)).collect(),
        }))
    }
}

impl Configuration {
    /// Reads it.
    ///
    /// # Errors
    /// In words: no ClusterConfiguration, or one of a version that nobody knows here.
    pub fn read(text: &str) -> Result<Self, String> {
        let read: Self = serde_saphyr::from_str(text)
            .map_err(|error| format!("kubeadm's ClusterConfiguration can't be read: {error}"))?;
        match read.api_version.as_str() {
            "kubeadm.k8s.io/v1beta3" | "kubeadm.k8s.io/v1beta4" => Ok(read),
            other => {
                Err(format!("kubeadm's ClusterConfiguration is of {other}; v1beta3 and v1beta4 are known"))
            }
        }
    }
}
