//! Binaries and images of a cluster, from one of four sources: upstream, a mirror of it, a folder, or built
//! from pinned Go modules.
//!
//! [`obtain`] gives a [`Payload`]: files in the cache whose SHA-256 was checked, each with its digest and size.
//! It never falls from one source to another: what to do when a source can't be reached is a person's choice
//! ([`Error::Unreachable`] carries what they need for it).
//!
//! ```text
//! CACHE/lock        held while a run fetches or builds
//! CACHE/checked/    digests of files that were hashed before, by path, size and times
//! CACHE/download/   files as upstream has them, `.part` while incomplete
//! CACHE/unpacked/   programs taken out of downloaded archives and of images
//! CACHE/go/         programs built from Go modules, a folder for each project, pin and compiler
//! CACHE/image/      OCI layout archives
//! ```

mod cache;
mod digest;
mod elf;
mod error;
pub mod export;
mod image;
mod kubeadm;
mod listed;
mod lock;
mod payload;
mod progress;
mod source;

use std::path::{Path, PathBuf};

pub use digest::{ParseSha256Error, Sha256};
pub use error::Error;
pub use image::program;
pub use lock::{UnknownMinor, Versions};
pub use payload::{Arch, Image, Images, Packaged, Payload, Program, ProgramName, Wanted};
pub use progress::{Progress, Unit};
pub use source::go_build::pinned;
pub use source::http::{Http, Proxy};
pub use source::upstream::{Sites, Upstream};

/// Where programs and images come from.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant, reason = "there is one in a run")]
pub enum Source {
    /// The projects' own sites, or a mirror of them.
    Upstream(Upstream),
    /// A folder as [`Payload::export`] writes it.
    Folder(PathBuf),
    /// Built by the `go` client from the go.mod and go.sum that are part of this program.
    Modules,
}

/// Fetches or builds what is wanted and not yet in `cache`, and returns files that were checked.
///
/// `progress` is called from within this future, often; it must not block.
///
/// # Errors
/// See [`Error`]; [`Error::Unreachable`] where the source does not answer.
pub async fn obtain(
    source: &Source,
    wanted: &Wanted,
    cache: &Path,
    progress: impl Fn(Progress) + Send + Sync,
) -> Result<Payload, Error> {
    let report: &progress::Report = &progress;
    let cache = cache::Cache::open(cache, report).await?;
    match source {
        Source::Upstream(upstream) => source::upstream::obtain(upstream, wanted, &cache, report).await,
        Source::Folder(folder) => source::folder::obtain(folder, wanted, &cache).await,
        Source::Modules => source::go_build::obtain(wanted, &cache, report).await,
    }
}

/// How a build of this program begins; the platform follows: `rekindle-linux-arm64`.
pub const OWN_PROGRAM: &str = "rekindle-";

/// Brings this program, of a version, for Linux on `arch`: its file in the cache or in the folder, its SHA-256 and its
/// length in bytes. A folder lists it in `SHA256SUMS`; a mirror has `rekindle/vVERSION/rekindle-linux-ARCH`, and its
/// digest in a file beside it that ends in `.sha256`.
///
/// # Errors
/// [`Error::NoRelease`] where the source can't have it; else as for [`obtain`].
pub async fn own_program(
    source: &Source,
    version: &str,
    arch: Arch,
    cache: &Path,
    progress: impl Fn(Progress) + Send + Sync,
) -> Result<(PathBuf, Sha256, u64), Error> {
    let report: &progress::Report = &progress;
    let cache = cache::Cache::open(cache, report).await?;
    let name = format!("{OWN_PROGRAM}linux-{arch}");
    let listed::Checked { file, sha256, size } = match source {
        Source::Upstream(upstream) => {
            source::upstream::own_program(upstream, version, &name, &cache, report).await?
        }
        Source::Folder(folder) => listed::Listed::open(folder.clone(), &cache)?.checked(&name).await?,
        Source::Modules => return Err(Error::NoRelease { name, place: "Go modules" }),
    };
    elf::require(&file, arch)?;
    Ok((file, sha256, size))
}

/// Builds the registry `distribution` for this machine from its Go module, unless `cache` has it, and returns the
/// program: `registry serve CONFIG` is a real registry to test against.
///
/// # Errors
/// Those of a build: [`Error::Missing`], [`Error::GoTooOld`], [`Error::Failed`].
pub async fn build_registry(
    cache: &Path,
    progress: impl Fn(Progress) + Send + Sync,
) -> Result<PathBuf, Error> {
    let report: &progress::Report = &progress;
    let cache = cache::Cache::open(cache, report).await?;
    source::go_build::registry(&cache, report).await
}

/// Builds the S3 server `versitygw` for this machine from its Go module, unless `cache` has it, and returns the
/// path of the program. For tests.
///
/// # Errors
/// As for [`build_registry`].
pub async fn build_s3_server(
    cache: &Path,
    progress: impl Fn(Progress) + Send + Sync,
) -> Result<PathBuf, Error> {
    let report: &progress::Report = &progress;
    let cache = cache::Cache::open(cache, report).await?;
    source::go_build::s3_server(&cache, report).await
}
