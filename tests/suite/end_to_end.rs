//! A real cluster on the real lab, from nothing to nothing: built, used, broken on purpose, mended, taken down.
//!
//! One lab serves all of it, so the acts come one after the other, each in a function of its own. It needs
//! Linux and root; elsewhere one line says that it was skipped.

use crate::host_traces::Traces;
use crate::lab_cluster::{KUBECTL, LabCluster};
use crate::program::{Program, Run, with_labs};
use crate::{before_touch, by_hand, drill, encryption, kit, payload, sealed};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const NAME: &str = "e2e";

type Act = fn(&Stage);

struct Stage {
    cluster: LabCluster,
    /// The archive's root key, as the first `up` printed it.
    trust: String,
}

#[test]
fn a_cluster_from_nothing_to_nothing() {
    with_labs(|program| {
        // An earlier run that was killed has left a lab.
        program.run(&["lab", "down", "--name", NAME]).expect(0);
        let before = Traces::now();
        play(&Stage::build(program));
        before.assert_nothing_was_left();
    });
}

fn play(stage: &Stage) {
    let acts: &[(&str, Act)] = &[
        ("all nodes are Ready", Stage::all_nodes_are_ready_and_no_pod_is_on_a_control_plane),
        ("a Service answers by its name", Stage::a_service_answers_by_its_name_from_another_node),
        ("a second up changes nothing", Stage::a_second_up_changes_nothing),
        ("the past boots and answers", |stage| drill::the_past_boots_and_answers(&stage.cluster)),
        ("generations at several places", |stage| {
            sealed::generations_are_sealed_at_several_places(&stage.cluster)
        }),
        ("the kit opens it from nothing", |stage| kit::the_kit_opens_it_from_nothing(&stage.cluster)),
        ("the payload is sealed once", |stage| {
            payload::the_payload_is_sealed_once_and_takes_upstreams_place(&stage.cluster)
        }),
        ("another machine", Stage::another_machine_needs_inventory_archive_and_identity_only),
        ("plan changes nothing", Stage::plan_shows_and_changes_nothing),
        ("sealed before it is changed", |stage| {
            before_touch::a_cluster_is_sealed_before_it_is_changed(&stage.cluster)
        }),
        ("opened by hand", |stage| {
            by_hand::the_archive_opens_and_its_snapshot_restores(&stage.cluster);
        }),
        ("a flag is rolled out", Stage::a_flag_is_rolled_out_one_by_one),
        ("nobody's change is rolled back", Stage::nobodys_change_is_rolled_back),
        ("a killed control plane comes back", Stage::a_killed_control_plane_comes_back),
        ("emptied disks never form a cluster", Stage::emptied_disks_never_form_a_cluster),
        ("one emptied disk comes back", Stage::one_emptied_disk_comes_back_as_a_learner),
        ("nodes are added", Stage::workers_and_control_planes_are_added),
        ("a last up changes nothing", Stage::a_second_up_changes_nothing),
    ];
    for (name, act) in acts {
        let start = Instant::now();
        act(stage);
        println!("{name}: {:.0} s", start.elapsed().as_secs_f64());
    }
}

impl Stage {
    /// `lab nodes` with spare machines, then `up` on the first four, with pods that wait for the API.
    fn build(program: Program) -> Self {
        let foreign = ["--foreign-host-name", "w1=a-machine-of-another-name"];
        let options = [&["--control-planes", "5", "--workers", "2"][..], &foreign].concat();
        let cluster = LabCluster::machines(program, NAME, &options, &["cp4", "cp5", "w2"]);
        encryption::at_rest(&cluster);
        let mut stage = Self { cluster, trust: String::new() };
        // As soon as the API answers, and long before every node is there.
        let first = std::thread::scope(|scope| {
            scope.spawn(|| {
                stage.cluster.eventually("apply pods", Duration::from_secs(120), || {
                    stage.apply("cp1", &thirty_pods())
                });
            });
            stage.up().expect(0)
        });
        let advice = first.stdout.split("trust = \\\"").nth(1).expect("the trust line");
        stage.trust = advice.split('\\').next().unwrap().to_owned();
        stage
    }

    fn up(&self) -> Run {
        self.cluster.run("up")
    }

    fn apply(&self, node: &str, manifest: &str) -> bool {
        self.cluster.on(node, &format!("{KUBECTL} apply -f - <<'END'\n{manifest}\nEND\n")).is_ok()
    }

    fn all_nodes_are_ready_and_no_pod_is_on_a_control_plane(&self) {
        let nodes = self.cluster.kubectl("get nodes --no-headers");
        assert_eq!(nodes.lines().filter(|line| line.contains(" Ready ")).count(), 4, "{nodes}");
        assert!(nodes.contains("w1 "), "the Node has the inventory's name: {nodes}");
        self.cluster.eventually("30 pods run", Duration::from_secs(180), || {
            self.cluster.kubectl("get pods -l app=thirty --no-headers").matches("Running").count() == 30
        });
        let on = self.cluster.kubectl("get pods -l app=thirty -o jsonpath='{.items[*].spec.nodeName}'");
        assert!(on.split_whitespace().all(|node| node == "w1"), "{on}");
        self.cluster.kubectl("delete deployment thirty");
    }

    fn a_service_answers_by_its_name_from_another_node(&self) {
        assert!(self.apply("cp1", WEB));
        self.cluster.kubectl("rollout status deployment/web --timeout=120s");
        for node in ["cp2", "w1"] {
            self.cluster.web_answers(node, Duration::from_secs(30));
        }
    }

    /// Files with their times, and processes with theirs.
    fn fingerprint(&self) -> String {
        let script = "find /etc/kubernetes /etc/rekindle /etc/cni /etc/containerd /etc/systemd/system /usr/local/bin /var/lib/rekindle \
                      /var/lib/kubelet/config.yaml /var/lib/kubelet/kubeadm-flags.env /var/lib/kubelet/pki -printf '%p %i %T@\\n' | sort; \
                      ps -eo pid,lstart,comm | grep -E 'kube|etcd|containerd$|haproxy'";
        let nodes: Vec<String> = self.cluster_nodes();
        nodes.iter().map(|node| format!("{node}\n{}", self.cluster.must(node, script))).collect()
    }

    fn cluster_nodes(&self) -> Vec<String> {
        let text = std::fs::read_to_string(&self.cluster.inventory).unwrap();
        self.cluster
            .lab
            .nodes()
            .into_iter()
            .map(|node| node.name)
            .filter(|name| text.contains(&format!("\n{name} = ")))
            .collect()
    }

    fn generations(&self) -> usize {
        std::fs::read_dir(self.cluster.inventory.parent().unwrap().join("archive/gen")).unwrap().count()
    }

    fn a_second_up_changes_nothing(&self) {
        let (before, generations) = (self.fingerprint(), self.generations());
        let result = self.up().expect(0).result();
        assert_eq!(result["changed"], 0, "{result}");
        assert_eq!(result["round_trips"], 2, "a survey, then all probes: {result}");
        similar(&before, &self.fingerprint());
        assert_eq!(self.generations(), generations);
    }

    fn another_machine_needs_inventory_archive_and_identity_only(&self) {
        let home = tempfile::tempdir().unwrap();
        let identity = home.path().join("identity-of-mine");
        std::fs::copy(self.cluster.program.home().join(".config/rekindle/identity.txt"), &identity).unwrap();
        // Nothing there says that this archive is the right one.
        let refused = self.up().home(home.path()).arg("--identity").arg(&identity).expect(2);
        assert!(refused.stdout.contains("--trust-on-first-use"), "{}", refused.stdout);
        let line = format!("to = \"./archive\"\ntrust = \"{}\"", self.trust);
        self.cluster.edit(|text| text.replace("to = \"./archive\"", &line));
        let refused = self.up().home(home.path()).expect(2);
        assert!(refused.stdout.contains("--identity FILE"), "{}", refused.stdout);
        let generations = self.generations();
        let result = self.up().home(home.path()).arg("--identity").arg(&identity).expect(0).result();
        assert_eq!(result["changed"], 0, "{result}");
        assert_eq!(result["round_trips"], 2, "{result}");
        assert_eq!(self.generations(), generations, "the trust line makes no new generation");
    }

    fn plan_shows_and_changes_nothing(&self) {
        let before = self.fingerprint();
        self.cluster.edit(|text| format!("{text}\n[kubeadm.scheduler]\nv = \"3\"\n"));
        let run =
            self.cluster.program.run(&["plan", "--exit-code", "-i"]).arg(&self.cluster.inventory).expect(10);
        assert!(run.stdout.contains("write manifest of kube-scheduler"), "{}", run.stdout);
        assert!(run.stdout.contains("+  - name: v"), "the diff of kubeadm.yaml: {}", run.stdout);
        similar(&before, &self.fingerprint());
        self.cluster.edit(|text| text.replace("\n[kubeadm.scheduler]\nv = \"3\"\n", ""));
        self.cluster.program.run(&["plan", "--exit-code", "-i"]).arg(&self.cluster.inventory).expect(0);
    }

    fn a_flag_is_rolled_out_one_by_one(&self) {
        self.cluster.edit(|text| {
            text.replace("[kubeadm.api-server]\n", "[kubeadm.api-server]\nevent-ttl = \"2h0m0s\"\n")
        });
        let run = self.up().expect(0);
        // Never two apiservers at once: the next lane starts when the one before has ended.
        let lanes: Vec<String> = run
            .events()
            .filter(|event| {
                event["stage"] == "control planes" && event["title"] == "write manifest of kube-apiserver"
            })
            .map(|event| format!("{} {}", event["host"].as_str().unwrap(), event["event"].as_str().unwrap()))
            .collect();
        let mut order = Vec::new();
        for node in ["cp1", "cp2", "cp3"] {
            order.extend([format!("{node} step-started"), format!("{node} step-ended")]);
        }
        assert_eq!(lanes, order);
        for node in ["cp1", "cp2", "cp3"] {
            self.cluster.must(node, "pgrep -fa kube-apiserver | grep -q -- --event-ttl=2h0m0s");
        }
        assert!(self.cluster.kubectl("get cm -n kube-system kubeadm-config -o yaml").contains("event-ttl"));
        self.a_second_up_changes_nothing();
    }

    fn nobodys_change_is_rolled_back(&self) {
        // By kubeadm, by a person's hand.
        self.cluster.must("cp1", "kubeadm certs renew all >/dev/null 2>&1");
        self.cluster.must("cp2", "sed -i 's/--v=2//; s/- kube-scheduler$/- kube-scheduler\\n    - --v=4/' /etc/kubernetes/manifests/kube-scheduler.yaml");
        let before = self
            .cluster
            .must("cp1", "sha256sum /etc/kubernetes/pki/apiserver.crt /etc/kubernetes/admin.conf");
        let run = self.up().expect(0);
        assert_eq!(run.result()["changed"], 0);
        assert!(
            run.stdout.contains("kube-scheduler") && run.stdout.contains("changed by somebody else"),
            "{}",
            run.stdout
        );
        assert_eq!(
            self.cluster
                .must("cp1", "sha256sum /etc/kubernetes/pki/apiserver.crt /etc/kubernetes/admin.conf"),
            before
        );
        self.cluster.must("cp2", "grep -q -- --v=4 /etc/kubernetes/manifests/kube-scheduler.yaml");
        self.up().arg("--overwrite").expect(0);
        self.cluster.must("cp2", "! grep -q -- --v=4 /etc/kubernetes/manifests/kube-scheduler.yaml");
    }

    fn a_killed_control_plane_comes_back(&self) {
        self.cluster.lab.kill("cp2").unwrap();
        self.cluster.eventually("the API answers", Duration::from_secs(60), || {
            self.cluster
                .on("cp1", &format!("{KUBECTL} --request-timeout=3s create configmap while-down"))
                .is_ok()
        });
        // A worker's haproxy leaves the dead one out: from then on every call answers, whomever it is for.
        self.cluster.eventually("the worker's endpoint answers", Duration::from_secs(30), || {
            let call = "curl -ksf -m 5 -o /dev/null https://api.e2e.internal:6443/readyz";
            self.cluster.on("w1", &[call; 6].join(" && ")).is_ok()
        });
        self.cluster.lab.start("cp2").unwrap();
        self.cluster.eventually("its apiserver is ready", Duration::from_secs(180), || {
            self.cluster.on("cp2", "curl -ksf -m 3 https://127.0.0.1:6443/readyz").is_ok()
        });
        self.cluster
            .eventually("all is well", Duration::from_secs(120), || self.cluster.run("status").code() == 0);
    }

    fn etcd_disk(&self, node: &str) -> PathBuf {
        self.cluster.lab.host_path(node, "/var/lib/etcd").unwrap()
    }

    fn empty_etcd_disk(&self, node: &str, aside: &Path) {
        std::fs::create_dir_all(aside).unwrap();
        std::fs::rename(self.etcd_disk(node).join("member"), aside.join(node)).unwrap();
    }

    fn emptied_disks_never_form_a_cluster(&self) {
        let aside = self.cluster.lab.dir().join("aside");
        for node in ["cp1", "cp2", "cp3"] {
            self.cluster.lab.kill(node).unwrap();
        }
        for node in ["cp1", "cp2"] {
            self.empty_etcd_disk(node, &aside);
            self.cluster.lab.start(node).unwrap();
        }
        // Long enough for both to start and to find each other, had they been allowed to.
        let deadline = Instant::now() + Duration::from_secs(45);
        while Instant::now() < deadline {
            for node in ["cp1", "cp2"] {
                assert!(
                    self.cluster.on(node, "curl -ksf -m 2 https://127.0.0.1:6443/readyz").is_err(),
                    "{node} serves"
                );
                assert!(
                    self.cluster.on(node, "curl -sf -m 2 http://127.0.0.1:2381/readyz").is_err(),
                    "{node}: etcd serves"
                );
            }
            std::thread::sleep(Duration::from_secs(2));
        }
        self.cluster.lab.start("cp3").unwrap();
        let before =
            self.cluster.must("cp3", "find /var/lib/etcd/member /etc/kubernetes/manifests -type f | sort");
        let refused = self.up().expect(2);
        assert!(refused.stdout.contains("cp1, cp2: have none"), "{}", refused.stdout);
        assert!(refused.stdout.contains("rekindle rebuild"), "{}", refused.stdout);
        assert_eq!(
            self.cluster.must("cp3", "find /var/lib/etcd/member /etc/kubernetes/manifests -type f | sort"),
            before
        );
        self.the_last_disk_is_sealed("cp3");
        // One disk comes back, for the next act.
        self.cluster.lab.kill("cp2").unwrap();
        let member = self.etcd_disk("cp2").join("member");
        let _ = std::fs::remove_dir_all(&member);
        std::fs::rename(aside.join("cp2"), member).unwrap();
        self.cluster.lab.start("cp2").unwrap();
    }

    /// Without a quorum nobody confirms what it has, so it never counts; but it is there, and it answers.
    fn the_last_disk_is_sealed(&self, node: &str) {
        let made = self.cluster.run("snapshot").arg("--from-disk").arg(node).expect(5).result();
        assert_eq!(made["proven"], false, "{made}");
        let name = made["generation"].as_str().unwrap();
        let at = self.cluster.program.run(&["at", "-i"]).arg(&self.cluster.inventory);
        let asked =
            ["get", "configmap", "while-down", "-oname"].iter().fold(at.arg(name).arg("--"), Run::arg);
        assert_eq!(asked.expect(0).stdout, "configmap/while-down\n");
        let drill =
            self.cluster.program.run(&["drill", "--output", "json", "-i"]).arg(&self.cluster.inventory);
        let drilled = drill.arg(name).expect(5).result();
        assert!(drilled.to_string().contains("no quorum confirms it"), "{drilled}");
    }

    fn one_emptied_disk_comes_back_as_a_learner(&self) {
        self.cluster.eventually("two of three are a quorum", Duration::from_secs(180), || {
            self.cluster
                .on("cp3", &format!("{KUBECTL} --request-timeout=3s get configmap while-down"))
                .is_ok()
        });
        let run = self.up().expect(0);
        assert!(run.stdout.contains("add etcd member as a learner"), "{}", run.stdout);
        self.cluster
            .eventually("all is well", Duration::from_secs(180), || self.cluster.run("status").code() == 0);
        self.cluster.kubectl("get configmap while-down");
    }

    fn workers_and_control_planes_are_added(&self) {
        let new = format!(
            "w2 = {{ address = \"{}\" }}\ncp4 = {{ address = \"{}\", role = \"control-plane\" }}\ncp5 = {{ address = \"{}\", role = \"control-plane\" }}\n",
            self.cluster.address("w2"),
            self.cluster.address("cp4"),
            self.cluster.address("cp5")
        );
        self.cluster.edit(|text| text.replace("\n[network]", &format!("{new}\n[network]")));
        self.up().expect(0);
        let nodes = self.cluster.kubectl("get nodes --no-headers");
        assert_eq!(nodes.lines().filter(|line| line.contains(" Ready ")).count(), 7, "{nodes}");
        let status = self.cluster.run("status").expect(0).result();
        assert_eq!(status["health"]["members"].as_array().unwrap().len(), 5);
        // A Node is Ready before its kube-proxy runs.
        self.cluster.kubectl("-n kube-system rollout status daemonset/kube-proxy --timeout=120s");
    }
}

fn similar(before: &str, after: &str) {
    let changed: Vec<&str> = after.lines().filter(|line| !before.lines().any(|old| old == *line)).collect();
    assert!(changed.is_empty() && before.lines().count() == after.lines().count(), "{changed:#?}");
}

fn thirty_pods() -> String {
    r#"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"thirty","namespace":"default"},"spec":{"replicas":30,
    "selector":{"matchLabels":{"app":"thirty"}},"template":{"metadata":{"labels":{"app":"thirty"}},"spec":{"containers":[
    {"name":"pause","image":"registry.k8s.io/pause:3.10.2","imagePullPolicy":"Never"}]}}}}"#
        .into()
}

/// CoreDNS's health plugin is a web server that is there.
const WEB: &str = r#"{"apiVersion":"v1","kind":"List","items":[
{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"web","namespace":"default"},"data":{"Corefile":".:1053 {\n health :8080\n whoami\n}\n"}},
{"apiVersion":"v1","kind":"Service","metadata":{"name":"web","namespace":"default"},"spec":{"selector":{"app":"web"},"ports":[{"port":8080}]}},
{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web","namespace":"default"},"spec":{"replicas":2,"selector":{"matchLabels":{"app":"web"}},
"template":{"metadata":{"labels":{"app":"web"}},"spec":{"containers":[{"name":"web","image":"registry.k8s.io/coredns/coredns:v1.14.2","imagePullPolicy":"Never",
"args":["-conf","/etc/web/Corefile"],"readinessProbe":{"httpGet":{"path":"/health","port":8080},"periodSeconds":1},
"volumeMounts":[{"name":"conf","mountPath":"/etc/web"}]}],"volumes":[{"name":"conf","configMap":{"name":"web"}}]}}}}]}"#;
