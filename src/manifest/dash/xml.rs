// SPDX-License-Identifier: MPL-2.0

//! XML text -> a tree, bounded, and as lenient as browsers are.
//!
//! Names are compared without their prefix: packagers forget to declare prefixes, and players take
//! it. A tree, rather than types straight from the text, is what patches and remote elements are
//! put into, and one bad attribute spoils nothing but itself.

use std::borrow::Cow;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::DashError;
use crate::manifest::MAX_BYTES;
use crate::manifest::error::shorten;

/// Most elements of a document, what patches and remote elements add included.
pub(super) const MAX_ELEMENTS: usize = 400_000;

/// Most levels of elements.
const MAX_DEPTH: usize = 48;

/// Most attributes of an element; the surplus is left out.
const MAX_ATTRIBUTES: usize = 128;

/// An element with what is in it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Element {
    /// As written, with its prefix.
    pub name: Box<str>,
    /// Name as written, and value; in the order of the text.
    pub attributes: Vec<(Box<str>, Box<str>)>,
    pub children: Vec<Node>,
    /// Line on which it begins.
    pub line: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Element(Element),
    Text(Box<str>),
}

impl Element {
    /// The name without a prefix.
    pub fn local_name(&self) -> &str {
        local(&self.name)
    }

    pub fn is(&self, name: &str) -> bool {
        self.local_name() == name
    }

    /// The value of an attribute, whatever its prefix.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(n, _)| local(n) == name && !n.starts_with("xmlns:"));
        found.map(|(_, value)| &**value)
    }

    /// The value of an attribute, trimmed, unless that is empty.
    pub fn text_of(&self, name: &str) -> Option<&str> {
        self.attribute(name).map(str::trim).filter(|value| !value.is_empty())
    }

    pub fn elements(&self) -> impl Iterator<Item = &Element> {
        self.children.iter().filter_map(|child| match child {
            Node::Element(element) => Some(element),
            Node::Text(_) => None,
        })
    }

    /// The children called `name`.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element> + 'a {
        self.elements().filter(move |element| element.is(name))
    }

    pub fn first<'a>(&'a self, name: &'a str) -> Option<&'a Element> {
        self.all(name).next()
    }

    /// The text directly in it, trimmed.
    pub fn text(&self) -> Cow<'_, str> {
        let mut texts = self.children.iter().filter_map(|child| match child {
            Node::Text(text) => Some(&**text),
            Node::Element(_) => None,
        });
        let first = texts.next().unwrap_or_default();
        match texts.next() {
            None => Cow::Borrowed(first.trim()),
            Some(second) => {
                let all: String = [first, second].into_iter().chain(texts).collect();
                Cow::Owned(all.trim().to_owned())
            }
        }
    }

    /// How many elements there are, this one included.
    pub fn count(&self) -> usize {
        1 + self.elements().map(Element::count).sum::<usize>()
    }

    /// The text of what is in it, written anew.
    pub fn inner_xml(&self) -> String {
        let mut text = String::new();
        self.children.iter().for_each(|child| child.write(&mut text));
        text
    }

    /// The text of it and of what is in it, written anew.
    pub fn outer_xml(&self) -> String {
        let mut text = String::new();
        self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) {
        text.push('<');
        text.push_str(&self.name);
        for (name, value) in &self.attributes {
            text.push(' ');
            text.push_str(name);
            text.push_str("=\"");
            text.push_str(&quick_xml::escape::escape(value.as_ref()));
            text.push('"');
        }
        if self.children.is_empty() {
            text.push_str("/>");
        } else {
            text.push('>');
            self.children.iter().for_each(|child| child.write(text));
            text.push_str("</");
            text.push_str(&self.name);
            text.push('>');
        }
    }
}

impl Node {
    fn write(&self, text: &mut String) {
        match self {
            Self::Text(content) => text.push_str(&quick_xml::escape::partial_escape(content.as_ref())),
            Self::Element(element) => element.write(text),
        }
    }
}

pub(super) fn local(name: &str) -> &str {
    name.rsplit_once(':').map_or(name, |(_, local)| local)
}

/// Reads a document whose root is called `root`.
pub(super) fn read(body: &[u8], root: &'static str) -> Result<Element, DashError> {
    if body.len() > MAX_BYTES {
        return Err(DashError::TooLarge { size: body.len(), limit: MAX_BYTES });
    }
    let text = text(body);
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.is_empty() {
        return Err(DashError::Empty);
    }
    let element = Parser::new(text, root == "MPD").document()?;
    if !element.is(root) {
        let found = shorten(&element.name);
        return Err(DashError::Root { line: element.line, found, expected: root });
    }
    Ok(element)
}

/// UTF-8, or UTF-16 with a byte order mark. What cannot be read is replaced.
fn text(body: &[u8]) -> Cow<'_, str> {
    let utf16 = |read: fn([u8; 2]) -> u16| -> Cow<'_, str> {
        let units = body[2..].chunks_exact(2).map(|pair| read([pair[0], pair[1]]));
        char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
    };
    match body {
        [0xff, 0xfe, ..] => utf16(u16::from_le_bytes),
        [0xfe, 0xff, ..] => utf16(u16::from_be_bytes),
        _ => String::from_utf8_lossy(body),
    }
}

struct Parser<'a> {
    text: &'a str,
    reader: Reader<&'a [u8]>,
    /// Counted up to `counted`.
    line: usize,
    counted: usize,
    elements: usize,
}

impl<'a> Parser<'a> {
    /// A lenient one takes ends that do not fit.
    fn new(text: &'a str, lenient: bool) -> Self {
        let mut reader = Reader::from_str(text);
        let config = reader.config_mut();
        config.allow_dangling_amp = true;
        config.trim_markup_names_in_closing_tags = true;
        config.allow_unmatched_ends = lenient;
        config.check_end_names = !lenient;
        Self { text, reader, line: 1, counted: 0, elements: 0 }
    }

    fn document(mut self) -> Result<Element, DashError> {
        let mut open: Vec<Element> = Vec::new();
        loop {
            let event = match self.reader.read_event() {
                Ok(event) => event,
                // Something that should be closed goes on to the end.
                Err(quick_xml::Error::Syntax(_)) if !open.is_empty() => {
                    let line = self.line_at(self.reader.buffer_position());
                    return end(open, line);
                }
                Err(error) => {
                    let line = self.line_at(self.reader.error_position());
                    return Err(DashError::Xml { line, reason: error.to_string() });
                }
            };
            let line = self.line_at(self.reader.buffer_position());
            let closed = match event {
                Event::Start(tag) => {
                    if open.len() == MAX_DEPTH {
                        return Err(DashError::TooMany { line, what: "levels", limit: MAX_DEPTH });
                    }
                    let element = self.element(&tag, line)?;
                    open.push(element);
                    continue;
                }
                Event::Empty(tag) => self.element(&tag, line)?,
                Event::End(tag) => {
                    let name = tag.name();
                    // One that was never opened closes nothing; one further out closes those within.
                    let Some(at) = open.iter().rposition(|e| *e.name == *name.as_ref()) else { continue };
                    while open.len() > at + 1 {
                        close_last(&mut open);
                    }
                    match open.pop() {
                        Some(element) => element,
                        None => continue,
                    }
                }
                Event::Eof => return end(open, line),
                Event::Text(text) => {
                    add_text(&mut open, &text);
                    continue;
                }
                Event::CData(text) => {
                    add_text(&mut open, &text);
                    continue;
                }
                Event::GeneralRef(name) => {
                    let mut written = String::new();
                    resolve(&name, &mut written);
                    add_text(&mut open, &written);
                    continue;
                }
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => continue,
            };
            match open.last_mut() {
                Some(parent) => parent.children.push(Node::Element(closed)),
                // What follows the root is of no interest.
                None => return Ok(closed),
            }
        }
    }

    fn element(&mut self, tag: &BytesStart<'_>, line: usize) -> Result<Element, DashError> {
        self.elements += 1;
        if self.elements > MAX_ELEMENTS {
            return Err(DashError::TooMany { line, what: "elements", limit: MAX_ELEMENTS });
        }
        let mut attributes = tag.attributes();
        attributes.with_checks(false);
        let attributes = attributes
            .take(MAX_ATTRIBUTES)
            .filter_map(Result::ok)
            .map(|attribute| (attribute.key.as_ref().into(), unescape(&attribute.value).into()))
            .collect();
        Ok(Element { name: tag.name().as_ref().into(), attributes, children: Vec::new(), line })
    }

    fn line_at(&mut self, position: u64) -> usize {
        let position = usize::try_from(position).unwrap_or(usize::MAX).min(self.text.len());
        if position > self.counted {
            let passed = &self.text.as_bytes()[self.counted..position];
            self.line += passed.iter().filter(|byte| **byte == b'\n').count();
            self.counted = position;
        }
        self.line
    }
}

/// Closes the innermost element, which is not the root.
fn close_last(open: &mut Vec<Element>) {
    let inner = open.pop();
    if let (Some(inner), Some(parent)) = (inner, open.last_mut()) {
        parent.children.push(Node::Element(inner));
    }
}

/// The text has ended within the elements that are `open`. What of an MPD is whole is taken, as
/// browsers' parsers do, as long as there is something to play.
fn end(open: Vec<Element>, line: usize) -> Result<Element, DashError> {
    let Some(innermost) = open.last() else {
        return Err(DashError::Xml { line, reason: "there is no element".into() });
    };
    let error = DashError::CutShort { line: innermost.line, element: shorten(&innermost.name) };
    match open.into_iter().next() {
        Some(root) if root.is("MPD") && root.first("Period").is_some() => {
            log::warn!(target: "p2phls-manifest", "{error}: only what is whole is taken");
            Ok(root)
        }
        _ => Err(error),
    }
}

/// White space between elements is left out, or it would take more memory than they do.
fn add_text(open: &mut [Element], text: &str) {
    let Some(element) = open.last_mut() else { return };
    match element.children.last_mut() {
        // Text comes in pieces where references stand in it.
        Some(Node::Text(known)) => {
            let mut joined = String::from(std::mem::take(known));
            joined.push_str(text);
            *known = joined.into();
        }
        _ if text.trim().is_empty() => {}
        _ => element.children.push(Node::Text(text.into())),
    }
}

/// Puts in what references stand for. An ampersand that begins none stays: many write addresses
/// so.
fn unescape(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let mut rest = value;
    while let Some(at) = rest.find('&') {
        text.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let end = rest.bytes().take(MAX_REFERENCE).position(|byte| byte == b';');
        match end.filter(|end| known(&rest[..*end]).is_some()) {
            Some(end) => {
                resolve(&rest[..end], &mut text);
                rest = &rest[end + 1..];
            }
            None => text.push('&'),
        }
    }
    text.push_str(rest);
    text
}

/// Longest reference that is known, `#x10ffff;`, and some zeros.
const MAX_REFERENCE: usize = 16;

fn known(name: &str) -> Option<char> {
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(digits) => u32::from_str_radix(digits, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code).filter(|c| *c != '\0')?
        }
    })
}

fn resolve(name: &str, text: &mut String) {
    match known(name) {
        Some(c) => text.push(c),
        None => {
            text.push('&');
            text.push_str(name);
            text.push(';');
        }
    }
}
