// SPDX-License-Identifier: MPL-2.0

//! What a session makes of the properties.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::{Cmcd, Mode, Settings};
use crate::element::headers;
use crate::engine::{CmcdMode, Config, P2pMode, PlaybackClock, TlsConfig};

/// Why the settings make no session.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error("No location is set")]
    NoLocation,
    #[error("Location {0:?} is not the URL of a playlist: {1}")]
    Location(String, String),
    #[error("Tracker {0:?} is not a ws or wss URL")]
    Tracker(String),
    #[error("STUN server {0:?} is not of the form stun://host:port")]
    Stun(String),
    #[error("TURN server {0:?} is not of the form turn(s)://user:password@host:port")]
    Turn(String),
    #[error("ICE address {0:?} is not an IP address")]
    IceAddress(String),
    #[error("Proxy {0:?} is not of the form http://host:port")]
    Proxy(String),
    #[error(transparent)]
    Header(#[from] headers::HeaderError),
}

impl Settings {
    /// What a session is told; `clock` says where playback is.
    pub fn to_config(&self, clock: Arc<dyn PlaybackClock>) -> Result<Config, SettingsError> {
        Ok(Config {
            location: self.playlist()?,
            trackers: list(&self.trackers).map(tracker).collect::<Result<_, _>>()?,
            swarm_id: filled(&self.swarm_id),
            stun_server: filled(&self.stun_server).map(stun_server).transpose()?,
            turn_servers: self.turn_servers.iter().map(turn_server).collect::<Result<_, _>>()?,
            ice_addresses: list(&self.ice_addresses).map(ice_address).collect::<Result<_, _>>()?,
            max_peers: self.max_peers as usize,
            p2p: match self.p2p {
                Mode::Off => P2pMode::Off,
                Mode::Leech => P2pMode::Leech,
                Mode::On => P2pMode::On,
            },
            max_upload_rate: u64::from(self.max_upload_rate) * 1000,
            buffer_duration: Duration::from_nanos(self.buffer_duration),
            max_memory: self.max_memory,
            user_agent: self.user_agent.clone(),
            extra_headers: headers::from_structure(self.extra_headers.as_deref())?,
            cookies: self.cookies.clone(),
            proxy: filled(&self.proxy).map(|proxy| self.proxy(&proxy)).transpose()?,
            cmcd: match self.cmcd {
                Cmcd::Off => None,
                Cmcd::Query => Some(CmcdMode::Query),
                Cmcd::Headers => Some(CmcdMode::Headers),
            },
            connection_speed: u64::from(self.connection_speed) * 1000,
            start_bitrate: self.start_bitrate.into(),
            min_bitrate: self.min_bitrate.into(),
            max_bitrate: self.max_bitrate.into(),
            bandwidth_target_ratio: self.bandwidth_target_ratio.into(),
            timeout: Duration::from_secs(self.timeout.into()),
            retries: self.retries,
            tls: TlsConfig { strict: self.ssl_strict, ca_file: filled(&self.ssl_ca_file).map(PathBuf::from) },
            clock,
        })
    }

    fn playlist(&self) -> Result<Url, SettingsError> {
        let location = filled(&self.location).ok_or(SettingsError::NoLocation)?;
        let wrong = |why: &str| SettingsError::Location(location.clone(), why.to_owned());
        let url = Url::parse(&location).map_err(|error| wrong(&error.to_string()))?;
        match url.scheme() {
            "http" | "https" | "file" => Ok(url),
            _ => Err(wrong("only http, https and file can be played")),
        }
    }

    /// The proxy with its login.
    fn proxy(&self, text: &str) -> Result<Url, SettingsError> {
        // What a login is must not stand in a message.
        let wrong = || SettingsError::Proxy(text.rsplit('@').next().unwrap_or_default().to_owned());
        let url = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let mut url = Url::parse(&url).map_err(|_| wrong())?;
        if url.scheme() != "http" || url.host().is_none() {
            return Err(wrong());
        }
        if let Some(id) = filled(&self.proxy_id) {
            url.set_username(&id).map_err(|()| wrong())?;
            url.set_password(self.proxy_pw.as_deref()).map_err(|()| wrong())?;
        }
        Ok(url)
    }
}

/// Empty strings mean the same as no string: gst-launch has no other way to say it.
fn filled(text: &Option<String>) -> Option<String> {
    text.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
}

fn list(text: &Option<String>) -> impl Iterator<Item = &str> {
    text.as_deref().unwrap_or_default().split(',').map(str::trim).filter(|item| !item.is_empty())
}

fn tracker(text: &str) -> Result<Url, SettingsError> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "ws" | "wss"));
    url.ok_or_else(|| SettingsError::Tracker(text.to_owned()))
}

fn stun_server(text: String) -> Result<String, SettingsError> {
    match is_server(&text, &["stun"]) {
        true => Ok(text),
        false => Err(SettingsError::Stun(text)),
    }
}

fn turn_server(value: &glib::SendValue) -> Result<String, SettingsError> {
    let text = value.get::<Option<String>>().ok().flatten().unwrap_or_default();
    match is_server(&text, &["turn", "turns"]) {
        true => Ok(text),
        false => Err(SettingsError::Turn(text)),
    }
}

fn is_server(text: &str, schemes: &[&str]) -> bool {
    text.contains("://")
        && Url::parse(text).is_ok_and(|url| schemes.contains(&url.scheme()) && url.has_host())
}

fn ice_address(text: &str) -> Result<IpAddr, SettingsError> {
    text.parse().map_err(|_| SettingsError::IceAddress(text.to_owned()))
}
