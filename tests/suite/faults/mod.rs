//! What can go wrong around a whole `up`, on a real lab: the program is killed, what runs on the nodes is killed, a
//! connection is cut, a node is dead.

pub mod link;
pub mod site;
