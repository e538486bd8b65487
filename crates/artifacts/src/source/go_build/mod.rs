//! Built from Go modules by the ordinary `go` client: for a machine that reaches a module proxy and nothing else.
//!
//! A project is built when its folder is missing in the cache; the folder's name holds a digest of everything that
//! its programs depend on (go.mod, go.sum, flags, compiler, processor). runc and the CNI plugins are left to the
//! nodes' packages.

mod compile;
mod images;
mod projects;

use std::path::PathBuf;
use std::time::Duration;

pub use projects::pinned;
use projects::{CONTAINERD, COREDNS, DISTRIBUTION, ETCD, PAUSE, Project, VERSITYGW};

use crate::cache::Cache;
use crate::error::Error;
use crate::kubeadm;
use crate::listed::{Checked, Listed};
use crate::payload::{Arch, Images, Packaged, Payload, Program, ProgramName, Wanted};
use crate::progress::{Progress, Report};

pub(crate) async fn obtain(wanted: &Wanted, cache: &Cache, report: &Report<'_>) -> Result<Payload, Error> {
    let projects = projects(wanted)?;
    let mut plans = Vec::new();
    for project in projects {
        plans.push(compile::plan(project, wanted.arch, cache).await?);
    }
    let open: Vec<_> = plans.iter().filter(|plan| !plan.is_built()).collect();
    if !open.is_empty() {
        let names: Vec<_> = open.iter().map(|plan| plan.project.name).collect();
        report(Progress::Begins {
            what: format!("building {} from Go modules", names.join(", ")),
            about: estimate(open.iter().map(|plan| plan.project.seconds).sum()),
        });
    }
    let mut built = Built { folders: Vec::new() };
    for plan in plans {
        built.folders.push(compile::build(plan, cache, report).await?);
    }

    let mut payload = Payload::empty(wanted);
    for &name in &wanted.programs {
        match Packaged::of(name) {
            Some(packaged) => payload.packaged.push(packaged),
            None => {
                payload.programs.push(Program::from_checked(name, built.program(name.file_name()).await?))
            }
        }
    }
    for reference in references(wanted, &built, cache, report).await? {
        payload.images.push(images::image(&reference, wanted.arch, &built, cache).await?);
    }
    Ok(payload)
}

/// Builds the registry `distribution` for this machine and returns its program, `registry`.
pub(crate) async fn registry(cache: &Cache, report: &Report<'_>) -> Result<PathBuf, Error> {
    for_here(DISTRIBUTION, "registry", cache, report).await
}

/// Builds the S3 server `versitygw` for this machine and returns its program.
pub(crate) async fn s3_server(cache: &Cache, report: &Report<'_>) -> Result<PathBuf, Error> {
    for_here(VERSITYGW, "versitygw", cache, report).await
}

async fn for_here(
    project: Project,
    program: &str,
    cache: &Cache,
    report: &Report<'_>,
) -> Result<PathBuf, Error> {
    let arch = Arch::HERE.ok_or_else(|| Error::Unusable {
        what: "this machine's processor".into(),
        why: "programs are built for amd64 and arm64".into(),
    })?;
    let plan = compile::plan(project, arch, cache).await?;
    Ok(compile::build(plan, cache, report).await?.checked(program).await?.file)
}

/// The projects that have something wanted, the longest last.
fn projects(wanted: &Wanted) -> Result<Vec<Project>, Error> {
    let kubernetes = projects::of_kubernetes(&wanted.kubernetes)?;
    let images = wanted.images != Images::None;
    let holds = |project: &Project| {
        let named = |(_, name): &(_, &str)| ProgramName::from_file_name(name);
        project.programs.iter().filter_map(named).any(|name| wanted.programs.contains(&name))
    };
    let all = [(PAUSE, images), (ETCD, images), (CONTAINERD, false), (COREDNS, images), (kubernetes, images)];
    Ok(all
        .into_iter()
        .filter(|(project, for_images)| *for_images || holds(project))
        .map(|(is, _)| is)
        .collect())
}

/// `seconds` were measured on two cores; Go's compiler uses more, its linker does not.
fn estimate(seconds: u64) -> Duration {
    let cores = std::thread::available_parallelism().map_or(2, |cores| cores.get() as u64).clamp(1, 8);
    Duration::from_secs(seconds * 2 / cores)
}

/// The images of this version. For nodes of another processor, kubeadm is built for this machine too.
async fn references(
    wanted: &Wanted,
    built: &Built<'_>,
    cache: &Cache,
    report: &Report<'_>,
) -> Result<Vec<String>, Error> {
    let kubeadm = match (&wanted.images, Arch::HERE) {
        (Images::None, _) => return Ok(Vec::new()),
        (Images::These(references), _) => return Ok(references.clone()),
        (Images::AsKubeadmLists, _) if kubeadm::runs_here(wanted.arch) => built.program("kubeadm").await?,
        (Images::AsKubeadmLists, Some(here)) if cfg!(target_os = "linux") => {
            let mut only_kubeadm = projects::of_kubernetes(&wanted.kubernetes)?;
            only_kubeadm.programs = &[("k8s.io/kubernetes/cmd/kubeadm", "kubeadm")];
            let plan = compile::plan(only_kubeadm, here, cache).await?;
            compile::build(plan, cache, report).await?.checked("kubeadm").await?
        }
        (Images::AsKubeadmLists, _) => return Err(Error::NoImageList { arch: wanted.arch.to_string() }),
    };
    kubeadm::images(&kubeadm.file, &wanted.kubernetes).await
}

/// The folders of the built projects.
struct Built<'a> {
    folders: Vec<Listed<'a>>,
}

impl Built<'_> {
    async fn program(&self, name: &str) -> Result<Checked, Error> {
        let folder = self.folders.iter().find(|folder| folder.sums.contains_key(name));
        let folder = folder.ok_or_else(|| Error::Unusable {
            what: "the build".into(),
            why: format!("no project of it makes {name}"),
        })?;
        folder.checked(name).await
    }
}
