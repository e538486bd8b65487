//! The recovery kit: one page of plain text, for print. It holds no secret; it says which archive is the right one,
//! where it lies, and what else is needed. A block of it is for programs (`inventory::Kit`).

use crate::environment::Environment;
use crate::failure::{Failure, file_error};
use crate::loaded::{Loaded, read_text};
use archive::{Holding, RootPublic};
use inventory::{Credentials, Destination, Kit, Place, Writer};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// A kit that was read.
pub struct Page {
    /// The file, as it was named.
    pub path: String,
    /// Its folder: a person who edits a place on it may write a relative path.
    pub folder: PathBuf,
    /// What it says.
    pub kit: Kit,
    /// Its root key.
    pub root: RootPublic,
}

/// Reads the page that lies at `path`.
///
/// # Errors
/// A file that is none; a root key that its four words are not of.
pub fn read(path: &Path) -> Result<Page, Failure> {
    let text = read_text(path)?;
    let name = path.display().to_string();
    let kit = Kit::parse(&name, &text).map_err(|mistakes| {
        Failure::refused(format!("{name} is no recovery kit\n\n{}", mistakes.render(false)))
    })?;
    let root: RootPublic =
        kit.root.parse().map_err(|error: archive::Error| Failure::refused(format!("{name}: {error}")))?;
    if words(&kit.words) != root.words() {
        return Err(Failure::refused(format!("{name}: the root key and the words do not belong together"))
            .hint("compare both with the page, letter by letter"));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = folder.canonicalize().map_err(|error| file_error("its folder", path, &error))?;
    Ok(Page { path: name, folder, kit, root })
}

/// Words as a person types them.
pub fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_ascii_lowercase).collect()
}

/// The kit of an archive as it stands, with places that are the same wherever it is read: absolute paths, and no word
/// of a command that prints keys.
pub fn of(holding: &Holding, loaded: &Loaded, environment: &Environment) -> Kit {
    let place = |to: &Destination| portable(to, loaded, environment);
    Kit {
        cluster: holding.cluster.name.clone(),
        uid: holding.cluster.uid.clone(),
        root: holding.root.to_string(),
        words: holding.root.words().join(" "),
        repo: holding.repo.clone(),
        epoch: holding.epoch,
        to: loaded.cluster().archive.to.iter().map(place).collect(),
    }
}

fn portable(to: &Destination, loaded: &Loaded, environment: &Environment) -> Destination {
    let path = |path: &Path| tidy(&environment.path(&loaded.folder, path));
    let mut place = to.place.clone();
    let mut credentials = match &to.credentials {
        Some(Credentials::File(file)) => Some(Credentials::File(path(file))),
        Some(Credentials::Command(_)) | None => None,
        Some(Credentials::Instance) => Some(Credentials::Instance),
    };
    match &mut place {
        Place::Folder { path: folder, mounted } => (*folder, *mounted) = (path(folder), false),
        Place::S3(bucket) => bucket.ca = bucket.ca.as_deref().map(path),
        Place::Ssh { .. } => {
            let own = loaded.cluster().ssh.identity.first();
            credentials = credentials.or_else(|| Some(Credentials::File(path(own?))));
        }
    }
    Destination { place, from: Writer::Operator, domain: None, credentials }
}

/// Without `.` in it.
fn tidy(path: &Path) -> PathBuf {
    path.components().collect()
}

/// What is on the page beside the kit itself.
pub struct Notes<'a> {
    /// Who can open the archive.
    pub recipients: &'a [String],
    /// The inventory's places, which say how their keys are had.
    pub to: &'a [Destination],
    /// The machine on which folders lie.
    pub host: &'a str,
    /// When it was written (RFC 3339), and by whom.
    pub made: &'a str,
    /// The program's version, its platform, and the sha256 of its file.
    pub program: (&'a str, &'a str, &'a str),
}

/// The page.
pub fn page(kit: &Kit, notes: &Notes) -> String {
    let mut text = format!(
        "REKINDLE RECOVERY KIT of the cluster {}\n{}\n\n\
         Keep it where the cluster is not. It holds no secret: it says which archive is\n\
         the right one and where it lies. Beside it you need one of the places, one of\n\
         the identities, and rekindle.\n\n\
         Four words of the root key:  {}\n\n\
         PLACES of the archive; a key that can read is enough\n",
        kit.cluster, notes.made, kit.words
    );
    for (to, written) in kit.to.iter().zip(notes.to) {
        let _ = writeln!(text, "  {}\n      {}", to.url(), access(to, written, notes.host));
    }
    text += "\nIDENTITIES: any one opens all of it. Write down where each is kept\n";
    for recipient in notes.recipients {
        let _ = writeln!(text, "  {}\n      kept at: {}", shortened(recipient), "_".repeat(56));
    }
    let (version, platform, sha256) = notes.program;
    let _ = write!(
        text,
        "\nPROGRAM: rekindle {version} for {platform}, sha256\n  {sha256}\n\
         Without it: RECOVER.txt at each place needs age, zstd and sha256sum only.\n\n\
         COMMANDS, with this page as kit.txt (the block below is enough)\n  \
         sha256sum \"$(command -v rekindle)\"\n  \
         rekindle archive list --kit kit.txt\n  \
         sudo rekindle drill --from-nothing --kit kit.txt --identity identity.txt\n  \
         rekindle archive extract --kit kit.txt --identity identity.txt --all recovered\n  \
         sudo rekindle archive export --kit kit.txt --identity identity.txt --to objects\n\n{}",
        kit.block()
    );
    text
}

/// How one comes in there.
fn access(to: &Destination, written: &Destination, host: &str) -> String {
    match (&to.place, &written.credentials) {
        (Place::Folder { .. }, _) => match written.place {
            Place::Folder { mounted: true, .. } => "a folder that is mounted from the network".into(),
            _ => format!("a folder of the machine {host}; for a copy of it, edit its line below"),
        },
        (Place::S3(_), Some(Credentials::Command(_))) => {
            "keys: printed by a command of the inventory; set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY".into()
        }
        (Place::S3(_), Some(Credentials::Instance)) => "keys: of the machine that it is read from".into(),
        (Place::S3(_), None) => "keys: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY".into(),
        (Place::Ssh { .. }, None) if to.credentials.is_none() => "an SSH key of yours, or the agent's".into(),
        (place, _) => {
            let what = if matches!(place, Place::S3(_)) { "keys" } else { "SSH key" };
            let file = match &to.credentials {
                Some(Credentials::File(file)) => file.display().to_string(),
                _ => "-".into(),
            };
            format!("{what}: the file {file}, or another that can read")
        }
    }
}

/// An SSH key is longer than a line.
fn shortened(recipient: &str) -> String {
    match recipient.char_indices().nth(76) {
        Some((at, _)) => format!("{}…", &recipient[..at]),
        None => recipient.to_owned(),
    }
}
