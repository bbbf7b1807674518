// SPDX-License-Identifier: MPL-2.0

//! How many requests there may be to one host at once. Those above that wait, first come, first served.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use url::{Origin, Url};

/// As many as browsers make over HTTP/1.1, where each takes a connection of its own.
const REQUESTS: usize = 6;

/// Where they share one connection: what servers commonly allow (RFC 9113, section 6.5.2).
const STREAMS: usize = 100;

/// Hosts that are remembered when nothing is asked of them.
const REMEMBERED: usize = 64;

/// The hosts that requests go to.
#[derive(Debug, Default)]
pub(super) struct Hosts(Mutex<HashMap<Origin, Arc<Host>>>);

#[derive(Debug)]
struct Host {
    places: Arc<Semaphore>,
    /// It is known to take many requests over one connection.
    multiplexes: AtomicBool,
}

/// One of the requests to a host, until dropped.
#[derive(Debug)]
pub(super) struct Place {
    host: Arc<Host>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Hosts {
    /// Waits until one more request may be made.
    pub async fn place(&self, url: &Url) -> Place {
        let host = self.host(url.origin());
        // It is never closed.
        let permit = host.places.clone().acquire_owned().await.ok();
        Place { host, _permit: permit }
    }

    fn host(&self, origin: Origin) -> Arc<Host> {
        let mut hosts = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if hosts.len() >= REMEMBERED && !hosts.contains_key(&origin) {
            hosts.retain(|_, host| Arc::strong_count(host) > 1);
        }
        let new = || Host { places: Arc::new(Semaphore::new(REQUESTS)), multiplexes: AtomicBool::new(false) };
        hosts.entry(origin).or_insert_with(|| Arc::new(new())).clone()
    }
}

impl Place {
    /// The host has answered over HTTP/2.
    pub fn multiplexes(&self) {
        if !self.host.multiplexes.swap(true, Ordering::Relaxed) {
            self.host.places.add_permits(STREAMS - REQUESTS);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn url(host: usize) -> Url {
        Url::parse(&format!("http://h{host}/")).expect("a URL")
    }

    #[test]
    fn what_is_too_much_for_a_host_waits() {
        let hosts = Hosts::default();
        let now = |host| hosts.place(&url(host)).now_or_never();
        let mut places: Vec<Place> = (0..REQUESTS).filter_map(|_| now(1)).collect();
        assert_eq!(places.len(), REQUESTS);
        assert!(now(1).is_none());
        assert!(now(2).is_some(), "another host has places of its own");
        places.pop();
        let again = now(1).expect("one is free again");
        assert!(now(1).is_none());
        again.multiplexes();
        places[0].multiplexes();
        let more: Vec<Place> = (0..STREAMS).filter_map(|_| now(1)).collect();
        assert_eq!(more.len(), STREAMS - REQUESTS);
    }

    #[test]
    fn hosts_are_forgotten_but_not_those_in_use() {
        let hosts = Hosts::default();
        let mut used: Vec<Place> =
            (0..REQUESTS).filter_map(|_| hosts.place(&url(0)).now_or_never()).collect();
        for host in 1..10 * REMEMBERED {
            assert!(hosts.place(&url(host)).now_or_never().is_some());
        }
        assert!(hosts.0.lock().expect("no panic").len() <= REMEMBERED);
        assert!(hosts.place(&url(0)).now_or_never().is_none());
        used.clear();
        assert!(hosts.place(&url(0)).now_or_never().is_some());
    }
}
