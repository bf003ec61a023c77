//! Where a simulated operator clicks, and the boxes that one draws.

pub mod boxes;
pub mod cvt;
pub mod msa;
pub mod noc;

use serde::{Deserialize, Serialize};

use sonotap::geometry::{ImageSpace, Point};
use sonotap::mask::Bitmap;
use sonotap::prompt::Polarity;

/// A click on a pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PixelClick {
    /// Column, px.
    pub x: u32,
    /// Row, px.
    pub y: u32,
    /// Whether the object holds it.
    pub is_positive: bool,
}

impl PixelClick {
    /// The pixel's centre.
    pub fn at(self) -> Point<ImageSpace> {
        Point::new(self.x as f32 + 0.5, self.y as f32 + 0.5)
    }

    /// As a prompt has it.
    pub fn polarity(self) -> Polarity {
        if self.is_positive { Polarity::Positive } else { Polarity::Negative }
    }
}

/// The pixels for which `keep` holds of (in `a`, in `b`); the masks have one size.
pub fn where_both(a: &Bitmap, b: &Bitmap, keep: impl Fn(bool, bool) -> bool) -> Bitmap {
    assert_eq!((a.width(), a.height()), (b.width(), b.height()), "masks of different size compared");
    let values = a.pixels().iter().zip(b.pixels()).map(|(&p, &q)| u8::from(keep(p != 0, q != 0))).collect();
    Bitmap::from_values(a.width(), a.height(), values).unwrap_or_else(|| Bitmap::new(a.width(), a.height()))
}

fn click_at(index: usize, width: u32, is_positive: bool) -> PixelClick {
    PixelClick { x: index as u32 % width, y: index as u32 / width, is_positive }
}
