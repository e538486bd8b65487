//! Reading back what was written, by us and by others.

use crate::site::{Root, ipv4, mint, node_files, noon};
use pki::{Body, Ca, Certificate, ExposeSecret, Kubeconfig, SystemEntropy};
use time::Duration;

#[test]
fn a_certificate_says_what_it_was_made_for() {
    let cluster = ipv4();
    let bundle = mint(&cluster);
    let mut seen = 0;
    for leaf in node_files(&bundle, &cluster, "cp1").leafs {
        let Some(Body::Public(text)) = leaf.files.get(1).map(|file| &file.body) else { continue };
        let read = Certificate::from_pem("leaf", text).unwrap();
        seen += 1;
        let subject = &leaf.wants.subject;
        assert_eq!(read.common_name, subject.common_name);
        assert_eq!(read.organizations, subject.organization.into_iter().collect::<Vec<_>>());
        assert_eq!(read.names, subject.names);
        assert_eq!(read.addresses, subject.addresses);
        assert_eq!(read.usages, subject.usages);
        assert!(!read.is_ca);
    }
    assert_eq!(seen, 8, "every pair of files");
}

#[test]
fn a_foreign_certificate_is_read() {
    let root = Root::empty();
    root.sh(
        "openssl req -x509 -newkey rsa:2048 -nodes -keyout key -out crt -days 10 -subj '/O=One/O=Two/CN=a/CN=b' \
         -addext 'subjectAltName=DNS:x.example,email:a@b.example,IP:::1,IP:192.0.2.1' \
         -addext 'extendedKeyUsage=emailProtection,clientAuth' 2>/dev/null",
    )
    .unwrap();
    let read = Certificate::from_pem("crt", &root.sh("cat crt").unwrap()).unwrap();
    let Certificate { not_before, not_after, public_key_hash, .. } = read.clone();
    assert_eq!(not_after - not_before, Duration::days(10));
    assert_eq!(public_key_hash.len(), "sha256:".len() + 64);
    insta::assert_debug_snapshot!((
        (read.common_name, read.organizations, read.issuer),
        (read.names, read.addresses, read.usages, read.is_ca)
    ));
}

#[test]
fn the_hash_of_a_ca_is_kubeadms() {
    let cluster = ipv4();
    let bundle = mint(&cluster);
    let root = Root::of(&bundle, &cluster, "w1");
    let hash = root
        .sh("openssl x509 -pubkey -noout -in etc/kubernetes/pki/ca.crt | openssl pkey -pubin -outform DER | sha256sum")
        .unwrap();
    let hash = hash.split_whitespace().next().unwrap();
    assert_eq!(bundle.authority(Ca::Cluster).public_key_hash(), format!("sha256:{hash}"));
}

#[test]
fn days_left_are_whole_and_negative_once_it_is_over() {
    let cluster = ipv4();
    let bundle = mint(&cluster);
    let read = Certificate::from_pem("ca", bundle.authority(Ca::Cluster).certificate()).unwrap();
    let left = |after: Duration| read.days_left(noon() + after);
    assert_eq!(left(Duration::ZERO), 3650);
    assert_eq!(left(Duration::SECOND), 3649);
    assert_eq!(left(Duration::days(3650)), 0);
    assert_eq!(left(Duration::days(3650) + Duration::SECOND), -1);
}

#[test]
fn an_operators_kubeconfig_says_what_was_asked() {
    let cluster = ipv4();
    let bundle = mint(&cluster);
    let ask = |server, name| {
        let text = bundle.admin_kubeconfig(&cluster, server, name, noon(), &mut SystemEntropy).unwrap();
        let read = Kubeconfig::read("kubeconfig", text.expose_secret()).unwrap();
        assert_eq!(read.ca.as_deref(), Some(bundle.authority(Ca::Cluster).certificate()));
        let certificate = read.certificate.unwrap();
        let names: String =
            text.expose_secret().lines().filter(|line| line.contains("tls-server-name")).collect();
        format!("{} [{names}] {} {:?}", read.server, certificate.common_name, certificate.organizations)
    };
    insta::assert_snapshot!(ask("https://127.0.0.1:40001", Some("api.prod.internal")));
    insta::assert_snapshot!(ask("https://[fd00::1]:6443", None));
}

#[test]
fn a_cluster_may_be_called_like_a_number() {
    let mut cluster = ipv4();
    let mut names = String::new();
    for name in ["prod", "123", "true", "1e3"] {
        cluster.name = name.into();
        let text = mint(&cluster)
            .admin_kubeconfig(&cluster, "https://a:6443", None, noon(), &mut SystemEntropy)
            .unwrap();
        names.extend(
            text.expose_secret().lines().filter(|line| line.contains("name: ") || line.contains("cluster: ")),
        );
        names.push('\n');
    }
    insta::assert_snapshot!(names);
}

#[test]
fn a_kubeconfig_that_is_none_is_refused_in_words() {
    let texts = [
        "",
        "server: https://a:6443\nserver: https://b:6443\n",
        "server: https://a:6443\nclient-certificate-data: ***\n",
        "server: https://a:6443\nclient-certificate-data: eA==\n",
    ];
    let refusals: Vec<_> =
        texts.iter().map(|text| Kubeconfig::read("admin.conf", text).unwrap_err().to_string()).collect();
    insta::assert_snapshot!(refusals.join("\n"));
}
