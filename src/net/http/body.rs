// SPDX-License-Identifier: MPL-2.0

//! What a request brings: a response, or a file.

use std::time::Duration;

use bytes::Bytes;
use reqwest::Response;
use reqwest::header::HeaderName;
use url::Url;

use super::error::{HttpError, failure};
use super::file::LocalFile;
use super::hosts::Place;
use crate::net::cmcd;

/// A response whose body is still to come.
#[derive(Debug)]
pub struct Body {
    pub(super) source: Source,
    /// Its place among the requests to its host, until it has come or nobody wants it; a file has none.
    pub(super) _place: Option<Place>,
    pub(super) timeout: Duration,
    /// Offset in the resource of the first byte that comes.
    pub offset: u64,
    /// Size of the whole resource, if the server says it.
    pub total: Option<u64>,
}

/// Where the bytes come from.
#[derive(Debug)]
pub(super) enum Source {
    Response(Response),
    File(LocalFile),
}

impl Body {
    /// The next bytes, None at the end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, HttpError> {
        let timeout = self.timeout;
        let chunk = async {
            match &mut self.source {
                Source::Response(response) => {
                    let chunk = response.chunk().await;
                    chunk.map_err(|error| failure(response.url(), &error, timeout, None))
                }
                Source::File(file) => file.chunk().await,
            }
        };
        match tokio::time::timeout(timeout, chunk).await {
            Ok(chunk) => chunk,
            Err(_) => {
                let url = cmcd::without_query(self.url()).to_string();
                Err(HttpError::TimedOut { url, waited: timeout })
            }
        }
    }

    /// Where it came from in the end.
    pub(super) fn url(&self) -> &Url {
        match &self.source {
            Source::Response(response) => response.url(),
            Source::File(file) => &file.url,
        }
    }

    /// A header of the response; files have none.
    pub(super) fn header(&self, name: HeaderName) -> Option<&str> {
        match &self.source {
            Source::Response(response) => response.headers().get(name)?.to_str().ok(),
            Source::File(_) => None,
        }
    }
}
