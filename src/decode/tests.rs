//! Kernels against plain loops. The whole decoder against tract and the trainer: `tests/train.rs`, and every model's self-test.

use proptest::prelude::*;
use rand::Rng as _;
use rand::SeedableRng as _;
use rand_pcg::Pcg64Mcg;

use super::kernels::*;

fn numbers(seed: u64, count: usize) -> Vec<f32> {
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    (0..count).map(|_| rng.random_range(-1.0..1.0)).collect()
}

fn near(a: &[f32], b: &[f32]) {
    assert_eq!(a.len(), b.len());
    for (i, (a, b)) in a.iter().zip(b).enumerate() {
        assert!((a - b).abs() <= 2e-5 * (1.0 + b.abs()), "{i}: {a} is not {b}");
    }
}

fn turned(x: &[f32], rows: usize) -> Vec<f32> {
    let columns = x.len() / rows;
    (0..x.len()).map(|i| x[i % rows * columns + i / rows]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn planes_and_rows_give_the_same_sums(seed: u64, inputs in 1usize..70, outputs in 1usize..70, places in 1usize..300, relu6: bool) {
        let activation = if relu6 { Activation::Relu6 } else { Activation::None };
        let (weights, bias) = (numbers(seed, inputs * outputs), numbers(seed ^ 1, outputs));
        let layer = Linear { inputs, outputs, weights, bias, activation };
        let x = numbers(seed ^ 2, inputs * places);
        let (mut planes, mut rows) = (vec![f32::NAN; outputs * places], Vec::new());
        layer.planes(&x, None, &mut planes, &mut Vec::new());
        layer.rows(&turned(&x, inputs), &mut rows);
        near(&turned(&planes, outputs), &rows);
        let plus = numbers(seed ^ 3, outputs * places);
        let mut more = vec![f32::NAN; outputs * places];
        let open = Linear { activation: Activation::None, ..layer };
        open.planes(&x, None, &mut planes, &mut Vec::new());
        open.planes(&x, Some(Planes::Values(&plus)), &mut more, &mut Vec::new());
        near(&more, &planes.iter().zip(&plus).map(|(a, b)| a + b).collect::<Vec<f32>>());
        let bytes: Vec<u8> = plus.iter().map(|v| (v * 100.0 + 100.0) as u8).collect();
        open.planes(&x, Some(Planes::Steps { bytes: &bytes, scale: 0.5, zero: 9.0 }), &mut more, &mut Vec::new());
        near(&more, &planes.iter().zip(&bytes).map(|(a, b)| a + 0.5 * (f32::from(*b) - 9.0)).collect::<Vec<f32>>());
    }

    #[test]
    fn a_depthwise_convolution_is_that_of_the_definition(seed: u64, channels in 1usize..5, half in 2usize..20, two: bool) {
        let (edge, stride, before) = (2 * half, if two { 2 } else { 1 }, usize::from(!two));
        let spatial = Spatial {
            stride,
            weights: numbers(seed, 9 * channels),
            bias: numbers(seed ^ 1, channels),
            activation: Activation::Relu,
        };
        let x = numbers(seed ^ 2, channels * edge * edge);
        let to = edge / stride;
        let mut y = vec![f32::NAN; channels * to * to];
        spatial.planes(&x, edge, &mut y, &mut Vec::new());
        let at = |c: usize, y: usize, x_: usize| if y < edge && x_ < edge { x[(c * edge + y) * edge + x_] } else { 0.0 };
        let expected = (0..y.len()).map(|i| {
            let (c, oy, ox) = (i / to / to, i / to % to, i % to);
            let tap = |k: usize| {
                let (y, x) = ((oy * stride + k / 3).wrapping_sub(before), (ox * stride + k % 3).wrapping_sub(before));
                spatial.weights[c * 9 + k] * at(c, y, x)
            };
            ((0..9).map(tap).sum::<f32>() + spatial.bias[c]).max(0.0)
        });
        near(&y, &expected.collect::<Vec<f32>>());
    }

    #[test]
    fn tokens_and_image_see_each_other_alike_however_they_lie(seed: u64, tokens in 1usize..9, places in 1usize..90, heads in 1usize..4, part in 1usize..9) {
        let d = heads * part;
        let shape = Heads { heads, part, scale: 0.7 };
        let (few, many) = (numbers(seed, tokens * d), numbers(seed ^ 1, places * d));
        let (few_values, many_values) = (numbers(seed ^ 2, tokens * d), numbers(seed ^ 3, places * d));
        let (mut expected, mut got, mut scratch) = (Vec::new(), Vec::new(), Vec::new());
        tokens_to_tokens(&few, &many, &many_values, shape, &mut scratch, &mut expected);
        tokens_to_image(&few, &turned(&many, places), &turned(&many_values, places), shape, &mut scratch, &mut got);
        near(&got, &expected);
        tokens_to_tokens(&many, &few, &few_values, shape, &mut scratch, &mut expected);
        let mut planes = vec![f32::NAN; places * d];
        image_to_tokens(&turned(&many, places), &few, &few_values, shape, &mut scratch, &mut planes);
        near(&turned(&planes, d), &expected);
    }

    #[test]
    fn layer_norm_of_planes_is_that_of_rows(seed: u64, n in 2usize..40, places in 1usize..60) {
        let norm = Norm { gain: numbers(seed, n), bias: numbers(seed ^ 1, n), epsilon: 1e-5 };
        let mut planes = numbers(seed ^ 2, n * places);
        let mut rows = turned(&planes, n);
        norm.planes(&mut planes, &mut Vec::new());
        norm.rows(&mut rows);
        near(&turned(&planes, n), &rows);
    }
}

#[test]
fn neighbourhoods_are_the_taps_of_a_convolution() {
    let edge = 6;
    let x = numbers(5, 2 * edge * edge);
    let mut taps = vec![f32::NAN; 2 * 9 * 9];
    neighbourhoods(&x, edge, &mut taps);
    for (at, v) in taps.iter().enumerate() {
        let (c, ky, kx, oy, ox) = (at / 81, at / 27 % 3, at / 9 % 3, at / 3 % 3, at % 3);
        let (y, x_) = (2 * oy + ky, 2 * ox + kx);
        let expected = if y < edge && x_ < edge { x[(c * edge + y) * edge + x_] } else { 0.0 };
        assert_eq!(*v, expected, "{at}");
    }
}

#[test]
fn enlarging_gives_every_value_twice_and_clips() {
    let (coarse, mut fine) = ([1.0, -2.0, 3.0, 5.5], numbers(7, 16));
    let before = fine.clone();
    up_add_relu6(&coarse, 4, &mut fine, &mut Vec::new());
    for i in 0..16 {
        assert_eq!(fine[i], (before[i] + coarse[i / 8 * 2 + i % 4 / 2]).clamp(0.0, 6.0));
    }
}
