//! `kubectl`: runs on any control plane whose apiserver answers, with its admin.conf, as if it ran here: what it says
//! comes as it is said, what it reads is ours, and it does not outlive us.

use crate::cli;
use crate::environment::Environment;
use crate::failure::{Exit, Failure};
use crate::report::Reporter;
use crate::session::Session;
use engine::{Pipe, Rest};
use std::io::Write;
use std::ops::ControlFlow;
use std::os::fd::AsFd;
use step::Script;

/// Hands arguments and standard input over, and gives back what kubectl printed and its exit status.
pub async fn run(args: &cli::Kubectl, environment: &Environment, report: &Reporter) -> Result<i32, Failure> {
    let session = Session::open(&args.cluster, environment, report).await?;
    let on = session.any_control_plane()?;
    let input = match reads(&args.arguments) {
        Reads::Nothing => None,
        Reads::Stdin | Reads::DevStdin => {
            Some(standard_input().map_err(|error| Failure::refused(format!("standard input: {error}")))?)
        }
    };
    report.settle();
    let status = engine::stream(&session.hosts, &on, &script(&args.arguments), input, &mut hand_on).await;
    status.map_err(|error| Failure::because(&error).maybe_hint(error.hint()).exit(Exit::Unknown))
}

fn script(arguments: &[String]) -> Script {
    let words: Vec<String> = arguments.iter().map(|word| step::quote(word)).collect();
    // sshd's standard input is a socket, and nothing can open /dev/stdin on one.
    let run = if reads(arguments) == Reads::DevStdin { "cat | " } else { "exec " };
    Script::new(format!("{run}kubectl --kubeconfig=/etc/kubernetes/admin.conf {}", words.join(" ")))
}

/// What kubectl reads on standard input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reads {
    Nothing,
    Stdin,
    DevStdin,
}

/// kubectl reads standard input where an argument says so, and only then do we: in `while read …; do` the rest of the
/// input is the loop's.
fn reads(arguments: &[String]) -> Reads {
    // What follows a second `--` belongs to a command in a container.
    let own = arguments.iter().take_while(|word| *word != "--");
    let says_so = |word: &str| {
        let letters = word.strip_prefix('-').unwrap_or_default();
        let interactive = letters.contains('i') && letters.chars().all(|letter| "itq".contains(letter));
        interactive
            || ["-", "-f-", "--stdin", "--stdin=true", "--interactive", "--interactive=true"].contains(&word)
            || word.ends_with("=-")
    };
    own.fold(Reads::Nothing, |reads, word| match reads {
        _ if word.ends_with("/dev/stdin") => Reads::DevStdin,
        Reads::Nothing if says_so(word) => Reads::Stdin,
        _ => reads,
    })
}

fn standard_input() -> std::io::Result<Rest> {
    let own = std::io::stdin().as_fd().try_clone_to_owned()?;
    Ok(Box::new(tokio::fs::File::from_std(own.into())))
}

/// Gives a piece of kubectl's output to our own reader; ends the run where that one is gone.
pub fn hand_on(pipe: Pipe, bytes: &[u8]) -> ControlFlow<()> {
    let written = match pipe {
        Pipe::Out => whole(&mut std::io::stdout(), bytes),
        Pipe::Err => whole(&mut std::io::stderr(), bytes),
    };
    if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
}

fn whole(to: &mut dyn Write, bytes: &[u8]) -> std::io::Result<()> {
    to.write_all(bytes)?;
    to.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standard_input_is_read_where_an_argument_says_so() {
        for (line, wanted) in [
            ("get pods -w", Reads::Nothing),
            ("logs -f web", Reads::Nothing),
            ("get pods -l app=web -A", Reads::Nothing),
            ("exec web -- cat -", Reads::Nothing),
            ("exec web -- tee -i /dev/stdin", Reads::Nothing),
            ("apply -f -", Reads::Stdin),
            ("apply -f=-", Reads::Stdin),
            ("apply --filename=-", Reads::Stdin),
            ("apply -f-", Reads::Stdin),
            ("exec -i web -- sh", Reads::Stdin),
            ("run -ti web --image=web", Reads::Stdin),
            ("attach --stdin web", Reads::Stdin),
            ("create configmap a --from-file=b=/dev/stdin", Reads::DevStdin),
        ] {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            assert_eq!(reads(&words), wanted, "{line}");
        }
    }
}
