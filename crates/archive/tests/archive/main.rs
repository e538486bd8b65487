//! The archive from outside: what a person relies on, tried.

#[cfg(test)]
mod crash;
#[cfg(test)]
mod damage;
#[cfg(test)]
mod epochs;
mod export;
#[cfg(test)]
mod fault_proxy;
#[cfg(test)]
mod folder;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod kit;
#[cfg(test)]
mod mutants;
#[cfg(test)]
mod nodes;
#[cfg(test)]
mod order;
#[cfg(test)]
mod payload;
#[cfg(test)]
mod place;
#[cfg(test)]
mod places;
#[cfg(test)]
mod prune;
#[cfg(test)]
mod recover;
#[cfg(test)]
mod s3;
#[cfg(test)]
mod s3_canary;
#[cfg(test)]
mod s3_faults;
#[cfg(test)]
mod s3_server;
#[cfg(test)]
mod schedule;
#[cfg(test)]
mod seal;
#[cfg(test)]
mod snapshot;
#[cfg(test)]
mod stolen;
#[cfg(test)]
mod trust;
