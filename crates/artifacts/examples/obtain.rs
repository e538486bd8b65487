//! Obtains everything for one Kubernetes version and prints it:
//! `obtain modules|upstream|mirror=URL|folder=PATH CACHE [VERSION] [EXPORT-TO]`.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use artifacts::{Arch, Progress, Sites, Source, Upstream, Wanted, obtain};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [source, cache, rest @ ..] = arguments.as_slice() else {
        return Err(
            "usage: obtain modules|upstream|mirror=URL|folder=PATH CACHE [VERSION] [EXPORT-TO]".into()
        );
    };
    let source = match source.split_once('=').unwrap_or((source, "")) {
        ("modules", _) => Source::Modules,
        ("upstream", _) => Source::Upstream(Upstream::default()),
        ("mirror", url) => {
            Source::Upstream(Upstream { sites: Sites::mirror(Some(url), Some(url))?, ..Upstream::default() })
        }
        ("folder", path) => Source::Folder(path.into()),
        _ => return Err("no such source".into()),
    };
    let version = rest.first().map_or("1.36.3", String::as_str).parse()?;
    let wanted = Wanted::everything(version, Arch::HERE.ok_or("no such processor")?);
    let start = Instant::now();
    let told = |progress: Progress| match progress {
        Progress::Advances { done, total, .. } if done % 100 != 0 && total != Some(done) => {}
        other => eprintln!("{:6.1} s {other:?}", start.elapsed().as_secs_f64()),
    };
    let payload = match obtain(&source, &wanted, Path::new(cache), told).await {
        Ok(payload) => payload,
        Err(error) => {
            eprintln!("error: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                eprintln!("  because: {error}");
                cause = error.source();
            }
            error.hint().inspect(|hint| eprintln!("hint: {hint}"));
            std::process::exit(2);
        }
    };
    for program in &payload.programs {
        println!(
            "{:24} {:>10} {} {}",
            program.name.file_name(),
            program.size,
            program.sha256,
            program.file.display()
        );
    }
    for packaged in &payload.packaged {
        println!("{:24} package {}", packaged.name.file_name(), packaged.package);
    }
    for image in &payload.images {
        println!("{} {} {:>10} {}", image.reference, image.digest.oci(), image.size, image.archive.display());
    }
    println!("{:.2} s", start.elapsed().as_secs_f64());
    if let Some(folder) = rest.get(1) {
        payload.export(Path::new(folder))?;
        println!("exported to {folder}");
    }
    Ok(())
}
