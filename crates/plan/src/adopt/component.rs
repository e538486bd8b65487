//! What a component's static pod runs with, beside what kubeadm says by itself
//! (cmd/kubeadm/app/phases/{controlplane/manifests.go,etcd/local.go}).

use serde_json::Value;
use std::collections::BTreeMap;

/// One of kubeadm's static pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Component {
    /// kube-apiserver.
    ApiServer,
    /// kube-controller-manager.
    ControllerManager,
    /// kube-scheduler.
    Scheduler,
    /// etcd.
    Etcd,
}

/// A flag of kubeadm's own, and its value where that is the same in every cluster.
type Own = (&'static str, Option<&'static str>);

const ANY: Option<&str> = None;

#[rustfmt::skip]
const API_SERVER: &[Own] = &[
    ("advertise-address", ANY), ("allow-privileged", Some("true")), ("authorization-mode", Some("Node,RBAC")),
    ("client-ca-file", ANY), ("enable-admission-plugins", Some("NodeRestriction")),
    ("enable-bootstrap-token-auth", Some("true")), ("etcd-cafile", ANY), ("etcd-certfile", ANY),
    ("etcd-keyfile", ANY), ("etcd-servers", ANY), ("insecure-port", Some("0")), ("kubelet-client-certificate", ANY),
    ("kubelet-client-key", ANY), ("kubelet-preferred-address-types", Some("InternalIP,ExternalIP,Hostname")),
    ("proxy-client-cert-file", ANY), ("proxy-client-key-file", ANY),
    ("requestheader-allowed-names", Some("front-proxy-client")), ("requestheader-client-ca-file", ANY),
    ("requestheader-extra-headers-prefix", Some("X-Remote-Extra-")),
    ("requestheader-group-headers", Some("X-Remote-Group")), ("requestheader-username-headers", Some("X-Remote-User")),
    ("secure-port", ANY), ("service-account-issuer", ANY), ("service-account-key-file", ANY),
    ("service-account-signing-key-file", ANY), ("service-cluster-ip-range", ANY), ("tls-cert-file", ANY),
    ("tls-private-key-file", ANY),
];

#[rustfmt::skip]
const CONTROLLER_MANAGER: &[Own] = &[
    ("allocate-node-cidrs", Some("true")), ("authentication-kubeconfig", ANY), ("authorization-kubeconfig", ANY),
    ("bind-address", Some("127.0.0.1")), ("client-ca-file", ANY), ("cluster-cidr", ANY), ("cluster-name", ANY),
    ("cluster-signing-cert-file", ANY), ("cluster-signing-key-file", ANY),
    ("controllers", Some("*,bootstrapsigner,tokencleaner")), ("kubeconfig", ANY), ("leader-elect", Some("true")),
    ("port", Some("0")), ("requestheader-client-ca-file", ANY), ("root-ca-file", ANY),
    ("service-account-private-key-file", ANY), ("service-cluster-ip-range", ANY),
    ("use-service-account-credentials", Some("true")),
];

#[rustfmt::skip]
const SCHEDULER: &[Own] = &[
    ("authentication-kubeconfig", ANY), ("authorization-kubeconfig", ANY), ("bind-address", Some("127.0.0.1")),
    ("kubeconfig", ANY), ("leader-elect", Some("true")), ("port", Some("0")),
];

#[rustfmt::skip]
const ETCD: &[Own] = &[
    ("advertise-client-urls", ANY), ("cert-file", ANY), ("client-cert-auth", Some("true")), ("data-dir", ANY),
    ("experimental-initial-corrupt-check", Some("true")), ("experimental-watch-progress-notify-interval", Some("5s")),
    ("feature-gates", Some("InitialCorruptCheck=true")), ("force-new-cluster", ANY), ("initial-advertise-peer-urls", ANY),
    ("initial-cluster", ANY), ("initial-cluster-state", ANY), ("initial-cluster-token", ANY), ("key-file", ANY),
    ("listen-client-urls", ANY), ("listen-metrics-urls", Some("http://127.0.0.1:2381")), ("listen-peer-urls", ANY),
    ("name", ANY), ("peer-cert-file", ANY), ("peer-client-cert-auth", Some("true")), ("peer-key-file", ANY),
    ("peer-trusted-ca-file", ANY), ("snapshot-count", Some("10000")), ("trusted-ca-file", ANY),
    ("watch-progress-notify-interval", Some("5s")),
];

impl Component {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::ApiServer, Self::ControllerManager, Self::Scheduler, Self::Etcd];

    /// The section of an inventory that has its flags.
    pub fn section(self) -> &'static str {
        match self {
            Self::ApiServer => "kubeadm.api-server",
            Self::ControllerManager => "kubeadm.controller-manager",
            Self::Scheduler => "kubeadm.scheduler",
            Self::Etcd => "etcd.args",
        }
    }

    /// The program's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::ApiServer => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
            Self::Scheduler => "kube-scheduler",
            Self::Etcd => "etcd",
        }
    }

    /// Its manifest.
    pub fn manifest(self) -> String {
        format!("/etc/kubernetes/manifests/{}.yaml", self.name())
    }

    fn own(self) -> &'static [Own] {
        match self {
            Self::ApiServer => API_SERVER,
            Self::ControllerManager => CONTROLLER_MANAGER,
            Self::Scheduler => SCHEDULER,
            Self::Etcd => ETCD,
        }
    }
}

/// A static pod as it stands on a node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pod {
    /// Flags without dashes: all values of each.
    pub flags: BTreeMap<String, Vec<String>>,
    /// Mounts: path in the container → path on the node.
    mounts: BTreeMap<String, String>,
}

impl Pod {
    /// Reads a manifest.
    ///
    /// # Errors
    /// In words.
    pub fn read(manifest: &str) -> Result<Self, String> {
        let value: Value = serde_saphyr::from_str(manifest).map_err(|error| error.to_string())?;
        let spec = &value["spec"];
        let container = &spec["containers"][0];
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let mut pod = Self::default();
        for word in list(&container["command"]).iter().chain(&list(&container["args"])) {
            let Some(flag) = word.as_str().and_then(|word| word.strip_prefix("--")) else { continue };
            let (name, value) = flag.split_once('=').unwrap_or((flag, "true"));
            pod.flags.entry(name.to_owned()).or_default().push(value.to_owned());
        }
        if pod.flags.is_empty() {
            return Err("it has no flags".into());
        }
        let text = |value: &Value| value.as_str().unwrap_or_default().trim_end_matches('/').to_owned();
        let volumes = list(&spec["volumes"]);
        for mount in list(&container["volumeMounts"]) {
            let volume = volumes.iter().find(|volume| volume["name"] == mount["name"]);
            if let Some(path) =
                volume.map(|volume| text(&volume["hostPath"]["path"])).filter(|path| !path.is_empty())
            {
                pod.mounts.insert(text(&mount["mountPath"]), path);
            }
        }
        Ok(pod)
    }

    /// The first value of a flag.
    pub fn flag(&self, name: &str) -> Option<&str> {
        self.flags.get(name)?.first().map(String::as_str)
    }

    /// The flags that are not kubeadm's own, or not with kubeadm's own value. `issuer` is what kubeadm makes of the
    /// cluster's domain.
    pub fn theirs(&self, component: Component, issuer: &str) -> BTreeMap<String, Vec<String>> {
        let own = |(name, values): &(&String, &Vec<String>)| {
            let Some((name, default)) = component.own().iter().find(|(own, _)| own == name) else {
                return false;
            };
            match (*name, default) {
                ("service-account-issuer", _) => values[..] == [issuer],
                ("service-account-key-file", _) => values.len() == 1,
                (_, Some(default)) => values[..] == [*default],
                (_, None) => true,
            }
        };
        let flags = self.flags.iter().filter(|flag| !own(flag));
        flags.map(|(name, values)| (name.clone(), values.clone())).collect()
    }

    /// Where a path of the container lies on the node; `None` where nothing is mounted there.
    pub fn on_node(&self, path: &str) -> Option<String> {
        let below = |mount: &str| {
            let rest = path.strip_prefix(mount)?;
            (rest.is_empty() || rest.starts_with('/')).then(|| rest.to_owned())
        };
        let found = self
            .mounts
            .iter()
            .filter_map(|(mount, host)| Some((mount.len(), format!("{host}{}", below(mount)?))));
        found.max().map(|(_, path)| path)
    }
}

/// The absolute paths in a flag's value, as an inventory's rules see them.
pub fn paths(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').filter_map(|piece| {
        let piece = piece.trim().trim_start_matches("file://");
        let path = piece.starts_with('/').then(|| piece.split(':').next()).flatten()?;
        (path.len() > 1).then_some(path)
    })
}
