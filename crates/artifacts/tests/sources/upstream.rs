//! Programs from a mirror: what is asked for, what is refused, what is tried again.

use std::time::Duration;

use artifacts::{Error, Images, ProgramName, Progress, Proxy, Sha256, obtain};

use crate::server::Fault;
use crate::world::{World, long, wanted};

const KUBELET: &str = "/dl.k8s.io/release/v1.36.3/bin/linux/amd64/kubelet";

#[tokio::test]
async fn every_program_comes_from_its_own_project_and_is_asked_for_once() {
    let world = World::new().await;
    let all = wanted(ProgramName::ALL, Images::None);
    let payload = world.obtain(&all).await.unwrap();
    insta::assert_snapshot!("programs", world.table(&payload));
    insta::assert_snapshot!("requests", world.server.log());

    assert_eq!(world.obtain(&all).await.unwrap(), payload);
    assert_eq!(world.server.log(), "");
}

/// The requests for the kubelet and what became of it.
async fn fetch_kubelet(world: &World) -> String {
    let result = world.obtain(&wanted([ProgramName::Kubelet], Images::None)).await;
    let outcome = match result {
        Ok(payload) => {
            assert_eq!(std::fs::read(&payload.programs[0].file).unwrap(), long());
            "the kubelet".into()
        }
        Err(error) => world.words(&error),
    };
    format!("{}\n{outcome}", world.server.log().replace(KUBELET, "KUBELET"))
}

#[tokio::test]
async fn a_download_goes_on_where_it_was_cut() {
    let cases: [(&str, &[Fault]); 6] = [
        ("cut twice", &[Fault::Cut(100_000), Fault::Cut(50_000)]),
        ("cut before the first byte", &[Fault::Cut(0), Fault::Cut(0)]),
        ("server that knows no ranges", &[Fault::Cut(100_000), Fault::Whole]),
        ("wrong bytes before the cut", &[Fault::Garble(100_000)]),
        ("busy twice", &[Fault::Status(503), Fault::Status(429)]),
        ("cut often, but each time a little came", &[const { Fault::Cut(40_000) }; 4]),
    ];
    let mut seen = String::new();
    for (case, faults) in cases {
        let world = World::new().await;
        world.server.fail(KUBELET, faults.iter().cloned());
        seen += &format!("# {case}\n{}\n\n", fetch_kubelet(&world).await);
    }
    insta::assert_snapshot!("resumed", seen);
}

#[tokio::test]
async fn a_download_is_given_up_with_the_reason() {
    let cases: [(&str, &[Fault]); 4] = [
        ("cut at once, always", &[const { Fault::Cut(0) }; 3]),
        ("busy, always", &[const { Fault::Status(503) }; 3]),
        ("not there", &[Fault::Status(404)]),
        ("not allowed", &[Fault::Status(403)]),
    ];
    let mut seen = String::new();
    for (case, faults) in cases {
        let world = World::new().await;
        world.server.fail(KUBELET, faults.iter().cloned());
        seen += &format!("# {case}\n{}\n\n", fetch_kubelet(&world).await);
    }
    insta::assert_snapshot!("given_up", seen);
}

#[tokio::test]
async fn a_file_that_is_not_the_published_one_is_refused_and_not_kept() {
    let mut seen = String::new();
    for (case, path, body) in [
        ("another file", KUBELET.to_owned(), "another"),
        ("another checksum", format!("{KUBELET}.sha256"), &*Sha256::of("x").to_string()),
        ("no checksum", format!("{KUBELET}.sha256"), "<html>sign in</html>"),
    ] {
        let world = World::new().await;
        world.server.serve(&path, body);
        seen += &format!("# {case}\n{}\n", fetch_kubelet(&world).await);
        let kept = world.cache().join("download").join(&KUBELET[1..]);
        assert!(!kept.exists());

        let mended = World::new().await;
        for ending in ["", ".sha256"] {
            let (path, mut right) = (format!("{KUBELET}{ending}"), Vec::new());
            mended.server.change(&path, |served| right = served.body.clone());
            world.server.serve(&path, right);
        }
        seen += &format!("mended: {}\n\n", fetch_kubelet(&world).await);
    }
    insta::assert_snapshot!("refused", seen);
}

#[tokio::test]
async fn a_run_that_was_killed_is_continued_unless_the_file_changed() {
    let mut seen = String::new();
    for changed in [false, true] {
        let world = World::new().await;
        world.server.fail(KUBELET, [Fault::Stall(100_000)]);
        let (told, arrived) = tokio::sync::oneshot::channel();
        let told = std::sync::Mutex::new(Some(told));
        let report = |progress| {
            if let Progress::Advances { done: 100_000, .. } = progress {
                told.lock().unwrap().take().map(|told| told.send(()));
            }
        };
        let (source, wanted, cache) =
            (world.mirror(), wanted([ProgramName::Kubelet], Images::None), world.cache());
        tokio::select! {
            result = obtain(&source, &wanted, &cache, report) => panic!("ended: {result:?}"),
            arrived = arrived => arrived.unwrap(),
        }
        world.server.log();
        if changed {
            world
                .server
                .change(KUBELET, |served| served.headers = vec![("etag".into(), "\"another\"".into())]);
        }
        seen += &format!("# changed: {changed}\n{}\n\n", fetch_kubelet(&world).await);
    }
    insta::assert_snapshot!("continued", seen);
}

#[tokio::test]
async fn a_server_that_sends_nothing_is_given_up() {
    let mut world = World::new().await;
    world.http.stall = Duration::from_millis(400);
    world.http.least = 1_000_000;
    world.server.fail(KUBELET, [const { Fault::Stall(10) }; 3]);
    let error = world.obtain(&wanted([ProgramName::Kubelet], Images::None)).await.unwrap_err();
    insta::assert_snapshot!(world.words(&error));
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_named_with_the_proxy() {
    let mut world = World::new().await;
    let kubelet = wanted([ProgramName::Kubelet], Images::None);
    let source = world.mirror_at("http://user:secret@127.0.0.1:1");
    let error = obtain(&source, &kubelet, &world.cache(), |_| ()).await.unwrap_err();
    let mut seen = world.words(&error);

    world.http.proxy = Some(Proxy::parse("http://user:secret@127.0.0.1:2").unwrap());
    let error = world.obtain(&kubelet).await.unwrap_err();
    assert!(matches!(&error, Error::Unreachable { proxy: Some(_), .. }));
    seen += &format!("\n\n{}", world.words(&error));
    insta::assert_snapshot!(seen);
    let settings = format!("{source:?} {:?}", world.http);
    assert!(!settings.contains("secret") && !settings.contains("user"), "{settings}");
}

#[tokio::test]
async fn the_proxy_that_was_given_is_used_except_where_it_is_not_wanted() {
    let mut world = World::new().await;
    let kubectl = wanted([ProgramName::Kubectl], Images::None);
    let proxy = world.server.url.replace("http://", "http://user:secret@");
    world.http.proxy = Some(Proxy::parse(&proxy).unwrap());
    let source = world.mirror_at("http://mirror.invalid");
    obtain(&source, &kubectl, &world.cache(), |_| ()).await.unwrap();
    insta::assert_snapshot!(world.server.log());

    world.http.no_proxy = "127.0.0.1".into();
    std::fs::remove_dir_all(world.cache()).unwrap();
    world.obtain(&kubectl).await.unwrap();
    insta::assert_snapshot!(world.server.log());
}

#[tokio::test]
async fn settings_that_are_no_urls_are_refused_without_being_repeated() {
    let world = World::new().await;
    assert_eq!(Proxy::parse("user:secret@proxy:3128").unwrap().to_string(), "http://proxy:3128/");
    let seen: Vec<String> = ["", "user:secret@", "ftp://secret@host", "http://"]
        .iter()
        .map(|text| format!("{text:20} {}", world.words(&Proxy::parse(text).unwrap_err())))
        .collect();
    insta::assert_snapshot!(seen.join("\n"));
}

#[tokio::test]
async fn a_second_run_waits_for_the_first_one() {
    let world = World::new().await;
    std::fs::create_dir_all(world.cache()).unwrap();
    let lock = std::fs::File::create(world.cache().join("lock")).unwrap();
    lock.lock().unwrap();
    let lock = std::sync::Mutex::new(Some(lock));
    let told = std::sync::Mutex::new(Vec::new());
    let report = |progress| {
        if matches!(progress, Progress::Waits { .. }) {
            told.lock().unwrap().push(progress);
            lock.lock().unwrap().take();
        }
    };
    let kubectl = wanted([ProgramName::Kubectl], Images::None);
    obtain(&world.mirror(), &kubectl, &world.cache(), report).await.unwrap();
    assert_eq!(told.lock().unwrap().len(), 1);
}
