//! Colours for a dark room: nothing glares, every text is legible, no outline can be mistaken for Doppler or tissue.

use crate::preset::Colour;
use crate::scene::Scene;
use crate::units::ObjectId;

/// Colour of an object of a scene.
pub fn colour_of(scene: &Scene, object: ObjectId) -> u32 {
    scene.preset.as_ref().map_or(Theme::DARK.object(object), |p| Theme::DARK.object_from(p.colour, object))
}

/// Colours of the overlay and the controls, `0x00RRGGBB`.
///
/// Guarantees, each held by a test: every text has a contrast of at least 4.5:1 with its background (WCAG 2.2, 1.4.3);
/// the four object colours differ from each other and from grey, also for protanopes and deuteranopes; none is red or
/// blue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Theme {
    /// Behind everything.
    pub background: u32,
    /// Behind the measurements.
    pub panel: u32,
    /// A control at rest.
    pub button: u32,
    /// Edge of a control at rest.
    pub button_edge: u32,
    /// A disabled control.
    pub button_off: u32,
    /// The chosen tool, or a control under the finger.
    pub button_on: u32,
    /// The freeze control.
    pub freeze: u32,
    /// Text on background, panel and controls.
    pub text: u32,
    /// Less important text.
    pub text_dim: u32,
    /// Text on a disabled control.
    pub text_off: u32,
    /// Text on the chosen tool.
    pub text_on: u32,
    /// The LIVE badge.
    pub live: u32,
    /// FROZEN and REVIEW: badge and border.
    pub frozen: u32,
    /// Text on `frozen`.
    pub text_frozen: u32,
    /// NO SIGNAL, NO NEW IMAGE, lost.
    pub alarm: u32,
    /// A request to the operator.
    pub cue: u32,
    /// Behind text on the frame.
    pub chip: u32,
    /// Around bright lines on the frame.
    pub halo: u32,
    /// What is suggested: no object's colour.
    pub suggested: u32,
    /// Outlines, by object.
    pub objects: [u32; ObjectId::MAX],
}

impl Theme {
    /// The only theme.
    pub const DARK: Self = Self {
        background: 0x0B0D10,
        panel: 0x13171C,
        button: 0x232A32,
        button_edge: 0x3A444F,
        button_off: 0x14181D,
        button_on: 0xC9D3DC,
        freeze: 0x2F4A56,
        text: 0xD5DCE3,
        text_dim: 0x98A3AE,
        text_off: 0x7E8994,
        text_on: 0x0B0D10,
        live: 0x74E08C,
        frozen: 0xE6EAEE,
        text_frozen: 0x0B0D10,
        alarm: 0xFF7A66,
        cue: 0xFFC857,
        chip: 0x101317,
        halo: 0x000000,
        suggested: 0xAEB6BE,
        objects: [0xFFF04A, 0x20D890, 0xFF7AE8, 0xFF8A1F],
    };

    /// Colour of an object.
    pub fn object(&self, object: ObjectId) -> u32 {
        self.objects[object.index() % ObjectId::MAX]
    }

    /// Colour of an object when the first object has `first` and the others follow in their order.
    pub fn object_from(&self, first: Colour, object: ObjectId) -> u32 {
        let first = match first {
            Colour::Yellow => 0,
            Colour::Green => 1,
            Colour::Pink => 2,
            Colour::Orange => 3,
        };
        self.objects[(object.index() + first) % ObjectId::MAX]
    }

    /// Every text colour with each of its backgrounds, and where the pair occurs.
    pub fn text_pairs(&self) -> Vec<(&'static str, u32, u32)> {
        let mut pairs = vec![
            ("status", self.text, self.background),
            ("status, less", self.text_dim, self.background),
            ("measurement", self.text, self.panel),
            ("measurement, less", self.text_dim, self.panel),
            ("control", self.text, self.button),
            ("control off", self.text_off, self.button_off),
            ("control chosen", self.text_on, self.button_on),
            ("freeze", self.text, self.freeze),
            ("live", self.live, self.background),
            ("frozen", self.text_frozen, self.frozen),
            ("alarm", self.alarm, self.background),
            ("alarm on the picture", self.alarm, self.chip),
            ("alarm in the panel", self.alarm, self.panel),
            ("cue in the panel", self.cue, self.panel),
            ("cue on the picture", self.cue, self.chip),
            ("chip", self.text, self.chip),
            ("suggested", self.suggested, self.chip),
        ];
        pairs.extend(self.objects.map(|c| ("object on the picture", c, self.chip)));
        pairs.extend(self.objects.map(|c| ("object in the status line", c, self.background)));
        pairs
    }
}

/// Contrast ratio of two colours, 1..=21 (WCAG 2.2, "contrast ratio" and "relative luminance").
///
/// ```
/// use sonotap::overlay::theme::contrast;
/// assert!((contrast(0xFFFFFF, 0x000000) - 21.0).abs() < 1e-9);
/// assert_eq!(contrast(0x123456, 0x123456), 1.0);
/// ```
pub fn contrast(a: u32, b: u32) -> f64 {
    let luminance = |c: u32| {
        let [r, g, b] = linear(c);
        0.2126 * r + 0.7152 * g + 0.0722 * b
    };
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

/// Linear light of an sRGB colour: red, green, blue, 0..=1.
fn linear(colour: u32) -> [f64; 3] {
    [16, 8, 0].map(|shift| {
        let v = f64::from(colour >> shift & 255) / 255.0;
        if v <= 0.04045 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    type Matrix = [[f64; 3]; 3];

    const NORMAL: Matrix = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
    // Viénot, Brettel, Mollon 1999, "Digital video colourmaps for checking the legibility of displays by dichromats",
    // in linear RGB.
    const PROTANOPE: Matrix = [[0.11238, 0.88762, 0.0], [0.11238, 0.88762, 0.0], [0.00401, -0.00401, 1.0]];
    const DEUTERANOPE: Matrix = [[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]];

    /// CIE 1976 L*a*b*, D65, as seen with the dichromat's matrix `eye`.
    fn lab(colour: u32, eye: &Matrix) -> [f64; 3] {
        let rgb = linear(colour);
        let dot = |row: &[f64; 3], v: &[f64; 3]| row.iter().zip(v).map(|(a, b)| a * b).sum::<f64>();
        let seen = [dot(&eye[0], &rgb), dot(&eye[1], &rgb), dot(&eye[2], &rgb)];
        let f = |t: f64| if t > 0.008856 { t.cbrt() } else { 7.787 * t + 16.0 / 116.0 };
        let x = f(dot(&[0.4124, 0.3576, 0.1805], &seen) / 0.9505);
        let y = f(dot(&[0.2126, 0.7152, 0.0722], &seen));
        let z = f(dot(&[0.0193, 0.1192, 0.9505], &seen) / 1.089);
        [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
    }

    fn difference(a: u32, b: u32, eye: &Matrix) -> f64 {
        lab(a, eye).iter().zip(lab(b, eye)).map(|(p, q)| (p - q).powi(2)).sum::<f64>().sqrt()
    }

    #[test]
    fn every_text_is_readable_on_its_background() {
        for (place, text, background) in Theme::DARK.text_pairs() {
            let ratio = contrast(text, background);
            assert!(ratio >= 4.5, "{place}: {text:06X} on {background:06X} has {ratio:.2}:1");
        }
    }

    #[test]
    fn object_colours_are_told_apart_also_by_the_colour_blind() {
        let colours = Theme::DARK.objects;
        for (name, eye) in [("normal", NORMAL), ("protanope", PROTANOPE), ("deuteranope", DEUTERANOPE)] {
            for i in 0..colours.len() {
                for j in 0..i {
                    let d = difference(colours[i], colours[j], &eye);
                    assert!(d >= 20.0, "{name}: objects {j} and {i} differ by only {d:.1}");
                }
                let nearest = (0..=255u32).map(|v| difference(colours[i], v * 0x01_0101, &eye));
                let d = nearest.fold(f64::INFINITY, f64::min);
                assert!(d >= 15.0, "{name}: object {i} is only {d:.1} away from grey tissue");
            }
        }
    }

    #[test]
    fn no_object_colour_is_doppler_red_or_blue() {
        for c in Theme::DARK.objects {
            let (r, g, b) = (c >> 16 & 255, c >> 8 & 255, c & 255);
            assert!(g >= 100, "{c:06X} has too little green: red, blue or violet");
            assert!(b <= r.max(g) + 20, "{c:06X} is blue");
        }
    }

    #[test]
    fn a_preset_gives_the_first_object_its_colour_and_the_others_theirs_in_turn() {
        let preset = std::sync::Arc::new(crate::preset::Preset::find("carotid").unwrap());
        let scene = Scene { preset: Some(preset), ..Scene::default() };
        let colours: Vec<u32> = (0..ObjectId::MAX as u8).map(|i| colour_of(&scene, ObjectId(i))).collect();
        assert_eq!(colours[0], Theme::DARK.objects[3], "orange");
        assert!((1..colours.len()).all(|i| !colours[..i].contains(&colours[i])), "{colours:x?}");
        assert_eq!(colour_of(&Scene::default(), ObjectId(1)), Theme::DARK.object(ObjectId(1)));
    }
}
