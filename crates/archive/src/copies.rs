//! How many copies are enough: what the destinations that hold a set come to, for whoever writes there.
//!
//! A set is safe off the cluster as soon as one destination off the cluster has it. It is a **debt** while fewer than
//! a majority of the destinations that its writer can write hold it, or all that do fail together although he has
//! others. What is missing beyond that is said, and brought by the next run that can.

use std::collections::BTreeSet;

/// What is known of a destination, beside what lies there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// What a person calls it.
    pub at: String,
    /// What fails together with it; `None` where that is the cluster itself, one of whose machines keeps it.
    pub domain: Option<String>,
    /// Whether nodes write there. Operators write everywhere.
    pub nodes: bool,
}

impl Site {
    /// A place off the cluster that everybody writes, and that fails alone.
    pub fn apart(at: String) -> Self {
        Self { domain: Some(at.clone()), at, nodes: true }
    }
}

/// Who writes a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writer {
    /// A node, by its timer.
    Node,
    /// An operator.
    Operator,
}

/// What the copies of a set come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copies {
    /// Whether one lies off the cluster.
    pub off_cluster: bool,
    /// The destinations that its writer can write and that do not hold it, in their order.
    pub missing: Vec<String>,
    /// Why these are too few.
    pub debt: Option<String>,
}

impl Copies {
    /// Judges the destinations that hold a set (`held`, by what they are called).
    pub fn of(sites: &[Site], writer: Writer, held: &[String]) -> Self {
        let holds = |site: &&Site| held.contains(&site.at);
        let own: Vec<&Site> = sites.iter().filter(|site| site.nodes || writer == Writer::Operator).collect();
        let copies = own.iter().copied().filter(holds).count();
        let domains = |sites: &mut dyn Iterator<Item = &Site>| {
            sites.filter_map(|site| site.domain.as_deref()).collect::<BTreeSet<_>>().len()
        };
        let could = domains(&mut own.iter().copied());
        let off_cluster = sites.iter().filter(holds).any(|site| site.domain.is_some());
        let debt = if could > 0 && !off_cluster {
            Some("no place off the cluster has it".to_owned())
        } else if copies * 2 <= own.len() && !own.is_empty() {
            Some(format!("{copies} of {} places have it, {} are needed", own.len(), own.len() / 2 + 1))
        } else if could > 1 && domains(&mut own.iter().copied().filter(holds)) < 2 {
            Some(format!("all {copies} places that have it fail together, and there are others"))
        } else {
            None
        };
        Self {
            off_cluster,
            missing: own.iter().filter(|site| !holds(site)).map(|site| site.at.clone()).collect(),
            debt,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `at/domain`; no domain: on the cluster; `!`: the operator's alone.
    fn sites(text: &str) -> Vec<Site> {
        let site = |word: &str| {
            let (at, domain) = word.trim_end_matches('!').split_once('/').unwrap();
            let domain = (!domain.is_empty()).then(|| domain.to_owned());
            Site { at: at.into(), domain, nodes: !word.ends_with('!') }
        };
        text.split(' ').map(site).collect()
    }

    #[test]
    fn destinations_domains_writer_and_who_failed() {
        use Writer::{Node, Operator};
        // Sites, who writes, who holds it; then: off the cluster, a debt, what is missing.
        let rows: [(&str, Writer, &str, bool, bool, &str); 27] = [
            ("a/1", Operator, "a", true, false, ""),
            ("a/1", Operator, "", false, true, "a"),
            ("a/1", Node, "a", true, false, ""),
            ("a/1 b/2", Node, "a b", true, false, ""),
            // One of two is no majority.
            ("a/1 b/2", Node, "a", true, true, "b"),
            ("a/1 b/1", Node, "a", true, true, "b"),
            ("a/1 b/1", Node, "a b", true, false, ""),
            // A minority is said, and no debt.
            ("a/1 b/2 c/3", Node, "a b", true, false, "c"),
            ("a/1 b/2 c/3", Node, "c", true, true, "a b"),
            ("a/1 b/2 c/3", Node, "", false, true, "a b c"),
            ("a/1 b/2 c/3 d/4", Node, "a b", true, true, "c d"),
            ("a/1 b/2 c/3 d/4", Node, "a b d", true, false, "c"),
            // A majority that fails together is none, where there are others.
            ("a/1 b/1 c/2", Node, "a b", true, true, "c"),
            ("a/1 b/1 c/2", Node, "a c", true, false, "b"),
            ("a/1 b/1 c/1", Node, "a b", true, false, "c"),
            // What the operator alone writes is no debt of nodes, and one of his.
            ("a/1 mine/2!", Node, "a", true, false, ""),
            ("a/1 mine/2!", Operator, "a", true, true, "mine"),
            ("a/1 mine/2!", Operator, "mine", true, true, "a"),
            ("a/1 mine/2!", Node, "mine", true, true, "a"),
            ("a/1 b/2 mine/3!", Operator, "a b", true, false, "mine"),
            ("a/1 b/1 mine/2!", Node, "a b", true, false, ""),
            ("a/1 b/1 mine/2!", Operator, "a b", true, true, "mine"),
            // A machine of the cluster is no place apart: what lies there alone does not count.
            ("on/", Node, "on", false, false, ""),
            ("on/ a/1", Node, "on", false, true, "a"),
            ("on/ a/1", Node, "a on", true, false, ""),
            ("on/ on2/ a/1", Node, "on on2", false, true, "a"),
            ("on/ a/1 b/2", Node, "on a", true, true, "b"),
        ];
        for (text, writer, held, off_cluster, debt, missing) in rows {
            let held: Vec<String> = held.split(' ').map(str::to_owned).collect();
            let copies = Copies::of(&sites(text), writer, &held);
            let told = (copies.off_cluster, copies.debt.is_some(), copies.missing.join(" "));
            assert_eq!(
                told,
                (off_cluster, debt, missing.to_owned()),
                "{text}, {writer:?}, {held:?}: {copies:?}"
            );
        }
        // Who can write nowhere owes nothing.
        assert_eq!(Copies::of(&sites("mine/1!"), Node, &["mine".into()]).debt, None);
    }
}
