//! The places of an archive and what credentials may do there, asked by the real binary of a real S3 server.

use crate::bucket::{Bucket, KEYS, NODES_KEYS};
use crate::program::{Ended, Program};
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::Command;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A bucket at a free port; `None`, said, where it cannot be built or asked.
fn bucket() -> Option<Bucket> {
    for program in ["go", "curl"] {
        if Command::new(program).arg("--help").output().is_err() {
            println!("skipped: there is no {program}");
            return None;
        }
    }
    let port = TcpListener::bind((HERE, 0)).unwrap().local_addr().unwrap().port();
    Some(Bucket::start(HERE, port))
}

/// An inventory beside the files of two credentials, with these places.
fn inventory(folder: &Path, places: &str) {
    std::fs::write(folder.join("root.ini"), KEYS).unwrap();
    std::fs::write(folder.join("nodes.ini"), NODES_KEYS).unwrap();
    let text = format!(
        "[cluster]\nname = \"prod\"\nkubernetes = \"1.36.3\"\n[nodes]\n\
         cp1 = {{ address = \"10.0.0.11\", role = \"control-plane\" }}\n[archive]\nto = [{places}]\n"
    );
    std::fs::write(folder.join("rekindle.toml"), text).unwrap();
}

fn policy(program: &Program, folder: &Path, more: &[&str]) -> Value {
    let run = program.run(&[&["archive", "policy", "s3", "--output", "json"][..], more].concat());
    run.folder(folder).expect(0).result()["policies"][0].clone()
}

fn check(program: &Program, folder: &Path, code: i32) -> Ended {
    program.run(&["check", "--archive"]).folder(folder).expect(code)
}

fn says(ended: &Ended, expected: &[&str]) {
    for part in expected {
        assert!(ended.stdout.contains(part), "{part:?} in\n{}", ended.stdout);
    }
}

#[test]
fn a_policy_of_each_bucket_is_printed() {
    let (program, folder) = (Program::build(), tempfile::tempdir().unwrap());
    inventory(folder.path(), "\"./archive\", \"s3://backups/prod\", \"s3://elsewhere\"");
    let nodes = policy(&program, folder.path(), &[]);
    let get = json!({"Sid": "RekindleGet", "Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::backups/prod/*"});
    let list = json!({
        "Sid": "RekindleList", "Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::backups",
        "Condition": {"StringLike": {"s3:prefix": "prod/*"}},
    });
    let put = json!({
        "Sid": "RekindlePutNew", "Effect": "Allow", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::backups/prod/*",
        "Condition": {"Null": {"s3:if-none-match": "false"}},
    });
    assert_eq!(nodes, json!({"Version": "2012-10-17", "Statement": [get, list, put]}));
    let operator =
        policy(&program, folder.path(), &["--for", "operator", "--principal", "arn:aws:iam::1:user/ada"]);
    assert_eq!(operator["Statement"][3]["Action"], "s3:DeleteObject");
    assert_eq!(operator["Statement"][0]["Principal"], json!({"AWS": "arn:aws:iam::1:user/ada"}));
    // For people: documents one after the other, each as it is.
    let text = program.run(&["archive", "policy", "s3"]).folder(folder.path()).expect(0).stdout;
    let documents: Vec<Value> =
        serde_json::Deserializer::from_str(&text).into_iter().collect::<Result<_, _>>().unwrap();
    assert_eq!(documents.len(), 2);
    assert_eq!(documents[1]["Statement"][0]["Resource"], "arn:aws:s3:::elsewhere/*");
    assert_eq!(documents[1]["Statement"][1]["Condition"], Value::Null);
    inventory(folder.path(), "\"./archive\"");
    let none = program.run(&["archive", "policy", "s3"]).folder(folder.path()).expect(2);
    assert!(none.stderr.contains("the archive has no bucket"), "{}", none.stderr);
}

#[test]
fn a_credential_that_may_too_much_is_told() {
    let Some(bucket) = bucket() else { return };
    let (program, folder) = (Program::build(), tempfile::tempdir().unwrap());
    // The server's own user, where nodes write: both are allowed, and each says what is missing.
    inventory(folder.path(), &bucket.destination("prod", "root.ini"));
    let ended = check(&program, folder.path(), 5);
    says(
        &ended,
        &["! overwrite: ALLOWED", "condition of RekindlePutNew", "! delete: ALLOWED", "s3:DeleteObject"],
    );
    // Where only an operator writes he may, since he prunes.
    let his = bucket.destination("prod", "root.ini").replace("url =", "from = \"operator\", url =");
    inventory(folder.path(), &his);
    says(&check(&program, folder.path(), 0), &["note: delete: allowed"]);

    // Without a policy the other user may nothing, and that is said as it is.
    inventory(folder.path(), &bucket.destination("prod", "nodes.ini"));
    says(&check(&program, folder.path(), 5), &["! it does not take what is written", "403"]);

    // This server knows no `s3:if-none-match`: it says so of the whole policy, and takes it without that condition.
    let principal = ["--principal", "nodes"];
    let mut own = policy(&program, folder.path(), &principal);
    let said = bucket.set_policy(&own.to_string());
    assert!(said.contains("invalid condition key"), "{said}");
    own["Statement"][2].as_object_mut().unwrap().remove("Condition");
    assert_eq!(bucket.set_policy(&own.to_string()), "");
    let ended = check(&program, folder.path(), 5);
    says(&ended, &["written, read back, listed", "! overwrite: ALLOWED", "delete: refused"]);
    assert!(!ended.stdout.contains("delete: ALLOWED"), "{}", ended.stdout);
    // Another prefix is not let in.
    inventory(folder.path(), &bucket.destination("other", "nodes.ini"));
    says(&check(&program, folder.path(), 5), &["! it does not take what is written", "403"]);
    // The operator's own may delete as well.
    inventory(folder.path(), &bucket.destination("prod", "nodes.ini"));
    let mut his = policy(&program, folder.path(), &[&principal[..], &["--for", "operator"]].concat());
    his["Statement"][2].as_object_mut().unwrap().remove("Condition");
    assert_eq!(bucket.set_policy(&his.to_string()), "");
    says(&check(&program, folder.path(), 5), &["! delete: ALLOWED"]);
}

#[test]
fn plain_check_asks_no_place() {
    let (program, folder) = (Program::build(), tempfile::tempdir().unwrap());
    let nobody = "{ url = \"s3://backups/prod\", endpoint = \"http://127.0.0.1:1\", credentials = { file = \"root.ini\" } }";
    inventory(folder.path(), &format!("\"./archive\", {nobody}"));
    program.run(&["check"]).folder(folder.path()).expect(0);
    let ended = check(&program, folder.path(), 5);
    says(&ended, &["Connection refused", "./archive\n  read: 0 manifests"]);
    assert!(!folder.path().join("archive").exists(), "an operator's folder is read only");
}

#[test]
fn a_mounted_folder_is_asked_whether_it_is() {
    let (program, folder) = (Program::build(), tempfile::tempdir().unwrap());
    inventory(folder.path(), "\"./archive\", { url = \"/mnt\", mounted = true, from = \"nodes\" }");
    if !Program::can_make_labs() {
        println!("skipped: a file system of its own needs root");
        return;
    }
    says(&check(&program, folder.path(), 5), &["/mnt is not a mounted file system"]);
    let script = "mount -t tmpfs tmpfs /mnt && exec \"$0\" \"$@\"";
    let mounted = program.run(&["check", "--archive"]).folder(folder.path());
    let ended = mounted.by(&["unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", script]);
    says(&ended.folder(folder.path()).expect(0), &["written, read back, removed", "can remove it there too"]);
}
