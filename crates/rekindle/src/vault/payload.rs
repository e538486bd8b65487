//! Payload sets: whether the archive holds what the running version is made of, and how it comes back.

use super::{Remembered, Vault, failure, root_key};
use crate::environment::Environment;
use crate::failure::{Failure, file_error};
use crate::report::Reporter;
use archive::{Entry, PayloadFile, PayloadProgress, PayloadSealed, PayloadSealing, PayloadSet, Stamp};
use artifacts::Sha256;
use artifacts::export::{SUMS, mode};
use pki::Bundle;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use step::Digest;

/// The digests of all programs and images.
pub fn digests(payload: &plan::Payload) -> BTreeSet<archive::Digest> {
    let programs = payload.programs.iter().map(|program| program.sha256);
    let all = programs.chain(payload.images.iter().map(|image| image.sha256));
    // Both are 64 hex digits; the parse can't fail.
    all.filter_map(|digest| digest.hex().parse().ok()).collect()
}

impl Remembered {
    /// The payload sets of the archive, newest first.
    pub fn payloads(&self) -> &[PayloadSet] {
        &self.opened.holding.payloads
    }

    /// The payload of the version that runs, as it was sealed last; `None` where it is not.
    pub fn own_payload(&self) -> Option<&PayloadSet> {
        PayloadSet::newest_with(self.payloads(), &digests(self.payload.as_ref()?))
    }

    /// What a rebuild without upstream would lack, in words.
    pub fn payload_debts(&self) -> Vec<String> {
        let kubernetes = &self.opened.public.kubernetes;
        let Some(set) = self.own_payload() else {
            return vec![format!(
                "the programs and images of Kubernetes {kubernetes} are not sealed, so a rebuild would need their source: \
                 `rekindle up` seals them, `payload = false` under [archive] leaves them out"
            )];
        };
        let mut debts: Vec<String> = set
            .lacking
            .iter()
            .map(|at| format!("{at}: lacks the payload: `rekindle up` brings it there"))
            .collect();
        if set.public.recipients != self.opened.public.recipients {
            debts.push("the payload is sealed to other recipients: `rekindle up` seals it again".into());
        }
        debts
    }
}

impl Vault {
    /// The identity set of a generation, or the newest where none is named. No snapshot is fetched.
    pub fn identity_of(&self, wanted: Option<&str>) -> Result<Remembered, Failure> {
        if wanted.is_none() {
            return self.open()?.ok_or_else(|| Failure::refused("there is no archive"));
        }
        let generations = self.generations()?;
        self.identity_named_by(self.choose(&generations, wanted)?)
    }

    /// Seals a payload set, unless it is there, at all destinations.
    pub fn seal_payload(
        &self,
        (files, again): (&[PayloadFile], &[Entry]),
        bundle: &Bundle,
        (kubernetes, stamp): (&str, Stamp),
        environment: &Environment,
        report: &Reporter,
    ) -> Result<PayloadSealed, Failure> {
        // The same folder in each run, so that a killed one is gone on with.
        let spool = environment.cache.join("payload").join(bundle.uid());
        environment.make_folder(&spool).map_err(|error| file_error("cannot be made", &spool, &error))?;
        let told = RefCell::new((String::new(), u64::MAX));
        let tell = |progress: PayloadProgress| {
            let what =
                progress.to.map_or_else(|| "payload: encrypted".to_owned(), |at| format!("payload: to {at}"));
            let mut told = told.borrow_mut();
            if (told.0.as_str(), told.1) != (what.as_str(), progress.done) {
                report.progress(&what, progress.done, Some(progress.total), "bytes");
                *told = (what, progress.done);
            }
        };
        let sealing = PayloadSealing { kubernetes, files, again, spool: &spool, stamp };
        self.archive.seal_payload(&sealing, &root_key(bundle), &tell).map_err(|error| failure(&error))
    }

    /// Lays all files of a payload set into `folder`, as `[artifacts] source = { folder = "…" }` takes it, each checked
    /// by its digest; gives them by digest. What lies there already is left, so a run that was killed is gone on with.
    ///
    /// # Errors
    /// A file that no destination has unharmed, a wrong identity, a file of that name with other bytes.
    pub fn lay_payload(
        &self,
        set: &PayloadSet,
        folder: &Path,
        environment: &Environment,
        report: &Reporter,
    ) -> Result<BTreeMap<Digest, PathBuf>, Failure> {
        let identities = self.keys.identities()?;
        let scratch = environment.scratch("payload")?;
        let total = set.public.entries.iter().map(|entry| entry.size).sum();
        let (mut done, mut laid, mut sums) = (0, BTreeMap::new(), String::new());
        for entry in &set.public.entries {
            report.progress("payload: laid", done, Some(total), "bytes");
            // The archive takes no name that could leave the folder.
            let path = folder.join(&entry.name);
            if !lies_there(entry, &path)? {
                let above = path.parent().unwrap_or(folder);
                let failed = |error| file_error("cannot be written", &path, &error);
                environment.make_folder(above).map_err(failed)?;
                let mut file = tempfile::NamedTempFile::new_in(above).map_err(failed)?;
                self.archive
                    .open_payload_file(set, entry, identities, scratch.path(), &mut file)
                    .map_err(|error| failure(&error))?;
                file.as_file()
                    .set_permissions(Permissions::from_mode(mode(&entry.name)))
                    .and_then(|()| file.as_file().sync_all())
                    .and_then(|()| environment.give(file.path()))
                    .map_err(failed)?;
                file.persist_noclobber(&path).map_err(|error| failed(error.error))?;
            }
            done += entry.size;
            sums.push_str(&format!("{}  {}\n", entry.sha256, entry.name));
            laid.insert(Digest::from_bytes(*entry.sha256.as_bytes()), path);
        }
        report.progress("payload: laid", done, Some(total), "bytes");
        let list = folder.join(SUMS);
        environment
            .write(&list, sums.as_bytes(), 0o644)
            .map_err(|error| file_error("cannot be written", &list, &error))?;
        Ok(laid)
    }
}

/// Whether the file is there already.
fn lies_there(entry: &Entry, path: &Path) -> Result<bool, Failure> {
    match Sha256::of_file(path) {
        Ok((sha256, _)) if sha256.bytes() == *entry.sha256.as_bytes() => Ok(true),
        Ok(_) => Err(Failure::refused(format!("{}: is there, with other bytes", path.display()))
            .hint("name a new folder: nothing is ever overwritten")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(file_error("cannot be read", path, &error)),
    }
}
