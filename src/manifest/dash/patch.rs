// SPDX-License-Identifier: MPL-2.0

//! Patches of an MPD: ISO/IEC 23009-1 5.15, the part of RFC 5261 that it uses.

use super::DashError;
use super::xml::{Element, MAX_ELEMENTS, Node, local};
use crate::manifest::error::shorten;

/// Most operations of a patch.
const MAX_OPERATIONS: usize = 10_000;

/// Most elements that all operations of a patch may look at: each of them searches its way from
/// the root.
const MAX_STEPS: usize = 20_000_000;

/// Applies `patch` to a copy of `mpd`.
pub(super) fn apply(mpd: &Element, patch: &Element) -> Result<Element, DashError> {
    check(mpd, patch, "mpdId", "id")?;
    check(mpd, patch, "originalPublishTime", "publishTime")?;
    let mut root = mpd.clone();
    let mut steps = MAX_STEPS;
    for (place, operation) in patch.elements().enumerate() {
        if place == MAX_OPERATIONS {
            let (line, limit) = (operation.line, MAX_OPERATIONS);
            return Err(DashError::TooMany { line, what: "operations", limit });
        }
        let selector = operation.text_of("sel").unwrap_or_default();
        carry_out(&mut root, operation, selector, &mut steps).map_err(|reason| DashError::Patch {
            line: operation.line,
            selector: shorten(selector),
            reason,
        })?;
        // Cheap enough: what is added is the patch's own, once.
        if place % 256 == 0 && root.count() > MAX_ELEMENTS {
            return Err(DashError::TooMany { line: operation.line, what: "elements", limit: MAX_ELEMENTS });
        }
    }
    Ok(root)
}

fn check(mpd: &Element, patch: &Element, theirs: &str, what: &'static str) -> Result<(), DashError> {
    let (ours, theirs) = (mpd.text_of(what).unwrap_or_default(), patch.text_of(theirs).unwrap_or_default());
    let same_time =
        || super::values::date_time(ours).is_some_and(|t| super::values::date_time(theirs) == Some(t));
    if ours == theirs || (what == "publishTime" && same_time()) {
        return Ok(());
    }
    Err(DashError::OtherMpd { what, ours: shorten(ours), theirs: shorten(theirs) })
}

const NOT_FOUND: &str = "there is no such place";

fn carry_out(
    root: &mut Element,
    operation: &Element,
    selector: &str,
    steps: &mut usize,
) -> Result<(), &'static str> {
    let path = Path::read(selector)?;
    match (operation.local_name(), &path.attribute) {
        ("add", None) => {
            let new = operation.children.iter().cloned();
            match (operation.text_of("type"), operation.text_of("pos")) {
                (Some(kind), _) => {
                    let name = kind.strip_prefix('@').ok_or("only attributes can be added by type")?;
                    set(path.element(root, steps)?, name, &operation.text());
                }
                (None, None) => path.element(root, steps)?.children.extend(new),
                (None, Some("prepend")) => {
                    path.element(root, steps)?.children.splice(..0, new);
                }
                (None, Some(place)) => {
                    let (parent, index) = path.place(root, steps)?;
                    let index = match place {
                        "before" => index,
                        "after" => index + 1,
                        _ => return Err("pos is neither before, after nor prepend"),
                    };
                    parent.children.splice(index..index, new);
                }
            }
        }
        ("add", Some(name)) => set(path.element(root, steps)?, name, &operation.text()),
        ("replace", Some(name)) => {
            let element = path.element(root, steps)?;
            let known = attribute(element, name).ok_or(NOT_FOUND)?;
            element.attributes[known].1 = (*operation.text()).into();
        }
        ("replace", None) => {
            let new = operation.elements().next().cloned().ok_or("there is nothing to put in its place")?;
            if path.steps.len() == 1 {
                *path.element(root, steps)? = new;
            } else {
                let (parent, index) = path.place(root, steps)?;
                parent.children[index] = Node::Element(new);
            }
        }
        ("remove", Some(name)) => {
            let element = path.element(root, steps)?;
            let known = attribute(element, name).ok_or(NOT_FOUND)?;
            element.attributes.remove(known);
        }
        ("remove", None) => {
            let (parent, index) = path.place(root, steps)?;
            parent.children.remove(index);
        }
        _ => return Err("the operation is not known"),
    }
    Ok(())
}

fn attribute(element: &Element, name: &str) -> Option<usize> {
    element.attributes.iter().position(|(n, _)| local(n) == local(name))
}

fn set(element: &mut Element, name: &str, value: &str) {
    match attribute(element, name) {
        Some(known) => element.attributes[known].1 = value.into(),
        None => element.attributes.push((name.into(), value.into())),
    }
}

/// `/MPD/Period[@id='1']/AdaptationSet[2]/@lang`.
struct Path<'a> {
    steps: Vec<Step<'a>>,
    attribute: Option<&'a str>,
}

struct Step<'a> {
    name: &'a str,
    conditions: Vec<Condition<'a>>,
}

enum Condition<'a> {
    /// Of those that the conditions before let through, counted from 1.
    Position(usize),
    Last,
    Attribute(&'a str, &'a str),
}

impl<'a> Path<'a> {
    fn read(selector: &'a str) -> Result<Self, &'static str> {
        let mut rest = selector.strip_prefix('/').ok_or("the selector does not begin with a slash")?;
        let (mut steps, mut attribute) = (Vec::new(), None);
        loop {
            if let Some(name) = rest.strip_prefix('@') {
                attribute = Some(name);
                break;
            }
            let end = rest.find(['[', '/']).unwrap_or(rest.len());
            let (name, behind) = rest.split_at(end);
            if name.is_empty() || name.contains(['(', ')', '*']) {
                return Err("the selector has something that patches of MPDs do not use");
            }
            let mut step = Step { name: local(name), conditions: Vec::new() };
            rest = behind;
            while let Some(inner) = rest.strip_prefix('[') {
                let (condition, behind) = Condition::read(inner)?;
                step.conditions.push(condition);
                rest = behind;
            }
            steps.push(step);
            match rest.strip_prefix('/') {
                Some(behind) if steps.len() < 32 => rest = behind,
                None if rest.is_empty() => break,
                _ => return Err("the selector cannot be read"),
            }
        }
        if steps.is_empty() { Err("the selector has no element") } else { Ok(Self { steps, attribute }) }
    }

    /// The element that is meant.
    fn element<'t>(
        &self,
        root: &'t mut Element,
        budget: &mut usize,
    ) -> Result<&'t mut Element, &'static str> {
        let (first, rest) = self.steps.split_first().ok_or(NOT_FOUND)?;
        if !first.is(root) {
            return Err(NOT_FOUND);
        }
        let mut element = root;
        for step in rest {
            let index = step.find(element, budget)?;
            match element.children.get_mut(index) {
                Some(Node::Element(child)) => element = child,
                _ => return Err(NOT_FOUND),
            }
        }
        Ok(element)
    }

    /// The parent of the element that is meant, and its place there.
    fn place<'t>(
        &self,
        root: &'t mut Element,
        budget: &mut usize,
    ) -> Result<(&'t mut Element, usize), &'static str> {
        let (last, above) = self.steps.split_last().ok_or(NOT_FOUND)?;
        if above.is_empty() {
            return Err("the root has no place");
        }
        let above = Path { steps: above.iter().map(Step::again).collect(), attribute: None };
        let parent = above.element(root, budget)?;
        let index = last.find(parent, budget)?;
        Ok((parent, index))
    }
}

impl<'a> Step<'a> {
    fn again(&self) -> Self {
        let conditions = self.conditions.iter().map(|condition| match condition {
            Condition::Position(position) => Condition::Position(*position),
            Condition::Last => Condition::Last,
            Condition::Attribute(name, value) => Condition::Attribute(name, value),
        });
        Step { name: self.name, conditions: conditions.collect() }
    }

    /// Whether an element that has no siblings is meant.
    fn is(&self, element: &Element) -> bool {
        let holds = |condition: &Condition<'_>| match condition {
            Condition::Position(position) => *position == 1,
            Condition::Last => true,
            Condition::Attribute(name, value) => element.attribute(name) == Some(*value),
        };
        element.is(self.name) && self.conditions.iter().all(holds)
    }

    /// The place of the child that is meant.
    fn find(&self, parent: &Element, budget: &mut usize) -> Result<usize, &'static str> {
        const TOO_MUCH: &str = "the patch takes too much work";
        *budget = budget.checked_sub(parent.children.len()).ok_or(TOO_MUCH)?;
        let mut found: Vec<(usize, &Element)> = Vec::new();
        for (index, child) in parent.children.iter().enumerate() {
            if let Node::Element(child) = child
                && child.is(self.name)
            {
                found.push((index, child));
            }
        }
        for condition in &self.conditions {
            match condition {
                Condition::Position(position) => {
                    found = position.checked_sub(1).and_then(|p| found.get(p).copied()).into_iter().collect();
                }
                Condition::Last => found = found.last().copied().into_iter().collect(),
                Condition::Attribute(name, value) => found.retain(|(_, e)| e.attribute(name) == Some(*value)),
            }
        }
        // RFC 5261 4.1 wants it to be the only one; where it is not, the first will do.
        found.first().map(|(index, _)| *index).ok_or(NOT_FOUND)
    }
}

impl<'a> Condition<'a> {
    /// Reads what stands behind an opening bracket; gives what stands behind the closing one.
    fn read(text: &'a str) -> Result<(Self, &'a str), &'static str> {
        const ODD: &str = "a condition of the selector cannot be read";
        if let Some(attribute) = text.trim_start().strip_prefix('@') {
            let (name, value) = attribute.split_once('=').ok_or(ODD)?;
            let value = value.trim_start();
            let quote = value.chars().next().filter(|c| matches!(c, '\'' | '"')).ok_or(ODD)?;
            let (value, behind) = value[1..].split_once(quote).ok_or(ODD)?;
            let behind = behind.trim_start().strip_prefix(']').ok_or(ODD)?;
            return Ok((Self::Attribute(local(name.trim()), value), behind));
        }
        let (inner, behind) = text.split_once(']').ok_or(ODD)?;
        let condition = match inner.trim() {
            "last()" => Self::Last,
            number => Self::Position(number.parse().map_err(|_| ODD)?),
        };
        Ok((condition, behind))
    }
}
