//! Where no quorum is left and a disk is: what it has is sealed, like any generation that nobody confirms, and taken
//! where it is newer than what the archive has. Both are shown.

use super::chosen::Begun;
use crate::cli;
use crate::commands::archive::in_words;
use crate::commands::snapshot::{self, Made};
use crate::environment::Environment;
use crate::failure::Failure;
use crate::report::{Reporter, duration};
use crate::session::Session;
use crate::vault::{Remembered, Signing};
use archive::{Generation, Generations};
use plan::ask::written::written;
use plan::capture::Origin;
use std::time::Duration;
use step::HostId;
use time::OffsetDateTime;

/// It says two numbers.
const ASKING: Duration = Duration::from_secs(20);

/// A disk's generation.
pub struct Disk {
    made: Made,
    node: String,
    /// How long ago its etcd wrote last.
    age: Option<Duration>,
}

/// Which is taken, and what a person is told of it.
pub struct Choice<'g> {
    /// The newest.
    pub taken: &'g Generation,
    /// All of them, a line each.
    pub notes: Vec<String>,
    /// What is lost with it.
    pub lost: String,
}

/// Seals what the named disks have. A run that goes on has done it.
pub async fn seal(
    session: &Session,
    remembered: &Remembered,
    begun: Option<&Begun>,
    args: &cli::Rebuild,
    environment: &Environment,
    report: &Reporter,
) -> Result<Vec<Disk>, Failure> {
    let mut disks = Vec::new();
    if begun.is_some() {
        return Ok(disks);
    }
    let signing = Signing::with(&remembered.bundle)?;
    for name in &args.from_disk {
        let node = snapshot::choose(session, Some(name))?;
        let question = [(HostId::new(name), written())];
        let answer = engine::ask_each(&session.hosts, &question, ASKING).await.into_values().next();
        let made = snapshot::take(session, &signing, (node, Origin::Disk), environment, report).await?;
        disks.push(Disk { made, node: name.clone(), age: answer.and_then(Result::ok) });
    }
    Ok(disks)
}

/// The newest of the disks and the archive, by epoch and revision. `None` where no disk was named.
pub fn choose<'g>(disks: &[Disk], generations: &'g Generations) -> Result<Option<Choice<'g>>, Failure> {
    let rank = |one: &Generation| (one.public.epoch, one.public.revision);
    let sealed = |disk: &Disk| generations.get(&disk.made.id());
    let usable = disks.iter().filter_map(|disk| Some((disk, sealed(disk)?)));
    let usable: Vec<_> = usable.filter(|(_, one)| one.suspect.is_none()).collect();
    let Some((newest, taken)) = usable.iter().copied().max_by_key(|(_, one)| rank(one)) else {
        return match disks.first() {
            Some(disk) => Err(Failure::refused(format!(
                "what the disk of {} has can't be used: its revision is far above all that others signed",
                disk.node
            ))),
            None => Ok(None),
        };
    };
    let archived = generations.newest_counting();
    let mut notes: Vec<String> = disks.iter().map(Disk::words).collect();
    notes.push(archived.map_or_else(
        || "the archive: no generation counts".into(),
        |one| {
            format!(
                "the archive: revision {}, {}",
                one.public.revision,
                in_words(one, OffsetDateTime::now_utc())
            )
        },
    ));
    match archived.filter(|one| rank(one) >= rank(taken)) {
        Some(archived) => {
            notes.push("the archive's is the newer one: it is taken".into());
            Ok(Some(Choice { taken: archived, notes, lost: "what was written since".into() }))
        }
        None => {
            notes.push(format!("! nobody confirms what the disk of {} has", newest.node));
            let lost = format!("what never reached the disk of {}", newest.node);
            Ok(Some(Choice { taken, notes, lost }))
        }
    }
}

impl Disk {
    fn words(&self) -> String {
        let age = self.age.map_or_else(String::new, |age| format!(", written last {} ago", duration(age)));
        format!("the disk of {}: revision {}{age}", self.node, self.made.revision())
    }
}

/// Disks that nobody named.
pub fn unnamed(session: &Session) -> Vec<String> {
    let with_data = session.cluster().etcd_nodes().filter(|node| {
        session.answers.get(&HostId::new(&node.name)).is_some_and(|answer| answer.today.etcd_data)
    });
    with_data
        .map(|node| format!("! {0} has its etcd data; --from-disk {0} takes what it has", node.name))
        .collect()
}
