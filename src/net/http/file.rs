// SPDX-License-Identifier: MPL-2.0

//! Files of this machine, read as HTTP resources are: in parts, piece by piece, no further than they were long
//! when they were opened.

use std::io::{self, SeekFrom};

use bytes::{Bytes, BytesMut};
use tokio::fs::{self, File};
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use url::Url;

use super::Part;
use super::error::HttpError;

/// Bytes that are read at a time.
const PIECE: usize = 64 << 10;

/// A file that is being read.
#[derive(Debug)]
pub(super) struct LocalFile {
    pub url: Url,
    file: File,
    /// Bytes still to come.
    left: u64,
    /// Size of the whole file.
    pub total: u64,
}

impl LocalFile {
    /// Opens the file of a `file:` URL at a part.
    pub async fn open(url: &Url, part: Part) -> Result<Self, HttpError> {
        let failed = |error: io::Error| failure(url, &error);
        let elsewhere = || failed(io::Error::new(io::ErrorKind::InvalidInput, "it is on another host"));
        let path = url.to_file_path().map_err(|()| elsewhere())?;
        // Asked before it is opened, too: to open a pipe can take for ever, and to open a device can do something.
        check(&fs::metadata(&path).await.map_err(failed)?).map_err(failed)?;
        let mut file = File::open(&path).await.map_err(failed)?;
        let metadata = file.metadata().await.map_err(failed)?;
        check(&metadata).map_err(failed)?;
        let total = metadata.len();
        if part != Part::default() && part.offset >= total {
            return Err(HttpError::NoMore { url: url.to_string(), total: Some(total) });
        }
        if part.offset > 0 {
            file.seek(SeekFrom::Start(part.offset)).await.map_err(failed)?;
        }
        let rest = total - part.offset;
        let left = part.length.map_or(rest, |length| length.min(rest));
        Ok(Self { url: url.clone(), file, left, total })
    }

    /// The next bytes, None at the end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, HttpError> {
        if self.left == 0 {
            return Ok(None);
        }
        let piece = self.left.min(PIECE as u64);
        let mut bytes = BytesMut::with_capacity(PIECE);
        let read = (&mut self.file).take(piece).read_buf(&mut bytes).await;
        let read = read.and_then(|read| match read {
            0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it has become shorter while it was read")),
            read => Ok(read as u64),
        });
        self.left -= read.map_err(|error| failure(&self.url, &error))?;
        Ok(Some(bytes.freeze()))
    }
}

/// Only of regular files is it known that they have an end.
fn check(metadata: &std::fs::Metadata) -> io::Result<()> {
    match metadata.is_file() {
        true => Ok(()),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file")),
    }
}

/// What the system says of a file.
fn failure(url: &Url, error: &io::Error) -> HttpError {
    HttpError::File { url: url.to_string(), kind: error.kind(), reason: error.to_string() }
}
