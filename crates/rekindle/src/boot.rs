//! A script that boots a generation, and whoever waits for it: its input stays open for as long as he is there.

use crate::failure::{Exit, Failure};
use engine::{Hosts, Pipe};
use plan::drill::{NOT_BOOTED, REFUSED};
use std::io::Cursor;
use std::ops::ControlFlow;
use step::{HostId, Script};
use tokio::io::AsyncReadExt;

/// Standard error of a boot is kept up to this size, in bytes.
const MOST_WORDS: usize = 64 << 10;

/// How it ended.
pub enum Booted {
    /// This machine can't do it, and why.
    Refused(String),
    /// The generation did not boot, and why.
    Not(String),
    /// The script's exit status, and the end of what it said on standard error.
    Ended(i32, String),
}

/// Runs it on this machine. `take` gets what it prints. All that was started is gone when this returns, and soon after it
/// is dropped.
pub async fn boot(
    hosts: &Hosts,
    here: &HostId,
    script: &Script,
    take: &mut (dyn FnMut(Pipe, &[u8]) -> ControlFlow<()> + Send),
) -> Result<Booted, Failure> {
    let input = script.stdin().map(|input| input.expose().to_vec()).unwrap_or_default();
    // Open until this function ends: its end tells the boot that nobody waits any more.
    let (_open, rest) = tokio::io::duplex(1);
    let mut words = Vec::new();
    let mut both = |pipe, bytes: &[u8]| {
        if pipe == Pipe::Err && words.len() < MOST_WORDS {
            words.extend_from_slice(bytes);
        }
        take(pipe, bytes)
    };
    let input = Box::new(Cursor::new(input).chain(rest));
    let status = engine::stream(hosts, here, script, Some(input), &mut both)
        .await
        .map_err(|error| Failure::because(&error).exit(Exit::Unknown))?;
    let words = String::from_utf8_lossy(&words);
    let said = words.trim().lines().last().unwrap_or("it was ended from outside").to_owned();
    Ok(match status {
        REFUSED => Booted::Refused(said),
        NOT_BOOTED => Booted::Not(said),
        status => Booted::Ended(status, said),
    })
}
