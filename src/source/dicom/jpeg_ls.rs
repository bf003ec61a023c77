//! JPEG-LS (ISO/IEC 14495-1): lossless and near-lossless frames of up to 16 bits in any interleaving.
//!
//! Own code because the decoders that others keep are either C++ or bring a second DICOM library with them. Held by files
//! that other encoders wrote (`.ci/peers`) and by the worked example of the standard's annex H.
//!
//! Terms, as in the standard: a, b, c, d are the neighbours left, above, above left and above right; a *context* is one of
//! 365 classes of local gradients with the statistics A, B, C, N; a *run* is a flat stretch of a line.
//!
//! Not read: mapping tables, restart intervals, point transforms, colour transforms of vendors.

use crate::error::{Error, ErrorKind, Result};

/// Orders of run lengths, A.2.1.
const J: [u32; 32] =
    [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 9, 10, 11, 12, 13, 14, 15];
const CONTEXTS: usize = 365;

/// Samples of a frame.
#[derive(Debug)]
pub(super) struct Decoded {
    /// By pixel, all components of one, then the next.
    pub samples: Vec<u16>,
    /// Bits of a sample.
    pub precision: u8,
}

#[derive(Clone, Copy, Debug, Default)]
struct Preset {
    max: i32,
    t: [i32; 3],
    reset: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Interleave {
    None,
    Line,
    Sample,
}

/// Decodes one frame of that size and number of components.
///
/// # Errors
/// `Format` when it is corrupt, ends early or is of another size; `Unsupported` for what the module does not read.
pub(super) fn decode(coded: &[u8], size: [u32; 2], components: usize) -> Result<Decoded> {
    let (width, height) = (size[0] as usize, size[1] as usize);
    let mut samples = vec![0; width * height * components];
    let (mut precision, mut preset, mut done) = (0u8, Preset::default(), 0);
    let mut names: Vec<u8> = Vec::new();
    let mut at = 2;
    while done < components {
        let (marker, body, end) = segment(coded, at)?;
        at = end;
        match (marker, body) {
            (0xF7, &[bits, h0, h1, w0, w1, n, ref rest @ ..]) => {
                let got = [[w0, w1], [h0, h1]].map(|b| u32::from(u16::from_be_bytes(b)));
                if got != size || usize::from(n) != components || rest.len() < 3 * components {
                    let message = format!(
                        "expected {width}x{height} px of {components} samples, got {}x{} px of {n}",
                        got[0], got[1]
                    );
                    return Err(corrupt(&message));
                }
                if !(2..=16).contains(&bits) {
                    return Err(corrupt(&format!("expected 2 to 16 bits a sample, got {bits}")));
                }
                precision = bits;
                names = rest.chunks_exact(3).map(|c| c[0]).collect();
            }
            (0xF8, &[1, ref body @ ..]) if body.len() >= 10 => {
                let word = |i: usize| i32::from(u16::from_be_bytes([body[2 * i], body[2 * i + 1]]));
                preset = Preset { max: word(0), t: [word(1), word(2), word(3)], reset: word(4) };
            }
            (0xF8, _) => return Err(unsupported("mapping tables or sizes beyond 65535")),
            (0xDD, body) if body.iter().any(|b| *b != 0) => return Err(unsupported("restart intervals")),
            (0xE8, body) if body.starts_with(b"mrfx") && body.get(4) != Some(&0) => {
                return Err(unsupported("a vendor's colour transform"));
            }
            (0xDA, &[n, ref body @ ..]) if body.len() >= 2 * usize::from(n) + 3 => {
                let n = usize::from(n);
                let &[near, ilv, transform] = &body[2 * n..2 * n + 3] else { return Err(corrupt("a scan header")) };
                let interleave = match (ilv, n) {
                    (0, 1) => Interleave::None,
                    (1, _) => Interleave::Line,
                    (2, _) => Interleave::Sample,
                    _ => return Err(corrupt("a scan of several components that are not interleaved")),
                };
                if transform != 0 {
                    return Err(unsupported("point transforms"));
                }
                let first = names.iter().position(|name| *name == body[0]).filter(|_| precision > 0);
                let first = first.filter(|f| f + n <= components).ok_or_else(|| corrupt("a scan without its frame"))?;
                let parameters = Parameters::new(preset, precision, i32::from(near))?;
                let mut scan = Scan::new(parameters, &coded[at..], width, n);
                let out = Out { samples: &mut samples, first, stride: components };
                scan.decode(height, interleave, out)?;
                // What is read ahead stops at the next marker, behind its FF.
                at += scan.bits.at.saturating_sub(1);
                done += n;
                while done < components && !matches!(coded.get(at..at + 2), Some(&[0xFF, 0x80..=0xFE]) | None) {
                    at += 1;
                }
            }
            (0xD9, _) => return Err(corrupt("ends before its last component")),
            _ => {}
        }
    }
    Ok(Decoded { samples, precision })
}

/// Marker, body and end of the segment at `at`.
fn segment(coded: &[u8], at: usize) -> Result<(u8, &[u8], usize)> {
    let early = || corrupt("ends within a marker segment");
    let mut at = at;
    while coded.get(at..at + 2) == Some(&[0xFF, 0xFF]) {
        at += 1;
    }
    match coded.get(at..at + 2).ok_or_else(early)? {
        [0xFF, 0xD9] => Ok((0xD9, &[], at + 2)),
        &[0xFF, marker] => {
            let length = coded.get(at + 2..at + 4).ok_or_else(early)?;
            let end = at + 2 + usize::from(u16::from_be_bytes([length[0], length[1]]));
            Ok((marker, coded.get(at + 4..end).ok_or_else(early)?, end))
        }
        _ => Err(corrupt("expected a marker, got something else")),
    }
}

#[derive(Clone, Copy, Debug)]
struct Parameters {
    max: i32,
    near: i32,
    range: i32,
    qbpp: u32,
    limit: u32,
    t: [i32; 3],
    reset: i32,
}

impl Parameters {
    /// Defaults of C.2.4.1.1 where the preset says 0.
    fn new(preset: Preset, precision: u8, near: i32) -> Result<Self> {
        let most = (1 << precision) - 1;
        let max = if preset.max == 0 { most } else { preset.max };
        if max > most || near > 255.min(max / 2) {
            return Err(corrupt("parameters that cannot be"));
        }
        let clamp = |v: i32, low: i32| if v > max || v < low { low } else { v };
        let defaults = if max >= 128 {
            let factor = (max.min(4095) + 128) / 256;
            [factor + 2 + 3 * near, 4 * factor + 3 + 5 * near, 17 * factor + 4 + 7 * near]
        } else {
            let factor = 256 / (max + 1);
            [2.max(3 / factor + 3 * near), 3.max(7 / factor + 5 * near), 4.max(21 / factor + 7 * near)]
        };
        let mut t = [0; 3];
        let mut low = near + 1;
        for i in 0..3 {
            t[i] = if preset.t[i] == 0 { clamp(defaults[i], low) } else { preset.t[i] };
            low = t[i];
        }
        let range = (max + 2 * near) / (2 * near + 1) + 1;
        let bits = |v: i32| 32 - (v - 1).max(0).leading_zeros();
        let bpp = bits(max + 1).max(2);
        let reset = if preset.reset == 0 { 64 } else { preset.reset };
        Ok(Self { max, near, range, qbpp: bits(range), limit: 2 * (bpp + bpp.max(8)), t, reset })
    }

    fn gradient(&self, d: i32) -> i32 {
        let [t1, t2, t3] = self.t;
        let level = match d.abs() {
            m if m <= self.near => 0,
            m if m < t1 => 1,
            m if m < t2 => 2,
            m if m < t3 => 3,
            _ => 4,
        };
        level * d.signum()
    }

    fn rebuilt(&self, predicted: i32, error: i32) -> i32 {
        let step = 2 * self.near + 1;
        let mut v = predicted + error * step;
        if v < -self.near {
            v += self.range * step;
        } else if v > self.max + self.near {
            v -= self.range * step;
        }
        v.clamp(0, self.max)
    }
}

#[derive(Clone, Copy, Debug)]
struct Context {
    a: i32,
    b: i32,
    c: i32,
    n: i32,
}

/// Bits, most significant first; after a byte FF one bit is stuffed.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
    held: u64,
    count: u32,
    is_after_ff: bool,
}

impl Bits<'_> {
    fn fill(&mut self) {
        while self.count <= 48 {
            let Some(&byte) = self.bytes.get(self.at) else { return };
            if self.is_after_ff && byte >= 0x80 {
                return;
            }
            let n = if self.is_after_ff { 7 } else { 8 };
            self.held = (self.held << n) | u64::from(byte);
            self.count += n;
            self.is_after_ff = byte == 0xFF;
            self.at += 1;
        }
    }

    fn take(&mut self, n: u32) -> Result<i32> {
        if self.count < n {
            self.fill();
            if self.count < n {
                return Err(corrupt("ends early"));
            }
        }
        self.count -= n;
        let value = (self.held >> self.count) & ((1 << n) - 1);
        Ok(value as i32)
    }

    /// A limited Golomb code, A.5.3.
    fn golomb(&mut self, k: u32, limit: u32, qbpp: u32) -> Result<i32> {
        let mut zeros = 0;
        while self.take(1)? == 0 {
            zeros += 1;
            if zeros >= limit {
                return Err(corrupt("a code is too long"));
            }
        }
        if zeros < limit - qbpp - 1 { Ok(((zeros as i32) << k) | self.take(k)?) } else { Ok(self.take(qbpp)? + 1) }
    }
}

/// Where a scan's samples go.
struct Out<'a> {
    samples: &'a mut [u16],
    first: usize,
    stride: usize,
}

/// Neighbouring lines of a component, with a sample beyond each end.
struct Lines {
    above: Vec<i32>,
    now: Vec<i32>,
    run_index: usize,
}

impl Lines {
    fn begin(&mut self) {
        std::mem::swap(&mut self.above, &mut self.now);
        let end = self.above.len() - 1;
        self.above[end] = self.above[end - 1];
        self.now[0] = self.above[1];
    }
}

struct Scan<'a> {
    parameters: Parameters,
    bits: Bits<'a>,
    contexts: Vec<Context>,
    /// Of run interruptions, with their count of negative errors.
    interruptions: [(Context, i32); 2],
    lines: Vec<Lines>,
    width: usize,
}

impl<'a> Scan<'a> {
    fn new(parameters: Parameters, bytes: &'a [u8], width: usize, components: usize) -> Self {
        let fresh = Context { a: 2.max((parameters.range + 32) / 64), b: 0, c: 0, n: 1 };
        let lines = || Lines { above: vec![0; width + 2], now: vec![0; width + 2], run_index: 0 };
        Self {
            parameters,
            bits: Bits { bytes, at: 0, held: 0, count: 0, is_after_ff: false },
            contexts: vec![fresh; CONTEXTS],
            interruptions: [(fresh, 0); 2],
            lines: (0..components).map(|_| lines()).collect(),
            width,
        }
    }

    fn decode(&mut self, height: usize, interleave: Interleave, out: Out<'_>) -> Result<()> {
        for y in 0..height {
            self.lines.iter_mut().for_each(Lines::begin);
            if interleave == Interleave::Sample && self.lines.len() > 1 {
                self.line_of_all()?;
            } else {
                for component in 0..self.lines.len() {
                    self.line_of(component)?;
                }
            }
            for (c, lines) in self.lines.iter().enumerate() {
                let row = &mut out.samples[y * self.width * out.stride..(y + 1) * self.width * out.stride];
                let places = row.iter_mut().skip(out.first + c).step_by(out.stride);
                places.zip(&lines.now[1..]).for_each(|(to, v)| *to = *v as u16);
            }
        }
        Ok(())
    }

    fn neighbours(&self, component: usize, x: usize) -> [i32; 4] {
        let Lines { above, now, .. } = &self.lines[component];
        [now[x - 1], above[x], above[x - 1], above[x + 1]]
    }

    fn gradients(&self, [a, b, c, d]: [i32; 4]) -> [i32; 3] {
        [d - b, b - c, c - a].map(|d| self.parameters.gradient(d))
    }

    fn line_of(&mut self, component: usize) -> Result<()> {
        let mut x = 1;
        while x <= self.width {
            let near = self.neighbours(component, x);
            let gradients = self.gradients(near);
            if gradients != [0; 3] {
                self.lines[component].now[x] = self.regular(near, gradients)?;
                x += 1;
                continue;
            }
            let run = self.run(component, x)?;
            self.lines[component].now[x..x + run].fill(near[0]);
            x += run;
            if x <= self.width {
                let above = self.lines[component].above[x];
                let kind = usize::from((near[0] - above).abs() <= self.parameters.near);
                let order = J[self.lines[component].run_index];
                self.lines[component].now[x] = self.interruption(kind, near[0], above, order)?;
                self.lines[component].run_index = self.lines[component].run_index.saturating_sub(1);
                x += 1;
            }
        }
        Ok(())
    }

    /// A line of pixels whose components follow each other: a run is one of all components.
    fn line_of_all(&mut self) -> Result<()> {
        let mut x = 1;
        while x <= self.width {
            let is_flat = (0..self.lines.len()).all(|c| self.gradients(self.neighbours(c, x)) == [0; 3]);
            if !is_flat {
                for c in 0..self.lines.len() {
                    let near = self.neighbours(c, x);
                    self.lines[c].now[x] = self.regular(near, self.gradients(near))?;
                }
                x += 1;
                continue;
            }
            let run = self.run(0, x)?;
            for lines in &mut self.lines {
                let value = lines.now[x - 1];
                lines.now[x..x + run].fill(value);
            }
            x += run;
            if x <= self.width {
                let order = J[self.lines[0].run_index];
                for c in 0..self.lines.len() {
                    let (left, above) = (self.lines[c].now[x - 1], self.lines[c].above[x]);
                    self.lines[c].now[x] = self.interruption(0, left, above, order)?;
                }
                self.lines[0].run_index = self.lines[0].run_index.saturating_sub(1);
                x += 1;
            }
        }
        Ok(())
    }

    /// Length of the run from `x`, A.7.1.
    fn run(&mut self, component: usize, x: usize) -> Result<usize> {
        let left = self.width + 1 - x;
        let mut run = 0;
        while self.bits.take(1)? == 1 {
            let order = &mut self.lines[component].run_index;
            let whole = 1 << J[*order];
            if run + whole <= left && *order < 31 {
                *order += 1;
            }
            run = (run + whole).min(left);
            if run == left {
                return Ok(run);
            }
        }
        run += self.bits.take(J[self.lines[component].run_index])? as usize;
        if run > left { Err(corrupt("a run is longer than its line")) } else { Ok(run) }
    }

    /// A sample by its context, A.4 to A.6.
    fn regular(&mut self, [a, b, c, _]: [i32; 4], mut gradients: [i32; 3]) -> Result<i32> {
        let p = self.parameters;
        let sign = gradients.iter().find(|q| **q != 0).map_or(1, |q| q.signum());
        gradients = gradients.map(|q| q * sign);
        let context = &mut self.contexts[(81 * gradients[0] + 9 * gradients[1] + gradients[2]) as usize];
        let edge = if c >= a.max(b) {
            a.min(b)
        } else if c <= a.min(b) {
            a.max(b)
        } else {
            a + b - c
        };
        let predicted = (edge + sign * context.c).clamp(0, p.max);
        let k = order(context.n, context.a);
        let mapped = self.bits.golomb(k, p.limit, p.qbpp)?;
        let error = if p.near == 0 && k == 0 && 2 * context.b <= -context.n {
            if mapped & 1 == 1 { (mapped - 1) / 2 } else { -(mapped / 2) - 1 }
        } else if mapped & 1 == 0 {
            mapped / 2
        } else {
            -(mapped + 1) / 2
        };
        context.update(error, p.near, p.reset);
        Ok(p.rebuilt(predicted, sign * error))
    }

    /// The sample that ends a run, A.7.2; kind 1 where left and above are alike.
    fn interruption(&mut self, kind: usize, left: i32, above: i32, order_of_run: u32) -> Result<i32> {
        let p = self.parameters;
        let (context, negative) = &mut self.interruptions[kind];
        let total = if kind == 1 { context.a + (context.n >> 1) } else { context.a };
        let k = order(context.n, total);
        let limit = p.limit - order_of_run - 1;
        let coded = self.bits.golomb(k, limit, p.qbpp)?;
        let sum = coded + kind as i32;
        let (is_odd, size) = (sum & 1 == 1, (sum + (sum & 1)) / 2);
        let is_negative = (k != 0 || 2 * *negative >= context.n) == is_odd;
        let error = if is_negative { -size } else { size };
        *negative += i32::from(error < 0);
        context.a += (coded + 1 - kind as i32) >> 1;
        if context.n == p.reset {
            (context.a, context.n, *negative) = (context.a >> 1, context.n >> 1, *negative >> 1);
        }
        context.n += 1;
        let (predicted, sign) = match kind {
            1 => (left, 1),
            _ => (above, if left > above { -1 } else { 1 }),
        };
        Ok(p.rebuilt(predicted, sign * error))
    }
}

impl Context {
    fn update(&mut self, error: i32, near: i32, reset: i32) {
        self.b += error * (2 * near + 1);
        self.a += error.abs();
        if self.n == reset {
            self.a >>= 1;
            self.b >>= 1;
            self.n >>= 1;
        }
        self.n += 1;
        if self.b <= -self.n {
            self.b = (self.b + self.n).max(1 - self.n);
            self.c = (self.c - 1).max(-128);
        } else if self.b > 0 {
            self.b = (self.b - self.n).min(0);
            self.c = (self.c + 1).min(127);
        }
    }
}

/// The least k with n * 2^k >= a.
fn order(n: i32, a: i32) -> u32 {
    (0..31).find(|k| i64::from(n) << k >= i64::from(a)).unwrap_or(31)
}

fn corrupt(what: &str) -> Error {
    Error::new(ErrorKind::Format, format!("JPEG-LS: {what}"))
}

fn unsupported(what: &str) -> Error {
    Error::new(ErrorKind::Unsupported, format!("JPEG-LS: {what} are not read"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The worked example of ISO/IEC 14495-1, annex H.3: 4 x 4 samples of 8 bits, all default parameters.
    const EXAMPLE: [u8; 57] = [
        0xFF, 0xD8, 0xFF, 0xF7, 0x00, 0x0B, 0x08, 0x00, 0x04, 0x00, 0x04, 0x01, 0x01, 0x11, 0x00, 0xFF, 0xF8, 0x00,
        0x0D, 0x01, 0x00, 0xFF, 0x00, 0x03, 0x00, 0x07, 0x00, 0x15, 0x00, 0x40, 0xFF, 0xDA, 0x00, 0x08, 0x01, 0x01,
        0x00, 0x00, 0x00, 0x00, 0xC0, 0x00, 0x00, 0x6C, 0x80, 0x20, 0x8E, 0x01, 0xC0, 0x00, 0x00, 0x57, 0x40, 0x00,
        0x00, 0x6E, 0xE6,
    ];
    const TAIL: [u8; 13] = [0x00, 0x00, 0x01, 0xBC, 0x18, 0x00, 0x00, 0x05, 0xD8, 0x00, 0x00, 0x91, 0x60];
    const PIXELS: [u16; 16] = [0, 0, 90, 74, 68, 50, 43, 205, 64, 145, 145, 145, 100, 145, 145, 145];

    fn example() -> Vec<u8> {
        [&EXAMPLE[..], &TAIL, &[0xFF, 0xD9]].concat()
    }

    #[test]
    fn the_example_of_the_standard_is_decoded() {
        let decoded = decode(&example(), [4, 4], 1).unwrap();
        assert_eq!((decoded.samples, decoded.precision), (PIXELS.to_vec(), 8));
    }

    #[test]
    fn what_is_cut_short_or_of_another_size_is_an_error() {
        let whole = example();
        for len in 0..EXAMPLE.len() + 9 {
            assert!(decode(&whole[..len], [4, 4], 1).is_err(), "{len} bytes");
        }
        assert!(decode(&whole, [5, 4], 1).is_err());
        assert!(decode(&whole, [4, 4], 3).is_err());
    }
}
