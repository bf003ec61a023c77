//! A quantized network of others: with integer regions, beside tract's own QDQ and, with a Python that has onnxruntime, ONNX
//! Runtime: one thread, CPU time, turn by turn.
//!
//! `cargo bench -p tract-fused --bench foreign -- MODEL.onnx [python3]`; `tests/reference/qdq/make.py --large DIR` makes models.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use tract_fused::{FuseInt8, Kernels, Lower};
use tract_onnx::prelude::*;

/// Turns of each.
const TURNS: usize = 9;
/// Runs of a turn, and of what is many times slower.
const RUNS: usize = 20;
const SLOW_RUNS: usize = 2;

/// CPU time of this thread, ms.
fn cpu_ms() -> TractResult<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let ns: f64 = text.split_whitespace().next().unwrap_or_default().parse()?;
    Ok(ns / 1e6)
}

fn timed(runs: usize, mut run: impl FnMut() -> TractResult<()>) -> TractResult<f64> {
    let begin = cpu_ms()?;
    for _ in 0..runs {
        run()?;
    }
    Ok((cpu_ms()? - begin) / runs as f64)
}

fn planned(path: &str, is_fused: bool) -> TractResult<TypedSimpleState> {
    let onnx = if is_fused { tract_fused::onnx() } else { tract_onnx::onnx().with_ignore_value_info(true) };
    let mut model = onnx.model_for_path(path)?.into_typed()?;
    if is_fused {
        model.transform(&FuseInt8 { kernels: Some(Kernels::fastest()), outputs_as_bytes: false })?;
        model.transform(&Lower)?;
    }
    model.into_optimized()?.into_runnable()?.spawn()
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn compare(
    name: &str,
    mut ours: impl FnMut() -> TractResult<f64>,
    mut theirs: impl FnMut() -> TractResult<f64>,
) -> TractResult<()> {
    let (mut a, mut b, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..TURNS {
        let (ours, theirs) = (ours()?, theirs()?);
        a.push(ours);
        b.push(theirs);
        ratios.push(theirs / ours);
    }
    let (a, b) = (median(&mut a), median(&mut b));
    let ratio = median(&mut ratios);
    let (least, most) = (ratios[0], ratios[ratios.len() - 1]);
    writeln!(std::io::stdout(), "{a:.2} ms, {name} {b:.2} ms, {ratio:.2} times ({least:.2} to {most:.2})")?;
    Ok(())
}

fn main() -> TractResult<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let Some(path) = arguments.first() else {
        // `cargo test --benches` runs it without arguments.
        writeln!(std::io::stdout(), "expected MODEL.onnx [python3]")?;
        return Ok(());
    };
    let (mut fused, mut plain) = (planned(path, true)?, planned(path, false)?);
    let fact = fused.plan().model().input_fact(0)?.clone();
    let shape = fact.shape.as_concrete().unwrap_or_default().to_vec();
    let values: Vec<f32> = (0..shape.iter().product()).map(|i| (i * 7919 % 1021) as f32 / 510.0 - 1.0).collect();
    let image: TValue = Tensor::from_shape(&shape, &values)?.into();
    let mut ours = || timed(RUNS, || fused.run(tvec![image.clone()]).map(|_| ()));
    ours()?;
    compare("tract QDQ", &mut ours, || timed(SLOW_RUNS, || plain.run(tvec![image.clone()]).map(|_| ())))?;
    let Some(python) = arguments.get(1) else { return Ok(()) };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../benches/encoder_peer.py");
    let mut command = Command::new(python);
    command.arg(script).args(["ort", path]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn()?;
    let (Some(mut to), Some(from)) = (child.stdin.take(), child.stdout.take()) else { return Ok(()) };
    let mut from = BufReader::new(from);
    let mut theirs = || {
        writeln!(to, "{RUNS}")?;
        let mut line = String::new();
        from.read_line(&mut line)?;
        Ok(line.trim().parse()?)
    };
    theirs()?;
    compare("ONNX Runtime int8", &mut ours, &mut theirs)?;
    drop(to);
    child.wait()?;
    Ok(())
}
