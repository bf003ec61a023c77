//! `sonotap quantize`: a model folder with an integer encoder, and what that costs.

use anyhow::{Result, bail};
use sonotap_lab::quantize::Method;
use sonotap_lab::quantize::{Fit, Options, Report, Validation, quantize_folder};

use crate::arguments::QuantizeArguments;
use crate::output::say;
use crate::stage::stop_flag;

/// Quantizes and says what it cost.
pub fn quantize(a: &QuantizeArguments) -> Result<()> {
    let method = match a.ranges.as_str() {
        "best" => None,
        name => match Method::ALL.into_iter().find(|m| m.name() == name) {
            Some(method) => Some(method),
            None => bail!("--ranges: expected best, min-max, percentile or mean-square, got `{name}`"),
        },
    };
    let options =
        Options { sets: a.calibrate.clone(), images: a.images.max(1), validation: a.validate, method, seed: a.seed };
    let stop = stop_flag()?;
    let report = quantize_folder(&a.model, &a.out, &options, &stop)?;
    say(lines(&report).join("\n"))?;
    say(a.out.display())
}

fn lines(r: &Report) -> Vec<String> {
    let mut lines = fit("encoder", &r.encoder);
    if let Some(proposal) = &r.proposal {
        lines.extend(fit("proposal", &proposal.fit));
        lines.push(proposal.to_string());
    }
    if !r.validation.is_empty() {
        lines.push("IoU after 1, 3, 5 clicks on the val split, f32 to int8".into());
    }
    lines.extend(r.validation.iter().map(validation));
    lines
}

fn fit(network: &str, f: &Fit) -> Vec<String> {
    let mut lines = vec![format!("{network}: signal to quantization noise of each tensor, dB")];
    lines.extend(f.losses.iter().map(|l| format!("  {:6.1}  {}", l.sqnr_db, l.name)));
    lines.push("ranges, and the outputs' mean signal to noise on the val split, dB".into());
    let mark = |m: Method| if m == f.method { "taken" } else { "" };
    lines.extend(f.tried.iter().map(|(m, db)| format!("  {db:6.1}  {:<12}{}", m.name(), mark(*m))));
    lines.push(format!("  {:6.1}  after bias correction", f.corrected_db));
    lines
}

fn validation(v: &Validation) -> String {
    let at = |n: usize| {
        let of = |v: &[f64]| v.get(n - 1).copied().unwrap_or(f64::NAN);
        format!("{:.3} to {:.3} ({:+.4})", of(&v.before), of(&v.after), of(&v.after) - of(&v.before))
    };
    format!("  {:<16} {:>3} objects  {}  {}  {}", v.set, v.objects, at(1), at(3), at(5))
}
