// SPDX-License-Identifier: MPL-2.0

//! A session's errors in GStreamer's words; the table stands in [the element's page](super).

use super::log::CAT;
use crate::engine::SessionError;

/// How the element tells the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    Warning,
    Error,
}

/// Posts a session's error. `playing` tells whether the presentation was known by then.
pub fn post(element: &gst::Element, severity: Severity, error: &SessionError, playing: bool) {
    match error {
        SessionError::NotFound(_) => post_as(element, severity, gst::ResourceError::NotFound, error),
        SessionError::NotAuthorized(_) => {
            post_as(element, severity, gst::ResourceError::NotAuthorized, error)
        }
        SessionError::Connection(_) if playing => post_as(element, severity, gst::ResourceError::Read, error),
        SessionError::Connection(_) => post_as(element, severity, gst::ResourceError::OpenRead, error),
        SessionError::Format(_) => post_as(element, severity, gst::StreamError::Format, error),
        SessionError::Settings(_) => post_as(element, severity, gst::ResourceError::Settings, error),
        SessionError::NoKey(_) => post_as(element, severity, gst::StreamError::DecryptNokey, error),
        SessionError::Decrypt(_) => post_as(element, severity, gst::StreamError::Decrypt, error),
        SessionError::Unsupported(_) => post_as(element, severity, gst::StreamError::NotImplemented, error),
    }
}

fn post_as(
    element: &gst::Element,
    severity: Severity,
    code: impl gst::MessageErrorDomain,
    error: &SessionError,
) {
    let message = error.to_string();
    match severity {
        Severity::Error => {
            gst::error!(CAT, obj = element, "{message}");
            gst::element_error!(element, code, ("{message}"), ["{error:?}"]);
        }
        Severity::Warning => {
            gst::warning!(CAT, obj = element, "{message}");
            gst::element_warning!(element, code, ("{message}"), ["{error:?}"]);
        }
    }
}
