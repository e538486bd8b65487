//! `rekindle kubectl` through a real sshd: as if kubectl ran here.

use crate::program::Program;
use crate::sshd_node::SshdNode;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// An apiserver that is ready, and a kubectl that does what tests need.
const CONTROL_PLANE: &str = r#"
mkdir -p /var/lib/rekindle /etc/kubernetes
echo c0ffee >/var/lib/rekindle/cluster
echo x >/etc/kubernetes/admin.conf
printf '#!/bin/sh\nexit 0\n' >/usr/local/sbin/curl
cat >/usr/local/sbin/kubectl <<'END'
#!/bin/sh
[ "$1" = --kubeconfig=/etc/kubernetes/admin.conf ] || exit 99
shift
case $1 in
apply) cat; echo applied >&2; exit 3 ;;
logs) echo one; until [ -e /run/heard ]; do sleep 0.05; done; echo two ;;
create) cat /dev/stdin ;;
get) echo $$; exec sleep 60 ;;
esac
END
chmod 755 /usr/local/sbin/curl /usr/local/sbin/kubectl
"#;

struct Site {
    node: SshdNode,
    program: Program,
    folder: tempfile::TempDir,
}

impl Site {
    fn new() -> Self {
        let node = SshdNode::start("cp1", CONTROL_PLANE);
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "[cluster]\nname = \"site\"\nkubernetes = \"1.36.3\"\n[nodes]\n\
             cp1 = {{ address = \"10.0.0.11\", ssh = \"{}\", role = \"control-plane\" }}\n[ssh]\nidentity = \"{}\"\n",
            node.ssh(),
            node.identity().display()
        );
        std::fs::write(folder.path().join("rekindle.toml"), text).unwrap();
        std::fs::write(folder.path().join("known_hosts"), node.known_as(node.port)).unwrap();
        Self { node, program: Program::build(), folder }
    }

    fn start(&self, arguments: &[&str]) -> Child {
        let run = self.program.run(&["kubectl", "--"]).folder(self.folder.path());
        let mut command = arguments.iter().fold(run, |run, word| run.arg(word)).command();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }
}

#[test]
fn kubectl_reads_and_writes_as_if_it_ran_here() {
    if !SshdNode::can_run() {
        return;
    }
    let site = Site::new();
    for (arguments, code) in [(vec!["apply", "-f", "-"], 3), (vec!["create", "--from-file=a=/dev/stdin"], 0)]
    {
        let mut apply = site.start(&arguments);
        let manifest = "kind: List\n".repeat(100_000);
        let mut stdin = apply.stdin.take().unwrap();
        let (mut out, mut err) = (apply.stdout.take().unwrap(), apply.stderr.take().unwrap());
        let sent = manifest.clone();
        let feed = std::thread::spawn(move || stdin.write_all(sent.as_bytes()));
        let mut came = String::new();
        out.read_to_string(&mut came).unwrap();
        feed.join().unwrap().unwrap();
        assert!(came == manifest, "{} bytes came back", came.len());
        let mut said = String::new();
        err.read_to_string(&mut said).unwrap();
        assert_eq!(said.contains("applied\n"), code == 3, "{said}");
        assert_eq!(apply.wait().unwrap().code(), Some(code));
    }
    let mut logs = site.start(&["logs", "-f", "web"]);
    let mut lines = BufReader::new(logs.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "one");
    std::fs::write(site.node.path("/run/heard"), "").unwrap();
    assert_eq!(lines.next().unwrap().unwrap(), "two", "each line comes when it is said");
    assert_eq!(logs.wait().unwrap().code(), Some(0), "although its standard input is still open");
}

#[test]
fn kubectl_ends_with_us() {
    if !SshdNode::can_run() {
        return;
    }
    let site = Site::new();
    for signal in ["-INT", "-KILL"] {
        let mut watch = site.start(&["get", "pods", "-w"]);
        let mut line = String::new();
        BufReader::new(watch.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let there = format!("/proc/{}", line.trim());
        assert!(Path::new(&there).exists(), "{line}");
        Command::new("kill").args([signal, &watch.id().to_string()]).status().unwrap();
        watch.wait().unwrap();
        let mut waits = 0;
        while Path::new(&there).exists() {
            waits += 1;
            assert!(waits < 200, "kubectl is still there");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}
