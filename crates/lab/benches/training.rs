//! Forward and backward pass of an image encoder with its neck: ours beside PyTorch's, one thread each, turn by turn.
//!
//! `cargo bench --features train --bench training -- [python3]`: with a Python that has torch, benches/training_peer.py runs the same
//! network and both are timed in turn. Prints pictures a second of each, and the median of the ratios.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result};
use burn::tensor::Device;
use sonotap_lab::train::config::TrainConfig;
use sonotap_lab::train::net::Network;
use sonotap_lab::train::net::encoder::{EncoderConfig, Stage};
use sonotap_lab::train::net::parameters::Parameters;
use sonotap_lab::train::optimizer::Sums;
use sonotap_lab::train::picture::SIDE;

#[global_allocator]
static ALLOCATOR: sonotap_lab::train::MiMalloc = sonotap_lab::train::MiMalloc;

/// Turns of each.
const PAIRS: usize = 7;
/// Length of a turn, s.
const TURN_S: f64 = 4.0;

/// EfficientNet-Lite0.
fn lite0() -> EncoderConfig {
    let stage = |(expand, kernel, stride, channels, repeats)| Stage { expand, kernel, stride, channels, repeats };
    let stages = [
        (1, 3, 1, 16, 1),
        (6, 3, 2, 24, 2),
        (6, 5, 2, 40, 2),
        (6, 3, 2, 80, 3),
        (6, 5, 1, 112, 3),
        (6, 5, 2, 192, 4),
        (6, 3, 1, 320, 1),
    ];
    let stages = stages.into_iter().map(stage).collect();
    EncoderConfig { stem: 32, stages, embedding: 96, skip4: 24, skip2: 12, adapters: Vec::new() }
}

fn one(network: &Network, parameters: &Parameters, picture: &[f32], sums: &mut Sums) {
    let e = network.encoder.forward(parameters, picture);
    let loss = e.coarse.powi_scalar(2).mean() + e.skip4.powi_scalar(2).mean() + e.skip2.powi_scalar(2).mean();
    sums.add(parameters, &mut loss.backward());
}

/// Pictures a second over a turn, one at a time as training does it.
fn turn(network: &Network, parameters: &Parameters, picture: &[f32]) -> f64 {
    let begin = Instant::now();
    let mut sums = Sums::default();
    let mut n = 0;
    while begin.elapsed().as_secs_f64() < TURN_S {
        one(network, parameters, picture, &mut sums);
        n += 1;
    }
    f64::from(n) / begin.elapsed().as_secs_f64()
}

struct Peer {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Peer {
    fn start(python: &str, config: &EncoderConfig) -> Result<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/training_peer.py");
        let mut command = Command::new(python);
        command.arg(script).arg(serde_json::to_string(config)?).arg(TURN_S.to_string());
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("the peer cannot be started")?;
        let to = child.stdin.take().context("the peer has no input")?;
        let from = BufReader::new(child.stdout.take().context("the peer has no output")?);
        Ok(Self { child, to, from })
    }

    fn turn(&mut self) -> Result<f64> {
        self.to.write_all(b"go\n")?;
        let mut line = String::new();
        self.from.read_line(&mut line)?;
        line.trim().parse().with_context(|| format!("expected a rate of the peer, got {line:?}"))
    }
}

fn main() -> Result<()> {
    let python = std::env::args().skip(1).find(|a| !a.starts_with("--"));
    let student = TrainConfig::load(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../training/student.toml")))?;
    let device = Device::flex().autodiff();
    let picture: Vec<f32> = (0..SIDE * SIDE).map(|i| ((i * 7919) % 251) as f32 / 250.0).collect();
    for (name, encoder) in [("efficientnet-lite0", lite0()), ("student", student.network.encoder.clone())] {
        let mut config = student.network.clone();
        config.encoder = encoder.clone();
        let (network, parameters) = Network::new(&config, &device, 1);
        let mut peer = python.as_deref().map(|p| Peer::start(p, &encoder)).transpose()?;
        turn(&network, &parameters, &picture);
        if let Some(peer) = &mut peer {
            peer.turn()?;
        }
        let mut ratios = Vec::new();
        for _ in 0..PAIRS {
            let ours = turn(&network, &parameters, &picture);
            let theirs = peer.as_mut().map(Peer::turn).transpose()?;
            let shown = theirs.map_or("-".into(), |t| format!("{t:.2}"));
            writeln!(std::io::stdout(), "{name}: {ours:.2} pictures/s, PyTorch {shown}")?;
            ratios.extend(theirs.map(|t| ours / t));
        }
        ratios.sort_by(f64::total_cmp);
        if let Some(median) = ratios.get(ratios.len() / 2) {
            writeln!(std::io::stdout(), "{name}: {median:.2} times PyTorch, median of {PAIRS} pairs")?;
        }
        if let Some(mut peer) = peer {
            drop(peer.to);
            peer.child.wait()?;
        }
    }
    Ok(())
}
