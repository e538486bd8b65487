//! Where the archive lies, by a kit and by the inventory that the archive holds: the kit says where each place is now,
//! the inventory what a place is for.

use inventory::{Credentials, Destination, Kit, Place};
use std::path::Path;

/// The kit's places with what the inventory says of them, and its others; and the URLs of those that nobody finds any
/// more, since their paths are relative to where an inventory lay.
pub fn places(kit: &Kit, archived: &[Destination]) -> (Vec<Destination>, Vec<String>) {
    let mut to: Vec<Destination> = Vec::new();
    for place in &kit.to {
        let known = archived.iter().find(|known| is_one(known, place));
        to.push(known.map_or_else(|| place.clone(), |known| at(place, known)));
    }
    let mut dropped = Vec::new();
    for other in archived.iter().filter(|other| !kit.to.iter().any(|place| is_one(other, place))) {
        match &other.place {
            Place::Folder { path, .. } if path.is_relative() => dropped.push(other.url()),
            _ => to.push(other.clone()),
        }
    }
    (to, dropped)
}

/// Whether both are one place; of a folder the inventory may say the end only.
fn is_one(known: &Destination, place: &Destination) -> bool {
    match (&known.place, &place.place) {
        (Place::Folder { path: known, .. }, Place::Folder { path, .. }) => {
            let known: std::path::PathBuf = known.strip_prefix("~").unwrap_or(known).components().collect();
            let known = known.strip_prefix(".").unwrap_or(&known).to_path_buf();
            path.ends_with(known)
        }
        (Place::S3(known), Place::S3(bucket)) => {
            (&known.bucket, &known.prefix, &known.endpoint)
                == (&bucket.bucket, &bucket.prefix, &bucket.endpoint)
        }
        (Place::Ssh { target: known, path: below }, Place::Ssh { target, path }) => {
            (known, below) == (target, path)
        }
        _ => false,
    }
}

/// What the inventory says of a place, with each path as the kit has it.
fn at(place: &Destination, known: &Destination) -> Destination {
    let mut found = known.clone();
    match (&mut found.place, &place.place) {
        (Place::Folder { path, mounted }, Place::Folder { path: now, .. }) => {
            // Nodes have a mounted folder at one path: where it is elsewhere here, it is another folder.
            *mounted = *mounted && Path::new(now) == path;
            path.clone_from(now);
        }
        (Place::S3(bucket), Place::S3(now)) => bucket.ca.clone_from(&now.ca),
        _ => {}
    }
    if !matches!(found.credentials, Some(Credentials::Command(_))) {
        found.credentials.clone_from(&place.credentials);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(text: &str) -> Vec<Destination> {
        let text = format!(
            "[cluster]\nname = \"prod\"\nkubernetes = \"1.36.3\"\n[nodes]\ncp1 = {{ address = \"10.0.0.1\", role = \"control-plane\" }}\n[archive]\nto = {text}\n"
        );
        inventory::parse("x", &text).unwrap().cluster.archive.to
    }

    #[test]
    fn the_kit_says_where_and_the_inventory_what_for() {
        let archived = to(
            "[\"./archive\", { url = \"s3://backups/prod\", from = \"nodes\", domain = \"b\", ca = \"ca.pem\", credentials = { file = \"s3.ini\" } }, \
             { url = \"s3://other\", from = \"operator\", credentials = { command = \"pass s3\" } }, \"lost\", \"ssh://ann@vault/srv/new\"]",
        );
        let kit = Kit {
            cluster: "prod".into(),
            uid: String::new(),
            root: String::new(),
            words: String::new(),
            repo: String::new(),
            epoch: 1,
            to: to(
                "[\"/mnt/usb/archive\", { url = \"s3://backups/prod\", from = \"operator\", ca = \"/k/ca.pem\", credentials = { file = \"/k/s3.ini\" } }, \
                 { url = \"s3://other\", from = \"operator\" }, \"/mnt/copy\"]",
            ),
        };
        let (found, dropped) = places(&kit, &archived);
        assert_eq!(
            found,
            to(
                "[\"/mnt/usb/archive\", { url = \"s3://backups/prod\", from = \"nodes\", domain = \"b\", ca = \"/k/ca.pem\", credentials = { file = \"/k/s3.ini\" } }, \
                 { url = \"s3://other\", from = \"operator\", credentials = { command = \"pass s3\" } }, \"/mnt/copy\", \"ssh://ann@vault/srv/new\"]"
            )
        );
        assert_eq!(dropped, ["lost"]);
    }
}
