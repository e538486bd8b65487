//! A cluster that nobody reaches by SSH stops itself when the archive says that it is no more. Nothing else stops it:
//! no unsigned claim, none of a node's key, none of another cluster, no archive that can't be read.

use crate::bucket::{Bucket, KEYS};
use crate::lab_cluster::LabCluster;
use crate::program::{Program, Run, with_labs};
use archive::{
    Archive, Claiming, Credentials, Destination, Folder, Holding, Identities, Name, ROOT_KEY_ENTRY, S3,
    S3Settings, Secret, Stamp, Standing, Trust,
};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const CONTROL_PLANES: [&str; 3] = ["cp1", "cp2", "cp3"];

/// All that a control plane runs, by process.
const RUNS: &str = "pgrep -x 'etcd|kube-apiserver|kube-controller|kube-scheduler' || :";

/// Where the pods of the worker run.
const ON_THE_WORKER: &str = "pgrep -x 'coredns|kube-proxy' | sort";

#[test]
fn a_claim_in_the_archive_stops_a_cluster_and_nothing_else_does() {
    with_labs(|program| {
        let lab = Fenced::build(program);
        let pods = lab.cluster.must("w1", ON_THE_WORKER);
        assert!(pods.lines().count() >= 2, "{pods}");
        let acts: [(&str, Act); 4] = [
            ("nothing else stops it", Fenced::nothing_else_stops_it),
            ("the claim", Fenced::the_claim_is_asked_for_and_taken_over),
            ("each stops", Fenced::each_control_plane_stops_when_it_reads_that),
            ("rebooted", Fenced::it_stays_so_after_a_reboot),
        ];
        for (name, act) in acts {
            let start = Instant::now();
            act(&lab);
            println!("{name}: {:.0} s", start.elapsed().as_secs_f64());
        }
        assert_eq!(lab.cluster.must("w1", ON_THE_WORKER), pods, "the worker's pods run on");
        lab.it_is_not_brought_back();
    });
}

type Act = fn(&Fenced);

struct Fenced {
    cluster: LabCluster,
    bucket: std::cell::RefCell<Bucket>,
    settings: S3Settings,
    /// etcd's cluster id.
    own: String,
}

impl Fenced {
    fn build(program: Program) -> Self {
        let cluster =
            LabCluster::machines(program, "fenced", &["--control-planes", "3", "--workers", "1"], &[]);
        let bucket = Bucket::start(cluster.gateway(), 9003);
        let keys = cluster.lab.dir().join("s3.ini");
        std::fs::write(&keys, KEYS).unwrap();
        let to = format!("to = [\"./archive\", {}]\nevery = \"10m\"", bucket.destination("prod", "s3.ini"));
        cluster.edit(|text| text.replace("to = \"./archive\"", &to));
        cluster.run("up").expect(0);
        cluster.nodes_are_ready(&["cp1", "cp2", "cp3", "w1"]);
        for node in CONTROL_PLANES {
            let told = "test -e /run/rekindle-archive/rekindle.prom";
            cluster.eventually("each node's own run ended", Duration::from_secs(90), || {
                cluster.on(node, told).is_ok()
            });
        }
        let settings = S3Settings {
            url: "s3://backups/prod".into(),
            endpoint: Some(bucket.endpoint()),
            region: None,
            path_style: None,
            ca: None,
            credentials: Credentials::File(keys),
        };
        let mut lab = Self { cluster, bucket: bucket.into(), settings, own: String::new() };
        let generations = lab.archive().generations(&Trust::FirstUse).unwrap();
        lab.own = generations.newest().unwrap().public.etcd_cluster.clone();
        lab
    }

    fn archive(&self) -> Archive {
        let folder = Folder::new(self.cluster.lab.dir().join("archive"), None);
        Archive::at(vec![Box::new(folder), Box::new(self.place())]).unwrap()
    }

    fn place(&self) -> S3 {
        S3::new(&self.settings).unwrap()
    }

    fn holding(&self) -> Holding {
        match self.archive().state(&Trust::FirstUse).unwrap() {
            Standing::Holds(holding) => *holding,
            Standing::Empty => panic!("the archive is gone"),
        }
    }

    fn fence(&self) -> Run {
        self.cluster.program.run(&["archive", "fence", "--output", "json", "-i"]).arg(&self.cluster.inventory)
    }

    /// As if the timer had come round. Whether a snapshot comes of it is another matter.
    fn interval(&self, node: &str) {
        let _ = self.cluster.on(node, "systemctl start rekindle-upload");
    }

    fn runs(&self, node: &str) {
        let script = "systemctl is-active -q kubelet && [ ! -e /var/lib/rekindle/fenced ] && ls /etc/kubernetes/manifests | wc -l";
        assert_eq!(self.cluster.must(node, script), "4\n", "{node}");
        assert_eq!(self.cluster.must(node, RUNS).lines().count(), 4, "{node}");
    }

    /// The claim of an epoch as a thief wants it, over the body of the first one.
    fn claim(&self, epoch: u64, signer: &Value, signature: impl Fn(&str) -> String) -> Vec<u8> {
        let bytes = std::fs::read(self.cluster.lab.dir().join("archive/epoch/1.json")).unwrap();
        let mut body = serde_json::from_slice::<Value>(&bytes).unwrap()["body"].take();
        (body["epoch"], body["fences"], body["signer"]) = (json!(epoch), json!([self.own]), signer.clone());
        // Keys in their order and no white space: canonical, since all of it is ASCII.
        let body = body.to_string();
        let signature = signature(&body);
        format!("{{\"body\":{body},\"signature\":\"{signature}\"}}").into_bytes()
    }

    /// The signature of cp1's delegated key.
    fn signed_by_node(&self, body: &str) -> String {
        let script = format!(
            "cd /run && cat >body <<'END'\n{body}\nEND\nprintf %s \"$(cat body)\" >body.raw && \
             openssl pkeyutl -sign -rawin -inkey /etc/rekindle/archive/signing.key -in body.raw | od -An -v -tx1 | tr -d ' \\n'"
        );
        self.cluster.must("cp1", &script)
    }

    fn nothing_else_stops_it(&self) {
        let holding = self.holding();
        let delegated = holding.newest.public.delegations.iter().find(|one| one.node == "cp1").unwrap();
        let (root, node) = (json!(holding.root), json!(delegated.key));
        let by_node = |body: &str| self.signed_by_node(body);
        let forged = [
            self.claim(2, &root, |_| "00".repeat(64)),
            self.claim(3, &node, by_node),
            self.claim(4, &root, by_node),
        ];
        for (epoch, bytes) in (2..).zip(&forged) {
            let name: Name = format!("epoch/{epoch}.json").parse().unwrap();
            self.place().put_new(&name, bytes).unwrap();
        }
        self.interval("cp1");
        let brought = self.cluster.must("cp1", "cat /run/rekindle-archive/epochs.jsonl");
        assert!(brought.contains("\"epoch\":1,") && brought.lines().count() == 1, "{brought}");
        self.runs("cp1");
        // Look itself was taken over, and tells the unit that has rights what a thief wants.
        let planted = forged.map(|bytes| String::from_utf8(bytes).unwrap()).join("\n");
        let script = format!(
            "cat >/run/rekindle-archive/epochs.jsonl <<'END'\n{planted}\nnonsense\nEND\nrekindle node fence"
        );
        self.cluster.must("cp1", &script);
        self.runs("cp1");

        // The root key fences another cluster, in the first epoch that nothing was planted under.
        let identity = self.cluster.program.home().join(".config/rekindle/identity.txt");
        let identities = Identities::parse(&Secret::new(std::fs::read(identity).unwrap()), "a test").unwrap();
        let opened = self.archive().open_identity(&identities, &Trust::FirstUse).unwrap();
        let claimed = self.archive().claim_next(&Claiming {
            root_key: &opened.entries[ROOT_KEY_ENTRY],
            fences: &["dead0beef".to_owned()],
            take_over: false,
            stamp: Stamp {
                created: "2026-11-24T12:00:00Z",
                rekindle: "0",
                holder: "somebody",
                host: "elsewhere",
            },
        });
        assert_eq!(claimed.unwrap().claim.epoch, 5);
        for node in CONTROL_PLANES {
            self.interval(node);
            assert!(self.cluster.must(node, "cat /run/rekindle-archive/epochs.jsonl").contains("dead0beef"));
            self.runs(node);
        }

        // And an archive that can't be read.
        self.bucket.borrow_mut().end();
        for node in CONTROL_PLANES {
            self.interval(node);
            self.runs(node);
        }
        self.bucket.borrow_mut().serve();
    }

    fn the_claim_is_asked_for_and_taken_over(&self) {
        let refused = self.fence().expect(2);
        assert!(refused.stdout.contains("--yes=FENCE-fenced"), "{}", refused.stdout);
        assert!(refused.stdout.contains(&self.own), "what would stop is shown: {}", refused.stdout);
        self.fence().arg("--yes=FENCE-other").expect(2);
        let held = self.fence().arg("--yes=FENCE-fenced").expect(2);
        assert!(held.stdout.contains("by somebody on elsewhere"), "{}", held.stdout);
        assert_eq!(self.holding().epoch, 5, "nothing was claimed");
        let claimed = self.fence().arg("--yes=FENCE-fenced").arg("--take-over").expect(0).result();
        assert_eq!((&claimed["epoch"], &claimed["fences"]), (&json!(6), &json!([self.own])), "{claimed}");
        let again = self.fence().arg("--yes=FENCE-fenced").expect(0).result();
        assert_eq!((&again["epoch"], &again["new"]), (&json!(6), &json!(false)), "{again}");
    }

    fn each_control_plane_stops_when_it_reads_that(&self) {
        let status = |code| self.cluster.run("status").expect(code).stdout;
        for node in CONTROL_PLANES {
            self.interval(node);
            self.is_stopped(node);
            let said = self.cluster.must(node, "journalctl -u rekindle-fence -o cat");
            for words in [
                "fenced by epoch 6, claimed by",
                "stopped kubelet.service",
                "disabled rekindle-snapshot.timer",
            ] {
                assert!(said.contains(words), "{node}: {words}: {said}");
            }
            // The last one has no quorum any more, and tells no less.
            assert!(status(5).contains(&format!("{node} was fenced by epoch 6, claimed by")), "{node}");
            // Again is no change.
            let before = self.cluster.must(node, LEFT);
            self.cluster.must(node, "systemctl start rekindle-fence");
            assert_eq!(self.cluster.must(node, LEFT), before, "{node}");
        }
    }

    fn is_stopped(&self, node: &str) {
        let state = "systemctl is-active kubelet rekindle-snapshot.timer; systemctl is-enabled kubelet rekindle-snapshot.timer; \
                     ls /etc/kubernetes/manifests; ls /var/lib/rekindle/fenced/manifests";
        let expected = "inactive\ninactive\ndisabled\ndisabled\netcd.yaml\nkube-apiserver.yaml\nkube-controller-manager.yaml\nkube-scheduler.yaml\n";
        assert_eq!(self.cluster.must(node, state), expected, "{node}");
        assert_eq!(self.cluster.must(node, RUNS), "", "{node}");
        self.cluster.must(node, "ls /var/lib/etcd/member/wal/*.wal && [ -s /var/lib/etcd/member/snap/db ]");
    }

    fn it_stays_so_after_a_reboot(&self) {
        for node in CONTROL_PLANES {
            let before = self.cluster.must(node, LEFT);
            self.cluster.lab.kill(node).unwrap();
            self.cluster.lab.start(node).unwrap();
            self.cluster.eventually("it is up", Duration::from_secs(60), || {
                self.cluster.on(node, "systemctl is-active containerd").is_ok()
            });
            self.interval(node);
            self.is_stopped(node);
            assert_eq!(self.cluster.must(node, LEFT), before, "{node}");
        }
    }

    fn it_is_not_brought_back(&self) {
        let refused = self.cluster.run("up").expect(2).stdout;
        for node in CONTROL_PLANES {
            assert!(refused.contains(&format!("{node} was fenced by epoch 6, claimed by")), "{refused}");
            self.is_stopped(node);
        }
        assert!(refused.contains("rekindle rebuild"), "{refused}");
        // What was sealed before is there for that.
        let newest = self.cluster.generations().remove(0);
        assert_eq!(newest["counts"], true, "{newest}");
    }
}

/// What the disk keeps, with its sums.
const LEFT: &str =
    "find /var/lib/etcd /var/lib/rekindle/fenced /etc/kubernetes -type f -exec sha256sum {} + | sort -k2";
