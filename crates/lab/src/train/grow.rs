//! A larger network that begins as a trained smaller one: it answers the same, and has room to learn more.
//!
//! The smaller must have the same form but for `expand` and `repeats` of the encoder's stages and `pixels` of the decoder.
//! What is added answers nothing yet: new channels are read with weights of 0, new blocks add 0.
//!
//! Source: Chen et al., "Net2Net: Accelerating Learning via Knowledge Transfer", ICLR 2016 (function-preserving growth).

use burn::tensor::Device;

use super::net::Tensors;
use super::net::encoder::Stage;
use super::net::parameters::{Matrix, Parameters};
use super::net::{Network, NetworkConfig};
use sonotap::error::{Error, ErrorKind, Result};

/// Puts a smaller network's numbers into a larger one's fresh ones.
///
/// # Errors
/// `Format` when the larger cannot be grown from the smaller, or a tensor is absent.
pub fn grow(
    small: &NetworkConfig,
    numbers: &Tensors,
    large: &Network,
    parameters: &mut Parameters,
    device: &Device,
) -> Result<()> {
    let blocks = counterparts(&small.encoder.stages, &large.config.encoder.stages)?;
    let mut grown = parameters.to_host();
    for (name, matrix) in &mut grown {
        match origin(name, &blocks) {
            Some(old) => {
                let old = numbers.get(&old).ok_or_else(|| {
                    Error::new(ErrorKind::Format, format!("weights to grow from: expected a tensor `{old}`, got none"))
                })?;
                put(matrix, old, name)?;
            }
            // A new block adds nothing yet.
            None if name.contains(".project.") => matrix.values.fill(0.0),
            None => {}
        }
    }
    parameters.load(&grown, device, |_| false)
}

/// For each block of the larger encoder the block of the smaller that it begins as.
fn counterparts(small: &[Stage], large: &[Stage]) -> Result<Vec<Option<usize>>> {
    let mut blocks = Vec::new();
    let mut first = 0;
    if small.len() != large.len() {
        let what = format!(
            "network.encoder.stages: expected {} as in the network it grows from, got {}",
            small.len(),
            large.len()
        );
        return Err(Error::new(ErrorKind::Format, what));
    }
    for (i, (s, l)) in small.iter().zip(large).enumerate() {
        let fits = Stage { expand: s.expand, repeats: s.repeats, ..*l } == *s
            && s.expand <= l.expand
            && s.repeats <= l.repeats;
        // A block that does not widen has no first convolution, and one that does cannot begin as it.
        if !fits || (s.expand == 1) != (l.expand == 1) {
            let what = format!(
                "network.encoder.stages[{i}]: expected {s:?} with more repeats or a wider expansion, got {l:?}"
            );
            return Err(Error::new(ErrorKind::Format, what));
        }
        blocks.extend((0..l.repeats).map(|r| (r < s.repeats).then_some(first + r)));
        first += s.repeats;
    }
    Ok(blocks)
}

/// The name in the smaller network; `None` for what is new.
fn origin(name: &str, blocks: &[Option<usize>]) -> Option<String> {
    const PREFIX: &str = "encoder.blocks.";
    let Some((number, rest)) = name.strip_prefix(PREFIX).and_then(|n| n.split_once('.')) else {
        return Some(name.to_owned());
    };
    let old = blocks.get(number.parse::<usize>().ok()?)?.as_ref()?;
    Some(format!("{PREFIX}{old}.{rest}"))
}

/// Old numbers keep their place. What was there does not see what is new; what is new keeps its fresh numbers, but a mask's
/// weights of new features are 0.
fn put(new: &mut Matrix, old: &Matrix, name: &str) -> Result<()> {
    let ([rows, columns], [old_rows, old_columns]) = (new.shape, old.shape);
    if old_rows > rows || old_columns > columns {
        let what =
            format!("tensor `{name}`: expected at most {rows}x{columns} to grow from, got {old_rows}x{old_columns}");
        return Err(Error::new(ErrorKind::Format, what));
    }
    let adds_to_sum = name.starts_with("decoder.heads.") && name.contains(".1.");
    for (i, value) in new.values.iter_mut().enumerate() {
        let (row, column) = (i / columns, i % columns);
        if column < old_columns {
            *value = if row < old_rows { old.values[row * old_columns + column] } else { 0.0 };
        } else if adds_to_sum {
            *value = 0.0;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::net::decoder::Answer;
    use crate::train::picture::SIDE;
    use sonotap::geometry::Point;
    use sonotap::model::ModelPrompts;
    use sonotap::prompt::Polarity;

    const SMALL: &str = "
[encoder]
stem = 8
embedding = 16
skip4 = 8
skip2 = 8
stages = [
    { expand = 1, kernel = 3, stride = 1, channels = 8, repeats = 1 },
    { expand = 2, kernel = 3, stride = 2, channels = 8, repeats = 1 },
    { expand = 2, kernel = 5, stride = 2, channels = 8, repeats = 2 },
]

[decoder]
heads = 2
prompt = 8
middle = 8
pixels = 8
";

    fn network(text: &str, seed: u64) -> (Network, Parameters) {
        Network::new(&toml::from_str(text).unwrap(), &Device::flex(), seed)
    }

    fn answer(network: &Network, p: &Parameters) -> Answer {
        let picture: Vec<f32> = (0..SIDE * SIDE).map(|i| (i * 37 % 101) as f32 / 101.0).collect();
        let seen = network.decoder.see(p, network.encoder.forward(p, &picture), 1);
        let click = (Point::new(100.5, 80.5), Polarity::Positive);
        network.decoder.forward(p, &seen, &[&ModelPrompts { clicks: vec![click], ..ModelPrompts::default() }])
    }

    #[test]
    fn a_grown_network_answers_as_the_one_that_it_grew_from() {
        let (small, numbers) = network(SMALL, 1);
        let larger = SMALL.replace("stride = 2, channels = 8, repeats = 1", "stride = 2, channels = 8, repeats = 3");
        let larger =
            larger.replace("{ expand = 2, kernel = 5", "{ expand = 4, kernel = 5").replace("pixels = 8", "pixels = 16");
        let (large, mut grown) = network(&larger, 2);
        assert!(grown.count() > numbers.count());
        let fresh = answer(&large, &grown);
        grow(&small.config, &numbers.to_host(), &large, &mut grown, &Device::flex()).unwrap();
        let values = |t: burn::tensor::Tensor<3>| t.into_data().try_to_vec::<f32>().unwrap();
        let (before, after) = (values(answer(&small, &numbers).masks), values(answer(&large, &grown).masks));
        let far = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(far(&before, &after) < 1e-4, "{}", far(&before, &after));
        assert!(far(&before, &values(fresh.masks)) > 1e-2);
    }

    #[test]
    fn a_network_of_another_form_is_refused_by_the_key_that_differs() {
        let (small, numbers) = network(SMALL, 1);
        for (from, to, named) in [
            ("kernel = 5", "kernel = 3", "stages[2]"),
            ("repeats = 2", "repeats = 1", "stages[2]"),
            ("expand = 1", "expand = 2", "stages[0]"),
            ("pixels = 8", "pixels = 4", "decoder."),
        ] {
            let (large, mut grown) = network(&SMALL.replace(from, to), 2);
            let error = grow(&small.config, &numbers.to_host(), &large, &mut grown, &Device::flex()).unwrap_err();
            assert!(error.to_string().contains(named), "{error}");
        }
    }
}
