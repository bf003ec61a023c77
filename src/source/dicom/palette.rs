//! Palette colour: the colour of every stored value (PS3.3 C.7.6.3.1.5 and C.7.6.3.1.6).

use dicom_core::Tag;
use dicom_core::value::PrimitiveValue;
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;

use crate::error::{Error, ErrorKind, Result};

/// Descriptor, table, and table in segments of red, green and blue.
const TABLES: [[Tag; 3]; 3] = [
    [
        tags::RED_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR,
        tags::RED_PALETTE_COLOR_LOOKUP_TABLE_DATA,
        tags::SEGMENTED_RED_PALETTE_COLOR_LOOKUP_TABLE_DATA,
    ],
    [
        tags::GREEN_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR,
        tags::GREEN_PALETTE_COLOR_LOOKUP_TABLE_DATA,
        tags::SEGMENTED_GREEN_PALETTE_COLOR_LOOKUP_TABLE_DATA,
    ],
    [
        tags::BLUE_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR,
        tags::BLUE_PALETTE_COLOR_LOOKUP_TABLE_DATA,
        tags::SEGMENTED_BLUE_PALETTE_COLOR_LOOKUP_TABLE_DATA,
    ],
];

/// A table of colours, and the value of its first entry.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Palette {
    rgb: Vec<[u8; 3]>,
    first: i32,
}

impl Palette {
    /// Reads the three tables.
    ///
    /// # Errors
    /// `Format` when one is missing, too short or of another length than the others.
    pub(super) fn read(object: &InMemDicomObject) -> Result<Self> {
        let mut rgb: Vec<[u8; 3]> = Vec::new();
        let mut begins = 0;
        for (channel, [descriptor, values, segments]) in TABLES.into_iter().enumerate() {
            let (first, table) = palette_channel(object, descriptor, values, segments)?;
            if channel > 0 && (table.len() != rgb.len() || first != begins) {
                let message = format!(
                    "palette {descriptor}: expected {} entries from {begins}, got {} from {first}",
                    rgb.len(),
                    table.len()
                );
                return Err(Error::new(ErrorKind::Format, message));
            }
            begins = first;
            rgb.resize(table.len(), [0; 3]);
            rgb.iter_mut().zip(table).for_each(|(colour, v)| colour[channel] = v);
        }
        Ok(Self { rgb, first: begins })
    }

    /// Colours of stored values; those beyond the table have that of its end.
    pub(super) fn colours(&self, stored: &[u8], is_wide: bool) -> Vec<u8> {
        let last = self.rgb.len() as i64 - 1;
        let colour = |v: u16| self.rgb[(i64::from(v) - i64::from(self.first)).clamp(0, last) as usize];
        match is_wide {
            true => stored.chunks_exact(2).flat_map(|w| colour(u16::from_le_bytes([w[0], w[1]]))).collect(),
            false => stored.iter().flat_map(|&v| colour(u16::from(v))).collect(),
        }
    }
}

fn palette_channel(object: &InMemDicomObject, descriptor: Tag, values: Tag, segments: Tag) -> Result<(i32, Vec<u8>)> {
    let corrupt = |tag: Tag, what: &str| Error::new(ErrorKind::Format, format!("palette {tag}: {what}"));
    let described = object.get(descriptor).and_then(|e| e.to_multi_int::<i32>().ok()).unwrap_or_default();
    let &[entries, first, bits @ (8 | 16)] = described.as_slice() else {
        return Err(corrupt(descriptor, "expected entries, first value and 8 or 16 bits, got something else"));
    };
    let entries = if entries == 0 { 65536 } else { usize::from(entries as u16) };
    if let (None, Some(segmented)) = (object.get(values), object.get(segments).and_then(|e| e.value().primitive())) {
        let words: Vec<u16> = match segmented {
            PrimitiveValue::U16(words) => words.to_vec(),
            PrimitiveValue::U8(b) if bits == 16 => {
                b.chunks_exact(2).map(|w| u16::from_le_bytes([w[0], w[1]])).collect()
            }
            PrimitiveValue::U8(b) => b.iter().map(|v| u16::from(*v)).collect(),
            _ => Vec::new(),
        };
        let table =
            expanded(&words, entries).ok_or_else(|| corrupt(segments, "its segments are not those of the table"))?;
        let shift = if bits == 16 { 8 } else { 0 };
        return Ok((first, table.into_iter().map(|v| (v >> shift) as u8).collect()));
    }
    let stored = object.get(values).and_then(|e| e.value().primitive());
    let mut bytes: Vec<u8> = match stored {
        Some(PrimitiveValue::U16(words)) => words.iter().flat_map(|w| w.to_le_bytes()).collect(),
        Some(PrimitiveValue::U8(bytes)) => bytes.to_vec(),
        _ => return Err(corrupt(values, "expected a table, got none")),
    };
    if bytes.len() >= 2 * entries {
        // Tables of 16 bits that hold only 8 have them in the lower half, whatever is announced.
        let is_high = bits == 16 && bytes.chunks_exact(2).take(entries).any(|w| w[1] != 0);
        bytes = bytes.chunks_exact(2).map(|w| if is_high { w[1] } else { w[0] }).collect();
    } else if bits == 16 || bytes.len() < entries {
        return Err(corrupt(values, &format!("expected {entries} entries of {bits} bits, got {} bytes", bytes.len())));
    }
    bytes.truncate(entries);
    Ok((first, bytes))
}

/// A table out of its segments (PS3.3 C.7.9.2): values one by one, lines to a value, and segments once more; `None` when they
/// give another number of entries.
fn expanded(words: &[u16], entries: usize) -> Option<Vec<u16>> {
    let mut table = Vec::with_capacity(entries);
    let mut at = 0;
    while at < words.len() && table.len() < entries {
        at = match (words.get(at)?, words.get(at + 1)?) {
            (2, &count) => {
                // The offset is in bytes, its lower half first; segments that are copied copy none themselves.
                let offset = usize::from(*words.get(at + 2)?) | usize::from(*words.get(at + 3)?) << 16;
                let mut from = offset / 2;
                for _ in 0..count {
                    from = segment(words, from, entries, &mut table)?;
                }
                at + 4
            }
            _ => segment(words, at, entries, &mut table)?,
        };
    }
    (table.len() == entries).then_some(table)
}

/// Appends a discrete or linear segment; gives where the next one begins. One of no entries is refused: copies of such could
/// go on for hours.
fn segment(words: &[u16], at: usize, entries: usize, table: &mut Vec<u16>) -> Option<usize> {
    let count = usize::from(*words.get(at + 1)?);
    if count == 0 || table.len() + count > entries {
        return None;
    }
    match words.get(at)? {
        0 => {
            table.extend_from_slice(words.get(at + 2..at + 2 + count)?);
            Some(at + 2 + count)
        }
        1 => {
            let (from, to) = (f64::from(*table.last()?), f64::from(*words.get(at + 2)?));
            let steps = (1..=count).map(|i| (from + (to - from) * i as f64 / count as f64).round() as u16);
            table.extend(steps);
            Some(at + 3)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_values_lines_and_copies_of_them() {
        let words = [0, 2, 10, 20, 1, 4, 60, 2, 1, 0, 0];
        assert_eq!(expanded(&words, 8), Some(vec![10, 20, 30, 40, 50, 60, 10, 20]));
        for wrong in [&words[..7], &words[..9], &[1, 4, 60], &[3, 1, 0], &[2, 9, 0, 0], &[0, 9, 1], &[0, 0, 2, 9, 0, 0]]
        {
            assert_eq!(expanded(wrong, 8), None, "{wrong:?}");
        }
    }
}
