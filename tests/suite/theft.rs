//! The control planes were stolen: the cluster comes back under another name and at another address, with new CAs, keys
//! and a new encryption key, while one old control plane still answers and the others come back later.

use crate::encryption;
use crate::lab_cluster::{ETCDCTL, KUBECTL, LabCluster};
use crate::program::{Ended, with_labs};
use std::time::{Duration, Instant};

const FIRST_KEY: &str = "k8s:enc:secretbox:v1:epoch-2:";

#[test]
fn what_was_stolen_opens_nothing_and_old_machines_harm_nothing() {
    with_labs(|program| {
        let options = ["--control-planes", "4", "--workers", "1"];
        let cluster = LabCluster::machines(program, "theft", &options, &["cp4"]);
        encryption::at_rest(&cluster);
        cluster.run("up").expect(0);
        cluster.nodes_are_ready(&["cp1", "cp2", "cp3", "w1"]);
        let mut theft = Theft { cluster, stolen: Stolen::default() };
        let acts: [(&str, Act); 4] = [
            ("stolen", Theft::keys_are_stolen),
            ("rebuilt", Theft::it_is_built_again_elsewhere),
            ("refused", Theft::what_was_stolen_is_refused),
            ("returned", Theft::machines_that_come_back_harm_nothing),
        ];
        for (name, act) in acts {
            let start = Instant::now();
            act(&mut theft);
            println!("{name}: {:.0} s", start.elapsed().as_secs_f64());
        }
    });
}

type Act = fn(&mut Theft);

struct Theft {
    cluster: LabCluster,
    stolen: Stolen,
}

/// What lets in.
#[derive(Default)]
struct Stolen {
    kubeconfig: String,
    kubelet: String,
    tokens: Vec<String>,
}

impl Theft {
    fn kubectl(&self, arguments: &str) -> String {
        self.cluster.must("cp4", &format!("{KUBECTL} {arguments}"))
    }

    fn keys_are_stolen(&mut self) {
        let Self { cluster, stolen } = self;
        let pod = r#"{"containers":[{"name":"pause","image":"registry.k8s.io/pause:3.10.2","imagePullPolicy":"Never"}]}"#;
        let objects = format!(
            r#"{{"apiVersion":"v1","kind":"List","items":[
            {{"apiVersion":"apps/v1","kind":"Deployment","metadata":{{"name":"web","namespace":"default"}},"spec":{{"replicas":2,
              "selector":{{"matchLabels":{{"app":"web"}}}},"template":{{"metadata":{{"labels":{{"app":"web"}}}},"spec":{pod}}}}}}},
            {{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"bare","namespace":"default"}},"spec":{pod}}},
            {{"apiVersion":"v1","kind":"Secret","metadata":{{"name":"kept","namespace":"default"}},"stringData":{{"word":"hush"}}}},
            {{"apiVersion":"v1","kind":"ServiceAccount","metadata":{{"name":"robot","namespace":"default"}}}},
            {{"apiVersion":"v1","kind":"Secret","type":"kubernetes.io/service-account-token","metadata":{{"name":"legacy",
              "namespace":"default","annotations":{{"kubernetes.io/service-account.name":"robot"}}}}}}]}}"#
        );
        cluster.must("cp1", &format!("{KUBECTL} apply -f - <<'END'\n{objects}\nEND"));
        cluster.kubectl("rollout status deployment/web --timeout=90s");
        cluster.kubectl("wait --for=condition=Ready --timeout=60s pod/bare");
        // A thief's own way back in, after the first generation.
        cluster.kubectl("create clusterrolebinding backdoor --clusterrole=cluster-admin --user=mallory");
        cluster.run("snapshot").expect(0);
        let kubeconfig = cluster.program.home().join(".config/rekindle/kubeconfig/theft");
        stolen.kubeconfig = std::fs::read_to_string(kubeconfig).unwrap();
        stolen.kubelet = cluster.must("w1", "cat /var/lib/kubelet/pki/kubelet-client-current.pem");
        stolen.tokens = vec![
            cluster.kubectl("create token robot --duration=24h"),
            cluster.kubectl("get secret legacy -o jsonpath={.data.token} | base64 -d"),
        ];
    }

    fn rebuild(&self, more: &[&str], code: i32) -> Ended {
        let run = self.cluster.run("rebuild");
        more.iter().fold(run.arg("--after-theft"), |run, word| run.arg(word)).expect(code)
    }

    fn it_is_built_again_elsewhere(&mut self) {
        let cluster = &self.cluster;
        let (old, new) = (cluster.address("cp1"), cluster.address("cp4"));
        cluster.edit(|text| {
            let line = |line: &str| match line.split_once(" = ") {
                Some(("cp1", _)) => line.replacen("cp1", "cp4", 1).replace(&old, &new),
                Some(("cp2" | "cp3", _)) => String::new(),
                // It keeps the piece of the pod network that it has.
                Some(("w1", _)) => line.replacen('{', "{ pod-cidr = \"10.244.3.0/24\",", 1),
                _ => line.to_owned(),
            };
            text.split_inclusive('\n').map(line).collect()
        });
        for node in ["cp1", "cp2"] {
            cluster.lab.kill(node).unwrap();
        }
        let refused = self.rebuild(&[], 2).stdout;
        let witness = format!("{} answers on port", cluster.address("cp3"));
        assert!(refused.contains(&witness), "{refused}");
        assert!(cluster.on("cp3", "systemctl is-active kubelet").is_ok(), "nothing was touched");

        let said = self.rebuild(&["--old-cluster-is-gone=theft"], 0).stdout;
        for words in [
            "cp3            answers and is in no inventory",
            "+ clusterrolebindings backdoor: cluster-admin to User mallory",
            "encryption.yaml has a new first key",
        ] {
            assert!(said.contains(words), "{words}: {said}");
        }
        let state = "systemctl is-active kubelet; ls /etc/kubernetes/manifests | wc -l; ls /var/lib/etcd/before-epoch-2/member/snap/db; \
                     pgrep -x 'etcd|kube-apiserver|kube-controller|kube-scheduler' || echo none";
        let stopped = "inactive\n0\n/var/lib/etcd/before-epoch-2/member/snap/db\nnone\n";
        assert_eq!(cluster.must("cp3", state), stopped);
        assert_eq!(self.kubectl("get nodes -o name"), "node/cp4\nnode/w1\n");
    }

    fn what_was_stolen_is_refused(&mut self) {
        let (cluster, stolen) = (&self.cluster, &self.stolen);
        let ask = |options: &str| {
            let script = format!(
                "curl -sk -o /dev/null -w '%{{http_code}}' {options} https://127.0.0.1:6443/api/v1/namespaces"
            );
            cluster.must("cp4", &script)
        };
        for token in &stolen.tokens {
            assert_eq!(ask(&format!("-H 'Authorization: Bearer {}'", token.trim())), "401");
        }
        cluster.must("cp4", &format!("cat >/run/old.pem <<'END'\n{}END", stolen.kubelet));
        assert_eq!(ask("--cert /run/old.pem --key /run/old.pem"), "401");
        let admin = format!(
            "kubectl --kubeconfig=/dev/stdin --insecure-skip-tls-verify --server=https://127.0.0.1:6443 get namespaces <<'END'\n{}END",
            stolen.kubeconfig
        );
        let refused = cluster.on("cp4", &admin).unwrap_err();
        assert!(refused.contains("provide credentials"), "{refused}");
        // The old CA is believed by no aggregated apiserver either, and nobody joins with an old token.
        let believed =
            self.kubectl("get configmap -n kube-system extension-apiserver-authentication -o yaml");
        assert_eq!(believed.matches("BEGIN").count(), 2, "{believed}");

        // Nobody who is to be there lacks what is new.
        self.kubectl("rollout status deployment/web --timeout=90s");
        self.kubectl("rollout status daemonset/kube-proxy -n kube-system --timeout=90s");
        let token = self.kubectl("get secret legacy -o jsonpath={.data.token} | base64 -d");
        assert_eq!(ask(&format!("-H 'Authorization: Bearer {token}'")), "403", "known, and without a role");
        assert_eq!(self.kubectl("get secret kept -o jsonpath={.data.word} | base64 -d"), "hush");
        let keys = "{ETCDCTL} get --prefix /registry/secrets/";
        let count =
            |script: &str| cluster.must("cp4", &script.replace("{ETCDCTL}", ETCDCTL)).trim().to_owned();
        let all = count(&format!("{keys} --keys-only | grep -c ."));
        let new = count(&format!("{keys} --print-value-only | grep -aoF {FIRST_KEY} | wc -l"));
        assert_eq!(new, all, "all Secrets are under the new key");
        assert_eq!(count("{ETCDCTL} get rekindle/made-anew"), "");
        assert_eq!(
            self.kubectl("get pod bare -o jsonpath={.status.phase}"),
            "Running",
            "nobody would make it again"
        );

        // And it stays so.
        let file = cluster.lab.dir().join("encryption.yaml");
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.find("epoch-2") < text.find("first") && text.contains("first"), "{text}");
        assert!(file.with_extension("yaml.before-epoch-2").exists());
        assert_eq!(cluster.run("up").expect(0).result()["changed"], 0);
    }

    /// What an old machine might change.
    fn standing(&self) -> String {
        let members = self.cluster.must("cp4", &format!("{ETCDCTL} member list"));
        let objects = "get nodes,endpointslices,services,deployments,configmaps,secrets,leases -A -o \
                       jsonpath='{range .items[*]}{.kind} {.metadata.namespace}/{.metadata.name} {.metadata.uid} {.spec.podCIDR} {.endpoints[*].addresses} {.spec.holderIdentity}{\"\\n\"}{end}'";
        members + &self.kubectl(objects)
    }

    fn revision(&self) -> u64 {
        let status = self.cluster.must("cp4", &format!("{ETCDCTL} endpoint status -w fields"));
        let line = status.lines().find(|line| line.starts_with("\"Revision\"")).unwrap();
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }

    fn machines_that_come_back_harm_nothing(&mut self) {
        let cluster = &self.cluster;
        let (before, revision) = (self.standing(), self.revision());
        assert!(revision > 1_000_000_000, "{revision}");
        // One has no quorum; two have their old one, and answer.
        for (node, answers) in [("cp1", false), ("cp2", true)] {
            cluster.lab.start(node).unwrap();
            cluster.eventually("its kubelet is there", Duration::from_secs(60), || {
                cluster.on(node, "curl -sf -m 2 http://127.0.0.1:10248/healthz").is_ok()
            });
            if answers {
                cluster.eventually("the old cluster answers", Duration::from_secs(90), || {
                    cluster.on(node, &format!("{KUBECTL} get --raw /readyz")).is_ok()
                });
            }
            std::thread::sleep(Duration::from_secs(8));
            assert_eq!(self.standing(), before, "{node}");
        }
        // It is the old one that answers there, with what it had.
        let old = cluster.must("cp2", &format!("{KUBECTL} get nodes -o name"));
        assert!(old.contains("node/cp1") && !old.contains("node/cp4"), "{old}");
        // Nobody wrote to the new one but itself.
        assert!(self.revision() - revision < 2_000);
        assert_eq!(self.kubectl("get nodes -o name"), "node/cp4\nnode/w1\n");
        let status = cluster.run("status").expect(0).result();
        assert_eq!(cluster.members(&status), ["cp4"]);
    }
}
