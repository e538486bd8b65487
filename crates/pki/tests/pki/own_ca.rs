//! A user's own CA: taken in, or refused in words.

use crate::site::{Root, ipv4, node_files, noon};
use pki::{Body, Bundle, Ca, Error, ExposeSecret, OwnCa, SystemEntropy};
use std::fs;

/// A root CA, an intermediate below it, and everything that can be wrong with one. The periods are fixed:
/// good ones hold in 2026.
const MAKE: &str = r#"
ca() { # NAME SUBJECT SIGNER KEY-OPTIONS EXTENSIONS BEGIN END
    openssl genpkey $4 -out "$1.key"
    openssl req -new -key "$1.key" -subj "$2" -out "$1.csr"
    printf "$5" >"$1.ext"
    : >"$1.db"
    printf '[ca]\ndefault_ca=d\n[d]\ndatabase=%s.db\nnew_certs_dir=.\nrand_serial=yes\ndefault_md=sha256\n' "$1" >"$1.cnf"
    printf 'policy=p\nunique_subject=no\npreserve=yes\n[p]\ncommonName=optional\norganizationName=optional\n' >>"$1.cnf"
    printf 'organizationalUnitName=optional\ndomainComponent=optional\n' >>"$1.cnf"
    signer="-cert $3.crt -keyfile $3.key"
    [ "$3" != "$1" ] || signer="-selfsign -keyfile $1.key"
    openssl ca -batch -config "$1.cnf" $signer -in "$1.csr" -out "$1.pem" -extfile "$1.ext" \
        -startdate "$6" -enddate "$7" -notext 2>"$1.log" || { cat "$1.log"; exit 1; }
    mv "$1.pem" "$1.crt"
}
EC='-algorithm EC -pkeyopt ec_paramgen_curve:P-256'
CA='basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign,digitalSignature\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid'
IN='20260101000000Z 20360101000000Z'
ca root '/O=Example/CN=root' root "$EC" "$CA" $IN
ca mid '/O=Example/OU=Platform/CN=kubernetes ca' root "$EC" "$CA" $IN
ca low '/O=Example/CN=low' mid "$EC" "$CA" $IN
ca p384 '/CN=p384' p384 '-algorithm EC -pkeyopt ec_paramgen_curve:P-384' "$CA" $IN
ca rsa '/CN=rsa' rsa '-algorithm RSA -pkeyopt rsa_keygen_bits:2048' "$CA" $IN
ca ed '/CN=ed' ed '-algorithm ED25519' "$CA" $IN
ca server '/CN=server' root "$EC" 'basicConstraints=CA:FALSE\nkeyUsage=digitalSignature' $IN
ca nosign '/CN=nosign' root "$EC" 'basicConstraints=critical,CA:TRUE\nkeyUsage=digitalSignature' $IN
ca old '/CN=old' root "$EC" "$CA" 20200101000000Z 20260101000000Z
ca later '/CN=later' root "$EC" "$CA" 20300101000000Z 20360101000000Z
ca short '/CN=short' short "$EC" "$CA" 20260101000000Z 20261224000000Z
ca twice '/DC=com/DC=example/CN=twice' root "$EC" "$CA" $IN
ca nobody '/' root "$EC" "$CA" $IN
cat mid.crt root.crt >mid-root.crt
cat root.crt mid.crt >root-mid.crt
cat low.crt root.crt >gap.crt
openssl pkey -in mid.key -aes256 -passout pass:x -out locked.key
openssl pkey -in mid.key -traditional -out mid.sec1.key
{ openssl ecparam -name prime256v1; cat mid.sec1.key; } >mid.params.key
openssl pkey -in rsa.key -traditional -out rsa.pkcs1.key
: >empty
"#;

fn made() -> Root {
    let root = Root::empty();
    root.sh(MAKE).unwrap();
    root
}

fn mint(root: &Root, certificate: &str, key: &str) -> Result<Bundle, Error> {
    let read = |name: &str| fs::read_to_string(root.at(name)).unwrap();
    let own = OwnCa { certificate: read(certificate), key: read(key).into() };
    Bundle::mint(&ipv4(), Some(&own), noon(), &mut SystemEntropy)
}

#[test]
fn a_ca_that_will_not_do_is_refused_in_words() {
    let root = made();
    let cases = [
        ("mid.crt", "empty"),
        ("mid.crt", "mid.crt"),
        ("mid.crt", "locked.key"),
        ("mid.crt", "low.key"),
        ("root-mid.crt", "mid.key"),
        ("gap.crt", "low.key"),
        ("empty", "mid.key"),
        ("server.crt", "server.key"),
        ("nosign.crt", "nosign.key"),
        ("old.crt", "old.key"),
        ("later.crt", "later.key"),
        ("ed.crt", "ed.key"),
        ("twice.crt", "twice.key"),
        ("nobody.crt", "nobody.key"),
    ];
    let mut text = String::new();
    for (certificate, key) in cases {
        let error = mint(&root, certificate, key).unwrap_err();
        let hint = error.hint().unwrap_or("-");
        text.push_str(&format!("{certificate} + {key}\n    {error}\n    hint: {hint}\n"));
    }
    insta::assert_snapshot!(text);
}

#[test]
fn a_root_or_an_intermediate_signs_and_only_its_own_certificate_goes_to_nodes() {
    let made = made();
    let cluster = ipv4();
    for (certificate, key) in [
        ("root.crt", "root.key"),
        ("mid.crt", "mid.key"),
        ("mid-root.crt", "mid.key"),
        ("mid-root.crt", "mid.params.key"),
        ("p384.crt", "p384.key"),
        ("rsa.crt", "rsa.key"),
        ("rsa.crt", "rsa.pkcs1.key"),
    ] {
        let bundle = mint(&made, certificate, key).unwrap();
        let root = Root::of(&bundle, &cluster, "cp1");
        let ca = root.sh("cat etc/kubernetes/pki/ca.crt").unwrap();
        assert_eq!(ca.matches("BEGIN").count(), 1, "{certificate}");
        assert!(
            fs::read_to_string(made.at(certificate)).unwrap().starts_with(&ca),
            "{certificate}: the first"
        );
        let at = noon().unix_timestamp();
        root.sh(&format!(
            "openssl verify -attime {at} -x509_strict -partial_chain -purpose sslserver \
             -CAfile etc/kubernetes/pki/ca.crt etc/kubernetes/pki/apiserver.crt"
        ))
        .unwrap();
        let public = root.sh("openssl pkey -pubout -in etc/kubernetes/pki/ca.key").unwrap();
        assert_eq!(public, root.sh("openssl x509 -noout -pubkey -in etc/kubernetes/pki/ca.crt").unwrap());
        let again = Bundle::from_entries(&bundle.entries()).unwrap();
        assert_eq!(again.authority(Ca::Cluster).certificate(), ca);
    }
}

#[test]
fn openssl_takes_an_intermediate_as_the_anchor_only_with_partial_chain() {
    let bundle = mint(&made(), "mid.crt", "mid.key").unwrap();
    let root = Root::of(&bundle, &ipv4(), "cp1");
    let verify = format!(
        "openssl verify -attime {} -CAfile etc/kubernetes/pki/ca.crt etc/kubernetes/pki/apiserver.crt",
        noon().unix_timestamp()
    );
    root.sh(&verify).unwrap_err();
    root.sh(&verify.replace("verify", "verify -partial_chain")).unwrap();
}

#[test]
fn a_leaf_does_not_outlive_a_users_ca() {
    let bundle = mint(&made(), "short.crt", "short.key").unwrap();
    let cluster = ipv4();
    let leafs = node_files(&bundle, &cluster, "w1").leafs;
    let serving = leafs.iter().find(|leaf| leaf.files[1].path.ends_with("kubelet.crt")).unwrap();
    let Body::Public(text) = &serving.files[1].body else { panic!("a certificate is public") };
    let read = pki::Certificate::from_pem("kubelet.crt", text).unwrap();
    assert_eq!(read.not_after, bundle.authority(Ca::Cluster).not_after());
    assert_eq!(serving.wants.min_days, 9);
}

#[test]
fn a_ca_that_is_in_the_bundle_is_kept_whatever_the_inventory_brings() {
    let made = made();
    let first = mint(&made, "mid.crt", "mid.key").unwrap();
    let read = |name: &str| fs::read_to_string(made.at(name)).unwrap();
    let other = OwnCa { certificate: read("root.crt"), key: read("root.key").into() };
    let again = Bundle::complete(first.entries(), &ipv4(), Some(&other), noon(), &mut SystemEntropy).unwrap();
    assert_eq!(again.authority(Ca::Cluster).certificate(), first.authority(Ca::Cluster).certificate());
    assert_eq!(again.sa_key().expose_secret(), first.sa_key().expose_secret());
}
