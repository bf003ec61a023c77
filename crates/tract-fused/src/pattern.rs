//! Pattern matching on a typed graph, backwards: from a result to its operands.
//!
//! tract's typing brings biases, padding and constants into one canonical form. Constants are followed through casts and axis
//! operations, values through casts to their own type.

use tract_onnx::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_core::ops::cast::Cast;
use tract_onnx::tract_core::ops::cnn::{Conv, KernelFormat, PoolSpec};
use tract_onnx::tract_core::ops::element_wise::ElementWiseOp;
use tract_onnx::tract_core::ops::identity::Identity;
use tract_onnx::tract_core::ops::konst::Const;
use tract_onnx::tract_core::ops::nn::DataFormat;
use tract_onnx::tract_core::ops::nn::resize::{CoordTransformer, Interpolator};
use tract_onnx::tract_hir::internal::*;
use tract_onnx_opl::resize::{CoordTransform, Nearest, Resize};

use crate::int8::network::{Pads, Shape};

/// Bounds of a clamping activation; `None` where there is no bound.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct ClampBounds {
    pub low: Option<f32>,
    pub high: Option<f32>,
}

impl ClampBounds {
    pub(crate) fn clamp(&self, v: f32) -> f32 {
        v.max(self.low.unwrap_or(f32::NEG_INFINITY)).min(self.high.unwrap_or(f32::INFINITY))
    }
}

/// Kernel size, stride and padding of a convolution or a pooling window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub kernel: usize,
    pub stride: usize,
    pub pads: Pads,
}

/// A convolution with square kernels over one image.
pub(crate) struct ConvPattern {
    pub x: OutletId,
    pub kernels: OutletId,
    pub bias: OutletId,
    pub window: Window,
    pub group: usize,
    pub outputs: usize,
}

/// A typed graph, read backwards.
#[derive(Clone, Copy)]
pub(crate) struct GraphReader<'a>(pub &'a TypedModel);

impl<'a> GraphReader<'a> {
    pub(crate) fn node(&self, outlet: OutletId) -> &'a TypedNode {
        &self.0.nodes()[outlet.node]
    }

    pub(crate) fn op<T: Op>(&self, outlet: OutletId) -> Option<(&'a T, &'a TypedNode)> {
        let node = self.node(outlet);
        node.op_as::<T>().map(|op| (op, node))
    }

    /// Concrete shape.
    pub(crate) fn shape(&self, outlet: OutletId) -> Option<Vec<usize>> {
        let fact = &self.node(outlet).outputs[outlet.slot].fact;
        fact.shape.as_concrete().map(<[usize]>::to_vec)
    }

    /// Shape of one image, [1, C, H, W].
    pub(crate) fn image(&self, outlet: OutletId) -> Option<Shape> {
        match self.shape(outlet)?[..] {
            [1, channels, height, width] => Some(Shape { channels, height, width }),
            _ => None,
        }
    }

    /// Whether exactly one node reads it and it is no output of the graph.
    pub(crate) fn is_inner(&self, outlet: OutletId) -> bool {
        self.node(outlet).outputs[outlet.slot].successors.len() == 1 && !self.0.outputs.contains(&outlet)
    }

    /// The value before casts to the same type and identities.
    pub(crate) fn origin(&self, mut outlet: OutletId) -> OutletId {
        loop {
            let node = self.node(outlet);
            let is_cast = node.op_as::<Cast>().is_some_and(|c| {
                let from = &self.node(node.inputs[0]).outputs[node.inputs[0].slot].fact;
                from.datum_type == c.to
            });
            if !is_cast && !node.op_is::<Identity>() {
                return outlet;
            }
            outlet = node.inputs[0];
        }
    }

    /// A constant's value.
    pub(crate) fn constant(&self, outlet: OutletId) -> Option<Arc<Tensor>> {
        let node = self.node(outlet);
        if let Some(constant) = node.op_as::<Const>() {
            return Some(constant.val().clone());
        }
        if node.op_is::<Cast>() || node.op_is::<AxisOp>() {
            let input = self.constant(*node.inputs.first()?)?;
            let mut outputs = node.op.eval_out_of_plan(tvec![TValue::from_const(input)]).ok()??;
            return outputs.pop().map(IntoArcTensor::into_arc_tensor);
        }
        None
    }

    /// A constant's values.
    pub(crate) fn floats(&self, outlet: OutletId) -> Option<Vec<f32>> {
        let tensor = self.constant(outlet)?;
        Some(crate::quantization::floats(&tensor)?.to_vec())
    }

    /// The value of a constant whose elements are all equal.
    pub(crate) fn number(&self, outlet: OutletId) -> Option<f32> {
        let values = self.floats(outlet)?;
        let first = *values.first()?;
        values.iter().all(|v| *v == first).then_some(first)
    }

    /// Both operands of an arithmetic operation of this name.
    pub(crate) fn binary(&self, outlet: OutletId, name: &str) -> Option<[OutletId; 2]> {
        let (op, node) = self.op::<TypedBinOp>(outlet)?;
        (op.0.name() == name).then(|| [node.inputs[0], node.inputs[1]].map(|o| self.origin(o)))
    }

    /// The computed operand and the constant one, whichever comes first in the graph.
    pub(crate) fn with_constant(&self, outlet: OutletId, name: &str) -> Option<(OutletId, OutletId)> {
        let [a, b] = self.binary(outlet, name)?;
        match (self.constant(a), self.constant(b)) {
            (None, Some(_)) => Some((a, b)),
            (Some(_), None) => Some((b, a)),
            _ => None,
        }
    }

    /// The operand of an element-wise operation.
    pub(crate) fn unary(&self, outlet: OutletId, name: &str) -> Option<OutletId> {
        let (op, node) = self.op::<ElementWiseOp>(outlet)?;
        (op.0.name() == name).then(|| self.origin(node.inputs[0]))
    }

    /// Strips the clamps after a value. Returns the clamped value, which nothing else may read, and the combined bounds.
    pub(crate) fn activation(&self, outlet: OutletId) -> (OutletId, ClampBounds) {
        let (mut at, mut bounds) = (self.origin(outlet), ClampBounds::default());
        let mut reached = at;
        loop {
            let clip = |name: &str| {
                let (x, bound) = self.with_constant(at, name)?;
                Some((x, self.number(bound)?))
            };
            let (x, next) = match (clip("Min"), clip("Max")) {
                // A later bound applies to the earlier result as well.
                (Some((x, high)), _) if bounds.low.is_none_or(|low| low <= high) => {
                    (x, ClampBounds { high: Some(bounds.high.map_or(high, |h| h.min(high))), ..bounds })
                }
                (_, Some((x, low))) if bounds.high.is_none_or(|high| low <= high) => {
                    (x, ClampBounds { low: Some(bounds.low.map_or(low, |l| l.max(low))), ..bounds })
                }
                _ => return (reached, bounds),
            };
            if !self.is_inner(x) {
                // Another node reads it: only the clamps after it belong to the layer.
                return (reached, bounds);
            }
            (at, reached, bounds) = (x, x, next);
        }
    }

    /// The window of a pooling specification; `None` unless it is square, undilated and NCHW.
    pub(crate) fn window(&self, pool: &PoolSpec, x: Shape) -> Option<Window> {
        let (&[kernel, other], &[stride, across]) = (&pool.kernel_shape[..], &pool.strides()[..]) else { return None };
        let is_plain = pool.data_format == DataFormat::NCHW && pool.dilations().iter().all(|d| *d == 1);
        if kernel != other || stride != across || !is_plain {
            return None;
        }
        let pads = pool.computed_padding(&[x.height, x.width]);
        let pads = Pads {
            top: pads[0].pad_before,
            bottom: pads[0].pad_after,
            left: pads[1].pad_before,
            right: pads[1].pad_after,
        };
        Some(Window { kernel, stride, pads })
    }

    /// An f32 convolution; its operands may be computed.
    pub(crate) fn conv(&self, outlet: OutletId) -> Option<ConvPattern> {
        let (op, node) = self.op::<Conv>(outlet)?;
        if op.q_params.is_some() || op.kernel_fmt != KernelFormat::OIHW {
            return None;
        }
        let &[x, kernels, bias] = &node.inputs[..] else { return None };
        let (x, kernels) = (self.origin(x), self.origin(kernels));
        let window = self.window(&op.pool_spec, self.image(x)?)?;
        Some(ConvPattern { x, kernels, bias, window, group: op.group, outputs: op.pool_spec.output_channels })
    }

    /// The input of a nearest-neighbour resize to twice the height and width.
    pub(crate) fn upsampled(&self, outlet: OutletId) -> Option<OutletId> {
        let (op, node) = self.op::<Resize>(outlet)?;
        let is_replication = matches!(
            (&op.coord_transformer, op.nearest),
            (CoordTransform::Plain(CoordTransformer::Asymmetric), Nearest::Floor)
                | (
                    CoordTransform::Plain(CoordTransformer::HalfPixel),
                    Nearest::RoundPreferFloor | Nearest::RoundPreferCeil
                )
        );
        let x = self.origin(node.inputs[0]);
        let is_twice = self.image(x)?.doubled() == self.image(outlet)?;
        (is_replication && op.interpolator == Interpolator::Nearest && is_twice).then_some(x)
    }
}
