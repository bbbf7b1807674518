// SPDX-License-Identifier: MPL-2.0

//! The command line, the environment and the configuration file.
//!
//! Every setting can be given in each of the three, under one name: `--max-connections 5000`,
//! `P2PHLS_TRACKER_MAX_CONNECTIONS=5000`, or `max-connections = 5000` in the TOML file. The command
//! line goes before the environment, and that before the file.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use ipnet::IpNet;

use crate::swarm::tracker_messages::MAX_MESSAGE;

mod config;
mod sources;

/// How logs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    /// An object a line.
    Json,
}

/// Introduces the viewers of a stream to each other, by the WebTorrent WebSocket protocol.
///
/// Viewers connect to any path; /health, /stats.json, /metrics and /dashboard are for operators. Every setting
/// may also stand in the environment or in a TOML file, under the same name.
#[derive(Clone, Debug, Parser)]
#[command(version, name = "p2phls-tracker")]
pub struct Options {
    /// A TOML file with settings: the names are those of the flags.
    #[arg(long, env = "P2PHLS_TRACKER_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Where to listen; port 0 takes a free one.
    #[arg(long, env = "P2PHLS_TRACKER_LISTEN", value_name = "ADDRESS:PORT", default_value = "0.0.0.0:8000")]
    pub listen: SocketAddr,

    /// Show /stats.json, /metrics and /dashboard here, over plain HTTP; without this, they are shown to this
    /// machine only.
    #[arg(long, env = "P2PHLS_TRACKER_OPERATOR_LISTEN", value_name = "ADDRESS:PORT")]
    pub operator_listen: Option<SocketAddr>,

    /// Serve wss:// with this certificate chain (PEM); it is read again when it has changed.
    #[arg(long, env = "P2PHLS_TRACKER_TLS_CERTIFICATE", value_name = "FILE", requires = "tls_key")]
    pub tls_certificate: Option<PathBuf>,

    /// The certificate's private key (PEM).
    #[arg(long, env = "P2PHLS_TRACKER_TLS_KEY", value_name = "FILE", requires = "tls_certificate")]
    pub tls_key: Option<PathBuf>,

    /// A proxy or a network of proxies whose X-Forwarded-For is believed; may be repeated.
    #[arg(long, env = "P2PHLS_TRACKER_TRUSTED_PROXY", value_name = "NETWORK", value_delimiter = ',',
          value_parser = network)]
    pub trusted_proxy: Vec<IpNet>,

    /// Geographic or provider data, .mmdb or .csv, most trusted first; may be repeated.
    #[arg(long, env = "P2PHLS_TRACKER_GEO_DATA", value_name = "FILE", value_delimiter = ',')]
    pub geo_data: Vec<PathBuf>,

    /// Networks and their rules, as CSV; goes before all geo data.
    #[arg(long, env = "P2PHLS_TRACKER_SITES", value_name = "FILE")]
    pub sites: Option<PathBuf>,

    /// Seconds between looks for changed files; 0 for never.
    #[arg(long, env = "P2PHLS_TRACKER_RELOAD", value_name = "SECONDS", default_value_t = 10)]
    pub reload: u64,

    /// Pages that browsers may come from, as https://player.example or https://*.example; may be
    /// repeated. All may, if there is none.
    #[arg(long, env = "P2PHLS_TRACKER_ORIGIN", value_name = "ORIGIN", value_delimiter = ',')]
    pub origin: Vec<String>,

    /// The swarms that there may be: an info hash a line.
    #[arg(long, env = "P2PHLS_TRACKER_SWARMS", value_name = "FILE")]
    pub swarms: Option<PathBuf>,

    /// Require a JSON Web Token signed (HS256) with the secret in this file.
    #[arg(long, env = "P2PHLS_TRACKER_TOKEN_SECRET", value_name = "FILE")]
    pub token_secret: Option<PathBuf>,

    /// Seconds between announces of a viewer that has enough links.
    #[arg(long, env = "P2PHLS_TRACKER_INTERVAL", value_name = "SECONDS", default_value_t = 300,
          value_parser = clap::value_parser!(u64).range(5..=3600))]
    pub interval: u64,

    /// Seconds between announces of a viewer that has some links, or has met everybody.
    #[arg(long, env = "P2PHLS_TRACKER_MEDIUM_INTERVAL", value_name = "SECONDS", default_value_t = 60,
          value_parser = clap::value_parser!(u64).range(5..=3600))]
    pub medium_interval: u64,

    /// Seconds between announces of a viewer that has few links.
    #[arg(long, env = "P2PHLS_TRACKER_SHORT_INTERVAL", value_name = "SECONDS", default_value_t = 20,
          value_parser = clap::value_parser!(u64).range(5..=3600))]
    pub short_interval: u64,

    /// Fewer links than this are few.
    #[arg(long, env = "P2PHLS_TRACKER_FEW_LINKS", value_name = "NUMBER", default_value_t = 8)]
    pub few_links: usize,

    /// Links that are enough for a viewer.
    #[arg(long, env = "P2PHLS_TRACKER_LINKS", value_name = "NUMBER", default_value_t = 15,
          value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=48))]
    pub links: usize,

    /// The same for a viewer that does not upload.
    #[arg(long, env = "P2PHLS_TRACKER_LINKS_WITHOUT_UPLOAD", value_name = "NUMBER", default_value_t = 6,
          value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=48))]
    pub links_without_upload: usize,

    /// Further links that a viewer who has enough may get, to take in those who have hardly any.
    #[arg(long, env = "P2PHLS_TRACKER_SPARE_LINKS", value_name = "NUMBER", default_value_t = 2,
          value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(0..=12))]
    pub spare_links: usize,

    /// How many of the links should be within the site or the provider's network.
    #[arg(long, env = "P2PHLS_TRACKER_NEAR_LINKS", value_name = "NUMBER", default_value_t = 13)]
    pub near_links: usize,

    /// How many more should be within the country or the continent; the rest is random.
    #[arg(long, env = "P2PHLS_TRACKER_REGIONAL_LINKS", value_name = "NUMBER", default_value_t = 0)]
    pub regional_links: usize,

    /// Links that a viewer takes at once although they are far, where few others are near.
    #[arg(long, env = "P2PHLS_TRACKER_FAR_AT_ONCE", value_name = "NUMBER", default_value_t = 6)]
    pub far_at_once: usize,

    /// In a swarm of fewer viewers it takes all it needs at once, as others who are near may never come.
    #[arg(long, env = "P2PHLS_TRACKER_SMALL_SWARM", value_name = "NUMBER", default_value_t = 500)]
    pub small_swarm: usize,

    /// Seconds for which a viewer who has taken those waits for near ones before it takes others.
    #[arg(long, env = "P2PHLS_TRACKER_PATIENCE", value_name = "SECONDS", default_value_t = 90,
          value_parser = clap::value_parser!(u64).range(0..=3600))]
    pub patience: u64,

    /// Link viewers of the same provider only.
    #[arg(long, env = "P2PHLS_TRACKER_SAME_ISP", value_name = "BOOL", default_value_t = false,
          num_args = 0..=1, require_equals = true, default_missing_value = "true",
          action = clap::ArgAction::Set)]
    pub same_isp: bool,

    /// Seconds after which two who are linked may be introduced again.
    #[arg(long, env = "P2PHLS_TRACKER_MEET_AGAIN", value_name = "SECONDS", default_value_t = 600,
          value_parser = clap::value_parser!(u64).range(60..=86400))]
    pub meet_again: u64,

    /// Seconds for which offers are kept that found nobody; browsers drop theirs after 50.
    #[arg(long, env = "P2PHLS_TRACKER_BANK_TIME", value_name = "SECONDS", default_value_t = 40,
          value_parser = clap::value_parser!(u64).range(0..=45))]
    pub bank_time: u64,

    /// How many of them for each viewer.
    #[arg(long, env = "P2PHLS_TRACKER_BANK_OFFERS", value_name = "NUMBER", default_value_t = 4,
          value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(0..=20))]
    pub bank_offers: usize,

    /// Memory for all of them.
    #[arg(long, env = "P2PHLS_TRACKER_BANK_BYTES", value_name = "BYTES", default_value_t = 64 << 20)]
    pub bank_bytes: usize,

    /// Most viewers at a time, over all swarms.
    #[arg(long, env = "P2PHLS_TRACKER_MAX_PEERS", value_name = "NUMBER", default_value_t = 2_000_000)]
    pub max_peers: usize,

    /// Most viewers, one in each swarm, on one connection.
    #[arg(
        long,
        env = "P2PHLS_TRACKER_MAX_PEERS_PER_CONNECTION",
        value_name = "NUMBER",
        default_value_t = 64
    )]
    pub max_peers_per_connection: usize,

    /// Most connections at a time; further ones are closed at once.
    #[arg(long, env = "P2PHLS_TRACKER_MAX_CONNECTIONS", value_name = "NUMBER", default_value_t = 100_000)]
    pub max_connections: usize,

    /// The same for one address, or /64 of IPv6; 0 for no limit.
    #[arg(
        long,
        env = "P2PHLS_TRACKER_MAX_CONNECTIONS_PER_ADDRESS",
        value_name = "NUMBER",
        default_value_t = 2_000
    )]
    pub max_connections_per_address: u32,

    /// Longest message from a viewer.
    #[arg(long, env = "P2PHLS_TRACKER_MAX_MESSAGE_BYTES", value_name = "BYTES", default_value_t = MAX_MESSAGE,
          value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(4096..=MAX_MESSAGE as u64))]
    pub max_message_bytes: usize,

    /// Messages that a viewer may send, in the long run.
    #[arg(long, env = "P2PHLS_TRACKER_MESSAGES_PER_SECOND", value_name = "NUMBER", default_value_t = 100.0)]
    pub messages_per_second: f32,

    /// Messages that a viewer may send at once.
    #[arg(long, env = "P2PHLS_TRACKER_MESSAGE_BURST", value_name = "NUMBER", default_value_t = 500.0)]
    pub message_burst: f32,

    /// Seconds of silence after which a viewer is pinged, and after as many again taken for dead.
    #[arg(long, env = "P2PHLS_TRACKER_SILENCE", value_name = "SECONDS", default_value_t = 60,
          value_parser = clap::value_parser!(u64).range(5..=3600))]
    pub silence: u64,

    /// The Redis or Valkey by which several trackers are one: redis://[USER:PASSWORD@]HOST:PORT, or rediss://;
    /// may be repeated for a Redis Cluster.
    #[arg(
        long,
        env = "P2PHLS_TRACKER_REDIS",
        value_name = "URL",
        value_delimiter = ',',
        hide_env_values = true
    )]
    pub redis: Vec<String>,

    /// Whether that is a Redis Cluster.
    #[arg(long, env = "P2PHLS_TRACKER_REDIS_CLUSTER", value_name = "BOOL", default_value_t = false,
          num_args = 0..=1, require_equals = true, default_missing_value = "true",
          action = clap::ArgAction::Set)]
    pub redis_cluster: bool,

    /// What all names in Redis begin with.
    #[arg(long, env = "P2PHLS_TRACKER_REDIS_PREFIX", value_name = "NAME", default_value = "p2phls")]
    pub redis_prefix: String,

    /// Threads that serve viewers; 0 for one, or with TLS for one on each core.
    #[arg(long, env = "P2PHLS_TRACKER_THREADS", value_name = "NUMBER", default_value_t = 0,
          value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(0..=1024))]
    pub threads: usize,

    /// Seconds over which viewers are sent away when the tracker stops.
    #[arg(long, env = "P2PHLS_TRACKER_DRAIN", value_name = "SECONDS", default_value_t = 20)]
    pub drain: u64,

    /// What to log, as in `info` or `gstp2phls=debug`.
    #[arg(long, env = "P2PHLS_TRACKER_LOG", value_name = "FILTER", default_value = "info")]
    pub log: String,

    /// How to log.
    #[arg(long, env = "P2PHLS_TRACKER_LOG_FORMAT", value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,
}

/// A network, or an address as the network of nobody else.
fn network(text: &str) -> Result<IpNet, ipnet::AddrParseError> {
    text.parse::<IpAddr>().map(IpNet::from).or_else(|_| text.parse())
}

#[cfg(test)]
mod tests;
