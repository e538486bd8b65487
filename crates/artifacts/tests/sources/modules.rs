//! The modules source with stubs of `go` and `mmdebstrap`: what is asked of them, kept, and said when they fail.
//!
//! The stubs have to be first in PATH, which only another process can have: a test starts this test program again.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use artifacts::{Arch, Progress, Source, Wanted, obtain, pinned};

use crate::world::World;

const GO: &str = r#"#!/bin/sh
echo "go $*" | sed "s| -o [^ ]*| -o OUT|" >> "$STUB_LOG"
case "$1" in
env) echo go1.26.8 ;;
list) echo "go: downloading example.com/a v1.0.0" >&2; printf 'a\nb\n' ;;
build)
    printf 'a\nb\n' >&2
    while [ "$1" != -o ]; do shift; done
    out=$2; shift 2
    for package; do
        name=${package##*/}
        case "$name" in v[0-9]) package=${package%/*}; name=${package##*/} ;; esac
        if [ "$name" = kubeadm ]; then
            printf '#!/bin/sh\nprintf "registry.k8s.io/%%s\\n" kube-apiserver:$5 kube-proxy:$5 coredns/coredns:v1 pause:3 etcd:3.6\n' > "$out$name"
        else
            echo "$name" > "$out$name"
        fi
        chmod 755 "$out$name"
    done ;;
esac
"#;

const MMDEBSTRAP: &str = r#"#!/bin/sh
echo "mmdebstrap $*" | sed "s|bookworm .*|bookworm OUT|" >> "$STUB_LOG"
for out; do :; done
root=$(mktemp -d); mkdir -p "$root/usr/sbin" "$root/etc/apt"
echo nft > "$root/usr/sbin/nft"; echo secret > "$root/etc/apt/sources.list"
tar -C "$root" -cf "$out" . && rm -r "$root"
"#;

/// Run in the other process: obtains everything and prints what came of it.
#[tokio::test]
#[ignore = "started by the other tests of this module, with stubs in its PATH"]
async fn inner() {
    let folder = std::env::var("STUB_FOLDER").unwrap();
    let world = World::new().await;
    let wanted = Wanted::everything("1.36.3".parse().unwrap(), Arch::HERE.unwrap());
    let tell = |progress: Progress| match progress {
        // The time depends on this machine's cores.
        Progress::Begins { what, .. } => println!(">{what}"),
        other => println!(">{other:?}"),
    };
    let words = match obtain(&Source::Modules, &wanted, &Path::new(&folder).join("cache"), tell).await {
        Ok(payload) => world.table(&payload),
        Err(error) => world.words(&error),
    };
    words.lines().for_each(|line| println!(">{line}"));
}

/// A folder with stubs.
struct Stubs(tempfile::TempDir);

impl Stubs {
    fn new(stubs: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("bin")).unwrap();
        for tool in ["sh", "sed", "tar", "mktemp", "mkdir", "rm", "chmod"] {
            let found = ["/bin", "/usr/bin"]
                .map(|bin| Path::new(bin).join(tool))
                .into_iter()
                .find(|path| path.exists());
            std::os::unix::fs::symlink(found.unwrap(), folder.path().join("bin").join(tool)).unwrap();
        }
        for (name, text) in stubs {
            let path = folder.path().join("bin").join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        Self(folder)
    }

    /// What a run says, and then what it asked of the stubs.
    fn run(&self) -> String {
        let folder = self.0.path();
        let log = folder.join("log");
        let _ = std::fs::remove_file(&log);
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "modules::inner", "--ignored", "--nocapture"])
            .env("PATH", folder.join("bin"))
            .env("STUB_LOG", &log)
            .env("STUB_FOLDER", folder)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut lines: Vec<String> =
            said.lines().filter_map(|line| Some(line.strip_prefix('>')?.to_owned())).collect();
        lines.push("--".into());
        lines.extend(std::fs::read_to_string(&log).unwrap_or_default().lines().map(String::from));
        let said = lines.join("\n").replace(folder.to_str().unwrap(), "FOLDER");
        keyless(&said.replace(Arch::HERE.unwrap().as_str(), "ARCH"))
    }
}

/// A text without digests, which differ between processors.
fn keyless(text: &str) -> String {
    let (mut kept, mut digits) = (String::new(), String::new());
    for c in text.chars().chain(['\n']) {
        if c.is_ascii_digit() || ('a'..='f').contains(&c) {
            digits.push(c);
            continue;
        }
        kept.push_str(if digits.len() < 16 { &digits } else { "KEY" });
        digits.clear();
        kept.push(c);
    }
    kept.trim_end().to_owned()
}

#[test]
fn everything_is_built_once_and_packed_under_the_names_that_kubeadm_lists() {
    let stubs = Stubs::new(&[("go", GO), ("mmdebstrap", MMDEBSTRAP)]);
    insta::assert_snapshot!("first_run", stubs.run());
    insta::assert_snapshot!("second_run", stubs.run());
}

#[test]
fn a_build_that_was_killed_is_started_anew() {
    let killed = GO.replace("chmod 755", "[ \"$name\" = kubelet ] && kill -9 $$; chmod 755");
    let stubs = Stubs::new(&[("go", &killed), ("mmdebstrap", MMDEBSTRAP)]);
    assert!(stubs.run().contains("go build for kubernetes failed with signal: 9"));
    std::fs::write(stubs.0.path().join("bin/go"), GO).unwrap();
    let again = stubs.run();
    let built: Vec<&str> = again.lines().filter(|line| line.starts_with("go build")).collect();
    assert_eq!(built.len(), 1, "{again}");
    assert!(again.contains("registry.k8s.io/etcd:3.6"), "{again}");
}

#[test]
fn a_machine_that_can_not_build_is_told_what_it_lacks() {
    let old = "#!/bin/sh\necho 'go: go.mod requires go >= 1.26.8 (running go 1.19.8; GOTOOLCHAIN=local)' >&2; exit 1\n";
    let broken = GO.replace("build)", "build) echo 'a.go:1: syntax error' >&2; exit 2 ;;\nnever)");
    let no_packages = "#!/bin/sh\necho 'E: unable to download' >&2; exit 3\n";
    let cases: [(&str, &[(&str, &str)]); 5] = [
        ("no go", &[]),
        ("an old go", &[("go", old)]),
        ("a build that fails", &[("go", &broken)]),
        ("no mmdebstrap", &[("go", GO)]),
        ("no packages", &[("go", GO), ("mmdebstrap", no_packages)]),
    ];
    let mut seen = String::new();
    for (case, stubs) in cases {
        let said = Stubs::new(stubs).run();
        let words: Vec<&str> = said.lines().take_while(|line| *line != "--").collect();
        let words =
            words.into_iter().filter(|line| !line.starts_with("Advances") && !line.starts_with("Completes"));
        seen += &format!("# {case}\n{}\n\n", words.collect::<Vec<_>>().join("\n"));
    }
    insta::assert_snapshot!("can_not_build", seen);
}

#[tokio::test]
async fn a_version_without_a_pin_is_refused_with_the_pinned_ones() {
    let folder = tempfile::tempdir().unwrap();
    let wanted = Wanted::everything("1.36.99".parse().unwrap(), Arch::Amd64);
    let error = obtain(&Source::Modules, &wanted, folder.path(), |_| ()).await.unwrap_err();
    insta::assert_snapshot!("not_pinned", error);
    assert!(pinned().contains(&"1.36.3".parse().unwrap()));
}
