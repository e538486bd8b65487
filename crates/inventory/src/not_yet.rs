//! What an inventory can say and this version can't build yet. Each is refused here and nowhere else: when
//! it is built, its lines here go.

use crate::error::Mistake;
use crate::parse::Found;
use crate::raw::Raw;
use crate::{ApiMode, Cni, Role};
use std::ops::Range;

/// Notes everything in `raw` that is not there yet, with what to do instead.
pub(crate) fn refuse(raw: &Raw, found: &mut Found) {
    let mut not_yet = |span: &Range<usize>, what: &str, hint: &str| {
        let mistake = Mistake::new(span.clone(), format!("{what} is not yet there"), "");
        found.errors.push(mistake.hint(hint));
    };
    if let Some(at) = &raw.api.mode {
        let hint = "leave `mode` out: each worker then has a local haproxy with all apiservers behind it, and no \
            load balancer is needed";
        match at.value {
            ApiMode::Local => {}
            ApiMode::Vip => not_yet(&at.span, "`api.mode = \"vip\"`", hint),
            ApiMode::External => not_yet(&at.span, "`api.mode = \"external\"`", hint),
        }
    }
    if let Some(at) = &raw.network.cni {
        match at.value {
            Cni::Routes | Cni::None => {}
            Cni::Flannel => not_yet(
                &at.span,
                "`cni = \"flannel\"`",
                "\"routes\" works where all nodes share one L2 network; else write \"none\" and apply flannel's manifest with kubectl",
            ),
            Cni::Manifest(_) => not_yet(
                &at.span,
                "`cni = { manifest = … }`",
                "write \"none\" and apply the manifest with kubectl",
            ),
        }
    }
    let roles = raw.nodes.iter().flat_map(|nodes| nodes.value.values()).filter_map(|node| node.role.as_ref());
    for at in roles.filter(|at| at.value == Role::Etcd) {
        not_yet(&at.span, "an external etcd", "leave these nodes out: etcd then runs on the control planes");
    }
    if let Some(at) = &raw.archive.keep {
        not_yet(&at.span, "pruning the archive", "leave `keep` out: everything is kept");
    }
}
