// SPDX-License-Identifier: MPL-2.0

//! Data channels: one ordered, reliable message pipe to one other viewer.
//!
//! A [`Connector`] makes [`Offer`]s and answers other viewers' offers; either way the result is a
//! [`Link`], whose task owns the connection. Signalling is not trickled: every session description
//! (SDP) that leaves or enters carries all of its candidates, because the tracker relays exactly
//! one offer and one answer.
//!
//! How pressure reaches the sender: [`Link::send`] never waits. A link tells how much it holds
//! ([`Link::buffered`]) and how much more is worth handing over ([`Link::room`]), and says
//! [`LinkEvent::Writable`] when it is time to hand over more. How pressure reaches the other
//! viewer: a link whose events are not read stops reading, and the transport's window closes.
//!
//! | file | concept |
//! | --- | --- |
//! | `config` | which servers and local addresses to use |
//! | `sdp` | what is let in from another viewer's session description |
//! | `runtime` | sockets with the buffers and the pace that this traffic needs |
//! | `connector` | offers, answers, and the life of one connection |
//! | `link` | the pipe to another viewer: events in, messages out |
//! | `pipe` | the task behind it |
//! | `window` | how much to have under way on a path of this speed |
//!
//! The types of the `webrtc` and `rtc` crates stop here.

mod config;
mod connector;
mod link;
mod pipe;
mod runtime;
mod sdp;
mod window;

pub use config::{RtcConfig, ServerError};
pub use connector::{Connector, Offer};
pub use link::{CloseReason, Link, LinkEvent, LinkEvents, LinkSender, SendError};
pub use sdp::SdpError;

/// Bytes per message when a segment is cut up for sending.
///
/// It fills exactly 14 packets of 1160 bytes. The transport hands the kernel many packets in one
/// call only when they are equally long, and a message that ends in a short packet breaks the run:
/// 16384-byte messages are half as fast and cost three times as much processor time.
pub const MESSAGE_SIZE: usize = 16_240;

/// The longest message in bytes that is sent or accepted. It is advertised to the other viewer;
/// p2p-media-loader sends up to 65 535.
pub const MAX_MESSAGE_SIZE: usize = 65_536;

/// Why a connection could not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RtcError {
    /// A STUN or TURN server's address cannot be used.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The other viewer's session description was refused.
    #[error("the peer's session description was refused: {0}")]
    Sdp(#[from] SdpError),
    /// There is no tokio runtime to run connections on.
    #[error("data channels need a tokio runtime")]
    NoRuntime,
    /// No address was found at which others could reach this viewer.
    #[error("no address was found at which others could reach this viewer")]
    Unreachable,
    /// The connection could not be set up, for example because no socket could be bound.
    #[error("the connection could not be set up: {0}")]
    Setup(String),
}

impl RtcError {
    /// Keeps the transport's error as text, so that its type does not leave this room.
    fn setup(error: impl std::fmt::Display) -> Self {
        Self::Setup(error.to_string())
    }
}
