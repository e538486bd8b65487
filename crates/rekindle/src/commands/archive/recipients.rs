//! `archive recipients`: who can open the archive from now on.

use crate::cli::{Opening, RecipientsCommand};
use crate::environment::Environment;
use crate::failure::{Exit, Failure, Outcome};
use crate::ready;
use crate::report::Reporter;
use crate::vault::Vault;
use archive::Recipient;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Runs one of its verbs.
pub fn run(command: &RecipientsCommand, environment: &Environment, report: &Reporter) -> Outcome {
    let (opening, change) = match command {
        RecipientsCommand::List(opening) => (opening, None),
        RecipientsCommand::Add { opening, recipient } => (opening, Some((recipient, true))),
        RecipientsCommand::Remove { opening, recipient } => (opening, Some((recipient, false))),
    };
    let (vault, named) = open(opening, environment, report)?;
    let all = vault.holding()?.newest.public.recipients;
    let Some((text, comes)) = change else {
        report.result(&all.join("\n"), json!({"recipients": all}));
        return Ok(Exit::Done);
    };
    if named {
        return Err(Failure::refused("the inventory names the recipients, and it stands over the archive")
            .hint("edit `recipients` under [archive], and run `rekindle up`"));
    }
    let recipient: Recipient =
        text.parse().map_err(|error: archive::Error| Failure::because(&error).maybe_hint(error.hint()))?;
    let spelt = recipient.to_string();
    let known = all.contains(&spelt);
    if comes == known {
        let how = if comes { "it is a recipient already" } else { "it is no recipient" };
        return Err(Failure::refused(format!("{spelt}: {how}")).hint("`rekindle archive recipients list`"));
    }
    let mut wanted = all;
    if comes {
        wanted.push(spelt.clone())
    } else {
        wanted.retain(|one| *one != spelt)
    }
    if wanted.is_empty() {
        return Err(Failure::refused("nobody could open the archive any more").hint("add another one first"));
    }
    let created = OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default();
    let sealed = vault.seal_to(&wanted, &ready::stamp(&created, environment))?;
    let mut words = format!("sealed identity set {} for {} recipients", sealed.number, wanted.len());
    if !comes {
        words += &format!(
            "\n! {spelt} keeps what it could open: every CA key, the service account key, the root key, and each \
             snapshot until now, in any copy.\n! Where its holder is no longer trusted, rotate them: a new cluster is \
             the sure way."
        );
    }
    for failed in &sealed.failed {
        words += &format!("\n! {failed}");
    }
    report.result(&words, json!({"recipients": wanted, "number": sealed.number, "at": sealed.proven}));
    Ok(if sealed.failed.is_empty() { Exit::Done } else { Exit::Due })
}

/// The vault, and whether the inventory names the recipients.
fn open(opening: &Opening, environment: &Environment, report: &Reporter) -> Result<(Vault, bool), Failure> {
    let (loaded, vault) = Vault::of(opening, environment, report)?;
    Ok((vault, !loaded.cluster().archive.recipients.is_empty()))
}
