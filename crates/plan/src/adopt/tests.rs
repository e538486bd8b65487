use super::*;
use crate::kubeadm::Cgroups;
use component::Component;
use pki::ExposeSecret;

const V1BETA3: &str = include_str!("golden/v1beta3.yaml");
const V1BETA4: &str = include_str!("golden/v1beta4.yaml");

/// A static pod of kubeadm's, with flags of somebody's.
fn manifest(component: Component, flags: &[&str]) -> String {
    let own: &[&str] = match component {
        Component::ApiServer => &[
            "--advertise-address=10.9.0.11",
            "--authorization-mode=Node,RBAC",
            "--client-ca-file=/etc/kubernetes/pki/ca.crt",
            "--enable-admission-plugins=NodeRestriction",
            "--secure-port=6443",
            "--service-account-key-file=/etc/kubernetes/pki/sa.pub",
            "--requestheader-allowed-names=front-proxy-client",
        ],
        Component::ControllerManager => {
            &["--allocate-node-cidrs=true", "--leader-elect=true", "--cluster-name=kubernetes"]
        }
        Component::Scheduler => &["--leader-elect=true", "--kubeconfig=/etc/kubernetes/scheduler.conf"],
        Component::Etcd => &["--name=cp1", "--data-dir=/var/lib/etcd", "--snapshot-count=10000"],
    };
    let issuer = "--service-account-issuer=https://kubernetes.default.svc.cluster.local";
    let issuer = (component == Component::ApiServer && !flags.iter().any(|flag| flag.contains("issuer")))
        .then_some(issuer);
    let words: String =
        own.iter().chain(flags).copied().chain(issuer).map(|flag| format!("    - {flag}\n")).collect();
    format!(
        "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - name: {name}\n    command:\n    - {name}\n{words}    volumeMounts:\n\
         \x20   - {{mountPath: /etc/kubernetes/audit, name: audit, readOnly: true}}\n\
         \x20   - {{mountPath: /etc/kubernetes/ssl/enc, name: enc}}\n\
         \x20   - {{mountPath: /config, name: elsewhere}}\n\
         \x20 volumes:\n\
         \x20 - {{name: audit, hostPath: {{path: /etc/kubernetes/audit, type: DirectoryOrCreate}}}}\n\
         \x20 - {{name: enc, hostPath: {{path: /etc/kubernetes/ssl/enc}}}}\n\
         \x20 - {{name: elsewhere, hostPath: {{path: /opt/config}}}}\n",
        name = component.name()
    )
}

/// A control plane with all that it needs, and these flags of its apiserver's.
fn control_plane(flags: &[&str]) -> Found {
    let mut found = Found { pki: "/etc/kubernetes/pki".into(), ..Found::default() };
    for path in FILES {
        found.files.insert(path.into(), format!("content of {path}\n").into());
    }
    for component in Component::ALL {
        let flags = if component == Component::ApiServer { flags } else { &[] };
        found.files.insert(component.manifest(), manifest(component, flags).into());
    }
    found
}

fn all(found: Found) -> BTreeMap<String, Found> {
    ["cp1", "cp2", "cp3"].map(|name| (name.to_owned(), found.clone())).into()
}

fn seen(kubeadm: &str, version: &str) -> Seen {
    let nodes = [
        "cp1\t10.9.0.11\t10.244.0.0/24\tv1\t{\"kubernetes.io/os\":\"linux\",\"node-role.kubernetes.io/control-plane\":\"\"}\t[{\"effect\":\"NoSchedule\",\"key\":\"node-role.kubernetes.io/control-plane\"}]",
        "w1\t10.9.0.21\t10.244.3.0/24\tv1\t{\"kubernetes.io/hostname\":\"w1\",\"disk\":\"ssd\"}\t[{\"effect\":\"NoExecute\",\"key\":\"gpu\",\"value\":\"a\"},{\"effect\":\"NoSchedule\",\"key\":\"node.kubernetes.io/not-ready\"}]",
        "cp2\t10.9.0.12\t\tv1\t{\"node-role.kubernetes.io/control-plane\":\"\"}\t",
        "cp3\t10.9.0.13\t\tv1\t{\"node-role.kubernetes.io/control-plane\":\"\"}\t",
    ];
    Seen {
        version: version.into(),
        kubeadm: kubeadm.into(),
        proxy: "kind: KubeProxyConfiguration\nmode: \"\"\nbindAddress: 0.0.0.0\nclusterCIDR: 10.233.64.0/18\nmetricsBindAddress: 0.0.0.0:10249\niptables: {masqueradeBit: null, syncPeriod: 0s}\n".into(),
        kubelet: "kind: KubeletConfiguration\ncgroupDriver: systemd\nclusterDNS: [169.254.25.10]\nclusterDomain: cluster.local\nmaxPods: 60\nrotateCertificates: true\nsyncFrequency: 0s\n".into(),
        nodes: nodes.iter().map(|line| node(line).unwrap()).collect(),
        daemonsets: ["kube-system/calico-node".into(), "kube-system/kube-proxy".into()].into(),
    }
}

fn say(seen: &Seen, found: &BTreeMap<String, Found>) -> Result<Adoption, Refused> {
    let collected = collect(seen, found, &[])?;
    let target =
        |user: &str, host: &str, port| inventory::SshTarget { host: host.into(), port, user: user.into() };
    let reach = Reach {
        targets: [
            ("cp1".to_owned(), target("ops", "203.0.113.7", 2222)),
            ("cp2".to_owned(), target("root", "10.9.0.12", 22)),
        ]
        .into(),
        identity: vec!["key".into()],
        bastion: None,
    };
    let destinations = Destinations {
        to: vec!["./archive".into()],
        trust: Some("ed25519:AAAA".into()),
        files: "prod.files".into(),
        payload: true,
        ..Destinations::default()
    };
    let machines = Machines { routes: false, container: false, cgroups: Cgroups::default() };
    adoption(Some("prod"), seen, &collected, machines, &reach, &destinations)
}

#[test]
fn both_versions_of_kubeadms_configuration_become_an_inventory() {
    let mut older = control_plane(&[
        "--audit-log-path=/var/log/audit/kube-apiserver-audit.log",
        "--encryption-provider-config=/etc/kubernetes/ssl/enc/secrets.yaml",
        "--event-ttl=1h0m0s",
    ]);
    // As kubespray lays it out.
    older.pki = "/etc/kubernetes/ssl".into();
    for component in Component::ALL {
        let text =
            older.files[&component.manifest()].expose_secret().replace("/etc/kubernetes/pki", &older.pki);
        older.files.insert(component.manifest(), text.into());
    }
    older.files.insert("/etc/kubernetes/ssl/enc/secrets.yaml".into(), "keys".into());
    let mut text = say(&seen(V1BETA3, "1.35.2"), &all(older)).unwrap().text;
    let mut newer = control_plane(&[
        "--audit-policy-file=/etc/kubernetes/audit/policy.yaml",
        "--service-account-issuer=https://new.example.com",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        "--oidc-ca-file=/config/oidc.crt",
    ]);
    newer.files.insert("/etc/kubernetes/audit/policy.yaml".into(), "rules".into());
    newer.files.insert("/opt/config/oidc.crt".into(), "pem".into());
    let mut stands = seen(V1BETA4, "1.36.3");
    for (i, node) in stands.nodes.iter_mut().enumerate() {
        node.addresses.push(format!("fd00::{}", i + 1).parse().unwrap());
    }
    text.push_str("=====\n");
    text.push_str(&say(&stands, &all(newer)).unwrap().text);
    insta::assert_snapshot!(text);
}

#[test]
fn what_can_not_be_adopted_is_refused_by_name() {
    let good = || all(control_plane(&[]));
    let with = |change: &dyn Fn(&mut Found)| {
        let mut found = good();
        found.values_mut().nth(1).map(change);
        found
    };
    let everywhere = |change: &dyn Fn(&mut Found)| {
        let mut found = good();
        found.values_mut().for_each(change);
        found
    };
    let other = |path: &'static str| {
        with(&move |found: &mut Found| drop(found.files.insert(path.into(), "another".into())))
    };
    let without = |path: &'static str| everywhere(&move |found: &mut Found| drop(found.files.remove(path)));
    let encrypts = |path: &str| all(control_plane(&[&format!("--encryption-provider-config={path}")]));
    let v1beta4 = |from: &str, to: &str| seen(&V1BETA4.replace(from, to), "1.36.3");
    let stands = || v1beta4(",fd00:10:244::/56", "");
    let single =
        || seen(&V1BETA4.replace(",fd00:10:244::/56", "").replace(",fd00:10:96::/112", ""), "1.36.3");
    assert!(say(&single(), &good()).is_ok());
    let mut marks = everywhere(&|found| found.mark = Some("c0ffee".into()));
    marks.values_mut().last().unwrap().mark = Some("bad".into());
    let cases = [
        ("another key", single(), other("/etc/kubernetes/pki/sa.key")),
        ("another CA", single(), other("/etc/kubernetes/pki/etcd/ca.crt")),
        ("no CA key", single(), without("/etc/kubernetes/pki/ca.key")),
        ("no manifest", single(), without("/etc/kubernetes/manifests/etcd.yaml")),
        ("keys that nobody has", single(), encrypts("/etc/kubernetes/encryption/config.yaml")),
        ("another mark", single(), marks),
        (
            "another port",
            single(),
            everywhere(&|found| {
                let path = Component::ApiServer.manifest();
                let text = found.files[&path].expose_secret().replace("6443", "8443");
                found.files.insert(path, text.into());
            }),
        ),
        ("families that differ", stands(), good()),
        (
            "external etcd",
            v1beta4(
                "  local:\n    dataDir: /var/lib/etcd",
                "  external:\n    endpoints: [\"https://10.9.0.31:2379\"]",
            ),
            good(),
        ),
        ("another disk", v1beta4("/var/lib/etcd", "/data/etcd"), good()),
        ("another folder", v1beta4("/etc/kubernetes/pki", "/srv/pki"), good()),
        ("a version nobody knows", v1beta4("v1beta4", "v1beta2"), good()),
        (
            "an old version",
            seen(&V1BETA4.replace(",fd00:10:244::/56", "").replace(",fd00:10:96::/112", ""), "1.34.4"),
            good(),
        ),
    ];
    let lines = cases.map(|(case, seen, found)| match say(&seen, &found) {
        Ok(_) => format!("{case}: adopted"),
        Err(why) => format!("{case}: {}", why.join("\n    ")),
    });
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn a_key_that_is_kept_elsewhere_is_taken_where_it_belongs() {
    let seen = seen(&V1BETA4.replace(",fd00:10:244::/56", "").replace(",fd00:10:96::/112", ""), "1.36.3");
    let cluster = "[cluster]\nname = \"a\"\nkubernetes = \"1.36.3\"\n[nodes]\ncp1 = { address = \"10.0.0.11\", role = \"control-plane\" }\n";
    let cluster = inventory::parse("x", cluster).unwrap().cluster;
    let now = time::OffsetDateTime::from_unix_timestamp(1_795_000_000).unwrap();
    let bundle = |_| pki::Bundle::mint(&cluster, None, now, &mut pki::SystemEntropy).unwrap();
    let [theirs, other] = [0, 1].map(bundle);
    let mut found = control_plane(&[]);
    found
        .files
        .insert("/etc/kubernetes/pki/ca.crt".into(), theirs.authority(pki::Ca::Cluster).certificate().into());
    found.files.remove("/etc/kubernetes/pki/ca.key");
    let key = |bundle: &pki::Bundle| bundle.authority(pki::Ca::Cluster).key().clone();
    let with = |keys: &[pki::Secret]| collect(&seen, &all(found.clone()), keys);
    let taken = with(&[key(&other), key(&theirs)]).unwrap().entries["pki/ca.key"].clone();
    assert_eq!(taken.expose_secret(), key(&theirs).expose_secret());
    assert!(
        with(&[key(&other)]).unwrap_err()[0].starts_with("no control plane has /etc/kubernetes/pki/ca.key")
    );
}

#[test]
fn answers_are_understood_or_refused() {
    let output = |stdout: &str| Output { status: 0, stdout: stdout.into(), stderr: String::new() };
    assert_eq!(seen_words(&output("refused no kubectl\n")), "no kubectl");
    for text in ["", "version 1.36.3\n", "bogus\nend .\n", "kubeadm *\nend .\n", "node a\tb\nend .\n"] {
        assert!(super::seen(&output(text)).is_err(), "{text:?}");
    }
    let said = "mark c0ffee\nroutes yes\naddress 10.0.0.1\naddress fe80::1\npki /etc/kubernetes/ssl\nfile /a YQ==\nfile /b *\nother /c\nmissing /d\nend .\n";
    let found = super::found(&output(said)).unwrap();
    assert_eq!((found.mark.as_deref(), found.routes, found.addresses.len()), (Some("c0ffee"), true, 2));
    assert_eq!(found.files.keys().collect::<Vec<_>>(), ["/a"]);
    assert_eq!(found.other.iter().collect::<Vec<_>>(), ["/b", "/c"]);
    assert!(super::found(&output("file /a YQ==\n")).is_err());
}

fn seen_words(output: &Output) -> String {
    super::seen(output).unwrap().unwrap_err()
}
