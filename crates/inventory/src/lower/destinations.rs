//! `to` of `[archive]`: what the places mean, and which keys go with which kind of place.

use super::SSH_PORT;
use super::sections::file;
use crate::cluster::{Bucket, Credentials, Destination, Place, Writer};
use crate::error::Mistake;
use crate::form::At;
use crate::parse::Found;
use crate::raw::{RawDestination, RawPlace, RawPlaces};
use crate::value;
use std::collections::BTreeSet;
use std::ops::Range;

/// What we are at a host of an archive where nobody says: the host is no node.
const USER: &str = "root";

/// The places in the order of the file; at least one where nothing is wrong.
pub(crate) fn destinations(to: Option<&At<RawPlaces>>, found: &mut Found) -> Vec<Destination> {
    let Some(At { value: places, span }) = to else { return vec![Destination::folder("./archive")] };
    let places: Vec<(&RawPlace, &Range<usize>)> = match places {
        RawPlaces::One(place) => vec![(place, span)],
        RawPlaces::Many(many) => many.iter().map(|at| (&at.value, &at.span)).collect(),
    };
    if places.is_empty() {
        let mistake = Mistake::new(span.clone(), "the archive has no place".into(), "one place at least");
        found.error(mistake.hint("the archive is the only way to the same cluster again"));
    }
    let mut known = BTreeSet::new();
    let mut destinations = Vec::new();
    for (place, span) in places {
        let nothing = RawDestination::default();
        let (url, table) = match place {
            RawPlace::Url(url) => (Some(At { value: url.as_str(), span: span.clone() }), &nothing),
            RawPlace::Table(table) => (table.url.as_ref().map(At::text), table.as_ref()),
        };
        let Some(url) = url else {
            found.error(Mistake::new(span.clone(), "a place without `url`".into(), "where it is"));
            continue;
        };
        let at = url.span.clone();
        let Some(destination) = destination(url, table, found) else { continue };
        let server = match &destination.place {
            Place::S3(bucket) => bucket.endpoint.clone(),
            _ => None,
        };
        if !known.insert((destination.url(), server)) {
            let message = format!("`{}` stands twice", value::brief(&destination.url()));
            found.error(Mistake::new(at, message, "a copy at one place is one copy"));
        }
        destinations.push(destination);
    }
    destinations
}

fn destination(url: At<&str>, table: &RawDestination, found: &mut Found) -> Option<Destination> {
    let at = url.span.clone();
    let scheme = url.value.split_once("://").map(|(scheme, _)| scheme);
    misplaced(scheme, table, found);
    let place = found.take(url, |text| match text.split_once("://") {
        None => {
            let mounted = table.mounted.as_ref().is_some_and(|at| at.value);
            Ok(Place::Folder { path: file(text)?, mounted })
        }
        Some(("s3", rest)) => bucket(rest, table).map(Place::S3),
        Some(("ssh", rest)) => ssh(rest),
        Some((scheme, _)) => {
            let message = format!("`{}://` is no kind of place for an archive", value::brief(scheme));
            Err(Mistake::new(None, message, "a folder, s3://… or ssh://…"))
        }
    })?;
    if let Some(at) = &table.endpoint {
        found.take(at.text(), endpoint);
    }
    if let Some(at) = &table.ca {
        found.take(At { value: &*at.value.to_string_lossy(), span: at.span.clone() }, file);
    }
    for at in [&table.region, &table.domain].into_iter().flatten() {
        found.take(at.text(), value::label);
    }
    let credentials = table.credentials.as_ref().map(|at| at.value.clone());
    let can_nodes = match &place {
        Place::Folder { path, mounted } => *mounted && path.is_absolute(),
        Place::S3(_) | Place::Ssh { .. } => credentials.is_some(),
    };
    if let (Place::Folder { path, mounted: true }, Some(mounted)) = (&place, &table.mounted)
        && path.is_relative()
    {
        let message = "a relative folder is not the nodes'".into();
        found.error(Mistake::new(mounted.span.clone(), message, "an absolute path with `mounted`"));
    }
    let from = table.from.as_ref();
    if from.is_some_and(|from| from.value == Writer::Nodes) && !can_nodes {
        let right = match &place {
            Place::Folder { .. } => "an absolute path with `mounted = true`",
            Place::S3(_) | Place::Ssh { .. } => "`credentials` beside it",
        };
        let span = from.map_or(at, |from| from.span.clone());
        found.error(Mistake::new(span, "nodes can't write there".into(), right));
    }
    let default = match &place {
        Place::Folder { .. } => Writer::Operator,
        _ if can_nodes => Writer::Nodes,
        _ => Writer::Operator,
    };
    let domain = table.domain.as_ref().map(|at| at.value.clone());
    Some(Destination { place, from: from.map_or(default, |at| at.value), domain, credentials })
}

/// Notes keys that mean nothing with this kind of place.
fn misplaced(scheme: Option<&str>, table: &RawDestination, found: &mut Found) {
    let span = |at: Option<&Range<usize>>| at.cloned();
    let s3 = [
        ("endpoint", span(table.endpoint.as_ref().map(|at| &at.span))),
        ("region", span(table.region.as_ref().map(|at| &at.span))),
        ("path-style", span(table.path_style.as_ref().map(|at| &at.span))),
        ("ca", span(table.ca.as_ref().map(|at| &at.span))),
    ];
    let credentials = |other_than_file: bool| {
        let at = table.credentials.as_ref();
        let at = at.filter(|at| !other_than_file || !matches!(at.value, Credentials::File(_)));
        ("credentials", span(at.map(|at| &at.span)))
    };
    let mounted = ("mounted", span(table.mounted.as_ref().map(|at| &at.span)));
    let (wrong, kind): (Vec<_>, _) = match scheme {
        None => (s3.into_iter().chain([credentials(false)]).collect(), "a folder has none"),
        Some("s3") => (vec![mounted], "a bucket is not mounted"),
        Some("ssh") => (
            s3.into_iter().chain([mounted, credentials(true)]).collect(),
            "for SSH: { file = \"a private key\" }",
        ),
        Some(_) => return,
    };
    for (key, span) in wrong {
        if let Some(span) = span {
            found.error(Mistake::new(span, format!("`{key}` does not go with this place"), kind));
        }
    }
}

fn bucket(rest: &str, table: &RawDestination) -> Result<Bucket, Mistake> {
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let prefix = prefix.trim_end_matches('/');
    let of_bucket = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte);
    let of_prefix = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    let segment = |part: &str| !matches!(part, "" | "." | "..") && part.bytes().all(of_prefix);
    if !(3..=63).contains(&bucket.len()) || !bucket.bytes().all(of_bucket) {
        let mistake =
            Mistake::new(None, "this names no bucket".into(), "s3://bucket/prefix, of a-z, 0-9, . and -");
        return Err(match bucket.contains(['@', ':']) {
            true => mistake.hint("keys go into `credentials`, a port into `endpoint`"),
            false => mistake,
        });
    }
    if !prefix.is_empty() && !prefix.split('/').all(segment) {
        let message = format!("`{}` is no prefix", value::brief(prefix));
        return Err(Mistake::new(None, message, "segments of letters, digits, ., - and _, joined by /"));
    }
    let endpoint = table.endpoint.as_ref().map(|at| at.value.trim_end_matches('/').to_owned());
    Ok(Bucket {
        bucket: bucket.into(),
        prefix: prefix.into(),
        path_style: table.path_style.as_ref().map_or(endpoint.is_some(), |at| at.value),
        endpoint,
        region: table.region.as_ref().map(|at| at.value.clone()),
        ca: table.ca.as_ref().map(|at| at.value.clone()),
    })
}

fn endpoint(text: &str) -> Result<(), Mistake> {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    match host.map(|host| value::endpoint(host.trim_end_matches('/'))) {
        Some(Ok(_)) => Ok(()),
        _ => {
            let message = format!("`{}` is no endpoint", value::brief(text));
            Err(Mistake::new(None, message, "https://host or https://host:port"))
        }
    }
}

fn ssh(rest: &str) -> Result<Place, Mistake> {
    let right = "ssh://user@host:port/absolute/path";
    let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
    if authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':')) {
        let mistake = Mistake::new(None, "a password stands in the URL".into(), right);
        return Err(mistake.hint("SSH logs in by key here"));
    }
    let target = value::ssh_target(authority, SSH_PORT, USER)?;
    let path = path.trim_end_matches('/');
    let segment = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(char::is_control);
    let good = path.strip_prefix('/').is_some_and(|path| path.split('/').all(segment));
    if !good {
        return Err(Mistake::new(None, "this names no folder of that host".into(), right));
    }
    Ok(Place::Ssh { target, path: path.into() })
}
