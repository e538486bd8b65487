use super::*;
use step::Secret;

fn steps() -> Vec<Step> {
    let holds = Script::new("[ -s \"$FILE\" ]").set("FILE", "/leaf");
    let digest = Digest::of(b"program");
    vec![
        Step::file(File::text("/etc/a b", "it's\n")),
        Step::file(File::secret("/etc/key", Secret::new(vec![0, 255])).holds(holds)),
        Step::file(File::program("/usr/bin/x", digest, 7)),
        Step::file(File::text("/etc/manifest", "m\n").unless_changed()),
        Step::file(File::link("/link", "to here")),
        Step::file(File::absent("/gone")),
        Step::file(File::text("/etc/a b", "again\n")),
        Step::new("need", Change::Require(Script::new("true"))),
        Step::wait("wait", Script::new("true")).within(90),
        Step::run("run", Script::new("false"), Script::new("cat").input(Secret::new("in put"))).within(120),
    ]
}

fn rendered(mode: Mode) -> String {
    let steps = steps();
    let numbered: Vec<Numbered<'_>> = steps.iter().enumerate().collect();
    let last = |step| (step == 2).then(|| Digest::of(b"program"));
    render(&numbered, mode, &Layout::default(), "MARK", false, &last).unwrap()
}

/// What follows the functions: the calls.
fn calls(script: &str) -> &str {
    &script[script.find("printf %s '0\t").unwrap()..]
}

#[test]
fn each_step_is_a_call_with_quoted_bodies() {
    insta::assert_snapshot!("apply", calls(&rendered(Mode::Apply { detached: true })));
    insta::assert_snapshot!("probe", calls(&rendered(Mode::Probe { detached: true })));
}

#[test]
fn every_script_is_sound_shell() {
    let scripts = [
        rendered(Mode::Apply { detached: true }),
        rendered(Mode::Apply { detached: false }),
        rendered(Mode::Probe { detached: true }),
        stripped(include_str!("../launch.sh")),
        stripped(include_str!("../../blobs.sh")),
    ];
    let folder = tempfile::tempdir().unwrap();
    for (i, script) in scripts.iter().enumerate() {
        let path = folder.path().join(i.to_string());
        std::fs::write(&path, script).unwrap();
        let checked = std::process::Command::new("sh").arg("-n").arg(&path).output().unwrap();
        assert!(checked.status.success(), "{}\n{script}", String::from_utf8_lossy(&checked.stderr));
    }
}

#[test]
fn shellcheck_has_no_complaint() {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src");
    let files = ["lane/lane.sh", "lane/files.sh", "lane/step.sh", "lane/launch.sh", "blobs.sh"]
        .map(|file| format!("{source}/{file}"));
    match std::process::Command::new("shellcheck").args(["-s", "sh"]).args(files).output() {
        Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout)),
        Err(_) => println!("skipped: no shellcheck here"),
    }
}

#[test]
fn a_path_that_no_line_can_hold_is_refused() {
    for path in ["relative", "/new\nline", "/tab\there", "/back\\slash", "/folder/", ""] {
        let step = Step::file(File::text(path, "x"));
        let result =
            render(&[(0, &step)], Mode::Probe { detached: true }, &Layout::default(), "M", false, &|_| None);
        assert!(result.is_err(), "{path:?}");
    }
}
