//! Palette colour: the colour of every stored value (PS3.3 C.7.6.3.1.5 and C.7.6.3.1.6).

use dicom_core::Tag;
use dicom_core::value::PrimitiveValue;
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;

use crate::error::{Error, ErrorKind, Result};

/// A table of colours, and the value of its first entry.
#[derive(Clone, Debug, PartialEq)]
pub struct Palette {
    rgb: Vec<[u8; 3]>,
    first: i32,
}

impl Palette {
    /// Reads the three tables.
    ///
    /// # Errors
    /// `Format` when one is missing, too short or of another length than the others.
    pub fn read(object: &InMemDicomObject) -> Result<Self> {
        let mut rgb: Vec<[u8; 3]> = Vec::new();
        let mut begins = 0;
        for (channel, (descriptor, values)) in [
            (tags::RED_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR, tags::RED_PALETTE_COLOR_LOOKUP_TABLE_DATA),
            (tags::GREEN_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR, tags::GREEN_PALETTE_COLOR_LOOKUP_TABLE_DATA),
            (tags::BLUE_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR, tags::BLUE_PALETTE_COLOR_LOOKUP_TABLE_DATA),
        ]
        .into_iter()
        .enumerate()
        {
            let (first, table) = palette_channel(object, descriptor, values)?;
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
    pub fn colours(&self, stored: &[u8], is_wide: bool) -> Vec<u8> {
        let last = self.rgb.len() as i64 - 1;
        let colour = |v: u16| self.rgb[(i64::from(v) - i64::from(self.first)).clamp(0, last) as usize];
        match is_wide {
            true => stored.chunks_exact(2).flat_map(|w| colour(u16::from_le_bytes([w[0], w[1]]))).collect(),
            false => stored.iter().flat_map(|&v| colour(u16::from(v))).collect(),
        }
    }
}

fn palette_channel(object: &InMemDicomObject, descriptor: Tag, values: Tag) -> Result<(i32, Vec<u8>)> {
    let corrupt = |tag: Tag, what: &str| Error::new(ErrorKind::Format, format!("palette {tag}: {what}"));
    let described = object.get(descriptor).and_then(|e| e.to_multi_int::<i32>().ok()).unwrap_or_default();
    let &[entries, first, bits @ (8 | 16)] = described.as_slice() else {
        return Err(corrupt(descriptor, "expected entries, first value and 8 or 16 bits, got something else"));
    };
    let entries = if entries == 0 { 65536 } else { usize::from(entries as u16) };
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
