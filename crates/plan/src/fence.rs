//! IN: a node of a cluster that is no more. OUT: nothing of its control plane runs, now and after a reboot.
//! ORDER: any; run again it goes on where it was ended, and changes nothing where all is done.
//!
//! One script, for a node that reads in the archive that a newer epoch fences its own etcd cluster, and for an
//! operator who reaches an old control plane by SSH. What it stops stays on the disk, to be looked at.

use step::Script;

/// By what a cluster is fenced.
#[derive(Clone, Copy, Debug)]
pub struct Fencing<'a> {
    /// The epoch that was claimed.
    pub epoch: u64,
    /// Who claimed it.
    pub holder: &'a str,
    /// The machine on which they did.
    pub host: &'a str,
    /// When, by their clock (RFC 3339).
    pub created: &'a str,
}

impl Fencing<'_> {
    /// In words: what `status` shows and the node keeps.
    pub fn words(&self) -> String {
        let Self { epoch, holder, host, created } = self;
        format!("epoch {epoch}, claimed by {holder} on {host} at {created}")
    }
}

/// Stops the control plane of the node that runs it. It prints a line for each thing that it changed.
pub fn fence(by: &Fencing) -> Script {
    stop(&by.words())
}

/// The same, with the reason in words.
pub(crate) fn stop(why: &str) -> Script {
    Script::new(format!("set -eu\n{}", include_str!("fence.sh"))).set("WHY", why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_name_is_a_command_runs_none() {
        let by =
            Fencing { epoch: 2, holder: "o'ada $(reboot)", host: "`id`", created: "2026-11-24T12:00:00Z" };
        let text = fence(&by).text();
        let first = text.lines().next().unwrap();
        assert_eq!(first, r"WHY='epoch 2, claimed by o'\''ada $(reboot) on `id` at 2026-11-24T12:00:00Z'");
        // Data stays where it is.
        assert!(!text.contains("rm ") && !text.contains("/var/lib/etcd"));
    }
}
