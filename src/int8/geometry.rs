//! What an ONNX convolution, sum or resize does to shapes, where the engine can do it.

use super::network::{Pads, Shape};
use crate::error::Result;
use crate::onnx::read::Node;

/// Kernel, stride and pads of a convolution and its result.
#[derive(Clone, Copy, Debug)]
pub(super) struct ConvGeometry {
    pub kernel: usize,
    pub stride: usize,
    pub pads: Pads,
    pub is_depthwise: bool,
    pub y: Shape,
}

/// Of a `Conv` node with kernels of shape [O, I, k, k].
///
/// # Errors
/// `Model` for what the engine does not have: other groups than 1 and all, kernels or strides that are not square, dilation.
pub(super) fn conv(node: &Node, kernels: &[usize], x: Shape) -> Result<ConvGeometry> {
    let &[outputs, inputs, kernel, other] = kernels else {
        return Err(node.refuse(format!("expected kernels of [O, I, k, k], got {kernels:?}")));
    };
    let group = usize::try_from(node.int("group", 1)).unwrap_or(0);
    let is_depthwise = group > 1 && group == x.channels && outputs == x.channels && inputs == 1;
    let is_full = group == 1 && inputs == x.channels;
    let strides = node.ints("strides", &[1, 1]);
    let pads: Vec<usize> =
        node.ints("pads", &[0; 4]).iter().map(|p| usize::try_from(*p).unwrap_or(usize::MAX)).collect();
    let stride = strides.first().and_then(|s| usize::try_from(*s).ok()).unwrap_or(0);
    let is_known = (is_depthwise || is_full)
        && kernel == other
        && stride > 0
        && strides.iter().all(|s| *s == strides[0])
        && node.ints("dilations", &[1, 1]).iter().all(|d| *d == 1)
        && matches!(node.text("auto_pad", "NOTSET").as_str(), "NOTSET" | "");
    let (true, &[top, left, bottom, right]) = (is_known, &pads[..]) else {
        let what = format!(
            "group {group}, strides {strides:?}, pads {pads:?}, kernels {kernels:?} of {} channels",
            x.channels
        );
        return Err(node.refuse(format!("expected a full or depthwise square convolution, got {what}")));
    };
    let edge = |size: usize, pads: usize| (size.saturating_add(pads)).checked_sub(kernel).map(|room| room / stride + 1);
    let (Some(height), Some(width), true) = (
        edge(x.height, top.saturating_add(bottom)),
        edge(x.width, left.saturating_add(right)),
        pads.iter().all(|p| *p < kernel),
    ) else {
        return Err(
            node.refuse(format!("expected a kernel that fits into {x:?} with pads less than itself, got {pads:?}"))
        );
    };
    let y = Shape { channels: outputs, height, width };
    Ok(ConvGeometry { kernel, stride, pads: Pads { top, left, bottom, right }, is_depthwise, y })
}

/// Checks that a `Resize` node gives each value twice in both directions.
///
/// # Errors
/// `Model` when it does not.
pub(crate) fn nearest_twice(node: &Node, scales: &[f32]) -> Result<()> {
    let is_known = scales == [1.0, 1.0, 2.0, 2.0]
        && node.text("mode", "nearest") == "nearest"
        && node.text("coordinate_transformation_mode", "half_pixel") == "asymmetric"
        && node.text("nearest_mode", "round_prefer_floor") == "floor";
    is_known.then_some(()).ok_or_else(|| node.refuse("expected nearest, asymmetric, floor, by [1, 1, 2, 2]"))
}
