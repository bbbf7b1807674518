// SPDX-License-Identifier: MPL-2.0

//! The properties that an application sets, in one table; [`session`] is what a session makes of them.
//!
//! Values are kept as they were set, so that they read back unchanged; whether they make sense
//! is checked by [`Settings::to_config`] when playback starts, where a mistake can be explained
//! in an error message. They may be set in NULL and READY and count from the next start on.

mod session;

use std::sync::LazyLock;

use gst::prelude::*;

pub use session::SettingsError;

/// How far a viewer takes part in its swarm; [`P2pMode`](crate::engine::P2pMode) as GObject knows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstP2pHlsMode")]
pub enum Mode {
    #[enum_value(name = "HTTP only, no tracker is contacted", nick = "off")]
    Off,
    #[enum_value(name = "Download from peers, upload nothing", nick = "leech")]
    Leech,
    #[default]
    #[enum_value(name = "Download from peers and upload to them", nick = "on")]
    On,
}

/// How the CDN is told of this player; [`CmcdMode`](crate::engine::CmcdMode) as GObject knows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstP2pHlsCmcd")]
pub enum Cmcd {
    #[default]
    #[enum_value(name = "Nothing is told", nick = "off")]
    Off,
    #[enum_value(name = "In the query of each address", nick = "query")]
    Query,
    #[enum_value(name = "In headers", nick = "headers")]
    Headers,
}

/// What the properties hold.
#[derive(Clone, Debug)]
pub struct Settings {
    pub location: Option<String>,
    pub trackers: Option<String>,
    pub swarm_id: Option<String>,
    pub stun_server: Option<String>,
    pub turn_servers: gst::Array,
    pub ice_addresses: Option<String>,
    pub max_peers: u32,
    pub p2p: Mode,
    pub max_upload_rate: u32,
    pub buffer_duration: u64,
    pub max_memory: u64,
    pub user_agent: String,
    pub extra_headers: Option<gst::Structure>,
    pub cookies: Vec<String>,
    pub proxy: Option<String>,
    pub proxy_id: Option<String>,
    pub proxy_pw: Option<String>,
    pub cmcd: Cmcd,
    pub connection_speed: u32,
    pub start_bitrate: u32,
    pub min_bitrate: u32,
    pub max_bitrate: u32,
    pub bandwidth_target_ratio: f32,
    pub timeout: u32,
    pub retries: u32,
    pub ssl_strict: bool,
    pub ssl_ca_file: Option<String>,
    pub stats_interval: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            location: None,
            trackers: None,
            swarm_id: None,
            stun_server: None,
            turn_servers: gst::Array::default(),
            ice_addresses: None,
            max_peers: 15,
            p2p: Mode::default(),
            max_upload_rate: 0,
            buffer_duration: 30_000_000_000,
            max_memory: 256 << 20,
            user_agent: concat!("p2phlssrc/", env!("CARGO_PKG_VERSION")).to_owned(),
            extra_headers: None,
            cookies: Vec::new(),
            proxy: None,
            proxy_id: None,
            proxy_pw: None,
            cmcd: Cmcd::default(),
            connection_speed: 0,
            start_bitrate: 0,
            min_bitrate: 0,
            max_bitrate: 0,
            bandwidth_target_ratio: 0.8,
            timeout: 15,
            retries: 3,
            ssl_strict: true,
            ssl_ca_file: None,
            stats_interval: 0,
        }
    }
}

/// One row of the table.
pub struct Property {
    pub spec: glib::ParamSpec,
    pub get: fn(&Settings) -> glib::Value,
    pub set: fn(&mut Settings, &glib::Value),
}

/// The table. Nicks are left to the names, which say the same.
pub static PROPERTIES: LazyLock<Vec<Property>> = LazyLock::new(|| {
    let default = Settings::default();
    macro_rules! property {
        ($field:ident, $type:ident, $name:literal, $blurb:literal $(, $with:ident $value:expr)*) => {
            Property {
                spec: glib::$type::builder($name).blurb($blurb)$(.$with($value))*.mutable_ready().build(),
                get: |settings| settings.$field.to_value(),
                set: |settings, value| settings.$field = value.get().expect("GObject checks types"),
            }
        };
    }
    vec![
        property!(location, ParamSpecString, "location", "URL of the HLS playlist or DASH manifest to play (http, https, file); there is no default"),
        property!(
            trackers, ParamSpecString, "trackers",
            "WebTorrent trackers that introduce viewers to each other (ws and wss URLs, separated by commas); \
             without any, everything comes over HTTP"
        ),
        property!(
            swarm_id, ParamSpecString, "swarm-id",
            "Name of the swarm; viewers with the same name share segments \
             (default: the playlist's URL without its query)"
        ),
        property!(
            stun_server, ParamSpecString, "stun-server",
            "STUN server that tells this viewer its public address, as stun://host:port; \
             viewers behind different NATs need one (default: none)"
        ),
        Property {
            spec: gst::ParamSpecArray::builder("turn-servers")
                .blurb(
                    "TURN servers that relay where nothing else connects, as turn://user:password@host:port; \
                     those over TCP or TLS (turns) are left out (default: none)",
                )
                .element_spec(&glib::ParamSpecString::builder("turn-server").blurb("A TURN server").build())
                .mutable_ready()
                .build(),
            get: |settings| settings.turn_servers.to_value(),
            set: |settings, value| settings.turn_servers = value.get().expect("GObject checks types"),
        },
        property!(
            ice_addresses, ParamSpecString, "ice-addresses",
            "Local IP addresses that connections to peers may use, separated by commas \
             (default: all of this machine's but loopback)"
        ),
        property!(
            max_peers, ParamSpecUInt, "max-peers", "Most peers that this viewer is connected to at the same time",
            minimum 0, maximum 1000, default_value default.max_peers
        ),
        Property {
            spec: glib::ParamSpecEnum::builder_with_default("p2p", default.p2p)
                .blurb("Whether this viewer takes segments from peers, and whether it gives them any")
                .mutable_ready()
                .build(),
            get: |settings| settings.p2p.to_value(),
            set: |settings, value| settings.p2p = value.get().expect("GObject checks types"),
        },
        property!(
            max_upload_rate, ParamSpecUInt, "max-upload-rate",
            "Most that is uploaded to all peers together, in kbit/s (0 = unlimited)",
            default_value default.max_upload_rate
        ),
        property!(
            buffer_duration, ParamSpecUInt64, "buffer-duration",
            "How much media is fetched ahead of playback, in nanoseconds",
            minimum 1_000_000_000, default_value default.buffer_duration
        ),
        property!(
            max_memory, ParamSpecUInt64, "max-memory",
            "Most memory for segments, both those to be played and those kept for other viewers, in bytes",
            minimum 1 << 20, default_value default.max_memory
        ),
        property!(
            user_agent, ParamSpecString, "user-agent", "User-Agent header of HTTP requests",
            default_value Some(default.user_agent.as_str())
        ),
        Property {
            spec: glib::ParamSpecBoxed::builder::<gst::Structure>("extra-headers")
                .blurb("Further headers of HTTP requests, as a structure: each field names a header and holds a string \
                       or an array of strings; Authorization does not follow redirects to other hosts, and Cookie \
                       goes to the host of location only")
                .mutable_ready()
                .build(),
            get: |settings| settings.extra_headers.to_value(),
            set: |settings, value| settings.extra_headers = value.get().expect("GObject checks types"),
        },
        Property {
            spec: glib::ParamSpecBoxed::builder::<Vec<String>>("cookies")
                .blurb("Cookies of HTTP requests, each as NAME=VALUE, with attributes as servers give them (\"a=1; \
                       Domain=example.com\"); without a Domain they go to the host of location only")
                .mutable_ready()
                .build(),
            // None is NULL, as with souphttpsrc.
            get: |settings| match settings.cookies.is_empty() {
                true => glib::Value::from_type(Vec::<String>::static_type()),
                false => settings.cookies.to_value(),
            },
            set: |settings, value| settings.cookies = value.get().expect("GObject checks types"),
        },
        property!(
            proxy, ParamSpecString, "proxy",
            "HTTP proxy of all HTTP requests and of trackers, as http://host:port; connections to peers go by none \
             (default: what http_proxy, https_proxy, all_proxy and no_proxy in the environment say)"
        ),
        property!(proxy_id, ParamSpecString, "proxy-id", "User name for the proxy"),
        property!(proxy_pw, ParamSpecString, "proxy-pw", "Password for the proxy"),
        Property {
            spec: glib::ParamSpecEnum::builder_with_default("cmcd", default.cmcd)
                .blurb("Whether and how servers are told of this player with each HTTP request: Common Media Client Data \
                       (CTA-5004), and the peer efficiency in percent as org.p2phls-pe")
                .mutable_ready()
                .build(),
            get: |settings| settings.cmcd.to_value(),
            set: |settings, value| settings.cmcd = value.get().expect("GObject checks types"),
        },
        property!(
            connection_speed, ParamSpecUInt, "connection-speed",
            "Speed of the network connection, in kbit/s: the best variant that fits is played \
             (0 = unknown: it is measured, and the variant is changed with it)",
            maximum u32::MAX / 1000, default_value default.connection_speed
        ),
        property!(
            start_bitrate, ParamSpecUInt, "start-bitrate",
            "Speed to choose the first variant by before anything is measured, in bits/s \
             (0 = unknown: the first that the playlist names)",
            default_value default.start_bitrate
        ),
        property!(
            min_bitrate, ParamSpecUInt, "min-bitrate", "Least bitrate of a variant that is played, in bits/s",
            default_value default.min_bitrate
        ),
        property!(
            max_bitrate, ParamSpecUInt, "max-bitrate",
            "Most bitrate of a variant that is played, in bits/s (0 = unlimited)",
            default_value default.max_bitrate
        ),
        property!(
            bandwidth_target_ratio, ParamSpecFloat, "bandwidth-target-ratio",
            "Share of the measured speed of HTTP that a variant may take",
            minimum 0.0, maximum 1.0, default_value default.bandwidth_target_ratio
        ),
        property!(
            timeout, ParamSpecUInt, "timeout",
            "How long an HTTP request may be silent before it counts as failed, in seconds",
            minimum 1, maximum 3600, default_value default.timeout
        ),
        property!(
            retries, ParamSpecUInt, "retries", "How many more times a failed HTTP request is tried (0 = never)",
            maximum 100, default_value default.retries
        ),
        property!(
            ssl_strict, ParamSpecBoolean, "ssl-strict",
            "Refuse HTTPS and WSS servers (origin and trackers) whose certificates do not verify",
            default_value default.ssl_strict
        ),
        property!(
            ssl_ca_file, ParamSpecString, "ssl-ca-file",
            "PEM file with certificate authorities to trust besides the system's"
        ),
        property!(
            stats_interval, ParamSpecUInt, "stats-interval",
            "Time between p2phls-stats element messages, which carry what the stats property holds, \
             in milliseconds (0 = no messages)",
            default_value default.stats_interval
        ),
    ]
});
