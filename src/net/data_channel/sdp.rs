// SPDX-License-Identifier: MPL-2.0

//! What is let in from another viewer's session description (SDP), and what is added to ours.
//!
//! A description comes from a stranger through a tracker. It names addresses that this viewer will
//! send packets to, so the candidates are counted, checked and written anew; the rest is left to
//! the transport's parser once its size and shape are plausible.

use std::net::IpAddr;

/// Longest description accepted, in bytes. Browsers' are 500 to 1500 bytes.
const MAX_SDP_SIZE: usize = 8 * 1024;

/// Candidates beyond this are dropped: each is an address that gets 20 packets per second from
/// every local one until it answers or is given up, at a stranger's word.
const MAX_CANDIDATES: usize = 12;

/// Of those, names to be resolved by multicast DNS, each a query to the whole local network.
const MAX_MDNS_CANDIDATES: usize = 4;

/// The line by which this implementation knows itself; everyone else ignores it.
const OURS: &str = "a=x-p2phls";

/// Why a session description was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SdpError {
    /// It is longer than 8 kB.
    #[error("it is {0} bytes long")]
    TooLong(usize),
    /// It does not describe exactly one data channel, or is not SDP at all.
    #[error("it does not describe one data channel")]
    NotADataChannel,
    /// The transport's parser refused it.
    #[error("{0}")]
    Malformed(String),
}

/// What another viewer's description says, cleaned.
#[derive(Debug)]
pub(super) struct RemoteSdp {
    pub text: String,
    /// The other viewer runs this implementation.
    pub ours: bool,
    /// Some candidates are multicast DNS names.
    pub mdns: bool,
}

impl RemoteSdp {
    /// Reads a description. `loopback` lets candidates on this machine in.
    pub fn read(text: &str, loopback: bool) -> Result<Self, SdpError> {
        if text.len() > MAX_SDP_SIZE {
            return Err(SdpError::TooLong(text.len()));
        }
        let mut clean = Self { text: String::with_capacity(text.len()), ours: false, mdns: false };
        let (mut media, mut candidates, mut names) = (0, 0, 0);
        for line in text.lines().map(str::trim_end).filter(|line| !line.is_empty()) {
            if line.as_bytes().get(1) != Some(&b'=') || line.contains(|c: char| c.is_control()) {
                return Err(SdpError::NotADataChannel);
            }
            if line.starts_with("m=") {
                media += 1;
                if media > 1 || !line.starts_with("m=application ") {
                    return Err(SdpError::NotADataChannel);
                }
            }
            match line.strip_prefix("a=candidate:").map(|value| Candidate::read(value, loopback)) {
                None if line == OURS => clean.ours = true,
                None => clean.push(line),
                Some(None) => {}
                Some(Some(candidate)) => {
                    names += usize::from(candidate.mdns);
                    if candidates < MAX_CANDIDATES && (!candidate.mdns || names <= MAX_MDNS_CANDIDATES) {
                        candidates += 1;
                        clean.mdns |= candidate.mdns;
                        clean.push(&candidate.line);
                    }
                }
            }
        }
        if media == 0 { Err(SdpError::NotADataChannel) } else { Ok(clean) }
    }

    fn push(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push_str("\r\n");
    }
}

/// Prepares a description of ours for sending: the mark of this implementation goes to its end,
/// into the only media section, and candidates for RTCP, which a data channel does not have, go
/// out of it.
pub(super) fn outgoing(sdp: &str) -> String {
    let mut text = String::with_capacity(sdp.len() + OURS.len() + 2);
    let for_rtcp = |line: &&str| line.starts_with("a=candidate:") && line.split(' ').nth(1) == Some("2");
    for line in sdp.lines().filter(|line| !for_rtcp(line)).chain([OURS]) {
        text.push_str(line);
        text.push_str("\r\n");
    }
    text
}

/// A candidate worth trying.
struct Candidate {
    line: String,
    mdns: bool,
}

impl Candidate {
    /// `None` for what is not usable: TCP, other components, unroutable addresses, nonsense. One
    /// odd candidate must not spoil the others, as it would in the transport's parser.
    fn read(value: &str, loopback: bool) -> Option<Self> {
        let mut fields = value.split_ascii_whitespace();
        let foundation = fields.next().filter(|f| f.len() <= 32 && f.is_ascii())?;
        let component: u16 = fields.next()?.parse().ok()?;
        let transport = fields.next()?;
        let priority: u32 = fields.next()?.parse().ok()?;
        let address = fields.next()?;
        let port: u16 = fields.next()?.parse().ok()?;
        let kind = fields.next().filter(|word| *word == "typ").and_then(|_| fields.next())?;
        if component != 1 || !transport.eq_ignore_ascii_case("udp") || port == 0 {
            return None;
        }
        if !["host", "srflx", "prflx", "relay"].contains(&kind) {
            return None;
        }
        let (address, mdns) = match address.parse::<IpAddr>().map(|ip| ip.to_canonical()) {
            Ok(ip) => (usable(ip, loopback).then(|| ip.to_string())?, false),
            Err(_) => (is_mdns_name(address).then(|| address.to_owned())?, true),
        };
        if mdns && kind != "host" {
            return None;
        }
        let line = format!("a=candidate:{foundation} 1 udp {priority} {address} {port} typ {kind}");
        Some(Self { line, mdns })
    }
}

/// Whether a single host can be behind this address.
fn usable(address: IpAddr, loopback: bool) -> bool {
    if address.is_unspecified() || address.is_multicast() || (address.is_loopback() && !loopback) {
        return false;
    }
    match address {
        IpAddr::V4(v4) => !v4.is_broadcast(),
        // Without its scope, which a candidate does not carry, a link-local address is no address.
        IpAddr::V6(v6) => !v6.is_unicast_link_local(),
    }
}

/// Browsers hide a host's address behind `<uuid>.local`.
fn is_mdns_name(name: &str) -> bool {
    name.strip_suffix(".local").is_some_and(|label| {
        (1..=63).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_candidates(candidates: &[&str]) -> String {
        let mut sdp = String::from("v=0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n");
        for candidate in candidates {
            sdp.push_str(&format!("a=candidate:{candidate}\r\n"));
        }
        sdp
    }

    fn kept(candidates: &[&str], loopback: bool) -> Vec<String> {
        let remote = RemoteSdp::read(&with_candidates(candidates), loopback).unwrap();
        remote.text.lines().filter(|line| line.starts_with("a=candidate:")).map(str::to_owned).collect()
    }

    #[test]
    fn good_candidates_are_written_anew() {
        let kept = kept(
            &[
                "1 1 UDP 2130706431 192.0.2.7 5000 typ host generation 0 ufrag x network-cost 999",
                "2 1 udp 1694498815 2001:db8::7 5001 typ srflx raddr 0.0.0.0 rport 0",
                "3 1 udp 1 d6f1c0de-0000-4000-8000-000000000000.local 5002 typ host",
            ],
            false,
        );
        assert_eq!(
            kept,
            [
                "a=candidate:1 1 udp 2130706431 192.0.2.7 5000 typ host",
                "a=candidate:2 1 udp 1694498815 2001:db8::7 5001 typ srflx",
                "a=candidate:3 1 udp 1 d6f1c0de-0000-4000-8000-000000000000.local 5002 typ host",
            ]
        );
    }

    #[test]
    fn useless_and_harmful_candidates_are_dropped() {
        let bad = [
            "",
            "1 1 udp",
            "1 1 tcp 1 192.0.2.7 9 typ host tcptype active",
            "1 2 udp 1 192.0.2.7 5000 typ host",
            "1 1 udp 1 192.0.2.7 0 typ host",
            "1 1 udp 1 192.0.2.7 70000 typ host",
            "1 1 udp 99999999999 192.0.2.7 5000 typ host",
            "1 1 udp 1 192.0.2.7 5000 type host",
            "1 1 udp 1 192.0.2.7 5000 typ ghost",
            "1 1 udp 1 127.0.0.1 22 typ host",
            "1 1 udp 1 ::ffff:127.0.0.1 22 typ host",
            "1 1 udp 1 ::1 22 typ host",
            "1 1 udp 1 0.0.0.0 5000 typ host",
            "1 1 udp 1 255.255.255.255 5000 typ host",
            "1 1 udp 1 224.0.0.251 5353 typ host",
            "1 1 udp 1 fe80::1 5000 typ host",
            "1 1 udp 1 printer.example.org 5000 typ host",
            "1 1 udp 1 ../x.local 5000 typ host",
            "1 1 udp 1 x.local 5000 typ relay",
        ];
        assert_eq!(kept(&bad, false), Vec::<String>::new());
        assert_eq!(kept(&["1 1 udp 1 127.0.0.1 22 typ host"], true).len(), 1);
    }

    #[test]
    fn candidates_are_counted() {
        let many: Vec<String> =
            (1..=100).map(|port| format!("1 1 udp 1 192.0.2.7 {port} typ host")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(kept(&many, false).len(), MAX_CANDIDATES);
        let names: Vec<String> = (1..=100).map(|n| format!("1 1 udp 1 n{n}.local 9 typ host")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert_eq!(kept(&names, false).len(), MAX_MDNS_CANDIDATES);
    }

    #[test]
    fn only_one_data_channel_section_is_accepted() {
        let data = "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n";
        for bad in [
            String::new(),
            "v=0\r\n".into(),
            "hello".into(),
            format!("v=0\r\n{data}{data}"),
            "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n".into(),
            format!("v=0\r\n{data}a=x\u{0}y\r\n"),
        ] {
            assert_eq!(RemoteSdp::read(&bad, false).unwrap_err(), SdpError::NotADataChannel, "{bad:?}");
        }
        let long = format!("v=0\r\n{data}{}", "a=x\r\n".repeat(2000));
        assert_eq!(RemoteSdp::read(&long, false).unwrap_err(), SdpError::TooLong(long.len()));
    }

    #[test]
    fn this_implementation_knows_itself() {
        let theirs = with_candidates(&["1 1 udp 7 192.0.2.7 9 typ host"]);
        assert!(!RemoteSdp::read(&theirs, false).unwrap().ours);
        let both = format!("{theirs}a=candidate:1 2 udp 7 192.0.2.7 9 typ host\r\n");
        let ours = RemoteSdp::read(&outgoing(&both), false).unwrap();
        assert!(ours.ours);
        assert_eq!(ours.text, theirs);
    }
}
