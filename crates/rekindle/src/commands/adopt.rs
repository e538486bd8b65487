//! `adopt`: a kubeadm cluster that somebody else made gets the same safety. It is read, an inventory says it, its
//! identity set is sealed, and a generation is taken and drilled. Nothing of it is changed.

mod reach;
mod schedule;
mod seal;

use crate::cli;
use crate::environment::Environment;
use crate::failure::{Exit, Failure, Outcome, file_error};
use crate::loaded::{Loaded, read_text};
use crate::report::{Reporter, duration};
use crate::vault::Vault;
use archive::RootPublic;
use pki::{Bundle, SystemEntropy};
use plan::adopt::{Adoption, Collected, Destinations, Machines, Reach, adoption, collect};
use plan::kubeadm::Cgroups;
use reach::{Reached, reach};
use seal::Sealed;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::Instant;
use time::OffsetDateTime;

/// Adopts a cluster.
pub async fn run(args: &cli::Adopt, environment: &Environment, report: &Reporter) -> Outcome {
    if args.schedule {
        return schedule::run(args, environment, report).await;
    }
    let started = Instant::now();
    let out =
        args.out.as_ref().ok_or_else(|| Failure::refused("no -o FILE says where the inventory goes"))?;
    nothing_lies_there(out)?;
    let folder = folder_of(out)?;
    let others =
        args.keys.iter().map(|path| Ok(read_text(path)?.into())).collect::<Result<Vec<_>, Failure>>()?;
    let reached = reach(args, &folder, environment, report).await?;
    let collected = collect(&reached.seen, &reached.found, &others).map_err(|why| refused(&why))?;
    let (adoption, trusting, bundle) = say(args, out, &reached, &collected)?;
    let loaded = load(out, &folder, &adoption)?;
    empty(&loaded, args, environment)?;
    write(out, &folder, &adoption, environment)?;
    report.say(format!("{}: written", out.display()));
    let again = |failure: Failure| {
        let words = "is written; remove it, and the archive where one was begun, to run `adopt` again";
        failure.hint(format!("{} {words}", out.display()))
    };
    let session = seal::open(args, out, environment, report).await.map_err(again)?;
    let Sealed { made, lines, mut due } =
        seal::seal(&session, &bundle, environment, report).await.map_err(again)?;
    // An empty archive has no key that anybody could trust, so its line comes now.
    let line = environment.write(out, trusting.text.as_bytes(), 0o644);
    line.map_err(|error| file_error("cannot be written", out, &error))?;
    for (node, why) in &reached.absent {
        due.push(format!("{node}: was not reached: {why}"));
    }
    let drilled = seal::drilled(args, out, environment, report).await;
    let (words, proven) = match drilled {
        Ok(words) => (words, true),
        Err(failure) => {
            due.push(format!("not drilled: {}", failure.message));
            (String::new(), false)
        }
    };
    let mut text = format!("{}\n", made.headline());
    if !words.is_empty() {
        text.push_str(&format!("{words}\n"));
    }
    for line in &lines {
        text.push_str(&format!("{line}\n"));
    }
    for line in &due {
        text.push_str(&format!("! {line}\n"));
    }
    for line in &adoption.unsaid {
        text.push_str(&format!("the inventory can't say: {line}\n"));
    }
    let name = out.display();
    text.push_str(&format!(
        "{} is adopted ({}), and nothing of it was changed. Now: `rekindle status -i {name}`, and snapshot, drill, at, kubectl, archive.\n\
         `rekindle plan -i {name}` shows what would differ from a cluster of rekindle's own; `rekindle adopt --schedule -i {name}` installs the timer",
        session.cluster().name,
        duration(started.elapsed())
    ));
    report.result(
        &text,
        json!({
            "cluster": session.cluster().name, "inventory": out, "generation": made.value(), "drilled": proven,
            "unsaid": adoption.unsaid, "due": due, "absent": reached.absent, "seconds": started.elapsed().as_secs_f64(),
        }),
    );
    Ok(if due.is_empty() { Exit::Done } else { Exit::Due })
}

fn refused(why: &[String]) -> Failure {
    let list: String = why.iter().map(|line| format!("\n  {line}")).collect();
    let hint = match why.iter().any(|line| line.starts_with("no control plane has")) {
        true => {
            "where a CA's key is kept elsewhere, --key FILE hands it over; nothing was changed, and nothing was written"
        }
        false => "nothing was changed, and nothing was written",
    };
    Failure::refused(format!("this cluster can't be adopted:{list}")).hint(hint)
}

/// The name's own folder, which is there.
fn folder_of(out: &Path) -> Result<PathBuf, Failure> {
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    folder.canonicalize().map_err(|error| file_error("its folder", out, &error))
}

fn files_folder(out: &Path) -> String {
    format!("{}.files", out.file_stem().unwrap_or_default().to_string_lossy())
}

fn nothing_lies_there(out: &Path) -> Result<(), Failure> {
    for path in [out.to_owned(), out.with_file_name(files_folder(out))] {
        if path.symlink_metadata().is_ok() {
            return Err(Failure::refused(format!("{}: is there already", path.display()))
                .hint("name another file: nothing is ever overwritten"));
        }
    }
    Ok(())
}

/// The inventory, the same with the archive's root key in it, and the bundle that this key is of.
fn say(
    args: &cli::Adopt,
    out: &Path,
    reached: &Reached,
    collected: &Collected,
) -> Result<(Adoption, Adoption, Bundle), Failure> {
    let found = reached.found.values();
    let v1 = found.clone().any(|found| found.cgroup_v1);
    let container = found.clone().any(|found| found.container);
    let machines = Machines {
        routes: found.clone().any(|found| found.routes),
        container,
        cgroups: Cgroups { v1, by_kubelet: v1 && container },
    };
    let text = |path: &PathBuf| path.to_string_lossy().into_owned();
    let way = Reach {
        targets: reached.targets.clone(),
        identity: keys(args).iter().map(text).collect(),
        bastion: args.bastion.clone(),
    };
    let mut destinations = Destinations {
        to: args.to.clone(),
        recipients: args.recipients.clone(),
        trust: None,
        source: args.source.as_deref().map(source),
        files: files_folder(out),
        payload: !args.no_payload,
    };
    let name = args.name.as_deref();
    let write = |destinations: &Destinations| {
        adoption(name, &reached.seen, collected, machines, &way, destinations).map_err(|why| refused(&why))
    };
    let first = write(&destinations)?;
    let now = OffsetDateTime::now_utc();
    let bundle = Bundle::complete(collected.entries.clone(), &first.cluster, None, now, &mut SystemEntropy)
        .map_err(|error| Failure::because(&error).maybe_hint(error.hint()))?;
    destinations.trust = Some(RootPublic::from(bundle.root_public()).to_string());
    let trusting = write(&destinations)?;
    Ok((first, trusting, bundle))
}

/// A command line's paths begin where it was typed, an inventory's where it lies.
fn keys(args: &cli::Adopt) -> Vec<PathBuf> {
    let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
    args.ssh_identity.iter().map(absolute).collect()
}

/// As TOML.
fn source(text: &str) -> String {
    let string = serde_json::Value::from(text).to_string();
    match text {
        "upstream" | "modules" => string,
        url if url.starts_with("https://") || url.starts_with("http://") => {
            format!("{{ mirror = {string} }}")
        }
        _ => format!("{{ folder = {string} }}"),
    }
}

fn load(out: &Path, folder: &Path, adoption: &Adoption) -> Result<Loaded, Failure> {
    let parsed = inventory::parse(&out.display().to_string(), &adoption.text)
        .map_err(|mistakes| Failure::refused(mistakes.render(false)).exit(Exit::Bug))?;
    Ok(Loaded { path: out.to_owned(), folder: folder.to_owned(), text: adoption.text.clone(), parsed })
}

/// A destination belongs to one cluster, and this one has none yet.
fn empty(loaded: &Loaded, args: &cli::Adopt, environment: &Environment) -> Result<(), Failure> {
    if Vault::new(loaded, &args.identity, true, environment)?.is_empty()? {
        return Ok(());
    }
    Err(Failure::refused(format!("there is an archive already at {}", args.to.join(", ")))
        .hint("--to DEST names a new place for this cluster's"))
}

fn write(out: &Path, folder: &Path, adoption: &Adoption, environment: &Environment) -> Result<(), Failure> {
    use pki::ExposeSecret;
    let put = |path: &Path, text: &str, mode| match environment.write_new(path, text.as_bytes(), mode) {
        Ok(true) => Ok(()),
        Ok(false) => nothing_lies_there(path),
        Err(error) => Err(file_error("cannot be written", path, &error)),
    };
    for (local, text) in &adoption.files {
        put(&folder.join(local), text.expose_secret(), 0o600)?;
    }
    put(out, &adoption.text, 0o644)
}
