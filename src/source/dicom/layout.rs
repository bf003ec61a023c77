//! Where the parts of a DICOM file lie, found before anything of it is trusted (PS3.5 chapter 7 and annex A, PS3.10).
//!
//! The walk holds every announced length against the bytes that are there and every sequence against a depth limit, so
//! that nothing can ask for gigabytes or recurse without end. Of the elements only those that are asked for are read, none
//! of them a patient's, and by the walk itself: a parser of its own would take other lengths from the same bytes. The pixel
//! data stay where they are: native ones are one range of the file, encapsulated ones a range for each fragment.
//!
//! Files without preamble, without meta group or transfer syntax, and deflated ones are read; an element's own form wins
//! over a transfer syntax that says explicit for implicit VR or the other way round.

use std::io::Read as _;
use std::ops::Range;

use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry, VirtualVr};
use dicom_core::value::{DataSetSequence, PrimitiveValue};
use dicom_core::{DataElement, Tag, VR};
use dicom_dictionary_std::{StandardDataDictionary, tags, uids};
use dicom_object::InMemDicomObject;

use super::store::Store;
use crate::error::{Error, ErrorKind, Result};

/// Sequences deeper than this are refused; ultrasound files need three levels.
pub(super) const DEPTH_MAX: usize = 16;
/// More fragments of pixel data than this are refused.
pub(super) const FRAGMENTS_MAX: usize = 1 << 18;
/// More elements and items than this, all levels together, are refused.
pub(super) const ELEMENTS_MAX: usize = 1 << 20;
/// Most bytes of the elements that are asked for.
pub(super) const HEADER_BYTES_MAX: usize = 2 << 20;
/// More items of a sequence that is asked for are refused; scanners write a dozen regions.
pub(super) const ITEMS_MAX: usize = 256;
/// Most bytes that a deflated data set may hold.
pub(super) const INFLATED_BYTES_MAX: u64 = 96 << 20;
/// The retired Explicit VR Big Endian, which archives still hold.
pub(super) const EXPLICIT_VR_BIG_ENDIAN: &str = "1.2.840.10008.1.2.2";
const ITEM: Tag = Tag(0xFFFE, 0xE000);
const ITEM_END: Tag = Tag(0xFFFE, 0xE00D);
const SEQUENCE_END: Tag = Tag(0xFFFE, 0xE0DD);
const UNDEFINED: u32 = u32::MAX;
const MAGIC_AT: usize = 128;
const META: u16 = 0x0002;
/// Bytes that are read at once while walking.
const WINDOW: usize = 4096;
/// A group 0008 as any data set begins with, and those of a file without a preamble.
const FIRST_GROUPS: [u16; 2] = [META, 0x0008];

/// The pixel data, as byte ranges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum StoredPixels {
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
#[derive(Clone, Debug)]
pub(super) struct FileLayout {
    /// Transfer Syntax UID (0002,0010), or what the file was found to be.
    pub transfer_syntax: String,
    /// The elements that were asked for; of sequences the same elements of their items.
    pub object: InMemDicomObject,
    /// The Pixel Data element (7FE0,0010).
    pub pixels: StoredPixels,
    /// What `pixels` are ranges of.
    pub store: Store,
}

/// Finds the parts of a file, and the elements `wanted` before its pixel data.
///
/// # Errors
/// `Format` when this is no DICOM file, an element is longer than what holds it, or there are no pixel data;
/// `Unsupported` beyond the bounds of this module.
pub(super) fn walk(store: &Store, wanted: &[Tag]) -> Result<FileLayout> {
    let mut walk = Walk {
        store: store.clone(),
        end: store.len(),
        window: Vec::new(),
        window_at: 0,
        at: 0,
        elements: 0,
        wanted: wanted.to_vec(),
        kept: 0,
        is_big: false,
        is_explicit: true,
    };
    walk.at = walk.first_element()?;
    let stated = walk.file_meta()?;
    if stated.as_deref() == Some(uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN) {
        walk = walk.inflated()?;
    }
    let transfer_syntax = walk.settle(stated)?;
    let mut object = InMemDicomObject::new_empty();
    while walk.at < walk.end {
        let element = walk.element(walk.end)?;
        if element.tag == tags::PIXEL_DATA {
            let pixels = walk.pixel_data(&element)?;
            return Ok(FileLayout { transfer_syntax, object, pixels, store: walk.store });
        }
        walk.value(&element, walk.end, 0, Some(&mut object))?;
    }
    Err(Error::new(ErrorKind::Format, "expected Pixel Data (7FE0,0010), got none: no image, or the file is truncated"))
}

struct Element {
    tag: Tag,
    vr: VR,
    is_sequence: bool,
    is_words: bool,
    length: u32,
}

struct Walk {
    store: Store,
    end: usize,
    window: Vec<u8>,
    window_at: usize,
    at: usize,
    elements: usize,
    wanted: Vec<Tag>,
    /// Bytes of the values that were read.
    kept: usize,
    is_big: bool,
    is_explicit: bool,
}

impl Walk {
    /// Up to `n` bytes at a place, fewer at the end of the file.
    fn peek(&mut self, at: usize, n: usize) -> Result<&[u8]> {
        let to = (at + n).min(self.end);
        let window = self.window_at..self.window_at + self.window.len();
        if at < window.start || to > window.end {
            let upto = (at + n.max(WINDOW)).min(self.end);
            self.window.clear();
            self.window_at = at;
            self.store.read(at.min(upto)..upto, &mut self.window)?;
        }
        let from = at.min(to) - self.window_at.min(at.min(to));
        Ok(&self.window[from..from + to.saturating_sub(at)])
    }

    /// Where the first element is: behind the preamble, or at the beginning.
    fn first_element(&mut self) -> Result<usize> {
        if self.peek(MAGIC_AT, 4)? == b"DICM" {
            return Ok(MAGIC_AT + 4);
        }
        let head = self.peek(0, 8)?;
        let word = |a: u8, b: u8| [u16::from_le_bytes([a, b]), u16::from_be_bytes([a, b])];
        let is_element = match *head {
            [g0, g1, e0, e1, ..] if head.len() == 8 => {
                let is_first = |i: usize| FIRST_GROUPS.contains(&word(g0, g1)[i]) && word(e0, e1)[i] <= 0x1FF;
                is_first(0) || is_first(1)
            }
            _ => false,
        };
        if is_element {
            return Ok(0);
        }
        let message = "expected \"DICM\" at byte 128 or an element of group 0002 or 0008 at byte 0, got something else: not a \
                       DICOM file";
        Err(Error::new(ErrorKind::Format, message))
    }

    fn take<const N: usize>(&mut self, end: usize) -> Result<[u8; N]> {
        let from = self.at;
        if end - from.min(end) < N {
            let left = end.saturating_sub(from);
            return Err(Error::new(
                ErrorKind::Format,
                format!("expected {N} bytes at byte {from}, got {left}: truncated"),
            ));
        }
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.peek(from, N)?);
        self.at += N;
        Ok(bytes)
    }

    fn u16(&mut self, end: usize) -> Result<u16> {
        let b = self.take(end)?;
        Ok(if self.is_big { u16::from_be_bytes(b) } else { u16::from_le_bytes(b) })
    }

    fn u32(&mut self, end: usize) -> Result<u32> {
        let b = self.take(end)?;
        Ok(if self.is_big { u32::from_be_bytes(b) } else { u32::from_le_bytes(b) })
    }

    fn tag(&mut self, end: usize) -> Result<Tag> {
        Ok(Tag(self.u16(end)?, self.u16(end)?))
    }

    /// The element's header; the cursor stands at its value, of which all is there unless its length is undefined.
    fn element(&mut self, end: usize) -> Result<Element> {
        self.elements += 1;
        if self.elements > ELEMENTS_MAX {
            let message = format!("expected at most {ELEMENTS_MAX} elements, got more");
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        let from = self.at;
        let tag = self.tag(end)?;
        let vr = if self.is_explicit && tag.group() != 0xFFFE {
            VR::from_binary(self.take(end)?).unwrap_or(VR::UN)
        } else {
            dictionary_vr(tag)
        };
        let length = match (self.is_explicit && tag.group() != 0xFFFE, has_short_length(vr)) {
            (true, true) => u32::from(self.u16(end)?),
            (true, false) => {
                self.take::<2>(end)?;
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
        let is_unknown_sequence = || vr == VR::UN && self.wanted.contains(&tag) && dictionary_vr(tag) == VR::SQ;
        let is_sequence = vr == VR::SQ || (length == UNDEFINED && tag != tags::PIXEL_DATA) || is_unknown_sequence();
        let is_words = vr == VR::OW || !self.is_explicit;
        Ok(Element { tag, vr, is_sequence, is_words, length })
    }

    /// Puts the cursor behind the element's value, which is put into `keep` if the element was asked for.
    fn value(
        &mut self,
        element: &Element,
        end: usize,
        depth: usize,
        keep: Option<&mut InMemDicomObject>,
    ) -> Result<()> {
        let keep = keep.filter(|_| self.wanted.contains(&element.tag));
        if element.is_sequence {
            let items = self.sequence(element, end, depth, keep.is_some())?;
            if let Some(object) = keep {
                object.put(DataElement::new(element.tag, VR::SQ, DataSetSequence::from(items)));
            }
            return Ok(());
        }
        let range = self.at..self.at + element.length as usize;
        self.at = range.end;
        let Some(object) = keep else { return Ok(()) };
        self.kept += range.len();
        if self.kept > HEADER_BYTES_MAX {
            let message = format!("expected at most {HEADER_BYTES_MAX} bytes that describe the image, got more");
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        let mut bytes = Vec::new();
        self.store.read(range, &mut bytes)?;
        // An archive that did not know the element: it is read as what it is.
        let vr = if element.vr == VR::UN { dictionary_vr(element.tag) } else { element.vr };
        object.put(DataElement::new(element.tag, vr, primitive(element.tag, vr, &bytes, self.is_big)?));
        Ok(())
    }

    /// The items of a sequence; none where they are not kept.
    fn sequence(
        &mut self,
        element: &Element,
        end: usize,
        depth: usize,
        is_kept: bool,
    ) -> Result<Vec<InMemDicomObject>> {
        if depth >= DEPTH_MAX {
            let message = format!("element {}: sequences are nested deeper than {DEPTH_MAX}", element.tag);
            return Err(Error::new(ErrorKind::Format, message));
        }
        // A sequence of unknown VR holds implicit VR, whatever the file's syntax (PS3.5 6.2.2).
        let is_explicit = self.is_explicit;
        self.is_explicit &= element.vr != VR::UN;
        let items = self.items(element, end, depth + 1, is_kept);
        self.is_explicit = is_explicit;
        items
    }

    fn items(&mut self, sequence: &Element, end: usize, depth: usize, is_kept: bool) -> Result<Vec<InMemDicomObject>> {
        let is_open = sequence.length == UNDEFINED;
        let end = if is_open { end } else { self.at + sequence.length as usize };
        let mut items = Vec::new();
        while is_open || self.at < end {
            let item = self.element(end)?;
            match item.tag {
                SEQUENCE_END => break,
                ITEM if is_kept && items.len() == ITEMS_MAX => {
                    let message = format!("element {}: expected at most {ITEMS_MAX} items, got more", sequence.tag);
                    return Err(Error::new(ErrorKind::Unsupported, message));
                }
                ITEM => {
                    let mut object = is_kept.then(InMemDicomObject::new_empty);
                    self.item(item.length, end, depth, object.as_mut())?;
                    items.extend(object);
                }
                other => {
                    let message = format!("expected an item of a sequence at byte {}, got {other}", self.at);
                    return Err(Error::new(ErrorKind::Format, message));
                }
            }
        }
        Ok(items)
    }

    fn item(&mut self, length: u32, end: usize, depth: usize, mut keep: Option<&mut InMemDicomObject>) -> Result<()> {
        let item_end = if length == UNDEFINED { end } else { self.at + length as usize };
        while length == UNDEFINED || self.at < item_end {
            let element = self.element(item_end)?;
            if element.tag == ITEM_END {
                return Ok(());
            }
            self.value(&element, item_end, depth, keep.as_deref_mut())?;
        }
        Ok(())
    }

    /// Reads the file meta group, where there is one, for its transfer syntax; it is explicit VR little endian.
    fn file_meta(&mut self) -> Result<Option<String>> {
        let mut found = None;
        while self.peek(self.at, 2)? == META.to_le_bytes() {
            let letters = self.peek(self.at + 4, 2)?;
            self.is_explicit = is_vr(letters);
            let element = self.element(self.end)?;
            let from = self.at;
            self.value(&element, self.end, 0, None)?;
            if element.tag == tags::TRANSFER_SYNTAX_UID {
                let mut value = Vec::new();
                self.store.read(from..self.at.min(from + 65), &mut value)?;
                let uid = String::from_utf8_lossy(&value).trim_end_matches(['\0', ' ']).to_owned();
                if uid.len() > 64 || !uid.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
                    let message = "transfer syntax (0002,0010): expected a UID, got something else";
                    return Err(Error::new(ErrorKind::Format, message));
                }
                found = Some(uid).filter(|uid| !uid.is_empty());
            }
        }
        Ok(found)
    }

    /// The same walk over what the deflated rest of the file holds.
    fn inflated(&mut self) -> Result<Self> {
        let corrupt = |e| Error::caused(ErrorKind::Format, "the deflated data set is corrupt", e);
        let mut deflated = Vec::new();
        self.store.read(self.at..self.end, &mut deflated)?;
        let mut inflated = Vec::new();
        let decoder = flate2::read::DeflateDecoder::new(deflated.as_slice());
        decoder.take(INFLATED_BYTES_MAX + 1).read_to_end(&mut inflated).map_err(corrupt)?;
        if inflated.len() as u64 > INFLATED_BYTES_MAX {
            let message = format!("expected at most {INFLATED_BYTES_MAX} bytes inflated, got more");
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        let end = inflated.len();
        let store = Store::Memory(std::sync::Arc::new(inflated));
        let (window, window_at, at) = (Vec::new(), 0, 0);
        let (elements, wanted, kept) = (self.elements, std::mem::take(&mut self.wanted), 0);
        Ok(Self { store, end, window, window_at, at, elements, wanted, kept, is_big: false, is_explicit: true })
    }

    /// How the data set is stored: by its first element, whatever is stated.
    fn settle(&mut self, stated: Option<String>) -> Result<String> {
        let head = self.peek(self.at, 6)?.to_vec();
        self.is_explicit = head.get(4..6).is_some_and(is_vr);
        // The first group of a data set is a low even number; read the wrong way round it is 0800 or larger.
        self.is_big = matches!(head[..], [0, low, ..] if low != 0 && self.is_explicit);
        let is_compressed = |uid: &String| uid.starts_with("1.2.840.10008.1.2.4") || uid == uids::RLE_LOSSLESS;
        if let Some(uid) = stated.filter(is_compressed) {
            return Ok(uid);
        }
        Ok(match (self.is_explicit, self.is_big) {
            (false, _) => uids::IMPLICIT_VR_LITTLE_ENDIAN,
            (true, false) => uids::EXPLICIT_VR_LITTLE_ENDIAN,
            (true, true) => EXPLICIT_VR_BIG_ENDIAN,
        }
        .to_owned())
    }

    fn pixel_data(&mut self, element: &Element) -> Result<StoredPixels> {
        if element.length != UNDEFINED {
            let bytes = self.at..self.at + element.length as usize;
            return Ok(StoredPixels::Native { bytes, is_words: element.is_words });
        }
        // Items are little endian, and the table of at most so many frames as there are fragments.
        self.is_big = false;
        let table = self.fragment()?.unwrap_or(self.end..self.end);
        let mut offsets = Vec::new();
        self.store.read(table.start..table.end.min(table.start + 4 * FRAGMENTS_MAX), &mut offsets)?;
        let offsets = offsets.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
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
        if self.at == self.end {
            return Ok(None);
        }
        let item = self.element(self.end)?;
        match item.tag {
            SEQUENCE_END => Ok(None),
            ITEM if item.length != UNDEFINED => {
                let from = self.at;
                self.at += item.length as usize;
                Ok(Some(from..self.at))
            }
            other => {
                let message = format!("expected a fragment of pixel data at byte {}, got {other}", self.at);
                Err(Error::new(ErrorKind::Format, message))
            }
        }
    }
}

fn is_vr(letters: &[u8]) -> bool {
    matches!(*letters, [a, b] if VR::from_binary([a, b]).is_some())
}

fn dictionary_vr(tag: Tag) -> VR {
    match StandardDataDictionary.by_tag(tag).map(|entry| entry.vr()) {
        Some(VirtualVr::Exact(vr)) => vr,
        // Of those that are read none is negative.
        Some(VirtualVr::Xs) => VR::US,
        Some(VirtualVr::Lt) => VR::OW,
        _ => VR::UN,
    }
}

/// A value as its VR says.
fn primitive(tag: Tag, vr: VR, bytes: &[u8], is_big: bool) -> Result<PrimitiveValue> {
    let unit = match vr {
        VR::US | VR::SS | VR::OW => 2,
        VR::UL | VR::SL | VR::FL | VR::AT => 4,
        VR::FD => 8,
        _ => 1,
    };
    if !bytes.len().is_multiple_of(unit) {
        let message = format!("element {tag} ({vr}): expected a multiple of {unit} bytes, got {}", bytes.len());
        return Err(Error::new(ErrorKind::Format, message));
    }
    // Every unit with its lowest byte first, in eight bytes.
    let numbers = || {
        bytes.chunks_exact(unit).map(|stored| {
            let places = stored.iter().enumerate();
            places.fold(0u64, |n, (i, b)| n | u64::from(*b) << (8 * if is_big { unit - 1 - i } else { i }))
        })
    };
    Ok(match vr {
        _ if bytes.is_empty() => PrimitiveValue::Empty,
        VR::US | VR::OW => PrimitiveValue::U16(numbers().map(|n| n as u16).collect()),
        VR::SS => PrimitiveValue::I16(numbers().map(|n| n as i16).collect()),
        VR::UL => PrimitiveValue::U32(numbers().map(|n| n as u32).collect()),
        VR::SL => PrimitiveValue::I32(numbers().map(|n| n as i32).collect()),
        VR::FL => PrimitiveValue::F32(numbers().map(|n| f32::from_bits(n as u32)).collect()),
        VR::FD => PrimitiveValue::F64(numbers().map(f64::from_bits).collect()),
        VR::AT => {
            let half =
                |b: &[u8]| if is_big { u16::from_be_bytes([b[0], b[1]]) } else { u16::from_le_bytes([b[0], b[1]]) };
            PrimitiveValue::Tags(bytes.chunks_exact(4).map(|b| Tag(half(b), half(&b[2..]))).collect())
        }
        VR::OB | VR::UN | VR::SQ => PrimitiveValue::U8(bytes.into()),
        _ => PrimitiveValue::Strs(
            bytes.split(|b| *b == b'\\').map(|t| String::from_utf8_lossy(t).into_owned()).collect(),
        ),
    })
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

    fn walked(bytes: &[u8]) -> Result<FileLayout> {
        walk(&Store::of(bytes), &[])
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
        let e = walked(&nested(1_000_000)).unwrap_err();
        assert!(e.to_string().contains("deeper than 16"), "{e}");
    }

    #[test]
    fn a_header_of_tiny_elements_is_refused_by_their_number() {
        let element = [0x09, 0, 0x10, 0, b'L', b'O', 0, 0];
        let e = walked(&file(&element.repeat(ELEMENTS_MAX + 1))).unwrap_err();
        assert!(e.to_string().contains("at most 1048576 elements"), "{e}");
    }

    #[test]
    fn a_length_beyond_the_file_is_named_with_its_element() {
        let bytes = file(&[0x28, 0, 0x10, 0, b'O', b'B', 0, 0, 0xF0, 0xFF, 0xFF, 0x7F, 1, 2]);
        let e = walked(&bytes).unwrap_err();
        assert!(e.to_string().contains("(0028,0010)") && e.to_string().contains("got 2: truncated"), "{e}");
        assert_eq!(e.kind(), ErrorKind::Format);
    }

    /// The walk and its parser once were two, and disagreed about such a value: the parser then asked for gigabytes.
    #[test]
    fn a_number_of_another_length_than_its_kind_is_named() {
        let element = [0x28, 0, 0x10, 0, b'U', b'L', 2, 0, 7, 0];
        let e = walk(&Store::of(&file(&element)), &[tags::ROWS]).unwrap_err();
        assert!(e.to_string().contains("(0028,0010) (UL): expected a multiple of 4 bytes, got 2"), "{e}");
    }

    #[test]
    fn a_sequence_of_unknown_kind_and_known_length_is_read_as_implicit() {
        let inner = [&[0xFE, 0xFF, 0, 0xE0, 10, 0, 0, 0][..], &[0x18, 0, 0x12, 0x60, 2, 0, 0, 0, 3, 0]].concat();
        let sequence = [&[0x18, 0, 0x11, 0x60, b'U', b'N', 0, 0, 18, 0, 0, 0][..], &inner].concat();
        let pixels = [0xE0, 0x7F, 0x10, 0, b'O', b'B', 0, 0, 2, 0, 0, 0, 1, 2];
        let wanted = [tags::SEQUENCE_OF_ULTRASOUND_REGIONS, tags::REGION_SPATIAL_FORMAT];
        let layout = walk(&Store::of(&file(&[&sequence[..], &pixels].concat())), &wanted).unwrap();
        let items = layout.object.get(wanted[0]).unwrap().items().unwrap();
        assert_eq!(items.len(), 1);
        assert_eq!(items[0].get(wanted[1]).unwrap().to_int::<u16>().unwrap(), 3);
    }

    #[test]
    fn more_items_than_a_scanner_writes_are_refused() {
        let empty = [0xFE, 0xFF, 0, 0xE0, 0, 0, 0, 0];
        let sequence = [0x18, 0, 0x11, 0x60, b'S', b'Q', 0, 0, 0xFF, 0xFF, 0xFF, 0xFF];
        let bytes = file(&[&sequence[..], &empty.repeat(ITEMS_MAX + 1)].concat());
        let e = walk(&Store::of(&bytes), &[tags::SEQUENCE_OF_ULTRASOUND_REGIONS]).unwrap_err();
        assert!(e.to_string().contains("at most 256 items"), "{e}");
    }

    #[test]
    fn numbers_have_their_order_and_items_what_is_asked_for_alone() {
        for (vr, bytes, expected) in [
            (VR::US, &[1, 2][..], PrimitiveValue::from(0x0102u16)),
            (VR::SS, &[0xFF, 0xFE], PrimitiveValue::from(-2i16)),
            (VR::UL, &[0, 0, 1, 2], PrimitiveValue::from(0x0102u32)),
            (VR::SL, &[0xFF, 0xFF, 0xFF, 0xFE], PrimitiveValue::from(-2i32)),
            (VR::FL, &[0x3F, 0x80, 0, 0], PrimitiveValue::from(1f32)),
            (VR::FD, &[0x3F, 0xF0, 0, 0, 0, 0, 0, 0], PrimitiveValue::from(1f64)),
            (VR::AT, &[0, 0x18, 0x10, 0x63], PrimitiveValue::from(tags::FRAME_TIME)),
        ] {
            assert_eq!(primitive(tags::ROWS, vr, bytes, true).unwrap(), expected, "{vr}");
            let unit = if vr == VR::AT { 2 } else { bytes.len() };
            let reversed: Vec<u8> = bytes.chunks(unit).flat_map(|u| u.iter().rev().copied()).collect();
            assert_eq!(primitive(tags::ROWS, vr, &reversed, false).unwrap(), expected, "{vr}");
        }
    }

    fn fragments_of(fragments: &[&[u8]]) -> Vec<u8> {
        let mut elements = vec![0xE0, 0x7F, 0x10, 0, b'O', b'B', 0, 0, 0xFF, 0xFF, 0xFF, 0xFF];
        for body in fragments {
            elements.extend([0xFE, 0xFF, 0, 0xE0]);
            elements.extend((body.len() as u32).to_le_bytes());
            elements.extend_from_slice(body);
        }
        elements.extend_from_slice(&[0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0]);
        file(&elements)
    }

    #[test]
    fn fragments_are_ranges_of_the_file() {
        let bytes = fragments_of(&[&[0, 0, 0, 0, 12, 0, 0, 0], &[1, 2, 3, 4], &[5, 6]]);
        let StoredPixels::Encapsulated { offsets, fragments } = walked(&bytes).unwrap().pixels else {
            panic!("not encapsulated")
        };
        assert_eq!(offsets, [0, 12]);
        let parts: Vec<&[u8]> = fragments.into_iter().map(|r| &bytes[r]).collect();
        assert_eq!(parts, [&[1, 2, 3, 4][..], &[5, 6]]);
    }

    #[test]
    fn only_what_is_asked_for_is_copied() {
        let rows = [0x28, 0, 0x10, 0, b'U', b'S', 2, 0, 7, 0];
        let name = [0x10, 0, 0x10, 0, b'P', b'N', 4, 0, b'D', b'o', b'e', b' '];
        let pixels = [0xE0, 0x7F, 0x10, 0, b'O', b'B', 0, 0, 2, 0, 0, 0, 1, 2];
        let bytes = file(&[&name[..], &rows, &pixels].concat());
        let layout = walk(&Store::of(&bytes), &[tags::ROWS]).unwrap();
        assert_eq!(layout.object.get(tags::ROWS).unwrap().to_int::<u16>().unwrap(), 7);
        assert_eq!(layout.object.into_iter().count(), 1);
        assert!(matches!(layout.pixels, StoredPixels::Native { bytes: ref r, .. } if bytes[r.clone()] == [1, 2]));
    }

    #[test]
    fn a_file_gives_what_its_bytes_give() {
        let bytes = fragments_of(&[&[], &[7; 10_000], &[8; 3]]);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.dcm");
        std::fs::write(&path, &bytes).unwrap();
        let (a, b) = (walked(&bytes).unwrap(), walk(&Store::open(&path).unwrap(), &[]).unwrap());
        assert_eq!(a.pixels, b.pixels);
    }
}
