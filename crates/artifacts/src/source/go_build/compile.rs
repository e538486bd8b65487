//! One run of `go build` for one project.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::Command;

use super::Project;
use crate::Sha256;
use crate::cache::{self, Cache};
use crate::error::{At as _, Error};
use crate::listed::{Listed, SUMS, made};
use crate::payload::Arch;
use crate::progress::{Progress, Report, Unit};

const MISSING: Error = Error::Missing {
    program: "go",
    purpose: "build Kubernetes and its parts",
    install: "install Go from https://go.dev/dl or from the distribution's backports",
};

/// A project, where its go.mod lies, and the folder that its programs get.
pub(super) struct Plan {
    pub(super) project: Project,
    arch: Arch,
    source: PathBuf,
    below: String,
    folder: PathBuf,
}

impl Plan {
    pub(super) fn is_built(&self) -> bool {
        self.folder.join(SUMS).exists()
    }

    fn packages(&self) -> impl Iterator<Item = &'static str> {
        self.project.programs.iter().map(|(package, _)| *package)
    }

    /// `go VERB` with the flags that the programs depend on.
    fn go(&self, verb: &str) -> Command {
        let mut command = go(&self.source, self.arch);
        command.args([verb, "-mod=readonly", "-trimpath"]);
        if !self.project.tags.is_empty() {
            command.args(["-tags", self.project.tags]);
        }
        command
    }
}

/// Lays the project's go.mod where the compiler finds it, and names the folder of its programs.
pub(super) async fn plan(project: Project, arch: Arch, cache: &Cache) -> Result<Plan, Error> {
    let pins = project.files.iter().map(|(_, content)| *content).collect::<String>();
    let source = cache.path(format!("go/source/{}-{}/go.mod", project.name, short(&pins)))?;
    let source = source.parent().unwrap_or(Path::new("/")).to_owned();
    for (name, content) in project.files {
        let path = source.join(name);
        if std::fs::read_to_string(&path).ok().as_deref() != Some(content) {
            cache::write(&path, content.as_bytes(), 0o644)?;
        }
    }
    let version = compiler(&project, &source, arch).await?;
    let programs: Vec<_> = project.programs.iter().flat_map(|(package, name)| [*package, *name]).collect();
    let key =
        [&pins, &version, arch.as_str(), project.tags, &project.ldflags(), &programs.join(" ")].join("\n");
    let below = format!("go/{}-{}", project.name, short(&key));
    let folder = cache.path(&below)?;
    Ok(Plan { project, arch, source, below, folder })
}

fn short(text: &str) -> String {
    Sha256::of(text).to_string().chars().take(16).collect()
}

/// The version of the compiler that go.mod leads to: Go itself fetches a newer one where it may.
async fn compiler(project: &Project, source: &Path, arch: Arch) -> Result<String, Error> {
    let output = go(source, arch).args(["env", "GOVERSION"]).output().await;
    let output = match output {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(MISSING),
        output => output.at("run", Path::new("go"))?,
    };
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Error::GoTooOld { project: project.name.into(), said })
}

fn go(source: &Path, arch: Arch) -> Command {
    let mut command = Command::new("go");
    command.current_dir(source).env("CGO_ENABLED", "0").env("GOOS", "linux").env("GOARCH", arch.as_str());
    command.env("GOWORK", "off").stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Builds a project unless that was done before.
pub(super) async fn build<'a>(
    plan: Plan,
    cache: &'a Cache,
    report: &Report<'_>,
) -> Result<Listed<'a>, Error> {
    made(cache, &plan.below, async |folder: &Path| compile(&plan, folder, report).await).await
}

async fn compile(plan: &Plan, folder: &Path, report: &Report<'_>) -> Result<(), Error> {
    let name = plan.project.name;
    let tell = |done, total, unit| report(Progress::Advances { what: name.into(), done, total, unit });

    let mut list = plan.go("list");
    list.args(["-deps", "-f", "{{.ImportPath}}"]).args(plan.packages());
    let mut modules = 0;
    let packages = watch(list, &format!("go list for {name}"), |line| {
        if line.starts_with("go: downloading ") {
            modules += 1;
            tell(modules, None, Unit::Modules);
        }
    })
    .await?
    .lines()
    .count() as u64;

    let mut compiled = 0;
    let mut build = plan.go("build");
    build.args(["-v", "-ldflags", &plan.project.ldflags(), "-o"]).arg(format!("{}/", folder.display()));
    build.args(plan.packages());
    watch(build, &format!("go build for {name}"), |line| {
        if !line.starts_with("go: ") {
            compiled += 1;
            tell(compiled.min(packages), Some(packages), Unit::Packages);
        }
    })
    .await?;
    for (package, program) in plan.project.programs {
        let (from, to) = (folder.join(file_of(package)), folder.join(program));
        std::fs::rename(&from, &to).at("name", &from)?;
    }
    report(Progress::Completes { what: name.into() });
    Ok(())
}

/// The file name that `go build` gives a package's program: its last element that is no major version.
fn file_of(package: &str) -> &str {
    let is_version = |part: &str| {
        part.strip_prefix('v')
            .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
    };
    package.rsplit('/').find(|part| !is_version(part)).unwrap_or(package)
}

/// Runs `go`, hands over each line of what it says, and returns what it prints.
async fn watch(mut command: Command, title: &str, mut line: impl FnMut(&str)) -> Result<String, Error> {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.at("run", Path::new("go"))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let mut last = std::collections::VecDeque::new();
    let printed = lines(stdout, |_| {});
    let said = lines(stderr, |text| {
        line(text);
        if last.len() == 20 {
            last.pop_front();
        }
        last.push_back(text.to_owned());
    });
    let (printed, said) = tokio::join!(printed, said);
    let go = Path::new("go");
    let status = child.wait().await.at("wait for", go)?;
    said.at("read what is said by", go)?;
    let printed = printed.at("read what is printed by", go)?;
    if status.success() {
        return Ok(printed);
    }
    let last_lines = last.into_iter().collect::<Vec<_>>().join("\n");
    Err(Error::Failed { command: title.into(), status: status.to_string(), last_lines })
}

async fn lines(from: Option<impl AsyncRead + Unpin>, mut each: impl FnMut(&str)) -> io::Result<String> {
    let mut all = String::new();
    let Some(from) = from else { return Ok(all) };
    let mut lines = BufReader::new(from).lines();
    while let Some(line) = lines.next_line().await? {
        each(&line);
        all.push_str(&line);
        all.push('\n');
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::file_of;

    #[test]
    fn a_program_has_the_name_that_go_gives_it() {
        let names = ["k8s.io/kubernetes/cmd/kubeadm", "go.etcd.io/etcd/server/v3", "example.com/vim", "one"];
        assert_eq!(names.map(file_of), ["kubeadm", "server", "vim", "one"]);
    }
}
