// SPDX-License-Identifier: MPL-2.0

//! The command line, the environment and the configuration file.
//!
//! Every setting can be given in each of the three, under one name: `--max-connections 5000`,
//! `P2PHLS_TRACKER_MAX_CONNECTIONS=5000`, or `max-connections = 5000` in the TOML file. The command
//! line goes before the environment, and that before the file.

use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::parser::ValueSource;
use clap::{CommandFactory, FromArgMatches, Parser, ValueEnum};
use ipnet::IpNet;

use super::cluster::config::ClusterConfig;
use super::geo;
use super::server::{AccessConfig, Config, Limits};
use super::swarms::{LinkLimits, Settings};
use super::tls::TlsFiles;
use crate::swarm::tracker_messages::MAX_MESSAGE;

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

    /// Show /stats.json, /metrics and /dashboard here, over plain HTTP, and not to viewers.
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

    /// Seconds for which a viewer with as many waits for near ones before it takes others.
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

impl Options {
    /// Puts the command line, the environment and the file together.
    ///
    /// # Errors
    ///
    /// For whoever started the program; `--help` is one of them.
    pub fn read(args: impl IntoIterator<Item = impl Into<OsString>>) -> Result<Self, clap::Error> {
        let mut args: Vec<OsString> = args.into_iter().map(Into::into).collect();
        let mut command = Self::command();
        let matches = command.try_get_matches_from_mut(&args)?;
        if let Some(path) = matches.get_one::<PathBuf>("config") {
            let wrong = |message: String| {
                let message = format!("{}: {message}", path.display());
                Self::command().error(clap::error::ErrorKind::InvalidValue, message)
            };
            let given = |name: &str| {
                let id = name.replace('-', "_");
                let argument = command.get_arguments().find(|argument| argument.get_id() == id.as_str());
                let argument = argument
                    .filter(|argument| !["config", "help", "version"].contains(&argument.get_id().as_str()));
                argument.map(|_| {
                    let source = matches.value_source(&id);
                    matches!(source, Some(ValueSource::CommandLine | ValueSource::EnvVariable))
                })
            };
            for (name, value) in read_file(path).map_err(wrong)? {
                match given(&name) {
                    None => return Err(wrong(format!("no such setting: {name}"))),
                    Some(true) => {}
                    Some(false) => args.extend(flags(&name, &value).map_err(wrong)?),
                }
            }
        }
        Self::from_arg_matches(&command.try_get_matches_from_mut(args)?)
    }

    /// What the server is to do.
    ///
    /// # Errors
    ///
    /// If the file with the secret cannot be read or holds less than a guess would find.
    pub fn config(&self) -> Result<Config, String> {
        let seconds = Duration::from_secs;
        let token_secret = self.token_secret.as_deref().map(read_secret).transpose()?;
        Ok(Config {
            swarms: Settings {
                interval: seconds(self.interval),
                medium_interval: seconds(self.medium_interval),
                short_interval: seconds(self.short_interval),
                few_links: self.few_links,
                links: LinkLimits {
                    target: self.links,
                    target_without_upload: self.links_without_upload,
                    most: self.links + self.spare_links,
                    near: self.near_links,
                    regional: self.regional_links,
                    far_at_once: self.far_at_once,
                    patience: seconds(self.patience),
                    meet_again: seconds(self.meet_again),
                    ..LinkLimits::default()
                },
                bank_time: seconds(self.bank_time),
                bank_per_viewer: self.bank_offers,
                bank_bytes: self.bank_bytes,
                max_peers_per_connection: self.max_peers_per_connection,
                max_peers: self.max_peers,
            },
            limits: Limits {
                max_connections: self.max_connections,
                max_connections_per_address: match self.max_connections_per_address {
                    0 => u32::MAX,
                    most => most,
                },
                max_message_bytes: self.max_message_bytes,
                messages_per_second: self.messages_per_second,
                message_burst: self.message_burst,
                silence: seconds(self.silence),
            },
            geo: geo::Files { data: self.geo_data.clone(), sites: self.sites.clone() },
            same_isp: self.same_isp,
            access: AccessConfig {
                origins: (!self.origin.is_empty()).then(|| self.origin.clone()),
                swarms: self.swarms.clone(),
                token_secret,
            },
            tls: self
                .tls_certificate
                .clone()
                .zip(self.tls_key.clone())
                .map(|(certificate, key)| TlsFiles { certificate, key }),
            trusted_proxies: self.trusted_proxy.clone(),
            reload_every: (self.reload > 0).then(|| seconds(self.reload)),
            drain: seconds(self.drain),
            cluster: (!self.redis.is_empty())
                .then(|| {
                    ClusterConfig::new(self.redis.clone(), self.redis_cluster, self.redis_prefix.clone())
                })
                .transpose()?,
        })
    }
}

/// A network, or an address as the network of nobody else.
fn network(text: &str) -> Result<IpNet, ipnet::AddrParseError> {
    text.parse::<IpAddr>().map(IpNet::from).or_else(|_| text.parse())
}

fn read_file(path: &Path) -> Result<toml::Table, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    text.parse().map_err(|error: toml::de::Error| error.to_string())
}

/// A setting as it would stand on the command line.
fn flags(name: &str, value: &toml::Value) -> Result<Vec<OsString>, String> {
    let flag = |value: String| OsString::from(format!("--{name}={value}"));
    match value {
        toml::Value::String(text) => Ok(vec![flag(text.clone())]),
        toml::Value::Integer(number) => Ok(vec![flag(number.to_string())]),
        toml::Value::Float(number) => Ok(vec![flag(number.to_string())]),
        toml::Value::Boolean(yes) => Ok(vec![flag(yes.to_string())]),
        toml::Value::Array(values) => {
            let flags: Result<Vec<_>, _> = values.iter().map(|value| flags(name, value)).collect();
            Ok(flags?.concat())
        }
        toml::Value::Table(_) | toml::Value::Datetime(_) => Err(format!("{name} is not a value")),
    }
}

/// Shortest secret, in bytes: a shorter one could be found by trying (RFC 7518, section 3.2).
const MIN_SECRET: usize = 32;

fn read_secret(path: &Path) -> Result<Vec<u8>, String> {
    let wrong = |message: &dyn std::fmt::Display| format!("{}: {message}", path.display());
    let text = std::fs::read(path).map_err(|error| wrong(&error))?;
    let secret = text.trim_ascii_end();
    if secret.len() < MIN_SECRET {
        return Err(wrong(&format!("a secret has at least {MIN_SECRET} bytes")));
    }
    Ok(secret.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(args: &[&str]) -> Result<Options, String> {
        Options::read(["p2phls-tracker"].iter().chain(args)).map_err(|error| error.to_string())
    }

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    fn with_file(text: &str, args: &[&str]) -> Result<Options, String> {
        let file = file(text);
        read(&[&["--config", file.path().to_str().unwrap()], args].concat())
    }

    #[test]
    fn defaults_are_those_of_the_library() {
        let options = read(&[]).unwrap();
        let (config, default) = (options.config().unwrap(), Config::default());
        assert_eq!((config.swarms, config.limits), (default.swarms, default.limits));
        assert_eq!((config.access, config.geo), (default.access, default.geo));
    }

    #[test]
    fn the_command_line_goes_before_the_file() {
        let text = "listen = \"127.0.0.1:1\"\nlinks = 9\nmessage-burst = 1.5\nsame-isp = true\n\
                    trusted-proxy = [\"10.0.0.0/8\", \"192.0.2.1\"]\norigin = \"https://a.example\"\n";
        let options = with_file(text, &["--links", "10", "--origin", "https://b.example"]).unwrap();
        assert_eq!((options.listen.port(), options.links, options.same_isp), (1, 10, true));
        assert_eq!((options.message_burst, options.trusted_proxy.len()), (1.5, 2));
        assert_eq!(options.origin, ["https://b.example"]);
        assert!(!with_file(text, &["--same-isp=false"]).unwrap().same_isp);
        assert!(read(&["--same-isp"]).unwrap().same_isp);
    }

    #[test]
    fn every_setting_has_a_variable_named_like_it() {
        for argument in Options::command().get_arguments() {
            let name = argument.get_id().as_str();
            if name != "help" && name != "version" {
                let variable = format!("P2PHLS_TRACKER_{}", name.to_uppercase());
                assert_eq!(argument.get_env(), Some(variable.as_ref()), "{name}");
                assert_eq!(argument.get_long(), Some(name.replace('_', "-").as_str()));
            }
        }
    }

    #[test]
    fn mistakes_are_told() {
        for (text, expected) in [
            ("link = 9\n", "no such setting: link"),
            ("config = \"x\"\n", "no such setting: config"),
            ("links = \"many\"\n", "'many'"),
            ("links = 0\n", "0 is not in"),
            ("[links]\nnear = 1\n", "not a value"),
            ("links = \n", "line 1"),
            ("tls-key = \"key.pem\"\n", "--tls-certificate"),
        ] {
            let error = with_file(text, &[]).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
        assert!(read(&["--config", "/nonexistent"]).unwrap_err().contains("/nonexistent"));
        let secret = file("short\n");
        let options = read(&["--token-secret", secret.path().to_str().unwrap()]).unwrap();
        assert!(options.config().unwrap_err().contains("at least 32"));
    }
}
