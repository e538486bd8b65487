//! A generation, booted on this machine by its own Kubernetes for as long as a command needs it.

use crate::boot::{Booted, boot};
use crate::cli;
use crate::environment::Environment;
use crate::failure::{Exit, Failure, file_error};
use crate::payload::{Obtained, obtain_wanted};
use crate::receive;
use crate::report::Reporter;
use crate::vault::{Remembered, Signing, Tried, Vault, generation_name};
use artifacts::{Arch, Images, ProgramName, Wanted};
use engine::{Hosts, Options, Pipe, Target};
use inventory::{Cluster, Source};
use pki::SystemEntropy;
use plan::drill::{Drill, Programs, Purpose};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use step::HostId;
use time::OffsetDateTime;

/// Where the scratch of a boot lies, unless `--scratch` says otherwise.
const SCRATCH: &str = "/var/lib/rekindle-drill";

/// Everything that a boot needs.
pub struct Generation {
    /// The cluster as it was.
    pub cluster: Cluster,
    remembered: Remembered,
    node_files: pki::NodeFiles,
    super_admin: pki::Secret,
    programs: Programs,
    snapshot: PathBuf,
    archived: Option<Archived>,
    vault: Option<Vault>,
    scratch: PathBuf,
    hosts: Hosts,
}

impl Generation {
    /// Opens the archive and brings the programs.
    pub async fn open(
        args: &cli::Generation,
        environment: &Environment,
        report: &Reporter,
    ) -> Result<Self, Failure> {
        possible(environment)?;
        let (origin, vault) = Vault::read(&args.reading, environment, report)?;
        let taken = take(&vault, args, environment, report)?;
        let archived = taken.remembered.cluster.as_ref();
        let source = archived.map(|cluster| origin.source(cluster).clone()).unwrap_or(Source::Upstream);
        let from = (&source, origin.folder.as_path());
        let generation = Self::of(taken, from, args.scratch.as_deref(), environment, report).await?;
        Ok(Self { vault: Some(vault), ..generation })
    }

    /// Of one that is opened already, with programs from this source (and the folder where its paths start).
    pub async fn of(
        taken: Taken,
        from: (&Source, &Path),
        scratch: Option<&Path>,
        environment: &Environment,
        report: &Reporter,
    ) -> Result<Self, Failure> {
        possible(environment)?;
        let Taken { remembered, snapshot, archived } = taken;
        let cluster = remembered.own_cluster()?.clone();
        without_kms(&cluster, &remembered)?;
        let programs = programs(from, &cluster, &remembered, environment, report).await?;
        let first = cluster.control_planes().next();
        let node = first.ok_or_else(|| Failure::refused("the archived cluster has no control plane"))?;
        let (now, entropy) = (OffsetDateTime::now_utc(), &mut SystemEntropy);
        // A CA whose time is over boots nothing.
        let unfit = |error: pki::Error| Failure::because(&error).maybe_hint(error.hint()).exit(Exit::Due);
        let node_files = remembered.bundle.node_files(&cluster, node, now, entropy).map_err(unfit)?;
        let super_admin = remembered.bundle.super_admin_kubeconfig(&cluster, now, entropy).map_err(unfit)?;
        let events = report.listen(None);
        let here = Target::local(HostId::new("here"));
        let (hosts, _) = Hosts::connect(vec![here], Options::default(), &events).await;
        let scratch = scratch.map_or_else(|| SCRATCH.into(), Path::to_path_buf);
        Ok(Self {
            cluster,
            remembered,
            node_files,
            super_admin,
            programs,
            snapshot,
            archived,
            vault: None,
            scratch,
            hosts,
        })
    }

    /// Its identity set.
    pub fn remembered(&self) -> &Remembered {
        &self.remembered
    }

    /// Its name in the archive, where it came from there.
    pub fn name(&self) -> Option<&str> {
        self.archived.as_ref().map(|archived| archived.name.as_str())
    }

    /// HashKV and compact revision of the living members when it was taken, where the archive says so.
    pub fn hash(&self) -> Option<&str> {
        self.archived.as_ref()?.facts.get("hash").map(String::as_str)
    }

    /// Why it proves nothing, as whoever took it saw it.
    pub fn doubts(&self) -> Vec<String> {
        self.archived.as_ref().map(|archived| receive::doubts(&archived.facts)).unwrap_or_default()
    }

    /// Notes in the archive what was proven of it, where it came from there.
    pub fn prove(&self, tried: Tried) -> Result<(), Failure> {
        let (Some(archived), Some(vault)) = (&self.archived, &self.vault) else { return Ok(()) };
        vault.prove(&archived.id, tried, &Signing::with(&self.remembered.bundle)?)
    }

    /// Boots it and returns the script's exit status, and the end of what it said on standard error. `take` gets what
    /// it prints. All that was started is gone when this returns, and soon after it is dropped.
    pub async fn boot(
        &self,
        purpose: Purpose<'_>,
        take: &mut (dyn FnMut(Pipe, &[u8]) -> ControlFlow<()> + Send),
    ) -> Result<(i32, String), Failure> {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let Some(node) = self.cluster.control_planes().next() else {
            return Err(Failure::refused("the archived cluster has no control plane"));
        };
        let drill = Drill {
            cluster: &self.cluster,
            node,
            node_files: &self.node_files,
            super_admin: &self.super_admin,
            files: &self.remembered.files,
            patches: &self.remembered.patches,
            programs: &self.programs,
            snapshot: &text(&self.snapshot),
            space: &text(&self.scratch),
        };
        let script = drill.script(purpose);
        match boot(&self.hosts, &HostId::new("here"), &script, take).await? {
            Booted::Refused(said) => {
                Err(Failure::refused(said).hint("--scratch FOLDER names another place for it"))
            }
            Booted::Not(said) => Err(Failure::refused(format!("not proven: {said}")).exit(Exit::Due)),
            Booted::Ended(status, said) => Ok((status, said)),
        }
    }
}

/// What a key management service encrypts nobody reads by the archive alone, and a boot has no way to one.
fn without_kms(cluster: &Cluster, remembered: &Remembered) -> Result<(), Failure> {
    let text = plan::encryption::path(cluster).and_then(|path| Some((path, remembered.files.get(path)?)));
    let Some((path, text)) = text else { return Ok(()) };
    let sockets = plan::encryption::kms(path, text).map_err(|error| Failure::because(&error))?;
    if sockets.is_empty() {
        return Ok(());
    }
    let sockets: Vec<String> = sockets.into_iter().collect();
    Err(Failure::refused(format!(
        "not proven: {path} encrypts by a KMS ({}), and nothing answers there where a generation is booted",
        sockets.join(", ")
    ))
    .hint("what it encrypts is in no archive; a key of your own (secretbox, aescbc) in its place is")
    .exit(Exit::Due))
}

/// Namespaces are Linux's, and root's to make.
fn possible(environment: &Environment) -> Result<(), Failure> {
    if !cfg!(target_os = "linux") {
        return Err(Failure::refused("a generation boots on Linux only, in namespaces of its own")
            .hint("run it on a Linux machine that has the inventory and an identity"));
    }
    if environment.root {
        return Ok(());
    }
    Err(Failure::refused("a generation boots in namespaces of its own, and only root can make them")
        .hint("run it with sudo"))
}

/// A generation of the archive, opened.
struct Archived {
    id: archive::ManifestId,
    name: String,
    /// What was noted of it when it was taken.
    facts: BTreeMap<String, String>,
    /// The snapshot lies here for as long as it is needed.
    _folder: tempfile::TempDir,
}

/// An etcd snapshot as a file, and what belongs to it.
pub struct Taken {
    /// The identity set that it names.
    pub remembered: Remembered,
    /// Where it lies.
    pub snapshot: PathBuf,
    archived: Option<Archived>,
}

fn take(
    vault: &Vault,
    args: &cli::Generation,
    environment: &Environment,
    report: &Reporter,
) -> Result<Taken, Failure> {
    if let Some(path) = &args.snapshot {
        let remembered = vault.open()?.ok_or_else(|| {
            Failure::refused("the archive is empty").hint("`rekindle up` makes the cluster first")
        })?;
        let snapshot = path.canonicalize().map_err(|error| file_error("cannot be read", path, &error))?;
        return Ok(Taken { remembered, snapshot, archived: None });
    }
    let generations = vault.generations_not_from(&args.distrust.not_from)?;
    take_chosen(vault, vault.choose(&generations, args.generation.as_deref())?, environment, report)
}

/// Opens one of the archive's.
pub fn take_chosen(
    vault: &Vault,
    chosen: &archive::Generation,
    environment: &Environment,
    report: &Reporter,
) -> Result<Taken, Failure> {
    let folder = environment.scratch("generation")?;
    let path = folder.path().join("snapshot.db");
    let failed = |error| file_error("cannot be written", &path, &error);
    let mut file = std::fs::File::create_new(&path).map_err(failed)?;
    let opened = vault.open_generation(&chosen.id, folder.path(), &mut file, &mut std::io::sink())?;
    file.sync_all().map_err(failed)?;
    vault.note_opened(chosen, &opened.identity.bundle, environment, report);
    let facts = opened.snapshot.facts;
    let archived = Archived { id: chosen.id, name: generation_name(chosen), facts, _folder: folder };
    Ok(Taken { remembered: opened.identity, snapshot: path, archived: Some(archived) })
}

/// The cluster's own programs, for this machine, from the cache or the source that the inventory names.
async fn programs(
    (source, folder): (&Source, &Path),
    cluster: &Cluster,
    remembered: &Remembered,
    environment: &Environment,
    report: &Reporter,
) -> Result<Programs, Failure> {
    let arch = Arch::HERE.ok_or_else(|| Failure::refused("a generation boots on x86_64 and aarch64"))?;
    let reference = format!("registry.k8s.io/kube-apiserver:v{}", cluster.kubernetes);
    let wanted = Wanted {
        kubernetes: cluster.kubernetes.clone(),
        arch,
        programs: [
            ProgramName::Etcd,
            ProgramName::Etcdctl,
            ProgramName::Etcdutl,
            ProgramName::Kubeadm,
            ProgramName::Kubectl,
        ]
        .into(),
        images: Images::These(vec![reference.clone()]),
    };
    let got = obtain_wanted(source, folder, &wanted, environment, report).await?;
    let Obtained { payload, artifacts, .. } = got;
    let image = artifacts.images.first().ok_or_else(|| Failure::refused(format!("no image {reference}")))?;
    let archived = remembered.payload.iter().flat_map(|payload| &payload.images);
    let other = |old: &&plan::Image| {
        old.reference == reference && payload.images.iter().all(|new| new.digest != old.digest)
    };
    if archived.clone().any(|old| other(&old)) {
        report.say(format!("warning: {reference} from here is another build than the archived one"));
    }
    let kube_apiserver = artifacts::program(image, "kube-apiserver", &environment.artifacts, |_| {})
        .await
        .map_err(|error| Failure::because(&error).maybe_hint(error.hint()))?;
    let path = |name: ProgramName| {
        let found = artifacts.program(name).map(|program| program.file.to_string_lossy().into_owned());
        found.ok_or_else(|| Failure::refused(format!("no program {name}")))
    };
    Ok(Programs {
        etcd: path(ProgramName::Etcd)?,
        etcdctl: path(ProgramName::Etcdctl)?,
        etcdutl: path(ProgramName::Etcdutl)?,
        kubeadm: path(ProgramName::Kubeadm)?,
        kubectl: path(ProgramName::Kubectl)?,
        kube_apiserver: kube_apiserver.to_string_lossy().into_owned(),
    })
}
