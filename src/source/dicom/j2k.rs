//! JPEG 2000 frames (ISO/IEC 15444-1) of up to 16 bits.
//!
//! A decoder builds its tiles, precincts and code-blocks before it looks at a byte of samples, and a header of a hundred bytes
//! can ask for one of each for every pixel. So all headers are read here first, and their number is held against bounds.

use dicom_toolkit_jpeg2000::{DecodeSettings, Image};

use super::samples::{Coding, Samples};
use crate::error::{Error, ErrorKind, Result};

/// Begin of a codestream, and of the file form that some archives put around it.
const CODESTREAM: [u8; 4] = [0xFF, 0x4F, 0xFF, 0x51];
const JP2: [u8; 8] = [0, 0, 0, 12, b'j', b'P', b' ', b' '];
/// Most pixels of a frame: the decoder holds a number of 4 bytes for every sample several times.
const PIXELS_MAX: u64 = 4 << 20;
/// Most tiles, and most precincts and code-blocks times layers: of all components, levels and tiles.
const TILES_MAX: u64 = 1 << 12;
const PARTS_MAX: u64 = 1 << 19;

/// Markers (A.2).
const SIZ: u8 = 0x51;
const COD: u8 = 0x52;
const COC: u8 = 0x53;
const QCD: u8 = 0x5C;
const QCC: u8 = 0x5D;
const SOT: u8 = 0x90;
const SOD: u8 = 0x93;
const EOC: u8 = 0xD9;

/// Whether bytes begin as a frame does.
pub(super) fn is_start(head: &[u8]) -> bool {
    head.starts_with(&CODESTREAM) || head.starts_with(&JP2)
}

/// Decodes one frame of that size and number of samples.
///
/// # Errors
/// `Format` when it is corrupt or of another size, `Unsupported` when it asks for more than the bounds.
pub(super) fn decode(coded: &[u8], size: [u32; 2], samples: usize) -> Result<Samples> {
    if u64::from(size[0]) * u64::from(size[1]) > PIXELS_MAX {
        return Err(unsupported(format!("expected at most {PIXELS_MAX} px, got {}x{}", size[0], size[1])));
    }
    // Boxes around it say nothing that the file does not, and not all that are written are lawful.
    let begin = coded.windows(4).position(|w| w == CODESTREAM).ok_or_else(|| corrupt("no size"))?;
    let coded = &coded[begin..];
    let header = Header::read(coded).ok_or_else(|| corrupt("no size, or headers that are cut short"))?;
    if header.size != size || header.components != samples {
        let ([w, h], [gw, gh], n) = (size, header.size, header.components);
        return Err(corrupt(&format!("expected {w}x{h} px of {samples} samples, got {gw}x{gh} px of {n}")));
    }
    header.check()?;
    let settings = DecodeSettings { resolve_palette_indices: false, strict: true, target_resolution: None };
    // The decoder is young: what it does not foresee is a damaged frame here.
    let decoded = std::panic::catch_unwind(|| {
        let image = Image::new(coded, &settings).map_err(|e| corrupt(&e.to_string()))?;
        image.decode_native().map_err(|e| corrupt(&e.to_string()))
    });
    let raw = decoded.unwrap_or_else(|_| Err(corrupt("the decoder gave up")))?;
    let is_wide = raw.bit_depth > 8;
    let expected = size[0] as usize * size[1] as usize * samples * (1 + usize::from(is_wide));
    if [raw.width, raw.height] != size || raw.data.len() != expected {
        let (got, w, h) = (raw.data.len(), raw.width, raw.height);
        return Err(corrupt(&format!("expected {expected} bytes decoded, got {got} of {w}x{h}")));
    }
    // The component transform, where there is one, is undone by the decoder.
    let coding = if samples == 3 && header.is_transformed { Coding::Rgb } else { Coding::Unsaid };
    Ok(Samples { bytes: raw.data, is_wide, coding })
}

/// What the main header and those of the tile-parts say.
#[derive(Debug)]
struct Header {
    /// px.
    size: [u32; 2],
    components: usize,
    /// Number of tiles, and the size of a whole one, px.
    tiles: u64,
    tile: [u32; 2],
    /// Of every COD and COC, wherever it is.
    styles: Vec<Style>,
    layers: u64,
    /// Whether the first COD says that the first three components are transformed (A.6.1).
    is_transformed: bool,
}

/// How a component's tile is divided (A.6.1, A.6.2), all sizes as powers of two.
#[derive(Debug)]
struct Style {
    levels: u32,
    block: [u32; 2],
    /// Of each resolution from the lowest on; empty for 15.
    precincts: Vec<u8>,
}

impl Header {
    /// `None` without a whole SIZ segment, with one that cannot be, or where the walk over the headers ends before the stream.
    fn read(stream: &[u8]) -> Option<Self> {
        let siz = stream.get(4..)?;
        let word = |at: usize| Some(u32::from_be_bytes(siz.get(at..at + 4)?.try_into().ok()?));
        let [right, bottom, left, top] = [word(4)?, word(8)?, word(12)?, word(16)?];
        let [tile_w, tile_h, tile_x, tile_y] = [word(20)?, word(24)?, word(28)?, word(32)?];
        let components = usize::from(u16::from_be_bytes(siz.get(36..38)?.try_into().ok()?));
        let size = [right.checked_sub(left)?, bottom.checked_sub(top)?];
        let across = right.checked_sub(tile_x)?.div_ceil(Some(tile_w).filter(|w| *w > 0)?);
        let down = bottom.checked_sub(tile_y)?.div_ceil(Some(tile_h).filter(|h| *h > 0)?);
        let mut header = Self {
            size,
            components,
            tiles: u64::from(across) * u64::from(down),
            tile: [tile_w.min(size[0]), tile_h.min(size[1])],
            styles: Vec::new(),
            layers: 1,
            is_transformed: false,
        };
        header.read_segments(stream)?;
        Some(header)
    }

    /// Walks the marker segments of the main header and of every tile-part as the decoder does, which takes some segments to be
    /// as long as their content, whatever they state: another step would lead past a style that it obeys. `None` where it
    /// gives up.
    fn read_segments(&mut self, stream: &[u8]) -> Option<()> {
        let index_len = if self.components < 257 { 1 } else { 2 };
        // Within the header of a tile-part.
        let (mut at, mut tile_part_end) = (2, None);
        loop {
            let &[0xFF, marker, ref segment @ ..] = stream.get(at..)? else { return None };
            let word = |from: usize| Some(u16::from_be_bytes(segment.get(from..from + 2)?.try_into().ok()?));
            let stated = || word(0).map(usize::from).filter(|length| *length >= 2);
            let length = match (marker, tile_part_end) {
                (EOC, None) => return Some(()),
                (EOC, Some(end)) => {
                    at = Some(end).filter(|end| *end >= at)?;
                    tile_part_end = None;
                    continue;
                }
                (SOD, end) => {
                    at = end.filter(|end| *end >= at + 2)?;
                    tile_part_end = None;
                    continue;
                }
                (SOT, _) => {
                    let part = u32::from_be_bytes(segment.get(4..8)?.try_into().ok()?) as usize;
                    // 0 is a tile-part up to the end.
                    tile_part_end = Some(if part == 0 { stream.len() } else { at.checked_add(part)? });
                    10
                }
                (SIZ, _) => 38 + 3 * self.components,
                (COD, _) => {
                    let (style, length) = Style::read(*segment.get(2)?, segment.get(7..)?)?;
                    self.is_transformed |= self.styles.is_empty() && segment[6] == 1;
                    self.layers = self.layers.max(u64::from(word(4)?));
                    self.styles.push(style);
                    7 + length
                }
                (COC, _) => {
                    let from = 2 + index_len;
                    let (style, length) = Style::read(*segment.get(from)?, segment.get(from + 1..)?)?;
                    self.styles.push(style);
                    from + 1 + length
                }
                (QCD | QCC, _) => {
                    let from = if marker == QCD { 2 } else { 2 + index_len };
                    let steps = stated()?.checked_sub(from + 1)?;
                    // None, derived from one step, a step of two bytes each (A.6.4).
                    from + 1 + [steps, 2, steps / 2 * 2].get(usize::from(segment.get(from)? & 0x1F))?
                }
                (0x30..=0x3F, _) => 0,
                _ => stated()?,
            };
            at += 2 + length;
        }
    }

    /// Holds the number of parts against the bounds; of styles that differ the costliest counts for all.
    fn check(&self) -> Result<()> {
        let of =
            |style: &Style| style.parts(self.tile, self.layers).saturating_mul(self.tiles * self.components as u64);
        let parts = self.styles.iter().map(of).max().unwrap_or(0);
        if self.tiles > TILES_MAX || parts > PARTS_MAX {
            let message = format!(
                "expected at most {TILES_MAX} tiles and {PARTS_MAX} precincts and code-blocks, got {} and {parts}",
                self.tiles
            );
            return Err(unsupported(message));
        }
        Ok(())
    }
}

impl Style {
    /// A style and its length, bytes; `None` where it is cut short or has more levels than there can be.
    fn read(flags: u8, body: &[u8]) -> Option<(Self, usize)> {
        let &[levels @ ..=32, w, h, _, _, ref rest @ ..] = body else { return None };
        let levels = u32::from(levels);
        let precincts = if flags & 1 == 1 { rest.get(..=levels as usize)?.to_vec() } else { Vec::new() };
        let length = 5 + precincts.len();
        Some((Self { levels, block: [w, h].map(|e| u32::from(e & 15) + 2), precincts }, length))
    }

    /// Precincts and code-blocks of one tile of one component; those count once a layer.
    fn parts(&self, tile: [u32; 2], layers: u64) -> u64 {
        (0..=self.levels).fold(0u64, |sum, resolution| {
            let halved = self.levels - resolution;
            let precinct =
                self.precincts.get(resolution as usize).map_or([15, 15], |b| [b & 15, b >> 4].map(u32::from));
            let number = |size: [u32; 2], log: [u32; 2]| -> u64 {
                [0, 1].map(|i| u64::from(size[i]).div_ceil(1 << log[i]).max(1)).iter().product()
            };
            let size = tile.map(|side| (u64::from(side)).div_ceil(1 << halved.min(32)) as u32);
            // Sub-bands of all but the lowest resolution are three of half its size.
            let (bands, band, inner) = match resolution {
                0 => (1, size, precinct),
                _ => (3, size.map(|side| side.div_ceil(2)), precinct.map(|log| log.saturating_sub(1))),
            };
            let blocks = number(band, [0, 1].map(|i| self.block[i].min(inner[i])));
            let precincts = number(size, precinct);
            sum.saturating_add(bands * (precincts + blocks.max(precincts).saturating_mul(layers)))
        })
    }
}

fn corrupt(what: &str) -> Error {
    Error::new(ErrorKind::Format, format!("JPEG 2000: {what}"))
}

fn unsupported(what: String) -> Error {
    Error::new(ErrorKind::Unsupported, format!("JPEG 2000: {what}"))
}

#[cfg(test)]
mod tests {
    use dicom_toolkit_jpeg2000::{EncodeOptions, encode};

    use super::*;

    fn frame(width: u32, height: u32) -> Vec<u8> {
        encode(&vec![9; (width * height) as usize], width, height, 1, 8, false, &EncodeOptions::default()).unwrap()
    }

    fn place(coded: &[u8], marker: u8) -> usize {
        coded.windows(2).position(|w| w == [0xFF, marker]).unwrap()
    }

    #[test]
    fn a_tile_part_that_ends_before_its_samples_is_refused_and_does_not_go_round_for_ever() {
        let mut coded = frame(40, 30);
        let (sot, sod) = (place(&coded, SOT), place(&coded, SOD));
        // As long as its header alone, and then samples without a header.
        coded[sot + 6..sot + 10].copy_from_slice(&((sod + 2 - sot) as u32).to_be_bytes());
        coded.splice(sod + 2..sod + 2, [0xFF, SOD]);
        assert!(Header::read(&coded).is_none());
        assert_eq!(decode(&coded, [40, 30], 1).unwrap_err().kind(), ErrorKind::Format);
    }

    #[test]
    fn a_style_that_a_wrong_length_hides_counts_as_the_decoder_obeys_it() {
        let mut coded = frame(2048, 2048);
        let cod = place(&coded, COD);
        let mut second = coded[cod..cod + 14].to_vec();
        // 32 layers, blocks of 4x4.
        (second[6], second[7], second[10], second[11]) = (0, 32, 0, 0);
        coded.splice(cod + 14..cod + 14, second);
        coded[cod + 3] = 12 + 14;
        assert_eq!(decode(&coded, [2048, 2048], 1).unwrap_err().kind(), ErrorKind::Unsupported);
    }

    #[test]
    fn a_header_that_asks_for_a_part_for_every_pixel_is_refused_before_it_is_decoded() {
        let small = frame(40, 30);
        let (size, cod) = ([2048u32, 2048], place(&small, COD));
        let mut large = small.clone();
        for (at, side) in [(8, 2048u32), (12, 2048), (24, 2048), (28, 2048)] {
            large[at..at + 4].copy_from_slice(&side.to_be_bytes());
        }
        assert!(Header::read(&large).unwrap().check().is_ok());

        let mut tiles = large.clone();
        tiles[24..32].copy_from_slice(&[0, 0, 0, 1, 0, 0, 0, 1]);
        let mut blocks = large.clone();
        // 32 layers, blocks of 4x4.
        blocks[cod + 6..cod + 8].copy_from_slice(&[0, 32]);
        blocks[cod + 10..cod + 12].copy_from_slice(&[0, 0]);
        let mut precincts = large;
        let levels = usize::from(precincts[cod + 9]);
        precincts[cod + 3] += 1 + levels as u8;
        precincts[cod + 4] |= 1;
        precincts.splice(cod + 14..cod + 14, vec![0x11; levels + 1]);
        for bomb in [tiles, blocks, precincts] {
            let e = decode(&bomb, size, 1).unwrap_err();
            assert!(e.kind() == ErrorKind::Unsupported && e.to_string().contains("code-blocks"), "{e}");
        }
    }

    #[test]
    fn what_the_encoder_divides_into_is_what_is_counted() {
        // 40x30 in blocks of 64x64: one for each of the sub-bands, and a precinct for each.
        let header = Header::read(&frame(40, 30)).unwrap();
        let bands = 1 + 3 * u64::from(header.styles[0].levels);
        assert_eq!((header.tiles, header.layers), (1, 1));
        assert_eq!(header.styles[0].parts(header.tile, 1), 2 * bands);
    }
}
