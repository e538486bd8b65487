//! Every certificate, key and kubeconfig of a cluster.
//!
//! [`TABLE`] is the one list of what there is: file, subject, signer, uses, names, and who holds it. A
//! [`Bundle`] is what must never be lost: the three CAs, the service account key, the archive's root key and
//! two identifiers. From both, [`Bundle::node_files`] makes every file of a node. Leafs are minted anew each
//! time; a [`Leaf`] says what a good one looks like, so that a valid one on a node is left alone.
//!
//! Nothing here reads a file, a clock or a random device: time and [`Entropy`] are arguments. (An ECDSA
//! signature draws its nonce inside the cryptographic library.)

mod authority;
mod bundle;
mod entropy;
mod error;
mod holder;
mod inspect;
mod kubeconfig;
mod leaf;
mod mint;
mod names;
mod node;
mod own_ca;
mod pem;
mod table;

pub use authority::Authority;
pub use bundle::{Bundle, Delegated, Entries, Taken};
pub use entropy::{Entropy, SystemEntropy};
pub use error::Error;
pub use holder::Holder;
pub use inspect::{Certificate, Kubeconfig};
pub use leaf::{Held, Leaf, Subject};
pub use node::{Body, NodeFile, NodeFiles, NodeLeaf};
pub use own_ca::OwnCa;
pub use secrecy::ExposeSecret;
pub use table::{Ca, CommonName, Form, Names, Row, Server, TABLE, Usage};

/// Text that is never printed (PEM, mostly): wiped when dropped, `Debug` shows a placeholder.
pub type Secret = secrecy::SecretString;
