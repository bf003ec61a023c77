//! `sonotap doctor`: what this device can do, and what is missing.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Serialize;
use sonotap::model::{chosen_kernels, self_test};

use crate::assets;
use crate::output::{message, say, say_json};

#[derive(Serialize)]
struct Finding {
    what: &'static str,
    is_good: bool,
    is_needed: bool,
    found: String,
}

impl Finding {
    fn line(&self) -> String {
        let mark = match (self.is_good, self.is_needed) {
            (true, _) => "ok",
            (false, true) => "MISSING",
            (false, false) => "absent",
        };
        format!("{mark:<7}  {:<8} {}", self.what, self.found)
    }
}

/// Looks at CPU, model, cine, display and output folder; fails when something needed is missing.
pub fn doctor(as_json: bool) -> Result<()> {
    let mut findings = vec![cpu(), model(), cine(), display(), folder(Path::new("."))];
    findings.extend(device());
    if as_json {
        say_json(&findings)?;
    } else {
        say(findings.iter().map(Finding::line).collect::<Vec<_>>().join("\n"))?;
    }
    match findings.iter().filter(|f| f.is_needed && !f.is_good).count() {
        0 => Ok(()),
        n => bail!("{n} of the things that sonotap needs are missing"),
    }
}

fn cpu() -> Finding {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (kernels, is_good) = match chosen_kernels() {
        Ok(kernels) => (format!("int8 kernels {kernels}"), true),
        Err(e) => (e.to_string(), false),
    };
    let found = format!("{} with {}, {threads} threads; {kernels}", std::env::consts::ARCH, features());
    Finding { what: "cpu", is_good, is_needed: true, found }
}

#[cfg(target_arch = "x86_64")]
fn features() -> String {
    let known = [
        ("sse4.2", std::is_x86_feature_detected!("sse4.2")),
        ("avx2", std::is_x86_feature_detected!("avx2")),
        ("fma", std::is_x86_feature_detected!("fma")),
        ("avx512f", std::is_x86_feature_detected!("avx512f")),
        ("avx512-vnni", std::is_x86_feature_detected!("avx512vnni")),
    ];
    known.iter().filter(|k| k.1).map(|k| k.0).collect::<Vec<_>>().join(" ")
}

#[cfg(target_arch = "aarch64")]
fn features() -> String {
    let known = [
        ("neon", std::arch::is_aarch64_feature_detected!("neon")),
        ("dotprod", std::arch::is_aarch64_feature_detected!("dotprod")),
        ("fp16", std::arch::is_aarch64_feature_detected!("fp16")),
    ];
    known.iter().filter(|k| k.1).map(|k| k.0).collect::<Vec<_>>().join(" ")
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn features() -> String {
    "no known vector unit".into()
}

fn model() -> Finding {
    let checked = assets::find(assets::MODEL)
        .and_then(|folder| Ok((self_test::verify(&folder).with_context(|| folder.display().to_string())?, folder)));
    let (is_good, found) = match checked {
        Ok((r, folder)) => {
            let (encode, decode) = (r.encode.as_secs_f64() * 1e3, r.decode.as_secs_f64() * 1e3);
            (
                true,
                format!(
                    "{} in {}: self-test passed, encode {encode:.1} ms, decode {decode:.1} ms",
                    r.name,
                    folder.display()
                ),
            )
        }
        Err(e) => (false, message(&e)),
    };
    Finding { what: "model", is_good, is_needed: true, found }
}

fn cine() -> Finding {
    let (is_good, found) = match assets::find(assets::CINE) {
        Ok(path) => (true, path.display().to_string()),
        Err(e) => (false, message(&e)),
    };
    Finding { what: "cine", is_good, is_needed: false, found }
}

#[cfg(feature = "window")]
fn display() -> Finding {
    let is_good = sonotap::display::window::is_available();
    let found =
        if is_good { "a display server is named by the environment" } else { "no display server: runs headless" };
    Finding { what: "window", is_good, is_needed: false, found: found.into() }
}

#[cfg(not(feature = "window"))]
fn display() -> Finding {
    Finding { what: "window", is_good: false, is_needed: false, found: "this build has no window".into() }
}

/// Cameras, touch panels and screens, as far as this build knows such.
fn device() -> Vec<Finding> {
    #[allow(unused_mut, reason = "a build without device features finds nothing")]
    let mut findings = Vec::new();
    #[cfg(feature = "v4l2")]
    {
        let cameras = sonotap::source::camera::v4l2::list();
        let named = cameras.iter().map(|c| format!("{} ({}, {:?})", c.path.display(), c.driver, c.card));
        findings.push(found("camera", named.collect(), "no camera at /dev/video*"));
    }
    #[cfg(feature = "touch")]
    {
        let panels = sonotap::input::touch::evdev::list();
        let named = panels.iter().map(|(path, name)| format!("{} ({name:?})", path.display()));
        findings.push(found("touch", named.collect(), "no touch panel at /dev/input/event*, or none that may be read"));
    }
    #[cfg(feature = "kms")]
    {
        let paths = (0..8).map(|n| format!("/dev/dri/card{n}")).chain((0..2).map(|n| format!("/dev/fb{n}")));
        let there = paths.filter(|p| Path::new(p).exists()).collect();
        findings.push(found("screen", there, "neither /dev/dri/card* nor /dev/fb*"));
    }
    findings
}

#[cfg(any(feature = "v4l2", feature = "touch", feature = "kms"))]
fn found(what: &'static str, there: Vec<String>, otherwise: &str) -> Finding {
    let is_good = !there.is_empty();
    let found = if is_good { there.join(", ") } else { otherwise.into() };
    Finding { what, is_good, is_needed: false, found }
}

fn folder(here: &Path) -> Finding {
    let probe = here.join(".sonotap-doctor");
    let written = std::fs::write(&probe, b"").and_then(|()| std::fs::remove_file(&probe));
    let (is_good, found) = match written {
        Ok(()) => (true, "the current folder can be written".into()),
        Err(e) => (false, format!("the current folder cannot be written: {e}")),
    };
    Finding { what: "output", is_good, is_needed: false, found }
}
