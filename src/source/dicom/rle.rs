//! Frames of run lengths (PS3.5 annex G): a segment for each byte of each sample, most significant first.

use super::samples::{Coding, Samples, interleaved};
use crate::error::{Error, ErrorKind, Result};

/// Decodes a frame of so many pixels; of samples of four bytes sixteen bits are kept, `quartered` being those below.
///
/// # Errors
/// `Format` when it is corrupt or ends early.
pub(super) fn decode(
    coded: &[u8],
    pixels: usize,
    samples: usize,
    sample_bytes: usize,
    quartered: Option<u32>,
) -> Result<Samples> {
    let corrupt = |what: String| Error::new(ErrorKind::Format, format!("RLE: {what}"));
    let word = |i: usize| {
        let b = coded.get(4 * i..4 * i + 4).ok_or_else(|| corrupt(format!("a header of {} bytes", coded.len())))?;
        Ok(u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize)
    };
    let (expected, found) = (samples * sample_bytes, word(0)?);
    if found != expected {
        return Err(corrupt(format!("expected {expected} segments, got {found}")));
    }
    let plane = |i: usize| {
        let end = if i + 1 < found { word(i + 2)? } else { coded.len() };
        let segment = coded.get(word(i + 1)?..end).ok_or_else(|| corrupt(format!("segment {i} is out of place")))?;
        let mut plane = Vec::with_capacity(pixels);
        unpack_bits(segment, pixels, &mut plane)
            .map_err(|missing| corrupt(format!("segment {i} ends {missing} pixels early")))?;
        Ok(plane)
    };
    let planes = (0..expected).map(plane).collect::<Result<Vec<_>>>()?;
    let bytes = match sample_bytes {
        1 if samples == 1 => planes.concat(),
        1 => interleaved(&planes.concat()),
        // Most significant first, however many.
        _ => {
            let number = |sample: usize, i: usize| {
                planes[sample_bytes * sample..][..sample_bytes]
                    .iter()
                    .fold(0u32, |n, plane| n << 8 | u32::from(plane[i]))
            };
            let mut bytes = Vec::with_capacity(2 * pixels * samples);
            for i in 0..pixels {
                (0..samples)
                    .for_each(|s| bytes.extend(((number(s, i) >> quartered.unwrap_or(0)) as u16).to_le_bytes()));
            }
            bytes
        }
    };
    Ok(Samples { bytes, is_wide: sample_bytes > 1, coding: Coding::Unsaid })
}

/// PackBits until `out` has `len` bytes; the number that is missing when the segment ends before.
fn unpack_bits(segment: &[u8], len: usize, out: &mut Vec<u8>) -> Result<(), usize> {
    let mut rest = segment;
    while out.len() < len {
        let room = len - out.len();
        match rest {
            [n @ 0..=127, tail @ ..] if tail.len() > usize::from(*n) => {
                let (literal, tail) = tail.split_at(usize::from(*n) + 1);
                out.extend(literal.iter().take(room));
                rest = tail;
            }
            [n @ 129..=255, value, tail @ ..] => {
                out.extend(std::iter::repeat_n(*value, (257 - usize::from(*n)).min(room)));
                rest = tail;
            }
            [128, tail @ ..] => rest = tail,
            _ => return Err(room),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_bits_are_literals_runs_and_no_ops() {
        let mut out = Vec::new();
        assert_eq!(unpack_bits(&[2, 7, 8, 9, 128, 254, 5, 0, 1], 7, &mut out), Ok(()));
        assert_eq!(out, [7, 8, 9, 5, 5, 5, 1]);
        out.clear();
        assert_eq!(unpack_bits(&[2, 7, 8], 3, &mut out), Err(3));
        out.clear();
        assert_eq!(unpack_bits(&[200, 9], 4, &mut out), Ok(()), "a run may reach beyond the last pixel");
        assert_eq!(out, [9; 4]);
    }
}
