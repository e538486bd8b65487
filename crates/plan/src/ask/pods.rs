//! The pods that a living kubelet holds, without its API server: what lies on its disk.

use step::{Ask, Output, Script, Unreadable};

/// A pod on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// `NAMESPACE/NAME`.
    pub name: String,
    /// Its uid.
    pub uid: String,
}

/// Asks a node.
pub fn pods() -> Ask<Vec<Pod>> {
    // kubelet names a pod's log folder NAMESPACE_NAME_UID (pkg/kubelet/kuberuntime/helpers.go), and removes its own folder
    // of the pod when it is gone.
    let script = "for folder in /var/log/pods/*_*_*; do\n\
        \tuid=${folder##*_}\n\
        \t[ ! -d \"/var/lib/kubelet/pods/$uid\" ] || echo \"${folder##*/}\"\n\
        done\necho asked";
    Ask { script: Script::new(script), parse }
}

fn parse(output: &Output) -> Result<Vec<Pod>, Unreadable> {
    let mut lines: Vec<&str> = output.stdout.lines().collect();
    if lines.pop() != Some("asked") {
        return Err(Unreadable("the answer was cut off".into()));
    }
    let pod = |line: &str| {
        // Names of the API hold no `_`.
        let [namespace, name, uid] = line.split('_').collect::<Vec<_>>()[..] else {
            return Err(Unreadable(format!("no pod's folder: `{line}`")));
        };
        Ok(Pod { name: format!("{namespace}/{name}"), uid: uid.into() })
    };
    lines.into_iter().map(pod).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_a_pod() {
        let answer =
            |stdout: &str| parse(&Output { status: 0, stdout: stdout.into(), stderr: String::new() });
        let pod = Pod { name: "shop/web-1".into(), uid: "0a-1".into() };
        assert_eq!(answer("shop_web-1_0a-1\nasked\n").unwrap(), [pod]);
        assert_eq!(answer("asked\n").unwrap(), []);
        for text in ["", "shop_web-1_0a-1\n", "shop_web\nasked\n"] {
            assert!(answer(text).is_err(), "{text:?}");
        }
    }
}
