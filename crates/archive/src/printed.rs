//! What a command prints and nobody else may see: keys to a store, an identity.

use crate::Secret;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;

/// The longest output that is read, in bytes.
const MOST: u64 = 64 << 10;

/// Why a command gave nothing. No word of its standard output is in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unprinted {
    /// It did not start, or could not be read.
    #[error("{0}")]
    Not(String),
    /// It did not end in time.
    #[error("it has not ended after {0} s")]
    Late(u64),
    /// It ended otherwise than with 0.
    #[error("{status}: {said}")]
    Failed {
        /// How.
        status: ExitStatus,
        /// Its standard error.
        said: String,
    },
}

/// Runs `command` and takes what it prints, `patience` long at most. It is killed when nobody waits any more.
///
/// # Errors
/// [`Unprinted`].
pub async fn printed(command: &mut Command, patience: Duration) -> Result<Secret, Unprinted> {
    let not = |error: std::io::Error| Unprinted::Not(error.to_string());
    let piped = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.kill_on_drop(true).spawn().map_err(not)?;
    let (Some(out), Some(err)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(Unprinted::Not("it has no output".to_owned()));
    };
    // Of the final size, so that growing leaves no copy behind.
    let (mut printed, mut said) = (Vec::with_capacity(MOST as usize), Vec::new());
    let (mut out, mut err) = (out.take(MOST), err.take(MOST));
    let ended = tokio::time::timeout(patience, async {
        tokio::try_join!(out.read_to_end(&mut printed), err.read_to_end(&mut said))?;
        child.wait().await
    });
    let ended = ended.await;
    // Owned from here on by what wipes it.
    let printed = Secret::new(printed);
    match ended.map_err(|_| Unprinted::Late(patience.as_secs()))?.map_err(not)? {
        status if status.success() => Ok(printed),
        status => Err(Unprinted::Failed { status, said: String::from_utf8_lossy(&said).into_owned() }),
    }
}
