//! Where the parts of a DICOM file lie, found before anything of it is trusted (PS3.5 chapter 7 and annex A).
//!
//! The walk holds every announced length against the bytes that are there and every sequence against a depth limit, so
//! that what is parsed afterwards can neither ask for gigabytes nor recurse without end. The pixel data stay where they
//! are: native ones are one range of the file, encapsulated ones a range for each fragment.

use std::ops::Range;

use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry, VirtualVr};
use dicom_core::{Tag, VR};
use dicom_dictionary_std::{StandardDataDictionary, tags, uids};

use crate::error::{Error, ErrorKind, Result};

/// Sequences deeper than this are refused; ultrasound files need three levels.
pub const DEPTH_MAX: usize = 16;
/// More fragments of pixel data than this are refused.
pub const FRAGMENTS_MAX: usize = 1 << 20;
const ITEM: Tag = Tag(0xFFFE, 0xE000);
const ITEM_END: Tag = Tag(0xFFFE, 0xE00D);
const SEQUENCE_END: Tag = Tag(0xFFFE, 0xE0DD);
/// The retired Explicit VR Big Endian, which archives still hold.
pub const EXPLICIT_VR_BIG_ENDIAN: &str = "1.2.840.10008.1.2.2";
const UNDEFINED: u32 = u32::MAX;
const MAGIC_AT: usize = 128;

/// The pixel data, as byte ranges of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoredPixels {
    /// Not encapsulated; `is_words` when the samples are stored as 16-bit words (VR OW).
    Native {
        /// All frames, one after the other.
        bytes: Range<usize>,
        /// Whether a big endian file has its bytes swapped in pairs.
        is_words: bool,
    },
    /// Encapsulated, each fragment by itself.
    Encapsulated {
        /// Basic Offset Table: where each frame begins, from the first fragment's item on. May be empty.
        offsets: Vec<u32>,
        /// In order of the file, without their item headers.
        fragments: Vec<Range<usize>>,
    },
}

/// The parts of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileLayout {
    /// Transfer Syntax UID (0002,0010).
    pub transfer_syntax: String,
    /// Everything before the Pixel Data element, preamble included.
    pub header: Range<usize>,
    /// The Pixel Data element (7FE0,0010).
    pub pixels: StoredPixels,
}

/// Finds the parts of a whole file.
///
/// # Errors
/// `Format` when this is no DICOM file, an element is longer than what holds it, or there are no pixel data;
/// `Unsupported` when the transfer syntax deflates the data set.
pub fn walk(bytes: &[u8]) -> Result<FileLayout> {
    if bytes.get(MAGIC_AT..MAGIC_AT + 4) != Some(b"DICM") {
        return Err(Error::new(
            ErrorKind::Format,
            "expected \"DICM\" at byte 128, got something else: not a DICOM file",
        ));
    }
    let mut walk = Walk { bytes, at: MAGIC_AT + 4, is_big: false, is_explicit: true };
    let transfer_syntax = walk.file_meta()?;
    match transfer_syntax.as_str() {
        uids::IMPLICIT_VR_LITTLE_ENDIAN => walk.is_explicit = false,
        EXPLICIT_VR_BIG_ENDIAN => walk.is_big = true,
        uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN => {
            let message = format!("transfer syntax {transfer_syntax} (deflated) is not supported");
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        _ => {}
    }
    while walk.at < bytes.len() {
        let at = walk.at;
        let element = walk.element(bytes.len())?;
        if element.tag == tags::PIXEL_DATA {
            let pixels = walk.pixel_data(&element)?;
            return Ok(FileLayout { transfer_syntax, header: 0..at, pixels });
        }
        walk.skip(&element, bytes.len(), 0)?;
    }
    Err(Error::new(ErrorKind::Format, "expected Pixel Data (7FE0,0010), got none: no image, or the file is truncated"))
}

struct Element {
    tag: Tag,
    is_sequence: bool,
    is_words: bool,
    is_unknown: bool,
    length: u32,
}

struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
    is_big: bool,
    is_explicit: bool,
}

impl Walk<'_> {
    fn take(&mut self, n: usize, end: usize) -> Result<&[u8]> {
        let from = self.at;
        match from.checked_add(n) {
            Some(to) if to <= end => {
                self.at = to;
                Ok(&self.bytes[from..to])
            }
            _ => {
                let left = end.saturating_sub(from);
                Err(Error::new(ErrorKind::Format, format!("expected {n} bytes at byte {from}, got {left}: truncated")))
            }
        }
    }

    fn u16(&mut self, end: usize) -> Result<u16> {
        let is_big = self.is_big;
        let b = self.take(2, end)?;
        let b = [b[0], b[1]];
        Ok(if is_big { u16::from_be_bytes(b) } else { u16::from_le_bytes(b) })
    }

    fn u32(&mut self, end: usize) -> Result<u32> {
        let is_big = self.is_big;
        let b = self.take(4, end)?;
        let b = [b[0], b[1], b[2], b[3]];
        Ok(if is_big { u32::from_be_bytes(b) } else { u32::from_le_bytes(b) })
    }

    fn tag(&mut self, end: usize) -> Result<Tag> {
        Ok(Tag(self.u16(end)?, self.u16(end)?))
    }

    /// The element's header; the cursor stands at its value, of which all is there unless its length is undefined.
    fn element(&mut self, end: usize) -> Result<Element> {
        let from = self.at;
        let tag = self.tag(end)?;
        let vr = if self.is_explicit && tag.group() != 0xFFFE {
            let b = self.take(2, end)?;
            VR::from_binary([b[0], b[1]]).unwrap_or(VR::UN)
        } else {
            dictionary_vr(tag)
        };
        let length = match (self.is_explicit && tag.group() != 0xFFFE, has_short_length(vr)) {
            (true, true) => u32::from(self.u16(end)?),
            (true, false) => {
                self.take(2, end)?;
                self.u32(end)?
            }
            (false, _) => self.u32(end)?,
        };
        let left = end - self.at;
        if length != UNDEFINED && length as usize > left {
            let message =
                format!("element {tag} at byte {from}: expected {length} bytes of value, got {left}: truncated");
            return Err(Error::new(ErrorKind::Format, message));
        }
        let is_sequence = vr == VR::SQ || (length == UNDEFINED && tag != tags::PIXEL_DATA);
        let is_words = vr == VR::OW || !self.is_explicit;
        Ok(Element { tag, is_sequence, is_words, is_unknown: vr == VR::UN, length })
    }

    /// Puts the cursor behind the element's value.
    fn skip(&mut self, element: &Element, end: usize, depth: usize) -> Result<()> {
        if !element.is_sequence {
            self.take(element.length as usize, end)?;
            return Ok(());
        }
        if depth >= DEPTH_MAX {
            let message = format!("element {}: sequences are nested deeper than {DEPTH_MAX}", element.tag);
            return Err(Error::new(ErrorKind::Format, message));
        }
        // A sequence of unknown VR and undefined length holds implicit VR, whatever the file's syntax (PS3.5 6.2.2).
        let is_explicit = self.is_explicit;
        self.is_explicit &= !element.is_unknown;
        let skipped = self.skip_items(element.length, end, depth + 1);
        self.is_explicit = is_explicit;
        skipped
    }

    fn skip_items(&mut self, length: u32, end: usize, depth: usize) -> Result<()> {
        let inner_end = if length == UNDEFINED { end } else { self.at + length as usize };
        while length == UNDEFINED || self.at < inner_end {
            let item = self.element(inner_end)?;
            match item.tag {
                SEQUENCE_END => return Ok(()),
                ITEM => self.skip_item(item.length, inner_end, depth)?,
                other => {
                    let message = format!("expected an item of a sequence at byte {}, got {other}", self.at);
                    return Err(Error::new(ErrorKind::Format, message));
                }
            }
        }
        Ok(())
    }

    fn skip_item(&mut self, length: u32, end: usize, depth: usize) -> Result<()> {
        let item_end = if length == UNDEFINED { end } else { self.at + length as usize };
        while length == UNDEFINED || self.at < item_end {
            let element = self.element(item_end)?;
            if element.tag == ITEM_END {
                return Ok(());
            }
            self.skip(&element, item_end, depth)?;
        }
        Ok(())
    }

    /// Reads the file meta group, which is explicit VR little endian, for its transfer syntax.
    fn file_meta(&mut self) -> Result<String> {
        let end = self.bytes.len();
        let mut found = None;
        while self.bytes.get(self.at..self.at + 2) == Some(&[2, 0]) {
            let element = self.element(end)?;
            let from = self.at;
            self.skip(&element, end, 0)?;
            if element.tag == tags::TRANSFER_SYNTAX_UID {
                let text = String::from_utf8_lossy(&self.bytes[from..self.at]);
                found = Some(text.trim_end_matches(['\0', ' ']).to_owned());
            }
        }
        match found {
            Some(uid) if uid.len() <= 64 && uid.bytes().all(|b| b.is_ascii_digit() || b == b'.') => Ok(uid),
            Some(_) => {
                Err(Error::new(ErrorKind::Format, "transfer syntax (0002,0010): expected a UID, got something else"))
            }
            None => Err(Error::new(ErrorKind::Format, "expected a transfer syntax (0002,0010), got none")),
        }
    }

    fn pixel_data(&mut self, element: &Element) -> Result<StoredPixels> {
        let end = self.bytes.len();
        if element.length != UNDEFINED {
            let bytes = self.at..self.at + element.length as usize;
            return Ok(StoredPixels::Native { bytes, is_words: element.is_words });
        }
        let table = self.fragment()?.unwrap_or(end..end);
        let offsets = self.bytes[table].chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        let mut fragments = Vec::new();
        while let Some(fragment) = self.fragment()? {
            if fragments.len() == FRAGMENTS_MAX {
                let message = format!("expected at most {FRAGMENTS_MAX} fragments of pixel data, got more");
                return Err(Error::new(ErrorKind::Unsupported, message));
            }
            fragments.push(fragment);
        }
        Ok(StoredPixels::Encapsulated { offsets, fragments })
    }

    /// The next fragment of encapsulated pixel data; `None` at their end. A file may end without the delimiter.
    fn fragment(&mut self) -> Result<Option<Range<usize>>> {
        let end = self.bytes.len();
        if self.at == end {
            return Ok(None);
        }
        let item = self.element(end)?;
        match item.tag {
            SEQUENCE_END => Ok(None),
            ITEM if item.length != UNDEFINED => {
                let from = self.at;
                self.take(item.length as usize, end)?;
                Ok(Some(from..self.at))
            }
            other => {
                let message = format!("expected a fragment of pixel data at byte {}, got {other}", self.at);
                Err(Error::new(ErrorKind::Format, message))
            }
        }
    }
}

fn dictionary_vr(tag: Tag) -> VR {
    match StandardDataDictionary.by_tag(tag).map(|entry| entry.vr()) {
        Some(VirtualVr::Exact(vr)) => vr,
        _ => VR::UN,
    }
}

fn has_short_length(vr: VR) -> bool {
    use VR::*;
    matches!(vr, AE | AS | AT | CS | DA | DS | DT | FD | FL | IS | LO | LT | PN | SH | SL | SS | ST | TM | UI | UL | US)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(elements: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; MAGIC_AT];
        bytes.extend_from_slice(b"DICM");
        bytes.extend_from_slice(&[2, 0, 0x10, 0, b'U', b'I', 20, 0]);
        bytes.extend_from_slice(b"1.2.840.10008.1.2.1\0");
        bytes.extend_from_slice(elements);
        bytes
    }

    fn nested(depth: usize) -> Vec<u8> {
        let mut elements = Vec::new();
        for _ in 0..depth {
            elements.extend_from_slice(&[0x18, 0, 0x11, 0x60, b'S', b'Q', 0, 0, 0xFF, 0xFF, 0xFF, 0xFF]);
            elements.extend_from_slice(&[0xFE, 0xFF, 0, 0xE0, 0xFF, 0xFF, 0xFF, 0xFF]);
        }
        file(&elements)
    }

    #[test]
    fn nesting_without_end_is_refused_and_does_not_overflow_the_stack() {
        let e = walk(&nested(1_000_000)).unwrap_err();
        assert!(e.to_string().contains("deeper than 16"), "{e}");
    }

    #[test]
    fn a_length_beyond_the_file_is_named_with_its_element() {
        let bytes = file(&[0x28, 0, 0x10, 0, b'O', b'B', 0, 0, 0xF0, 0xFF, 0xFF, 0x7F, 1, 2]);
        let e = walk(&bytes).unwrap_err();
        assert!(e.to_string().contains("(0028,0010)") && e.to_string().contains("got 2: truncated"), "{e}");
        assert_eq!(e.kind(), ErrorKind::Format);
    }

    #[test]
    fn fragments_are_ranges_of_the_file() {
        let mut elements = vec![0xE0, 0x7F, 0x10, 0, b'O', b'B', 0, 0, 0xFF, 0xFF, 0xFF, 0xFF];
        let item = |body: &[u8]| {
            let mut item = vec![0xFE, 0xFF, 0, 0xE0];
            item.extend_from_slice(&(body.len() as u32).to_le_bytes());
            item.extend_from_slice(body);
            item
        };
        elements.extend(item(&[0, 0, 0, 0, 12, 0, 0, 0]));
        elements.extend(item(&[1, 2, 3, 4]));
        elements.extend(item(&[5, 6]));
        elements.extend_from_slice(&[0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0]);
        let bytes = file(&elements);
        let layout = walk(&bytes).unwrap();
        let StoredPixels::Encapsulated { offsets, fragments } = layout.pixels else { panic!("not encapsulated") };
        assert_eq!(offsets, [0, 12]);
        let parts: Vec<&[u8]> = fragments.into_iter().map(|r| &bytes[r]).collect();
        assert_eq!(parts, [&[1, 2, 3, 4][..], &[5, 6]]);
    }
}
