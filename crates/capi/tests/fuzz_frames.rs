//! `sonotap_push_frame` with anything in its structure but pointers and lengths, which a host answers for: a status, never a panic, and
//! no byte read behind what was given. Seeded, so that a failure comes again. `SONOTAP_FUZZ` is the number of frames (2,000 by default).

#[allow(dead_code, reason = "each test program uses its part")]
mod common;

use common::{Model, PERIOD_NS, fourcc, frame_of, stepped, turn};
use sonotap_capi::*;

const FORMATS: [&[u8; 4]; 13] = [
    b"GREY", b"Y16 ", b"YUYV", b"UYVY", b"NV12", b"NV16", b"YU12", b"P010", b"RGB3", b"BGR3", b"XR24", b"BX24", b"MJPG",
];
/// Bytes that a frame can have here.
const BYTES: usize = 1 << 16;
/// A page that cannot be read lies behind them.
const PAGE: usize = 1 << 16;

/// Memory whose end is the end of what can be read.
struct Guarded(*mut u8);

impl Guarded {
    fn new() -> Self {
        // SAFETY: new memory of our own.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                BYTES + PAGE,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        assert_ne!(start, libc::MAP_FAILED);
        let start = start.cast::<u8>();
        // SAFETY: the last page of it.
        assert_eq!(unsafe { libc::mprotect(start.add(BYTES).cast(), PAGE, libc::PROT_NONE) }, 0);
        Self(start)
    }

    /// The last bytes that can be read.
    fn last(&mut self, bytes: usize) -> &mut [u8] {
        assert!(bytes <= BYTES);
        // SAFETY: within what can be read and written, and borrowed for as long as `self`.
        unsafe { std::slice::from_raw_parts_mut(self.0.add(BYTES - bytes), bytes) }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // SAFETY: what `new` got, which nobody borrows any more.
        unsafe { libc::munmap(self.0.cast(), BYTES + PAGE) };
    }
}

/// A splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    /// A size: mostly one that fits, else an edge or anything.
    fn size(&mut self) -> u32 {
        match self.below(8) {
            0 => {
                [0, 1, 2, 3, 15, 16, 63, 64, 16_384, 16_385, 65_535, i32::MAX as u32, u32::MAX][self.below(13) as usize]
            }
            1 => self.next() as u32,
            _ => self.below(300) as u32 + 1,
        }
    }

    fn length(&mut self) -> f32 {
        [f32::NAN, f32::INFINITY, -1.0, 0.0, 1e-30, f32::MAX, 0.1, 40.0][self.below(8) as usize]
    }
}

fn jpeg() -> Vec<u8> {
    let mut bytes = Vec::new();
    let pixels: Vec<u8> = (0..64 * 48 * 3).map(|i| (i * 7 % 251) as u8).collect();
    jpeg_encoder::Encoder::new(&mut bytes, 80).encode(&pixels, 64, 48, jpeg_encoder::ColorType::Rgb).unwrap();
    bytes
}

/// A good frame at the end of `guarded`.
fn good_frame(random: &mut Random, guarded: &mut Guarded, jpeg: &[u8]) -> sonotap_frame {
    let format = FORMATS[random.below(FORMATS.len() as u64) as usize];
    let (width, height) = (16 + 2 * random.below(50) as u32, 16 + 2 * random.below(50) as u32);
    let (width, height, bytes) = match format {
        b"MJPG" => (64, 48, jpeg.len()),
        b"GREY" => (width, height, (width * height) as usize),
        b"NV12" | b"YU12" => (width, height, (width * height) as usize * 3 / 2),
        b"Y16 " | b"YUYV" | b"UYVY" | b"NV16" => (width, height, (width * height) as usize * 2),
        b"P010" | b"RGB3" | b"BGR3" => (width, height, (width * height) as usize * 3),
        _ => (width, height, (width * height) as usize * 4),
    };
    let pixels = guarded.last(bytes);
    match format {
        b"MJPG" => pixels.copy_from_slice(jpeg),
        _ => pixels.iter_mut().step_by(97).for_each(|p| *p = random.next() as u8),
    }
    frame_of(format, width, height, pixels)
}

/// Makes something of it another thing. What is said of pointers stays true.
fn change(f: &mut sonotap_frame, random: &mut Random, guarded: &mut Guarded) {
    let bytes = f.plane_bytes[0];
    match random.below(17) {
        0 => f.struct_size = random.next() as u32 % 300,
        1 => f.fourcc = random.next() as u32,
        2 => f.fourcc = fourcc(FORMATS[random.below(FORMATS.len() as u64) as usize]),
        3 => f.width = random.size(),
        4 => f.height = random.size(),
        5 => f.stride[0] = random.size(),
        6 => f.stride[1] = random.size(),
        7 => f.plane[0] = std::ptr::null(),
        // Fewer bytes, so that the end stays that of what can be read.
        8 => {
            f.plane_bytes[0] = random.below(bytes as u64 + 1) as usize;
            f.plane[0] = guarded.last(f.plane_bytes[0]).as_ptr();
        }
        9 => {
            f.plane_bytes[1] = random.below(BYTES as u64 / 2) as usize;
            f.plane[1] = guarded.last(f.plane_bytes[1]).as_ptr();
        }
        10 => (f.time_ns, f.time_kind) = (random.next(), random.below(5) as u32),
        11 => f.content = random.size(),
        12 => (f.mm_per_px_x, f.scale_source) = (random.length(), random.below(12) as u32),
        13 => f.mm_per_px_y = random.length(),
        14 => (f.is_full_range, f.is_bt709) = (random.below(3) as u32, random.below(3) as u32),
        15 => {
            f.region = sonotap_rect { x: random.length(), y: random.length(), w: random.length(), h: random.length() }
        }
        _ => {
            let pixels = guarded.last(bytes);
            for _ in 0..random.below(6) {
                let at = random.below(bytes.max(1) as u64) as usize;
                if let Some(pixel) = pixels.get_mut(at) {
                    *pixel = random.next() as u8;
                }
            }
        }
    }
}

fn any_frame(random: &mut Random, guarded: &mut Guarded, jpeg: &[u8]) -> sonotap_frame {
    let mut any = good_frame(random, guarded, jpeg);
    for _ in 0..random.below(4) {
        change(&mut any, random, guarded);
    }
    any
}

#[test]
fn any_frame_gets_a_status_and_nothing_behind_it_is_read() {
    let frames: u64 = std::env::var("SONOTAP_FUZZ").map_or(2_000, |n| n.parse().unwrap());
    let model = Model::bundled();
    let session = model.open(&stepped()).unwrap();
    let (mut random, mut guarded, jpeg) = (Random(0x50_4E_54_41), Guarded::new(), jpeg());
    let (mut taken, mut refused) = (0, 0);
    for n in 1..=frames {
        assert_eq!(sonotap_set_now_ns(session.0, n * PERIOD_NS), SONOTAP_OK);
        let any = any_frame(&mut random, &mut guarded, &jpeg);
        match session.push(&any) {
            status if status == SONOTAP_E_PANIC => panic!("frame {n}: {any:?}"),
            status if status >= 0 => taken += 1,
            _ => refused += 1,
        }
        if n % 64 == 0 {
            session.poll();
        }
    }
    println!("{frames} frames: {taken} taken, {refused} refused");
    assert!(taken * 10 > frames && refused * 10 > frames, "{taken} taken, {refused} refused: one side is hardly tried");
    let pixels = vec![90; 320 * 240];
    let good = frame_of(b"GREY", 320, 240, &pixels);
    assert!(turn(&session, &good, (frames + 2) * PERIOD_NS).is_some(), "no scene of a good frame afterwards");
}
