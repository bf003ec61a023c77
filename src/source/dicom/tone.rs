//! From stored grey to 8 bits: modality, value of interest, presentation (PS3.3 C.11.1, C.11.2; PS3.4 N.2).
//!
//! A lookup table wins over a rescaling and over a window, as it does in other readers. A table that is not what its
//! descriptor says is left aside, and told.

use dicom_core::Tag;
use dicom_core::value::PrimitiveValue;
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;

/// How many bits a sample has, and whether the highest is a sign.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stored {
    /// 2 to 16.
    pub bits: u32,
    /// Two's complement.
    pub is_signed: bool,
}

/// Grey of `table_len` values, bits above the stored ones being no part of them. Samples of up to 8 bits have their full
/// range: what a scanner shows it writes so.
pub(super) fn table(object: &InMemDicomObject, stored: Stored, is_inverted: bool, table_len: usize) -> Vec<u8> {
    let values = 1usize << stored.bits;
    let signed = |v: usize| {
        let is_negative = stored.is_signed && v >= values / 2;
        v as f64 - if is_negative { values as f64 } else { 0.0 }
    };
    let low = if stored.is_signed { -(values as f64) / 2.0 } else { 0.0 };
    let share: Box<dyn Fn(f64) -> f64> = match Interest::read(object, stored).filter(|_| stored.bits > 8) {
        Some(interest) => {
            let modality = Modality::read(object, stored);
            Box::new(move |v| interest.share(modality.value(v)))
        }
        None => Box::new(move |v| (v - low) / (values as f64 - 1.0)),
    };
    let grey = |v: usize| {
        let level = (255.0 * share(signed(v))).round().clamp(0.0, 255.0) as u8;
        if is_inverted { 255 - level } else { level }
    };
    let once: Vec<u8> = (0..values).map(grey).collect();
    (0..table_len).map(|v| once[v % values]).collect()
}

/// What a stored value measures.
enum Modality {
    Linear { slope: f64, intercept: f64 },
    Table(Lut),
}

impl Modality {
    fn read(object: &InMemDicomObject, stored: Stored) -> Self {
        match Lut::read(object, tags::MODALITY_LUT_SEQUENCE, stored) {
            Some(lut) => Self::Table(lut),
            None => Self::Linear {
                slope: real(object, tags::RESCALE_SLOPE).unwrap_or(1.0),
                intercept: real(object, tags::RESCALE_INTERCEPT).unwrap_or(0.0),
            },
        }
    }

    fn value(&self, stored: f64) -> f64 {
        match self {
            Self::Linear { slope, intercept } => slope * stored + intercept,
            Self::Table(lut) => f64::from(lut.at(stored)),
        }
    }
}

/// Which values are shown, from black to white.
enum Interest {
    Window { centre: f64, width: f64, curve: Curve },
    Table(Lut),
}

/// VOI LUT Function (0028,1056).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Curve {
    Linear,
    LinearExact,
    Sigmoid,
}

impl Interest {
    fn read(object: &InMemDicomObject, stored: Stored) -> Option<Self> {
        if let Some(lut) = Lut::read(object, tags::VOILUT_SEQUENCE, stored) {
            return Some(Self::Table(lut));
        }
        let function = object.get(tags::VOILUT_FUNCTION).and_then(|e| e.to_str().ok()).unwrap_or_default();
        let curve = match function.trim_end_matches([' ', '\0']) {
            "LINEAR_EXACT" => Curve::LinearExact,
            "SIGMOID" => Curve::Sigmoid,
            _ => Curve::Linear,
        };
        let (centre, width) = real(object, tags::WINDOW_CENTER).zip(real(object, tags::WINDOW_WIDTH))?;
        let is_width = if curve == Curve::Linear { width >= 1.0 } else { width > 0.0 };
        (centre.is_finite() && width.is_finite() && is_width).then_some(Self::Window { centre, width, curve })
    }

    /// 0 is black, 1 white; beyond both for values outside of a window.
    fn share(&self, value: f64) -> f64 {
        match self {
            Self::Table(lut) => f64::from(lut.at(value)) / f64::from(lut.most),
            Self::Window { centre, width, curve } => match curve {
                Curve::Linear if *width == 1.0 => f64::from(u8::from(value > centre - 0.5)),
                Curve::Linear => (value - (centre - 0.5)) / (width - 1.0) + 0.5,
                Curve::LinearExact => (value - centre) / width + 0.5,
                Curve::Sigmoid => 1.0 / (1.0 + (-4.0 * (value - centre) / width).exp()),
            },
        }
    }
}

/// A lookup table.
struct Lut {
    /// Value of the first entry.
    first: f64,
    entries: Vec<u16>,
    /// Largest value that an entry can have.
    most: u16,
}

impl Lut {
    /// That of the sequence's first item; `None` without one, or for one that is not what it says.
    fn read(object: &InMemDicomObject, sequence: Tag, stored: Stored) -> Option<Self> {
        let item = object.get(sequence).and_then(|e| e.items()).and_then(|items| items.first())?;
        let lut = Self::of(item, stored);
        if lut.is_none() {
            log::warn!(
                "lookup table {sequence}: expected as many entries as its descriptor says, got others: left aside"
            );
        }
        lut
    }

    fn of(item: &InMemDicomObject, stored: Stored) -> Option<Self> {
        let described = item.get(tags::LUT_DESCRIPTOR).and_then(|e| e.to_multi_int::<i32>().ok())?;
        let &[entries, first, bits @ 8..=16] = described.as_slice() else { return None };
        let count = if entries == 0 { 1 << 16 } else { usize::from(entries as u16) };
        let entries: Vec<u16> = match item.get(tags::LUT_DATA)?.value().primitive()? {
            PrimitiveValue::U16(words) if words.len() >= count => words[..count].to_vec(),
            // Two entries of 8 bits in a word.
            PrimitiveValue::U16(words) if bits == 8 && 2 * words.len() >= count => {
                words.iter().flat_map(|w| w.to_le_bytes()).map(u16::from).take(count).collect()
            }
            PrimitiveValue::U8(bytes) if bytes.len() >= 2 * count => {
                bytes.chunks_exact(2).take(count).map(|b| u16::from_le_bytes([b[0], b[1]])).collect()
            }
            PrimitiveValue::U8(bytes) if bits == 8 && bytes.len() >= count => {
                bytes[..count].iter().map(|b| u16::from(*b)).collect()
            }
            _ => return None,
        };
        let most = ((1u32 << bits) - 1) as u16;
        // Implicit VR does not say that the first value is signed; it is where samples are.
        let first = if stored.is_signed && first > i32::from(i16::MAX) { first - (1 << 16) } else { first };
        Some(Self { first: f64::from(first), entries, most })
    }

    /// Values beyond the table have the entry at its end.
    fn at(&self, value: f64) -> u16 {
        let place = (value - self.first).round().clamp(0.0, self.entries.len() as f64 - 1.0);
        self.entries[place as usize].min(self.most)
    }
}

fn real(object: &InMemDicomObject, tag: Tag) -> Option<f64> {
    object.get(tag).and_then(|e| e.to_multi_float64().ok()).and_then(|v| v.first().copied())
}
