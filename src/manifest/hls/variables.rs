// SPDX-License-Identifier: MPL-2.0

//! EXT-X-DEFINE: RFC 8216bis 4.4.2.3. Variables are put into the raw text before anything reads
//! it, so that no other module has to know of them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use url::Url;

use super::attributes::Attributes;
use super::lexer::Entry;
use crate::manifest::{MAX_BYTES, ManifestError};

/// Variables by name.
pub type Variables = BTreeMap<String, String>;

/// Replaces `{$name}` in `entries` by what is defined before it, and gives all that was defined.
/// References to unknown names stay as they are.
pub(super) fn substitute(
    base: &Url,
    imports: &Variables,
    entries: &mut [Entry],
) -> Result<Variables, ManifestError> {
    let mut variables = Variables::new();
    // Definitions can double each other's length: what they yield is bounded like the input.
    let mut written = 0;
    let mut replace = |text: &mut String, line, variables: &Variables| {
        if let Cow::Owned(replaced) = expand(text, variables) {
            written += replaced.len();
            *text = replaced;
        }
        match written > MAX_BYTES {
            true => Err(ManifestError::TooMany { line, what: "bytes of variables", limit: MAX_BYTES }),
            false => Ok(()),
        }
    };
    for entry in entries {
        for tag in &mut entry.tags {
            replace(&mut tag.text, tag.line, &variables)?;
            if tag.name() == "EXT-X-DEFINE" {
                variables.extend(definition(base, imports, &Attributes::parse(tag.value())));
            }
        }
        if let Some(uri) = &mut entry.uri {
            replace(uri, entry.line, &variables)?;
        }
    }
    Ok(variables)
}

fn definition(base: &Url, imports: &Variables, attributes: &Attributes) -> Option<(String, String)> {
    let (name, value) = if let Some(name) = attributes.get("NAME") {
        (name, attributes.get("VALUE").unwrap_or_default().to_owned())
    } else if let Some(name) = attributes.get("IMPORT") {
        (name, imports.get(name)?.clone())
    } else {
        let name = attributes.get("QUERYPARAM")?;
        (name, base.query_pairs().find(|(key, _)| key == name)?.1.into_owned())
    };
    // A query can hold what would end a quoted string or a line.
    Some((name.to_owned(), value.replace(['"', '\r', '\n'], "")))
}

/// One pass: what a variable brings in is not looked at again.
fn expand<'a>(text: &'a str, variables: &Variables) -> Cow<'a, str> {
    if variables.is_empty() || !text.contains("{$") {
        return Cow::Borrowed(text);
    }
    let mut expanded = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{$") {
        expanded.push_str(before);
        let name = after.split(['}', '{']).next().unwrap_or_default();
        match variables.get(name).filter(|_| after[name.len()..].starts_with('}')) {
            Some(value) => {
                expanded.push_str(value);
                rest = &after[name.len() + 1..];
            }
            None => {
                expanded.push_str("{$");
                rest = after;
            }
        }
    }
    expanded.push_str(rest);
    Cow::Owned(expanded)
}

#[cfg(test)]
mod tests {
    use super::super::lexer;
    use super::*;

    /// The URIs of a playlist loaded from `base`, where `x` can be imported.
    fn uris(base: &str, text: &str) -> Result<Vec<String>, ManifestError> {
        let mut entries = lexer::entries(text.as_bytes())?;
        let imports = Variables::from([("x".to_owned(), "imported".to_owned())]);
        substitute(&Url::parse(base).expect("a URL"), &imports, &mut entries)?;
        Ok(entries.into_iter().filter_map(|entry| entry.uri).collect())
    }

    #[test]
    fn puts_in_what_is_defined_before() {
        let text = "#EXTM3U\n{$a}.ts\n#EXT-X-DEFINE:NAME=\"a\",VALUE=\"{$a}1\"\n#EXT-X-DEFINE:NAME=\"b\",VALUE=\"<{$a}>\"\n\
            #EXT-X-DEFINE:IMPORT=\"x\"\n#EXT-X-DEFINE:IMPORT=\"y\"\n#EXT-X-DEFINE:QUERYPARAM=\"q\"\n\
            {$b}{$x}.ts\n{$y}{$q}\n{$ {$a} {$a\n";
        assert_eq!(
            uris("http://h/l.m3u8?q=a%22%0A/b", text),
            Ok(["{$a}.ts", "<{$a}1>imported.ts", "{$y}a/b", "{$ {$a}1 {$a"].map(str::to_owned).to_vec())
        );
    }

    #[test]
    fn stops_before_definitions_blow_up() {
        let mut text = "#EXTM3U\n#EXT-X-DEFINE:NAME=\"a\",VALUE=\"aaaaaaaaaaaaaaaa\"\n".to_owned();
        text += &"#EXT-X-DEFINE:NAME=\"a\",VALUE=\"{$a}{$a}\"\n".repeat(60);
        assert!(matches!(uris("http://h/", &text), Err(ManifestError::TooMany { line, .. }) if line < 30));
    }
}
