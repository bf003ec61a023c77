//! What a command leaves behind: text on standard output, whole files in folders.

use std::fmt::Display;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};
use serde::Serialize;
use sonotap::durable;
use sonotap::mask::Bitmap;
use sonotap::overlay::Canvas;

/// Prints a line, or several. A reader that has heard enough (`| head`) is no error.
pub fn say(text: impl Display) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => Err(e).context("standard output cannot be written"),
        _ => Ok(()),
    }
}

/// Prints as JSON.
pub fn say_json(what: &impl Serialize) -> Result<()> {
    say(serde_json::to_string_pretty(what)?)
}

/// An error and its causes in one line; a cause that the error already told is not told again.
pub fn message(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// Files that appear all together, and whole: each is called `*.part` until all are written.
#[derive(Default)]
pub struct Files {
    files: Vec<(PathBuf, Vec<u8>)>,
}

impl Files {
    /// One more file.
    pub fn add(&mut self, path: &Path, bytes: Vec<u8>) {
        self.files.push((path.to_owned(), bytes));
    }

    /// Writes them all. When one cannot be written, none of them is changed.
    pub fn write(self) -> Result<()> {
        Ok(durable::write_all(&self.files)?)
    }
}

/// Refuses a name that does not say PNG, and a file that is to be written twice.
pub fn check_png_paths(named: &[(&str, Option<&Path>)]) -> Result<()> {
    let mut seen: Vec<(&str, PathBuf)> = Vec::new();
    for (argument, path) in named.iter().filter_map(|(argument, path)| Some((*argument, (*path)?))) {
        if !path.extension().is_some_and(|e| e.eq_ignore_ascii_case("png")) {
            bail!("{argument}: expected a name that ends in .png, got {:?}", path.display().to_string());
        }
        let place = std::path::absolute(path).with_context(|| path.display().to_string())?;
        if let Some((other, _)) = seen.iter().find(|(_, p)| *p == place) {
            bail!("{argument}: expected another file than that of {other}, got {}", path.display());
        }
        seen.push((argument, place));
    }
    Ok(())
}

/// A picture as PNG.
pub fn png_of(canvas: &Canvas) -> Result<Vec<u8>> {
    encode(&canvas.to_rgb(), (canvas.width(), canvas.height()), ExtendedColorType::Rgb8)
}

/// A mask as PNG, 255 inside.
pub fn png_of_mask(mask: &Bitmap) -> Result<Vec<u8>> {
    let bytes: Vec<u8> = mask.pixels().iter().map(|&p| p * 255).collect();
    encode(&bytes, (mask.width(), mask.height()), ExtendedColorType::L8)
}

/// Grey or RGB pixels as PNG.
pub fn png_of_pixels(pixels: &[u8], size: (u32, u32), is_rgb: bool) -> Result<Vec<u8>> {
    encode(pixels, size, if is_rgb { ExtendedColorType::Rgb8 } else { ExtendedColorType::L8 })
}

fn encode(pixels: &[u8], (width, height): (u32, u32), colours: ExtendedColorType) -> Result<Vec<u8>> {
    let mut png = Vec::new();
    PngEncoder::new(&mut png).write_image(pixels, width, height, colours).context("a picture cannot be made a PNG")?;
    Ok(png)
}
