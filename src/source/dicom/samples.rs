//! Decoded samples of one frame, what they say of their own colour, and how they become grey or red, green and blue.
//!
//! A label that does not fit the samples makes a picture that is green, pink or thrice beside itself, and measures all the
//! same. Ultrasound is grey for the most part, and grey looks different in RGB (three equal samples), in YCbCr (chroma at
//! 128) and by plane (a plane like the next): that is the evidence the label is held against.

use crate::error::{Error, ErrorKind, Result};

/// What three samples of a pixel are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    /// Nobody but the file's label says.
    Unsaid,
    /// Red, green, blue.
    Rgb,
    /// Luma, blue, red difference, full range (PS3.3 C.7.6.3.1.2).
    Ycc,
}

/// Samples of a frame, all of one pixel, then the next.
#[derive(Debug)]
pub(super) struct Samples {
    /// One byte a sample, or two, the lower first.
    pub bytes: Vec<u8>,
    /// Whether there are two.
    pub is_wide: bool,
    /// What they are, by whatever coded them.
    pub coding: Coding,
}

/// Equal samples and chroma of grey differ by no more after lossy coding.
const GREY_TOLERANCE: i16 = 4;
/// Pixels that are looked at.
const EVIDENCE_PIXELS: usize = 1 << 16;

/// Shares of pixels that are grey if the samples are RGB, and if they are YCbCr.
fn grey_shares(pixels: &[u8]) -> [f64; 2] {
    let step = (pixels.len() / 3 / EVIDENCE_PIXELS).max(1);
    let (mut rgb, mut ycc, mut all) = (0, 0, 0);
    for p in pixels.chunks_exact(3).step_by(step) {
        let [a, b, c] = [p[0], p[1], p[2]].map(i16::from);
        rgb += usize::from(a.max(b).max(c) - a.min(b).min(c) <= GREY_TOLERANCE);
        ycc += usize::from((b - 128).abs() <= GREY_TOLERANCE && (c - 128).abs() <= GREY_TOLERANCE);
        all += 1;
    }
    [rgb, ycc].map(|n| f64::from(n as u32) / f64::from((all as u32).max(1)))
}

/// Below this share of grey pixels a coding is not that of ultrasound, where another has more than [`CLEAR`].
const HARDLY: f64 = 0.05;
const CLEAR: f64 = 0.5;

/// The coding that the samples show beyond doubt, against `said`; `None` where they do not contradict it.
pub(super) fn contradicted(pixels: &[u8], said: Coding) -> Option<Coding> {
    let [rgb, ycc] = grey_shares(pixels);
    match said {
        Coding::Rgb if rgb < HARDLY && ycc > CLEAR => Some(Coding::Ycc),
        Coding::Ycc if ycc < HARDLY && rgb > CLEAR => Some(Coding::Rgb),
        _ => None,
    }
}

/// The coding that the samples show, where nobody says; `None` where they do not.
pub(super) fn shown(pixels: &[u8]) -> Option<Coding> {
    let [rgb, ycc] = grey_shares(pixels);
    match (rgb > CLEAR, ycc > CLEAR) {
        (true, false) => Some(Coding::Rgb),
        (false, true) => Some(Coding::Ycc),
        _ => None,
    }
}

/// Whether the samples, taken by pixel, show that they are stored by plane: hardly a pixel is grey in either coding, but
/// nearly every sample of the first plane is that of the second, or the second and third are chroma of grey.
pub(super) fn looks_planar(pixels: &[u8]) -> bool {
    let n = pixels.len() / 3;
    let [rgb, ycc] = grey_shares(pixels);
    if n == 0 || rgb > CLEAR || ycc > CLEAR {
        return false;
    }
    let step = (n / EVIDENCE_PIXELS).max(1);
    let places = || (0..n).step_by(step).filter(|&i| pixels[i] > 0);
    let near = |a: u8, b: u8| (i16::from(a) - i16::from(b)).abs() <= GREY_TOLERANCE;
    let share = |fits: &dyn Fn(usize) -> bool| {
        let (all, fit) = places().fold((0usize, 0usize), |(all, fit), i| (all + 1, fit + usize::from(fits(i))));
        all > 16 && fit as f64 > 0.9 * all as f64
    };
    share(&|i| near(pixels[i], pixels[n + i]) && near(pixels[i], pixels[2 * n + i]))
        || share(&|i| near(128, pixels[n + i]) && near(128, pixels[2 * n + i]))
}

/// Whether samples that are labelled as stored by plane show that they are stored by pixel: nearly every one is grey so, and
/// hardly one by plane.
pub(super) fn looks_by_pixel(stored: &[u8], by_plane: &[u8]) -> bool {
    let [rgb, ycc] = grey_shares(stored);
    let [plane_rgb, plane_ycc] = grey_shares(by_plane);
    rgb.max(ycc) > 0.9 && plane_rgb.max(plane_ycc) < CLEAR
}

/// Whether bytes that are labelled one sample a pixel are three of each (`step` 3), or wide ones (`step` 2).
pub(super) fn looks_interleaved(bytes: &[u8], step: usize) -> bool {
    let groups = || bytes.chunks_exact(step).filter(|g| g.iter().any(|v| *v != 0)).take(EVIDENCE_PIXELS);
    let fits = |g: &[u8]| match step {
        2 => g[1] <= 0x0F && g[0] != g[1],
        _ => g.iter().all(|v| v.abs_diff(g[0]) <= 1),
    };
    let (all, fit) = groups().fold((0usize, 0usize), |(all, fit), g| (all + 1, fit + usize::from(fits(g))));
    // Grey that is flat is alike in threes as well.
    let levels: std::collections::BTreeSet<u8> = groups().map(|g| g[0] / 8).collect();
    all > 64 && levels.len() > 4 && fit as f64 > 0.95 * all as f64
}

/// Samples by plane put in order of pixels.
pub(super) fn interleaved(planes: &[u8]) -> Vec<u8> {
    let n = planes.len() / 3;
    (0..n).flat_map(|i| [planes[i], planes[n + i], planes[2 * n + i]]).collect()
}

/// Y Y Cb Cr for every two pixels of a row, as full YCbCr.
pub(super) fn unpaired(pairs: &[u8]) -> Vec<u8> {
    pairs.chunks_exact(4).flat_map(|p| [p[0], p[2], p[3], p[1], p[2], p[3]]).collect()
}

/// Turns YCbCr into RGB in place.
pub(super) fn ycc_to_rgb(pixels: &mut [u8]) {
    pixels.chunks_exact_mut(3).for_each(|p| p.copy_from_slice(&rgb_of_ybr([p[0], p[1], p[2]])));
}

/// The inverse of the full-range YCbCr of PS3.3 C.7.6.3.1.2 (ITU-R BT.601), rounded to nearest.
fn rgb_of_ybr([y, b, r]: [u8; 3]) -> [u8; 3] {
    // In 1/65536: 1.402, 0.344136, 0.714136, 1.772.
    let (y, b, r) = ((i32::from(y) << 16) + (1 << 15), i32::from(b) - 128, i32::from(r) - 128);
    let level = |v: i32| (v >> 16).clamp(0, 255) as u8;
    [level(y + 91_881 * r), level(y - 22_553 * b - 46_802 * r), level(y + 116_130 * b)]
}

/// Turns a frame's three samples into RGB: as it was coded, else as it is labelled, unless the samples say otherwise.
///
/// # Errors
/// `Unsupported` for colour of more than 8 bits.
pub(super) fn to_rgb(mut samples: Samples, label: Coding) -> Result<Vec<u8>> {
    if samples.is_wide {
        return Err(Error::new(ErrorKind::Unsupported, "expected colour of 8 bits a sample, got more"));
    }
    let said = if samples.coding == Coding::Unsaid { label } else { samples.coding };
    if contradicted(&samples.bytes, said).unwrap_or(said) == Coding::Ycc {
        ycc_to_rgb(&mut samples.bytes);
    }
    Ok(samples.bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ybr_primaries_become_rgb() {
        for (ybr, rgb) in [
            ([0, 128, 128], [0, 0, 0]),
            ([255, 128, 128], [255, 255, 255]),
            ([100, 128, 128], [100, 100, 100]),
            ([76, 85, 255], [254, 0, 0]),
            ([150, 44, 21], [0, 255, 1]),
            ([29, 255, 107], [0, 0, 254]),
        ] {
            assert_eq!(rgb_of_ybr(ybr), rgb, "{ybr:?}");
        }
    }

    #[test]
    fn integers_round_as_the_definition_does() {
        for (y, b, r) in (0..=255).step_by(5).flat_map(|y| (0..=255).step_by(5).map(move |b| (y, b, 255 - b / 2))) {
            let [fy, fb, fr] = [y, b, r].map(f64::from);
            let (fb, fr) = (fb - 128.0, fr - 128.0);
            let green = fy - (0.114 * 1.772 * fb + 0.299 * 1.402 * fr) / 0.587;
            let wanted = [fy + 1.402 * fr, green, fy + 1.772 * fb].map(|v| v.round().clamp(0.0, 255.0) as i16);
            let got = rgb_of_ybr([y as u8, b as u8, r as u8]).map(i16::from);
            assert!(wanted.iter().zip(got).all(|(w, g)| (w - g).abs() <= 1), "{y} {b} {r}: {got:?}, not {wanted:?}");
        }
    }

    /// Speckle on black with a coloured corner.
    fn picture() -> Vec<[u8; 3]> {
        let speckle = |i: usize| if i.is_multiple_of(3) { 0 } else { (i * 97 % 251) as u8 };
        (0..4096).map(|i| if i < 64 { [200, 30, 40] } else { [speckle(i); 3] }).collect()
    }

    fn ycc(rgb: [u8; 3]) -> [u8; 3] {
        let [r, g, b] = rgb.map(f64::from);
        let y = 0.299 * r + 0.587 * g + 0.114 * b;
        [y, 128.0 + (b - y) / 1.772, 128.0 + (r - y) / 1.402].map(|v| v.round().clamp(0.0, 255.0) as u8)
    }

    #[test]
    fn samples_speak_for_their_coding_against_a_label() {
        let rgb: Vec<u8> = picture().concat();
        let ybr: Vec<u8> = picture().into_iter().flat_map(ycc).collect();
        assert_eq!((contradicted(&rgb, Coding::Rgb), contradicted(&rgb, Coding::Ycc)), (None, Some(Coding::Rgb)));
        assert_eq!((contradicted(&ybr, Coding::Ycc), contradicted(&ybr, Coding::Rgb)), (None, Some(Coding::Ycc)));
        assert_eq!((shown(&rgb), shown(&ybr)), (Some(Coding::Rgb), Some(Coding::Ycc)));
        let colourful: Vec<u8> = (0..3000usize).map(|i| (i * 131 % 256) as u8).collect();
        assert_eq!((contradicted(&colourful, Coding::Rgb), shown(&colourful)), (None, None));
    }

    #[test]
    fn planes_and_wide_samples_are_seen_for_what_they_are() {
        let rgb: Vec<u8> = picture().concat();
        let planes: Vec<u8> = (0..3).flat_map(|c| rgb.iter().skip(c).step_by(3).copied()).collect();
        assert!(looks_planar(&planes) && !looks_planar(&rgb));
        assert_eq!(interleaved(&planes), rgb);
        assert!(looks_by_pixel(&rgb, &interleaved(&rgb)) && !looks_by_pixel(&planes, &rgb));
        let grey: Vec<u8> = picture().iter().map(|p| p[0]).collect();
        let wide: Vec<u8> = grey.iter().flat_map(|v| [*v, v >> 4]).collect();
        assert!(looks_interleaved(&rgb, 3) && !looks_interleaved(&grey, 3));
        assert!(looks_interleaved(&wide, 2) && !looks_interleaved(&grey, 2));
        assert_eq!(unpaired(&[1, 2, 3, 4]), [1, 3, 4, 2, 3, 4]);
    }
}
