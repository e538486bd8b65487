//! A folder of a host that is reached by SSH, as an archive's destination.
//!
//! It needs a POSIX shell there and nothing else, and no root: files are written beside their names, flushed, and
//! linked where nothing is, as in a folder here. Modes are 0600 and 0700.

use archive::destination::Worker;
use archive::{Destination, DestinationError, Name, Prefix, Put};
use engine::{ConnectError, Hosts, Options, Pipe, Rest, SshAddress, SshOptions, Target, Unreachable};
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::Duration;
use step::{HostId, Script};
use tokio::sync::Mutex;

/// How long a call may take that carries nothing.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes a second below which a link counts as broken.
const SLOWEST: u64 = 64 << 10;
/// The longest listing in bytes: 100000 names.
const MAX_LISTING: usize = 8 << 20;
/// How much of what a script says is kept.
const MAX_SAID: usize = 2000;

/// Exit statuses of the scripts below.
const TAKEN: i32 = 43;
const NOTHING: i32 = 44;

/// Goes to the folder `$ROOT/$FOLDER`; ends with `NOTHING` where it is not there, which only a parent that can be
/// searched tells.
const ENTER: &str = r#"
folder=$ROOT${FOLDER:+/$FOLDER}
if [ ! -d "$folder" ]; then
    above=$folder
    while [ ! -e "$above" ] && [ ! -L "$above" ]; do above=$(dirname -- "$above"); done
    [ -d "$above" ] || { echo "$above is not a folder" >&2; exit 1; }
    [ -x "$above" ] || { echo "$above cannot be searched" >&2; exit 1; }
    exit 44
fi
cd -- "$folder" || exit 1
"#;

const GET: &str = r#"
if [ ! -e "$FILE" ] && [ ! -L "$FILE" ]; then exit 44; fi
if [ ! -f "$FILE" ] || [ -L "$FILE" ]; then echo "$folder/$FILE is not a regular file" >&2; exit 1; fi
exec cat -- "$FILE"
"#;

const LIST: &str = "\nexec ls -1\n";

/// `sync FILE` flushes one file where the system knows that, and all where it doesn't.
const PUT: &str = r#"
set -eu
umask 077
folder=$ROOT${FOLDER:+/$FOLDER}
mkdir -p -- "$folder"
cd -- "$folder"
taken() { [ -e "$FILE" ] || [ -L "$FILE" ]; }
if taken; then cat >/dev/null; exit 43; fi
temp=.unfinished-$$-$FILE
trap 'rm -f -- "$temp"' EXIT
cat >"$temp"
[ "$(wc -c <"$temp")" -eq "$SIZE" ] || { echo "not all $SIZE bytes arrived" >&2; exit 1; }
sync -- "$temp" 2>/dev/null || sync
ln -- "$temp" "$FILE" || { if taken; then exit 43; fi; exit 1; }
sync -- . 2>/dev/null || sync
"#;

/// Removes `$FILE`; what is not there is as good.
const REMOVE: &str = "rm -f -- \"$FILE\"\nsync -- . 2>/dev/null || sync\n";

/// A folder behind an SSH server. It is connected to at the first call, and again after a failure.
pub struct SshFolder {
    url: String,
    root: String,
    worker: Worker,
    link: Arc<Link>,
}

struct Link {
    id: HostId,
    address: SshAddress,
    options: SshOptions,
    hosts: Mutex<Option<Arc<Hosts>>>,
}

/// Why a script did nothing.
enum Why {
    Said(String),
    /// So many seconds were waited for.
    Silent(u64),
}

/// What a script did.
struct Ran {
    status: i32,
    said: String,
}

impl std::fmt::Debug for SshFolder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SshFolder({})", self.url)
    }
}

impl SshFolder {
    /// The folder `root` of the host at `address`; `url` is what a person calls it.
    ///
    /// # Errors
    /// Where the system has no thread for it.
    pub fn new(url: String, address: SshAddress, root: &str, options: SshOptions) -> io::Result<Self> {
        let id = HostId::new(&address.host);
        let link = Arc::new(Link { id, address, options, hosts: Mutex::new(None) });
        Ok(Self { url, root: root.to_owned(), worker: Worker::new("ssh")?, link })
    }

    /// A script about `$FILE` in `$FOLDER`.
    fn script(&self, path: &str, body: String) -> Script {
        let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
        Script::new(body).set("ROOT", &self.root).set("FOLDER", folder).set("FILE", file)
    }

    /// Runs a script that carries `bytes`; its output goes to `to`, which may refuse to take more.
    fn run(
        &self,
        script: Script,
        input: Option<Rest>,
        bytes: u64,
        mut to: impl FnMut(Vec<u8>) -> ControlFlow<()>,
    ) -> Result<Ran, Why> {
        let within = PATIENCE + Duration::from_secs(bytes / SLOWEST);
        let (send, pieces) = mpsc::sync_channel::<Vec<u8>>(16);
        let link = self.link.clone();
        let done = self.worker.begin(within, async move { link.run(&script, input, send).await });
        // The channel ends with the script.
        for piece in pieces {
            if to(piece).is_break() {
                break;
            }
        }
        done.recv().ok().flatten().ok_or(Why::Silent(within.as_secs()))?
    }

    fn failed(&self, act: &'static str, path: &str, why: Why) -> DestinationError {
        let path = format!("{}/{path}", self.url);
        match why {
            Why::Silent(seconds) => DestinationError::Silent { act, path, seconds },
            Why::Said(why) => DestinationError::Other(format!("cannot {act} {path}: {why}").into()),
        }
    }

    fn put(&self, name: &Name, size: u64, input: Rest) -> Result<Put, DestinationError> {
        let path = name.to_string();
        let script = self.script(&path, PUT.to_owned()).set("SIZE", &size.to_string());
        match self.run(script, Some(input), size, |_| ControlFlow::Continue(())) {
            Ok(Ran { status: 0, .. }) => Ok(Put::Written),
            Ok(Ran { status: TAKEN, .. }) => Ok(Put::Existed),
            Ok(ran) => Err(self.failed("write", &path, ran.why())),
            Err(why) => Err(self.failed("write", &path, why)),
        }
    }
}

impl Link {
    async fn run(
        &self,
        script: &Script,
        input: Option<Rest>,
        to: mpsc::SyncSender<Vec<u8>>,
    ) -> Result<Ran, Why> {
        let mut known = self.hosts.lock().await;
        let hosts = match &*known {
            Some(hosts) => hosts.clone(),
            None => known.insert(Arc::new(self.connect().await?)).clone(),
        };
        let mut said = Vec::new();
        let mut take = |pipe, bytes: &[u8]| match pipe {
            Pipe::Out if to.send(bytes.to_vec()).is_err() => ControlFlow::Break(()),
            Pipe::Err if said.len() < MAX_SAID => {
                said.extend_from_slice(bytes);
                ControlFlow::Continue(())
            }
            Pipe::Out | Pipe::Err => ControlFlow::Continue(()),
        };
        match engine::stream(&hosts, &self.id, script, input, &mut take).await {
            Ok(status) => Ok(Ran { status, said: String::from_utf8_lossy(&said).into_owned() }),
            Err(error) => {
                *known = None;
                Err(Why::Said(crate::failure::chain(&error)))
            }
        }
    }

    async fn connect(&self) -> Result<Hosts, Why> {
        let target = Target::ssh(self.id.clone(), self.address.clone());
        let options = Options { ssh: self.options.clone(), ..Options::default() };
        // Nobody listens: what matters comes back as an error.
        let (events, _) = tokio::sync::mpsc::unbounded_channel();
        let (hosts, failed) = Hosts::connect(vec![target], options, &events).await;
        match failed.into_iter().next() {
            None => Ok(hosts),
            Some((_, ConnectError::Unreachable { why: Unreachable::Timeout(within), .. })) => {
                Err(Why::Silent(within.as_secs()))
            }
            Some((_, error)) => {
                let hint = error.hint().map(|hint| format!(" ({hint})")).unwrap_or_default();
                Err(Why::Said(format!("{}{hint}", crate::failure::chain(&error))))
            }
        }
    }
}

/// The key that the host at `address` proves to hold, as `known_hosts` writes it.
///
/// # Errors
/// Why there is no connection.
pub async fn host_key(address: SshAddress, options: SshOptions) -> Result<String, String> {
    let id = HostId::new(&address.host);
    let link = Link { id: id.clone(), address, options, hosts: Mutex::default() };
    let hosts = link.connect().await.map_err(|why| match why {
        Why::Silent(seconds) => format!("no answer within {seconds} s"),
        Why::Said(why) => why,
    })?;
    hosts.host_keys().await.remove(&id).ok_or_else(|| "it showed no key".to_owned())
}

/// How a host is named where its key is pinned.
pub fn pattern(host: &str, port: u16) -> String {
    if port == 22 { host.to_owned() } else { format!("[{host}]:{port}") }
}

impl Ran {
    /// Its words on one line, in printable characters.
    fn why(&self) -> Why {
        let shown = |char: char| if char.is_control() { ' ' } else { char };
        let said: String = self.said.chars().map(shown).take(300).collect();
        Why::Said(match said.trim() {
            "" => format!("exit status {}", self.status),
            said => said.to_owned(),
        })
    }
}

impl Destination for SshFolder {
    fn get(&self, name: &Name, limit: u64) -> Result<Option<Vec<u8>>, DestinationError> {
        let mut bytes = Vec::new();
        Ok(self.copy_to(name, limit, &mut bytes)?.map(|_| bytes))
    }

    fn put_new(&self, name: &Name, bytes: &[u8]) -> Result<Put, DestinationError> {
        self.put(name, bytes.len() as u64, Box::new(io::Cursor::new(bytes.to_vec())))
    }

    fn put_new_file(&self, name: &Name, from: &Path) -> Result<Put, DestinationError> {
        let unread = |source| DestinationError::Io { act: "read", path: from.display().to_string(), source };
        let file = std::fs::File::open(from).map_err(unread)?;
        let size = file.metadata().map_err(unread)?.len();
        self.put(name, size, Box::new(tokio::fs::File::from_std(file)))
    }

    fn copy_to(&self, name: &Name, limit: u64, to: &mut dyn Write) -> Result<Option<u64>, DestinationError> {
        let path = name.to_string();
        let (mut copied, mut refused) = (0u64, None);
        let ran = self.run(self.script(&path, format!("{ENTER}{GET}")), None, limit, |piece| {
            copied += piece.len() as u64;
            if copied > limit {
                return ControlFlow::Break(());
            }
            match to.write_all(&piece) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    refused = Some(error);
                    ControlFlow::Break(())
                }
            }
        });
        if let Some(source) = refused {
            return Err(DestinationError::Io { act: "copy", path: format!("{}/{path}", self.url), source });
        }
        if copied > limit {
            return Err(DestinationError::TooLarge { path: format!("{}/{path}", self.url), limit });
        }
        match ran {
            Ok(Ran { status: 0, .. }) => Ok(Some(copied)),
            Ok(Ran { status: NOTHING, .. }) if copied == 0 => Ok(None),
            Ok(ran) => Err(self.failed("read", &path, ran.why())),
            Err(why) => Err(self.failed("read", &path, why)),
        }
    }

    fn remove(&self, name: &Name) -> Result<(), DestinationError> {
        let path = name.to_string();
        let script = self.script(&path, format!("{ENTER}{REMOVE}"));
        match self.run(script, None, 0, |_| ControlFlow::Continue(())) {
            Ok(Ran { status: 0 | NOTHING, .. }) => Ok(()),
            Ok(ran) => Err(self.failed("remove", &path, ran.why())),
            Err(why) => Err(self.failed("remove", &path, why)),
        }
    }

    fn list(&self, prefix: Prefix) -> Result<Vec<Name>, DestinationError> {
        let path = prefix.as_str();
        let mut listing = Vec::new();
        let script = self.script(path, format!("{ENTER}{LIST}"));
        let ran = self.run(script, None, MAX_LISTING as u64, |piece| {
            listing.extend(piece);
            if listing.len() > MAX_LISTING { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        if listing.len() > MAX_LISTING {
            let limit = MAX_LISTING as u64;
            return Err(DestinationError::TooLarge { path: format!("{}/{path}", self.url), limit });
        }
        match ran {
            Ok(Ran { status: 0, .. }) => {
                let listing = String::from_utf8_lossy(&listing);
                Ok(listing.lines().filter_map(|file| format!("{path}{file}").parse().ok()).collect())
            }
            Ok(Ran { status: NOTHING, .. }) => Ok(Vec::new()),
            Ok(ran) => Err(self.failed("list", path, ran.why())),
            Err(why) => Err(self.failed("list", path, why)),
        }
    }

    fn describe(&self) -> String {
        self.url.clone()
    }
}

#[cfg(test)]
mod tests;
