//! Programs and images for a cluster: from the source that the inventory names, as what a plan needs to know
//! and as the files that the engine sends.

use crate::environment::Environment;
use crate::failure::{Exit, Failure, chain};
use crate::report::Reporter;
use artifacts::{Arch, Http, Progress, Proxy, Sha256, Sites, Unit, Upstream, Wanted};
use inventory::Source;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use step::Digest;

/// What a plan knows of the payload, and where its files are.
pub struct Obtained {
    /// Digests and sizes.
    pub payload: plan::Payload,
    /// Files on this machine by digest.
    pub files: BTreeMap<Digest, PathBuf>,
    /// As the artifacts came.
    pub artifacts: artifacts::Payload,
}

/// Fetches or builds what is not in the cache yet.
pub async fn obtain(
    source: &Source,
    base: &Path,
    kubernetes: &semver::Version,
    arch: Arch,
    environment: &Environment,
    report: &Reporter,
) -> Result<Obtained, Failure> {
    obtain_wanted(source, base, &Wanted::everything(kubernetes.clone(), arch), environment, report).await
}

/// The same for a part of it.
pub async fn obtain_wanted(
    source: &Source,
    base: &Path,
    wanted: &Wanted,
    environment: &Environment,
    report: &Reporter,
) -> Result<Obtained, Failure> {
    let (source, cache) = (place(source, base, environment)?, cache(environment)?);
    let tell = |progress: Progress| told(report, progress);
    let got = artifacts::obtain(&source, wanted, &cache, tell).await.map_err(|error| failure(&error))?;
    Ok(Obtained { payload: known(&got), files: files(&got), artifacts: got })
}

/// How a build of this program is called among programs and images.
pub fn program_name(system: &str, arch: Arch) -> String {
    format!("{}{system}-{arch}", artifacts::OWN_PROGRAM)
}

/// This program of this version for nodes of another platform: its file, with digest and size.
pub async fn bring_program(
    source: &Source,
    base: &Path,
    arch: Arch,
    environment: &Environment,
    report: &Reporter,
) -> Result<(PathBuf, Sha256, u64), Failure> {
    let (source, cache) = (place(source, base, environment)?, cache(environment)?);
    let tell = |progress: Progress| told(report, progress);
    artifacts::own_program(&source, env!("CARGO_PKG_VERSION"), arch, &cache, tell)
        .await
        .map_err(|error| failure(&error))
}

/// Where programs and images come from.
fn place(source: &Source, base: &Path, environment: &Environment) -> Result<artifacts::Source, Failure> {
    Ok(match source {
        Source::Upstream => artifacts::Source::Upstream(upstream(Sites::default())?),
        Source::Mirror(url) => {
            let sites = Sites::mirror(Some(url), Some(url)).map_err(|error| Failure::because(&error))?;
            artifacts::Source::Upstream(upstream(sites)?)
        }
        Source::Folder(folder) => artifacts::Source::Folder(environment.path(base, folder)),
        Source::Modules => artifacts::Source::Modules,
    })
}

fn cache(environment: &Environment) -> Result<PathBuf, Failure> {
    let cache = environment.artifacts.clone();
    environment
        .make_folder(&cache)
        .map_err(|error| crate::failure::file_error("cannot be made", &cache, &error))?;
    Ok(cache)
}

fn told(report: &Reporter, progress: Progress) {
    match progress {
        Progress::Waits { lock } => {
            report.say(format!("another run holds {}, waiting for it", lock.display()))
        }
        Progress::Begins { what, about } => {
            report.say(format!("{what}: about {} minutes on two cores, once", about.as_secs().div_ceil(60)));
        }
        Progress::Advances { what, done, total, unit } => {
            let unit = match unit {
                Unit::Bytes => "bytes",
                Unit::Modules => "modules",
                Unit::Packages => "packages",
            };
            report.progress(&what, done, total, unit);
        }
        Progress::Completes { what } => report.progress(&what, 1, Some(1), "done"),
    }
}

/// `up` never falls from one source to another: the choice is a person's.
fn failure(error: &artifacts::Error) -> Failure {
    let failure = Failure::refused(chain(error)).maybe_hint(error.hint());
    match error {
        artifacts::Error::Unreachable { .. } => failure.hint(
            "choose another source in the inventory:\n  \
             source = { mirror = \"https://…\" }   upstream's files on a server of yours\n  \
             source = { folder = \"…\" }           written by `rekindle artifacts export` where there is a network\n  \
             source = \"modules\"                  built here by the go client from pinned modules",
        ),
        artifacts::Error::Io { .. } => failure.exit(Exit::Refused),
        _ => failure,
    }
}

fn upstream(sites: Sites) -> Result<Upstream, Failure> {
    let variable = |names: [&str; 2]| {
        names.iter().find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    };
    let mut http = Http::default();
    if let Some(url) = variable(["HTTPS_PROXY", "https_proxy"]) {
        http.proxy = Some(Proxy::parse(&url).map_err(|error| Failure::because(&error))?);
    }
    http.no_proxy = variable(["NO_PROXY", "no_proxy"]).unwrap_or_default();
    Ok(Upstream { sites, http, versions: None })
}

fn digest(sha256: &artifacts::Sha256) -> Digest {
    // Both print 64 hex digits; the parse can't fail.
    sha256.to_string().parse().unwrap_or(Digest::from_bytes([0; 32]))
}

fn known(got: &artifacts::Payload) -> plan::Payload {
    let program = |program: &artifacts::Program| plan::Program {
        name: if program.name.is_cni_plugin() {
            format!("cni/{}", program.name)
        } else {
            program.name.to_string()
        },
        sha256: digest(&program.sha256),
        size: program.size,
    };
    let image = |image: &artifacts::Image| plan::Image {
        reference: image.reference.clone(),
        digest: image.digest.oci(),
        sha256: digest(&image.sha256),
        size: image.size,
    };
    let package = |packaged: &artifacts::Packaged| {
        let name = packaged.name.file_name();
        let found =
            if packaged.name.is_cni_plugin() { format!("/usr/lib/cni/{name}") } else { name.to_owned() };
        (found, packaged.package.to_owned())
    };
    plan::Payload {
        programs: got.programs.iter().map(program).collect(),
        images: got.images.iter().map(image).collect(),
        packages: got.packaged.iter().map(package).collect(),
    }
}

fn files(got: &artifacts::Payload) -> BTreeMap<Digest, PathBuf> {
    let programs = got.programs.iter().map(|program| (digest(&program.sha256), program.file.clone()));
    let images = got.images.iter().map(|image| (digest(&image.sha256), image.archive.clone()));
    programs.chain(images).collect()
}
