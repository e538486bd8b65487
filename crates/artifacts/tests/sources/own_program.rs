//! This program for another platform, from each source that can have it.

use std::fs;

use artifacts::{Arch, Error, Images, ProgramName, Sha256, Source, Upstream, own_program};

use crate::world::{World, wanted};

/// The head of a program for 64-bit Arm.
fn arm() -> Vec<u8> {
    let mut head = b"\x7fELF".to_vec();
    head.resize(18, 0);
    head.extend([183, 0]);
    head.extend(b"rekindle");
    head
}

async fn ask(world: &World, source: &Source, arch: Arch) -> Result<Vec<u8>, Error> {
    let (file, sha256, size) = own_program(source, "0.1.0", arch, &world.cache(), |_| ()).await?;
    let bytes = fs::read(file).unwrap();
    assert_eq!((sha256, size), (Sha256::of(&bytes), bytes.len() as u64));
    Ok(bytes)
}

#[tokio::test]
async fn a_mirror_and_a_folder_have_it_and_the_others_say_why_not() {
    let world = World::new().await;
    let mut seen = String::new();
    let mut note = |world: &World, case: &str, result: Result<Vec<u8>, Error>| {
        let words = result.map_or_else(|error| world.words(&error), |bytes| format!("{} bytes", bytes.len()));
        seen += &format!("# {case}\n{words}\n\n");
    };
    let mirror = world.mirror();
    note(&world, "a mirror without it", ask(&world, &mirror, Arch::Arm64).await);
    let path = "/rekindle/v0.1.0/rekindle-linux-arm64";
    world.server.serve(&format!("{path}.sha256"), Sha256::of("another").to_string());
    world.server.serve(path, arm());
    note(&world, "a mirror with another digest", ask(&world, &mirror, Arch::Arm64).await);
    world.server.serve(&format!("{path}.sha256"), Sha256::of(arm()).to_string());
    note(&world, "a mirror", ask(&world, &mirror, Arch::Arm64).await);

    let folder = world.folder.path().join("export");
    world.obtain(&wanted([ProgramName::Kubelet], Images::None)).await.unwrap().export(&folder).unwrap();
    let source = Source::Folder(folder.clone());
    note(&world, "a folder without it", ask(&world, &source, Arch::Arm64).await);
    let sums = fs::read_to_string(folder.join("SHA256SUMS")).unwrap();
    let line = |arch: &str| format!("{}  rekindle-linux-{arch}\n", Sha256::of(arm()));
    fs::write(folder.join("SHA256SUMS"), sums + &line("arm64") + &line("amd64")).unwrap();
    for arch in ["arm64", "amd64"] {
        fs::write(folder.join(format!("rekindle-linux-{arch}")), arm()).unwrap();
    }
    note(&world, "a folder", ask(&world, &source, Arch::Arm64).await);
    note(&world, "a folder with that of another processor", ask(&world, &source, Arch::Amd64).await);

    note(&world, "upstream", ask(&world, &Source::Upstream(Upstream::default()), Arch::Arm64).await);
    note(&world, "modules", ask(&world, &Source::Modules, Arch::Arm64).await);
    insta::assert_snapshot!("own_program", seen);
}
