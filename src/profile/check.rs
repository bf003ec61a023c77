//! Checks of values in a well-formed profile.

use std::ops::RangeInclusive;

use super::{
    CameraProfile, DicomProfile, DisplayProfile, ExamsProfile, HeatProfile, IgtlProfile, ImageProfile, KeyboardProfile,
    Profile, RemoteProfile, RulerProfile, SendWhen, TouchProfile, rect_of,
};
use crate::error::{Error, ErrorKind, Result};
use crate::frame::{ImageRegion, RegionContent, check_region};
use crate::geometry::Rect;
use crate::input::keyboard::code_of;
use crate::model::pin::is_pin;
use crate::preset::Preset;

impl Profile {
    /// Checks all values.
    ///
    /// # Errors
    /// `Config`, with the key, what was expected and what came.
    pub fn check(&self) -> Result<()> {
        if let Some(camera) = &self.camera {
            check_camera(camera)?;
        }
        check_image(&self.image, self.camera.as_ref().map(|c| c.size))?;
        check_display(&self.display)?;
        if let Some(touch) = &self.touch {
            check_touch(touch)?;
        }
        if let Some(remote) = &self.remote {
            check_remote(remote)?;
        }
        if let Some(pin) = self.model.pin.as_deref().filter(|pin| !is_pin(pin)) {
            return Err(wrong(format!("model.pin: expected 64 hexadecimal digits, got {pin:?}")));
        }
        if let Some(name) = &self.model.preset {
            Preset::find(name).map_err(|e| e.within("model"))?;
        }
        if let Some(ms) = self.live.deadline_ms {
            within("live.deadline-ms", ms, 0.1..=60_000.0)?;
        }
        if let Some(propose) = &self.propose {
            within("propose.score-min", propose.score_min.into(), 0.5..=0.99)?;
        }
        check_exams(&self.exams)?;
        if self.exams.send == SendWhen::WhenEnded && self.dicom.as_ref().is_none_or(|d| d.archive.is_none()) {
            return Err(wrong("exams.send: expected dicom.archive beside \"when-ended\", got none"));
        }
        for (i, keyboard) in self.keyboard.iter().enumerate() {
            check_keyboard(keyboard, i)?;
        }
        if let Some(igtl) = &self.igtl {
            check_igtl(igtl, self.camera.is_some())?;
        }
        if let Some(dicom) = &self.dicom {
            check_dicom(dicom)?;
        }
        check_heat(&self.heat)
    }
}

fn check_dicom(dicom: &DicomProfile) -> Result<()> {
    for (key, peer) in [("archive", &dicom.archive), ("worklist", &dicom.worklist)] {
        if let Some(peer) = peer.as_deref().filter(|peer| DicomProfile::peer(peer).is_none()) {
            return Err(wrong(format!("dicom.{key}: expected AE-TITLE@HOST:PORT, got {peer:?}")));
        }
    }
    for (key, title, may_be_empty) in [("calling", &dicom.calling, false), ("station", &dicom.station, true)] {
        let is_good = DicomProfile::is_title(title) || may_be_empty && title.is_empty();
        if !is_good {
            let expected = "1 to 16 letters, digits, - or _";
            return Err(wrong(format!("dicom.{key}: expected {expected}, got {title:?}")));
        }
    }
    let is_modality = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit();
    if dicom.modality.len() > 16 || !dicom.modality.bytes().all(is_modality) {
        return Err(wrong(format!("dicom.modality: expected capital letters, as in US, got {:?}", dicom.modality)));
    }
    if dicom.tls.as_ref().is_some_and(|tls| tls.certificate.is_some() != tls.key.is_some()) {
        return Err(wrong("dicom.tls: expected certificate and key, or neither, got one of them"));
    }
    within("dicom.timeout-s", dicom.timeout_s, 1.0..=600.0)
}

fn check_exams(exams: &ExamsProfile) -> Result<()> {
    within("exams.cine-before-s", exams.cine_before_s, 0.1..=120.0)?;
    within("exams.cine-after-s", exams.cine_after_s, 0.0..=120.0)?;
    within("exams.cine-mib", exams.cine_mib.into(), 8.0..=1_024.0)?;
    within("exams.ask-after-min", exams.ask_after_min, 0.0..=1_440.0)
}

fn check_keyboard(keyboard: &KeyboardProfile, at: usize) -> Result<()> {
    if keyboard.path.is_none() && keyboard.name.as_ref().is_none_or(String::is_empty) {
        return Err(wrong(format!("keyboard[{at}]: expected path or name, got neither")));
    }
    if keyboard.scanner != keyboard.keys.is_empty() {
        return Err(wrong(format!("keyboard[{at}]: expected either scanner = true or keys")));
    }
    match keyboard.keys.keys().find(|name| code_of(name).is_none()) {
        None => Ok(()),
        Some(got) => Err(wrong(format!(
            "keyboard[{at}].keys: expected names as F1, A, PAGEDOWN, or a key's number, got {got:?}"
        ))),
    }
}

fn check_igtl(igtl: &IgtlProfile, has_camera: bool) -> Result<()> {
    let numbers = "a port or ADDRESS:PORT in numbers, as in 18944 or 192.168.0.7:18944";
    if IgtlProfile::address(&igtl.listen).is_none() {
        return Err(wrong(format!("igtl.listen: expected {numbers}, got {:?}", igtl.listen)));
    }
    if let Some(source) = igtl.source.as_deref() {
        if source != IgtlProfile::LISTEN && IgtlProfile::address(source).is_none() {
            return Err(wrong(format!("igtl.source: expected \"listen\", or {numbers}, got {source:?}")));
        }
        if has_camera {
            return Err(wrong("igtl.source: expected one source, got a [camera] beside it"));
        }
    }
    if let Some(device) = igtl.device.as_deref().filter(|d| d.is_empty() || d.len() > 20) {
        return Err(wrong(format!("igtl.device: expected 1 to 20 bytes, got {device:?}")));
    }
    within("igtl.fps", igtl.fps, 0.1..=240.0)
}

fn check_camera(camera: &CameraProfile) -> Result<()> {
    let CameraProfile { path, driver, bus, card, usb, .. } = camera;
    if path.is_none() && [driver, bus, card, usb].into_iter().all(Option::is_none) {
        return Err(wrong("camera: expected at least one of path, driver, bus, card, usb, got none"));
    }
    if let Some(usb) = usb {
        let is_number = |part: &str| part.len() == 4 && part.bytes().all(|b| b.is_ascii_hexdigit());
        if !usb.split_once(':').is_some_and(|(vendor, product)| is_number(vendor) && is_number(product)) {
            let expected = "camera.usb: expected four hexadecimal digits, a colon and four more, as in 534d:2109";
            return Err(wrong(format!("{expected}, got {usb:?}")));
        }
    }
    if camera.formats.is_empty() {
        return Err(wrong("camera.formats: expected at least one, got none"));
    }
    check_size("camera.size", camera.size)?;
    within("camera.fps", camera.fps, 1.0..=240.0)?;
    within("camera.buffers", camera.buffers.into(), 2.0..=16.0)?;
    within("camera.stall-ms", camera.stall_ms, 50.0..=10_000.0)?;
    within("camera.retry-ms", camera.retry_ms, 10.0..=500.0)
}

fn check_image(image: &ImageProfile, size: Option<[u32; 2]>) -> Result<()> {
    if let Some(region) = image.region {
        check_rect("image.region", region)?;
        let Some([width, height]) = size else {
            return Err(wrong("image.region: expected a [camera] beside it, got none"));
        };
        let [x0, y0, x1, y1] = region;
        if x0 < 0.0 || y0 < 0.0 || x1 > width as f32 || y1 > height as f32 {
            let got = list(&region);
            return Err(wrong(format!("image.region: expected it within [0, 0, {width}, {height}], got {got}")));
        }
        let bounds = Rect::new(0.0, 0.0, width as f32, height as f32);
        let region = ImageRegion { rect: rect_of(region), content: RegionContent::Unknown };
        check_region(&region, &bounds).map_err(|e| wrong(format!("image.{e}")))?;
    }
    for (i, rect) in image.keep_outs.iter().enumerate() {
        check_rect(&format!("image.keep-outs[{i}]"), *rect)?;
    }
    if !image.rulers.is_empty() && image.mm_per_px.is_some() {
        return Err(wrong("image.rulers: expected scales by depth or image.mm-per-px, got both"));
    }
    let too_many = image.rulers.len() > RulerProfile::MAX;
    if too_many {
        return Err(wrong(format!("image.rulers: expected at most {}, got {}", RulerProfile::MAX, image.rulers.len())));
    }
    for (i, ruler) in image.rulers.iter().enumerate() {
        let key = format!("image.rulers[{i}].mm-per-px");
        ruler.mm_per_px.iter().try_for_each(|mm| within(&key, *mm, 0.001..=10.0))?;
    }
    image.pixel_aspect.into_iter().try_for_each(|a| within("image.pixel-aspect", a.into(), 0.5..=2.0))?;
    image.mm_per_px.into_iter().flatten().try_for_each(|mm| within("image.mm-per-px", mm, 0.001..=10.0))
}

fn check_display(display: &DisplayProfile) -> Result<()> {
    check_rotation("display.rotate", display.rotate)?;
    check_size("display.size", display.size)?;
    display.dpi.map_or(Ok(()), |dpi| within("display.dpi", dpi.into(), 40.0..=800.0))
}

fn check_touch(touch: &TouchProfile) -> Result<()> {
    check_rotation("touch.rotate", touch.rotate.unwrap_or_default())?;
    let [a, b, _, d, e, _] = touch.calibration;
    let determinant = a * e - b * d;
    if !touch.calibration.iter().all(|v| v.is_finite() && v.abs() <= 100.0) || determinant.abs() < 1e-3 {
        let got = list(&touch.calibration);
        return Err(wrong(format!("touch.calibration: expected a map that can be turned round, got {got}")));
    }
    if let Some(mm) = touch.width_mm {
        within("touch.width-mm", mm.into(), 10.0..=2_000.0)?;
    }
    within("touch.max-contact-mm", touch.max_contact_mm.into(), 1.0..=200.0)?;
    within("touch.min-contact-ms", touch.min_contact_ms, 0.0..=500.0)?;
    within("touch.tap-slop-mm", touch.tap_slop_mm.into(), 0.5..=20.0)
}

fn check_remote(remote: &RemoteProfile) -> Result<()> {
    let is_name = |name: &String| {
        !name.is_empty() && name.len() <= 253 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b))
    };
    if let Some(name) = remote.names.iter().find(|name| !is_name(name)) {
        return Err(wrong(format!("remote.names: expected names of hosts without a port, got {name:?}")));
    }
    within("remote.tablets", remote.tablets as f64, 1.0..=8.0)?;
    within("remote.pairing-s", remote.pairing_s, 10.0..=3_600.0)?;
    within("remote.age-ms-max", remote.age_ms_max, 50.0..=2_000.0)
}

fn check_heat(heat: &HeatProfile) -> Result<()> {
    within("heat.hot-c", heat.hot_c.into(), 30.0..=150.0)?;
    within("heat.cool-c", heat.cool_c.into(), 0.0..=150.0)?;
    if heat.cool_c >= heat.hot_c {
        let (hot, cool) = (heat.hot_c, heat.cool_c);
        return Err(wrong(format!("heat.cool-c: expected less than heat.hot-c, {hot}, got {cool}")));
    }
    Ok(())
}

fn check_rotation(key: &str, degrees: u16) -> Result<()> {
    match degrees {
        0 | 90 | 180 | 270 => Ok(()),
        got => Err(wrong(format!("{key}: expected 0, 90, 180 or 270, got {got}"))),
    }
}

fn check_size(key: &str, [width, height]: [u32; 2]) -> Result<()> {
    let fits = |v: u32| (64..=8192).contains(&v);
    match fits(width) && fits(height) {
        true => Ok(()),
        false => Err(wrong(format!("{key}: expected 64 to 8192 px a side, got {width}x{height}"))),
    }
}

fn check_rect(key: &str, rect: [f32; 4]) -> Result<()> {
    let [x0, y0, x1, y1] = rect;
    match rect.iter().all(|v| v.is_finite()) && x0 < x1 && y0 < y1 {
        true => Ok(()),
        false => Err(wrong(format!("{key}: expected left < right and top < bottom, got {}", list(&rect)))),
    }
}

fn within(key: &str, value: f64, range: RangeInclusive<f64>) -> Result<()> {
    match range.contains(&value) {
        true => Ok(()),
        false => Err(wrong(format!("{key}: expected {} to {}, got {value}", range.start(), range.end()))),
    }
}

fn list(values: &[f32]) -> String {
    let words: Vec<_> = values.iter().map(ToString::to_string).collect();
    format!("[{}]", words.join(", "))
}

fn wrong(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, message)
}
