//! Which etcd cluster the member on this node belongs to, as its own write-ahead log says: also where it is dead, and
//! where it has no quorum.
//!
//! Every file of the log begins with a frame that seeds a checksum, and one that holds the metadata of the member.
//! Source: etcd 3.6, server/storage/wal: encoder.go (frames), walpb/record.proto, wal.go (`metadataType`), and
//! api/etcdserverpb/raft_internal.proto (`Metadata { NodeID = 1; ClusterID = 2 }`).

use crate::failure::{Failure, file_error};
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

/// Where the log lies.
pub const WAL: &str = "/var/lib/etcd/member/wal";

/// Both frames are much shorter, in bytes.
const HEAD: u64 = 4096;

/// Record types.
const METADATA: u64 = 1;

/// etcd's cluster id in hex without leading zeros, as etcdctl prints it; `None` where no member has a log here.
///
/// # Errors
/// A log that cannot be read, or is none.
pub fn etcd_cluster(wal: &Path) -> Result<Option<String>, Failure> {
    let failed = |error: std::io::Error| file_error("cannot be read", wal, &error);
    let files = match std::fs::read_dir(wal) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        files => files.map_err(failed)?,
    };
    let mut logs = Vec::new();
    for file in files {
        let path = file.map_err(failed)?.path();
        if path.extension().is_some_and(|ending| ending == "wal") {
            logs.push(path);
        }
    }
    // All files of a log say the same.
    let Some(newest) = logs.into_iter().max() else { return Ok(None) };
    let mut head = Vec::new();
    File::open(&newest)
        .and_then(|file| file.take(HEAD).read_to_end(&mut head))
        .map_err(|error| file_error("cannot be read", &newest, &error))?;
    match cluster_of(&head) {
        Some(id) => Ok(Some(format!("{id:x}"))),
        None => Err(Failure::refused(format!("{}: not the log of an etcd member", newest.display()))),
    }
}

/// The cluster id in the beginning of a log.
fn cluster_of(mut log: &[u8]) -> Option<u64> {
    while let Some((length, rest)) = log.split_first_chunk() {
        // The low 56 bits are the record's length; the high ones say how many bytes fill it up to 8.
        let field = u64::from_le_bytes(*length);
        let size = usize::try_from(field & ((1 << 56) - 1)).ok()?;
        let padding = if field >> 63 == 1 { usize::from(length[7] & 7) } else { 0 };
        let record = rest.get(..size).filter(|record| !record.is_empty())?;
        if number(record, 1)? == METADATA {
            return number(bytes(record, 3)?, 2);
        }
        log = rest.get(size.checked_add(padding)?..)?;
    }
    None
}

/// One field of a protobuf message.
enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

fn number(message: &[u8], tag: u64) -> Option<u64> {
    match field(message, tag)? {
        Field::Number(number) => Some(number),
        Field::Bytes(_) => None,
    }
}

fn bytes(message: &[u8], tag: u64) -> Option<&[u8]> {
    match field(message, tag)? {
        Field::Bytes(bytes) => Some(bytes),
        Field::Number(_) => None,
    }
}

/// The first field with this tag. The records have numbers and bytes only.
fn field(mut message: &[u8], tag: u64) -> Option<Field<'_>> {
    loop {
        let key = varint(&mut message)?;
        let value = varint(&mut message)?;
        let field = match key & 7 {
            0 => Field::Number(value),
            2 => {
                let (bytes, rest) = message.split_at_checked(usize::try_from(value).ok()?)?;
                message = rest;
                Field::Bytes(bytes)
            }
            _ => return None,
        };
        if key >> 3 == tag {
            return Some(field);
        }
    }
}

fn varint(message: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = message.split_first()?;
        *message = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first frames of the log of an etcd 3.6.16 that was started, and of one that `etcdutl snapshot restore`
    /// wrote, with the ids that they told when they ran.
    const LOGS: [(&str, u64); 2] = [
        (
            "040000000000008408041000000000001f00000000000081080110e594e4fb0f1a1508bab7cde9f1c9d8e50c10f1c4f5f4e3f4a3fcf6\
             01000e00000000000082080510d6f2ba850b1a040800100000006000000000000000080210c380b59e0e",
            17_796_131_871_732_359_793,
        ),
        (
            "040000000000008408041000000000001f00000000000081080110a9eb83e9081a1508fdcbeceee2afcdc33010ef8cfeb5cbb9f4beae\
             01000e0000000000008208051083bdb0d8081a040800100000006800000000000000080210b9e5fdf404",
            12_573_436_411_857_831_535,
        ),
    ];

    fn decoded(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
    }

    #[test]
    fn a_log_names_its_cluster() {
        for (hex, id) in LOGS {
            let folder = tempfile::tempdir().unwrap();
            assert_eq!(etcd_cluster(&folder.path().join("wal")).unwrap(), None);
            assert_eq!(etcd_cluster(folder.path()).unwrap(), None, "what an etcd on an empty disk leaves");
            std::fs::write(folder.path().join("0.tmp"), "preallocated").unwrap();
            std::fs::write(folder.path().join("0000000000000001-0000000000000009.wal"), decoded(hex))
                .unwrap();
            assert_eq!(etcd_cluster(folder.path()).unwrap(), Some(format!("{id:x}")));
        }
    }

    #[test]
    fn what_is_no_log_names_none() {
        let log = decoded(LOGS[0].0);
        // Cut anywhere before the end of the second frame.
        for end in 0..55 {
            let named = cluster_of(&log[..end]).is_some();
            assert!(!named, "cut at {end}");
        }
        assert_eq!(cluster_of(&[0; 4096]), None);
        assert_eq!(cluster_of(&[0xff; 4096]), None);
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("1.wal"), [0; 4096]).unwrap();
        assert!(etcd_cluster(folder.path()).unwrap_err().message.contains("not the log of an etcd member"));
        // Every flipped bit: a number or none, never a panic.
        for bit in 0..log.len() * 8 {
            let mut other = log.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            cluster_of(&other);
        }
    }
}
