// SPDX-License-Identifier: MPL-2.0

use std::sync::{Arc, LazyLock, Mutex, MutexGuard};

use gst::prelude::*;
use gst::subclass::prelude::*;

use crate::element::log::{self, CAT};
use crate::element::run::Run;
use crate::element::seek::Seek;
use crate::element::settings::{PROPERTIES, Settings, SettingsError};
use crate::element::{query, stats, uri};
use crate::engine::{Stats, TrackKind};

#[derive(Default)]
pub struct P2pHlsSrc {
    settings: Mutex<Settings>,
    run: Mutex<Playing>,
}

/// What plays, and what stays from one playback to the next.
#[derive(Default)]
struct Playing {
    /// None in NULL and READY.
    run: Option<Arc<Run>>,
    /// Came when there was nothing to seek in.
    early_seek: Option<Seek>,
    /// Of the last playback, to be read after it.
    last_stats: Stats,
}

#[glib::object_subclass]
impl ObjectSubclass for P2pHlsSrc {
    const NAME: &'static str = "GstP2pHlsSrc";
    type Type = super::P2pHlsSrc;
    type ParentType = gst::Element;
    type Interfaces = (gst::URIHandler,);
}

impl ObjectImpl for P2pHlsSrc {
    fn properties() -> &'static [glib::ParamSpec] {
        static SPECS: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            let settings = PROPERTIES.iter().map(|property| property.spec.clone());
            let readings = [
                glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
                    .blurb(stats::BLURB)
                    .read_only()
                    .build(),
                glib::ParamSpecDouble::builder("peer-efficiency")
                    .blurb("Share of the segments' bytes that came from peers and not over HTTP since playback began, \
                         from 0 to 1")
                    .maximum(1.0)
                    .minimum(0.0)
                    .read_only()
                    .build(),
                glib::ParamSpecUInt::builder("peers").blurb("Number of peers connected now").read_only().build(),
            ];
            settings.chain(readings).collect()
        });
        &SPECS
    }

    fn set_property(&self, id: usize, value: &glib::Value, spec: &glib::ParamSpec) {
        let Some(property) = PROPERTIES.get(id - 1) else { unreachable!("{} is read-only", spec.name()) };
        if self.run().is_some() {
            gst::warning!(CAT, imp = self, "{} counts from the next start on", spec.name());
        }
        match spec.name() {
            "cookies" | "extra-headers" | "proxy" | "proxy-id" | "proxy-pw" => {
                gst::debug!(CAT, imp = self, "{} is set, to what may be secret", spec.name());
            }
            name => gst::debug!(CAT, imp = self, "{name} = {value:?}"),
        }
        (property.set)(&mut self.settings.lock().unwrap(), value);
    }

    fn property(&self, id: usize, spec: &glib::ParamSpec) -> glib::Value {
        if let Some(property) = PROPERTIES.get(id - 1) {
            return (property.get)(&self.settings.lock().unwrap());
        }
        let stats = self.stats();
        match spec.name() {
            "stats" => stats::to_structure(&stats).to_value(),
            "peer-efficiency" => stats.counters.peer_efficiency().to_value(),
            "peers" => stats::peers(&stats).to_value(),
            name => unreachable!("{name} is no property"),
        }
    }

    fn constructed(&self) {
        self.parent_constructed();
        self.obj().set_element_flags(gst::ElementFlags::SOURCE);
    }
}

impl GstObjectImpl for P2pHlsSrc {}

impl ElementImpl for P2pHlsSrc {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Peer-assisted HLS and DASH source",
                "Source/Network/HTTP/WebRTC",
                "Plays HLS and DASH and takes most bytes from other viewers over WebRTC instead of from the CDN",
                "p2phls developers",
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let template = |name| {
                let caps = gst::Caps::new_any();
                gst::PadTemplate::new(name, gst::PadDirection::Src, gst::PadPresence::Sometimes, &caps)
                    .expect("a good template")
            };
            ["video_%02u", "audio_%02u", "subtitle_%02u"].map(template).into()
        });
        &TEMPLATES
    }

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        if transition == gst::StateChange::ReadyToPaused {
            self.start().map_err(|error| {
                gst::error!(CAT, imp = self, "{error}");
                match error {
                    SettingsError::NoLocation | SettingsError::Location(..) => {
                        gst::element_imp_error!(self, gst::ResourceError::NotFound, ("{error}"));
                    }
                    _ => gst::element_imp_error!(self, gst::ResourceError::Settings, ("{error}")),
                }
                gst::StateChangeError
            })?;
        }
        let run = self.run();
        if transition == gst::StateChange::PausedToReady
            && let Some(run) = &run
        {
            // Streaming threads end before the base class takes the pads from under them.
            let stats = run.stop();
            self.playing().last_stats = stats;
        }
        let changed = self.parent_change_state(transition);
        if transition == gst::StateChange::PausedToReady
            && let Some(run) = run
        {
            run.remove_pads();
            self.playing().run = None;
        }
        changed
    }

    fn send_event(&self, event: gst::Event) -> bool {
        match event.view() {
            gst::EventView::Eos(_) => self.run().is_some_and(|run| run.finish()),
            _ => self.upstream_event(&event),
        }
    }

    fn query(&self, query: &mut gst::QueryRef) -> bool {
        self.answer(query).unwrap_or_else(|| self.parent_query(query))
    }
}

impl URIHandlerImpl for P2pHlsSrc {
    const URI_TYPE: gst::URIType = gst::URIType::Src;

    fn protocols() -> &'static [&'static str] {
        uri::PROTOCOLS
    }

    fn uri(&self) -> Option<String> {
        self.settings.lock().unwrap().location.as_deref().map(uri::from_location)
    }

    fn set_uri(&self, uri: &str) -> Result<(), glib::Error> {
        if self.run().is_some() {
            let message = "The URI can be set in NULL and READY only";
            return Err(glib::Error::new(gst::URIError::BadState, message));
        }
        let location = uri::to_location(uri)?;
        gst::debug!(CAT, imp = self, "location = {location}");
        self.settings.lock().unwrap().location = Some(location);
        self.obj().notify("location");
        Ok(())
    }
}

impl P2pHlsSrc {
    fn playing(&self) -> MutexGuard<'_, Playing> {
        self.run.lock().unwrap()
    }

    fn run(&self) -> Option<Arc<Run>> {
        self.playing().run.clone()
    }

    fn start(&self) -> Result<(), SettingsError> {
        log::refresh();
        let settings = self.settings.lock().unwrap().clone();
        let mut playing = self.playing();
        let early = playing.early_seek.take();
        playing.run = Some(Run::start(self.obj().upcast_ref(), &settings, early)?);
        Ok(())
    }

    fn stats(&self) -> Stats {
        match self.run().and_then(|run| run.session()) {
            Some(session) => session.stats(),
            None => self.playing().last_stats.clone(),
        }
    }

    /// Handles what is meant for one pad alone.
    ///
    /// Where the application seeks, `subparse` asks whoever feeds it to begin its file anew. The seek itself comes
    /// by the other pads, and takes this one along.
    pub fn pad_event(&self, pad: &gst::Pad, event: &gst::Event) -> Option<bool> {
        let gst::EventView::Seek(seek) = event.view() else { return None };
        let in_bytes = seek.get().3.format() == gst::Format::Bytes;
        let track = self.run()?.tracks().into_iter().find(|track| track.pad == *pad)?;
        let is_text = in_bytes && track.kind == TrackKind::Subtitles;
        is_text.then(|| {
            track.renew_segment();
            true
        })
    }

    /// Handles an event from downstream or from the application.
    pub fn upstream_event(&self, event: &gst::Event) -> bool {
        match event.view() {
            gst::EventView::Seek(seek) => match Seek::try_from(seek) {
                Ok(seek) => self.seek(seek),
                Err(refusal) => {
                    gst::info!(CAT, imp = self, "Seek refused: {refusal}");
                    false
                }
            },
            gst::EventView::SelectStreams(choice) => self.run().is_some_and(|run| run.select(choice)),
            // Nothing here could act on them, and they have nowhere else to go.
            gst::EventView::Qos(_) | gst::EventView::Latency(_) | gst::EventView::Reconfigure(_) => true,
            _ => false,
        }
    }

    fn seek(&self, seek: Seek) -> bool {
        let mut playing = self.playing();
        match playing.run.clone() {
            Some(run) => {
                drop(playing);
                run.seek(seek)
            }
            // Whether that can be is not known yet.
            None if seek.is_backward() => false,
            None => {
                playing.early_seek = Some(seek);
                true
            }
        }
    }

    /// Answers a query, if it is one for this element.
    pub fn answer(&self, query: &mut gst::QueryRef) -> Option<bool> {
        let location = self.settings.lock().unwrap().location.clone();
        query::answer(self.run().as_deref(), location.as_deref(), query)
    }
}
