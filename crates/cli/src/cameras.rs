//! `sonotap cameras`: what is plugged in, in the words of a profile.

use anyhow::Result;
use sonotap::source::camera::v4l2::{self, FormatListing, Listing};

use crate::output::{say, say_json};

/// Lists cameras, formats, sizes and rates.
pub fn cameras(as_json: bool) -> Result<()> {
    let cameras = v4l2::list();
    if as_json {
        return say_json(&cameras);
    }
    if cameras.is_empty() {
        return say("no camera that captures pictures: nothing usable at /dev/video*");
    }
    say(cameras.iter().map(described).collect::<Vec<_>>().join("\n"))
}

fn described(camera: &Listing) -> String {
    let usb = camera.usb.as_ref().map_or(String::new(), |usb| format!(", usb = {usb:?}"));
    let Listing { driver, bus, card, .. } = camera;
    let mut text = format!("{}\n  driver = {driver:?}, bus = {bus:?}, card = {card:?}{usb}", camera.path.display());
    let (handled, other): (Vec<_>, Vec<_>) = camera.formats.iter().partition(|f| f.is_handled);
    handled.iter().for_each(|f| text.push_str(&format!("\n  {}  {}", f.fourcc, sizes(f))));
    if !other.is_empty() {
        let names: Vec<_> = other.iter().map(|f| f.fourcc.as_str()).collect();
        text.push_str(&format!("\n  not handled: {}", names.join(" ")));
    }
    text
}

fn sizes(format: &FormatListing) -> String {
    let size = |s: &v4l2::SizeListing| {
        let fps: Vec<_> = s.fps.iter().map(ToString::to_string).collect();
        let fps = if fps.is_empty() { String::new() } else { format!("@{}", fps.join("/")) };
        format!("{}x{}{fps}", s.width, s.height)
    };
    format.sizes.iter().map(size).collect::<Vec<_>>().join("  ")
}
