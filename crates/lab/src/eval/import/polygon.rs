//! Outlines and run lengths as masks.

use sonotap::mask::Bitmap;

/// Fills rings by the even-odd rule: a pixel is inside when its centre is.
pub(super) fn fill(rings: &[Vec<(f64, f64)>], width: u32, height: u32) -> Bitmap {
    let mut mask = Bitmap::new(width, height);
    let mut crossings: Vec<f64> = Vec::new();
    for y in 0..height {
        let centre = f64::from(y) + 0.5;
        crossings.clear();
        for ring in rings {
            for (a, b) in ring.iter().zip(ring.iter().cycle().skip(1)) {
                if (a.1 > centre) != (b.1 > centre) {
                    crossings.push(a.0 + (centre - a.1) / (b.1 - a.1) * (b.0 - a.0));
                }
            }
        }
        crossings.sort_by(f64::total_cmp);
        for pair in crossings.chunks_exact(2) {
            let from = (pair[0] - 0.5).ceil().max(0.0);
            let to = (pair[1] - 0.5).ceil().min(f64::from(width));
            for x in from as u32..to.max(from) as u32 {
                mask.set(x, y, true);
            }
        }
    }
    mask
}

/// A mask of run lengths in columns, outside first.
pub(super) fn of_runs(runs: &[u64], width: u32, height: u32) -> Option<Bitmap> {
    let all = u64::from(width) * u64::from(height);
    let mut mask = Bitmap::new(width, height);
    let mut at = 0u64;
    for (i, &run) in runs.iter().enumerate() {
        let end = at.checked_add(run).filter(|end| *end <= all)?;
        if i % 2 == 1 {
            (at..end).for_each(|p| mask.set((p / u64::from(height)) as u32, (p % u64::from(height)) as u32, true));
        }
        at = end;
    }
    (at == all).then_some(mask)
}

/// COCO's text of run lengths: five bits a character, each run from the third on less the one two before.
pub(super) fn runs_of_text(text: &str) -> Option<Vec<u64>> {
    let mut runs: Vec<i64> = Vec::new();
    let mut bytes = text.bytes();
    while let Some(first) = bytes.next() {
        let (mut value, mut shift, mut byte) = (0i64, 0u32, first);
        loop {
            let c = i64::from(byte.checked_sub(48).filter(|c| *c < 64)?);
            value |= (c & 0x1F).checked_shl(shift).filter(|_| shift < 60)?;
            shift += 5;
            if c & 0x20 == 0 {
                if c & 0x10 != 0 {
                    value |= -1 << shift;
                }
                break;
            }
            byte = bytes.next()?;
        }
        if runs.len() > 2 {
            value = value.checked_add(runs[runs.len() - 2])?;
        }
        runs.push(value);
    }
    runs.into_iter().map(|r| u64::try_from(r).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_polygon_holds_the_pixels_whose_centres_it_holds() {
        let square = vec![(1.0, 1.0), (4.0, 1.0), (4.0, 3.0), (1.0, 3.0)];
        let mask = fill(std::slice::from_ref(&square), 6, 5);
        assert_eq!(mask.area_px(), 6);
        assert!(mask.get(1, 1) && mask.get(3, 2) && !mask.get(4, 1) && !mask.get(1, 3));
        let hole = vec![(2.0, 1.0), (3.0, 1.0), (3.0, 2.0), (2.0, 2.0)];
        assert_eq!(fill(&[square, hole], 6, 5).area_px(), 5);
        assert_eq!(fill(&[vec![(-5.0, -5.0), (50.0, -5.0), (50.0, 50.0), (-5.0, 50.0)]], 6, 5).area_px(), 30);
    }

    #[test]
    fn run_lengths_go_down_the_columns() {
        let mask = of_runs(&[1, 2, 3], 2, 3).unwrap();
        assert_eq!(mask.pixels(), [0, 0, 1, 0, 1, 0]);
        assert_eq!((of_runs(&[1, 2], 2, 3), of_runs(&[9], 2, 3)), (None, None));
    }

    /// The text is what pycocotools 2.0 writes for these runs.
    #[test]
    fn the_text_of_run_lengths_is_that_of_coco() {
        assert_eq!(runs_of_text("123"), Some(vec![1, 2, 3]));
        assert_eq!(runs_of_text("5:0"), Some(vec![5, 10, 0]));
        assert_eq!(runs_of_text("\u{7f}"), None);
    }
}
