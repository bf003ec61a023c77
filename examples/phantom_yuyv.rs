//! Raw YUYV pictures of a phantom, for a virtual camera that plays a file: what a tap hits is known exactly.
//!
//! ```text
//! cargo run --release --example phantom_yuyv -- cyst 640 480 60 cyst.yuyv
//! ```
//!
//! Beside it, as `cyst.truth`, lies the outline of the structure on each picture: a line of `x,y x,y ...`, image px. Prints the centre of
//! the structure on the first picture.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, bail};
use sonotap::frame::Frame;
use sonotap::source::phantom::{Phantom, PhantomConfig, PhantomPreset};

const OUTLINE_POINTS: usize = 72;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [preset, width, height, frames, path] = arguments.as_slice() else {
        bail!("expected PRESET WIDTH HEIGHT FRAMES FILE, got {} arguments", arguments.len());
    };
    let (width, height): (u32, u32) = (width.parse()?, height.parse()?);
    let preset: PhantomPreset = preset.parse()?;
    let mut phantom = Phantom::new(preset, PhantomConfig { width, height, ..PhantomConfig::default() })?;
    let mut out = std::io::BufWriter::new(std::fs::File::create(path).with_context(|| path.clone())?);
    let mut truth = std::io::BufWriter::new(std::fs::File::create(Path::new(path).with_extension("truth"))?);
    let mut frame = Frame::default();
    for index in 0..frames.parse()? {
        phantom.render_at(index, &mut frame);
        // Studio range, as scanners send it: 16 is black, 235 white; no colour.
        let bytes: Vec<u8> =
            frame.pixels().iter().flat_map(|&g| [(16 + u32::from(g) * 219 / 255) as u8, 128]).collect();
        out.write_all(&bytes)?;
        let points = phantom.truth_outline(index, OUTLINE_POINTS);
        writeln!(truth, "{}", points.iter().map(|p| format!("{:.1},{:.1}", p.x, p.y)).collect::<Vec<_>>().join(" "))?;
    }
    out.flush()?;
    truth.flush()?;
    let tap = phantom.tap_point(0).context("no structure on the first picture")?;
    println!("{:.1} {:.1}", tap.x, tap.y);
    Ok(())
}
