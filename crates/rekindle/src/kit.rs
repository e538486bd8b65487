//! The recovery kit: one page of plain text, for print. It holds no secret; it says which archive is the right one,
//! where it lies, and what else is needed. A block of it is for programs (`inventory::Kit`).

use crate::environment::Environment;
use crate::failure::{Failure, file_error};
use crate::loaded::{Loaded, read_text};
use archive::{Holding, RootPublic};
use inventory::{Cluster, Credentials, Destination, Kit, Place, Ssh, Writer};
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
    let path = |path: &Path| environment.path(&loaded.folder, path);
    let Cluster { archive, ssh, .. } = loaded.cluster();
    let place = |to: &Destination| portable(to, ssh, path);
    Kit {
        cluster: holding.cluster.name.clone(),
        uid: holding.cluster.uid.clone(),
        root: holding.root.to_string(),
        words: holding.root.words().join(" "),
        repo: holding.repo.clone(),
        epoch: holding.epoch,
        to: archive.to.iter().map(place).collect(),
    }
}

fn portable(to: &Destination, ssh: &Ssh, path: impl Fn(&Path) -> PathBuf) -> Destination {
    // Without `.` in it.
    let path = |relative: &Path| path(relative).components().collect::<PathBuf>();
    let mut place = to.place.clone();
    let mut credentials = match &to.credentials {
        Some(Credentials::File(file)) => Some(Credentials::File(path(file))),
        Some(Credentials::Instance) => Some(Credentials::Instance),
        Some(Credentials::Command(_)) | None => None,
    };
    match &mut place {
        Place::Folder { path: folder, mounted } => (*folder, *mounted) = (path(folder), false),
        Place::S3(bucket) => bucket.ca = bucket.ca.as_deref().map(path),
        Place::Ssh { .. } => {
            let own = ssh.identity.first().map(|own| Credentials::File(path(own)));
            credentials = credentials.or(own);
        }
    }
    Destination { place, from: Writer::Operator, domain: None, credentials }
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
         sudo rekindle rebuild --kit kit.txt --identity identity.txt --ssh-identity key\n  \
         rekindle archive extract --kit kit.txt --identity identity.txt --all recovered\n  \
         sudo rekindle archive export --kit kit.txt --identity identity.txt --to objects\n\n{}",
        kit.block()
    );
    text
}

/// How one comes in there.
fn access(to: &Destination, written: &Destination, host: &str) -> String {
    let is_mounted = matches!(written.place, Place::Folder { mounted: true, .. });
    match (&to.place, &to.credentials) {
        (Place::Folder { .. }, _) if is_mounted => "a folder that is mounted from the network".into(),
        (Place::Folder { .. }, _) => format!("a folder of the machine {host}; of a copy, edit its url below"),
        (Place::S3(_), Some(Credentials::Instance)) => "keys: of the machine that it is read from".into(),
        (Place::S3(_), Some(Credentials::File(file))) => format!("keys: the file {}", file.display()),
        (Place::S3(_), _) => {
            let command = matches!(written.credentials, Some(Credentials::Command(_)));
            let from = if command { "; the inventory has a command" } else { "" };
            format!("keys: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY{from}")
        }
        (Place::Ssh { .. }, Some(Credentials::File(file))) => format!("SSH key: the file {}", file.display()),
        (Place::Ssh { .. }, _) => "SSH key: yours, or the agent's".into(),
    }
}

/// An SSH key is longer than a line.
fn shortened(recipient: &str) -> String {
    match recipient.char_indices().nth(76) {
        Some((at, _)) => format!("{}…", &recipient[..at]),
        None => recipient.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_for_print() {
        let text = "[cluster]\nname = \"prod\"\nkubernetes = \"1.36.3\"\n[nodes]\ncp1 = { address = \"10.0.0.1\", role = \"control-plane\" }\n\
            [ssh]\nidentity = \"ops\"\n[archive]\nto = [\"./archive\", { url = \"/mnt/nas\", mounted = true }, { url = \"s3://backups/prod\", \
            ca = \"ca.pem\", credentials = { file = \"s3.ini\" } }, { url = \"s3://elsewhere\", credentials = { command = \"print secret\" } }, \
            { url = \"ssh://ann@vault/srv/archive\", domain = \"site-b\" }]\n";
        let Cluster { archive, ssh, .. } = inventory::parse("x", text).unwrap().cluster;
        let place = |to: &Destination| portable(to, &ssh, |path| Path::new("/home/ann").join(path));
        let root = RootPublic::from([0; 32]);
        let kit = Kit {
            cluster: "prod".into(),
            uid: "0123456789abcdef0123456789abcdef".into(),
            root: root.to_string(),
            words: root.words().join(" "),
            repo: "01234567-89ab-8def-8123-456789abcdef".into(),
            epoch: 1,
            to: archive.to.iter().map(place).collect(),
        };
        let recipients = ["age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj".to_owned()];
        let notes = Notes {
            recipients: &recipients,
            to: &archive.to,
            host: "laptop",
            made: "written 2026-11-25T12:00:00Z by ann at laptop",
            program: ("0.1.0", "x86_64 linux", &"0a".repeat(32)),
        };
        let page = page(&kit, &notes);
        insta::assert_snapshot!(page);
        assert_eq!(Kit::parse("kit.txt", &page).unwrap(), kit);
        assert!(!page.contains("print secret"), "a command may hold a key");
        // Paper is as wide as the root key's line.
        assert!(page.lines().all(|line| line.chars().count() <= 81), "{page}");
    }
}
