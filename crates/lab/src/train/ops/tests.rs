//! Each kernel against finite differences, and against the same made of burn's own operations.

use burn::tensor::{Device, Tensor, TensorData};
use rand::{Rng as _, SeedableRng as _};
use rand_pcg::Pcg64Mcg;

use super::*;

/// Values of -1..1, from a seed.
fn some(seed: u64, len: usize) -> Vec<f32> {
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    (0..len).map(|_| 2.0 * rng.random::<f32>() - 1.0).collect()
}

fn of<const D: usize>(seed: u64, shape: [usize; D], scale: f32) -> Tensor<D> {
    let values = some(seed, shape.iter().product()).into_iter().map(|v| scale * v).collect::<Vec<_>>();
    Tensor::from_data(TensorData::new(values, shape), &Device::flex().autodiff()).require_grad()
}

fn flat<const D: usize>(t: &Tensor<D>) -> Vec<f32> {
    let t = if t.is_autodiff() { t.clone().inner() } else { t.clone() };
    t.into_data().try_to_vec().unwrap()
}

/// A scalar that weighs each value of a result differently.
fn weighed<const D: usize>(y: Tensor<D>) -> Tensor<1> {
    let shape = y.dims();
    let w = TensorData::new(some(99, shape.iter().product()), shape);
    (y.clone() * Tensor::<D>::from_data(w, &y.device())).sum()
}

/// The gradient at each of up to 24 places of `x` is the change of `f` over a small step there.
fn gradient_is_the_slope<const D: usize>(name: &str, x: &Tensor<D>, step: f32, f: &dyn Fn(Tensor<D>) -> Tensor<1>) {
    let gradients = f(x.clone()).backward();
    let found = flat(&x.grad(&gradients).unwrap());
    let values = flat(x);
    let value = |values: &[f32]| {
        f64::from(flat(&f(Tensor::from_data(TensorData::new(values.to_vec(), x.dims()), &x.device())))[0])
    };
    for k in 0..values.len().min(24) {
        let i = k * 7919 % values.len();
        let mut moved = values.clone();
        moved[i] = values[i] + step;
        let above = value(&moved);
        moved[i] = values[i] - step;
        let slope = (above - value(&moved)) / (2.0 * f64::from(step));
        let got = f64::from(found[i]);
        assert!((got - slope).abs() < 2e-2 * (1.0 + slope.abs()), "{name}: at {i}: gradient {got}, slope {slope}");
    }
}

/// Result and gradients of two ways to compute one thing agree.
fn same<const D: usize, const N: usize>(
    name: &str,
    inputs: [Tensor<D>; N],
    one: &dyn Fn([Tensor<D>; N]) -> Tensor<1>,
    other: &dyn Fn([Tensor<D>; N]) -> Tensor<1>,
) {
    let (a, b) = (one(inputs.clone()), other(inputs.clone()));
    let (va, vb) = (flat(&a)[0], flat(&b)[0]);
    assert!((va - vb).abs() < 1e-3 * (1.0 + vb.abs()), "{name}: {va} {vb}");
    let (ga, gb) = (a.backward(), b.backward());
    for (i, x) in inputs.iter().enumerate() {
        let (ga, gb) = (flat(&x.grad(&ga).unwrap()), flat(&x.grad(&gb).unwrap()));
        let far = ga.iter().zip(&gb).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        let size = gb.iter().fold(1e-3f32, |a, b| a.max(b.abs()));
        assert!(far < 1e-3 * size, "{name}: gradient of input {i} differs by {far} of {size}");
    }
}

#[test]
fn linear_has_the_right_gradients() {
    let (x, w, b) = (of(1, [10, 7], 1.0), of(2, [7, 5], 1.0), of(3, [1, 5], 1.0));
    for act in [Activation::None, Activation::Relu, Activation::Relu6] {
        let f = |x: Tensor<2>, w: Tensor<2>, b: Tensor<2>| weighed(linear(x, w, b, act));
        gradient_is_the_slope("x", &x, 1e-3, &|x| f(x, w.clone(), b.clone()));
        gradient_is_the_slope("w", &w, 1e-3, &|w| f(x.clone(), w, b.clone()));
        gradient_is_the_slope("b", &b, 1e-3, &|b| f(x.clone(), w.clone(), b));
        let portable = |[x, w, b]: [Tensor<2>; 3]| weighed(act.on(x.matmul(w) + b));
        same("linear", [x.clone(), w.clone(), b.clone()], &|[x, w, b]| f(x, w, b), &portable);
    }
}

#[test]
fn depthwise_is_a_convolution_with_the_right_gradients() {
    for (edge, c, kernel, stride) in [
        (8, 16, 3, 1),
        (8, 20, 3, 2),
        (6, 5, 5, 1),
        (8, 48, 5, 2),
        (2, 16, 5, 1),
        (8, 20, 4, 4),
        (4, 16, 4, 4),
        (8, 16, 7, 1),
    ] {
        let smooth = Depthwise { kernel, stride, activation: Activation::None };
        let (x, w, b) = (of(4, [2, edge, edge, c], 2.0), of(5, [kernel * kernel, c], 1.0), of(6, [1, c], 1.0));
        let name = format!("{edge} {c} k{kernel} s{stride}");
        let f = |x: Tensor<4>, w: Tensor<2>, b: Tensor<2>| weighed(depthwise(x, w, b, smooth));
        gradient_is_the_slope(&format!("{name} x"), &x, 1e-2, &|x| f(x, w.clone(), b.clone()));
        gradient_is_the_slope(&format!("{name} w"), &w, 1e-2, &|w| f(x.clone(), w, b.clone()));
        gradient_is_the_slope(&format!("{name} b"), &b, 1e-2, &|b| f(x.clone(), w.clone(), b));
        // Finite differences would step over the activation's corners.
        let how = Depthwise { activation: Activation::Relu6, ..smooth };
        let (ours, burns) = (
            depthwise(x.clone(), w.clone(), b.clone(), how),
            depthwise::portable(x.clone(), w.clone(), b.clone(), how),
        );
        let pairs = flat(&ours).into_iter().zip(flat(&burns)).collect::<Vec<_>>();
        pairs.iter().for_each(|(a, b)| assert!((a - b).abs() < 1e-4, "{name}: {a} {b}"));
        let (ours, burns) = (weighed(ours).backward(), weighed(burns).backward());
        let far = |a: Vec<f32>, b: Vec<f32>| a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        let differences = [
            far(flat(&x.grad(&ours).unwrap()), flat(&x.grad(&burns).unwrap())),
            far(flat(&w.grad(&ours).unwrap()), flat(&w.grad(&burns).unwrap())),
            far(flat(&b.grad(&ours).unwrap()), flat(&b.grad(&burns).unwrap())),
        ];
        assert!(differences.iter().all(|d| *d < 1e-3), "{name}: {differences:?}");
    }
}

#[test]
fn norm_has_the_right_gradients() {
    let (x, g, b) = (of(7, [6, 40], 2.0), of(8, [1, 40], 1.0), of(9, [1, 40], 1.0));
    let f = |x: Tensor<2>, g: Tensor<2>, b: Tensor<2>| weighed(layer_norm(x, g, b));
    gradient_is_the_slope("x", &x, 1e-2, &|x| f(x, g.clone(), b.clone()));
    gradient_is_the_slope("gain", &g, 1e-2, &|g| f(x.clone(), g, b.clone()));
    same("norm", [x, g, b], &|[x, g, b]| f(x, g, b), &|[x, g, b]| weighed(norm::portable(x, g, b)));
}

#[test]
fn attention_has_the_right_gradients_and_looks_at_no_padding() {
    for (queries, valid) in [(5, None), (5, Some(&[9usize, 4][..])), (12, None), (12, Some(&[9, 4][..]))] {
        let (q, k, v) = (of(10, [2, queries, 16], 2.0), of(11, [2, 9, 16], 2.0), of(12, [2, 9, 16], 1.0));
        let f = |q: Tensor<3>, k: Tensor<3>, v: Tensor<3>| weighed(attention(q, k, v, 4, valid));
        gradient_is_the_slope("q", &q, 1e-2, &|q| f(q, k.clone(), v.clone()));
        gradient_is_the_slope("k", &k, 1e-2, &|k| f(q.clone(), k, v.clone()));
        gradient_is_the_slope("v", &v, 1e-2, &|v| f(q.clone(), k.clone(), v));
        let portable = |[q, k, v]: [Tensor<3>; 3]| weighed(attention::portable(q, k, v, 4, valid));
        let (a, b) = (f(q.clone(), k.clone(), v.clone()), portable([q.clone(), k.clone(), v.clone()]));
        assert!((flat(&a)[0] - flat(&b)[0]).abs() < 1e-4);
    }
    let (q, k, v) = (of(10, [2, 5, 16], 2.0), of(11, [2, 9, 16], 2.0), of(12, [2, 9, 16], 1.0));
    let values = flat(&attention(q.clone(), k.clone(), v.clone(), 4, Some(&[9, 4])));
    let cut = |t: &Tensor<3>| t.clone().slice([1..2, 0..4, 0..16]);
    let alone = flat(&attention(q.slice([1..2, 0..5, 0..16]), cut(&k), cut(&v), 4, None));
    values[80..].iter().zip(&alone).for_each(|(a, b)| assert!((a - b).abs() < 1e-5));
}

#[test]
fn up_add_has_the_right_gradients() {
    let (coarse, fine) = (of(13, [2, 3, 2, 5], 1.0), of(14, [2, 6, 4, 5], 1.0));
    for act in [Activation::None, Activation::Relu6] {
        let f = |c: Tensor<4>, x: Tensor<4>| weighed(up_add(c, x, act));
        gradient_is_the_slope("coarse", &coarse, 1e-3, &|c| f(c, fine.clone()));
        gradient_is_the_slope("fine", &fine, 1e-3, &|x| f(coarse.clone(), x));
        let portable = flat(&up_add::portable(coarse.clone(), fine.clone(), act));
        assert_eq!(flat(&up_add(coarse.clone(), fine.clone(), act)), portable);
    }
}

fn goal(is_lone: bool) -> MaskLoss {
    let cells = 64;
    let row = |seed: u64| LossRow {
        truth: some(seed, cells).iter().map(|v| [0.0, 0.5, 1.0, 1.0][((v + 1.0) * 1.99) as usize]).collect(),
        weights: some(seed + 1, cells).iter().map(|v| 1.5 + v).collect(),
        is_lone,
        share: seed as f32,
        beyond: Some(0.0),
    };
    let weights = LossWeights { focal: 20.0, dice: 1.0, iou: 1.0, alternatives: 0.05, first: 0.1 };
    MaskLoss { rows: std::sync::Arc::new(vec![row(1), row(3)]), weights }
}

#[test]
fn mask_loss_has_the_right_gradients() {
    let (logits, iou) = (of(15, [2, MASKS, 64], 4.0), of(16, [2, MASKS], 1.0));
    for is_lone in [false, true] {
        let f = |l: Tensor<3>, i: Tensor<2>| mask_loss(l, i, goal(is_lone));
        gradient_is_the_slope("logits", &logits, 1e-2, &|l| f(l, iou.clone()));
        gradient_is_the_slope("iou", &iou, 1e-3, &|i| f(logits.clone(), i));
        let (ours, burns) =
            (f(logits.clone(), iou.clone()), mask_loss::portable(logits.clone(), iou.clone(), &goal(is_lone)));
        assert!((flat(&ours)[0] - flat(&burns)[0]).abs() < 1e-4);
        let (ours, burns) = (ours.backward(), burns.backward());
        let pairs = [
            (flat(&logits.grad(&ours).unwrap()), flat(&logits.grad(&burns).unwrap())),
            (flat(&iou.grad(&ours).unwrap()), flat(&iou.grad(&burns).unwrap())),
        ];
        for (a, b) in pairs.iter().flat_map(|(a, b)| a.iter().zip(b)) {
            assert!((a - b).abs() < 1e-5, "{a} {b}");
        }
    }
}

#[test]
fn mask_loss_counts_the_masks_that_inference_uses() {
    let logits = of(15, [2, MASKS, 64], 4.0);
    let iou = of(16, [2, MASKS], 1.0);
    let touched = |is_lone: bool| {
        let g = mask_loss(logits.clone(), iou.clone(), goal(is_lone)).backward();
        let g = flat(&logits.grad(&g).unwrap());
        g.chunks_exact(64).map(|m| m.iter().map(|v| v.abs()).sum::<f32>()).collect::<Vec<_>>()
    };
    let many = touched(false);
    assert!(many[0] > 0.0 && many[1..4].iter().all(|v| *v == 0.0), "{many:?}");
    let lone = touched(true);
    assert!(lone.iter().all(|v| *v > 0.0), "{lone:?}");
    let best = (1..4).max_by(|a, b| lone[*a].total_cmp(&lone[*b])).unwrap();
    assert!((1..4).filter(|i| *i != best).all(|i| lone[i] < 0.2 * lone[best]), "{lone:?}");
}

#[test]
fn a_perfect_mask_costs_nothing_and_its_iou_is_one() {
    let goal = goal(false);
    let logits: Vec<f32> = goal
        .rows
        .iter()
        .flat_map(|r| (0..MASKS).flat_map(|_| r.truth.iter().map(|t| 40.0 * (2.0 * t - 1.0))))
        .collect();
    assert!(goal.ious(&logits).iter().flatten().all(|v| *v > 0.6));
    let hard = MaskLoss {
        rows: std::sync::Arc::new(
            goal.rows
                .iter()
                .map(|r| LossRow { truth: r.truth.iter().map(|t| t.round()).collect(), ..r.clone() })
                .collect(),
        ),
        ..goal
    };
    let logits: Vec<f32> = hard
        .rows
        .iter()
        .flat_map(|r| (0..MASKS).flat_map(|_| r.truth.iter().map(|t| 40.0 * (2.0 * t - 1.0))))
        .collect();
    assert_eq!(hard.ious(&logits), vec![[1.0; MASKS]; 2]);
    let t = Tensor::<3>::from_data(TensorData::new(logits, [2, MASKS, 64]), &Device::flex());
    let iou = Tensor::<2>::from_data(TensorData::new(vec![1.0f32; 8], [2, MASKS]), &Device::flex());
    assert!(flat(&mask_loss(t, iou, hard))[0] < 1e-3);
}

#[test]
fn a_predicted_iou_is_that_with_the_whole_object_and_is_not_learned_where_that_is_unknown() {
    let seen = goal(false);
    let with = |beyond| MaskLoss {
        rows: std::sync::Arc::new(seen.rows.iter().map(|r| LossRow { beyond, ..r.clone() }).collect()),
        ..goal(false)
    };
    let logits = of(15, [2, MASKS, 64], 4.0);
    let (inside, half) = (seen.ious(&flat(&logits)), with(Some(64.0)).ious(&flat(&logits)));
    for (a, b) in inside.iter().flatten().zip(half.iter().flatten()) {
        assert!(*b < 0.6 * a, "64 cells more in the union of at most 64: {b} of {a}");
    }
    let iou = of(16, [2, MASKS], 1.0);
    for (beyond, is_learned) in [(Some(64.0), true), (None, false)] {
        gradient_is_the_slope("iou", &iou, 1e-3, &|i| mask_loss(logits.clone(), i, with(beyond)));
        let g = mask_loss(logits.clone(), iou.clone(), with(beyond)).backward();
        let learned = flat(&iou.grad(&g).unwrap()).iter().all(|v| *v != 0.0);
        assert_eq!(learned, is_learned, "{beyond:?}");
        let burns = flat(&mask_loss::portable(logits.clone(), iou.clone(), &with(beyond)))[0];
        assert!((flat(&mask_loss(logits.clone(), iou.clone(), with(beyond)))[0] - burns).abs() < 1e-4);
    }
}

#[test]
fn patches_times_weights_are_a_convolution() {
    let x = some(17, 2 * 8 * 8 * 3);
    let how = Depthwise { kernel: 3, stride: 2, activation: Activation::None };
    let rows = patches(&x, [8, 8, 3], how);
    let w = some(18, 27);
    for (image, oy, ox) in [(0, 0, 0), (1, 3, 3), (0, 2, 1)] {
        let mut sum = 0.0;
        for (ty, tx, c) in (0..27).map(|i| (i / 9, i / 3 % 3, i % 3)) {
            let (y, xx) = (2 * oy + ty, 2 * ox + tx);
            if y < 8 && xx < 8 {
                sum += x[((image * 8 + y) * 8 + xx) * 3 + c] * w[(ty * 3 + tx) * 3 + c];
            }
        }
        let row = &rows[((image * 4 + oy) * 4 + ox) * 27..][..27];
        let got: f32 = row.iter().zip(&w).map(|(a, b)| a * b).sum();
        assert!((got - sum).abs() < 1e-5, "{got} {sum}");
    }
}

#[test]
fn what_is_frozen_costs_no_backward_pass() {
    let device = Device::flex().autodiff();
    let frozen = |seed, shape: [usize; 2]| {
        Tensor::<2>::from_data(TensorData::new(some(seed, shape[0] * shape[1]), shape), &device)
    };
    let (x, w, b) = (frozen(1, [4, 3]), frozen(2, [3, 3]), frozen(3, [1, 3]));
    let y = linear(x.clone(), w.clone(), b.clone(), Activation::Relu6);
    assert!(!y.is_require_grad());
    let last = of(4, [3, 2], 1.0);
    let gradients = weighed(linear(y, last.clone(), frozen(5, [1, 2]), Activation::None)).backward();
    assert!(last.grad(&gradients).is_some() && w.grad(&gradients).is_none() && x.grad(&gradients).is_none());
}
