// SPDX-License-Identifier: MPL-2.0

//! EXT-X-DEFINE: RFC 8216bis 4.4.2.3. Variables are put into what a line says before anything
//! reads it, so that no other module has to know of them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use url::Url;

use super::attributes::Attributes;
use crate::manifest::{MAX_BYTES, ManifestError};

/// Variables by name.
pub type Variables = BTreeMap<String, String>;

/// What is defined so far, while a playlist is read from its start to its end.
pub(super) struct Scope<'a> {
    pub variables: Variables,
    imports: &'a Variables,
    query: Variables,
    /// Bytes that may still be written: definitions can double each other's length, so what they
    /// yield has to be bounded like the input.
    budget: usize,
}

impl<'a> Scope<'a> {
    /// For a playlist loaded from `base` that may import `imports`.
    pub fn new(base: &Url, imports: &'a Variables) -> Self {
        let query = base.query_pairs().into_owned().collect();
        Self { variables: Variables::new(), imports, query, budget: MAX_BYTES }
    }

    /// Takes the attributes of an EXT-X-DEFINE. One that imports what is not there defines nothing.
    pub fn define(&mut self, attributes: &Attributes) {
        let definition = || {
            let (name, value) = if let Some(name) = attributes.get("NAME") {
                (name, attributes.get("VALUE").unwrap_or_default())
            } else if let Some(name) = attributes.get("IMPORT") {
                (name, self.imports.get(name)?.as_str())
            } else {
                let name = attributes.get("QUERYPARAM")?;
                (name, self.query.get(name)?.as_str())
            };
            // A query can hold what would end a quoted string or a line.
            Some((name.to_owned(), value.replace(['"', '\r', '\n'], "")))
        };
        self.variables.extend(definition());
    }

    /// Replaces `{$name}` by what is defined. References to unknown names stay as they are.
    pub fn expand<'t>(&mut self, text: &'t str, line: usize) -> Result<Cow<'t, str>, ManifestError> {
        let mut text = Cow::Borrowed(text);
        // Twice, as a value may name a variable that is defined after it.
        for _ in 0..2 {
            if self.variables.is_empty() || !text.contains("{$") {
                break;
            }
            let too_many = ManifestError::TooMany { line, what: "bytes of variables", limit: MAX_BYTES };
            text = Cow::Owned(self.expand_once(&text).ok_or(too_many)?);
        }
        Ok(text)
    }

    /// None: the budget is used up.
    fn expand_once(&mut self, text: &str) -> Option<String> {
        let mut expanded = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{$") {
            expanded.push_str(before);
            let name = after.split(['}', '{']).next().unwrap_or_default();
            match self.variables.get(name).filter(|_| after[name.len()..].starts_with('}')) {
                Some(value) => {
                    self.budget = self.budget.checked_sub(value.len())?;
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
        Some(expanded)
    }
}

#[cfg(test)]
mod tests {
    use super::super::lexer::{Line, lines};
    use super::*;

    /// The URIs of a playlist loaded from `base`, where `x` can be imported.
    fn uris(base: &str, text: &str) -> Result<Vec<String>, ManifestError> {
        let imports = Variables::from([("x".to_owned(), "imported".to_owned())]);
        let mut scope = Scope::new(&Url::parse(base).expect("a URL"), &imports);
        let mut uris = Vec::new();
        for (number, line) in lines(text.as_bytes())? {
            match line {
                Line::Tag { name, value } if name == "EXT-X-DEFINE" => {
                    let value = scope.expand(&value, number)?;
                    scope.define(&Attributes::parse(&value));
                }
                Line::Uri(uri) => uris.push(scope.expand(&uri, number)?.into_owned()),
                _ => {}
            }
        }
        Ok(uris)
    }

    #[test]
    fn puts_in_what_is_defined_before() {
        let text = "#EXTM3U\n{$a}.ts\n#EXT-X-DEFINE:NAME=\"a\",VALUE=\"1\"\n#EXT-X-DEFINE:NAME=\"b\",VALUE=\"<{$a}>\"\n\
            #EXT-X-DEFINE:IMPORT=\"x\"\n#EXT-X-DEFINE:IMPORT=\"y\"\n#EXT-X-DEFINE:QUERYPARAM=\"q\"\n\
            {$b}{$x}.ts\n{$y}{$q}\n{$ {$a} {$a\n";
        assert_eq!(
            uris("http://h/l.m3u8?q=a%22%0A/b", text),
            Ok(["{$a}.ts", "<1>imported.ts", "{$y}a/b", "{$ 1 {$a"].map(str::to_owned).to_vec())
        );
    }

    #[test]
    fn a_value_may_name_what_is_defined_later() {
        let text = "#EXTM3U\n#EXT-X-DEFINE:NAME=\"a\",VALUE=\"<{$b}>\"\n#EXT-X-DEFINE:NAME=\"b\",VALUE=\"{$a}\"\n{$a}";
        // But never without end.
        assert_eq!(uris("http://h/", text), Ok(vec!["<<{$b}>>".to_owned()]));
    }

    #[test]
    fn stops_before_definitions_blow_up() {
        let mut text = "#EXTM3U\n#EXT-X-DEFINE:NAME=\"a\",VALUE=\"aaaaaaaaaaaaaaaa\"\n".to_owned();
        text += &"#EXT-X-DEFINE:NAME=\"a\",VALUE=\"{$a}{$a}\"\n".repeat(60);
        assert!(matches!(uris("http://h/", &text), Err(ManifestError::TooMany { line, .. }) if line < 30));

        let text = format!(
            "#EXTM3U\n#EXT-X-DEFINE:NAME=\"a\",VALUE=\"{}\"\n{}",
            "a".repeat(1 << 20),
            "{$a}".repeat(1 << 20)
        );
        assert!(matches!(uris("http://h/", &text), Err(ManifestError::TooMany { line: 3, .. })));
    }
}
