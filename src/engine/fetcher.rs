// SPDX-License-Identifier: MPL-2.0

//! HTTP requests that the viewer asked for, each a task of its own.

use std::io::ErrorKind;

use bytes::Bytes;
use tokio::task::AbortHandle;
use url::Url;

use super::stream::{FetchEvents, StreamId};
use crate::manifest::ByteRange;
use crate::net::http::{HttpClient, HttpError, Part};
use crate::viewer::{FetchFailure, FetchId};

/// What becomes of a request.
#[derive(Debug)]
pub enum FetchEvent {
    /// The response begins, at this offset of the segment.
    Started {
        fetch: FetchId,
        offset: u64,
        total: Option<u64>,
    },
    Bytes {
        fetch: FetchId,
        bytes: Bytes,
    },
    Ended {
        fetch: FetchId,
    },
    /// There is nothing from the byte on that was asked for: the segment has ended there, or has not got farther
    /// yet.
    Nothing {
        fetch: FetchId,
        /// Size of the segment, if the server says it.
        total: Option<u64>,
    },
    Failed {
        fetch: FetchId,
        failure: FetchFailure,
        error: HttpError,
    },
}

/// What to fetch.
#[derive(Clone, Debug)]
pub struct FetchTarget {
    pub url: Url,
    /// The part of the resource that is the segment.
    pub range: Option<ByteRange>,
}

impl FetchTarget {
    /// The part to ask for when `offset` bytes of the segment are there.
    fn part(&self, offset: u64) -> Part {
        match self.range {
            Some(range) => Part {
                offset: range.offset.saturating_add(offset),
                length: Some(range.length.saturating_sub(offset)),
            },
            None => Part { offset, length: None },
        }
    }
}

/// What goes on for longer than this is no segment, but something that does not end.
const MAX_SEGMENT: u64 = 1 << 30;

/// Starts a request of `stream` for the segment from `offset` on. What comes of it is sent to `events`; when these
/// are not taken, the response is not read.
pub fn spawn(
    http: HttpClient,
    stream: StreamId,
    fetch: FetchId,
    target: FetchTarget,
    offset: u64,
    events: FetchEvents,
) -> AbortHandle {
    let task = tokio::spawn(async move {
        let event = match run(&http, stream, fetch, &target, offset, &events).await {
            Ok(()) => FetchEvent::Ended { fetch },
            Err(HttpError::NoMore { total, .. }) if target.range.is_none() => {
                FetchEvent::Nothing { fetch, total }
            }
            Err(error) => FetchEvent::Failed { fetch, failure: classify(&error), error },
        };
        // The session has ended when nobody listens.
        let _ = events.send((stream, event)).await;
    });
    task.abort_handle()
}

async fn run(
    http: &HttpClient,
    stream: StreamId,
    fetch: FetchId,
    target: &FetchTarget,
    offset: u64,
    events: &FetchEvents,
) -> Result<(), HttpError> {
    let url = || target.url.to_string();
    let part = target.part(offset);
    if part.length == Some(0) {
        // No Range header can ask for nothing.
        let total = target.range.map(|range| range.length);
        let _ = events.send((stream, FetchEvent::Started { fetch, offset, total })).await;
        return Ok(());
    }
    let mut body = http.open(&target.url, part, false).await?;
    let first = target.range.map_or(0, |range| range.offset);
    // A server that does not know ranges sends the whole resource: fine if that is where the segment begins.
    let offset = body.offset.checked_sub(first).ok_or_else(|| HttpError::NoRanges { url: url() })?;
    let total = target.range.map(|range| range.length).or(body.total);
    if events.send((stream, FetchEvent::Started { fetch, offset, total })).await.is_err() {
        return Ok(());
    }
    // Where the segment is a part, a server may go on after it.
    let mut left = target.range.map_or(MAX_SEGMENT, |range| range.length).saturating_sub(offset);
    while left > 0
        && let Some(mut bytes) = body.chunk().await?
    {
        bytes.truncate(left.try_into().unwrap_or(usize::MAX));
        left -= bytes.len() as u64;
        if events.send((stream, FetchEvent::Bytes { fetch, bytes })).await.is_err() {
            return Ok(());
        }
    }
    match target.range {
        None if left == 0 => Err(HttpError::TooLarge { url: url(), limit: MAX_SEGMENT as usize }),
        _ => Ok(()),
    }
}

fn classify(error: &HttpError) -> FetchFailure {
    match error {
        HttpError::Status { status: 404 | 410, .. } => FetchFailure::NotFound,
        HttpError::File { kind: ErrorKind::NotFound, .. } => FetchFailure::NotFound,
        HttpError::Status { status: 401 | 403 | 407, .. }
        | HttpError::NoRanges { .. }
        | HttpError::File { .. }
        | HttpError::FileNamedByOthers { .. }
        | HttpError::TooLarge { .. } => FetchFailure::Refused,
        _ => FetchFailure::Failed,
    }
}
