//! Raw YUYV pictures of a phantom, for a virtual camera that plays a file: what a tap hits is known exactly.
//!
//! ```text
//! cargo run --release --example phantom_yuyv -- cyst 640 480 60 cyst.yuyv
//! ```
//!
//! Prints the centre of the structure on the first picture, image px.

use std::io::Write;

use anyhow::{Context, Result, bail};
use sonotap::frame::Frame;
use sonotap::source::phantom::{Phantom, PhantomConfig, Preset};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [preset, width, height, frames, path] = arguments.as_slice() else {
        bail!("expected PRESET WIDTH HEIGHT FRAMES FILE, got {} arguments", arguments.len());
    };
    let (width, height): (u32, u32) = (width.parse()?, height.parse()?);
    let preset: Preset = preset.parse()?;
    let mut phantom = Phantom::new(preset, PhantomConfig { width, height, ..PhantomConfig::default() })?;
    let mut out = std::io::BufWriter::new(std::fs::File::create(path).with_context(|| path.clone())?);
    let mut frame = Frame::default();
    for index in 0..frames.parse()? {
        phantom.render_at(index, &mut frame);
        // Studio range, as scanners send it: 16 is black, 235 white; no colour.
        let bytes: Vec<u8> = frame.pixels.iter().flat_map(|&g| [(16 + u32::from(g) * 219 / 255) as u8, 128]).collect();
        out.write_all(&bytes)?;
    }
    out.flush()?;
    let tap = phantom.tap_point(0).context("no structure on the first picture")?;
    println!("{:.1} {:.1}", tap.x, tap.y);
    Ok(())
}
