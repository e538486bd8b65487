//! What an archive can be that it should not: one clear message by the real binary, the documented exit code, and
//! nothing is lost.

use crate::sealed_site::Site;
use archive::NewIdentity;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Every object, the greatest first.
fn objects(site: &Site) -> Vec<PathBuf> {
    let folders = std::fs::read_dir(site.path("archive/objects")).unwrap();
    let files = folders.flat_map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap());
    let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    files.sort_by_key(|path| std::cmp::Reverse(std::fs::metadata(path).unwrap().len()));
    files
}

fn newest(site: &Site) -> Value {
    site.on(&["archive", "list", "--output", "json"]).ended().result()["generations"][0].clone()
}

/// Opens the newest generation, and says why not.
fn says(site: &Site, identity: &str, code: i32, words: &[&str]) {
    let ended = site.with_identity(site.on(&["archive", "show"]), identity).expect(code);
    let said = format!("{}{}", ended.stdout, ended.stderr);
    for word in words {
        assert!(said.contains(word), "{word}: {said}");
    }
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn what_is_wrong_with_it_is_said() {
    let site = Site::sealed("bad");
    let other = NewIdentity::mint("2026-11-24T12:00:00Z").unwrap();
    std::fs::write(site.path("other.txt"), other.file.expose()).unwrap();
    says(&site, "other.txt", 2, &["none of the identities opens", "it was sealed to age1"]);
    says(&site, "nobody.txt", 2, &["nobody.txt"]);

    // An object that is cut off, damaged, gone; put back, all is as before.
    let object = objects(&site).remove(0);
    let whole = std::fs::read(&object).unwrap();
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 4;
    for (bytes, why) in
        [(Some(&whole[1..]), "it is cut off"), (Some(&damaged[..]), "it is damaged"), (None, "it is missing")]
    {
        match bytes {
            Some(bytes) => std::fs::write(&object, bytes).unwrap(),
            None => std::fs::remove_file(&object).unwrap(),
        }
        says(&site, "identity.txt", 2, &[why, &file_name(&object)]);
    }
    std::fs::write(&object, &whole).unwrap();
    says(&site, "identity.txt", 0, &["etcd/snapshot.db"]);

    // Documents that nobody signed, that are half there, or that another cluster's key signed: named, and left out.
    let stranger = Site::sealed("stranger");
    let foreign = std::fs::read_dir(stranger.path("archive/gen")).unwrap().map(|file| file.unwrap().path());
    let foreign = foreign.into_iter().find(|path| file_name(path).starts_with("1-100-")).unwrap();
    let own = site.path(&format!("archive/gen/{}.json", newest(&site)["generation"].as_str().unwrap()));
    let half = std::fs::read(&own).unwrap();
    let planted = [
        ("1-999-deadbeef.json".to_owned(), b"{}".to_vec()),
        ("1-998-deadbeef.json".to_owned(), half[..half.len() / 2].to_vec()),
        (file_name(&foreign), std::fs::read(&foreign).unwrap()),
    ];
    for (name, bytes) in &planted {
        let path = site.path(&format!("archive/gen/{name}"));
        std::fs::write(&path, bytes).unwrap();
        let listed = site.on(&["archive", "list", "--output", "json"]).ended();
        assert!(listed.stdout.contains(name), "{}", listed.stdout);
        assert_eq!(listed.code, 5, "{}", listed.stdout);
        assert_eq!(newest(&site)["revision"], 100, "the newest is what it was");
        std::fs::remove_file(&path).unwrap();
    }

    // The whole archive of another cluster.
    let (archive, aside) = (site.path("archive"), site.path("aside"));
    std::fs::rename(&archive, &aside).unwrap();
    std::fs::rename(stranger.path("archive"), &archive).unwrap();
    says(&site, "identity.txt", 2, &["not by the trusted root key", "a destination belongs to one cluster"]);
    std::fs::remove_dir_all(&archive).unwrap();
    says(&site, "identity.txt", 2, &["archive"]);
    std::fs::rename(&aside, &archive).unwrap();

    // By a clock that was set back: what is newest, etcd's revision says.
    site.generation_of(200, "1999-01-01T00:00:00Z");
    assert_eq!((&newest(&site)["revision"], &newest(&site)["counts"]), (&200.into(), &true.into()));
    says(&site, "identity.txt", 0, &["revision 200"]);
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}
