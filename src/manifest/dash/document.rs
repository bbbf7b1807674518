// SPDX-License-Identifier: MPL-2.0

//! The text of an MPD, which patches change and into which remote elements are put, until it is
//! read as an [`Mpd`].

use url::Url;

use super::mpd::Mpd;
use super::xml::{self, Element, MAX_ELEMENTS, Node};
use super::{DashError, patch, read};

/// The element stands for nothing: ISO/IEC 23009-1 5.5.3.
const RESOLVE_TO_ZERO: &str = "urn:mpeg:dash:resolve-to-zero:2013";

/// Most remote elements of an MPD.
const MAX_LINKS: usize = 256;

/// How often what came from elsewhere may point elsewhere again, so that no circle goes on.
const MAX_HOPS: u32 = 4;

/// An MPD as it was loaded.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    url: Url,
    root: Element,
    mpd: Mpd,
}

/// An element whose content stands elsewhere: 5.5.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Places of the children, from the root down.
    path: Vec<usize>,
    /// Where the content is.
    pub url: Url,
    /// The content is needed now; otherwise, when playback comes to it.
    pub on_load: bool,
    /// What the content is to be: `Period`, `AdaptationSet` and so on.
    pub element: String,
}

impl Document {
    /// Reads an MPD that was loaded from `url` (after redirects).
    pub fn parse(url: &Url, body: &[u8]) -> Result<Self, DashError> {
        Self::new(url.clone(), xml::read(body, "MPD")?)
    }

    fn new(url: Url, mut root: Element) -> Result<Self, DashError> {
        remove_empty_links(&mut root);
        let mpd = read::mpd(&url, &root)?;
        Ok(Self { url, root, mpd })
    }

    pub fn mpd(&self) -> &Mpd {
        &self.mpd
    }

    /// Applies a patch (5.15). On an error nothing has changed, and the whole MPD has to be loaded.
    pub fn patch(&mut self, body: &[u8]) -> Result<(), DashError> {
        let patch = xml::read(body, "Patch")?;
        let root = patch::apply(&self.root, &patch)?;
        *self = Self::new(self.url.clone(), root)?;
        Ok(())
    }

    /// What has to be fetched from elsewhere before the MPD is whole.
    pub fn links(&self) -> Vec<Link> {
        let mut links = Vec::new();
        collect(&self.url, &self.root, &mut Vec::new(), &mut links);
        links
    }

    /// Puts in what was fetched for `link`: any number of elements of its kind. None: it could not
    /// be had, and the element is taken as it is, as 5.5.3 has it.
    pub fn resolve(&mut self, link: &Link, body: Option<&[u8]>) -> Result<(), DashError> {
        let Some((last, above)) = link.path.split_last() else { return Ok(()) };
        let mut root = self.root.clone();
        let mut parent = &mut root;
        for index in above {
            match parent.children.get_mut(*index) {
                Some(Node::Element(child)) => parent = child,
                _ => return Ok(()),
            }
        }
        let Some(Node::Element(element)) = parent.children.get_mut(*last) else { return Ok(()) };
        let hops = hops(element);
        let content = body.map(|body| fragments(body, &link.element)).transpose()?;
        match content {
            Some(mut content) => {
                for new in &mut content {
                    // Addresses in it are relative to where it came from only if it says so itself.
                    if new.attribute("href").is_some() {
                        note_hops(new, hops + 1);
                    }
                }
                parent.children.splice(*last..=*last, content.into_iter().map(Node::Element));
            }
            None => element.attributes.retain(|(name, _)| xml::local(name) != "href"),
        }
        if root.count() > MAX_ELEMENTS {
            return Err(DashError::TooMany { line: root.line, what: "elements", limit: MAX_ELEMENTS });
        }
        *self = Self::new(self.url.clone(), root)?;
        Ok(())
    }
}

/// Reads any number of elements called `name`, which need no common root.
fn fragments(body: &[u8], name: &str) -> Result<Vec<Element>, DashError> {
    let text = String::from_utf8_lossy(body);
    let text = text.trim_start_matches('\u{feff}').trim_start();
    // A declaration is allowed at the very start only.
    let text = match text.strip_prefix("<?xml") {
        Some(rest) => rest.split_once("?>").map_or("", |(_, rest)| rest),
        None => text,
    };
    let wrapped = format!("<fragments>{text}</fragments>");
    let root = xml::read(wrapped.as_bytes(), "fragments")?;
    Ok(root
        .children
        .into_iter()
        .filter_map(|child| match child {
            Node::Element(element) if element.is(name) => Some(element),
            _ => None,
        })
        .collect())
}

/// How often the element has been replaced already.
fn hops(element: &Element) -> u32 {
    element.attribute(HOPS).and_then(|hops| hops.parse().ok()).unwrap_or(0)
}

/// No name that XML knows, so that no MPD can have it.
const HOPS: &str = "\0hops";

fn note_hops(element: &mut Element, hops: u32) {
    element.attributes.push((HOPS.into(), hops.to_string().into()));
}

fn collect(base: &Url, element: &Element, path: &mut Vec<usize>, links: &mut Vec<Link>) {
    for (index, child) in element.children.iter().enumerate() {
        let Node::Element(child) = child else { continue };
        path.push(index);
        let url = child.text_of("href").filter(|_| !path.is_empty()).and_then(|href| base.join(href).ok());
        if let Some(url) =
            url.filter(|_| links.len() < MAX_LINKS && hops(child) < MAX_HOPS && can_be_remote(child))
        {
            links.push(Link {
                path: path.clone(),
                url,
                on_load: child.text_of("actuate") == Some("onLoad"),
                element: child.local_name().to_owned(),
            });
        } else {
            collect(base, child, path, links);
        }
        path.pop();
    }
}

/// The elements that may stand elsewhere: 5.5.2.
fn can_be_remote(element: &Element) -> bool {
    const REMOTE: [&str; 7] = [
        "Period",
        "AdaptationSet",
        "SegmentList",
        "EventStream",
        "InitializationSet",
        "InitializationGroup",
        "Preselection",
    ];
    REMOTE.contains(&element.local_name())
}

/// Takes out the elements that stand for nothing.
fn remove_empty_links(element: &mut Element) {
    let is_nothing = |child: &Node| {
        matches!(child, Node::Element(child)
            if can_be_remote(child) && child.text_of("href") == Some(RESOLVE_TO_ZERO))
    };
    element.children.retain(|child| !is_nothing(child));
    for child in &mut element.children {
        if let Node::Element(child) = child {
            remove_empty_links(child);
        }
    }
}
