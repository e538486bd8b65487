//! `lab.json`: what a lab was asked to be. What is there now is read from the host each time.

use crate::{Error, Result, Rootfs, files};
use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;
use std::path::Path;

/// Name of the file in the lab's folder.
const FILE: &str = "lab.json";
/// Version of the format.
const FORMAT: u32 = 1;

/// What `lab.json` holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    format: u32,
    pub(crate) subnet: Ipv4Net,
    pub(crate) rootfs: Rootfs,
    pub(crate) owner: Option<(u32, u32)>,
    pub(crate) nodes: Vec<Recorded>,
}

/// A node of the lab.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Recorded {
    pub(crate) name: String,
    pub(crate) host_name: String,
    pub(crate) address: Ipv4Addr,
}

impl State {
    pub(crate) fn new(
        subnet: Ipv4Net,
        rootfs: Rootfs,
        owner: Option<(u32, u32)>,
        nodes: Vec<Recorded>,
    ) -> Self {
        Self { format: FORMAT, subnet, rootfs, owner, nodes }
    }

    /// Reads the state of the lab in `dir`. `None`: there is none.
    ///
    /// # Errors
    /// Where it cannot be read or is of another version.
    pub(crate) fn read(dir: &Path) -> Result<Option<Self>> {
        let path = dir.join(FILE);
        let text = match std::fs::read_to_string(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(Error::file("read", &path))?,
        };
        let unreadable = |why: String| Error::Unreadable { what: path.display().to_string(), why };
        let state: Self = serde_json::from_str(&text).map_err(|e| unreadable(e.to_string()))?;
        match state.format {
            FORMAT => Ok(Some(state)),
            other => Err(unreadable(format!("its format is {other}, this program reads {FORMAT}"))),
        }
    }

    /// Writes the state of the lab in `dir`.
    ///
    /// # Errors
    /// Where that fails.
    pub(crate) fn write(&self, dir: &Path) -> Result<()> {
        let path = dir.join(FILE);
        let text = serde_json::to_string_pretty(self)
            .map_err(|e| Error::Unreadable { what: path.display().to_string(), why: e.to_string() })?;
        files::write(&path, text, 0o644)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        let node = |name: &str, host: &str, n| Recorded {
            name: name.into(),
            host_name: host.into(),
            address: Ipv4Addr::new(10, 213, 0, n),
        };
        State::new(
            "10.213.0.0/24".parse().unwrap(),
            Rootfs::at("/c/base-1", "/c/layer-2"),
            Some((1000, 1000)),
            vec![node("cp1", "cp1", 11), node("w1", "other.example.com", 12)],
        )
    }

    #[test]
    fn the_state_comes_back_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(State::read(dir.path()).unwrap(), None);
        state().write(dir.path()).unwrap();
        assert_eq!(State::read(dir.path()).unwrap(), Some(state()));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        insta::assert_snapshot!(std::fs::read_to_string(dir.path().join(FILE)).unwrap(), @r#"
        {
          "format": 1,
          "subnet": "10.213.0.0/24",
          "rootfs": {
            "base": "/c/base-1",
            "layer": "/c/layer-2"
          },
          "owner": [
            1000,
            1000
          ],
          "nodes": [
            {
              "name": "cp1",
              "host_name": "cp1",
              "address": "10.213.0.11"
            },
            {
              "name": "w1",
              "host_name": "other.example.com",
              "address": "10.213.0.12"
            }
          ]
        }
        "#);
    }

    #[test]
    fn a_state_of_another_version_or_cut_short_is_refused_with_its_path() {
        let dir = tempfile::tempdir().unwrap();
        State { format: 2, ..state() }.write(dir.path()).unwrap();
        let other = State::read(dir.path()).unwrap_err().to_string();
        assert!(
            other.ends_with("lab.json is not as expected: its format is 2, this program reads 1"),
            "{other}"
        );
        std::fs::write(dir.path().join(FILE), "{\"format\":1,").unwrap();
        assert!(matches!(State::read(dir.path()), Err(Error::Unreadable { .. })));
    }
}
