// SPDX-License-Identifier: MPL-2.0

//! HTTP requests that the viewer asked for, each a task of its own.

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use url::Url;

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

/// Starts a request for the segment from `offset` on. What comes of it is sent to `events`; when these
/// are not taken, the response is not read.
pub fn spawn(
    http: HttpClient,
    fetch: FetchId,
    target: FetchTarget,
    offset: u64,
    events: mpsc::Sender<FetchEvent>,
) -> AbortHandle {
    let task = tokio::spawn(async move {
        let event = match run(&http, fetch, &target, offset, &events).await {
            Ok(()) => FetchEvent::Ended { fetch },
            Err(error) => FetchEvent::Failed { fetch, failure: classify(&error), error },
        };
        // The session has ended when nobody listens.
        let _ = events.send(event).await;
    });
    task.abort_handle()
}

async fn run(
    http: &HttpClient,
    fetch: FetchId,
    target: &FetchTarget,
    offset: u64,
    events: &mpsc::Sender<FetchEvent>,
) -> Result<(), HttpError> {
    let mut body = http.open(&target.url, target.part(offset), false).await?;
    let first = target.range.map_or(0, |range| range.offset);
    // A server that does not know ranges sends the whole resource: fine if that is the segment.
    let offset = body.offset.checked_sub(first);
    let offset = offset.ok_or_else(|| HttpError::WrongRange { url: target.url.to_string() })?;
    let total = target.range.map(|range| range.length).or(body.total);
    if events.send(FetchEvent::Started { fetch, offset, total }).await.is_err() {
        return Ok(());
    }
    while let Some(bytes) = body.chunk().await? {
        if events.send(FetchEvent::Bytes { fetch, bytes }).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

fn classify(error: &HttpError) -> FetchFailure {
    match error {
        HttpError::Status { status: 404 | 410, .. } => FetchFailure::NotFound,
        HttpError::Status { status: 401 | 403, .. } => FetchFailure::Refused,
        _ => FetchFailure::Failed,
    }
}
