// SPDX-License-Identifier: MPL-2.0

//! Which servers and which local addresses connections use.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use url::Url;
use webrtc::peer_connection::RTCIceServer;

/// More local addresses than this are not bound: each is a socket per connection, and each
/// multiplies the connectivity checks. A machine with dozens of container bridges is no better
/// reachable for offering all of them.
const MAX_LOCAL_ADDRESSES: usize = 6;

/// How a viewer reaches others.
#[derive(Debug, Clone, Default)]
pub struct RtcConfig {
    /// The STUN server that tells this viewer its public address, as `stun://host:port`.
    pub stun_server: Option<String>,
    /// TURN servers that relay when no direct path works, each as
    /// `turn://user:password@host:port?transport=udp`. User and password may be percent-encoded.
    pub turn_servers: Vec<String>,
    /// Local addresses to bind; empty means all of the machine's. With only loopback addresses
    /// nothing is sent to the local network, not even multicast DNS.
    pub addresses: Vec<IpAddr>,
    /// Use TURN relays only, so that other viewers never learn this one's address.
    pub relay_only: bool,
}

/// Why a STUN or TURN server's address was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ServerError {
    /// It is not a URL, or has no host.
    #[error("{0:?} is not a server address like stun://host:port or turn://user:password@host:port")]
    Malformed(String),
    /// The scheme is not the one expected here.
    #[error("{0:?} is not a scheme for this kind of server")]
    Scheme(String),
    /// A TURN server needs a user and a password.
    #[error("the TURN server {0:?} lacks a user or a password")]
    Credentials(String),
    /// `?transport=` is neither `udp` nor `tcp`.
    #[error("{0:?} is not a TURN transport")]
    Transport(String),
}

/// The servers of a configuration, checked.
#[derive(Debug, Default)]
pub(super) struct Servers {
    pub usable: Vec<RTCIceServer>,
    /// Valid addresses that the transport cannot speak to, without credentials.
    pub unsupported: Vec<String>,
}

impl Servers {
    pub fn parse(config: &RtcConfig) -> Result<Self, ServerError> {
        let mut servers = Self::default();
        if let Some(stun) = &config.stun_server {
            let server = Server::parse(stun)?;
            match server.scheme.as_str() {
                "stun" => servers.usable.push(RTCIceServer {
                    urls: vec![format!("stun:{}:{}", server.host, server.port.unwrap_or(3478))],
                    ..Default::default()
                }),
                "stuns" => servers.unsupported.push(server.shown()),
                _ => return Err(ServerError::Scheme(server.scheme)),
            }
        }
        for turn in &config.turn_servers {
            servers.add_turn(turn)?;
        }
        Ok(servers)
    }

    fn add_turn(&mut self, text: &str) -> Result<(), ServerError> {
        let server = Server::parse(text)?;
        let secure = match server.scheme.as_str() {
            "turn" => false,
            "turns" => true,
            _ => return Err(ServerError::Scheme(server.scheme)),
        };
        if server.user.is_empty() || server.password.is_empty() {
            return Err(ServerError::Credentials(server.shown()));
        }
        let udp = match server.transport.as_deref() {
            Some("udp") => true,
            None => !secure,
            Some("tcp") => false,
            Some(other) => return Err(ServerError::Transport(other.to_owned())),
        };
        // The transport speaks TURN over plain UDP only, and cannot resolve an IPv6 literal there.
        if secure || !udp || server.host.starts_with('[') {
            self.unsupported.push(server.shown());
            return Ok(());
        }
        self.usable.push(RTCIceServer {
            urls: vec![format!("turn:{}:{}?transport=udp", server.host, server.port.unwrap_or(3478))],
            username: server.user,
            credential: server.password,
        });
        Ok(())
    }
}

/// One server address, taken apart.
struct Server {
    scheme: String,
    user: String,
    password: String,
    host: String,
    port: Option<u16>,
    transport: Option<String>,
}

impl Server {
    fn parse(text: &str) -> Result<Self, ServerError> {
        // What follows the last `@` is all that an error may repeat: before it is the password.
        let malformed = || ServerError::Malformed(text.rsplit('@').next().unwrap_or_default().to_owned());
        // Web pages write `stun:host:port`, GStreamer writes `stun://host:port`.
        let with_slashes = if text.contains("://") { text.to_owned() } else { text.replacen(':', "://", 1) };
        let url = Url::parse(with_slashes.trim()).map_err(|_| malformed())?;
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(malformed)?;
        Ok(Self {
            scheme: url.scheme().to_owned(),
            user: percent_decode(url.username()),
            password: percent_decode(url.password().unwrap_or_default()),
            host: host.to_owned(),
            port: url.port(),
            transport: url
                .query_pairs()
                .find(|(key, _)| key == "transport")
                .map(|(_, value)| value.to_ascii_lowercase()),
        })
    }

    /// The address without credentials.
    fn shown(&self) -> String {
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        let transport = self.transport.as_ref().map(|t| format!("?transport={t}")).unwrap_or_default();
        format!("{}://{}{port}{transport}", self.scheme, self.host)
    }
}

/// Undoes `%41`; anything that is not a valid escape stays as it is.
fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escape = tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match escape.filter(|_| first == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The addresses to bind for one connection. The machine's own are looked up each time, because a
/// laptop changes networks while it plays.
pub(super) fn local_addresses(configured: &[IpAddr]) -> Vec<SocketAddr> {
    let mut addresses: Vec<IpAddr> = if configured.is_empty() {
        let interfaces = rtc::shared::ifaces::ifaces().unwrap_or_default();
        interfaces.into_iter().filter_map(|interface| interface.addr).map(|addr| addr.ip()).collect()
    } else {
        configured.to_vec()
    };
    if configured.is_empty() {
        addresses.retain(is_reachable);
        // IPv4 first: it is what nearly every other viewer has, and the list is cut short below.
        addresses.sort_by_key(IpAddr::is_ipv6);
    }
    let mut unique = Vec::new();
    for address in addresses {
        if !unique.contains(&address) && unique.len() < MAX_LOCAL_ADDRESSES {
            unique.push(address);
        }
    }
    if unique.is_empty() {
        // Nothing but loopback: viewers on this machine can still meet.
        unique.push(Ipv4Addr::LOCALHOST.into());
    }
    unique.into_iter().map(|address| SocketAddr::new(address, 0)).collect()
}

/// Whether another machine could reach this address: not loopback, and not link-local, whose
/// scope does not survive into a candidate.
fn is_reachable(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !v4.is_loopback() && !v4.is_unspecified() && !v4.is_link_local(),
        IpAddr::V6(v6) => !v6.is_loopback() && !v6.is_unspecified() && !v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(text: &str) -> Result<Servers, ServerError> {
        Servers::parse(&RtcConfig { turn_servers: vec![text.into()], ..Default::default() })
    }

    fn stun(text: &str) -> Result<Servers, ServerError> {
        Servers::parse(&RtcConfig { stun_server: Some(text.into()), ..Default::default() })
    }

    #[test]
    fn stun_addresses_are_read_in_both_spellings() {
        for text in ["stun://stun.example.org:19302", "stun:stun.example.org:19302"] {
            assert_eq!(stun(text).unwrap().usable[0].urls, ["stun:stun.example.org:19302"]);
        }
        assert_eq!(stun("stun://[2001:db8::1]").unwrap().usable[0].urls, ["stun:[2001:db8::1]:3478"]);
    }

    #[test]
    fn turn_credentials_are_percent_decoded() {
        let servers = turn("turn://a%40b:p%3Aw%zz@turn.example.org?transport=udp").unwrap();
        let server = &servers.usable[0];
        assert_eq!(server.urls, ["turn:turn.example.org:3478?transport=udp"]);
        assert_eq!((server.username.as_str(), server.credential.as_str()), ("a@b", "p:w%zz"));
    }

    #[test]
    fn what_the_transport_cannot_speak_is_set_aside_without_credentials() {
        for text in ["turns://u:secret@t.example:443", "turn://u:secret@t.example?transport=tcp"] {
            let servers = turn(text).unwrap();
            assert!(servers.usable.is_empty());
            assert!(!servers.unsupported[0].contains("secret"), "{:?}", servers.unsupported);
        }
    }

    #[test]
    fn bad_addresses_are_refused_without_repeating_the_password() {
        assert_eq!(stun("http://x").unwrap_err(), ServerError::Scheme("http".into()));
        assert_eq!(turn("stun://u:p@x").unwrap_err(), ServerError::Scheme("stun".into()));
        assert_eq!(turn("turn://x").unwrap_err(), ServerError::Credentials("turn://x".into()));
        assert_eq!(turn("turn://u:p@x?transport=smoke").unwrap_err(), ServerError::Transport("smoke".into()));
        for text in ["", "stun", "stun://", "stun://host:99999", "turn://u:secret@", "turn://u:secret@:1"] {
            let error = turn(text).unwrap_err();
            assert!(matches!(error, ServerError::Malformed(_) | ServerError::Scheme(_)), "{text}: {error}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn addresses_are_bound_as_configured_and_otherwise_found() {
        let localhost: IpAddr = Ipv4Addr::LOCALHOST.into();
        assert_eq!(local_addresses(&[localhost, localhost]), [SocketAddr::new(localhost, 0)]);
        let found = local_addresses(&[]);
        assert!(!found.is_empty() && found.len() <= MAX_LOCAL_ADDRESSES);
    }
}
