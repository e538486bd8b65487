//! The same cluster again, on the real lab: control planes gone and the worker alive, then all of it gone and other
//! machines there. What hurts an ordinary restore is in it: a webhook that refuses everything and whose backend died, an
//! API that nobody serves, kinds that a webhook converts, a volume of a node that is no more.

use crate::encryption;
use crate::host_traces::Traces;
use crate::lab_cluster::{ETCDCTL, KUBECTL, LabCluster};
use crate::program::{Ended, Run, with_labs};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const NAME: &str = "rebuilt";

#[test]
fn the_same_cluster_again() {
    with_labs(|program| {
        program.run(&["lab", "down", "--name", NAME]).expect(0);
        let before = Traces::now();
        let options = ["--control-planes", "6", "--workers", "3"];
        let cluster = LabCluster::machines(program, NAME, &options, &["cp4", "cp5", "cp6", "w2", "w3"]);
        encryption::at_rest(&cluster);
        cluster.edit(|text| text.replace("payload = false", "payload = true"));
        let mut site = Site { cluster, known: BTreeMap::new(), token: String::new() };
        let acts: [(&str, Act); 5] = [
            ("built and used", Site::built_and_used),
            ("control planes gone, the worker alive", Site::control_planes_gone),
            ("what was set aside comes back", Site::what_was_set_aside_comes_back),
            ("all gone, on other machines", Site::all_gone),
            ("one from three, and three again", Site::one_from_three),
        ];
        for (name, act) in acts {
            let start = Instant::now();
            act(&mut site);
            println!("{name}: {:.0} s", start.elapsed().as_secs_f64());
        }
        drop(site);
        before.assert_nothing_was_left();
    });
}

type Act = fn(&mut Site);

struct Site {
    cluster: LabCluster,
    /// UIDs of what was there when the snapshot was taken.
    known: BTreeMap<String, String>,
    /// A service account's, issued before.
    token: String,
}

impl Site {
    fn kubectl(&self, on: &str, arguments: &str) -> String {
        self.cluster.must(on, &format!("{KUBECTL} {arguments}"))
    }

    fn apply(&self, on: &str, manifests: &str) {
        self.cluster.must(on, &format!("{KUBECTL} apply -f - <<'END'\n{manifests}\nEND\n"));
    }

    fn rebuild(&self, arguments: &[&str]) -> Run {
        arguments.iter().fold(self.cluster.run("rebuild"), |run, argument| run.arg(argument))
    }

    fn uids(&self, on: &str) -> BTreeMap<String, String> {
        let kinds = "deployments,services,configmaps,secrets,jobs,poddisruptionbudgets,serviceaccounts,persistentvolumes,\
                     customresourcedefinitions,validatingwebhookconfigurations,apiservices,namespaces,clusterroles";
        let line =
            "{range .items[*]}{.kind}/{.metadata.namespace}/{.metadata.name} {.metadata.uid}{\"\\n\"}{end}";
        let text = self.kubectl(on, &format!("get {kinds} -A -o jsonpath='{line}'"));
        text.lines()
            .filter_map(|line| line.split_once(' '))
            .map(|(name, uid)| (name.into(), uid.into()))
            .collect()
    }

    fn built_and_used(&mut self) {
        self.cluster.run("up").expect(0);
        self.apply("cp1", OBJECTS);
        self.kubectl("cp1", "rollout status deployment/web --timeout=120s");
        self.kubectl("cp1", "wait --for=condition=Complete job/once --timeout=60s");
        self.token = self.kubectl("cp1", "create token default --duration=24h").trim().to_owned();
        // From here on nothing can be written to this API any more.
        self.apply("cp1", GATE);
        self.cluster.run("snapshot").expect(0);
        self.known = self.uids("cp1");
        self.kubectl("cp1", "delete validatingwebhookconfiguration gate");
        // A worker that came later: the generation does not know it.
        let line = format!("w3 = {{ address = \"{}\" }}\n", self.cluster.address("w3"));
        let is_worker = |text: &str| text.starts_with("w1 ");
        self.cluster.edit(|text| {
            let with = |one: &str| if is_worker(one) { format!("{one}{line}") } else { one.to_owned() };
            text.split_inclusive('\n').map(with).collect()
        });
        self.cluster.run("up").arg("--without-snapshot").expect(0);
        self.kubectl("cp1", "create configmap later");
        self.kubectl(
            "cp1",
            &format!(
                "run newer --image={IMAGE} --image-pull-policy=Never --overrides='{{\"spec\":{{\"nodeName\":\"w1\"}}}}' -- -conf /dev/null"
            ),
        );
        self.cluster.eventually("the newer pod is there", Duration::from_secs(30), || {
            self.cluster.must("w1", "ls /var/log/pods").contains("default_newer_")
        });
    }

    /// Process ids of the containers of a node.
    fn processes(&self, node: &str) -> BTreeMap<String, String> {
        let text = self.cluster.must(node, "ctr -n k8s.io tasks ls 2>/dev/null | sed 1d");
        let line = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            (words[0].to_owned(), format!("{} {}", words[1], words[2]))
        };
        text.lines().map(line).collect()
    }

    fn control_planes_gone(&mut self) {
        let newer = self
            .cluster
            .must("w1", "ctr -n k8s.io containers ls -q 'labels.\"io.kubernetes.pod.name\"==newer'");
        let address = self.kubectl("cp1", "get service web -o jsonpath='{.spec.clusterIP}'");
        let client = format!(
            "systemd-run -q -p TimeoutStopSec=1 --unit=client sh -c 'while sleep 0.1; do curl -sf -m 5 -o /dev/null http://{address}:8080/health \
             && echo ok || echo lost; done >/run/client 2>&1'"
        );
        self.cluster.must("w1", &client);
        let node = "get node w1 -o jsonpath='{.metadata.uid} {.spec.podCIDR}'";
        let (machine, before) = (self.cluster.must("w1", "cat /etc/machine-id"), self.kubectl("cp1", node));
        let processes = self.processes("w1");
        for node in ["cp1", "cp2", "cp3"] {
            self.cluster.program.run(&["lab", "wipe", node, "--name", NAME]).expect(0);
        }
        // Nobody is asked: it says what it would do, and nothing is claimed.
        let shown = self.rebuild(&[]).expect(2).stdout;
        for words in [
            "REBUILD-rebuilt",
            "volume disk (local) of default/data, on w1 (lives)",
            "ends default/newer",
            "w3             lives, and the generation does not know it",
            "gate",
            "widgets.example.com",
        ] {
            assert!(shown.contains(words), "{words} in {shown}");
        }
        let done = self.rebuild(&["--yes=REBUILD-rebuilt"]).expect(5);
        println!("{}", stages(&done));
        self.same_objects("cp1");
        assert_eq!(
            (self.cluster.must("w1", "cat /etc/machine-id"), self.kubectl("cp1", node)),
            (machine, before)
        );
        // The pod that the generation does not know has ended, and no other.
        self.cluster.eventually("the newer pod is gone", Duration::from_secs(60), || {
            newer.lines().all(|id| !self.processes("w1").contains_key(id))
        });
        let same: BTreeMap<_, _> =
            processes.into_iter().filter(|(id, _)| !newer.lines().any(|own| own == id)).collect();
        let now = self.processes("w1");
        assert!(same.iter().all(|(id, process)| now.get(id) == Some(process)), "{same:#?}\n{now:#?}");
        let heard = self.cluster.must("w1", "systemctl stop client; cat /run/client");
        assert!(!heard.contains("lost") && heard.lines().count() > 100, "{} calls", heard.lines().count());
        self.cluster.nodes_are_ready(&["w1", "w3"]);
        let status = self.cluster.run("status").expect(5).result();
        assert!(
            status["complaints"]
                .to_string()
                .contains("set aside ValidatingWebhookConfiguration gate until gate/gone"),
            "{status}"
        );
    }

    fn same_objects(&self, on: &str) {
        let now = self.uids(on);
        let other: Vec<_> = self.known.iter().filter(|(name, uid)| now.get(*name) != Some(uid)).collect();
        assert!(other.is_empty(), "{other:#?}");
        assert!(!now.keys().any(|name| name.ends_with("/later")), "what came later is gone");
        assert_eq!(self.kubectl(on, "get secret words -o jsonpath='{.data.word}'"), "c2VzYW1l");
        let own = "kubectl --kubeconfig=/dev/null --server=https://127.0.0.1:6443 --certificate-authority=/etc/kubernetes/pki/ca.crt";
        let who = self.cluster.must(
            on,
            &format!("{own} --token={} auth whoami -o jsonpath='{{.status.userInfo.username}}'", self.token),
        );
        assert_eq!(who, "system:serviceaccount:default:default");
        assert!(
            self.kubectl(on, "get job once -o jsonpath='{.status.succeeded} {.status.active}'")
                .starts_with("1 ")
        );
        self.kubectl(on, "rollout status deployment/web --timeout=120s");
    }

    fn what_was_set_aside_comes_back(&mut self) {
        let policy = "get validatingwebhookconfiguration gate -o jsonpath='{.webhooks[0].failurePolicy} {.webhooks[0].timeoutSeconds} {.metadata.annotations}'";
        assert!(self.kubectl("cp1", policy).starts_with("Ignore 1 "));
        let api = "get apiservice v1.gone.example.com -o jsonpath='{.spec.service.name}'";
        assert_eq!(self.kubectl("cp1", api), "");
        // Its backend is there, as far as anybody can see.
        self.apply("cp1", BACKEND);
        let said = self.cluster.run("up").ended();
        assert!(said.stdout.contains("put back what a rebuild set aside"), "{}", said.stdout);
        let back = self.kubectl("cp1", policy);
        assert!(back.starts_with("Fail 10 ") && !back.contains("rekindle.dev"), "{back}");
        assert_eq!(self.kubectl("cp1", api), "gone");
        for gone in [
            "validatingwebhookconfiguration gate",
            "apiservice v1.gone.example.com",
            "crd widgets.example.com",
        ] {
            self.kubectl("cp1", &format!("delete {gone} --wait=false"));
        }
        // A CustomResourceDefinition has APIs of its own.
        let is_gone =
            |name: &str| name.contains("example.com") || name == "ValidatingWebhookConfiguration//gate";
        self.known.retain(|name, _| !is_gone(name));
        self.cluster.run("snapshot").expect(0);
    }

    fn all_gone(&mut self) {
        for node in ["cp1", "cp2", "cp3", "w1", "w3"] {
            self.cluster.program.run(&["lab", "kill", node, "--name", NAME]).expect(0);
        }
        let others = |text: String| {
            let lines: Vec<String> = self
                .cluster
                .lab
                .nodes()
                .iter()
                .filter(|node| ["cp4", "cp5", "cp6", "w2"].contains(&node.name.as_str()))
                .map(|node| {
                    let role = if node.name.starts_with("cp") { ", role = \"control-plane\"" } else { "" };
                    format!("{} = {{ address = \"{}\"{role} }}\n", node.name, node.address)
                })
                .collect();
            let is_node = |line: &str| ["cp", "w"].iter().any(|name| line.starts_with(name));
            let mut rest: String = text.split_inclusive('\n').filter(|line| !is_node(line)).collect();
            let at = rest.find("[nodes]\n").unwrap() + "[nodes]\n".len();
            rest.insert_str(at, &lines.concat());
            // No upstream, no modules: what there is comes from the archive.
            rest.replace("source = \"modules\"", "source = { mirror = \"https://192.0.2.1/\" }")
        };
        self.cluster.edit(others);
        // A machine that was bought this morning.
        let identity = self.cluster.program.home().join(".config/rekindle/identity.txt");
        let home = tempfile::tempdir().unwrap();
        let run = |arguments: &[&str]| {
            self.rebuild(arguments)
                .arg("--trust-on-first-use")
                .arg("--identity")
                .arg(&identity)
                .home(home.path())
        };
        let shown = run(&[]).expect(2).stdout;
        assert!(shown.contains("volume disk (local) of default/data, on w1 (no more)"), "{shown}");
        run(&["--old-cluster-is-gone=rebuilt", "--fenced", "w1", "--fenced", "w3", "--hold"]).expect(0);
        let running = self.cluster.must("cp4", "ctr -n k8s.io containers ls");
        assert!(
            running.contains("kube-apiserver") && !running.contains("kube-controller-manager"),
            "{running}"
        );
        assert!(self.kubectl("cp4", "get nodes -o name").contains("node/w1"), "nothing is cleared yet");
        let done = run(&["--old-cluster-is-gone=rebuilt", "--fenced", "w1", "--fenced", "w3", "--release"])
            .expect(0);
        println!("{}", stages(&done));
        self.same_objects("cp4");
        self.nothing_is_stale();
        // The trust line came with the inventory; another run finds nothing to do.
        let again = self
            .cluster
            .run("up")
            .arg("--trust-on-first-use")
            .arg("--identity")
            .arg(&identity)
            .home(home.path())
            .ended()
            .result();
        assert_eq!(again["changed"], 0, "{again}");
        self.cluster.web_answers("w2", Duration::from_secs(60));
    }

    fn nothing_is_stale(&self) {
        let old = ["cp1", "cp2", "cp3", "w1"];
        let objects = "get nodes,csinodes -o name; kubectl --kubeconfig=/etc/kubernetes/admin.conf get leases -n kube-node-lease -o name; \
                       kubectl --kubeconfig=/etc/kubernetes/admin.conf get pods -A -o jsonpath='{.items[*].spec.nodeName}'";
        let found = self.kubectl("cp4", objects);
        let stale: Vec<&str> = old
            .into_iter()
            .filter(|name| {
                found.split_whitespace().any(|word| word == *name || word.ends_with(&format!("/{name}")))
            })
            .collect();
        assert!(stale.is_empty(), "{stale:?} in {found}");
        let endpoints =
            self.kubectl("cp4", "get endpointslice kubernetes -o jsonpath='{.endpoints[*].addresses[0]}'");
        let mut endpoints: Vec<&str> = endpoints.split_whitespace().collect();
        endpoints.sort_unstable();
        let mut own = ["cp4", "cp5", "cp6"].map(|node| self.cluster.address(node));
        own.sort();
        assert_eq!(endpoints, own);
        let members = self.cluster.must("cp4", &format!("{ETCDCTL} member list"));
        assert!(
            members.lines().count() == 3 && old.iter().all(|name| !members.contains(&format!(" {name},"))),
            "{members}"
        );
        let kubeadm = self.kubectl("cp4", "get configmap kubeadm-config -n kube-system -o yaml");
        assert!(!old.iter().any(|name| kubeadm.contains(&self.cluster.address(name))), "{kubeadm}");
    }

    fn one_from_three(&mut self) {
        self.cluster.run("snapshot").expect(0);
        for node in ["cp4", "cp5", "cp6"] {
            self.cluster.program.run(&["lab", "wipe", node, "--name", NAME]).expect(0);
        }
        let three = std::fs::read_to_string(&self.cluster.inventory).unwrap();
        // It keeps its pod network, whoever comes before it in the file.
        let kept = |line: &str| match line.starts_with("w2 ") {
            true => line.replace(" }", ", pod-cidr = \"10.244.3.0/24\" }"),
            false => line.to_owned(),
        };
        let is_here = |line: &&str| !line.starts_with("cp5") && !line.starts_with("cp6");
        self.cluster.edit(|text| text.split_inclusive('\n').filter(is_here).map(kept).collect());
        self.rebuild(&["--old-cluster-is-gone=rebuilt"]).expect(0);
        self.same_objects("cp4");
        let members = self.cluster.must("cp4", &format!("{ETCDCTL} member list"));
        assert_eq!(members.lines().count(), 1, "{members}");
        // And three from one.
        self.cluster.run("snapshot").expect(0);
        self.cluster.program.run(&["lab", "wipe", "cp4", "--name", NAME]).expect(0);
        self.cluster.edit(|_| three);
        self.rebuild(&["--old-cluster-is-gone=rebuilt"]).expect(0);
        self.same_objects("cp4");
        let members = self.cluster.must("cp4", &format!("{ETCDCTL} member list"));
        assert_eq!(members.lines().count(), 3, "{members}");
        let status = self.cluster.run("status").expect(0).result();
        assert!(status["complaints"].as_array().is_none_or(Vec::is_empty), "{status}");
    }
}

/// How long it took, and its longest steps.
fn stages(done: &Ended) -> String {
    let result = done.result();
    let events = done.stdout.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut steps: Vec<(f64, String)> = events
        .filter(|event| event["event"] == "step-ended")
        .map(|event| {
            (event["took"].as_f64().unwrap_or_default(), format!("{} {}", event["host"], event["title"]))
        })
        .filter(|(seconds, _)| *seconds > 1.0)
        .collect();
    steps.sort_by(|one, two| two.0.total_cmp(&one.0));
    format!("{} {}\n{steps:?}", result["stages"], result["seconds"])
}

const IMAGE: &str = "registry.k8s.io/coredns/coredns:v1.14.2";

const OBJECTS: &str = r#"{"apiVersion":"v1","kind":"List","items":[
{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"web","namespace":"default","finalizers":["example.com/keep"]},"data":{"Corefile":".:1053 {\n health :8080\n whoami\n}\n"}},
{"apiVersion":"v1","kind":"Secret","metadata":{"name":"words","namespace":"default"},"data":{"word":"c2VzYW1l"}},
{"apiVersion":"v1","kind":"Service","metadata":{"name":"web","namespace":"default"},"spec":{"selector":{"app":"web"},"ports":[{"port":8080}]}},
{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web","namespace":"default"},"spec":{"replicas":2,"selector":{"matchLabels":{"app":"web"}},
"template":{"metadata":{"labels":{"app":"web"}},"spec":{"containers":[{"name":"web","image":"registry.k8s.io/coredns/coredns:v1.14.2","imagePullPolicy":"Never",
"args":["-conf","/etc/web/Corefile"],"readinessProbe":{"httpGet":{"path":"/health","port":8080},"periodSeconds":1},
"volumeMounts":[{"name":"conf","mountPath":"/etc/web"}]}],"volumes":[{"name":"conf","configMap":{"name":"web"}}]}}}},
{"apiVersion":"policy/v1","kind":"PodDisruptionBudget","metadata":{"name":"web","namespace":"default"},"spec":{"minAvailable":2,"selector":{"matchLabels":{"app":"web"}}}},
{"apiVersion":"batch/v1","kind":"Job","metadata":{"name":"once","namespace":"default"},"spec":{"template":{"spec":{"restartPolicy":"Never","containers":[
{"name":"once","image":"registry.k8s.io/coredns/coredns:v1.14.2","imagePullPolicy":"Never","args":["-version"]}]}}}},
{"apiVersion":"v1","kind":"PersistentVolume","metadata":{"name":"disk"},"spec":{"capacity":{"storage":"1Gi"},"accessModes":["ReadWriteOnce"],"local":{"path":"/mnt"},
"claimRef":{"namespace":"default","name":"data"},"nodeAffinity":{"required":{"nodeSelectorTerms":[{"matchExpressions":[{"key":"kubernetes.io/hostname","operator":"In","values":["w1"]}]}]}}}},
{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"gate"}},
{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":"widgets.example.com"},"spec":{"group":"example.com","scope":"Cluster",
"names":{"plural":"widgets","singular":"widget","kind":"Widget","listKind":"WidgetList"},
"conversion":{"strategy":"Webhook","webhook":{"conversionReviewVersions":["v1"],"clientConfig":{"service":{"namespace":"gate","name":"gone"}}}},
"versions":[{"name":"v1","served":true,"storage":true,"schema":{"openAPIV3Schema":{"type":"object"}}},
{"name":"v1beta1","served":true,"storage":false,"schema":{"openAPIV3Schema":{"type":"object"}}}]}},
{"apiVersion":"apiregistration.k8s.io/v1","kind":"APIService","metadata":{"name":"v1.gone.example.com"},"spec":{"group":"gone.example.com","version":"v1",
"groupPriorityMinimum":100,"versionPriority":10,"insecureSkipTLSVerify":true,"service":{"namespace":"gate","name":"gone","port":443}}}]}"#;

/// It is asked of every call, and nobody answers.
const GATE: &str = r#"{"apiVersion":"admissionregistration.k8s.io/v1","kind":"ValidatingWebhookConfiguration","metadata":{"name":"gate"},"webhooks":[
{"name":"all.example.com","sideEffects":"None","admissionReviewVersions":["v1"],"failurePolicy":"Fail","timeoutSeconds":10,
"clientConfig":{"service":{"namespace":"gate","name":"gone"}},"rules":[{"apiGroups":["*"],"apiVersions":["*"],"operations":["*"],"resources":["*/*"]}]}]}"#;

const BACKEND: &str = r#"{"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","metadata":{"name":"gone-1","namespace":"gate",
"labels":{"kubernetes.io/service-name":"gone"}},"addressType":"IPv4","ports":[{"port":443}],
"endpoints":[{"addresses":["192.0.2.1"],"nodeName":"w1","conditions":{"ready":true}}]}"#;
