// SPDX-License-Identifier: MPL-2.0

//! Which pathway (CDN) is taken, where a steering server says which is best: RFC 8216bis 7, and ETSI TS 103 998,
//! which has the same for DASH.
//!
//! The server's list counts, but a pathway from which playlists or segments could not be had is left for the next one,
//! and not gone back to for a while. Who carries it out asks the server when [`Pathways::poll_request`] says so.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use url::Url;

use crate::format::Format;
use crate::manifest::{Presentation, SteeringManifest};

/// A pathway that has failed is not gone back to for so long; hls.js waits as long.
const PENALTY: Duration = Duration::from_secs(300);

/// Pathways of a presentation that are told from each other; there are two or three.
const MAX_PATHWAYS: usize = 256;

/// The wait where the server has not said how long.
const DEFAULT_TTL: Duration = Duration::from_secs(300);

/// What a steering server has answered.
#[derive(Clone, Debug, PartialEq)]
pub enum Steered {
    To(SteeringManifest),
    /// 410: it is not to be asked any more.
    Gone,
    /// 429: not before so long.
    Wait(Duration),
    /// Nothing of use.
    Nothing,
}

/// The pathways of a presentation.
#[derive(Clone, Debug)]
pub struct Pathways {
    format: Format,
    /// In the order of the presentation.
    known: Vec<String>,
    /// What the publisher wants, the best first.
    priority: Vec<String>,
    /// Those that have failed, and until when they are left alone.
    penalties: BTreeMap<String, Instant>,
    current: String,
    /// The steering manifest.
    url: Url,
    ttl: Duration,
    /// When it is asked for; None: it is under way, or there is nobody to ask any more.
    due: Option<Instant>,
}

/// How good a pathway is; less is better.
pub type Rank = (Option<Instant>, usize, usize);

impl Pathways {
    /// None: nobody steers the presentation, or there is nothing to choose from.
    pub fn new(now: Instant, presentation: &Presentation) -> Option<Self> {
        let steering = presentation.steering.as_ref()?;
        let mut pathways = Self {
            format: presentation.format,
            known: Vec::new(),
            priority: steering.pathway_id.iter().cloned().collect(),
            penalties: BTreeMap::new(),
            current: String::new(),
            url: steering.server_url.clone(),
            ttl: DEFAULT_TTL,
            due: Some(now),
        };
        pathways.take_presentation(presentation);
        pathways.choose(now);
        (!pathways.known.is_empty()).then_some(pathways)
    }

    /// The pathway in use.
    pub fn current(&self) -> &str {
        &self.current
    }

    /// There may be more of them now.
    pub fn take_presentation(&mut self, presentation: &Presentation) {
        let mut seen = BTreeSet::new();
        let all = presentation.variants.iter().map(|variant| variant.pathway());
        let all = all.filter(|pathway| seen.insert(*pathway)).map(str::to_owned);
        self.known = all.take(MAX_PATHWAYS).collect();
    }

    /// How good a pathway is now. Those that the publisher does not list are there for when nothing else is, and of those
    /// that have failed the one that may be tried first.
    pub fn rank(&self, now: Instant, pathway: &str) -> Rank {
        let penalty = self.penalties.get(pathway).copied().filter(|until| *until > now);
        let place = |list: &[String]| list.iter().position(|known| known == pathway).unwrap_or(list.len());
        (penalty, place(&self.priority), place(&self.known))
    }

    /// Takes the best pathway. True: it is another one now.
    pub fn choose(&mut self, now: Instant) -> bool {
        self.penalties.retain(|_, until| *until > now);
        // In the order of the priorities, so that few are looked at.
        let listed = self
            .priority
            .iter()
            .find(|pathway| !self.penalties.contains_key(*pathway) && self.known.contains(pathway));
        let best = listed.or_else(|| self.known.iter().min_by_key(|pathway| self.rank(now, pathway)));
        let best = best.cloned().unwrap_or_default();
        let changes = best != self.current;
        self.current = best;
        changes
    }

    /// Playlists or segments could not be had from this pathway, while they could from another one.
    pub fn penalise(&mut self, now: Instant, pathway: &str) {
        if self.known.iter().any(|known| known == pathway) {
            self.penalties.insert(pathway.to_owned(), now + PENALTY);
        }
    }

    /// The address to ask now, if it is time to; the answer is to be handed to [`Self::handle_answer`].
    /// `throughput` in bits a second, where it is known.
    pub fn poll_request(&mut self, now: Instant, throughput: Option<u64>) -> Option<Url> {
        self.due.take_if(|due| *due <= now)?;
        Some(SteeringManifest::request_url(&self.url, self.format, &self.current, throughput))
    }

    /// Takes what came of the last request.
    pub fn handle_answer(&mut self, now: Instant, answer: Steered) {
        let wait = match answer {
            Steered::To(manifest) => {
                self.priority = manifest.priority;
                self.ttl = manifest.ttl;
                self.url = manifest.reload_url.unwrap_or_else(|| self.url.clone());
                self.ttl
            }
            Steered::Gone => return,
            Steered::Wait(wait) => wait,
            Steered::Nothing => self.ttl,
        };
        // One that stands in the playlist says the same for ever.
        if !self.url.cannot_be_a_base() {
            self.due = Some(now + SteeringManifest::wait(wait));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::manifest::{Manifest, parse};

    fn presentation(pathways: &[&str], more: &str) -> Presentation {
        let mut text = format!("#EXTM3U\n#EXT-X-CONTENT-STEERING:SERVER-URI=\"https://s/m\"{more}\n");
        for pathway in pathways {
            text += &format!("#EXT-X-STREAM-INF:BANDWIDTH=1,PATHWAY-ID=\"{pathway}\"\n{pathway}.m3u8\n");
        }
        match parse(&Url::parse("https://h/m.m3u8").expect("a URL"), text.as_bytes()) {
            Ok(Manifest::Multivariant(presentation)) => presentation,
            other => panic!("{other:?}"),
        }
    }

    fn steered(body: &str) -> Steered {
        let base = Url::parse("https://s/m").expect("a URL");
        Steered::To(SteeringManifest::parse(&base, body.as_bytes()).expect("a manifest"))
    }

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn the_server_is_followed_when_its_time_has_come() {
        let now = Instant::now();
        let mut pathways =
            Pathways::new(now, &presentation(&["A", "B", "C"], ",PATHWAY-ID=\"B\"")).expect("steering");
        assert_eq!(pathways.current(), "B");
        let url = pathways.poll_request(now, Some(7)).expect("a request");
        assert_eq!(url.as_str(), "https://s/m?_HLS_pathway=B&_HLS_throughput=7");
        assert_eq!(pathways.poll_request(now + 999 * S, None), None, "one at a time");

        let body = r#"{"VERSION":1,"TTL":20,"RELOAD-URI":"/n","PATHWAY-PRIORITY":["X","C","A"]}"#;
        pathways.handle_answer(now, steered(body));
        assert!(pathways.choose(now) && pathways.current() == "C", "the first of the list that is there");
        assert!(!pathways.choose(now));
        assert_eq!(pathways.poll_request(now + 19 * S, None), None);
        let url = pathways.poll_request(now + 20 * S, None).expect("a request");
        assert_eq!(url.as_str(), "https://s/n?_HLS_pathway=C");
        // What does not come changes nothing.
        pathways.handle_answer(now + 20 * S, Steered::Nothing);
        assert!(!pathways.choose(now + 20 * S));
        assert_eq!(pathways.poll_request(now + 39 * S, None), None);
        assert!(pathways.poll_request(now + 40 * S, None).is_some());
        pathways.handle_answer(now + 40 * S, Steered::Wait(90 * S));
        assert_eq!(pathways.poll_request(now + 129 * S, None), None);
        assert!(pathways.poll_request(now + 130 * S, None).is_some());
        pathways.handle_answer(now + 130 * S, Steered::Gone);
        assert_eq!(pathways.poll_request(now + 100_000 * S, None), None);
        assert_eq!(pathways.current(), "C");
    }

    #[test]
    fn what_has_failed_is_left_for_a_while() {
        let now = Instant::now();
        let mut pathways = Pathways::new(now, &presentation(&["A", "B", "C"], "")).expect("steering");
        pathways.handle_answer(now, steered(r#"{"VERSION":1,"PATHWAY-PRIORITY":["B","A"]}"#));
        let mut after_failure = |at: Duration, failed: &[&str]| {
            failed.iter().for_each(|pathway| pathways.penalise(now + at, pathway));
            pathways.choose(now + at);
            pathways.current().to_owned()
        };
        assert_eq!(after_failure(S, &[]), "B");
        assert_eq!(after_failure(2 * S, &["B"]), "A");
        assert_eq!(after_failure(3 * S, &["A"]), "C", "it is not listed, but all that is left");
        assert_eq!(after_failure(4 * S, &["C"]), "B", "the first to fail is the first to be tried again");
        assert_eq!(after_failure(303 * S, &["nonsense", "B"]), "A", "it is good again");
    }

    #[test]
    fn a_list_in_the_playlist_is_read_once() {
        let now = Instant::now();
        let mut offered = presentation(&["A", "B"], "");
        let steering = offered.steering.as_mut().expect("steering");
        steering.server_url = Url::parse("data:application/json;base64,e30=").expect("a URL");
        let mut pathways = Pathways::new(now, &offered).expect("steering");
        assert!(pathways.poll_request(now, None).is_some());
        pathways.handle_answer(now, steered(r#"{"VERSION":1,"PATHWAY-PRIORITY":["B"]}"#));
        assert!(pathways.choose(now));
        assert_eq!(pathways.poll_request(now + 100_000 * S, None), None);
        offered.steering = None;
        assert!(Pathways::new(now, &offered).is_none());
    }

    proptest! {
        /// Whatever servers say and pathways do: the current one is there, is none that has failed while another has not,
        /// and is the first of the list among those; and the server is asked no more often than every five seconds.
        #[test]
        fn the_best_of_those_that_work_is_taken(steps in proptest::collection::vec(
            (0u64..400, prop_oneof![
                "[A-D]".prop_map(Ok),
                (proptest::collection::vec("[A-E]", 0..5), -5i64..1_000).prop_map(Err),
            ]), 1..40,
        )) {
            let start = Instant::now();
            let mut pathways = Pathways::new(start, &presentation(&["A", "B", "C", "D"], "")).expect("steering");
            let (mut now, mut asked): (Instant, Option<Instant>) = (start, None);
            let mut failed: BTreeMap<String, Instant> = BTreeMap::new();
            let mut list = Vec::new();
            for (wait, step) in steps {
                now += Duration::from_millis(500 * wait);
                if pathways.poll_request(now, None).is_some() {
                    prop_assert!(asked.is_none_or(|asked| now - asked >= 5 * S));
                    asked = Some(now);
                    let answer = match &step {
                        Err((priority, ttl)) => {
                            list = priority.clone();
                            steered(&format!("{{\"VERSION\":1,\"TTL\":{ttl},\"PATHWAY-PRIORITY\":{list:?}}}"))
                        }
                        Ok(_) => Steered::Wait(Duration::ZERO),
                    };
                    pathways.handle_answer(now, answer);
                }
                if let Ok(pathway) = &step {
                    pathways.penalise(now, pathway);
                    failed.insert(pathway.clone(), now + PENALTY);
                }
                failed.retain(|_, until| *until > now);
                pathways.choose(now);
                let current = pathways.current().to_owned();
                prop_assert!("ABCD".contains(&current));
                let works = |pathway: &String| !failed.contains_key(pathway);
                let any = ["A", "B", "C", "D"].iter().any(|pathway| works(&(*pathway).to_owned()));
                prop_assert_eq!(works(&current), any);
                let wanted = list.iter().find(|pathway| works(pathway) && *pathway != "E");
                if let Some(wanted) = wanted {
                    prop_assert_eq!(&current, wanted);
                }
            }
        }
    }
}
