//! A rebuild where something of the cluster is left: back to a generation while it lives, from the one disk that has its
//! data; and a whole rebuild rehearsed in a lab, which changes nothing.

use crate::lab_cluster::LabCluster;
use crate::program::{Program, Run, with_labs};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const NAME: &str = "inplace";

/// The containers of the worker's pods.
const ON_THE_WORKER: &str = "pgrep -x 'coredns|kube-proxy|pause' | sort";

#[test]
fn back_in_place_from_one_disk_and_rehearsed() {
    with_labs(|program| {
        let lab = InPlace::build(program);
        let acts: [(&str, Act); 3] = [
            ("in place", InPlace::a_living_cluster_goes_back),
            ("from disk", InPlace::one_disk_of_three_is_enough),
            ("drill --lab", InPlace::a_rehearsal_changes_nothing_and_leaves_nothing),
        ];
        for (name, act) in acts {
            let start = Instant::now();
            act(&lab);
            println!("{name}: {:.0} s", start.elapsed().as_secs_f64());
        }
    });
}

type Act = fn(&InPlace);

struct InPlace {
    cluster: LabCluster,
}

impl InPlace {
    fn build(program: Program) -> Self {
        let cluster = LabCluster::machines(program, NAME, &["--control-planes", "3", "--workers", "1"], &[]);
        cluster.run("up").expect(0);
        cluster.nodes_are_ready(&["cp1", "cp2", "cp3", "w1"]);
        Self { cluster }
    }

    fn rebuild(&self) -> Run {
        self.cluster.run("rebuild")
    }

    fn generation(&self) -> String {
        self.cluster.generations()[0]["generation"].as_str().unwrap().to_owned()
    }

    fn config_maps(&self) -> String {
        self.cluster.kubectl("get configmap -n default -o name")
    }

    fn stands(&self, epoch: u64) {
        let status = self.cluster.run("status").expect(0).result();
        assert_eq!(self.cluster.members(&status), ["cp1", "cp2", "cp3"]);
        for node in ["cp1", "cp2", "cp3"] {
            assert_eq!(self.cluster.must(node, "cat /var/lib/rekindle/epoch"), format!("{epoch}\n"));
        }
        self.cluster.run("plan").arg("--exit-code").expect(0);
    }

    fn a_living_cluster_goes_back(&self) {
        let cluster = &self.cluster;
        cluster.kubectl("create secret generic kept --from-literal=a=b");
        let kept = cluster.kubectl("get secret kept -o jsonpath={.metadata.uid}");
        cluster.run("snapshot").expect(0);
        let then = self.generation();
        cluster.kubectl("create configmap undone");
        cluster.kubectl("delete secret kept");
        let pods = cluster.must("w1", ON_THE_WORKER);

        // Without the flag a cluster that lives is left alone, and without all of its control planes too.
        let refused = self.rebuild().arg("--old-cluster-is-gone=inplace").expect(2).stdout;
        assert!(refused.contains("--in-place"), "{refused}");
        cluster.lab.kill("cp3").unwrap();
        let refused = self.rebuild().args(&["--in-place", &then, "--yes=REBUILD-inplace"]).expect(2).stdout;
        assert!(refused.contains("cp3 can't be reached"), "{refused}");
        cluster.lab.start("cp3").unwrap();
        cluster.eventually("cp3 has its member back", Duration::from_secs(60), || {
            cluster.on("cp3", "curl -sf -m 1 http://127.0.0.1:2381/readyz").is_ok()
        });
        let shown = self.rebuild().args(&["--in-place", &then]).expect(2).stdout;
        assert!(shown.contains("since then: made 1 configmaps"), "{shown}");
        assert_eq!(self.generation(), then, "nothing was sealed or claimed");

        // Killed when the first control plane was stopped, it goes on.
        let killed = self
            .rebuild()
            .args(&["--in-place", &then, "--yes=REBUILD-inplace"])
            .kill_when(|event| event["event"] == "step-ended" && event["stage"] == "set aside");
        assert!(killed.is_none(), "{killed:?}");
        self.rebuild().args(&["--in-place", &then, "--yes=REBUILD-inplace"]).expect(0);
        self.stands(2);
        assert!(!self.config_maps().contains("undone"), "{}", self.config_maps());
        assert_eq!(cluster.kubectl("get secret kept -o jsonpath={.metadata.uid}"), kept);
        assert_eq!(cluster.must("w1", ON_THE_WORKER), pods, "the worker's containers go on");
        // What is undone is in a generation of its own, and on the disks.
        let generations = cluster.generations();
        let present = generations.iter().find(|one| one["epoch"] == 1).unwrap();
        assert!(present["generation"] != then.as_str() && present["counts"] == true, "{present}");
        cluster.must("cp1", "ls /var/lib/etcd/before-epoch-2/member/wal/*.wal");
    }

    fn one_disk_of_three_is_enough(&self) {
        let cluster = &self.cluster;
        cluster.kubectl("create configmap later");
        let uid = cluster.kubectl("get configmap later -o jsonpath={.metadata.uid}");
        std::thread::scope(|scope| {
            for node in ["cp1", "cp2"] {
                scope.spawn(|| cluster.lab.wipe(node).unwrap());
            }
        });
        let refused = self.rebuild().expect(2).stdout;
        assert!(refused.contains("--from-disk cp3 takes what it has"), "{refused}");
        let shown = self.rebuild().args(&["--from-disk", "cp3"]).expect(2).stdout;
        for words in ["the disk of cp3: revision", "the archive: revision", "nobody confirms"] {
            assert!(shown.contains(words), "{words}: {shown}");
        }
        self.rebuild().args(&["--from-disk", "cp3", "--yes=REBUILD-inplace"]).expect(0);
        self.stands(3);
        assert_eq!(cluster.kubectl("get configmap later -o jsonpath={.metadata.uid}"), uid);
    }

    fn a_rehearsal_changes_nothing_and_leaves_nothing(&self) {
        let cluster = &self.cluster;
        let lab = Path::new("/var/lib/rekindle-lab/labs/drill-inplace");
        let archive = cluster.lab.dir().join("archive");
        let before = files(&archive);
        cluster.kubectl("create configmap newest");
        let drill = || cluster.run("drill").arg("--lab");
        let drilled = drill().expect(0).result();
        assert_eq!(
            (&drilled["proven"], &drilled["differences"]),
            (&true.into(), &serde_json::json!([])),
            "{drilled}"
        );
        let live = drilled["live"].as_array().unwrap();
        assert!(live.iter().any(|one| one["kind"] == "configmaps"), "{drilled}");
        assert_eq!(files(&archive), before, "the archive is only read");
        assert!(!lab.exists());

        // Killed in the middle, its machine goes all the same.
        let killed = drill().kill_when(|event| event["event"] == "step-ended");
        assert!(killed.is_none(), "{killed:?}");
        cluster.eventually("its lab is gone", Duration::from_secs(30), || !lab.exists());
        assert_eq!(files(&archive), before);
    }
}

/// Every file with its content.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => drop(found.insert(path.clone(), std::fs::read(path).unwrap())),
            }
        }
    }
    found
}
