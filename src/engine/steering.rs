// SPDX-License-Identifier: MPL-2.0

//! Asks a steering server which pathway to take.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use url::Url;

use crate::manifest::{Presentation, SteeringManifest, in_data_uri};
use crate::net::cmcd::{Kind, Object};
use crate::net::http::{HttpClient, HttpError, Part};
use crate::switcher::{Pathways, Steered};

/// A steering manifest is a few hundred bytes; what is larger is none.
const MAX_BYTES: usize = 256 << 10;

/// What has not come whole after so long does not come.
const PATIENCE: Duration = Duration::from_secs(30);

/// Loads the steering manifest at `url`. What is wrong with it is logged: playback goes on without.
pub async fn ask(http: &HttpClient, url: &Url) -> Steered {
    log::debug!(target: "p2phls-engine", "which pathway to take is asked of {url}");
    let loaded = tokio::time::timeout(PATIENCE, load(http, url)).await;
    let trouble = match loaded {
        Ok(Ok((from, body))) => match SteeringManifest::parse(&from, &body) {
            Ok(manifest) => return Steered::To(manifest),
            Err(error) => (Steered::Nothing, format!("{from}: {error}")),
        },
        Ok(Err(error)) => (refusal(&error), error.to_string()),
        Err(_) => (Steered::Nothing, format!("{url}: it does not come to an end")),
    };
    log::warn!(target: "p2phls-engine", "no word of which pathway to take: {}", trouble.1);
    trouble.0
}

async fn load(http: &HttpClient, url: &Url) -> Result<(Url, Bytes), HttpError> {
    let bad = |reason: &str| HttpError::Connection { url: url.to_string(), reason: reason.to_owned() };
    match url.scheme() {
        "http" | "https" => {
            let http = http.asking_for(Object { kind: Kind::Other, ..Object::default() });
            http.get(url, Part::default(), MAX_BYTES).await
        }
        "data" => {
            let body = in_data_uri(url).ok_or_else(|| bad("it is not in base64"))?;
            Ok((url.clone(), body.into()))
        }
        _ => Err(bad("steering servers are asked by HTTP only")),
    }
}

/// What the server says by not answering: RFC 8216bis 7.
fn refusal(error: &HttpError) -> Steered {
    match error {
        HttpError::Status { status: 410, .. } => Steered::Gone,
        HttpError::Status { status: 429, retry_after: Some(wait), .. } => Steered::Wait(*wait),
        _ => Steered::Nothing,
    }
}

/// Takes an answer, and the pathways that it adds to the presentation.
pub fn take(pathways: &mut Pathways, presentation: &mut Arc<Presentation>, answer: Steered) {
    if let Steered::To(manifest) = &answer
        && !manifest.clones.is_empty()
    {
        manifest.add_clones(Arc::make_mut(presentation));
        pathways.take_presentation(presentation);
    }
    let now = Instant::now();
    pathways.handle_answer(now, answer);
    if pathways.choose(now) {
        log::info!(target: "p2phls-engine", "the pathway is {:?} now", pathways.current());
    }
}
