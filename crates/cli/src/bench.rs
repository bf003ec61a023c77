//! `sonotap bench`: how fast a quantized encoder is here, step by step.

use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde::Serialize;
use sonotap::model::sam::{LoadOptions, load_with};
use tract_fused::Engine;

use crate::arguments::BenchArguments;
use crate::output::{say, say_json};

#[derive(Serialize)]
struct StepTime {
    name: String,
    class: &'static str,
    macs: usize,
    us: f64,
    gmacs_per_second: f64,
    share_of_peak: f64,
}

#[derive(Serialize)]
struct EncoderTime {
    kernels: &'static str,
    peak_gmacs_per_second: f64,
    encode_us: f64,
    image_us: f64,
    outputs_us: f64,
    memory_bytes: usize,
    macs: usize,
    steps: Vec<StepTime>,
}

/// Times the encoder of a model folder on one thread.
pub fn bench(a: &BenchArguments) -> Result<()> {
    let place = a.model.display();
    let options = LoadOptions { skip_self_test: true, ..LoadOptions::default() };
    let loaded = load_with(&a.model, options).with_context(|| place.to_string())?;
    let plans: Vec<_> = loaded.segmenter.encoder_regions().filter_map(|r| r.plan()).collect();
    let &[plan] = &plans[..] else {
        bail!("{place}: expected an encoder with one integer region (see `sonotap quantize`), got {}", plans.len());
    };
    let mut engine = Engine::of(plan);
    let times = measure(&mut engine, a.runs.max(1))?;
    if a.json { say_json(&times) } else { say(lines(&times, a.layers).join("\n")) }
}

fn measure(engine: &mut Engine, runs: usize) -> Result<EncoderTime> {
    let plan = engine.plan().clone();
    let shape = plan.input_shape(0);
    let image_values: Vec<f32> = (0..shape.len()).map(|i| (i * 37 % 251) as f32 / 251.0).collect();
    engine.set_values(0, &image_values)?;
    engine.run();
    let peak = plan.kernels().peak_gmacs_per_second();
    let count = plan.steps().count();
    let mut times = vec![Vec::with_capacity(runs); count];
    let (mut whole, mut image, mut given) = (Vec::new(), Vec::new(), Vec::new());
    let mut outputs: Vec<Vec<f32>> = (0..plan.outputs()).map(|i| vec![0.0; plan.output_shape(i).len()]).collect();
    let us = |begin: Instant| begin.elapsed().as_secs_f64() * 1e6;
    for _ in 0..runs {
        for (i, times) in times.iter_mut().enumerate() {
            let begin = Instant::now();
            engine.run_step(i);
            times.push(us(begin));
        }
        let begin = Instant::now();
        engine.set_values(0, &image_values)?;
        image.push(us(begin));
        let begin = Instant::now();
        engine.run();
        whole.push(us(begin));
        let begin = Instant::now();
        outputs.iter_mut().enumerate().for_each(|(i, out)| engine.output(i, out));
        given.push(us(begin));
    }
    let steps = plan.steps().zip(&mut times).map(|(step, times)| {
        let us = median(times);
        let rate = step.macs as f64 / us / 1e3;
        let name = step.name.to_owned();
        StepTime { name, class: step.class, macs: step.macs, us, gmacs_per_second: rate, share_of_peak: rate / peak }
    });
    Ok(EncoderTime {
        kernels: plan.kernels().name(),
        peak_gmacs_per_second: peak,
        encode_us: median(&mut whole),
        image_us: median(&mut image),
        outputs_us: median(&mut given),
        memory_bytes: engine.bytes(),
        macs: plan.macs(),
        steps: steps.collect(),
    })
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

fn lines(t: &EncoderTime, with_layers: bool) -> Vec<String> {
    let mut lines = Vec::new();
    let row = |name: &str, us: f64, macs: usize| {
        let rate = macs as f64 / us / 1e3;
        let share = 100.0 * rate / t.peak_gmacs_per_second;
        format!("{us:9.1} us {:8.2} MMAC {rate:7.1} GMAC/s {share:5.1} %  {name}", macs as f64 / 1e6)
    };
    if with_layers {
        lines.extend(t.steps.iter().map(|s| row(&s.name, s.us, s.macs)));
        for class in ["full", "band", "1x1", "sum", "upsample", "max pool", "lookup"] {
            let of = || t.steps.iter().filter(|s| s.class == class);
            if of().next().is_some() {
                lines.push(row(&format!("all of class {class}"), of().map(|s| s.us).sum(), of().map(|s| s.macs).sum()));
            }
        }
    }
    lines.push(row("encoder", t.encode_us, t.macs));
    lines.push(format!(
        "{:9.1} us  image to bytes before it\n{:9.1} us  outputs to f32 after it",
        t.image_us, t.outputs_us
    ));
    lines.push(format!(
        "kernels {}, one thread; peak of their multiplications {:.0} GMAC/s; tensors take {:.2} MB",
        t.kernels,
        t.peak_gmacs_per_second,
        t.memory_bytes as f64 / 1e6
    ));
    lines
}
