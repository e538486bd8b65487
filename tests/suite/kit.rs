//! The recovery kit by the real binary: on an archive that was made without nodes, and on a running cluster.

use crate::lab_cluster::LabCluster;
use crate::program::{Ended, Program};
use crate::sealed_site::{STAMP, Site};
use archive::{Identities, NewIdentity};
use serde_json::Value;

fn says(ended: &Ended, words: &[&str]) {
    for word in words {
        assert!(ended.stderr.contains(word), "`{word}` is not said: {}", ended.stderr);
    }
}

#[test]
fn a_kit_stands_for_the_inventory() {
    let site = Site::sealed("prod");
    let (path, text) = site.kit();
    assert!(text.contains(&site.words()) && text.contains(&site.identity.recipient.to_string()), "{text}");
    assert!(text.lines().count() <= 60 && text.lines().all(|line| line.chars().count() <= 84), "{text}");
    says(&site.on(&["archive", "kit"]).arg("--to").arg(&path).expect(2), &["kit.txt: it is there already"]);

    let listed = site.by_kit(&["archive", "list", "--output", "json"], &path).expect(0).result();
    assert_eq!(listed["generations"][0]["revision"], 100, "{listed}");
    site.by_kit(&["archive", "show"], &path).expect(0);
    let to = site.path("recovered");
    site.by_kit(&["archive", "extract", "--all"], &path).arg(&to).expect(0);
    assert_eq!(std::fs::read_to_string(to.join("etcd/snapshot.db")).unwrap(), "what etcd held at 100");

    // Typed on another system, with a place of one's own beside the page; another place can't be asked from here.
    let at = site.path("archive").display().to_string();
    let typed = text.replace(&at, "archive").replace("[[to]]", "[[to]]\nurl = \"s3://lost/prod\"\n[[to]]");
    let typed = typed.replace('\n', "\r\n");
    let edited = site.path("edited.txt");
    std::fs::write(&edited, &typed).unwrap();
    says(&site.by_kit(&["archive", "show"], &edited).expect(0), &["left out: s3://lost/prod"]);
}

#[test]
fn a_kit_that_is_not_of_this_archive_is_refused() {
    let (site, other) = (Site::sealed("prod"), Site::sealed("prod"));
    let (path, text) = site.kit();
    let (_, others) = other.kit();
    let at = |site: &Site| site.path("archive").display().to_string();
    let root = site.key().public().unwrap().to_string();
    let flipped = root.replace(&root[70..], if root.ends_with("00") { "01" } else { "00" });
    let wrong = site.path("wrong.txt");
    for (text, words) in [
        (
            others.replace(&at(&other), &at(&site)),
            ["this kit is of the cluster prod", "hint: take the kit of"],
        ),
        (text.replace(&root, &flipped), ["the root key and the words do not belong", "letter by letter"]),
        (
            text.replace(site.bundle.uid(), &"0".repeat(32)),
            ["the kit is of the cluster prod (000", "typed right"],
        ),
        (text[..text.len() / 2].to_owned(), ["is no recovery kit", "there is no recovery kit in it"]),
        (text[..text.len() - 40].to_owned(), ["is no recovery kit", "the kit is cut off"]),
        (text.replace("epoch = 1", "epoch = one"), ["is no recovery kit", "wrong.txt:"]),
        (
            text.replace(&at(&site), "/no/such/folder"),
            ["this kit is of the cluster prod", "hint: take the kit of"],
        ),
    ] {
        std::fs::write(&wrong, text).unwrap();
        says(&site.by_kit(&["archive", "list"], &wrong).expect(2), &words);
    }
    // Both are given: they are of one archive, or nothing is done.
    let both = |site: &Site| site.on(&["archive", "list"]).arg("--kit").arg(&path);
    both(&site).expect(0);
    says(&both(&other).expect(2), &["the root key is ed25519:", "in the inventory", "of two archives"]);
    let renamed = site.text.replace("\"prod\"", "\"shop\"");
    std::fs::write(site.path("rekindle.toml"), renamed).unwrap();
    says(&both(&site).expect(2), &["the cluster is prod in the kit, and shop in the inventory"]);
    // A place that was put back is told.
    std::fs::write(&wrong, text.replace("epoch = 1", "epoch = 3")).unwrap();
    says(
        &site.by_kit(&["archive", "list"], &wrong).expect(0),
        &["the kit knows epoch 3", "ends with epoch 1"],
    );
    // From nothing means: nothing.
    says(&site.run(&["drill", "--from-nothing"]).expect(2), &["--kit <FILE>", "--identity <FILE>"]);
}

#[test]
fn its_words_are_typed_again_and_remembered() {
    let site = Site::sealed("prod");
    let confirm = |words: &str| {
        site.with_identity(site.on(&["archive", "kit", "--confirm", "--words", words]), "identity.txt")
    };
    let confirmed =
        || site.on(&["archive", "kit", "--output", "json"]).expect(0).result()["confirmed"].clone();
    for wrong in ["", "abandon abandon abandon abandon", &site.words().replacen(' ', "", 1)] {
        says(&confirm(wrong).expect(2), &["these are not the four words"]);
    }
    let asked = site.with_identity(site.on(&["archive", "kit", "--confirm"]), "identity.txt");
    says(&asked.expect(2), &["asked for at a terminal", "--words"]);
    says(&site.on(&["archive", "kit", "--confirm", "--words", &site.words()]).expect(2), &["no identity"]);
    assert_eq!(confirmed(), Value::Null);
    confirm(&format!(" {} ", site.words().to_uppercase())).expect(0);
    assert!(confirmed().as_str().unwrap().ends_with('Z'), "{}", confirmed());
}

#[test]
fn who_opened_it_is_noted_once_a_day_and_costs_nothing_if_it_cannot() {
    let site = Site::sealed("prod");
    let show = || site.with_identity(site.on(&["archive", "show"]), "identity.txt").env("SUDO_USER", "ann");
    let opened = || site.proofs().into_iter().filter(|proof| proof["level"] == "L2").collect::<Vec<_>>();
    assert_eq!(opened().len(), 0, "a list opens nothing");
    if Program::can_make_labs() {
        // On a place that can only be read, as with a read credential.
        let at = site.path("archive").display().to_string();
        let mount = format!("mount --bind {at} {at} && mount -o remount,ro,bind {at} && exec \"$0\" \"$@\"");
        let read_only = ["unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", &mount];
        says(&show().by(&read_only).expect(0), &["note: that it was opened could not be noted"]);
        assert_eq!(opened().len(), 0);
    }
    show().expect(0);
    show().expect(0);
    let noted = opened();
    assert_eq!(noted.len(), 1, "{noted:?}");
    assert!(noted[0]["by"].as_str().unwrap().starts_with("ann@"), "{noted:?}");
    assert_eq!(noted[0]["what"]["recipient"], site.identity.recipient.to_string());
}

#[test]
fn a_command_gives_the_identity_where_no_file_is_named() {
    let site = Site::sealed("prod");
    site.inventory("identity-command = [\"./key\", \"prod\"]\n");
    let script = |text: &str| {
        std::fs::write(site.path("key"), format!("#!/bin/sh\n{text}\n")).unwrap();
        let run = std::process::Command::new("chmod").arg("+x").arg(site.path("key")).status().unwrap();
        assert!(run.success());
    };
    script("[ \"$1\" = prod ] && echo asked >> asked && cat identity.txt");
    site.on(&["archive", "show"]).expect(0);
    assert_eq!(std::fs::read_to_string(site.path("asked")).unwrap(), "asked\n", "once a run");
    let secret = String::from_utf8(site.identity.file.expose().to_vec()).unwrap();
    let secret = secret.lines().last().unwrap();
    for (text, words) in [
        (
            format!("echo {secret}; echo vault is locked >&2; exit 7"),
            "identity-command `./key`: exit status: 7: vault is locked",
        ),
        ("echo nothing".into(), "identity-command `./key` is not an identity that can be used"),
        (String::new(), "there is no key in it"),
    ] {
        script(&text);
        let ended = site.on(&["archive", "show", "--output", "text"]).expect(2);
        says(&ended, &[words]);
        assert!(!ended.stderr.contains(secret) && !ended.stdout.contains(secret));
    }
    // The command line goes before it.
    site.with_identity(site.on(&["archive", "show"]), "identity.txt").expect(0);
}

#[test]
fn recipients_come_and_go() {
    let site = Site::sealed("prod");
    let second = NewIdentity::mint(STAMP.created).unwrap();
    std::fs::write(site.path("second.txt"), second.file.expose()).unwrap();
    let first = site.identity.recipient.to_string();
    let second = second.recipient.to_string();
    let change = |verb: &str, who: &str, by: &str| {
        let run = site.on(&["archive", "recipients", verb, "--output", "json"]);
        site.with_identity(run, by).arg(who)
    };
    // Opens the newest identity set.
    let newest = |by: &str| site.with_identity(site.on(&["kubeconfig"]), by);
    let show = |generation: &str, by: &str| site.with_identity(site.on(&["archive", "show", generation]), by);
    newest("second.txt").expect(2);
    let added = change("add", &second, "identity.txt").expect(0).result();
    assert_eq!((added["recipients"].as_array().unwrap().len(), &added["number"]), (2, &2.into()), "{added}");
    newest("second.txt").expect(0);
    change("add", &second, "identity.txt").expect(2);
    // Older generations are not sealed anew: what was published before is his who could open it.
    says(&show("1-100", "second.txt").expect(2), &["none of the identities opens this archive"]);
    site.generation(200);
    show("1-200", "second.txt").expect(0);

    let run = site.with_identity(site.on(&["archive", "recipients", "remove"]), "second.txt").arg(&first);
    let said = run.expect(0).stdout;
    for word in [
        &*first,
        "keeps what it could open: every CA key",
        "the service account key",
        "the root key",
        "rotate",
    ] {
        assert!(said.contains(word), "`{word}` is not said: {said}");
    }
    site.generation(300);
    says(&newest("identity.txt").expect(2), &["none of the identities opens this archive", &second]);
    show("1-300", "identity.txt").expect(2);
    show("1-200", "identity.txt").expect(0);
    show("1-100", "identity.txt").expect(0);
    show("1-300", "second.txt").expect(0);
    newest("second.txt").expect(0);
    let last = change("remove", &second, "second.txt").expect(2);
    assert!(last.stdout.contains("nobody could open the archive any more"), "{}", last.stdout);
    let listed = site.on(&["archive", "recipients", "list", "--output", "json"]).expect(0).result();
    assert_eq!(listed["recipients"], serde_json::json!([second]));
    let opened = Identities::parse(&site.identity.file, "the first");
    assert!(site.archive().open_identity(&opened.unwrap(), &site.trust()).is_err());
}

/// A running cluster: what was never set up is said, the kit is written and confirmed, and it opens the archive where
/// there is nothing else.
pub fn the_kit_opens_it_from_nothing(cluster: &LabCluster) {
    let strict = || cluster.run("status").arg("--strict").expect(5).result()["before_relying"].to_string();
    let before = strict();
    for word in ["a second recipient", "archive kit --confirm", "a second place"] {
        assert!(before.contains(word), "`{word}` is not said: {before}");
    }
    assert!(!before.contains("nobody opened") && !before.contains("no generation counts"), "{before}");
    let quiet = cluster.program.run(&["status", "-i"]).arg(&cluster.inventory).expect(0).stdout;
    assert!(!quiet.contains("before you rely"), "a lab does not nag: {quiet}");
    assert!(quiet.contains("last opened today by "), "{quiet}");

    let folder = tempfile::tempdir().unwrap();
    let on = |verb: &[&str]| cluster.program.run(verb).arg("-i").arg(&cluster.inventory);
    let kit = folder.path().join("kit.txt");
    let written = on(&["archive", "kit", "--output", "json"]).arg("--to").arg(&kit).expect(0).result();
    let words = written["words"].as_str().unwrap();
    on(&["archive", "kit", "--confirm", "--words", "not these four words"]).expect(2);
    on(&["archive", "kit", "--confirm", "--words", words]).expect(0);
    let after = strict();
    assert!(!after.contains("--confirm") && after.contains("a second recipient"), "{after}");
    let up = cluster.run("up").expect(0).result();
    assert_eq!((&up["changed"], up["before_relying"].to_string()), (&0.into(), after), "{up}");

    // A home that holds an identity, a kit and nothing else; and an inventory that nobody has named.
    let home = tempfile::tempdir().unwrap();
    let identity = home.path().join("identity");
    std::fs::copy(cluster.program.home().join(".config/rekindle/identity.txt"), &identity).unwrap();
    let drill = cluster.program.run(&["drill", "--from-nothing", "--output", "json", "--kit"]).arg(&kit);
    let drill = drill.arg("--identity").arg(&identity).env("HOME", home.path()).folder(home.path());
    let drilled =
        drill.env("REKINDLE_INVENTORY", "/no/such.toml").env("SUDO_USER", "stranger").expect(0).result();
    assert_eq!(drilled["proven"], true, "{drilled}");
    let listed = on(&["archive", "list", "--output", "json"]).ended().result();
    let one = listed["generations"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["generation"] == drilled["generation"]);
    let proofs = one.unwrap()["proofs"].as_array().unwrap();
    for level in ["L4", "L2"] {
        let by_stranger = |proof: &&Value| {
            proof["level"] == level && proof["by"].as_str().unwrap().starts_with("stranger@")
        };
        assert!(proofs.iter().any(|proof| by_stranger(&proof)), "{level}: {proofs:?}");
    }
}
