//! A quantized encoder, alone and with one decode, beside other runtimes: one thread, CPU time, turn by turn.
//!
//! `cargo bench --bench encoder -- INT8-DIR F32-DIR [python3]`: the two folders are a model before and after `sonotap quantize`.
//! With a Python that has onnxruntime and openvino, benches/encoder_peer.py runs the same files in turn. Prints the CPU time of one
//! look in each turn, and the medians of the ratios. Of a model that proposes also the proposal, beside such a look.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context as _, Result, bail};
use sonotap::frame::Frame;
use sonotap::geometry::{ModelView, Point};
use sonotap::model::manifest::Manifest;
use sonotap::model::sam::{LoadOptions, TractSam, load_with};
use sonotap::model::{Decoded, ModelPrompts, Segmenter as _, self_test};
use sonotap::prompt::Polarity;
use tract_fused::Engine;

/// Turns of each.
const PAIRS: usize = 9;
/// Looks of a turn.
const LOOKS: usize = 100;
/// Looks of a turn of what is many times slower.
const SLOW_LOOKS: usize = 10;

/// CPU time of this thread, ms.
fn cpu_ms() -> Result<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").context("the CPU time cannot be read")?;
    let ns: f64 = text.split_whitespace().next().context("no CPU time")?.parse()?;
    Ok(ns / 1e6)
}

/// CPU time of one of `looks`, ms.
fn timed(looks: usize, mut look: impl FnMut() -> Result<()>) -> Result<f64> {
    let begin = cpu_ms()?;
    for _ in 0..looks {
        look()?;
    }
    Ok((cpu_ms()? - begin) / looks as f64)
}

struct Peer {
    name: &'static str,
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Peer {
    fn start(python: &str, name: &'static str, runtime: &str, graphs: &[PathBuf]) -> Result<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/encoder_peer.py");
        let mut command = Command::new(python);
        command.arg(script).arg(runtime).args(graphs);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("no peer")?;
        let to = child.stdin.take().context("the peer has no input")?;
        let from = BufReader::new(child.stdout.take().context("the peer has no output")?);
        Ok(Self { name, child, to, from })
    }

    fn turn(&mut self, looks: usize) -> Result<f64> {
        writeln!(self.to, "{looks}")?;
        let mut line = String::new();
        self.from.read_line(&mut line)?;
        line.trim().parse().with_context(|| format!("{}: expected a time, got {line:?}", self.name))
    }

    fn end(mut self) -> Result<()> {
        drop(self.to);
        self.child.wait()?;
        Ok(())
    }
}

/// Our engine beside one other way, in turn; prints the medians.
fn compare(
    what: &str,
    mut ours: impl FnMut() -> Result<f64>,
    name: &str,
    mut theirs: impl FnMut() -> Result<f64>,
) -> Result<()> {
    let (mut a, mut b, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..PAIRS {
        let (ours, theirs) = (ours()?, theirs()?);
        a.push(ours);
        b.push(theirs);
        ratios.push(theirs / ours);
    }
    let median = |v: &mut Vec<f64>| {
        v.sort_by(f64::total_cmp);
        v[v.len() / 2]
    };
    let (a, b) = (median(&mut a), median(&mut b));
    let (least, most) = (ratios.iter().copied().fold(f64::MAX, f64::min), ratios.iter().copied().fold(0.0, f64::max));
    let ratio = median(&mut ratios);
    let line = format!("{what}: {a:.2} ms, {name} {b:.2} ms, {ratio:.2} times ({least:.2} to {most:.2})");
    writeln!(std::io::stdout(), "{line}")?;
    Ok(())
}

struct Whole {
    sam: TractSam,
    frame: Frame,
    view: ModelView,
    prompts: ModelPrompts,
    answer: Decoded,
}

impl Whole {
    fn load(folder: &Path, tract_only: bool) -> Result<Self> {
        let sam = load_with(folder, LoadOptions { tract_only, ..LoadOptions::default() })?.segmenter;
        let frame = self_test::picture(1);
        let view = ModelView::new(frame.bounds(), sam.spec().side);
        let clicks = vec![(Point::new(120.0, 100.0), Polarity::Positive)];
        let prompts = ModelPrompts { clicks, ..ModelPrompts::default() };
        Ok(Self { sam, frame, view, prompts, answer: Decoded::default() })
    }

    fn encode(&mut self) -> Result<()> {
        Ok(self.sam.encode(&self.frame, &self.view)?)
    }

    fn decode(&mut self) -> Result<()> {
        Ok(self.sam.decode(&self.prompts, &mut self.answer)?)
    }

    fn predict(&mut self) -> Result<()> {
        self.encode()?;
        self.decode()
    }
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let (int8, float, python) = match &arguments[..] {
        [int8, float] => (Path::new(int8), Path::new(float), None),
        [int8, float, python] => (Path::new(int8), Path::new(float), Some(python.as_str())),
        _ => bail!("expected INT8-DIR F32-DIR [python3]"),
    };
    let manifest = Manifest::load(int8)?;
    let mut whole = Whole::load(int8, false)?;
    let plans: Vec<_> = whole.sam.encoder_regions().filter_map(|r| r.plan().cloned()).collect();
    let [plan] = &plans[..] else { bail!("expected an encoder that is one integer region") };
    let (mut engine, kernels) = (Engine::of(plan), plan.kernels());
    let image: Vec<f32> = (0..plan.input_shape(0).len()).map(|i| (i * 37 % 251) as f32 / 251.0).collect();
    // The planes begin at lines of the caches, as those of other runtimes do.
    let shapes = (0..plan.outputs()).map(|i| plan.output_shape(i).len());
    let mut outputs: Vec<_> = shapes.map(|len| (len, vec![0.0; len + 16])).collect();
    let mut encode = || {
        timed(LOOKS, || {
            engine.set_values(0, &image)?;
            engine.run();
            for (i, (len, out)) in outputs.iter_mut().enumerate() {
                let from = out.as_ptr().align_offset(64).min(16);
                engine.output(i, &mut out[from..from + *len]);
            }
            Ok(())
        })
    };
    encode()?;
    let encoder = format!("int8 encoder, {kernels}");
    let mut plain = Whole::load(float, true)?;
    plain.predict()?;
    compare(&encoder, &mut encode, "tract f32", || timed(SLOW_LOOKS, || plain.encode()))?;
    whole.predict()?;
    compare("decode", || timed(LOOKS, || whole.decode()), "tract", || timed(SLOW_LOOKS, || plain.decode()))?;
    compare(
        "encode, from frame to decoder",
        || timed(LOOKS, || whole.encode()),
        "tract f32",
        || timed(SLOW_LOOKS, || plain.encode()),
    )?;
    let both = "int8 encoder and one decode";
    compare(both, || timed(LOOKS, || whole.predict()), "tract f32", || timed(SLOW_LOOKS, || plain.predict()))?;
    if whole.sam.spec().proposes {
        let (mut proposing, mut proposal) = (Whole::load(int8, false)?, Vec::new());
        proposing.encode()?;
        let mut propose = || timed(LOOKS, || proposing.sam.propose(&mut proposal).map(drop).map_err(Into::into));
        propose()?;
        compare("proposal", &mut propose, both, || timed(LOOKS, || whole.predict()))?;
    }
    let Some(python) = python else { return Ok(()) };
    let (quantized, before, decoder) =
        (int8.join(&manifest.encoder.file), float.join(&manifest.encoder.file), int8.join(&manifest.decoder.file));
    for (name, runtime, graph) in [
        ("ONNX Runtime int8", "ort", &quantized),
        ("OpenVINO int8", "openvino", &quantized),
        ("ONNX Runtime f32", "ort", &before),
    ] {
        let mut peer = Peer::start(python, name, runtime, std::slice::from_ref(graph))?;
        peer.turn(LOOKS)?;
        compare(&encoder, &mut encode, name, || peer.turn(LOOKS))?;
        peer.end()?;
    }
    let mut peer = Peer::start(python, "ONNX Runtime int8", "ort", &[quantized, decoder])?;
    peer.turn(LOOKS)?;
    compare(both, || timed(LOOKS, || whole.predict()), "ONNX Runtime int8 + f32", || peer.turn(LOOKS))?;
    peer.end()
}
