use super::*;
use std::process::Command;

const ONE: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB9dG4kjRhQtTWVTzd2t27+t0DEHBPW7iOD23TUiYLio";
const TWO: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIqpNbV9bPfmhZ4XFVPSPvnZCtZ0l4Z4o5Xk7Wm1cJ9T";

/// Lines of every kind; `ssh-keygen -H` makes the hashed ones.
const LINES: [&str; 14] = [
    "plain.example ONE",
    "10.0.0.11,cp1.example ONE a comment # with a sign",
    "*.wild.example,!not.wild.example ONE",
    "cp?.mark.example ONE",
    "[10.0.0.11]:60022 ONE",
    "[*.ports.example]:2222 ONE",
    "@revoked revoked.example ONE",
    "@cert-authority authority.example ONE",
    "tab.example\tONE",
    "UPPER.example ONE",
    "!negated.example ONE",
    "2001:db8::1 ONE",
    "# commented.example ONE",
    "broken.example ssh-ed25519 no-key",
];

const NAMES: [&str; 20] = [
    "plain.example",
    "PLAIN.example",
    "10.0.0.11",
    "cp1.example",
    "a.wild.example",
    "not.wild.example",
    "wild.example",
    "cp1.mark.example",
    "cp12.mark.example",
    "[10.0.0.11]:60022",
    "[10.0.0.11]:22022",
    "[x.ports.example]:2222",
    "revoked.example",
    "authority.example",
    "tab.example",
    "upper.example",
    "negated.example",
    "2001:db8::1",
    "commented.example",
    "hashed.example",
];

fn matched(text: &str, name: &str) -> Vec<usize> {
    let line = |known: Known| {
        let hit = matches(known.entry.host_patterns(), &name.to_ascii_lowercase());
        hit.then(|| known.place.rsplit_once(':').unwrap().1.parse().unwrap())
    };
    parse(text, "file").into_iter().filter_map(line).collect()
}

#[test]
fn names_match_as_ssh_keygen_finds_them() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("known_hosts");
    std::fs::write(&file, format!("hashed.example {ONE}\n[10.9.9.9]:2200 {ONE}\n")).unwrap();
    let Ok(hashed) = Command::new("ssh-keygen").arg("-H").arg("-f").arg(&file).output() else {
        println!("skipped: no ssh-keygen here");
        return;
    };
    assert!(hashed.status.success());
    let hashed = std::fs::read_to_string(&file).unwrap();
    assert!(hashed.lines().all(|line| line.starts_with("|1|")), "{hashed}");
    let text = LINES.join("\n").replace("ONE", ONE) + "\n" + &hashed;
    std::fs::write(&file, &text).unwrap();
    let mut hits = 0;
    for name in NAMES.into_iter().chain(["[10.9.9.9]:2200", "[10.9.9.9]:2201"]) {
        let output = Command::new("ssh-keygen").args(["-F", name, "-f"]).arg(&file).output().unwrap();
        let found: Vec<usize> = String::from_utf8_lossy(&output.stdout)
            .lines()
            .filter_map(|line| line.split_once("found: line ")?.1.split(' ').next()?.parse().ok())
            .collect();
        hits += found.len();
        assert_eq!(matched(&text, name), found, "{name}");
    }
    assert!(hits > 10, "{hits}");
}

#[test]
fn a_key_is_judged_by_everything_that_is_known_of_its_host() {
    let host = "cp1.example";
    let cases = [
        ("nothing", vec![], "unknown"),
        ("its key", vec!["cp1.example ONE"], "known"),
        ("its key, with a comment", vec!["cp1.example ONE root@cp1"], "known"),
        ("another key", vec!["cp1.example TWO"], "changed"),
        ("another key and its key", vec!["cp1.example TWO", "*.example ONE"], "known"),
        ("another host's key", vec!["cp2.example ONE"], "unknown"),
        ("its key, negated", vec!["*.example,!cp1.example ONE"], "unknown"),
        ("its key, revoked", vec!["cp1.example ONE", "@revoked * ONE"], "revoked"),
        ("another key, revoked", vec!["@revoked * TWO"], "unknown"),
        ("only an authority", vec!["@cert-authority * TWO"], "unknown"),
        ("an RSA key only", vec!["cp1.example RSA"], "changed"),
    ];
    const RSA: &str = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQDFyyR2PtqbB0kZWpfN2mmE8jIoj9ZKZ1sUUr0mCT5F1JLQh1fgSFNIsQXcg8XpKMQ7o3tLYhmVM\
        JCc1DQP2Wa1kr0Yk6V3gVmv6FZ5LZ1xJ3c6WOcGzMZ6D5pQeQOHVb0z9wF2YzVf2fQ8bV2a9bTtVb0S6s9J9b1yT2X0m1u4wQ==";
    let key = PublicKey::from_openssh(ONE).unwrap();
    for (what, lines, wanted) in cases {
        let text = lines.join("\n").replace("ONE", ONE).replace("TWO", TWO).replace("RSA", RSA);
        let parsed = parse(&text, "file");
        assert_eq!(parsed.len(), lines.len(), "{what}: every line is understood");
        let got = match judge(&choose(&[], &parsed, host, 22), &key) {
            Ok(()) => "known",
            Err(HostKeyProblem::Unknown { .. }) => "unknown",
            Err(HostKeyProblem::Changed { .. }) => "changed",
            Err(HostKeyProblem::Revoked { .. }) => "revoked",
        };
        assert_eq!(got, wanted, "{what}");
    }
}

#[test]
fn pinned_keys_go_before_files_and_a_port_may_be_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("known_hosts");
    std::fs::write(&file, format!("cp1.example {TWO}\ncp2.example {ONE}")).unwrap();
    let pinned = [("*1.example".to_owned(), ONE.to_owned())];
    let known = KnownHosts::load(&[file.clone(), folder.path().join("none")], &pinned, true).unwrap();
    let key = PublicKey::from_openssh(ONE).unwrap();
    assert_eq!(known.check("cp1.example", 22, &key), Ok(()), "pinned");
    assert_eq!(known.check("cp2.example", 2200, &key), Ok(()), "known on the default port");
    assert!(matches!(known.check("cp3.example", 22, &key), Err(HostKeyProblem::Unknown { .. })));
    assert!(known.accept("CP3.example", 2200, &key).unwrap());
    assert_eq!(known.check("cp3.example", 2200, &key), Ok(()));
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.ends_with(&format!("cp2.example {ONE}\n[cp3.example]:2200 {ONE}\n")), "{text}");
    let bad = KnownHosts::load(&[], &[("cp1".to_owned(), "no key".to_owned())], false);
    assert_eq!(bad.err().unwrap().to_string(), "pinned host key of `cp1` is no SSH key: `no key`");
}
