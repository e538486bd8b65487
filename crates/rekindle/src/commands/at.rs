//! `at`: asks a generation, by its own Kubernetes. What kubectl prints is printed as it is, and its exit status is
//! ours; what it changes is gone with it.

use crate::cli;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::generation::Generation;
use crate::report::Reporter;
use engine::Pipe;
use plan::drill::Purpose;
use std::io::Write;
use std::ops::ControlFlow;

/// Boots it, and runs kubectl there.
pub async fn run(args: &cli::At, environment: &Environment, report: &Reporter) -> Result<i32, Failure> {
    let generation = Generation::open(&args.generation, environment, report).await?;
    report.settle();
    let mut take = |pipe, bytes: &[u8]| {
        let written = match pipe {
            Pipe::Out => whole(&mut std::io::stdout(), bytes),
            Pipe::Err => whole(&mut std::io::stderr(), bytes),
        };
        if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    Ok(generation.boot(Purpose::Ask(&args.arguments), &mut take).await?.0)
}

fn whole(to: &mut dyn Write, bytes: &[u8]) -> std::io::Result<()> {
    to.write_all(bytes)?;
    to.flush()
}
