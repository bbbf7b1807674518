// SPDX-License-Identifier: MPL-2.0

//! The decision trace of one viewer: the lines that the viewer itself writes into the debug log (see
//! [`crate::viewer::trace`]), with the world's time before them.

use std::cell::Cell;
use std::ops::Range;
use std::sync::OnceLock;

use super::time::{Micros, to_seconds};
use crate::viewer::trace::TARGET;

thread_local! {
    /// The time in the world while the traced viewer acts on this thread.
    static ACTING: Cell<Option<Micros>> = const { Cell::new(None) };
}

/// Hands each line of the trace, or of one segment's, to `tell`. One process can do so once, for the [`log`] crate has one logger.
pub fn install(
    segment: Option<u32>,
    tell: impl Fn(&str) + Send + Sync + 'static,
) -> Result<(), log::SetLoggerError> {
    static LINES: OnceLock<Lines> = OnceLock::new();
    let lines = || Lines {
        start: segment.map_or_else(String::new, |segment| format!("segment {segment}: ")),
        tell: Box::new(tell),
    };
    log::set_logger(LINES.get_or_init(lines))?;
    log::set_max_level(log::LevelFilter::Debug);
    Ok(())
}

struct Lines {
    /// How the lines begin that are of interest.
    start: String,
    tell: Box<dyn Fn(&str) + Send + Sync>,
}

impl log::Log for Lines {
    fn enabled(&self, metadata: &log::Metadata) -> bool {
        metadata.target() == TARGET && ACTING.get().is_some()
    }

    fn log(&self, record: &log::Record) {
        let Some(now) = ACTING.get().filter(|_| record.target() == TARGET) else { return };
        let line = record.args().to_string();
        if line.starts_with(&self.start) {
            (self.tell)(&format!("{:10.6} {line}", to_seconds(now)));
        }
    }

    fn flush(&self) {}
}

/// Tells a shard's viewers apart: only one is traced.
#[derive(Debug)]
pub struct Trace {
    viewer: Option<u32>,
}

impl Trace {
    /// Traces nothing unless the viewer is one of `people`.
    pub fn new(viewer: Option<u32>, people: &Range<u32>) -> Self {
        Self { viewer: viewer.filter(|viewer| people.contains(viewer)) }
    }

    /// A viewer begins to act.
    #[inline]
    pub fn begin(&self, now: Micros, viewer: u32) {
        if self.viewer == Some(viewer) {
            ACTING.set(Some(now));
        }
    }

    /// It is done.
    #[inline]
    pub fn end(&self) {
        if self.viewer.is_some() {
            ACTING.set(None);
        }
    }
}
