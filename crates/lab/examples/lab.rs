//! Labs by hand, without a cluster. As root:
//!
//! ```text
//! lab LABS_DIR CACHE prepare [--program FILE=PATH]... [--images TAR]...
//! lab LABS_DIR CACHE create NAME NODE[=HOST_NAME]... [--program FILE=PATH]... [--images TAR]...
//! lab LABS_DIR CACHE check NODES | list
//! lab LABS_DIR CACHE ls|down NAME
//! lab LABS_DIR CACHE kill|start|wipe|ssh-args NAME NODE
//! ```
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example talks to a person")]

use lab::{Lab, LabSpec, NodeSpec, Rootfs, RootfsSpec, Want, packages, rootfs};
use std::path::{Path, PathBuf};
use std::time::Instant;

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn main() -> Outcome {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [labs_dir, cache, verb, rest @ ..] = args.as_slice() else {
        return Err("see the head of examples/lab.rs".into());
    };
    let (labs_dir, cache) = (Path::new(labs_dir), Path::new(cache));
    let begun = Instant::now();
    let say = |line: &str| eprintln!("{:6.2} s  {line}", begun.elapsed().as_secs_f64());
    let words: Vec<&str> = rest.iter().map(String::as_str).collect();
    match (verb.as_str(), words.as_slice()) {
        ("check", [nodes]) => check(labs_dir, cache, nodes.parse()?),
        ("list", []) => Lab::list(labs_dir)?.iter().for_each(|name| println!("{name}")),
        ("prepare", options) => println!("{:?}", prepare(cache, options, &say)?),
        ("create", [name, options @ ..]) => {
            let rootfs = prepare(cache, options, &say)?;
            let nodes = options.iter().take_while(|o| !o.starts_with("--")).map(|o| node(o)).collect();
            let name = (*name).to_owned();
            let spec = LabSpec { name, labs_dir: labs_dir.to_path_buf(), rootfs, nodes, owner: None };
            show(&Lab::create(&spec, &say)?)?;
        }
        ("ls", [name]) => show(&Lab::open(labs_dir, name)?)?,
        ("down", [name]) => Lab::down(labs_dir, name, &say)?,
        ("kill", [name, node]) => Lab::open(labs_dir, name)?.kill(node)?,
        ("start", [name, node]) => Lab::open(labs_dir, name)?.start(node)?,
        ("wipe", [name, node]) => Lab::open(labs_dir, name)?.wipe(node)?,
        ("ssh-args", [name, node]) => {
            let args = Lab::open(labs_dir, name)?.ssh_args(node)?;
            println!("{}", args.iter().map(|a| a.to_string_lossy()).collect::<Vec<_>>().join(" "));
        }
        _ => return Err("see the head of examples/lab.rs".into()),
    }
    say("done");
    Ok(())
}

fn node(word: &str) -> NodeSpec {
    let (name, host) = word.split_once('=').map_or((word, None), |(name, host)| (name, Some(host)));
    NodeSpec { name: name.to_owned(), foreign_host_name: host.map(str::to_owned) }
}

fn prepare(cache: &Path, options: &[&str], say: lab::Progress) -> Result<Rootfs, Box<dyn std::error::Error>> {
    packages::install(&packages::missing(), say)?;
    let values = |option: &'static str| {
        options.windows(2).filter(move |pair| pair[0] == option).map(|pair| pair[1].to_owned())
    };
    let program = |pair: String| {
        pair.split_once('=').map(|(file, path)| (PathBuf::from(file), path.to_owned())).ok_or("FILE=PATH")
    };
    let spec = RootfsSpec {
        programs: values("--program").map(program).collect::<Result<_, _>>()?,
        image_archives: values("--images").map(PathBuf::from).collect(),
        mirror: None,
    };
    let rootfs = rootfs::prepare(cache, &spec, say)?;
    say("the root file system is ready");
    Ok(rootfs)
}

fn check(labs_dir: &Path, cache: &Path, nodes: u64) {
    let want = Want { nodes, labs_dir: labs_dir.to_path_buf(), cache: cache.to_path_buf() };
    for finding in lab::check(&want) {
        println!("{:?}: {}\n    {}", finding.severity, finding.what, finding.mend);
    }
}

fn show(lab: &Lab) -> Outcome {
    println!("{} in {}", lab.subnet(), lab.dir().display());
    for node in lab.nodes() {
        println!(
            "{} {} {} {}",
            node.name,
            node.host_name,
            node.address,
            if node.running { "on" } else { "off" }
        );
    }
    println!("{:?}", lab.quirks()?);
    Ok(())
}
