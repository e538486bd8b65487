//! Encryption at rest: a key that the inventory names, with which the apiservers encrypt Secrets in etcd.

use crate::lab_cluster::LabCluster;

/// Where the key lies on the control planes.
const ON_NODES: &str = "/etc/kubernetes/encryption/config.yaml";

/// Of the key's 32 bytes.
const SHA256: &str = "861009ec4d599fab1f40abc76e6f89880cff5833c79c548c99f9045f191cd90b";

/// Lets the cluster that is going to be made encrypt its Secrets.
pub fn at_rest(cluster: &LabCluster) {
    let file = cluster.lab.dir().join("encryption.yaml");
    let text = "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n\
                - resources: [secrets]\n  providers:\n  - secretbox:\n      keys:\n      - name: first\n        \
                secret: MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\n  - identity: {}\n";
    std::fs::write(file, text).unwrap();
    cluster.edit(|inventory| {
        format!(
            "{inventory}\n[kubeadm.api-server]\nencryption-provider-config = \"{ON_NODES}\"\n\n\
             [kubeadm.files]\n\"{ON_NODES}\" = \"encryption.yaml\"\n"
        )
    });
}

/// Whether the archive says of the key which one it is, and nothing else.
pub fn is_told_by_the_archive(cluster: &LabCluster) -> bool {
    let sets = cluster.inventory.parent().unwrap().join("archive/gen");
    let files = std::fs::read_dir(sets).unwrap().map(|file| file.unwrap().path());
    let identity = files.filter(|file| file.to_string_lossy().contains("/1-0-"));
    let texts: Vec<String> = identity.map(|file| std::fs::read_to_string(file).unwrap()).collect();
    texts
        .iter()
        .all(|text| text.contains(&format!("\"encryption_keys\":{{\"secretbox/first\":\"{SHA256}\"}}")))
}
