// SPDX-License-Identifier: MPL-2.0

//! The `extra-headers` property: a structure whose fields are HTTP headers.

/// Why a field is no header.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum HeaderError {
    #[error("Extra header {0:?} is not the name of an HTTP header")]
    Name(String),
    #[error("Extra header {0:?} has a value that is neither a string nor an array of strings on one line")]
    Value(String),
}

/// The headers in order; an array makes one header a value.
pub fn from_structure(structure: Option<&gst::StructureRef>) -> Result<Vec<(String, String)>, HeaderError> {
    let mut headers = Vec::new();
    for (name, value) in structure.into_iter().flat_map(|structure| structure.iter()) {
        if name.is_empty() || !name.bytes().all(is_token) {
            return Err(HeaderError::Name(name.to_string()));
        }
        if let Ok(values) = value.get::<gst::ArrayRef>() {
            push_all(&mut headers, name, values.as_slice())?;
        } else if let Ok(values) = value.get::<gst::ListRef>() {
            push_all(&mut headers, name, values.as_slice())?;
        } else {
            push_all(&mut headers, name, std::slice::from_ref(value))?;
        }
    }
    Ok(headers)
}

fn push_all(
    headers: &mut Vec<(String, String)>,
    name: &str,
    values: &[glib::SendValue],
) -> Result<(), HeaderError> {
    for value in values {
        let text = text(value).filter(|text| !text.chars().any(char::is_control));
        headers.push((name.to_owned(), text.ok_or_else(|| HeaderError::Value(name.to_owned()))?));
    }
    Ok(())
}

/// A string, or what gst-launch took for a number.
fn text(value: &glib::Value) -> Option<String> {
    use glib::Type as T;
    match value.type_() {
        T::STRING | T::I32 | T::U32 | T::I64 | T::U64 | T::F64 | T::BOOL => {
            value.transform::<String>().ok()?.get().ok()?
        }
        _ => None,
    }
}

/// The characters of an HTTP token, RFC 9110 section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(structure: gst::Structure) -> Result<Vec<(String, String)>, HeaderError> {
        from_structure(Some(&structure))
    }

    #[test]
    fn strings_numbers_and_arrays_become_headers() {
        gst::init().expect("GStreamer starts");
        let structure = gst::Structure::builder("extra-headers")
            .field("Referer", "https://a.example/")
            .field("X-Try", 3)
            .field("X-Many", gst::Array::new(["a", "b"]))
            .field("X-List", gst::List::new(["c"]))
            .build();
        let expected = [
            ("Referer", "https://a.example/"),
            ("X-Try", "3"),
            ("X-Many", "a"),
            ("X-Many", "b"),
            ("X-List", "c"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(headers(structure), Ok(expected.to_vec()));
        assert_eq!(from_structure(None), Ok(Vec::new()));
    }

    #[test]
    fn what_is_no_header_is_refused() {
        gst::init().expect("GStreamer starts");
        let broken = gst::Structure::builder("h").field("X-A", "a\r\nX-B: b").build();
        assert_eq!(headers(broken), Err(HeaderError::Value("X-A".into())));
        let nested = gst::Structure::builder("h").field("X-A", gst::Structure::new_empty("x")).build();
        assert_eq!(headers(nested), Err(HeaderError::Value("X-A".into())));
        let name = gst::Structure::builder("h").field("X/A", "a").build();
        assert_eq!(headers(name), Err(HeaderError::Name("X/A".into())));
    }
}
