//! One binary for every test that crosses crates.

#[cfg(test)]
mod adopted;
#[cfg(test)]
mod bad_archive;
#[cfg(test)]
mod bad_hosts;
#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod bad_rebuild;
#[cfg(test)]
mod before_touch;
#[cfg(test)]
mod bucket;
#[cfg(test)]
mod by_hand;
#[cfg(test)]
mod daily;
#[cfg(test)]
mod drill;
#[cfg(test)]
mod encryption;
#[cfg(test)]
mod end_to_end;
#[cfg(test)]
mod engine;
#[cfg(test)]
mod fake_node;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod fenced;
#[cfg(test)]
mod from_kit;
#[cfg(test)]
mod full_disks;
#[cfg(test)]
mod host_traces;
#[cfg(test)]
mod in_place;
#[cfg(test)]
mod interrupted;
#[cfg(test)]
mod killed;
#[cfg(test)]
mod killed_rebuild;
#[cfg(test)]
mod kit;
#[cfg(test)]
mod kubectl;
#[cfg(test)]
mod lab_cluster;
#[cfg(test)]
mod laws;
#[cfg(test)]
mod old_members;
#[cfg(test)]
mod payload;
#[cfg(test)]
mod places;
#[cfg(test)]
mod program;
#[cfg(test)]
mod rebuilt;
#[cfg(test)]
mod sealed;
#[cfg(test)]
mod sealed_site;
#[cfg(test)]
mod sshd_node;
#[cfg(test)]
mod theft;
#[cfg(test)]
mod way_out;
