//! `lab`: real multi-node clusters on this Linux host.

use crate::cli::{self, Lab as Verb, LabSource, LabUp};
use crate::commands::up;
use crate::environment::Environment;
use crate::failure::{Exit, Failure, file_error};
use crate::loaded::Loaded;
use crate::payload::{Obtained, obtain};
use crate::report::Reporter;
use crate::vault::Vault;
use artifacts::Arch;
use inventory::{Role, Source};
use lab::{Lab, LabSpec, NodeSpec, RootfsSpec, Severity, Want};
use serde_json::json;
use std::path::{Path, PathBuf};

/// A lab's inventory, in its folder.
const INVENTORY: &str = "lab.toml";

/// Runs the verb; `lab ssh` gives back ssh's exit status.
pub async fn run(verb: &Verb, environment: &Environment, report: &Reporter) -> Result<i32, Failure> {
    let tell = |line: &str| report.say(line);
    let open = |name: &str| Lab::open(&environment.labs, name).map_err(failure);
    match verb {
        Verb::Up(args) => {
            let path = nodes(args, environment, report).await?;
            let end = up::run(&up_args(&path), environment, report).await;
            write_trust(&path, environment, report)?;
            return end.map(|exit| exit as i32);
        }
        Verb::Nodes(args) => {
            let path = nodes(args, environment, report).await?;
            report.result(&format!("{}", path.display()), json!({ "inventory": path }));
        }
        Verb::Down(args) => {
            need_root(environment)?;
            Lab::down(&environment.labs, &args.name, &tell).map_err(failure)?;
            report.say(format!("lab {} is down", args.name));
        }
        Verb::List => list(environment, report)?,
        Verb::Inventory(args) => {
            let path = open(&args.name)?.dir().join(INVENTORY);
            report.result(&path.display().to_string(), json!({ "inventory": path }));
        }
        Verb::Ssh { node, lab, command } => return ssh(&open(&lab.name)?, node, command, report),
        Verb::Kill(args) => {
            need_root(environment)?;
            open(&args.lab.name)?.kill(&args.node).map_err(failure)?;
        }
        Verb::Start(args) => {
            need_root(environment)?;
            open(&args.lab.name)?.start(&args.node).map_err(failure)?;
        }
        Verb::Wipe(args) => {
            need_root(environment)?;
            open(&args.lab.name)?.wipe(&args.node).map_err(failure)?;
        }
        Verb::Check { nodes } => return check(*nodes, environment, report),
    }
    Ok(Exit::Done as i32)
}

fn up_args(path: &Path) -> cli::Up {
    cli::Up {
        cluster: cli::Cluster {
            file: cli::InventoryFile { inventory: path.to_path_buf() },
            identity: Vec::new(),
            accept_new: false,
            trust_on_first_use: false,
            sudo_password_file: None,
        },
        overwrite: false,
        without_snapshot: false,
    }
}

fn failure(error: lab::Error) -> Failure {
    Failure::because(&error).maybe_hint(error.hint())
}

fn need_root(environment: &Environment) -> Result<(), Failure> {
    if environment.root {
        return Ok(());
    }
    Err(Failure::refused("a lab's nodes are containers, and only root can make them")
        .hint("run it with sudo"))
}

/// Makes the machines, unless the lab is there, and writes its inventory. Returns its path.
async fn nodes(args: &LabUp, environment: &Environment, report: &Reporter) -> Result<PathBuf, Failure> {
    need_root(environment)?;
    let name = &args.lab.name;
    let tell = |line: &str| report.say(line);
    if Lab::list(&environment.labs).map_err(failure)?.contains(name) {
        let lab = Lab::open(&environment.labs, name).map_err(failure)?;
        report.say(format!("lab {name} is there; `rekindle lab down --name {name}` removes it"));
        return Ok(lab.dir().join(INVENTORY));
    }
    let wanted = Wanted::of(args, report)?;
    install_packages(args, report)?;
    let want = Want {
        nodes: wanted.nodes.len() as u64,
        labs_dir: environment.labs.clone(),
        cache: environment.rootfs.clone(),
    };
    for finding in lab::check(&want) {
        match finding.severity {
            Severity::Blocks => return Err(Failure::refused(finding.what).hint(finding.mend)),
            Severity::Hurts if args.yes && raise_inotify(&finding.mend) => {
                report.say(format!("{}: raised until the next boot ({})", finding.what, finding.mend));
            }
            Severity::Hurts => report.say(format!("warning: {} ({})", finding.what, finding.mend)),
        }
    }
    let (source, got) = programs(args, &wanted, environment, report).await?;
    let spec = RootfsSpec {
        programs: rootfs_programs(&got.artifacts),
        image_archives: got.artifacts.images.iter().map(|image| image.archive.clone()).collect(),
        mirror: None,
    };
    let rootfs = lab::rootfs::prepare(&environment.rootfs, &spec, &tell).map_err(failure)?;
    let spec = LabSpec {
        name: name.clone(),
        labs_dir: environment.labs.clone(),
        rootfs,
        nodes: wanted.specs(args)?,
        owner: environment.owner,
    };
    let lab = Lab::create(&spec, &tell).map_err(failure)?;
    let path = lab.dir().join(INVENTORY);
    let text = wanted.inventory(&lab, &source);
    environment
        .write(&path, text.as_bytes(), 0o644)
        .map_err(|error| file_error("cannot be written", &path, &error))?;
    Ok(path)
}

/// Kubelets do not start where inotify instances run out, so consent to packages is consent to this as well. It is
/// left raised: other programs may have come to need it since.
fn raise_inotify(mend: &str) -> bool {
    let Some((name, value)) =
        mend.strip_prefix("sysctl -w fs.inotify.").and_then(|rest| rest.split_once('='))
    else {
        return false;
    };
    std::fs::write(Path::new("/proc/sys/fs/inotify").join(name), value).is_ok()
}

/// The lab's inventory is ours, so the line that a person would add is added.
fn write_trust(path: &Path, environment: &Environment, report: &Reporter) -> Result<(), Failure> {
    let loaded = Loaded::read(path, report)?;
    if loaded.cluster().archive.trust.is_some() {
        return Ok(());
    }
    let Some(key) = Vault::new(&loaded, &[], false, environment)?.trusted_root() else { return Ok(()) };
    let text =
        loaded.text.replace("to = \"./archive\"\n", &format!("to = \"./archive\"\ntrust = \"{key}\"\n"));
    environment
        .write(path, text.as_bytes(), 0o644)
        .map_err(|error| file_error("cannot be written", path, &error))
}

/// What the lab is to be.
struct Wanted {
    name: String,
    kubernetes: semver::Version,
    nodes: Vec<(String, Role)>,
    /// Sections of the user's inventory that are taken over as they are.
    sections: String,
}

impl Wanted {
    fn of(args: &LabUp, report: &Reporter) -> Result<Self, Failure> {
        if let Some(path) = &args.inventory {
            let loaded = Loaded::read(path, report)?;
            let cluster = loaded.cluster();
            let nodes = cluster.nodes.iter().map(|node| (node.name.clone(), node.role)).collect();
            return Ok(Self {
                name: args.lab.name.clone(),
                kubernetes: cluster.kubernetes.clone(),
                nodes,
                sections: own_sections(&loaded.text),
            });
        }
        let control_planes = (1..=args.control_planes).map(|n| (format!("cp{n}"), Role::ControlPlane));
        let workers = (1..=args.workers).map(|n| (format!("w{n}"), Role::Worker));
        Ok(Self {
            name: args.lab.name.clone(),
            kubernetes: args.kubernetes.clone().unwrap_or(inventory::DEFAULT_KUBERNETES),
            nodes: control_planes.chain(workers).collect(),
            sections: String::new(),
        })
    }

    fn specs(&self, args: &LabUp) -> Result<Vec<NodeSpec>, Failure> {
        let foreign = match args.foreign_host_name.as_deref().map(|text| text.split_once('=').ok_or(text)) {
            None => None,
            Some(Ok(pair)) => Some(pair),
            Some(Err(text)) => return Err(Failure::refused(format!("`{text}` is not NODE=HOSTNAME"))),
        };
        let host_name =
            |node: &str| foreign.filter(|(name, _)| *name == node).map(|(_, host)| host.to_owned());
        Ok(self
            .nodes
            .iter()
            .map(|(name, _)| NodeSpec { name: name.clone(), foreign_host_name: host_name(name) })
            .collect())
    }

    /// The lab's inventory: addresses and keys are the lab's, the rest is the user's or the default.
    fn inventory(&self, lab: &Lab, source: &Source) -> String {
        let mut text = format!(
            "# Written by `rekindle lab`.\n[cluster]\nname = \"{}\"\nkubernetes = \"{}\"\n\n[nodes]\n",
            self.name, self.kubernetes
        );
        for node in lab.nodes() {
            let role = match self.nodes.iter().find(|(name, _)| *name == node.name).map(|(_, role)| role) {
                Some(Role::ControlPlane) => ", role = \"control-plane\"",
                Some(Role::Etcd) => ", role = \"etcd\"",
                _ => "",
            };
            text.push_str(&format!("{} = {{ address = \"{}\"{role} }}\n", node.name, node.address));
        }
        let source = match source {
            Source::Modules => "modules",
            _ => "upstream",
        };
        text.push_str(&format!(
            "\n[network]\ncni = \"routes\"\n\n[ssh]\nidentity = \"{}\"\nknown-hosts = \"{}\"\n\n[archive]\nto = \"./archive\"\npayload = false\n\n\
             [artifacts]\nsource = \"{source}\"\n\n# Nodes share this host's kernel.\n[host]\ncontainer = true\n",
            lab.key().display(),
            lab.known_hosts().display()
        ));
        text.push_str(&self.sections);
        text
    }
}

/// Sections of an inventory that a lab does not set itself.
fn own_sections(text: &str) -> String {
    let own = ["[cluster]", "[nodes]", "[network]", "[ssh]", "[archive]", "[artifacts]", "[host]", "[api]"];
    let mut kept = String::new();
    let mut keeps = false;
    for line in text.split_inclusive('\n') {
        if line.starts_with('[') {
            keeps = !own.iter().any(|section| line.trim_end().starts_with(section.trim_end_matches(']')));
        }
        if keeps {
            kept.push_str(line);
        }
    }
    if kept.is_empty() { kept } else { format!("\n{kept}") }
}

fn install_packages(args: &LabUp, report: &Reporter) -> Result<(), Failure> {
    let missing = lab::packages::missing();
    if missing.is_empty() {
        return Ok(());
    }
    let command = lab::packages::command(&missing);
    if !args.yes {
        let question = format!("a lab needs {}: `{command}`", missing.join(", "));
        let Some(answer) = report.ask(&format!("{question}\ninstall now? [Y/n] ")) else {
            return Err(Failure::refused(question).hint("--yes installs them without asking"));
        };
        if !matches!(answer.to_ascii_lowercase().as_str(), "" | "y" | "yes") {
            return Err(Failure::refused("the packages were not installed").hint(command));
        }
    }
    lab::packages::install(&missing, &|line: &str| report.say(line)).map_err(failure)
}

/// Upstream, or built here where upstream can't be reached and nobody chose: `lab up` alone may do that.
async fn programs(
    args: &LabUp,
    wanted: &Wanted,
    environment: &Environment,
    report: &Reporter,
) -> Result<(Source, Obtained), Failure> {
    let arch = Arch::HERE.ok_or_else(|| Failure::refused("labs run on x86_64 and aarch64"))?;
    let get = async |source: Source| {
        let got = obtain(&source, Path::new("."), &wanted.kubernetes, arch, environment, report).await?;
        Ok::<_, Failure>((source, got))
    };
    match args.source {
        Some(LabSource::Upstream) => get(Source::Upstream).await,
        Some(LabSource::Modules) => get(Source::Modules).await,
        None => match get(Source::Upstream).await {
            Ok(got) => Ok(got),
            Err(failure) => {
                report.say(format!(
                    "{}\nbuilding from Go modules instead (--source upstream would stop here)",
                    failure.message
                ));
                get(Source::Modules).await
            }
        },
    }
}

fn rootfs_programs(payload: &artifacts::Payload) -> Vec<(PathBuf, String)> {
    let place = |program: &artifacts::Program| {
        let folder = if program.name.is_cni_plugin() { "/opt/cni/bin" } else { "/usr/local/bin" };
        (program.file.clone(), format!("{folder}/{}", program.name))
    };
    payload.programs.iter().map(place).collect()
}

fn list(environment: &Environment, report: &Reporter) -> Result<(), Failure> {
    let mut text = String::new();
    let mut labs = Vec::new();
    for name in Lab::list(&environment.labs).map_err(failure)? {
        let nodes = Lab::open(&environment.labs, &name).map(|lab| lab.nodes()).unwrap_or_default();
        text.push_str(&format!("{name}\n"));
        for node in &nodes {
            let state = if node.running { "running" } else { "off" };
            text.push_str(&format!("  {:<12} {:<15} {state}\n", node.name, node.address));
        }
        let nodes: Vec<_> = nodes
            .iter()
            .map(|node| json!({"name": node.name, "address": node.address, "running": node.running}))
            .collect();
        labs.push(json!({"name": name, "nodes": nodes}));
    }
    report.result(if text.is_empty() { "no labs" } else { &text }, json!({ "labs": labs }));
    Ok(())
}

fn ssh(lab: &Lab, node: &str, command: &[String], report: &Reporter) -> Result<i32, Failure> {
    let arguments = lab.ssh_args(node).map_err(failure)?;
    report.settle();
    let words: Vec<String> = command.iter().map(|word| step::quote(word)).collect();
    let mut ssh = std::process::Command::new("ssh");
    ssh.args(arguments);
    if !words.is_empty() {
        ssh.arg(words.join(" "));
    }
    let status = ssh.status().map_err(|error| Failure::refused(format!("ssh: {error}")))?;
    Ok(status.code().unwrap_or(255))
}

fn check(nodes: usize, environment: &Environment, report: &Reporter) -> Result<i32, Failure> {
    let want =
        Want { nodes: nodes as u64, labs_dir: environment.labs.clone(), cache: environment.rootfs.clone() };
    let findings = lab::check(&want);
    let word = |severity: Severity| if severity == Severity::Blocks { "stops a lab" } else { "may hurt" };
    let text: String = findings
        .iter()
        .map(|finding| format!("{}: {}\n    mend: {}\n", word(finding.severity), finding.what, finding.mend))
        .collect();
    let value: Vec<_> = findings
        .iter()
        .map(|f| json!({"fatal": f.severity == Severity::Blocks, "what": f.what, "mend": f.mend}))
        .collect();
    report.result(
        if text.is_empty() { "nothing on this host would hurt a lab" } else { &text },
        json!({ "findings": value }),
    );
    let fatal = findings.iter().any(|finding| finding.severity == Severity::Blocks);
    Ok(if fatal { Exit::Refused } else { Exit::Done } as i32)
}
