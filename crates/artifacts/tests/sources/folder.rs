//! A folder that was exported, and what can be wrong with it.

use std::fs;
use std::path::Path;

use artifacts::{Error, Images, Payload, ProgramName, Sha256, Source, Wanted, obtain};

use crate::world::{World, wanted};

/// A world whose payload, without images, was exported to a folder.
async fn exported() -> (World, Wanted, Payload) {
    let world = World::new().await;
    let all = wanted(ProgramName::ALL, Images::None);
    let mut payload = world.obtain(&all).await.unwrap();
    // As the modules source does.
    let runc = payload.programs.iter().position(|program| program.name == ProgramName::Runc).unwrap();
    payload.programs.remove(runc);
    payload.packaged.push(artifacts::Packaged { name: ProgramName::Runc, package: "runc" });
    payload.export(&folder(&world)).unwrap();
    (world, all, payload)
}

fn folder(world: &World) -> std::path::PathBuf {
    world.folder.path().join("export")
}

type Change<'a> = &'a dyn Fn(&World);

async fn read(world: &World, wanted: &Wanted) -> Result<Payload, Error> {
    obtain(&Source::Folder(folder(world)), wanted, &world.cache(), |_| ()).await
}

#[tokio::test]
async fn what_was_exported_is_read_back_and_exports_to_the_same_list() {
    let (world, all, payload) = exported().await;
    let again = read(&world, &all).await.unwrap();
    insta::assert_snapshot!("exported", world.table(&again));
    let digests =
        |payload: &Payload| payload.programs.iter().map(|is| (is.name, is.sha256)).collect::<Vec<_>>();
    assert_eq!(digests(&again), digests(&payload));
    assert_eq!(again.packaged, payload.packaged);

    let other = world.folder.path().join("again");
    again.export(&other).unwrap();
    let list = |folder: &Path| fs::read_to_string(folder.join("SHA256SUMS")).unwrap();
    assert_eq!(list(&other), list(&folder(&world)));
}

#[tokio::test]
async fn a_folder_that_does_not_fit_is_refused_by_name() {
    let relist = |world: &World, name: &str| {
        let root = folder(world);
        let sums = fs::read_to_string(root.join("SHA256SUMS")).unwrap();
        let mut lines: Vec<String> =
            sums.lines().filter(|line| !line.ends_with(name)).map(String::from).collect();
        if let Ok(bytes) = fs::read(root.join(name)) {
            lines.push(format!("{}  {name}", Sha256::of(bytes)));
        }
        fs::write(root.join("SHA256SUMS"), lines.join("\n")).unwrap();
    };
    let arm = |world: &World| {
        let mut head = b"\x7fELF".to_vec();
        head.resize(18, 0);
        head.extend([183, 0]);
        fs::write(folder(world).join("kubelet"), head).unwrap();
        relist(world, "kubelet");
    };
    let other_version = |world: &World| {
        fs::write(folder(world).join("kubeadm"), "#!/bin/sh\necho v1.35.0\n").unwrap();
        relist(world, "kubeadm");
    };
    let docker = |world: &World| {
        fs::create_dir_all(folder(world).join("images")).unwrap();
        fs::write(folder(world).join("images/x.tar"), [0; 1024]).unwrap();
        relist(world, "images/x.tar");
    };
    let cases: [(&str, Images, Change); 8] = [
        ("a changed byte", Images::None, &|world| fs::write(folder(world).join("ctr"), "changed").unwrap()),
        ("a missing file", Images::None, &|world| fs::remove_file(folder(world).join("ctr")).unwrap()),
        ("a file that is not listed", Images::None, &|world| {
            fs::rename(folder(world).join("ctr"), folder(world).join("was")).unwrap();
            relist(world, "ctr");
        }),
        ("no list", Images::None, &|world| fs::remove_file(folder(world).join("SHA256SUMS")).unwrap()),
        ("another processor", Images::None, &arm),
        ("another version", Images::None, &other_version),
        ("no images", Images::AsKubeadmLists, &|_| ()),
        ("an archive of another kind", Images::AsKubeadmLists, &docker),
    ];
    let mut seen = String::new();
    for (case, images, change) in cases {
        let (world, mut all, _) = exported().await;
        all.images = images;
        change(&world);
        let error = read(&world, &all).await.unwrap_err();
        seen += &format!("# {case}\n{}\n\n", world.words(&error));
    }
    insta::assert_snapshot!("unfit_folders", seen);
}
