// SPDX-License-Identifier: MPL-2.0

//! Loads what is small and cannot be done without: playlists and initialisation segments.

use std::time::Duration;

use bytes::Bytes;
use url::Url;

use super::SessionError;
use crate::net::http::{Fetched, HttpClient, HttpError, Part, Request};

/// The wait before the first further try; each one after that is twice as long, up to 32 times.
const BACKOFF: Duration = Duration::from_millis(300);

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
            HttpError::Status { status: 404 | 410, .. } => Self::NotFound(text),
            HttpError::Status { status: 401 | 403, .. } => Self::NotAuthorized(text),
            HttpError::TooLarge { .. } | HttpError::NoRanges { .. } => Self::Format(text),
            _ => Self::Connection(text),
        }
    }
}
