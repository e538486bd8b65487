//! Lanes: many steps, one round trip.
//!
//! A lane becomes one POSIX-sh script: fixed functions (`lane.sh`), then a call a step with its quoted bodies. On the
//! host it runs as the transient systemd unit `rekindle-lane`, which outlives the connection and is found again
//! (`launch.sh`). Each step is probed, acted and probed again within its deadline; consecutive files are probed
//! together by one `stat` and one `sha256sum`. Every result is one line that bears the run's mark.

mod digest;
mod frame;
mod launch;
mod render;

pub(crate) use digest::digest;
pub(crate) use frame::{Line, parse};
pub(crate) use launch::{Launch, LaunchError, launch};
pub(crate) use render::{Mode, Unrenderable, render};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use step::quote;

/// 16 random bytes in hex: the mark of a run's lines, which nothing else on the host prints.
pub(crate) fn nonce() -> String {
    let mut bytes = [0; 16];
    // Where the system has no randomness, the address of a fresh value has to do: a mark is no secret.
    if aws_lc_rs::rand::fill(&mut bytes).is_err() {
        let here = format!("{:p}", &bytes);
        bytes.copy_from_slice(&step::Digest::of(here.as_bytes()).hex().as_bytes()[..16]);
    }
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A command that prints exactly `bytes`: the shell's own printf, so that they are in no argument of a process.
pub(crate) fn shell_bytes(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => format!("printf %s {}", quote(text)),
        _ => format!("printf %s {} | base64 -d", STANDARD.encode(bytes)),
    }
}
