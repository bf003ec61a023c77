//! Writes the decoded pixels of DICOM files for a comparison with other readers (`.ci/peers`).
//!
//! `dicom_pixels OUT FILE..` writes OUT/N.raw for file N, all frames, rows dense, and prints a line of JSON for each.

use std::io::Write as _;
use std::path::PathBuf;

use sonotap::frame::Frame;
use sonotap::source::dicom::DicomSource;
use sonotap::source::{FrameSource, Next};

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let out = arguments.next().ok_or_else(|| anyhow::anyhow!("dicom_pixels OUT FILE.."))?;
    for (n, path) in arguments.enumerate() {
        let mut raw = std::io::BufWriter::new(std::fs::File::create(out.join(format!("{n}.raw")))?);
        let told = match DicomSource::open(&path) {
            Err(e) => serde_json::json!({ "error": e.to_string() }),
            Ok(mut source) => {
                let (mut frame, mut frames) = (Frame::default(), 0);
                while source.next_into(&mut frame)? == Next::Filled {
                    raw.write_all(frame.pixels())?;
                    frames += 1;
                }
                let damaged = source.damaged().load(std::sync::atomic::Ordering::Relaxed);
                let size = [frame.height() as usize, frame.width() as usize, frame.format().bytes()];
                serde_json::json!({ "frames": frames, "shape": size, "damaged": damaged })
            }
        };
        println!("{told}");
    }
    Ok(())
}
