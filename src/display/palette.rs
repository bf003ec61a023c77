//! The fixed colours of a GIF: ultrasound is grey, and the overlay has few colours.
//!
//! 128 greys from black to white, up to [`THEME_COLOURS`] exact colours, greys tinted by the first [`TINTED`] of them,
//! a cube of 4 x 5 x 3 colours for the rest, and one index for "unchanged". A colour is found by one table look-up;
//! nothing is computed from the picture.

/// Index of "unchanged".
pub(super) const UNCHANGED: u8 = 0;
/// Largest number of colours that are kept exactly.
pub(super) const THEME_COLOURS: usize = 20;
/// Number of colours that tint tissue, by 25 % and 50 %.
const TINTED: usize = 4;
const TINT_GREYS: usize = 6;
const GREYS: usize = 128;
const CUBE: [usize; 3] = [4, 5, 3];
/// Bits per channel in the look-up of colours that are not grey.
const BITS: u32 = 5;

/// 256 colours, and a map from any colour to one of them.
pub(super) struct Palette {
    colours: Vec<[u8; 3]>,
    of_grey: [u8; 256],
    of_colour: Vec<u8>,
}

impl Palette {
    /// A palette that keeps the first [`THEME_COLOURS`] of `theme` (0x00RRGGBB) exactly, with tints of the first
    /// [`TINTED`].
    pub(super) fn new(theme: &[u32]) -> Self {
        let theme = &theme[..theme.len().min(THEME_COLOURS)];
        let mut colours = vec![[0; 3]];
        colours.extend((0..GREYS).map(|i| [level(i, GREYS); 3]));
        colours.extend(theme.iter().map(|&c| rgb(c)));
        colours.extend(theme.iter().take(TINTED).flat_map(|&c| tints(rgb(c))));
        colours.extend(cube().filter(|&[r, g, b]| (r, g) != (g, b)));

        let of_grey = std::array::from_fn(|v| nearest(&colours, [v as u8; 3]));
        let side = 1u32 << BITS;
        let centre = |v: u32| ((v << (8 - BITS)) + (1 << (7 - BITS))) as u8;
        let cells = (0..side * side * side).map(|at| {
            let cell = [at >> (2 * BITS), (at >> BITS) % side, at % side];
            nearest(&colours, cell.map(centre))
        });
        let mut of_colour: Vec<u8> = cells.collect();
        for &colour in theme {
            of_colour[cell_of(colour)] = nearest(&colours, rgb(colour));
        }
        Self { colours, of_grey, of_colour }
    }

    /// Red, green, blue of every index, in order.
    pub(super) fn table(&self) -> Vec<u8> {
        self.colours.concat()
    }

    /// The index for a colour, 0x00RRGGBB; never [`UNCHANGED`].
    pub(super) fn index(&self, colour: u32) -> u8 {
        let grey = colour & 0xff;
        if colour & 0xff_ffff == grey * 0x01_0101 {
            return self.of_grey[grey as usize];
        }
        self.of_colour[cell_of(colour)]
    }
}

/// The i-th of n levels from 0 to 255.
fn level(i: usize, n: usize) -> u8 {
    ((2 * 255 * i + n - 1) / (2 * (n - 1))) as u8
}

/// Greys from black to white tinted by `c`.
fn tints(c: [u8; 3]) -> impl Iterator<Item = [u8; 3]> {
    let tint = move |quarters: usize, grey: u8| {
        c.map(|v| ((usize::from(v) * quarters + usize::from(grey) * (4 - quarters) + 2) / 4) as u8)
    };
    [1, 2].into_iter().flat_map(move |quarters| (0..TINT_GREYS).map(move |i| tint(quarters, level(i, TINT_GREYS))))
}

fn cube() -> impl Iterator<Item = [u8; 3]> {
    let [reds, greens, blues] = CUBE;
    (0..reds * greens * blues).map(move |at| {
        let (r, g, b) = (at / (greens * blues), at / blues % greens, at % blues);
        [level(r, reds), level(g, greens), level(b, blues)]
    })
}

fn rgb(colour: u32) -> [u8; 3] {
    let [_, r, g, b] = colour.to_be_bytes();
    [r, g, b]
}

fn cell_of(colour: u32) -> usize {
    rgb(colour).iter().fold(0, |at, &v| (at << BITS) | usize::from(v >> (8 - BITS)))
}

/// The nearest colour, with green weighted most and blue least; index 0 is left out.
fn nearest(colours: &[[u8; 3]], c: [u8; 3]) -> u8 {
    let distance = |o: &[u8; 3]| -> i32 {
        let d = |i: usize| i32::from(o[i]) - i32::from(c[i]);
        3 * d(0) * d(0) + 6 * d(1) * d(1) + d(2) * d(2)
    };
    (1..colours.len()).min_by_key(|&i| distance(&colours[i])).unwrap_or(1) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    const THEME: [u32; 6] = [0x00e5ff, 0xffb000, 0x39d353, 0xff5c8a, 0x101820, 0x13171c];

    #[test]
    fn greys_are_within_one_level_and_theme_colours_exact() {
        let p = Palette::new(&THEME);
        for v in 0..=255u32 {
            let got = p.colours[p.index(v * 0x01_0101) as usize];
            assert!(got.iter().all(|&g| u32::from(g).abs_diff(v) <= 1), "grey {v} became {got:?}");
        }
        for c in THEME {
            assert_eq!(p.colours[p.index(c) as usize], rgb(c), "{c:06x}");
        }
    }

    #[test]
    fn tinted_tissue_keeps_its_hue() {
        let p = Palette::new(&THEME);
        for (c, quarters, grey) in [(THEME[0], 1, 120), (THEME[1], 2, 90), (THEME[2], 1, 60), (THEME[3], 2, 170)] {
            let want = rgb(c).map(|v| (u32::from(v) * quarters + grey * (4 - quarters)) / 4);
            let got = p.colours[p.index(want[0] << 16 | want[1] << 8 | want[2]) as usize].map(u32::from);
            let off = [0, 1, 2].map(|i| want[i].abs_diff(got[i]));
            assert!(off.iter().all(|&o| o <= 27), "{want:?} became {got:?}");
        }
    }

    #[test]
    fn the_palette_fits_a_gif_and_no_colour_means_unchanged() {
        for theme in [&[][..], &THEME, &[0x12_3456; 40]] {
            let p = Palette::new(theme);
            assert!(p.table().len() <= 256 * 3, "{} colours", p.colours.len());
            assert!(p.of_grey.iter().chain(&p.of_colour).all(|&i| i != UNCHANGED));
        }
    }
}
