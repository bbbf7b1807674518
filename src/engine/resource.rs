// SPDX-License-Identifier: MPL-2.0

//! Loads what is small and cannot be done without: playlists and initialisation segments.

use std::io::ErrorKind;
use std::time::Duration;

use bytes::Bytes;
use url::Url;

use super::SessionError;
use crate::manifest::{ByteRange, Init};
use crate::net::cmcd::{Kind, Object};
use crate::net::http::{Fetched, HttpClient, HttpError, Part, Request};

/// The wait before the first further try; each one after that is twice as long, up to 32 times.
const BACKOFF: Duration = Duration::from_millis(300);

/// An initialisation segment is small; more than this is something else.
const MAX_INIT: usize = 4 << 20;

/// Loads an initialisation segment as [`load`] does.
///
/// # Errors
///
/// Those of [`load`].
pub async fn load_init(http: &HttpClient, init: &Init, retries: u32) -> Result<Bytes, SessionError> {
    let http = http.asking_for(Object { kind: Kind::Init, ..Object::default() });
    load(&http, &init.url, part(init.byte_range), MAX_INIT, retries).await.map(|(_, bytes)| bytes)
}

/// The part of a resource that a manifest names; None is all of it.
pub fn part(range: Option<ByteRange>) -> Part {
    range.map_or(Part::default(), |range| Part { offset: range.offset, length: Some(range.length) })
}

/// Loads `part` of a resource of at most `limit` bytes, with up to `retries` further tries. Gives its bytes
/// and where they came from in the end.
///
/// # Errors
///
/// Those of the last try. Only [`SessionError::Connection`] is worth another.
pub async fn load(
    http: &HttpClient,
    url: &Url,
    part: Part,
    limit: usize,
    retries: u32,
) -> Result<(Url, Bytes), SessionError> {
    let request = Request { url, part, head_only: false, limit };
    fetch(http, request, retries).await.map(|fetched| (fetched.url, fetched.body))
}

/// The same, with what the head of the response says.
pub async fn fetch(http: &HttpClient, request: Request<'_>, retries: u32) -> Result<Fetched, SessionError> {
    let mut tries = 0;
    loop {
        match http.fetch(request).await.map_err(SessionError::from) {
            Err(SessionError::Connection(_)) if tries < retries => {
                tokio::time::sleep(BACKOFF * 2u32.saturating_pow(tries.min(5))).await;
                tries += 1;
            }
            result => return result,
        }
    }
}

impl From<HttpError> for SessionError {
    fn from(error: HttpError) -> Self {
        let text = error.to_string();
        match error {
            HttpError::Status { status: 401 | 403 | 407, .. }
            | HttpError::FileNamedByOthers { .. }
            | HttpError::File { kind: ErrorKind::PermissionDenied, .. } => Self::NotAuthorized(text),
            HttpError::Status { status: 404 | 410, .. } | HttpError::File { .. } => Self::NotFound(text),
            HttpError::TooLarge { .. } | HttpError::NoRanges { .. } => Self::Format(text),
            _ => Self::Connection(text),
        }
    }
}
