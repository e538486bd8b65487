//! An inventory read from its file, with the local files that it names.

use crate::environment::Environment;
use crate::failure::{Failure, file_error};
use crate::report::Reporter;
use crate::vault::Remembered;
use inventory::{Cluster, Parsed};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

/// More than this is no inventory, in bytes.
const LARGEST: u64 = 1 << 20;

/// An inventory and what it names.
pub struct Loaded {
    /// The file, as it was named.
    pub path: PathBuf,
    /// Its folder: relative paths start here.
    pub folder: PathBuf,
    /// Its text.
    pub text: String,
    /// What it says.
    pub parsed: Parsed,
}

/// The local files that an inventory names, read.
#[derive(Default)]
pub struct LocalFiles {
    /// Files that arguments name, by their path on the control planes.
    pub files: BTreeMap<String, pki::Secret>,
    /// kubeadm patches by file name.
    pub patches: BTreeMap<String, String>,
    /// The keys of the encryption at rest: provider and name → sha256 of the key.
    pub encryption_keys: BTreeMap<String, step::Digest>,
}

impl Loaded {
    /// Reads and checks it; warnings are told.
    pub fn read(path: &Path, report: &Reporter) -> Result<Self, Failure> {
        let text = read_text(path).map_err(|failure| {
            let start =
                "`rekindle init > rekindle.toml` writes an inventory to start from; `-i FILE` names another";
            failure.maybe_hint((!path.exists()).then_some(start))
        })?;
        Self::of(path, text, report)
    }

    /// The same of a text that lies, or will lie, at `path`.
    pub fn of(path: &Path, text: String, report: &Reporter) -> Result<Self, Failure> {
        let name = path.display().to_string();
        let parsed = inventory::parse(&name, &text).map_err(|mistakes| {
            let n = mistakes.len();
            let noun = if n == 1 { "mistake" } else { "mistakes" };
            Failure::refused(format!("{n} {noun} in {name}\n\n{}", mistakes.render(report.colour)))
        })?;
        if !parsed.warnings.is_empty() {
            report.say(parsed.warnings.render(report.colour).trim_end());
        }
        let folder = path.parent().map(Path::to_path_buf).unwrap_or_default();
        let folder = if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder };
        let folder = folder.canonicalize().map_err(|error| file_error("its folder", path, &error))?;
        Ok(Self { path: path.to_path_buf(), folder, text, parsed })
    }

    /// The cluster that it describes.
    pub fn cluster(&self) -> &Cluster {
        &self.parsed.cluster
    }

    /// Reads the files that it names.
    pub fn local_files(&self, environment: &Environment) -> Result<LocalFiles, Failure> {
        let read = |path: &PathBuf| read_text(&environment.path(&self.folder, path));
        let cluster = self.cluster();
        let mut local = LocalFiles::default();
        for (on_node, path) in &cluster.kubeadm.files {
            local.files.insert(on_node.clone(), read(path)?.into());
        }
        for (name, path) in &cluster.kubeadm.patches {
            local.patches.insert(name.clone(), read(path)?);
        }
        local.checked(cluster)
    }

    /// The user's own CA, which is asked for once: then the archive has it.
    pub fn own_ca(&self, environment: &Environment) -> Result<Option<pki::OwnCa>, Failure> {
        let read = |path: &PathBuf| read_text(&environment.path(&self.folder, path));
        let own = self.cluster().pki.own_ca.as_ref();
        own.map(|own| Ok(pki::OwnCa { certificate: read(&own.certificate)?, key: read(&own.key)?.into() }))
            .transpose()
    }

    /// The same as the archive holds them, in the first of these identity sets that does; what none holds is read here.
    pub fn archived_files(
        &self,
        archived: &[Option<&Remembered>],
        environment: &Environment,
    ) -> Result<LocalFiles, Failure> {
        let here = |path: &PathBuf| read_text(&environment.path(&self.folder, path));
        let mut local = LocalFiles::default();
        for (on_node, path) in &self.cluster().kubeadm.files {
            let known = archived.iter().flatten().find_map(|set| set.files.get(on_node).cloned());
            let text = known.map_or_else(|| here(path).map(Into::into), Ok)?;
            local.files.insert(on_node.clone(), text);
        }
        for (name, path) in &self.cluster().kubeadm.patches {
            let known = archived.iter().flatten().find_map(|set| set.patches.get(name).cloned());
            local.patches.insert(name.clone(), known.map_or_else(|| here(path), Ok)?);
        }
        local.checked(self.cluster())
    }
}

impl LocalFiles {
    /// The same with a new key before the others in the file of the encryption at rest, and what that key encrypts.
    pub fn with_new_key(
        mut self,
        cluster: &Cluster,
        name: &str,
        key: &[u8; 32],
    ) -> Result<(Self, Vec<plan::encryption::FirstKey>), Failure> {
        let Some((path, text)) =
            plan::encryption::path(cluster).and_then(|path| self.files.get_key_value(path))
        else {
            return Ok((self, Vec::new()));
        };
        let (text, first) = plan::encryption::with_new_key(path, text, name, key)
            .map_err(|error| Failure::because(&error))?;
        let path = path.clone();
        self.files.insert(path, text);
        Ok((self.checked(cluster)?, first))
    }

    /// With the keys of the encryption at rest; nothing is missed.
    fn checked(mut self, cluster: &Cluster) -> Result<Self, Failure> {
        if let Some(path) = plan::encryption::path(cluster)
            && let Some(text) = self.files.get(path)
        {
            self.encryption_keys =
                plan::encryption::keys(path, text).map_err(|error| Failure::because(&error))?;
        }
        self.nothing_is_missed()?;
        Ok(self)
    }

    /// What a patch names on the control planes must be known, so that the archive holds it.
    fn nothing_is_missed(&self) -> Result<(), Failure> {
        let laid = |path: &str| {
            let folder = format!("{}/", path.trim_end_matches('/'));
            inventory::is_laid(path)
                || self.files.keys().any(|file| *file == path || file.starts_with(&folder))
        };
        for (name, patch) in &self.patches {
            if let Some(path) = plan::patches::paths(patch).into_iter().find(|path| !laid(path)) {
                return Err(Failure::refused(format!(
                    "the patch {name} names {path} on the control planes, which would be in no archive"
                ))
                .hint(format!("[kubeadm.files]\n\"{path}\" = \"the-file-here\"")));
            }
        }
        Ok(())
    }
}

/// A text file, where it is one.
pub fn read_text(path: &Path) -> Result<String, Failure> {
    let failure = |error: &std::io::Error| file_error("cannot be read", path, error);
    let kind = std::fs::metadata(path).map_err(|error| failure(&error))?;
    if kind.is_dir() {
        return Err(Failure::refused(format!("{}: is a folder", path.display())).hint("name a file in it"));
    }
    // A pipe that nobody writes to would keep us waiting; and relative paths start where the file lies.
    if !kind.is_file() {
        return Err(Failure::refused(format!("{}: is no file", path.display()))
            .hint("write what it gives into a file, and name that"));
    }
    let file = std::fs::File::open(path).map_err(|error| failure(&error))?;
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(|error| failure(&error))?;
    if bytes.len() as u64 > LARGEST {
        return Err(Failure::refused(format!("{}: is larger than 1 MiB", path.display()))
            .hint("is this the right file?"));
    }
    String::from_utf8(bytes).map_err(|_| {
        Failure::refused(format!("{}: is no UTF-8 text", path.display())).hint("is this the right file?")
    })
}
