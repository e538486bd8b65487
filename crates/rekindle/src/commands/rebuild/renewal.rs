//! What is made anew because it was taken. It is settled before anything is claimed, noted in the identity set of the new
//! epoch, and so the same in each run of it.

use crate::cli::{self, NewKey};
use crate::environment::Environment;
use crate::failure::{Exit, Failure, file_error};
use crate::loaded::{LocalFiles, read_text};
use crate::session::Session;
use crate::vault::Remembered;
use clap::ValueEnum;
use pki::{Bundle, Entropy, ExposeSecret, OwnCa, SystemEntropy, Taken};
use plan::MadeAnew;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// A fact of an identity set: what was made anew in its epoch.
const FACT: &str = "made-anew";

/// What is made anew, and all that this takes from here.
pub struct Renewal {
    keys: BTreeSet<NewKey>,
    own_ca: Option<OwnCa>,
    /// Where the file with the encryption's keys lies on the control planes, and here.
    encryption: Option<(String, PathBuf)>,
}

impl Renewal {
    /// What a person wants; in an epoch that was begun, what it was begun with.
    ///
    /// # Errors
    /// It was begun with something else, or what would be made anew is not there, or not ours to make.
    pub fn settle(
        args: &cli::Renewal,
        begun: Option<&Remembered>,
        then: &Remembered,
        session: &Session,
        environment: &Environment,
    ) -> Result<Self, Failure> {
        let cluster = session.cluster();
        let path = plan::encryption::path(cluster).filter(|path| cluster.kubeadm.files.contains_key(*path));
        let wanted: BTreeSet<NewKey> = match args.after_theft {
            true => NewKey::value_variants().iter().copied().collect(),
            false => args.new.iter().copied().collect(),
        };
        let there = |key: &NewKey| *key != NewKey::Encryption || path.is_some();
        if args.new.iter().any(|key| !there(key)) {
            return Err(Failure::refused("--new encryption: the inventory names no file with keys of it")
                .hint("`encryption-provider-config` of [kubeadm.api-server] does, with a line of [kubeadm.files]"));
        }
        let mut keys: BTreeSet<NewKey> = wanted.into_iter().filter(there).collect();
        if let Some(now) = begun {
            let noted = now.facts().get(FACT).map(String::as_str).unwrap_or_default();
            if !keys.is_empty() && words(&keys) != noted {
                let noted = if noted.is_empty() { "nothing" } else { noted };
                return Err(Failure::refused(format!("this epoch was begun with {noted} made anew"))
                    .hint("leave --new and --after-theft out to go on; --take-over begins a new epoch"));
            }
            let parse = |name: &str| NewKey::from_str(name, false).ok();
            keys = noted.split(',').filter_map(parse).collect();
        }
        let mut renewal = Self { keys, own_ca: None, encryption: None };
        if renewal.keys.contains(&NewKey::Ca) && cluster.pki.own_ca.is_some() && begun.is_none() {
            renewal.own_ca = session.loaded.own_ca(environment)?;
            let old = then.bundle.authority(pki::Ca::Cluster).certificate();
            if renewal.own_ca.as_ref().is_some_and(|own| own.certificate.trim() == old.trim()) {
                return Err(Failure::refused("--new ca: the inventory still names the CA that was taken")
                    .hint("name another one under `own-ca`, or none"));
            }
        }
        if renewal.keys.contains(&NewKey::Encryption)
            && let Some(path) = path
            && let Some(here) = cluster.kubeadm.files.get(path)
        {
            let here = environment.path(&session.loaded.folder, here);
            let known: Vec<&pki::Secret> =
                [Some(then), begun].into_iter().flatten().filter_map(|set| set.files.get(path)).collect();
            if here.exists() {
                let text = read_text(&here)?;
                if known.iter().all(|known| known.expose_secret() != text) {
                    return Err(Failure::refused(format!(
                        "{}: is not the file that was sealed, and a new key is to be written into it",
                        here.display()
                    ))
                    .hint("put it away: the archived one is written in its place, with the new key"));
                }
            }
            renewal.encryption = Some((path.to_owned(), here));
        }
        Ok(renewal)
    }

    /// Whether anything is made anew.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// What an identity set says of it.
    pub fn fact(&self) -> Option<(String, String)> {
        (!self.is_empty()).then(|| (FACT.to_owned(), words(&self.keys)))
    }

    fn taken(&self) -> BTreeSet<Taken> {
        let taken = |key: &NewKey| match key {
            NewKey::Ca => Some(Taken::ClusterCa),
            NewKey::FrontProxy => Some(Taken::FrontProxyCa),
            NewKey::Sa => Some(Taken::ServiceAccounts),
            NewKey::Encryption => None,
        };
        self.keys.iter().filter_map(taken).collect()
    }

    /// The bundle of the new epoch.
    pub fn bundle(&self, then: &Remembered, session: &Session) -> Result<Bundle, pki::Error> {
        let (own_ca, entropy) = (self.own_ca.as_ref(), &mut SystemEntropy);
        then.bundle.successor_without(&self.taken(), own_ca, session.cluster(), session.now, entropy)
    }

    /// Files of the control planes, with the new key in them, and what the plan is to do about all of it.
    pub fn files(&self, local: LocalFiles, session: &Session) -> Result<(LocalFiles, MadeAnew), Failure> {
        let keys = self.taken();
        if self.encryption.is_none() {
            return Ok((local, MadeAnew { keys, encryption: Vec::new() }));
        }
        let mut key = [0; 32];
        SystemEntropy.fill(&mut key).map_err(|error| Failure::because(&error))?;
        let name = format!("epoch-{}", session.epoch());
        let (local, encryption) = local.with_new_key(session.cluster(), &name, &key)?;
        Ok((local, MadeAnew { keys, encryption }))
    }

    /// Writes the file with the new key where the inventory names it, once it is sealed: `up` takes it from there. The
    /// one before stays beside it. Says so.
    pub fn write(
        &self,
        local: &LocalFiles,
        epoch: u64,
        environment: &Environment,
    ) -> Result<Option<String>, Failure> {
        let Some((path, here)) = &self.encryption else { return Ok(None) };
        let Some(text) = local.files.get(path) else { return Ok(None) };
        let failed = |error| file_error("cannot be written", here, &error).exit(Exit::Partly);
        let mut beside = here.clone().into_os_string();
        beside.push(format!(".before-epoch-{epoch}"));
        if here.exists() && read_text(here)? != text.expose_secret() {
            let old = read_text(here)?;
            environment.write_new(&PathBuf::from(&beside), old.as_bytes(), 0o600).map_err(failed)?;
        }
        environment.write(here, text.expose_secret().as_bytes(), 0o600).map_err(failed)?;
        Ok(Some(format!(
            "{} has a new first key; when Secrets are rewritten, take the older ones out of it and run `rekindle up`",
            here.display()
        )))
    }

    /// For a person who is to agree.
    pub fn text(&self) -> String {
        if self.is_empty() {
            return String::new();
        }
        let mut text = String::from("made anew\n");
        for key in &self.keys {
            text.push_str(match key {
                NewKey::Ca => "  the cluster's CA: old kubeconfigs and kubelets' certificates are refused\n",
                NewKey::FrontProxy => "  the front proxy's CA\n",
                NewKey::Sa => {
                    "  the service accounts' key: old tokens are refused; pods that hold one start again\n"
                }
                NewKey::Encryption => "  the encryption's first key: Secrets are rewritten with it\n",
            });
        }
        text
    }
}

fn words(keys: &BTreeSet<NewKey>) -> String {
    let name = |key: &NewKey| key.to_possible_value().map(|value| value.get_name().to_owned());
    keys.iter().filter_map(name).collect::<Vec<_>>().join(",")
}
