//! The digest of a lane: whether a lane that runs on a host is the one that we would start.

use step::{Body, Change, Digest, File, Same, Script, Step};

/// Left out is what differs between two runs that mean the same: the bodies of files that need only hold (a fresh
/// leaf certificate) and what scripts read on standard input (a fresh token).
pub(crate) fn digest(steps: &[Step], overwrite: bool) -> Digest {
    let mut text = Vec::new();
    put(&mut text, &[u8::from(overwrite)]);
    for step in steps {
        put(&mut text, step.title.as_bytes());
        put(&mut text, &step.within.as_secs().to_be_bytes());
        match &step.change {
            Change::File(file) => put_file(&mut text, file),
            Change::Run { done_when, run } => {
                put(&mut text, b"run");
                put_script(&mut text, done_when);
                put_script(&mut text, run);
            }
            Change::Wait(until) => {
                put(&mut text, b"wait");
                put_script(&mut text, until);
            }
            Change::Require(that) => {
                put(&mut text, b"require");
                put_script(&mut text, that);
            }
        }
    }
    Digest::of(&text)
}

fn put_file(text: &mut Vec<u8>, file: &File) {
    put(text, b"file");
    put(text, file.path.as_bytes());
    put(text, &file.mode.to_be_bytes());
    put(text, file.owner.0.as_bytes());
    match &file.same {
        Same::Holds(script) => {
            put(text, b"holds");
            return put_script(text, script);
        }
        Same::Bytes => put(text, b"bytes"),
        Same::UnlessChanged => put(text, b"unless changed"),
    }
    match &file.body {
        Body::Text(body) => put(text, body.as_bytes()),
        Body::Secret(secret) => put(text, Digest::of(secret.expose()).hex().as_bytes()),
        Body::Blob { sha256, .. } => put(text, sha256.hex().as_bytes()),
        Body::Link(to) => put(text, to.as_bytes()),
        Body::Absent => put(text, b"absent"),
    }
}

fn put_script(text: &mut Vec<u8>, script: &Script) {
    put(text, script.text().as_bytes());
}

/// With its length, so that no two lists of fields make the same text.
fn put(text: &mut Vec<u8>, field: &[u8]) {
    text.extend((field.len() as u64).to_be_bytes());
    text.extend(field);
}

#[cfg(test)]
mod tests {
    use super::*;
    use step::Secret;

    #[test]
    fn a_lane_is_the_same_when_only_what_changes_each_run_differs() {
        let leaf =
            |body: &str| Step::file(File::secret("/leaf", Secret::new(body)).holds(Script::new("test")));
        let key = |body: &str| Step::file(File::secret("/key", Secret::new(body)));
        let token =
            |body: &str| Step::run("token", Script::nothing(), Script::new("cat").input(Secret::new(body)));
        let text = |body: &str| Step::file(File::text("/text", body));
        let cases = [
            ("the body of a file that need only hold", leaf("a"), leaf("b"), true),
            ("the input of a script", token("a"), token("b"), true),
            ("a secret file", key("a"), key("b"), false),
            ("a text file", text("a"), text("b"), false),
            ("a deadline", text("a").within(1), text("a").within(2), false),
        ];
        for (what, one, other, same) in cases {
            let (one, other) = ([one], [other]);
            assert_eq!(digest(&one, false) == digest(&other, false), same, "{what}");
            assert_ne!(digest(&one, false), digest(&one, true), "overwriting is another lane");
        }
    }
}
