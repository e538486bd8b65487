//! A folder and a bucket whose server, or the way to it, fails: a seal says which of them has it, and never that
//! a place has what it does not give back.

use crate::fault_proxy::{Fault, Proxy};
use crate::place::{plain, set, words};
use crate::s3_server::Server;
use archive::{Archive, Destination, Folder, Name, Put, Trust};
use std::time::{Duration, Instant};

/// What is said of the bucket; `None` where the seal is proven there all the same.
type Said = Option<&'static str>;

/// With each fault: what a first seal says, which is refused where a place can't be read, and what a further one does.
const CASES: [(Fault, Said, Said); 11] = [
    (Fault::None, None, None),
    (Fault::LosesAcks, None, None),
    // What is missing is asked for.
    (Fault::Cuts(10), None, None),
    (Fault::Closes, Some("FORMAT: connection closed"), Some("connection closed")),
    (Fault::Says(503), Some("the server answers 503"), Some("the server answers 503")),
    (Fault::Says(404), Some("the server answers 404"), Some("the server answers 404")),
    (Fault::PutSays(507), Some("the server answers 507"), Some("the server answers 507")),
    (Fault::PutSays(403), Some("the server answers 403"), Some("the server answers 403")),
    (Fault::Halves, Some("FORMAT was read back"), Some("")),
    (Fault::Flips, Some("FORMAT was read back"), Some("")),
    (Fault::Forgets, Some("FORMAT was read back"), Some("was read back")),
];

#[test]
fn a_seal_is_proven_only_where_it_can_be_read_back() {
    let Some(server) = Server::start() else { return };
    std::thread::scope(|scope| {
        for (fault, first, further) in CASES {
            let server = &server;
            scope.spawn(move || {
                try_with(server, fault, true, first);
                try_with(server, fault, false, further);
            });
        }
    });
}

/// Seals with a fault into two folders and a bucket, which are empty when it is the `first` time, and then well.
fn try_with(server: &Server, fault: Fault, first: bool, expected: Said) {
    let proxy = Proxy::before(server.address);
    let prefix = format!("{fault:?}-{first}").replace(['(', ')'], "-");
    let bucket = server.through(proxy.address, &prefix);
    let at = bucket.describe();
    // Two, so that the epoch has its majority without the bucket.
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let place = folders[0].path().display().to_string();
    let folders = folders.each_ref().map(|it| Box::new(Folder::new(it.path(), None)) as Box<dyn Destination>);
    let all = folders.into_iter().chain([Box::new(bucket) as Box<dyn Destination>]);
    let archive = Archive::at(all.collect()).unwrap();
    let mut set = set(1);
    let open =
        |archive: &Archive, set: &crate::place::Set| archive.open_identity(&set.identities, &Trust::FirstUse);
    let mut previous = None;
    if !first {
        set.seal(&archive, None).unwrap();
        previous = Some(open(&archive, &set).unwrap());
        set.entries.insert("more".into(), archive::Secret::new(*b"more"));
    }

    proxy.be(fault);
    let begun = Instant::now();
    let sealed = set.seal(&archive, previous.as_ref());
    let took = begun.elapsed();
    println!("{fault:?}, first {first}: {took:?} {sealed:?}");
    assert!(took < Duration::from_secs(60), "{fault:?} took {took:?}");
    match (expected, sealed) {
        (None, sealed) => assert!(sealed.unwrap().proven.contains(&at), "{fault:?}"),
        (Some(said), Ok(sealed)) => {
            assert!(sealed.proven.contains(&place) && !sealed.proven.contains(&at), "{fault:?}");
            let failed = sealed.failed.iter().find(|failed| failed.at == at).unwrap();
            assert!(failed.why.contains(said), "{fault:?}: {}", failed.why);
        }
        (Some(said), Err(error)) => {
            let error = words(&error);
            assert!(first && error.contains(&at) && error.contains(said), "{fault:?}: {error}");
        }
    }

    // The next run, with a server that is well, pays what is owed.
    proxy.be(Fault::None);
    let opened = open(&archive, &set).ok();
    let again = set.seal(&archive, opened.as_ref()).unwrap();
    assert!(again.failed.is_empty(), "{fault:?}: {:?}", again.failed);
    let alone = Archive::at(vec![Box::new(server.through(server.address, &prefix))]).unwrap();
    assert!(plain(&open(&alone, &set).unwrap().entries) == plain(&set.entries), "{fault:?}");
}

#[test]
fn an_old_listing_hides_a_set_and_no_other_place_forgets_it() {
    let Some(server) = Server::start() else { return };
    let proxy = Proxy::before(server.address);
    let folder = tempfile::tempdir().unwrap();
    let archive = Archive::at(vec![
        Box::new(server.through(proxy.address, "prod")),
        Box::new(Folder::new(folder.path(), None)),
    ])
    .unwrap();
    let mut set = set(1);
    set.seal(&archive, None).unwrap();
    proxy.be(Fault::OldLists);
    // The listing of an empty bucket, as it was the first time.
    let opened = archive.open_identity(&set.identities, &Trust::FirstUse).unwrap();
    assert_eq!(opened.holding.lacking, [format!("s3://backups/prod (http://{})", proxy.address)]);
    set.entries.insert("more".into(), archive::Secret::new(*b"more"));
    let sealed = set.seal(&archive, Some(&opened)).unwrap();
    assert!(sealed.new);
    let opened = archive.open_identity(&set.identities, &Trust::FirstUse).unwrap();
    assert!(plain(&opened.entries) == plain(&set.entries));
}

#[test]
fn a_call_to_a_server_that_hangs_ends() {
    let Some(server) = Server::start() else { return };
    let proxy = Proxy::before(server.address);
    let place = server.through(proxy.address, "prod");
    proxy.be(Fault::Hangs);
    let begun = Instant::now();
    assert!(words(&place.put_new(&Name::Format, b"x").unwrap_err()).ends_with("no answer within 30 s"));
    assert!(begun.elapsed() < Duration::from_secs(35));
    // Stored, and not told: what lies there decides.
    proxy.be(Fault::LosesAcks);
    assert_eq!(place.put_new(&Name::Format, b"x").unwrap(), Put::Existed);
    assert_eq!(place.put_new_file(&Name::Recover, &server.folder.path().join("keys")).unwrap(), Put::Existed);
    proxy.be(Fault::None);
    assert_eq!(place.get(&Name::Format, 1).unwrap().as_deref(), Some(&b"x"[..]));
}
