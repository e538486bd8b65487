//! What kubeadm patches name on the control planes: a file that no archive holds would be missed in every rebuild.

use serde_json::Value;
use std::collections::BTreeSet;

/// Volumes of these types are no files: what lies there is not the cluster's.
const NO_FILES: [&str; 4] = ["DirectoryOrCreate", "Socket", "CharDevice", "BlockDevice"];

/// The paths of the host that a patch names as a volume's `hostPath`, or in a flag `--NAME=/PATH`. A text that is no
/// YAML names none: kubeadm refuses it.
pub fn paths(patch: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    if let Ok(value) = serde_saphyr::from_str::<Value>(patch) {
        collect(&value, &mut found);
    }
    found
}

fn collect(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            if let Some(Value::Object(volume)) = map.get("hostPath") {
                let text = |key: &str| volume.get(key).and_then(Value::as_str);
                if !text("type").is_some_and(|kind| NO_FILES.contains(&kind)) {
                    found.extend(text("path").map(str::to_owned));
                }
            }
            map.values().for_each(|value| collect(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| collect(value, found)),
        Value::String(text) => {
            let flag = text.strip_prefix("--").and_then(|flag| flag.split_once('='));
            found.extend(
                flag.map(|(_, value)| value).filter(|value| value.starts_with('/')).map(str::to_owned),
            );
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_a_patch_names_are_found() {
        let cases: [(&str, &[&str]); 6] = [
            ("spec:\n  containers:\n  - name: kube-apiserver\n    resources: {limits: {cpu: 2}}\n", &[]),
            (
                "spec:\n  volumes:\n  - name: policy\n    hostPath: {path: /opt/policy.yaml, type: File}\n",
                &["/opt/policy.yaml"],
            ),
            (
                "[{\"op\": \"add\", \"path\": \"/spec/volumes/-\", \"value\": {\"hostPath\": {\"path\": \"/opt/x\"}}}]",
                &["/opt/x"],
            ),
            (
                "- op: add\n  path: /spec/containers/0/command/-\n  value: --audit-policy-file=/opt/audit.yaml\n",
                &["/opt/audit.yaml"],
            ),
            (
                "spec: {volumes: [{hostPath: {path: /run/kms.sock, type: Socket}}, {hostPath: {path: /var/log/a, type: DirectoryOrCreate}}]}",
                &[],
            ),
            ("{{no yaml", &[]),
        ];
        for (patch, expected) in cases {
            assert_eq!(paths(patch).iter().map(String::as_str).collect::<Vec<_>>(), expected, "{patch}");
        }
    }
}
