//! That this machine made an archive of this root key for that cluster: noted until the inventory's `trust` line says
//! it. A cache: without it, the line or `--trust-on-first-use` is asked for.

use super::{failure, root_key};
use crate::environment::Environment;
use crate::failure::{Failure, file_error};
use crate::loaded::Loaded;
use archive::{Archive, RootKey, RootPublic, Standing, Trust};
use pki::Bundle;
use std::path::PathBuf;

/// One file a key, since of two that begin at the same time neither knows yet whose archive it will be.
fn trust_note(environment: &Environment, loaded: &Loaded, root: &RootPublic) -> PathBuf {
    let whose = format!("{}\n{}\n{root}", loaded.folder.display(), loaded.cluster().name);
    environment.state.join("trust").join(step::Digest::of(whose.as_bytes()).hex())
}

/// The root key that signs what lies there, where this machine noted it.
pub fn noted_trust(archive: &Archive, environment: &Environment, loaded: &Loaded) -> Option<RootPublic> {
    match archive.state(&Trust::FirstUse) {
        Ok(Standing::Holds(holding)) => {
            trust_note(environment, loaded, &holding.root).exists().then_some(holding.root)
        }
        _ => None,
    }
}

/// Notes the root key of an archive that is about to be made: whoever is killed right after finds his own again.
pub fn note_trust(environment: &Environment, loaded: &Loaded, bundle: &Bundle) -> Result<(), Failure> {
    let root =
        RootKey::parse(&root_key(bundle)).and_then(|key| key.public()).map_err(|error| failure(&error))?;
    let path = trust_note(environment, loaded, &root);
    let write = environment.write(&path, format!("{root}\n").as_bytes(), 0o600);
    write.map_err(|error| file_error("cannot be written", &path, &error))
}
