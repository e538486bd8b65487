//! Blobs on their way, before the first stage.

use super::Run;
use super::outline::{blob_of, plan_hosts};
use crate::blobs::{self, Missing};
use crate::preview::probe;
use futures_util::future::join_all;
use std::collections::BTreeMap;
use step::{Digest, HostId, Step};

impl<'a> Run<'a> {
    /// Every host gets the blobs that it lacks, all hosts at once.
    pub(super) async fn send_blobs(&mut self) {
        let hosts: Vec<&HostId> =
            plan_hosts(self.plan).into_iter().filter(|host| self.takes_part(host)).collect();
        let this = &*self;
        let send = |host| async move { (host, this.send_blobs_to(host).await) };
        for (host, result) in join_all(hosts.into_iter().map(send)).await {
            if let Err(reason) = result {
                self.drop_host(host, reason);
            }
        }
    }

    async fn send_blobs_to(&self, host: &HostId) -> Result<(), String> {
        let missing: Vec<Missing> = match self.settings.preview {
            Some(preview) => preview.missing(host).to_vec(),
            None => {
                let steps: Vec<_> = self.steps_of(host).filter(|(_, step)| blob_of(step).is_some()).collect();
                if steps.is_empty() {
                    return Ok(());
                }
                let steps =
                    steps.into_iter().map(|((stage, step), what)| ((stage, host.clone(), step), what));
                let probed = probe(self.hosts, host, steps.collect(), self.settings.overwrite).await;
                probed.map_err(|error| error.to_string())?.missing
            }
        };
        let sent = blobs::send(self.hosts, host, self.settings.blobs, missing, self.events).await;
        sent.map_err(|error| error.to_string())
    }

    /// Every step of a host, with its stage and its place in the lane.
    fn steps_of(&self, host: &HostId) -> impl Iterator<Item = ((usize, usize), &'a Step)> {
        let stages = self.plan.stages.iter().enumerate();
        let lanes = stages.flat_map(|(index, stage)| stage.lanes.iter().map(move |lane| (index, lane)));
        let lanes = lanes.filter(move |(_, lane)| lane.on == *host);
        lanes.flat_map(|(stage, lane)| {
            lane.steps.iter().enumerate().map(move |(index, step)| ((stage, index), step))
        })
    }

    /// For each blob of a host, the last step that wants it in a lane that runs.
    pub(super) fn last_uses(&self, host: &HostId) -> BTreeMap<Digest, (usize, usize)> {
        let open = self.steps_of(host).filter(|((stage, _), _)| self.is_open(*stage, host));
        open.filter_map(|(place, step)| Some((blob_of(step)?, place))).collect()
    }
}
