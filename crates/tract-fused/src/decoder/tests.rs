//! Kernels against plain loops. The whole decoder against tract and the trainer: `crates/lab/tests/train.rs`, and every model's self-test.

use proptest::prelude::*;
use rand::Rng as _;
use rand::SeedableRng as _;
use rand_pcg::Pcg64Mcg;

use super::attention::*;
use super::linear::*;
use super::spatial::*;
use crate::aligned::Aligned;

fn numbers(seed: u64, count: usize) -> Vec<f32> {
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    (0..count).map(|_| rng.random_range(-1.0..1.0)).collect()
}

/// Scratch with something left in it.
fn used() -> Aligned<f32> {
    let mut memory = Aligned::default();
    memory.sized(100_000).fill(f32::NAN);
    memory
}

fn near(a: &[f32], b: &[f32]) {
    assert_eq!(a.len(), b.len());
    for (i, (a, b)) in a.iter().zip(b).enumerate() {
        assert!((a - b).abs() <= 5e-5 * (1.0 + b.abs()), "{i}: {a} is not {b}");
    }
}

fn turned(x: &[f32], rows: usize) -> Vec<f32> {
    let columns = x.len() / rows;
    (0..x.len()).map(|i| x[i % rows * columns + i / rows]).collect()
}

fn linear(seed: u64, inputs: usize, outputs: usize, activation: Activation) -> Linear {
    Linear { inputs, outputs, weights: numbers(seed, inputs * outputs), bias: numbers(seed ^ 1, outputs), activation }
}

/// `activation(layer(x) + plus)` by the definition. Shape: `x` [inputs, places].
fn of_planes(layer: &Linear, x: &[f32], plus: &[f32]) -> Vec<f32> {
    let places = x.len() / layer.inputs;
    let (low, high) = layer.activation.bounds();
    let value = |i: usize| {
        let (o, place) = (i / places, i % places);
        let products = (0..layer.inputs).map(|c| layer.weights[c * layer.outputs + o] * x[c * places + place]);
        (products.sum::<f32>() + layer.bias[o] + plus.get(i).copied().unwrap_or(0.0)).clamp(low, high)
    };
    (0..layer.outputs * places).map(value).collect()
}

/// A channel's value where a 3x3 kernel looks, zero outside.
fn tap(x: &[f32], edge: usize, channel: usize, k: usize, to: (usize, usize), stride: usize) -> f32 {
    let before = 2 - stride;
    let [y, x_] = [to.1 * stride + k / 3, to.0 * stride + k % 3].map(|v| v.wrapping_sub(before));
    if y < edge && x_ < edge { x[(channel * edge + y) * edge + x_] } else { 0.0 }
}

fn of_neighbours(layer: &Spatial, x: &[f32], edge: usize) -> Vec<f32> {
    let (to, (low, high)) = (edge / layer.stride, layer.activation.bounds());
    let value = |i: usize| {
        let (c, at) = (i / to / to, (i % to, i / to % to));
        let sum: f32 = (0..9).map(|k| layer.weights[9 * c + k] * tap(x, edge, c, k, at, layer.stride)).sum();
        (sum + layer.bias[c]).clamp(low, high)
    };
    (0..layer.bias.len() * to * to).map(value).collect()
}

fn separable(seed: u64, channels: usize, outputs: usize, stride: usize) -> Separable {
    let (weights, bias) = (numbers(seed ^ 11, 9 * channels), numbers(seed ^ 12, channels));
    let spatial = Spatial { stride, weights, bias, activation: Activation::Relu };
    Separable { spatial, point: linear(seed ^ 13, channels, outputs, Activation::Relu6) }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn rows_are_those_of_the_definition(seed: u64, inputs in 1usize..70, outputs in 1usize..70, rows in 1usize..9) {
        let layer = linear(seed, inputs, outputs, Activation::Relu6);
        let x = numbers(seed ^ 2, inputs * rows);
        let mut y = Vec::new();
        layer.forward_rows(&x, &mut y);
        near(&y, &turned(&of_planes(&layer, &turned(&x, rows), &[]), outputs));
    }

    /// With what is added, as values or bytes, and a layer on top.
    #[test]
    fn separable_convolutions_are_those_of_the_definition(
        seed: u64,
        channels in 1usize..20,
        outputs in 1usize..40,
        half in 2usize..40,
        stride in 1usize..=2,
        in_bytes: bool,
    ) {
        let edge = 2 * half;
        let layer = separable(seed, channels, outputs, stride);
        let top = linear(seed ^ 4, outputs, 3, Activation::None);
        let x = numbers(seed ^ 2, channels * edge * edge);
        let places = (edge / stride) * (edge / stride);
        let bytes: Vec<u8> = numbers(seed ^ 3, outputs * places).iter().map(|v| (v * 100.0 + 100.0) as u8).collect();
        let values: Vec<f32> = bytes.iter().map(|b| 0.5 * (f32::from(*b) - 9.0)).collect();
        let plus = if in_bytes { Planes::Quantized { bytes: &bytes, scale: 0.5, zero_point: 9.0 } } else { Planes::Values(&values) };
        let (mut planes, mut more) = (vec![f32::NAN; outputs * places], vec![f32::NAN; 3 * places]);
        let mut scratch = used();
        let target = Target { plus: Some(plus), planes: &mut planes, then: Some((&top, &mut more)) };
        layer.planes(Source::Planes(PlaneList::all(&x, edge * edge)), edge, target, &mut scratch);
        let expected = of_planes(&layer.point, &of_neighbours(&layer.spatial, &x, edge), &values);
        near(&planes, &expected);
        near(&more, &of_planes(&top, &expected, &[]));
    }

    #[test]
    fn joined_planes_are_maps_skip_and_coarse_twice_as_large(
        seed: u64,
        inputs in 1usize..8,
        channels in 1usize..20,
        half in 2usize..40,
    ) {
        let (edge, places) = (2 * half, 4 * half * half);
        let layer = separable(seed, channels, 5, 1);
        let prompt = linear(seed ^ 5, inputs, channels, Activation::Relu6);
        let (maps, coarse) = (numbers(seed ^ 6, inputs * places), numbers(seed ^ 7, channels * half * half));
        let skip = numbers(seed ^ 8, channels * places);
        let (mut planes, mut scratch) = (vec![f32::NAN; 5 * places], used());
        let of_maps = PlaneList::all(&maps, places);
        let source = Source::Joined { layer: &prompt, maps: of_maps, skip: Planes::Values(&skip), coarse: &coarse };
        layer.planes(source, edge, Target { plus: None, planes: &mut planes, then: None }, &mut scratch);
        let twice = |i: usize| coarse[i / places * half * half + i % places / edge / 2 * half + i % edge / 2];
        let plus: Vec<f32> = skip.iter().enumerate().map(|(i, v)| v + twice(i)).collect();
        let joined = of_planes(&prompt, &maps, &plus);
        near(&planes, &of_planes(&layer.point, &of_neighbours(&layer.spatial, &joined, edge), &[]));
    }

    #[test]
    fn full_convolutions_are_those_of_the_definition(seed: u64, channels in 1usize..6, outputs in 1usize..40, half in 2usize..40) {
        let edge = 2 * half;
        let layer = linear(seed, 9 * channels, outputs, Activation::Relu6);
        let x = numbers(seed ^ 2, channels * edge * edge);
        let mut y = vec![f32::NAN; outputs * half * half];
        full(&layer, PlaneList::all(&x, edge * edge), edge, &mut y, &mut used());
        let seen = |i: usize| {
            let (at, place) = (i / half / half, i % (half * half));
            tap(&x, edge, at / 9, at % 9, (place % half, place / half), 2)
        };
        let taps: Vec<f32> = (0..9 * channels * half * half).map(seen).collect();
        near(&y, &of_planes(&layer, &taps, &[]));
    }

    #[test]
    fn planes_of_zeros_may_be_left_out(seed: u64, outputs in 1usize..20, half in 2usize..40, kept: [bool; 4]) {
        let (edge, places) = (2 * half, 4 * half * half);
        let mut x = numbers(seed, 4 * places);
        for (plane, is_kept) in x.chunks_exact_mut(places).zip(kept) {
            if !is_kept {
                plane.iter_mut().for_each(|v| *v *= 0.0);
            }
        }
        let mut found = vec![9];
        super::used(&x, places, &mut found);
        let expected: Vec<usize> = (0..4).filter(|i| kept[*i]).collect();
        assert_eq!(&found, &if expected.is_empty() { vec![0] } else { expected });
        let layer = linear(seed ^ 1, 36, outputs, Activation::Relu6);
        let all = PlaneList::all(&x, places);
        let mut of_found = linear(seed ^ 2, 3, 2, Activation::None);
        layer.only(&found, 9, &mut of_found);
        let [mut with, mut without] = [(); 2].map(|()| vec![f32::NAN; outputs * half * half]);
        full(&layer, all, edge, &mut with, &mut used());
        full(&of_found, all.chosen(&found), edge, &mut without, &mut used());
        assert_eq!(with, without);
    }

    #[test]
    fn tokens_see_an_image_as_they_would_see_tokens(seed: u64, tokens in 1usize..9, places in 1usize..90, heads in 1usize..4, part in 1usize..9) {
        let d = heads * part;
        let shape = Heads { heads, part, scale: 0.7 };
        let (few, many, values) = (numbers(seed, tokens * d), numbers(seed ^ 1, places * d), numbers(seed ^ 3, places * d));
        let (mut expected, mut got, mut scratch) = (Vec::new(), Vec::new(), used());
        self_attention(&few, &many, &values, shape, &mut scratch, &mut expected);
        let (many, values) = (turned(&many, places), turned(&values, places));
        let mut layer = linear(seed ^ 4, 3, 2, Activation::Relu6);
        token_to_image_attention(&few, &many, &values, shape, (&mut layer, &mut scratch), &mut got);
        near(&got, &expected);
    }

    /// Its places one after the other: the residual sum of what a place found among the tokens, normalized over channels.
    #[test]
    fn an_image_sees_tokens_as_tokens_would(seed: u64, tokens in 1usize..9, places in 1usize..150, heads in 1usize..4, part in 1usize..9, d in 2usize..30) {
        let inner = heads * part;
        let of = |seed: u64| Attention {
            q_proj: linear(seed, d, inner, Activation::None),
            k_proj: linear(seed ^ 20, d, inner, Activation::None),
            v_proj: linear(seed ^ 21, d, inner, Activation::None),
            out_proj: linear(seed ^ 22, inner, d, Activation::None),
            heads: Heads { heads, part, scale: 0.7 },
            pe: numbers(seed ^ 23, inner * places),
        };
        let (attention, next) = (of(seed), of(seed ^ 31));
        let norm = LayerNorm { weight: numbers(seed ^ 24, d), bias: numbers(seed ^ 25, d), epsilon: 1e-1 };
        let (keys, values) = (numbers(seed ^ 26, tokens * inner), numbers(seed ^ 27, tokens * inner));
        let image = numbers(seed ^ 28, d * places);
        let queries = turned(&of_planes(&attention.q_proj, &image, &attention.pe), inner);
        let (mut found, mut scratch) = (Vec::new(), used());
        self_attention(&queries, &keys, &values, attention.heads, &mut scratch, &mut found);
        let mut rows = turned(&of_planes(&attention.out_proj, &turned(&found, places), &image), d);
        norm.forward_rows(&mut rows);
        let expected = turned(&rows, places);

        let (mut got, mut k, mut v) = (image, vec![f32::NAN; inner * places], vec![f32::NAN; inner * places]);
        let update = TokenUpdate { attention: &attention, keys: &keys, values: &values, norm: &norm };
        image_to_token_attention(&mut got, Some(update), &next, [&mut k, &mut v], &mut used());
        near(&got, &expected);
        near(&k, &of_planes(&next.k_proj, &expected, &next.pe));
        near(&v, &of_planes(&next.v_proj, &expected, &[]));
    }
}
