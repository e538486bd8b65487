//! Steps as a script.

use super::shell_bytes;
use crate::options::Layout;
use std::fmt::Write as _;
use std::sync::LazyLock;
use std::time::Duration;
use step::{Body, Change, Digest, File, Same, Script, Step, quote};

/// What the script does with its steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Probes, acts and probes again, as a unit or by itself.
    Apply {
        /// The lane runs as a unit of its own and writes to its spool.
        detached: bool,
    },
    /// Probes; waiting steps are passed over.
    Probe {
        /// The scratch folder lies beside the spools of lanes; on this machine, where any user may make one.
        detached: bool,
    },
}

/// A step that cannot be written as shell.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("step `{title}`: path `{path}` is not absolute, or holds a control character or a backslash")]
pub struct Unrenderable {
    title: String,
    path: String,
}

/// A step with its number in what the script prints.
pub(crate) type Numbered<'a> = (usize, &'a Step);

static FUNCTIONS: LazyLock<String> = LazyLock::new(|| {
    stripped(concat!(include_str!("lane.sh"), include_str!("files.sh"), include_str!("step.sh")))
});

/// What probing alone may take: it is quick, or it hangs.
const PROBE: Duration = Duration::from_secs(60);

/// The script. `last_use` tells of a step that it is the last on its host to want its blob.
pub(crate) fn render(
    steps: &[Numbered<'_>],
    mode: Mode,
    layout: &Layout,
    mark: &str,
    overwrite: bool,
    last_use: &dyn Fn(usize) -> Option<Digest>,
) -> Result<String, Unrenderable> {
    let mut script = header(steps, mode, layout, mark, overwrite);
    let mut rest = steps;
    while let Some(((number, step), tail)) = rest.split_first() {
        let Change::File(_) = step.change else {
            put_step(&mut script, *number, step, mode);
            rest = tail;
            continue;
        };
        let (group, tail) = rest.split_at(group_length(rest));
        put_group(&mut script, group, mode)?;
        if let Mode::Apply { .. } = mode {
            for digest in group.iter().filter_map(|(number, _)| last_use(*number)) {
                let _ = writeln!(script, "drop_blob {digest}");
            }
        }
        rest = tail;
    }
    script.push_str("finish\n");
    Ok(script)
}

fn header(steps: &[Numbered<'_>], mode: Mode, layout: &Layout, mark: &str, overwrite: bool) -> String {
    let Layout { run, state, path } = layout;
    let folder = match mode {
        Mode::Apply { .. } => "DIR=$1\n",
        Mode::Probe { detached: false } => "DIR=$(mktemp -d) || exit 1\n",
        Mode::Probe { detached: true } => "DIR=$RUN/probe.$MARK\nmkdir -p -- \"$DIR\" || exit 1\n",
    };
    let begin = match mode {
        Mode::Apply { detached } => format!("DETACHED={}\nbegin\n", u8::from(detached)),
        Mode::Probe { detached } => format!(
            "trap 'unwatch; rm -rf -- \"$DIR\"' EXIT\ntrap 'exit 143' TERM INT HUP PIPE\n\
             echo \"$$\" >\"$DIR/owner\"\n{}",
            if detached { "sweep\n" } else { "" }
        ),
    };
    let home = match mode {
        Mode::Apply { detached: true } => "HOME=/root\nexport HOME\n",
        _ => "",
    };
    format!(
        "umask 077\n{home}LC_ALL=C\nPATH={path}\nexport LC_ALL PATH\nMARK={mark}\nRUN={run}\nSTATE={state}\nOVERWRITE={overwrite}\nLIVE={live}\nNAP={nap}\n{folder}\
         if [ -O / ]; then ME=root:root; else ME=; fi\n{functions}\n{begin}",
        path = quote(path),
        run = quote(run),
        state = quote(state),
        overwrite = u8::from(overwrite),
        // Nobody waits for a line of a probe.
        live = u8::from(matches!(mode, Mode::Apply { .. })),
        // A tenth of the shortest deadline: nothing outstays its own by much more than that.
        nap = steps.iter().map(|(_, step)| seconds(step.within) / 10).min().unwrap_or(0).clamp(1, 5),
        functions = *FUNCTIONS,
    )
}

/// Without the comments and indentation that hosts need not be sent.
pub(crate) fn stripped(script: &str) -> String {
    let lines = script.lines().map(str::trim_start).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.fold(String::new(), |text, line| text + line + "\n")
}

fn put_step(script: &mut String, number: usize, step: &Step, mode: Mode) {
    let apply = matches!(mode, Mode::Apply { .. });
    let (kind, probe, act) = match &step.change {
        Change::Run { done_when, run } if apply => ("run", done_when, Some(run)),
        Change::Run { done_when, .. } => ("ask", done_when, None),
        // Asked on every host before the first lane of its stage starts; what a lane changes may end it.
        Change::Require(that) if !apply => ("ask", that, None),
        Change::Wait(until) if apply => ("wait", until, None),
        Change::Require(_) | Change::Wait(_) | Change::File(_) => return,
    };
    put_script(script, "probe", probe);
    if let Some(act) = act {
        put_script(script, "act", act);
    }
    let within = if apply { step.within } else { step.within.min(PROBE) };
    let _ = writeln!(script, "step {number} {kind} {}", seconds(within));
    if apply {
        script.push_str("[ \"$FAILED\" = 0 ] || finish\n");
    }
}

fn put_script(script: &mut String, name: &str, body: &Script) {
    let _ = writeln!(script, "printf '%s\\n' {} >\"$DIR/{name}\"", quote(&body.text()));
    let input = body.stdin().map_or_else(|| ":".to_owned(), |input| shell_bytes(input.expose()));
    let _ = writeln!(script, "{input} >\"$DIR/{name}.in\"");
}

fn seconds(within: Duration) -> u64 {
    within.as_secs().max(1)
}

/// Files up to the first step that is none, or to a path that the group has already.
fn group_length(steps: &[Numbered<'_>]) -> usize {
    let mut paths = Vec::new();
    for (_, step) in steps {
        match &step.change {
            Change::File(file) if !paths.contains(&&file.path) => paths.push(&file.path),
            _ => break,
        }
    }
    paths.len()
}

fn put_group(script: &mut String, group: &[Numbered<'_>], mode: Mode) -> Result<(), Unrenderable> {
    let mut wanted = String::new();
    for (number, step) in group {
        if let Change::File(file) = &step.change {
            check_path(&step.title, &file.path)?;
            if let Body::Link(to) = &file.body {
                check_path(&step.title, &format!("/{to}"))?;
            }
            let _ = writeln!(wanted, "{}", wanted_line(*number, file));
        }
    }
    let _ = writeln!(script, "printf %s {} >\"$DIR/wanted\"\nlook", quote(&wanted));
    put_holds(script, group, |number| format!("is {number} done mend"));
    if matches!(mode, Mode::Probe { .. }) {
        script.push_str("tell\n");
        return Ok(());
    }
    for (number, step) in group {
        if let Change::File(file) = &step.change {
            put_body(script, *number, file);
        }
    }
    script.push_str("settle\n");
    put_holds(script, group, |number| format!("changed {number} && is {number} 'done'"));
    script.push_str("conclude || finish\n");
    Ok(())
}

fn put_holds(script: &mut String, group: &[Numbered<'_>], condition: impl Fn(usize) -> String) {
    for (number, step) in group {
        if let Change::File(File { same: Same::Holds(probe), .. }) = &step.change {
            let _ = writeln!(script, "if {}; then", condition(*number));
            put_script(script, "probe", probe);
            let _ = writeln!(script, "holds {number} {}\nfi", seconds(step.within.min(PROBE)));
        }
    }
}

/// INDEX PATH KIND MODE UMASK OWNER SHA256-OR-TARGET HOW SHOW RECORD, with tabs between them.
fn wanted_line(number: usize, file: &File) -> String {
    let (kind, want) = match &file.body {
        Body::Text(text) => ("file", Digest::of(text.as_bytes()).hex()),
        Body::Secret(secret) => ("file", Digest::of(secret.expose()).hex()),
        Body::Blob { sha256, .. } => ("file", sha256.hex()),
        Body::Link(to) => ("link", to.clone()),
        Body::Absent => ("absent", "-".to_owned()),
    };
    let (how, record) = match file.same {
        Same::Bytes => ("bytes", "-".to_owned()),
        Same::Holds(_) => ("holds", "-".to_owned()),
        Same::UnlessChanged => ("unless", file.path.replace('/', "!")),
    };
    let show = if matches!(file.body, Body::Text(_)) { "yes" } else { "no" };
    let File { path, mode, owner, .. } = file;
    let umask = 0o777 & !mode;
    let owner = &owner.0;
    format!("{number}\t{path}\t{kind}\t{mode:o}\t{umask:03o}\t{owner}\t{want}\t{how}\t{show}\t{record}")
}

fn put_body(script: &mut String, number: usize, file: &File) {
    let write = match &file.body {
        Body::Text(text) => shell_bytes(text.as_bytes()),
        Body::Secret(secret) => shell_bytes(secret.expose()),
        Body::Blob { sha256, .. } => {
            let _ = writeln!(script, "if open {number}; then install_blob {number} {sha256}; fi");
            return;
        }
        Body::Link(_) | Body::Absent => {
            let _ = writeln!(script, "open {number} || :");
            return;
        }
    };
    let _ = writeln!(
        script,
        "if open {number}; then\n{{ {write} >\"$TEMP\"; }} 2>\"$DIR/said\" || unwritten {number}\nfi"
    );
}

/// Paths travel as lines with tabs, and sha256sum marks names with a backslash.
fn check_path(title: &str, path: &str) -> Result<(), Unrenderable> {
    let sound = path.starts_with('/') && !path.ends_with('/');
    if sound && !path.contains(|c: char| c.is_control() || c == '\\') {
        return Ok(());
    }
    Err(Unrenderable { title: title.to_owned(), path: path.to_owned() })
}

#[cfg(test)]
mod tests;
