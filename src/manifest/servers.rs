// SPDX-License-Identifier: MPL-2.0

//! Where a playlist can be had. Whoever follows it moves on to the next place when the one in use fails, and to
//! another one when that is preferred: redundant servers and content steering come to the same.

use url::Url;

/// The places of one playlist.
#[derive(Debug)]
pub(super) struct Servers {
    /// In order of preference, but that those that failed have gone to the end; the first is in use.
    urls: Vec<Url>,
    /// Those that failed since the playlist came the last time.
    failed: Vec<Url>,
    /// Another one has been taken, and nothing has come of it yet.
    moved: bool,
}

/// A playlist comes from another place now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    pub to: Url,
    /// The places that were tried before and failed.
    pub failed: Vec<Url>,
}

impl Servers {
    pub fn new(urls: Vec<Url>) -> Self {
        Self { urls, failed: Vec::new(), moved: false }
    }

    pub fn in_use(&self) -> Option<&Url> {
        self.urls.first()
    }

    pub fn has_moved(&self) -> bool {
        self.moved
    }

    /// The one in use has failed. False: there is no other.
    pub fn move_on(&mut self) -> bool {
        if self.urls.len() < 2 {
            return false;
        }
        if !self.failed.contains(&self.urls[0]) {
            self.failed.push(self.urls[0].clone());
        }
        self.urls.rotate_left(1);
        self.moved = true;
        true
    }

    /// From now on these are the places, the best first. True: that is another one than the one in use.
    pub fn prefer(&mut self, urls: Vec<Url>) -> bool {
        if urls.is_empty() {
            return false;
        }
        let leaves = urls.first() != self.urls.first();
        self.urls = urls;
        self.moved |= leaves;
        leaves
    }

    /// The playlist has come from the one in use. Tells if that is another one than before.
    pub fn arrive(&mut self) -> Option<Moved> {
        let failed = std::mem::take(&mut self.failed);
        let moved = std::mem::take(&mut self.moved);
        self.urls.first().filter(|_| moved).map(|to| Moved { to: to.clone(), failed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_place_is_taken_and_what_failed_is_told() {
        let url = |name: &str| Url::parse(&format!("http://{name}/")).expect("a URL");
        let [a, b, c] = ["a", "b", "c"].map(url);
        let mut servers = Servers::new(vec![a.clone(), b.clone(), c.clone()]);
        assert_eq!(servers.arrive(), None);
        assert!(servers.move_on() && servers.move_on() && servers.has_moved());
        let failed = vec![a.clone(), b.clone()];
        assert_eq!(servers.arrive(), Some(Moved { to: c.clone(), failed }));
        assert_eq!(servers.arrive(), None, "it is told once");

        assert!(!servers.prefer(vec![c.clone(), b.clone()]), "it is in use already");
        assert_eq!(servers.arrive(), None);
        assert!(servers.prefer(vec![b.clone(), c.clone()]));
        assert_eq!(servers.arrive(), Some(Moved { to: b.clone(), failed: Vec::new() }));
        assert!(!servers.prefer(Vec::new()) && servers.in_use() == Some(&b));
        assert!(!Servers::new(vec![a]).move_on(), "there is no other");
    }
}
