// SPDX-License-Identifier: MPL-2.0

//! The URIs by which players reach this element: `p2p+https://…` stands for `https://…`, and so with `http` and `file`.
//!
//! Those without the prefix are left to the elements that already answer to them.

/// The schemes that [`gst::URIHandler`] announces.
pub const PROTOCOLS: &[&str] = &["p2p+https", "p2p+http", "p2p+file"];

const PREFIX: &str = "p2p+";

/// Where the playlist of such a URI is.
pub fn to_location(uri: &str) -> Result<String, glib::Error> {
    let scheme = uri.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    if !scheme.is_some_and(|scheme| PROTOCOLS.contains(&scheme.as_str())) {
        let message = format!("{uri:?} does not begin with p2p+https://, p2p+http:// or p2p+file://");
        return Err(glib::Error::new(gst::URIError::UnsupportedProtocol, &message));
    }
    let location = &uri[PREFIX.len()..];
    url::Url::parse(location)
        .map(|_| location.to_owned())
        .map_err(|error| glib::Error::new(gst::URIError::BadUri, &format!("{uri:?} is no URI: {error}")))
}

/// The URI for a playlist at `location`.
pub fn from_location(location: &str) -> String {
    format!("{PREFIX}{location}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_and_its_location_name_each_other() {
        for (uri, location) in [
            ("p2p+https://cdn.example/live.m3u8?t=1", "https://cdn.example/live.m3u8?t=1"),
            ("p2p+http://[::1]:8080/a.m3u8", "http://[::1]:8080/a.m3u8"),
            ("p2p+file:///tmp/a.m3u8", "file:///tmp/a.m3u8"),
        ] {
            assert_eq!(to_location(uri).expect("a good URI"), location);
            assert_eq!(from_location(location), uri);
        }
        assert_eq!(to_location("P2P+HTTPS://a/b").expect("schemes have no case"), "HTTPS://a/b");
    }

    #[test]
    fn other_uris_are_refused() {
        for uri in ["https://a/b", "p2p+ftp://a/b", "p2p+https:", "", "p2p+", "ä"] {
            let error = to_location(uri).expect_err(uri);
            assert_eq!(error.kind::<gst::URIError>(), Some(gst::URIError::UnsupportedProtocol));
        }
        let error = to_location("p2p+https://").expect_err("no host");
        assert_eq!(error.kind::<gst::URIError>(), Some(gst::URIError::BadUri));
    }
}
