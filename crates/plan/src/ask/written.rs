//! How long ago the etcd of a node wrote last, whether it runs or not.

use std::time::Duration;
use step::{Ask, Output, Script, Unreadable};

/// Asks a node that has etcd's data. Without a quorum its log may still grow; its database does not.
pub fn written() -> Ask<Duration> {
    Ask { script: Script::new("stat -c %Y /var/lib/etcd/member/snap/db && date +%s"), parse }
}

fn parse(output: &Output) -> Result<Duration, Unreadable> {
    let numbers: Vec<&str> = output.stdout.lines().collect();
    let [written, now] = numbers[..] else {
        return Err(Unreadable(format!("no two numbers: {}", output.stderr.trim())));
    };
    let (written, now): (u64, u64) =
        (super::survey::number("written", written)?, super::survey::number("now", now)?);
    Ok(Duration::from_secs(now.saturating_sub(written)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_the_difference_by_the_nodes_own_clock() {
        let answer =
            |stdout: &str| parse(&Output { status: 0, stdout: stdout.into(), stderr: String::new() });
        assert_eq!(answer("1795000000\n1795000200\n").unwrap(), Duration::from_secs(200));
        assert_eq!(answer("1795000200\n1795000000\n").unwrap(), Duration::ZERO);
        for text in ["", "1795000000\n", "a\nb\n"] {
            assert!(answer(text).is_err(), "{text:?}");
        }
    }
}
