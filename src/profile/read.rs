//! Parses a [`Profile`]; errors name the line.

use std::path::Path;

use super::Profile;
use crate::error::{Error, ErrorKind, Result};
use crate::text_file;
use crate::text_file::nearest;

impl Profile {
    /// Largest file, bytes.
    pub const BYTES_MAX: usize = 1 << 18;

    /// Reads and checks a file.
    ///
    /// # Errors
    /// `Io` when it cannot be read, `Format` when it is not UTF-8, and those of [`Self::parse`].
    pub fn load(path: &Path) -> Result<Self> {
        let text = text_file::read(path, "a profile", Self::BYTES_MAX)?;
        Self::parse(&text, &path.display().to_string())
    }

    /// Reads and checks the text of a profile; errors begin with `place`.
    ///
    /// # Errors
    /// `Config`: an unknown key (with its line and the nearest valid key), a value of the wrong type (with its line),
    /// or an impossible value (with its key).
    pub fn parse(text: &str, place: &str) -> Result<Self> {
        let profile: Self = toml::from_str(text).map_err(|e| {
            let start = e.span().map_or(0, |span| span.start.min(text.len()));
            let line = text.as_bytes()[..start].iter().filter(|b| **b == b'\n').count() + 1;
            let message = explained(e.message());
            Error::new(ErrorKind::Config, format!("{place}: line {line}: {message}"))
        })?;
        profile.check().map_err(|e| e.within(place))?;
        Ok(profile)
    }
}

/// The parser's message, with the nearest name where one is unknown.
fn explained(message: &str) -> String {
    let message = message.replace('\n', " ");
    let Some(rest) = message.strip_prefix("unknown field ").or_else(|| message.strip_prefix("unknown variant ")) else {
        return message;
    };
    let mut names = rest.split('`').skip(1).step_by(2);
    let got = names.next().unwrap_or_default().to_owned();
    let valid: Vec<&str> = names.collect();
    let what = if message.starts_with("unknown field") { "key" } else { "value" };
    let near = nearest(&got, &valid).or_else(|| swapped(&got, &valid));
    let near = near.map_or(String::new(), |n| format!(", the nearest is \"{n}\""));
    let got: String = got.chars().take(40).flat_map(char::escape_debug).collect();
    format!("unknown {what} \"{got}\"{near}; expected one of {}", valid.join(", "))
}

/// The valid name with the same letters in a different order.
fn swapped<'v>(got: &str, valid: &[&'v str]) -> Option<&'v str> {
    let sorted = |word: &str| {
        let mut letters: Vec<char> = word.chars().take(65).collect();
        letters.sort_unstable();
        letters
    };
    let letters = sorted(got);
    valid.iter().copied().find(|v| sorted(v) == letters)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{CameraProfile, Content, DisplayKind, TouchProfile};
    use crate::source::camera::CameraFormat;

    const DEVICE: &str = r#"
        [camera]
        usb = "534d:2109"
        formats = ["YUYV", "MJPG"]
        size = [1280, 720]
        fps = 60
        [image]
        region = [160, 40, 1120, 700]
        content = "b-mode"
        keep-outs = [[0, 0, 1280, 40]]
        mm-per-px = [0.2, 0.2]
        [display]
        kind = "drm"
        rotate = 90
        dpi = 150
        [touch]
        name = "Goodix"
        rotate = 90
        [heat]
        hot-c = 80
    "#;

    #[test]
    fn a_device_is_read_as_it_is_written_and_printed_as_it_is_read() {
        let profile = Profile::parse(DEVICE, "d.toml").unwrap();
        let camera = profile.camera.as_ref().unwrap();
        assert_eq!(
            (camera.formats.as_slice(), camera.size),
            (&[CameraFormat::Yuyv, CameraFormat::Mjpg][..], [1280, 720])
        );
        assert_eq!((profile.display.kind, profile.image.content), (DisplayKind::Drm, Content::BMode));
        assert_eq!((profile.heat.hot_c, profile.heat.cool_c), (80.0, 68.0));
        let printed = profile.to_toml();
        assert_eq!(Profile::parse(&printed, "printed").unwrap(), profile, "{printed}");
        for key in ["stall-ms", "calibration", "deadline", "cool-c"] {
            assert!(printed.contains(key) || key == "deadline", "{key} is not printed: {printed}");
        }
    }

    #[test]
    fn exams_and_keyboards_are_read_and_checked() {
        let text = "[exams]\nfolder = \"/data/exams\"\ncine-after-s = 2\n[[keyboard]]\nname = \"Foot\"\nkeys = { F1 = \"save\" }\n\
                    [[keyboard]]\nname = \"Scan\"\nscanner = true\n";
        let profile = Profile::parse(text, "d.toml").unwrap();
        assert_eq!((profile.keyboard.len(), profile.exams.cine_after_s, profile.exams.cine_before_s), (2, 2.0, 10.0));
        assert_eq!(Profile::parse(&profile.to_toml(), "printed").unwrap(), profile);
        for (from, to, named) in [
            ("F1", "F99", "keyboard[0].keys"),
            ("\"save\"", "\"safe\"", "the nearest is \"save\""),
            ("scanner = true", "scanner = false", "keyboard[1]"),
            ("name = \"Scan\"", "", "keyboard[1]"),
            ("cine-after-s = 2", "cine-after-s = 900", "exams.cine-after-s"),
            ("cine-after-s = 2", "send = \"when-ended\"", "exams.send: expected dicom.archive"),
            ("cine-after-s = 2", "send = \"always\"", "expected one of"),
        ] {
            let e = Profile::parse(&text.replace(from, to), "d.toml").unwrap_err();
            assert!(e.to_string().contains(named), "{e}");
        }
    }

    #[test]
    fn an_empty_file_is_a_device_without_camera() {
        assert_eq!(Profile::parse("", "d.toml").unwrap(), Profile::default());
        let printed = Profile::default().to_toml();
        assert_eq!(Profile::parse(&printed, "printed").unwrap(), Profile::default());
    }

    #[test]
    fn wrong_keys_are_named_with_file_line_and_the_nearest_key() {
        let cases = [
            (
                "[camera]\nfsp = 30",
                "d.toml: line 2: unknown key \"fsp\", the nearest is \"fps\"; expected one of path,",
            ),
            (
                "[camera]\nusb = \"1234:5678\"\n\n[dispaly]\nkind = \"drm\"",
                "d.toml: line 4: unknown key \"dispaly\", the nearest is \"display\"",
            ),
            ("[touch]\nqqqqqqqqqqqqqqqq = 1", "line 2: unknown key \"qqqqqqqqqqqqqqqq\"; expected one of path, name"),
            (
                "[display]\nkind = \"drn\"",
                "line 2: unknown value \"drn\", the nearest is \"drm\"; expected one of auto, drm,",
            ),
            ("[camera]\nformats = [\"YUY2\"]", "line 2: unknown value \"YUY2\", the nearest is \"YUYV\""),
            ("[camera]\nfps = \"fast\"", "line 2: invalid type: string \"fast\", expected f64"),
            ("[camera]\nsize = [1]", "line 2: invalid length 1"),
            ("[camera\nfps = 1", "d.toml: line 1: "),
            ("[camera]\nfps = 1\nfps = 2", "line 3: duplicate key"),
        ];
        for (text, expected) in cases {
            let e = Profile::parse(text, "d.toml").expect_err(text);
            assert_eq!(e.kind(), ErrorKind::Config, "{text}");
            assert!(e.to_string().starts_with("d.toml: line ") && e.to_string().contains(expected), "{text}\n{e}");
        }
    }

    #[test]
    fn values_that_cannot_be_are_named_with_their_key() {
        let cases = [
            ("[igtl]\nlisten = \"localhost\"", "igtl.listen: expected a port or ADDRESS:PORT in numbers"),
            ("[igtl]\nsource = \"probe\"", "igtl.source: expected \"listen\", or a port"),
            (
                "[camera]\npath = \"/dev/video0\"\n[igtl]\nsource = \"listen\"",
                "igtl.source: expected one source, got a [camera]",
            ),
            ("[igtl]\ndevice = \"\"", "igtl.device: expected 1 to 20 bytes"),
            ("[igtl]\nfps = 0", "igtl.fps: expected 0.1 to 240, got 0"),
            ("[dicom]\narchive = \"pacs:104\"", "dicom.archive: expected AE-TITLE@HOST:PORT, got \"pacs:104\""),
            ("[dicom]\ncalling = \"\"", "dicom.calling: expected 1 to 16 letters"),
            ("[dicom]\nmodality = \"us\"", "dicom.modality: expected capital letters"),
            ("[dicom]\ntimeout-s = 0", "dicom.timeout-s: expected 1 to 600"),
            (
                "[dicom.tls]\nauthorities = \"ca.pem\"\nkey = \"key.pem\"",
                "dicom.tls: expected certificate and key, or neither",
            ),
            ("[camera]\nfps = 30", "camera: expected at least one of path, driver, bus, card, usb"),
            ("[camera]\nusb = \"534d\"", "camera.usb: expected four hexadecimal digits, a colon and four more"),
            ("[camera]\ndriver = \"uvcvideo\"\nfps = 0", "camera.fps: expected 1 to 240, got 0"),
            ("[camera]\ndriver = \"uvcvideo\"\nfps = nan", "camera.fps: expected 1 to 240, got NaN"),
            (
                "[camera]\ndriver = \"uvcvideo\"\nsize = [8, 480]",
                "camera.size: expected 64 to 8192 px a side, got 8x480",
            ),
            ("[camera]\ndriver = \"uvcvideo\"\nbuffers = 1", "camera.buffers: expected 2 to 16, got 1"),
            ("[camera]\ndriver = \"uvcvideo\"\nformats = []", "camera.formats: expected at least one, got none"),
            ("[camera]\ndriver = \"uvcvideo\"\nretry-ms = 5000", "camera.retry-ms: expected 10 to 500, got 5000"),
            (
                "[image]\nregion = [9, 0, 5, 5]",
                "image.region: expected left < right and top < bottom, got [9, 0, 5, 5]",
            ),
            ("[image]\nregion = [0, 0, 5, 5]", "image.region: expected a [camera] beside it, got none"),
            (
                "[camera]\ndriver = \"uvcvideo\"\n[image]\nregion = [0, 0, 641, 5]",
                "image.region: expected it within [0, 0, 640, 480], got [0, 0, 641, 5]",
            ),
            ("[image]\nkeep-outs = [[0, 0, 1, 1], [3, 3, 3, 4]]", "image.keep-outs[1]: expected left < right"),
            ("[image]\npixel-aspect = 3.0", "image.pixel-aspect: expected 0.5 to 2, got 3"),
            ("[image]\nmm-per-px = [0.1, 0]", "image.mm-per-px: expected 0.001 to 10, got 0"),
            ("[display]\nrotate = 45", "display.rotate: expected 0, 90, 180 or 270, got 45"),
            ("[display]\ndpi = 10", "display.dpi: expected 40 to 800, got 10"),
            ("[touch]\nrotate = 1", "touch.rotate: expected 0, 90, 180 or 270, got 1"),
            ("[touch]\ncalibration = [0, 0, 0, 0, 0, 0]", "touch.calibration: expected a map that can be turned round"),
            ("[touch]\nmax-contact-mm = 0", "touch.max-contact-mm: expected 1 to 200, got 0"),
            ("[remote]\ntablets = 0", "remote.tablets: expected 1 to 8, got 0"),
            ("[remote]\nnames = [\"a:80\"]", "remote.names: expected names of hosts without a port, got \"a:80\""),
            ("[remote]\nage-ms-max = 9999", "remote.age-ms-max: expected 50 to 2000, got 9999"),
            ("[live]\ndeadline-ms = 0", "live.deadline-ms: expected 0.1 to 60000, got 0"),
            ("[propose]\nscore-min = 0.3", "propose.score-min: expected 0.5 to 0.99, got 0.3"),
            ("[propose]\nscore = 0.8", "unknown key \"score\""),
            ("[heat]\nhot-c = 60\ncool-c = 70", "heat.cool-c: expected less than heat.hot-c, 60, got 70"),
        ];
        for (text, expected) in cases {
            let e = Profile::parse(text, "d.toml").expect_err(text);
            assert_eq!(e.kind(), ErrorKind::Config, "{text}");
            assert!(e.to_string().contains(expected), "{text}\n{e}\n{expected}");
        }
    }

    #[test]
    fn files_that_cannot_be_read_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            path
        };
        for (path, kind) in [
            (folder.path().join("missing.toml"), ErrorKind::Io),
            (write("latin1.toml", b"# \xe9\n"), ErrorKind::Format),
            (write("large.toml", &vec![b'\n'; Profile::BYTES_MAX + 1]), ErrorKind::Config),
            (write("deep.toml", format!("camera = {}", "[".repeat(50_000)).as_bytes()), ErrorKind::Config),
        ] {
            let e = Profile::load(&path).unwrap_err();
            assert_eq!(e.kind(), kind, "{e}");
            assert!(e.to_string().starts_with(&path.display().to_string()), "{e}");
        }
    }

    #[test]
    fn a_scale_of_the_profile_says_that_it_is_one() {
        let profile = Profile::parse(DEVICE, "d.toml").unwrap();
        let annotation = profile.annotation();
        assert_eq!(annotation.size, (1280, 720));
        assert_eq!(annotation.scale.unwrap().source(), crate::frame::ScaleSource::Profile);
        let bare = Profile {
            camera: Some(CameraProfile { driver: Some("vivid".into()), ..CameraProfile::default() }),
            touch: Some(TouchProfile::default()),
            ..Profile::default()
        };
        assert_eq!((bare.annotation().scale, bare.annotation().region), (None, None));
    }
}
