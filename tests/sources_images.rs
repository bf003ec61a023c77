//! Folders of pictures, GIFs and single pictures as a source of frames.

use std::fs;
use std::path::Path;
use std::time::Duration;

use image::{DynamicImage, GrayImage, ImageFormat, Luma, LumaA, Rgb, RgbImage, Rgba, RgbaImage};
use sonotap::error::{Error, ErrorKind};
use sonotap::frame::{Frame, PixelFormat, RegionContent};
use sonotap::source::images::{ImagesSource, load_still};
use sonotap::source::{FrameSource, Next};

fn grey(path: &Path, width: u32, height: u32, value: u8) {
    GrayImage::from_pixel(width, height, Luma([value])).save(path).unwrap();
}

fn frames(source: &mut ImagesSource) -> Vec<Frame> {
    let mut frame = Frame::default();
    let mut all = Vec::new();
    while source.next_into(&mut frame).unwrap() == Next::Filled {
        all.push(frame.clone());
    }
    all
}

fn refusal(path: &Path) -> Error {
    let e = ImagesSource::open(path).unwrap_err();
    assert!(e.to_string().contains(path.file_name().unwrap().to_str().unwrap()), "\"{e}\" names no file");
    e
}

/// A GIF of 4 x 2 px: all of index 1, then a single pixel of index 2 at (3, 1) over it.
fn gif_file(path: &Path, palette: &[u8], delays: [u16; 2]) {
    let mut encoder = gif::Encoder::new(fs::File::create(path).unwrap(), 4, 2, palette).unwrap();
    let first =
        gif::Frame { width: 4, height: 2, buffer: vec![1; 8].into(), delay: delays[0], ..gif::Frame::default() };
    encoder.write_frame(&first).unwrap();
    let second = gif::Frame {
        left: 3,
        top: 1,
        width: 1,
        height: 1,
        buffer: vec![2].into(),
        delay: delays[1],
        dispose: gif::DisposalMethod::Keep,
        ..gif::Frame::default()
    };
    encoder.write_frame(&second).unwrap();
}

#[test]
fn a_folder_plays_in_the_order_of_its_numbers() {
    let folder = tempfile::tempdir().unwrap();
    for n in [10u8, 2, 1, 33, 9] {
        grey(&folder.path().join(format!("frame{n}.png")), 5, 3, n);
    }
    fs::write(folder.path().join("notes.txt"), "not a picture").unwrap();
    fs::write(folder.path().join("._frame3.png"), "not a picture").unwrap();
    let mut source = ImagesSource::open(folder.path()).unwrap();
    assert_eq!(source.description().name, "images 5x3, 5 frames");
    assert_eq!(source.description().format, PixelFormat::Grey8);
    assert_eq!((source.description().frames, source.description().frame_period), (Some(5), None));
    let played = frames(&mut source);
    assert_eq!(played.iter().map(|f| f.pixels()[14]).collect::<Vec<_>>(), [1, 2, 9, 10, 33]);
    for frame in &played {
        assert_eq!((frame.scale(), frame.region().content), (None, RegionContent::Unknown));
        assert_eq!(frame.region().rect, frame.bounds());
    }
    source.rewind();
    assert_eq!(frames(&mut source).len(), 5);
}

#[test]
fn playing_reuses_the_frame() {
    let folder = tempfile::tempdir().unwrap();
    for n in 0..3 {
        grey(&folder.path().join(format!("{n}.png")), 64, 48, n);
    }
    let mut source = ImagesSource::open(folder.path()).unwrap();
    let mut frame = Frame::default();
    source.next_into(&mut frame).unwrap();
    let buffer = frame.pixels().as_ptr();
    source.next_into(&mut frame).unwrap();
    assert_eq!(frame.pixels().as_ptr(), buffer);
}

#[test]
fn grey_and_colour_together_become_rgb() {
    let folder = tempfile::tempdir().unwrap();
    grey(&folder.path().join("1.png"), 2, 2, 40);
    RgbImage::from_pixel(2, 2, Rgb([200, 100, 50])).save(folder.path().join("2.png")).unwrap();
    grey(&folder.path().join("3.png"), 2, 2, 60);
    let mut source = ImagesSource::open(folder.path()).unwrap();
    assert_eq!(source.description().format, PixelFormat::Rgb8);
    let played = frames(&mut source);
    assert_eq!(played[0].pixels(), [40; 12]);
    assert_eq!(played[1].pixels(), [200, 100, 50].repeat(4));
    assert_eq!(played[2].pixels(), [60; 12]);
}

#[test]
fn transparency_is_laid_over_black_and_wide_samples_keep_their_upper_half() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("still.png");
    for (picture, format, expected) in [
        (
            DynamicImage::from(RgbaImage::from_pixel(1, 1, Rgba([200, 100, 0, 128]))),
            PixelFormat::Rgb8,
            vec![100, 50, 0],
        ),
        (DynamicImage::from(image::GrayAlphaImage::from_pixel(1, 1, LumaA([200, 0]))), PixelFormat::Grey8, vec![0]),
        (DynamicImage::from(image::ImageBuffer::from_pixel(1, 1, Luma([0x80FF_u16]))), PixelFormat::Grey8, vec![0x80]),
    ] {
        picture.save(&path).unwrap();
        let frame = load_still(&path).unwrap();
        assert_eq!(frame.format(), format);
        assert!(
            frame.pixels().iter().zip(&expected).all(|(a, b)| a.abs_diff(*b) <= 1),
            "{:?} {expected:?}",
            frame.pixels()
        );
    }
}

#[test]
fn a_single_picture_is_one_frame() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["still.png", "still.jpg", "still.JPEG"] {
        let path = folder.path().join(name);
        let format = if name.ends_with("png") { ImageFormat::Png } else { ImageFormat::Jpeg };
        GrayImage::from_pixel(6, 4, Luma([90])).save_with_format(&path, format).unwrap();
        let mut source = ImagesSource::open(&path).unwrap();
        assert_eq!(source.description().name, "image 6x4");
        let played = frames(&mut source);
        assert_eq!((played.len(), played[0].format()), (1, PixelFormat::Grey8), "{name}");
        assert!(played[0].pixels().iter().all(|v| v.abs_diff(90) <= 1), "{name}");
        assert_eq!(load_still(&path).unwrap().pixels(), played[0].pixels());
    }
}

#[test]
fn gif_frames_are_composited_and_its_delays_are_its_period() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cine.gif");
    gif_file(&path, &[0, 0, 0, 80, 80, 80, 255, 0, 0], [3, 5]);
    let mut source = ImagesSource::open(&path).unwrap();
    let description = source.description();
    assert_eq!(description.name, "GIF 4x2, 2 frames");
    assert_eq!((description.format, description.frame_period), (PixelFormat::Rgb8, Some(Duration::from_millis(40))));
    let played = frames(&mut source);
    assert_eq!(played[0].pixels(), [80; 24]);
    assert_eq!(played[1].pixels(), [&[80; 21][..], &[255, 0, 0]].concat());

    gif_file(&path, &[0, 0, 0, 80, 80, 80, 9, 9, 9], [0, 0]);
    let mut source = ImagesSource::open(&path).unwrap();
    assert_eq!((source.description().format, source.description().frame_period), (PixelFormat::Grey8, None));
    assert_eq!(frames(&mut source)[1].pixels(), [80, 80, 80, 80, 80, 80, 80, 9]);
    assert_eq!(load_still(&path).unwrap().pixels(), [80; 8]);
}

#[test]
fn a_picture_of_another_size_is_named_with_both_sizes() {
    let folder = tempfile::tempdir().unwrap();
    grey(&folder.path().join("1.png"), 5, 3, 0);
    grey(&folder.path().join("2.png"), 5, 4, 0);
    let e = ImagesSource::open(folder.path()).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Format);
    assert!(e.to_string().ends_with("2.png: expected 5x3 px as the first picture has, got 5x4"), "{e}");
}

#[test]
fn truncated_pictures_are_format_errors() {
    let folder = tempfile::tempdir().unwrap();
    let noise = |x: u32, y: u32| (x * 37 + y * 101 + x * y * 7) as u8;
    for name in ["cut.png", "cut.jpg", "cut.gif"] {
        let path = folder.path().join(name);
        if name.ends_with("gif") {
            gif_file(&path, &[0, 0, 0, 80, 80, 80, 9, 9, 9], [3, 3]);
        } else {
            GrayImage::from_fn(32, 32, |x, y| Luma([noise(x, y)])).save(&path).unwrap();
        }
        let whole = fs::read(&path).unwrap();
        assert!(ImagesSource::open(&path).is_ok(), "{name}");
        for percent in [0, 10, 50, 80] {
            fs::write(&path, &whole[..whole.len() * percent / 100]).unwrap();
            let e = refusal(&path);
            assert!(matches!(e.kind(), ErrorKind::Format | ErrorKind::Unsupported), "{percent} % of {name}: {e}");
        }
    }
}

#[test]
fn what_is_no_picture_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let e = refusal(folder.path());
    assert_eq!(e.kind(), ErrorKind::Format);
    assert!(e.to_string().contains("got none"), "{e}");

    for name in ["text.png", "text.jpg", "text.gif"] {
        let path = folder.path().join(name);
        fs::write(&path, "this is not a picture at all").unwrap();
        refusal(&path);
        assert!(load_still(&path).is_err());
    }
    let path = folder.path().join("clip.mp4");
    fs::write(&path, "whatever").unwrap();
    let e = refusal(&path);
    assert_eq!(e.kind(), ErrorKind::Unsupported);
    assert!(e.to_string().contains("expected a .png, .jpg, .jpeg or .gif, got \".mp4\""), "{e}");

    let e = refusal(&folder.path().join("absent.png"));
    assert_eq!(e.kind(), ErrorKind::Io);
}

#[test]
fn pictures_beyond_the_side_limit_are_unsupported() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wide.png");
    grey(&path, 8193, 1, 0);
    let e = refusal(&path);
    assert_eq!(e.kind(), ErrorKind::Unsupported);
    assert!(e.to_string().contains("at most 8192 px a side"), "{e}");
    grey(&path, 8192, 1, 0);
    assert!(ImagesSource::open(&path).is_ok());
}

#[test]
fn flipped_bits_never_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flipped.gif");
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as usize % below
    };
    for extension in ["png", "jpg", "gif"] {
        let path = path.with_extension(extension);
        if extension == "gif" {
            gif_file(&path, &[0, 0, 0, 80, 80, 80, 255, 0, 0], [3, 3]);
        } else {
            RgbImage::from_fn(16, 16, |x, y| Rgb([x as u8 * 9, y as u8 * 7, 50])).save(&path).unwrap();
        }
        let whole = fs::read(&path).unwrap();
        let mut refused = 0;
        for _ in 0..100 {
            let mut flipped = whole.clone();
            for _ in 0..1 + random(3) {
                flipped[random(whole.len())] ^= 1 << random(8);
            }
            fs::write(&path, &flipped).unwrap();
            refused += usize::from(ImagesSource::open(&path).is_err());
        }
        assert!(refused > 10, "only {refused} flipped {extension} files were refused");
    }
}
