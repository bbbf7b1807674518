// SPDX-License-Identifier: MPL-2.0

//! Descriptors: a scheme and what it says. ISO/IEC 23009-1 5.8.

use super::xml::Element;

/// Most descriptors of one kind at one place; the surplus is left out.
const MAX_DESCRIPTORS: usize = 256;

/// Any element of DescriptorType: Role, Accessibility, EssentialProperty and so on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Descriptor {
    /// @schemeIdUri as written; empty where it is missing.
    pub scheme: String,
    pub value: Option<String>,
    pub id: Option<String>,
}

impl Descriptor {
    pub(super) fn read(element: &Element) -> Self {
        let text = |name| element.text_of(name).map(str::to_owned);
        Self { scheme: text("schemeIdUri").unwrap_or_default(), value: text("value"), id: text("id") }
    }

    /// The children called `name` of `element`.
    pub(super) fn all(element: &Element, name: &str) -> Vec<Self> {
        element.all(name).take(MAX_DESCRIPTORS).map(Self::read).collect()
    }

    pub(super) fn is(&self, scheme: &str) -> bool {
        self.scheme.eq_ignore_ascii_case(scheme)
    }
}

/// Label: a name for people, 5.3.10.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    pub language: Option<String>,
    pub text: String,
}

impl Label {
    /// The Labels of `element`, and @label where there is none, as some write it.
    pub(super) fn all(element: &Element) -> Vec<Self> {
        let label = |label: &Element| Self {
            language: label.text_of("lang").map(str::to_owned),
            text: label.text().into_owned(),
        };
        let mut labels: Vec<_> = element.all("Label").take(MAX_DESCRIPTORS).map(label).collect();
        if labels.is_empty() {
            labels
                .extend(element.text_of("label").map(|text| Self { language: None, text: text.to_owned() }));
        }
        labels
    }
}
