//! What the nodes' own snapshots need: settings, and this program for the nodes' platform.

use crate::environment::Environment;
use crate::failure::{Failure, file_error};
use crate::payload::{bring_program, program_name};
use crate::ready::architecture;
use crate::report::Reporter;
use crate::session::Session;
use artifacts::{Arch, Sha256};
use pki::Bundle;
use plan::Snapshots;
use std::collections::BTreeMap;
use std::path::PathBuf;
use step::Digest;

/// The nodes' timers.
#[derive(Default)]
pub struct Timers {
    /// What they are made from.
    pub snapshots: Option<Snapshots>,
    /// This program for the nodes.
    pub program: Option<NodeProgram>,
    /// Why there are none although the inventory wants some.
    pub missing: Option<String>,
}

/// This program, for a platform.
#[derive(Clone)]
pub struct NodeProgram {
    /// `rekindle-linux-amd64`.
    pub name: String,
    /// Of the file.
    pub sha256: Sha256,
    /// In bytes.
    pub size: u64,
    /// Where it lies.
    pub file: PathBuf,
}

impl NodeProgram {
    /// As plans know it.
    pub fn digest(&self) -> Digest {
        Digest::from_bytes(self.sha256.bytes())
    }
}

/// Brings it together. Without a program for the nodes' platform they keep what they have, and `missing` says why.
pub async fn timers(
    session: &Session,
    bundle: &Bundle,
    host_keys: &BTreeMap<String, String>,
    environment: &Environment,
    report: &Reporter,
) -> Result<Timers, Failure> {
    if session.cluster().archive.written_by_nodes().next().is_none() {
        return Ok(Timers::default());
    }
    let arch = architecture(session)?;
    let name = program_name("linux", arch);
    let here = cfg!(target_os = "linux") && Arch::HERE == Some(arch);
    let (program, missing) = if here {
        (Some(own(name, environment)?), None)
    } else {
        let source = &session.cluster().artifacts.source;
        match bring_program(source, &session.loaded.folder, arch, environment, report).await {
            Ok((file, sha256, size)) => (Some(NodeProgram { name, sha256, size, file }), None),
            Err(failure) => (
                None,
                Some(format!(
                    "no snapshots by the clock: nodes are linux/{arch}, and for them another build of this program is needed: {}",
                    failure.message
                )),
            ),
        }
    };
    let known = program.as_ref().map(|program| (program.digest(), program.size));
    let epoch = session.epoch();
    let snapshots = crate::node::for_nodes(&session.loaded, bundle, host_keys, environment, known, epoch)?;
    Ok(Timers { snapshots, program, missing })
}

/// This program itself.
pub fn own(name: String, environment: &Environment) -> Result<NodeProgram, Failure> {
    let file = environment.program.clone();
    let file = file.ok_or_else(|| Failure::refused("this program does not find its own file"))?;
    let sum = Sha256::of_file(&file);
    let (sha256, size) = sum.map_err(|error| file_error("cannot be read", &file, &error))?;
    Ok(NodeProgram { name, sha256, size, file })
}
