//! A bucket of a real S3 server as a destination.

use crate::fault_proxy::Proxy;
use crate::place::{plain, set, words};
use crate::s3_server::Server;
use archive::{Archive, Credentials, Destination, Digest, Name, Prefix, Put, S3, S3Settings, Trust};
use std::sync::Barrier;

fn object(bytes: &[u8]) -> Name {
    Name::Object(Digest::of(bytes))
}

#[test]
fn what_was_put_is_there_and_stays_as_it_is() {
    let Some(server) = Server::start() else { return };
    let place = S3::new(&server.settings("prod")).unwrap();
    assert_eq!(place.get(&Name::Format, 100).unwrap(), None);
    assert_eq!(place.list(Prefix::Epochs).unwrap(), []);
    assert_eq!(place.put_new(&Name::Format, b"one").unwrap(), Put::Written);
    assert_eq!(place.put_new(&Name::Format, b"two").unwrap(), Put::Existed);
    assert_eq!(place.get(&Name::Format, 3).unwrap().as_deref(), Some(&b"one"[..]));
    assert_eq!(words(&place.get(&Name::Format, 2).unwrap_err()), too_large("FORMAT", 2));
    assert_eq!(place.put_new(&Name::Epoch(1), b"").unwrap(), Put::Written);
    assert_eq!(place.get(&Name::Epoch(1), 0).unwrap().as_deref(), Some(&b""[..]));
    assert_eq!(place.list(Prefix::Epochs).unwrap(), [Name::Epoch(1)]);
    // Another prefix of the bucket, and one that only begins alike, are other places.
    for other in ["prod2", "pro", ""] {
        let other = S3::new(&server.settings(other)).unwrap();
        assert_eq!(other.get(&Name::Format, 100).unwrap(), None);
        assert_eq!(other.list(Prefix::Epochs).unwrap(), []);
    }
    assert_eq!(place.describe(), format!("s3://backups/prod (http://{})", server.address));
    for _ in 0..2 {
        place.remove(&Name::Epoch(1)).unwrap();
        assert_eq!(place.get(&Name::Epoch(1), 0).unwrap(), None);
    }
}

fn too_large(name: &str, limit: u64) -> String {
    format!("s3://backups/prod/{name} has more than the {limit} bytes that it may have")
}

#[test]
fn a_file_is_streamed_and_comes_back_in_pieces() {
    let Some(server) = Server::start() else { return };
    let proxy = Proxy::before(server.address);
    let place = server.through(proxy.address, "prod");
    let bytes: Vec<u8> = (0..5_000_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 9) as u8).collect();
    let file = server.folder.path().join("file");
    std::fs::write(&file, &bytes).unwrap();
    let name = object(&bytes);
    assert_eq!(place.put_new_file(&name, &file).unwrap(), Put::Written);
    assert_eq!(place.put_new_file(&name, &file).unwrap(), Put::Existed);
    let mut back = Vec::new();
    assert_eq!(place.copy_to(&name, bytes.len() as u64, &mut back).unwrap(), Some(bytes.len() as u64));
    assert!(back == bytes);
    std::fs::write(&file, b"").unwrap();
    assert_eq!(place.put_new_file(&object(b""), &file).unwrap(), Put::Written);
    assert_eq!(place.get(&object(b""), 0).unwrap().as_deref(), Some(&b""[..]));
    place.put_new(&Name::Format, b"one").unwrap();

    // Every PUT, streamed or not, is conditional and carries the checksum of its body.
    let puts: Vec<_> = proxy.heads().into_iter().filter(|head| head.starts_with("put ")).collect();
    assert_eq!(puts.len(), 3, "what is there is not sent again");
    for put in puts {
        assert!(put.contains("\r\nif-none-match: *\r\n"), "{put}");
        assert!(put.contains("\r\nx-amz-checksum-sha256: "), "{put}");
        assert!(put.contains("x-amz-checksum-sha256"), "{put}");
    }
}

#[test]
fn more_names_than_a_page_holds_are_listed() {
    let Some(server) = Server::start() else { return };
    let place = S3::new(&server.settings("prod")).unwrap();
    // Written beside the server, as it would: one PUT each would take long.
    std::fs::create_dir_all(server.file("prod/epoch")).unwrap();
    for n in 1..=2345 {
        std::fs::write(server.file(&format!("prod/epoch/{n}.json")), b"{}").unwrap();
    }
    std::fs::write(server.file("prod/epoch/no name of ours"), b"").unwrap();
    let mut listed = place.list(Prefix::Epochs).unwrap();
    listed.sort();
    assert_eq!(listed, (1..=2345).map(Name::Epoch).collect::<Vec<_>>());
}

#[test]
fn of_two_who_write_one_name_one_is_first() {
    let Some(server) = Server::start() else { return };
    for n in 1..=10 {
        let barrier = Barrier::new(2);
        let write = |text: &'static [u8]| {
            let place = S3::new(&server.settings("prod")).unwrap();
            barrier.wait();
            place.put_new(&Name::Epoch(n), text).unwrap()
        };
        let (a, b) = std::thread::scope(|scope| {
            let (a, b) = (scope.spawn(|| write(b"ada")), scope.spawn(|| write(b"bob")));
            (a.join().unwrap(), b.join().unwrap())
        });
        let found = S3::new(&server.settings("prod")).unwrap().get(&Name::Epoch(n), 3).unwrap().unwrap();
        match found.as_slice() {
            b"ada" => assert_eq!((a, b), (Put::Written, Put::Existed)),
            _ => assert_eq!((a, b), (Put::Existed, Put::Written)),
        }
    }
}

#[test]
fn what_cannot_be_used_says_why() {
    let Some(server) = Server::start() else { return };
    let good = server.settings("prod");
    let keys = server.folder.path().join("wrong");
    std::fs::write(&keys, "aws_access_key_id = tester\naws_secret_access_key = nope\n").unwrap();
    let with = |credentials: Credentials| S3Settings { credentials, ..good.clone() };
    let at = |endpoint: String| S3Settings { endpoint: Some(endpoint), ..good.clone() };
    let cases = [
        (S3Settings { url: "s3://elsewhere/prod".into(), ..good.clone() }, "404 Not Found: NoSuchBucket"),
        (with(Credentials::File(keys)), "403 Forbidden: SignatureDoesNotMatch"),
        (with(Credentials::File("/nowhere/keys".into())), "no credentials: /nowhere/keys: No such file"),
        (with(Credentials::Command("echo hush >&2; exit 4".into())), "exit status: 4: hush"),
        (at("http://127.0.0.1:1".into()), "Connection refused"),
        (at(format!("https://{}", server.address)), ""),
        (at("http://no-such-name.invalid".into()), ""),
    ];
    for (settings, expected) in cases {
        let place = S3::new(&settings).unwrap();
        let said = words(&place.get(&Name::Format, 10).unwrap_err());
        println!("{said}");
        assert!(said.starts_with(&format!("cannot read {}/FORMAT: ", settings.url)), "{said}");
        assert!(said.contains(expected), "{said}");
        assert!(!said.contains("Credential=") && said.len() < 500, "{said}");
        let said = words(&place.put_new(&Name::Format, b"x").unwrap_err());
        assert!(said.contains(expected), "{said}");
        let said = words(&place.list(Prefix::Generations).unwrap_err());
        assert!(said.contains(expected), "{said}");
        let file = server.folder.path().join("keys");
        let said = words(&place.put_new_file(&Name::Format, &file).unwrap_err());
        println!("{said}");
        assert!(said.contains(expected) && !said.contains("X-Amz"), "{said}");
    }
    for url in ["s3:/backups", "s3://", "s3://a", "s3://back ups/x", "https://backups", "s3://backups/a//b"] {
        assert!(S3::new(&S3Settings { url: url.into(), ..good.clone() }).is_err(), "{url}");
    }
    for endpoint in ["127.0.0.1:9000", "ftp://here", "http://here/there"] {
        assert!(S3::new(&at(endpoint.into())).is_err(), "{endpoint}");
    }
}

#[test]
fn an_own_ca_and_a_name_of_the_hosts_file() {
    let ca_key = rcgen::KeyPair::generate().unwrap();
    let mut ca = rcgen::CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
    let issuer = rcgen::Issuer::from_params(&ca, &ca_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let leaf = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &issuer).unwrap();
    let Some(server) = Server::start_with(Some((&leaf.pem(), &key.serialize_pem()))) else { return };
    let file = server.folder.path().join("ca.pem");
    std::fs::write(&file, ca_pem).unwrap();
    let endpoint = Some(format!("https://localhost:{}", server.address.port()));
    let settings = S3Settings { endpoint, ca: Some(file.clone()), ..server.settings("prod") };
    let place = S3::new(&settings).unwrap();
    assert_eq!(place.put_new(&Name::Format, b"one").unwrap(), Put::Written);
    assert_eq!(place.put_new_file(&Name::Recover, &file).unwrap(), Put::Written);
    assert_eq!(place.get(&Name::Format, 3).unwrap().as_deref(), Some(&b"one"[..]));
    // Without it nobody knows that server.
    let said = words(
        &S3::new(&S3Settings { ca: None, ..settings.clone() }).unwrap().get(&Name::Format, 3).unwrap_err(),
    );
    assert!(said.contains("certificate"), "{said}");
    std::fs::write(&file, "no certificate").unwrap();
    assert!(S3::new(&settings).is_err());
}

/// The binary calls from within a runtime.
#[tokio::test]
async fn an_archive_in_a_bucket_is_sealed_and_opened_within_a_runtime() {
    let server = tokio::task::spawn_blocking(Server::start).await.unwrap();
    let Some(server) = server else { return };
    let place = || Box::new(S3::new(&server.settings("prod")).unwrap()) as Box<dyn Destination>;
    let set = set(1);
    let sealed = set.seal(&Archive::at(vec![place()]).unwrap(), None).unwrap();
    assert!(sealed.new && sealed.failed.is_empty());
    let opened =
        Archive::at(vec![place()]).unwrap().open_identity(&set.identities, &Trust::FirstUse).unwrap();
    assert!(plain(&opened.entries) == plain(&set.entries));
}
