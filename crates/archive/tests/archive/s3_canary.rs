//! What a credential may do with a bucket of a real server, and what is said of it.

use crate::fault_proxy::{Fault, Proxy};
use crate::place::words;
use crate::s3_server::Server;
use archive::{Canary, Credentials, Destination, Name, Put, S3, S3Settings, Tried};

#[test]
fn the_servers_own_user_may_do_all_and_is_told_so() {
    let Some(server) = Server::start() else { return };
    let place = S3::new(&server.settings("prod")).unwrap();
    let allowed = Canary { overwrite: Tried::Allowed, delete: Tried::Allowed };
    // It is there again after each try that removed it.
    assert_eq!(place.canary().unwrap(), allowed);
    assert_eq!(place.canary().unwrap(), allowed);
    assert_eq!(place.get(&Name::Format, 10).unwrap(), None);
}

#[test]
fn a_server_that_asks_for_the_condition_and_knows_no_delete() {
    let Some(server) = Server::start() else { return };
    let proxy = Proxy::before(server.address);
    let place = server.through(proxy.address, "prod");
    proxy.be(Fault::Policy);
    let refused = Canary { overwrite: Tried::Refused, delete: Tried::Refused };
    assert_eq!(place.canary().unwrap(), refused);
    assert_eq!(place.canary().unwrap(), refused);
    // What nodes do goes on.
    assert_eq!(place.put_new(&Name::Format, b"one").unwrap(), Put::Written);
    assert_eq!(place.put_new(&Name::Format, b"two").unwrap(), Put::Existed);
    // A bucket that fails proves nothing.
    proxy.be(Fault::Says(500));
    assert!(words(&place.canary().unwrap_err()).contains("500"));
    proxy.be(Fault::PutSays(507));
    let canary = place.canary().unwrap();
    assert!(matches!(&canary.overwrite, Tried::Unclear(said) if said.contains("507")), "{canary:?}");
}

#[test]
fn a_credential_that_can_read_only_is_told_in_words() {
    let Some(server) = Server::start() else { return };
    let keys = server.folder.path().join("wrong");
    std::fs::write(&keys, "aws_access_key_id = tester\naws_secret_access_key = nope\n").unwrap();
    let settings = S3Settings { credentials: Credentials::File(keys), ..server.settings("prod") };
    let said = words(&S3::new(&settings).unwrap().canary().unwrap_err());
    assert!(said.starts_with("cannot write s3://backups/prod/canary: ") && said.contains("403"), "{said}");
}
