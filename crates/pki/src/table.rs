//! The one list of certificates: what kubeadm makes, and the kubelet's client and serving certificates.
//!
//! Source: kubeadm's `app/phases/certs/certlist.go` and `app/phases/kubeconfig/kubeconfig.go`; compared in
//! `tests/kubeadm` with what kubeadm 1.36.3 makes. It differs in these, each on purpose:
//!
//! * `apiserver-kubelet-client` is in the group `kubeadm:cluster-admins`. kubeadm began that with 1.29 and
//!   has given it up for a ClusterRoleBinding (1.36.3 has none), which a restored older cluster lacks.
//! * the apiserver's certificate also names `127.0.0.1` and `localhost`, where a worker's haproxy listens,
//!   and the node's and the service's address of a second family.
//! * the kubelet's client certificate lies in a file of its own, since one that is embedded in `kubelet.conf`
//!   counts as a bootstrap credential and makes the kubelet ask for another at once.
//! * the kubelet's serving certificate, which a kubelet otherwise signs itself, is signed by the CA.
//!
//! Of no consequence: keys are PKCS#8 where kubeadm writes SEC 1 or PKCS#1, and leafs, too, carry a subject
//! key identifier.

use crate::Holder;
use crate::mint::KUBELET_CURRENT;

/// One certificate of the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The file: a `.crt` (its key is the `.key` beside it), a kubeconfig or a link to a PEM.
    pub path: &'static str,
    /// Who signs it; a CA signs itself.
    pub signer: Ca,
    /// The subject's CN.
    pub common_name: CommonName,
    /// The subject's O, a group to Kubernetes.
    pub organization: Option<&'static str>,
    /// Extended key usages.
    pub usages: &'static [Usage],
    /// Subject alternative names.
    pub names: Names,
    /// How certificate and key are stored.
    pub form: Form,
    /// Which nodes have it.
    pub on: Holder,
}

impl Row {
    /// Where the key of a certificate (a `.crt`) lies: beside it.
    pub fn key_path(&self) -> String {
        format!("{}.key", self.path.strip_suffix(".crt").unwrap_or(self.path))
    }
}

/// A certificate authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ca {
    /// The cluster's own.
    Cluster,
    /// Of requests that an aggregated API gets from the apiserver.
    FrontProxy,
    /// Of etcd, its members and clients.
    Etcd,
}

impl Ca {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Cluster, Self::FrontProxy, Self::Etcd];

    /// Where its certificate lies on a node.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Cluster => "/etc/kubernetes/pki/ca.crt",
            Self::FrontProxy => "/etc/kubernetes/pki/front-proxy-ca.crt",
            Self::Etcd => "/etc/kubernetes/pki/etcd/ca.crt",
        }
    }

    /// Its CN where it is minted, as kubeadm names it.
    pub const fn common_name(self) -> &'static str {
        match self {
            Self::Cluster => "kubernetes",
            Self::FrontProxy => "front-proxy-ca",
            Self::Etcd => "etcd-ca",
        }
    }
}

/// A subject's CN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommonName {
    /// The same on every node.
    Is(&'static str),
    /// The node's name.
    Node,
    /// `system:node:` and the node's name.
    SystemNode,
}

/// An extended key usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Usage {
    /// Proves a server to its clients.
    ServerAuth,
    /// Proves a client to a server.
    ClientAuth,
}

impl Usage {
    /// As `openssl x509 -ext extendedKeyUsage` prints it.
    pub fn as_openssl(self) -> &'static str {
        match self {
            Self::ServerAuth => "TLS Web Server Authentication",
            Self::ClientAuth => "TLS Web Client Authentication",
        }
    }
}

/// A rule for subject alternative names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// None.
    Nothing,
    /// Its own CN.
    CommonName,
    /// Node, `kubernetes` and its longer forms, first service addresses, addresses, endpoint, the inventory's
    /// `cert-names`, loopback.
    ApiServer,
    /// Node, address, loopback of both families.
    EtcdMember,
    /// Node and addresses.
    Kubelet,
}

/// How a certificate and its key are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Two PEM files, the same on every node, the key on fewer of them.
    Authority {
        /// Which nodes have the key.
        key_on: Holder,
    },
    /// Two PEM files of this node.
    Pair,
    /// Both embedded in a kubeconfig.
    Kubeconfig(Server),
    /// Both in one PEM file, which a link names; `kubelet.conf` names the link.
    KubeletClient,
}

/// The server that a kubeconfig names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// The node's own apiserver.
    Local,
    /// The API endpoint.
    Endpoint,
}

const ADMINS: Option<&str> = Some("kubeadm:cluster-admins");
const MASTERS: Option<&str> = Some("system:masters");
const NODES: Option<&str> = Some("system:nodes");
const LOCAL: Form = Form::Kubeconfig(Server::Local);
const ENDPOINT: Form = Form::Kubeconfig(Server::Endpoint);

/// What `kubectl` on a control plane uses; an operator elsewhere gets the like of it.
pub(crate) const ADMIN: Row = client(
    "/etc/kubernetes/admin.conf",
    Ca::Cluster,
    "kubernetes-admin",
    ADMINS,
    ENDPOINT,
    Holder::ControlPlane,
);

/// Above all roles, for the time before there are any.
pub(crate) const SUPER_ADMIN: Row = client(
    "/etc/kubernetes/super-admin.conf",
    Ca::Cluster,
    "kubernetes-super-admin",
    MASTERS,
    ENDPOINT,
    Holder::Coordinator,
);

/// Every certificate of a cluster, in the order in which files are laid: CAs first.
#[rustfmt::skip]
pub const TABLE: &[Row] = &[
    // certificate or kubeconfig, signer, CN, (O, form,) who has it (, who has the key)
    authority("/etc/kubernetes/pki/ca.crt", Ca::Cluster, Holder::Kubelet, Holder::ControlPlane),
    authority("/etc/kubernetes/pki/front-proxy-ca.crt", Ca::FrontProxy, Holder::ControlPlane, Holder::ControlPlane),
    authority("/etc/kubernetes/pki/etcd/ca.crt", Ca::Etcd, Holder::EtcdUser, Holder::StackedEtcd),

    client("/etc/kubernetes/pki/apiserver-kubelet-client.crt", Ca::Cluster,
        "kube-apiserver-kubelet-client", ADMINS, Form::Pair, Holder::ControlPlane),
    client("/etc/kubernetes/pki/front-proxy-client.crt", Ca::FrontProxy,
        "front-proxy-client", None, Form::Pair, Holder::ControlPlane),
    client("/etc/kubernetes/pki/etcd/healthcheck-client.crt", Ca::Etcd,
        "kube-etcd-healthcheck-client", None, Form::Pair, Holder::EtcdMember),
    client("/etc/kubernetes/pki/apiserver-etcd-client.crt", Ca::Etcd,
        "kube-apiserver-etcd-client", None, Form::Pair, Holder::ControlPlane),

    ADMIN,
    SUPER_ADMIN,
    client("/etc/kubernetes/controller-manager.conf", Ca::Cluster,
        "system:kube-controller-manager", None, LOCAL, Holder::ControlPlane),
    client("/etc/kubernetes/scheduler.conf", Ca::Cluster,
        "system:kube-scheduler", None, LOCAL, Holder::ControlPlane),

    server("/etc/kubernetes/pki/apiserver.crt", Ca::Cluster,
        CommonName::Is("kube-apiserver"), &[Usage::ServerAuth], Names::ApiServer, Holder::ControlPlane),
    server("/etc/kubernetes/pki/etcd/server.crt", Ca::Etcd,
        CommonName::Node, &[Usage::ServerAuth, Usage::ClientAuth], Names::EtcdMember, Holder::EtcdMember),
    server("/etc/kubernetes/pki/etcd/peer.crt", Ca::Etcd,
        CommonName::Node, &[Usage::ServerAuth, Usage::ClientAuth], Names::EtcdMember, Holder::EtcdMember),

    Row { common_name: CommonName::SystemNode, ..client(KUBELET_CURRENT,
        Ca::Cluster, "", NODES, Form::KubeletClient, Holder::Kubelet) },
    Row { organization: NODES, ..server("/var/lib/kubelet/pki/kubelet.crt", Ca::Cluster,
        CommonName::SystemNode, &[Usage::ServerAuth], Names::Kubelet, Holder::Kubelet) },
];

const fn authority(path: &'static str, signer: Ca, on: Holder, key_on: Holder) -> Row {
    Row {
        path,
        signer,
        common_name: CommonName::Is(signer.common_name()),
        organization: None,
        usages: &[],
        names: Names::CommonName,
        form: Form::Authority { key_on },
        on,
    }
}

const fn client(
    path: &'static str,
    signer: Ca,
    common_name: &'static str,
    organization: Option<&'static str>,
    form: Form,
    on: Holder,
) -> Row {
    let common_name = CommonName::Is(common_name);
    let usages = &[Usage::ClientAuth];
    Row { path, signer, common_name, organization, usages, names: Names::Nothing, form, on }
}

const fn server(
    path: &'static str,
    signer: Ca,
    common_name: CommonName,
    usages: &'static [Usage],
    names: Names,
    on: Holder,
) -> Row {
    Row { path, signer, common_name, organization: None, usages, names, form: Form::Pair, on }
}
