// SPDX-License-Identifier: MPL-2.0

//! Which software a peer id belongs to, and how ours is made.
//!
//! Peer ids are 20 bytes in the manner of BitTorrent: `-`, two letters for the software, four digits
//! for its version, `-`, and 12 random characters. Browsers read them as UTF-8, so only ASCII will do.

/// What our peer ids begin with: software `GP`, version 00.01.
pub const PEER_ID_PREFIX: [u8; 8] = *b"-GP0001-";

/// The first version of p2p-media-loader whose viewers elect HTTP fetchers by
/// [`election_score`](super::election_hash::election_score).
const ELECTING_P2P_MEDIA_LOADER: u8 = 5;

/// Makes our peer id out of 12 random bytes.
pub fn peer_id_from_random(random: [u8; 12]) -> [u8; 20] {
    const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut id = [0; 20];
    let (prefix, rest) = id.split_at_mut(PEER_ID_PREFIX.len());
    prefix.copy_from_slice(&PEER_ID_PREFIX);
    for (character, byte) in rest.iter_mut().zip(random) {
        *character = ALPHABET[usize::from(byte) % ALPHABET.len()];
    }
    id
}

/// The software at the other end, as its peer id says. Nothing proves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// This plugin.
    P2phls { major: u8, minor: u8 },
    /// p2p-media-loader in a browser.
    P2pMediaLoader { major: u8, minor: u8 },
    /// Anything else, pages that set their own prefix among them.
    Other,
}

impl Client {
    pub fn from_peer_id(id: &[u8; 20]) -> Self {
        let [b'-', s0, s1, a, b, c, d, b'-', ..] = *id else { return Self::Other };
        let (Some(major), Some(minor)) = (two_digits(a, b), two_digits(c, d)) else { return Self::Other };
        match &[s0, s1] {
            b"GP" => Self::P2phls { major, minor },
            b"PM" => Self::P2pMediaLoader { major, minor },
            _ => Self::Other,
        }
    }

    /// This plugin, which reads what other software does not.
    pub fn is_ours(self) -> bool {
        matches!(self, Self::P2phls { .. })
    }

    /// Whether this peer fetches what it is elected for. One that does not must be left out of the
    /// count, or the segments that fall to it would be fetched by nobody until backups step in.
    pub fn takes_part_in_election(self) -> bool {
        match self {
            Self::P2phls { .. } => true,
            Self::P2pMediaLoader { major, .. } => major >= ELECTING_P2P_MEDIA_LOADER,
            Self::Other => false,
        }
    }
}

fn two_digits(tens: u8, ones: u8) -> Option<u8> {
    (tens.is_ascii_digit() && ones.is_ascii_digit()).then(|| (tens - b'0') * 10 + (ones - b'0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_ids_are_ascii_and_recognised() {
        let mut random = [0; 12];
        for start in 0..=255u8 {
            random.iter_mut().zip(0..).for_each(|(byte, n)| *byte = start.wrapping_add(n));
            let id = peer_id_from_random(random);
            assert!(id[8..].iter().all(u8::is_ascii_alphanumeric));
            assert_eq!(Client::from_peer_id(&id), Client::P2phls { major: 0, minor: 1 });
        }
    }

    #[test]
    fn clients_are_told_apart() {
        for (id, client, elects) in [
            (b"-PM0203-oR2xchvRk2hw", Client::P2pMediaLoader { major: 2, minor: 3 }, false),
            (b"-PM0500-abcdefghijkl", Client::P2pMediaLoader { major: 5, minor: 0 }, true),
            (b"-PM1201-abcdefghijkl", Client::P2pMediaLoader { major: 12, minor: 1 }, true),
            (b"-GP0001-abcdefghijkl", Client::P2phls { major: 0, minor: 1 }, true),
            (b"-RS0001-abcdefghijkl", Client::Other, false),
            (b"-PM02x3-abcdefghijkl", Client::Other, false),
            (b"PM0203--abcdefghijkl", Client::Other, false),
        ] {
            assert_eq!(Client::from_peer_id(id), client);
            assert_eq!(client.takes_part_in_election(), elects);
        }
    }
}
