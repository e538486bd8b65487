//! `at`: asks a generation, by its own Kubernetes. What kubectl prints is printed as it is, and its exit status is
//! ours; what it changes is gone with it.

use super::kubectl::hand_on;
use crate::cli;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::generation::Generation;
use crate::report::Reporter;
use plan::drill::Purpose;

/// Boots it, and runs kubectl there.
pub async fn run(args: &cli::At, environment: &Environment, report: &Reporter) -> Result<i32, Failure> {
    let generation = Generation::open(&args.generation, environment, report).await?;
    report.settle();
    Ok(generation.boot(Purpose::Ask(&args.arguments), &mut hand_on).await?.0)
}
