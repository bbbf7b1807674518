// SPDX-License-Identifier: MPL-2.0

//! Whole segments that peers had a hand in: media or garbage? What is encrypted shows it under its
//! key only.

use super::Stream;
use crate::engine::keys::Keys;
use crate::swarm::SegmentId;

impl Stream {
    pub(super) fn check(&mut self, segment: SegmentId, keys: &mut Keys) {
        let key = self
            .timeline
            .get(segment.0)
            .and_then(|placed| Some((placed, placed.segment.whole_key()?.clone())));
        let held = self.store.get(segment);
        let sound = match (held, key) {
            (None, _) => false,
            (Some(held), None) => self.soundness.check(held),
            (Some(held), Some((placed, key))) => {
                match keys.decryptor(&key, placed.segment.sequence) {
                    Some(Ok(decryptor)) => self.soundness.check_encrypted(held, decryptor),
                    // The key is no key: that is not the peers' fault.
                    Some(Err(_)) => true,
                    None => {
                        keys.want(&key);
                        if !self.unchecked.contains(&segment) {
                            self.unchecked.push(segment);
                        }
                        return;
                    }
                }
            }
        };
        if !sound {
            log::warn!(target: "p2phls-swarm", "segment {segment} from peers is not sound");
        }
        self.viewer.handle_checked(segment, sound);
    }

    /// A key has come.
    pub fn check_again(&mut self, keys: &mut Keys) {
        for segment in std::mem::take(&mut self.unchecked) {
            self.check(segment, keys);
        }
    }
}
