use super::*;
use crate::frame::{PixelFormat, RegionContent};
use crate::geometry::Rect;

/// Speckle, and a ruler at column 30: a tick every `spacing` px from row 40 on, every fifth of them longer.
fn frame(spacing: f64, seed: u32) -> Frame {
    let (width, height) = (320u32, 400u32);
    let mut state = seed;
    let mut noise = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 28) as u8
    };
    let mut pixels: Vec<u8> = (0..width * height).map(|_| noise()).collect();
    for k in 0..200 {
        let y = 40.0 + spacing * f64::from(k);
        for row in [y.floor(), y.floor() + 1.0].into_iter().filter(|r| *r < 390.0) {
            let share = 1.0 - (y - row).abs();
            let long = if k % 5 == 0 { 12 } else { 7 };
            (27..27 + long).for_each(|x| pixels[row as usize * width as usize + x] += (200.0 * share) as u8);
        }
    }
    let mut frame = Frame::from_pixels(width, height, PixelFormat::Grey8, pixels).unwrap();
    let rect = Rect::new(80.0, 20.0, 300.0, 390.0);
    frame.set_region(ImageRegion { rect, content: RegionContent::BMode }).unwrap();
    frame
}

fn points(y0: f32, y1: f32, centimetres: u8) -> TwoPoints {
    TwoPoints { a: Point::new(34.0, y0), b: Point::new(26.0, y1), centimetres }
}

#[test]
fn points_near_ticks_give_the_scale_of_the_ticks() {
    for (spacing, steps, centimetres) in [(20.0, 15, 15), (17.3, 10, 10), (10.0, 20, 10), (33.7, 8, 4)] {
        let (y0, y1) = (40.5, 40.5 + spacing * f64::from(steps));
        // The finger is off by some px at either end.
        let by_hand = HandScale::new(&frame(spacing, 1), &points(y0 as f32 + 2.5, y1 as f32 - 2.0, centimetres));
        let by_hand = by_hand.unwrap();
        let truth = 10.0 * f64::from(centimetres) / (spacing * f64::from(steps));
        let got = f64::from(by_hand.scale().mm_per_px().1);
        assert_eq!(by_hand.ticks().unwrap().steps, steps, "{spacing}");
        assert!((got / truth - 1.0).abs() < 0.003, "{spacing}: {got} is not {truth}");
        let error = f64::from(by_hand.scale().relative_error().unwrap());
        assert!((got / truth - 1.0).abs() < error && error < 0.01, "{error}");
        assert_eq!(by_hand.scale().source(), ScaleSource::TwoPointSquare);
    }
}

#[test]
fn a_distance_that_makes_odd_ticks_is_refused() {
    for (centimetres, refused) in [(10, false), (5, false), (7, true), (9, true), (11, true), (3, true)] {
        let by_hand = HandScale::new(&frame(20.0, 1), &points(41.0, 241.0, centimetres));
        match refused {
            true => assert_eq!(by_hand.unwrap_err(), NoScale::TicksDisagree { steps: 10 }, "{centimetres} cm"),
            false => assert!(by_hand.is_ok(), "{centimetres} cm"),
        }
    }
}

#[test]
fn what_is_no_ruler_is_refused_with_the_reason() {
    let frame = frame(20.0, 1);
    let place = |x: f32, y: f32| Point::new(x, y);
    for (a, b, centimetres, why) in [
        (place(30.0, 40.0), place(120.0, 240.0), 10, NoScale::NotUpright),
        (place(30.0, 40.0), place(30.0, 70.0), 1, NoScale::TooShort),
        (place(30.0, 40.0), place(30.0, 900.0), 10, NoScale::OffFrame),
        (place(f32::NAN, 40.0), place(30.0, 240.0), 10, NoScale::OffFrame),
        (place(30.0, 40.0), place(30.0, 240.0), 0, NoScale::NoDistance),
        (place(30.0, 40.0), place(30.0, 240.0), 31, NoScale::NoDistance),
    ] {
        assert_eq!(HandScale::new(&frame, &TwoPoints { a, b, centimetres }).unwrap_err(), why);
    }
}

#[test]
fn a_scale_by_hand_goes_with_size_region_and_the_rulers_pixels() {
    let by_hand = HandScale::new(&frame(20.0, 1), &points(41.0, 341.0, 15)).unwrap();
    assert!(by_hand.holds_for(&frame(20.0, 2)), "other speckle, the same ruler");
    for spacing in [10.0, 19.0, 21.0, 25.0, 40.0] {
        assert!(!by_hand.holds_for(&frame(spacing, 1)), "another depth: {spacing}");
    }
    let mut other = frame(20.0, 1);
    let rect = Rect::new(81.0, 20.0, 300.0, 390.0);
    other.set_region(ImageRegion { rect, content: RegionContent::BMode }).unwrap();
    assert!(!by_hand.holds_for(&other), "another region");
    let pixels = frame(20.0, 1).pixels()[..320 * 399].to_vec();
    let mut shorter = Frame::from_pixels(320, 399, PixelFormat::Grey8, pixels).unwrap();
    shorter.set_region(frame(20.0, 1).region()).unwrap();
    assert!(!by_hand.holds_for(&shorter), "another size");
    // A menu of the host's over the ruler.
    let mut covered = frame(20.0, 1);
    covered.pixels_mut()[320 * 150..320 * 260].fill(60);
    assert!(!by_hand.holds_for(&covered));
}

#[test]
fn without_ticks_a_scale_holds_for_its_own_frame_alone() {
    let mut plain = Frame::from_pixels(320, 400, PixelFormat::Grey8, vec![7; 320 * 400]).unwrap();
    plain.stamp(FrameId(3), crate::units::Timestamp::START);
    let by_hand = HandScale::new(&plain, &points(40.0, 240.0, 10)).unwrap();
    assert_eq!(by_hand.ticks(), None);
    assert!((by_hand.scale().mm_per_px().0 - 0.5).abs() < 1e-6 && by_hand.scale().relative_error() > Some(0.01));
    assert!(by_hand.holds_for(&plain));
    plain.stamp(FrameId(4), crate::units::Timestamp::START);
    assert!(!by_hand.holds_for(&plain));
}

#[test]
fn numbers_beside_the_ruler_belong_to_its_key() {
    let by_hand = HandScale::new(&frame(20.0, 1), &points(41.0, 341.0, 15)).unwrap();
    // Digits of 6x8 px beside each tick, outside the image.
    let mut numbered = frame(20.0, 1);
    for k in 0..16 {
        for y in 0..8 {
            let from = (37 + 20 * k + y) * 320 + 44;
            numbered.pixels_mut()[from..from + 6].fill(200);
        }
    }
    assert!(!by_hand.holds_for(&numbered));
}

#[test]
fn a_key_that_shows_nothing_or_does_not_fit_is_none() {
    let size = (100, 80);
    for (at, width, pixels) in
        [((0, 0), 4, vec![5; 16]), ((98, 0), 4, vec![1, 2, 3, 4]), ((0, 79), 1, vec![1, 2]), ((0, 0), 0, vec![])]
    {
        assert_eq!(RulerKey::new(size, at, width, pixels), None, "{at:?} {width}");
    }
    assert!(RulerKey::new(size, (96, 79), 4, vec![1, 2, 3, 4]).is_some());
}

/// The same with a ruler along the lower rim too: a tick every `spacing` px from column 90 on.
fn with_level_ruler(spacing: f64) -> Frame {
    let mut frame = frame(20.0, 1);
    for k in 0..50 {
        let x = (90.0 + spacing * f64::from(k)).round() as usize;
        if x < 300 {
            (392..398).for_each(|y| frame.pixels_mut()[y * 320 + x..y * 320 + x + 2].fill(210));
        }
    }
    frame
}

fn level(x0: f32, x1: f32, centimetres: u8) -> TwoPoints {
    TwoPoints { a: Point::new(x0, 396.0), b: Point::new(x1, 393.0), centimetres }
}

#[test]
fn pixels_are_taken_for_square_and_it_is_said_until_the_other_axis_is_measured() {
    // 10 mm are 20 px down and 18 px across.
    let frame = with_level_ruler(18.0);
    let along = HandScale::new(&frame, &points(41.0, 341.0, 15)).unwrap();
    assert_eq!((along.scale().source(), along.aspect()), (ScaleSource::TwoPointSquare, None));
    assert_eq!(along.scale().mm_per_px().0, along.scale().mm_per_px().1);
    let both = along.across(&frame, &level(92.0, 269.0, 10)).unwrap();
    let (x, y) = both.scale().mm_per_px();
    assert!((x - 10.0 / 18.0).abs() < 0.004 && (y - 0.5).abs() < 0.002, "{x} {y}");
    let error = both.scale().relative_error().unwrap();
    assert!(error >= along.scale().relative_error().unwrap() && error < 0.01, "{error}");
    assert_eq!((both.scale().source(), both.holds_for(&frame)), (ScaleSource::TwoPoint, true));
    let aspect = both.aspect().unwrap();
    assert!((aspect.ratio - 20.0 / 18.0).abs() < 0.01, "{aspect:?}");
    // The aspect is of the video: at another depth it counts as well, with both errors.
    let deeper = HandScale::new(&self::frame(25.0, 1), &points(41.0, 291.0, 10)).unwrap().with_aspect(&aspect);
    let (x, y) = deeper.scale().mm_per_px();
    assert!((x / y - 20.0 / 18.0).abs() < 0.01 && deeper.scale().source() == ScaleSource::TwoPoint);
    assert!(deeper.scale().relative_error().unwrap() > aspect.relative_error);
}

#[test]
fn what_the_video_says_of_its_pixels_is_used() {
    let mut frame = frame(20.0, 1);
    frame.set_pixel_aspect(Some(0.909));
    let by_hand = HandScale::new(&frame, &points(41.0, 341.0, 15)).unwrap();
    let (x, y) = by_hand.scale().mm_per_px();
    assert!((x / y - 0.909).abs() < 1e-4 && by_hand.scale().source() == ScaleSource::TwoPoint, "{x} {y}");
    assert!(by_hand.holds_for(&frame));
    frame.set_pixel_aspect(None);
    assert!(!by_hand.holds_for(&frame), "the video says something else now");
    for odd in [0.3, 4.0, f32::NAN, f32::INFINITY] {
        frame.set_pixel_aspect(Some(odd));
        assert_eq!(frame.pixel_aspect(), None, "{odd}");
    }
}

#[test]
fn points_across_are_refused_with_the_reason() {
    let frame = with_level_ruler(18.0);
    let along = HandScale::new(&frame, &points(41.0, 341.0, 15)).unwrap();
    let slanted = TwoPoints { a: Point::new(92.0, 300.0), b: Point::new(269.0, 393.0), centimetres: 10 };
    for (points, why) in [
        (level(92.0, 269.0, 7), NoScale::TicksDisagree { steps: 10 }),
        (level(92.0, 110.0, 1), NoScale::TooShort),
        (level(92.0, 400.0, 10), NoScale::OffFrame),
        (level(92.0, 269.0, 2), NoScale::OddAspect),
        (slanted, NoScale::NotUpright),
    ] {
        assert_eq!(along.across(&frame, &points).unwrap_err(), why, "{points:?}");
    }
    let other = self::frame(25.0, 1);
    assert_eq!(along.across(&other, &level(92.0, 269.0, 10)).unwrap_err(), NoScale::DepthFirst);
    assert!(level(92.0, 269.0, 10).are_level() && !points(41.0, 341.0, 15).are_level());
}
