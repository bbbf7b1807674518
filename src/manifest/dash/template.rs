// SPDX-License-Identifier: MPL-2.0

//! Addresses with gaps: ISO/IEC 23009-1 5.3.9.4.4.

use std::fmt::Write as _;
use std::sync::Arc;

/// Widest number that is written; a template may not make gigabytes of zeros.
const MAX_WIDTH: usize = 64;

/// Longest address that is made; the rest of the template is left out.
const MAX_LENGTH: usize = 64 << 10;

/// An address with identifiers to be filled in, cut up once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Arc<[Piece]>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(Box<str>),
    RepresentationId,
    Number(Identifier, Format),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Identifier {
    Number,
    Time,
    Bandwidth,
    SubNumber,
}

/// `%0[width]d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Format {
    width: usize,
    radix: Radix,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Radix {
    Decimal,
    Octal,
    Hex,
    UpperHex,
}

/// What the identifiers stand for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Values<'a> {
    pub representation_id: &'a str,
    pub bandwidth: u64,
    pub number: i64,
    /// In ticks.
    pub time: i64,
    /// Counted from 1 within a segment sequence.
    pub sub_number: u64,
}

impl Template {
    /// Cuts up a template. What is between dollars and is no identifier stays as it is.
    pub fn new(text: &str) -> Self {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            literal.push_str(before);
            let Some((name, behind)) = after.split_once('$') else {
                literal.push('$');
                rest = after;
                break;
            };
            match Piece::identifier(name) {
                _ if name.is_empty() => {
                    literal.push('$');
                    rest = behind;
                }
                Some(piece) => {
                    if !literal.is_empty() {
                        pieces.push(Piece::Text(std::mem::take(&mut literal).into()));
                    }
                    pieces.push(piece);
                    rest = behind;
                }
                // The second dollar may begin an identifier.
                None => {
                    literal.push('$');
                    literal.push_str(name);
                    rest = &after[name.len()..];
                }
            }
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            pieces.push(Piece::Text(literal.into()));
        }
        Self(pieces.into())
    }

    /// Whether each segment is addressed by its time rather than by its number.
    pub fn uses_time(&self) -> bool {
        self.0.iter().any(|piece| matches!(piece, Piece::Number(Identifier::Time, _)))
    }

    /// Whether it addresses the parts of segments rather than whole ones.
    pub fn uses_sub_number(&self) -> bool {
        self.0.iter().any(|piece| matches!(piece, Piece::Number(Identifier::SubNumber, _)))
    }

    /// Whether all segments have the same address.
    pub fn is_fixed(&self) -> bool {
        let varies = |piece: &Piece| matches!(piece, Piece::Number(Identifier::Time | Identifier::Number, _));
        !self.0.iter().any(varies)
    }

    /// Fills in the template.
    pub fn expand(&self, values: &Values<'_>) -> String {
        let mut text = String::new();
        for piece in self.0.iter() {
            let long = |more: &str| text.len() + more.len() > MAX_LENGTH;
            match piece {
                Piece::Text(literal) if long(literal) => break,
                Piece::RepresentationId if long(values.representation_id) => break,
                Piece::Text(literal) => text.push_str(literal),
                Piece::RepresentationId => text.push_str(values.representation_id),
                Piece::Number(..) if text.len() > MAX_LENGTH => break,
                Piece::Number(identifier, format) => {
                    let number = match identifier {
                        Identifier::Number => values.number.into(),
                        Identifier::Time => values.time.into(),
                        Identifier::Bandwidth => values.bandwidth.into(),
                        Identifier::SubNumber => values.sub_number.into(),
                    };
                    format.write(number, &mut text);
                }
            }
        }
        text
    }
}

impl Piece {
    fn identifier(text: &str) -> Option<Self> {
        let (name, format) = match text.split_once('%') {
            Some((name, format)) => (name, Some(Format::read(format)?)),
            None => (text, None),
        };
        let identifier = match name {
            // A format has no meaning here.
            "RepresentationID" => return Some(Self::RepresentationId),
            "Number" => Identifier::Number,
            "Time" => Identifier::Time,
            "Bandwidth" => Identifier::Bandwidth,
            "SubNumber" => Identifier::SubNumber,
            _ => return None,
        };
        Some(Self::Number(identifier, format.unwrap_or(Format { width: 1, radix: Radix::Decimal })))
    }
}

impl Format {
    /// What follows the percent sign. The standard has `0[width]d` only; players know the other
    /// letters of printf too.
    fn read(text: &str) -> Option<Self> {
        let letter = text.chars().next_back()?;
        let radix = match letter {
            'd' | 'i' | 'u' => Radix::Decimal,
            'x' => Radix::Hex,
            'X' => Radix::UpperHex,
            'o' => Radix::Octal,
            _ => return None,
        };
        let width = &text[..text.len() - letter.len_utf8()];
        let width = if width.is_empty() { 1 } else { width.parse().ok()? };
        Some(Self { width: usize::min(width, MAX_WIDTH), radix })
    }

    fn write(self, number: i128, text: &mut String) {
        let width = self.width;
        if number < 0 {
            text.push('-');
        }
        let number = number.unsigned_abs();
        // Writing to a string does not fail.
        let _ = match self.radix {
            Radix::Decimal => write!(text, "{number:0width$}"),
            Radix::Octal => write!(text, "{number:0width$o}"),
            Radix::Hex => write!(text, "{number:0width$x}"),
            Radix::UpperHex => write!(text, "{number:0width$X}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_filled_in() {
        let values =
            Values { representation_id: "v$1", bandwidth: 5_000, number: 26, time: -90, sub_number: 3 };
        for (template, wanted) in [
            ("$RepresentationID$/$Number$.m4s", "v$1/26.m4s"),
            ("$Number%05d$-$Time$", "00026--90"),
            ("$Number%d$$Number%5d$", "2600026"),
            ("$Number%04x$ $Number%X$ $Number%o$", "001a 1A 32"),
            ("$Bandwidth%07d$_$SubNumber$", "0005000_3"),
            ("a$$b$$$Number$", "a$b$26"),
            ("$Unknown$Number$", "$Unknown26"),
            ("$Number%0é$", "$Number%0é$"),
            ("$Number%0.2f$", "$Number%0.2f$"),
            ("cost $5", "cost $5"),
            ("$", "$"),
            ("", ""),
            ("$number$", "$number$"),
        ] {
            assert_eq!(Template::new(template).expand(&values), wanted, "{template}");
        }
        let wide = Template::new("$Number%0999999999999d$");
        assert!(wide.expand(&values).len() < 100);
        assert!(Template::new("$Number%099999999d$").expand(&values).len() <= MAX_WIDTH);
        let endless = Template::new(&"$RepresentationID$".repeat(100_000));
        assert!(
            endless.expand(&Values { representation_id: &"x".repeat(10_000), ..values }).len() <= MAX_LENGTH
        );
        assert!(Template::new("$Time$").uses_time() && !Template::new("$Number$").uses_time());
        assert!(Template::new("$Bandwidth$.mp4").is_fixed());
    }
}
