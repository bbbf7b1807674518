// SPDX-License-Identifier: MPL-2.0

//! The boxes of ISO/IEC 14496-12, walked without knowing what is in them: one that is new or odd
//! must not keep the others from being found.

/// Kind of a box.
pub(super) type Name = [u8; 4];

/// Header of a box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub name: Name,
    /// Bytes of the header itself: 8, or 16 with a long size.
    pub length: usize,
    /// Bytes of header and content; None: up to the end.
    pub size: Option<u64>,
}

impl Header {
    /// Most bytes that [`Header::read`] looks at.
    pub const MAX: usize = 16;

    /// Reads the header at the start of `bytes`. None: more bytes are needed. An impossible size
    /// is given as it is.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let (size, rest) = bytes.split_first_chunk()?;
        let (name, rest) = rest.split_first_chunk()?;
        let (length, size) = match u32::from_be_bytes(*size) {
            0 => (8, None),
            1 => (16, Some(u64::from_be_bytes(*rest.first_chunk()?))),
            size => (8, Some(size.into())),
        };
        Some(Self { name: *name, length, size })
    }

    /// Bytes of the content; None: up to the end. Err: the size is smaller than the header.
    pub fn content(&self) -> Result<Option<u64>, BadSize> {
        self.size.map(|size| size.checked_sub(self.length as u64).ok_or(BadSize)).transpose()
    }
}

/// A box that says it is smaller than its own header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadSize;

/// The boxes in `bytes`, as name and content. The last may be cut short; stops at an impossible
/// size.
pub(super) fn iter(bytes: &[u8]) -> impl Iterator<Item = (Name, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let header = Header::read(rest)?;
        let content = rest.get(header.length..)?;
        let length = match header.content().ok()? {
            Some(length) => usize::try_from(length).unwrap_or(usize::MAX).min(content.len()),
            None => content.len(),
        };
        let (content, tail) = content.split_at(length);
        rest = tail;
        Some((header.name, content))
    })
}

/// Content of the first box called `name` in `bytes`.
pub(super) fn find<'a>(bytes: &'a [u8], name: &Name) -> Option<&'a [u8]> {
    iter(bytes).find(|(n, _)| n == name).map(|(_, content)| content)
}

/// Whether a segment or initialisation segment may begin with such a box.
pub(super) fn is_top_level(name: Name) -> bool {
    const KNOWN: [&Name; 17] = [
        b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"sidx", b"ssix", b"prft", b"emsg", b"free", b"skip",
        b"wide", b"uuid", b"meta", b"mfra", b"pdin", b"imda",
    ];
    KNOWN.contains(&&name)
}
