//! Pictures with known outlines, for tests and for the peers of `.ci/exams`.

#![allow(dead_code, reason = "each test and example uses some of it")]

use std::sync::Arc;

use sonotap::region::FrameRegion;
use sonotap::{
    Frame, FrameId, ImageSpace, Millimetres, ObjectId, Outline, Picture, PixelFormat, PixelScale, Point, Rect,
    RegionContent, ScaleSource, Timestamp,
};
use sonotap_exam::Outlined;

/// The part of the frame that is the image; a host writes beside it.
pub(crate) const REGION: [f32; 4] = [40.0, 30.0, 300.0, 230.0];
pub(crate) const SIZE: (u32, u32) = (320, 240);
/// Grey of what a host writes.
pub(crate) const WRITTEN: u8 = 251;

/// A ring of an ellipse; clockwise on the screen, or the other way for a hole.
pub(crate) fn ring(centre: (f32, f32), radii: (f32, f32), is_hole: bool) -> Vec<Point<ImageSpace>> {
    let turn = if is_hole { -1.0 } else { 1.0 };
    let corner = |i: usize| {
        let a = turn * i as f32 / 72.0 * std::f32::consts::TAU;
        Point::new(centre.0 + radii.0 * a.cos(), centre.1 + radii.1 * a.sin())
    };
    (0..72).map(corner).collect()
}

/// A frame of speckle with a dark ellipse, and something written outside its region.
pub(crate) fn frame(number: u64, format: PixelFormat, scale: Option<ScaleSource>) -> Frame {
    let (width, height) = SIZE;
    let mut pixels = Vec::with_capacity((width * height) as usize * format.bytes());
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    for y in 0..height {
        for x in 0..width {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (dx, dy) = ((x as f32 - 150.0) / 60.0, (y as f32 - 120.0) / 40.0);
            let is_in_region = (40..300).contains(&x) && (30..230).contains(&y);
            let grey = match (is_in_region, dx * dx + dy * dy < 1.0) {
                (true, true) => (state >> 61) as u8,
                (true, false) => 40 + ((state >> 57) as u8 & 0x7f),
                (false, _) if (10..18).contains(&y) && x % 7 < 4 => WRITTEN,
                (false, _) => 0,
            };
            match format {
                PixelFormat::Grey8 => pixels.push(grey),
                PixelFormat::Rgb8 => pixels.extend([grey, grey / 2, 255 - grey]),
            }
        }
    }
    let scale = scale.and_then(|source| PixelScale::new(Millimetres(0.2), Millimetres(0.25), source));
    let [x0, y0, x1, y1] = REGION;
    let region =
        FrameRegion { rect: Rect::new(x0, y0, x1, y1), content: RegionContent::BMode, scale, is_low_priority: false };
    let picture = Picture { regions: &[region], scale, ..Picture::dense(width, height, format, &pixels) };
    let mut frame = Frame::new(&picture).unwrap();
    // Uneven, as grabbers are: 33, 34, 33, 50 ms.
    let steps = [0, 33, 67, 100, 150];
    frame.stamp(FrameId(number), Timestamp::from_ms(1_000 + number / 5 * 183 + steps[(number % 5) as usize]));
    frame
}

pub(crate) fn cine(frames: u64, format: PixelFormat, scale: Option<ScaleSource>) -> Vec<Arc<Frame>> {
    (1..=frames).map(|n| Arc::new(frame(n, format, scale))).collect()
}

/// The dark ellipse.
pub(crate) fn ellipse(frame: &Frame, label: &str) -> Outlined {
    let mut outline = Outline::default();
    outline.push_ring(ring((150.0, 120.0), (60.0, 40.0), false));
    Outlined::known(ObjectId(0), label, outline, frame)
}

/// An outline of two islands, one with a hole.
pub(crate) fn islands(frame: &Frame, label: &str) -> Outlined {
    let mut outline = Outline::default();
    outline.push_ring(ring((240.0, 80.0), (40.0, 30.0), false));
    outline.push_ring(ring((240.0, 80.0), (15.3, 9.7), true));
    outline.push_ring(ring((220.0, 180.0), (12.0, 20.0), false));
    Outlined::known(ObjectId(1), label, outline, frame)
}
