// SPDX-License-Identifier: MPL-2.0

//! Debug categories, and the way of the other rooms' log lines into them.
//!
//! The rooms below this one know nothing of GStreamer: they log through the `log` crate with the
//! name of their category as target, as `webrtc` and its kin do with their module paths. A bridge
//! hands all that to GStreamer, so that one `GST_DEBUG=p2phls*:5` shows the whole plugin.

use std::sync::LazyLock;

use glib::IntoGStr;
use gst::DebugLevel;
use gst::log::DebugLogger;

/// The category of the element itself.
pub static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("p2phlssrc", gst::DebugColorFlags::empty(), Some("Peer-assisted HLS source"))
});

/// The categories of the rooms that log through the `log` crate.
static ROOMS: LazyLock<[gst::DebugCategory; 4]> = LazyLock::new(|| {
    [
        ("p2phls-engine", "Sessions: playlists, segments, bytes"),
        ("p2phls-swarm", "Peers and trackers"),
        ("p2phls-switcher", "Where each byte is taken from"),
        ("p2phls-net", "HTTP, data channels and tracker sockets"),
    ]
    .map(|(name, what)| gst::DebugCategory::new(name, gst::DebugColorFlags::empty(), Some(what)))
});

/// Everything that is not ours: WebRTC, TLS, HTTP libraries.
static DEPS: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    let what = "Libraries that the plugin is made with";
    gst::DebugCategory::new("p2phls-deps", gst::DebugColorFlags::empty(), Some(what))
});

/// Hands the `log` crate's records to GStreamer, unless something in this process took them first.
pub fn install() {
    LazyLock::force(&CAT);
    LazyLock::force(&ROOMS);
    LazyLock::force(&DEPS);
    if log::set_logger(&Bridge).is_ok() {
        refresh();
    }
}

/// Follows the categories' thresholds: what no category wants is not even formatted.
///
/// The `log` crate has one limit for all targets, and GStreamer does not tell when a threshold
/// changes, so this is called whenever an element starts.
pub fn refresh() {
    let wanted = ROOMS.iter().chain([&*DEPS]).map(|category| category.threshold()).max();
    log::set_max_level(match wanted {
        Some(DebugLevel::Error) => log::LevelFilter::Error,
        Some(DebugLevel::Warning | DebugLevel::Fixme) => log::LevelFilter::Warn,
        Some(DebugLevel::Info) => log::LevelFilter::Info,
        Some(DebugLevel::Debug | DebugLevel::Log) => log::LevelFilter::Debug,
        Some(DebugLevel::Trace | DebugLevel::Memdump) => log::LevelFilter::Trace,
        _ => log::LevelFilter::Off,
    });
}

struct Bridge;

impl log::Log for Bridge {
    fn enabled(&self, metadata: &log::Metadata) -> bool {
        category(metadata.target()).above_threshold(level(metadata.level()))
    }

    fn log(&self, record: &log::Record) {
        let category = category(record.target());
        let level = level(record.level());
        // Formatting the file name costs more than the question.
        if !category.above_threshold(level) {
            return;
        }
        let function = record.module_path().unwrap_or_default();
        record.file().unwrap_or_default().run_with_gstr(|file| {
            let line = record.line().unwrap_or_default();
            category.log(None::<&gst::Object>, level, file, function, line, *record.args());
        });
    }

    fn flush(&self) {}
}

fn category(target: &str) -> gst::DebugCategory {
    *ROOMS.iter().find(|category| category.name() == target).unwrap_or(&DEPS)
}

fn level(level: log::Level) -> DebugLevel {
    match level {
        log::Level::Error => DebugLevel::Error,
        log::Level::Warn => DebugLevel::Warning,
        log::Level::Info => DebugLevel::Info,
        log::Level::Debug => DebugLevel::Debug,
        log::Level::Trace => DebugLevel::Trace,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_target_has_its_category() {
        gst::init().expect("GStreamer starts");
        assert_eq!(category("p2phls-net").name(), "p2phls-net");
        assert_eq!(category("p2phls-engine").name(), "p2phls-engine");
        assert_eq!(category("webrtc::peer_connection").name(), "p2phls-deps");
    }

    #[test]
    fn records_reach_their_category_and_unwanted_ones_do_not() {
        gst::init().expect("GStreamer starts");
        ROOMS[3].set_threshold(DebugLevel::Info);
        DEPS.set_threshold(DebugLevel::None);
        let enabled = |target, level| {
            log::Log::enabled(&Bridge, &log::Metadata::builder().target(target).level(level).build())
        };
        assert!(enabled("p2phls-net", log::Level::Info));
        assert!(!enabled("p2phls-net", log::Level::Debug));
        assert!(!enabled("rtc::ice", log::Level::Error));
    }
}
