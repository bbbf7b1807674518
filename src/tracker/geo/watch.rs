// SPDX-License-Identifier: MPL-2.0

//! The atlas that is in use, and a new one when its files have changed.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use super::{Atlas, Files, GeoError};

/// Time and length of each file, as far as they can be seen.
type Stamps = Vec<Option<(SystemTime, u64)>>;

/// An atlas that follows its files.
#[derive(Debug)]
pub struct Watched {
    files: Files,
    current: RwLock<Current>,
}

#[derive(Debug)]
struct Current {
    atlas: Arc<Atlas>,
    stamps: Stamps,
}

impl Watched {
    /// Reads the files; blocks.
    ///
    /// # Errors
    ///
    /// As [`Atlas::read`].
    pub fn open(files: Files) -> Result<Self, GeoError> {
        let stamps = stamps(&files);
        let atlas = Arc::new(Atlas::read(&files)?);
        Ok(Self { files, current: RwLock::new(Current { atlas, stamps }) })
    }

    /// The atlas in use.
    pub fn atlas(&self) -> Arc<Atlas> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).atlas.clone()
    }

    /// Reads the files again if they have changed since they were last read; blocks. Returns
    /// whether they had.
    ///
    /// # Errors
    ///
    /// As [`Atlas::read`]. The atlas in use stays then, and the same files are not tried again: a
    /// file that is being written changes once more.
    pub fn refresh(&self) -> Result<bool, GeoError> {
        let stamps = stamps(&self.files);
        {
            let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
            if current.stamps == stamps {
                return Ok(false);
            }
            current.stamps = stamps;
        }
        // Nobody waits for this.
        let atlas = Arc::new(Atlas::read(&self.files)?);
        self.current.write().unwrap_or_else(PoisonError::into_inner).atlas = atlas;
        Ok(true)
    }
}

fn stamps(files: &Files) -> Stamps {
    let stamp = |path: &Path| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    files.data.iter().chain(&files.sites).map(|path| stamp(path)).collect()
}
