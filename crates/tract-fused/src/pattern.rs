//! Reading a typed graph backwards, from a result to what it is made of.
//!
//! tract has put biases, pads and constants into one form by then. Constants are followed through casts and changes of axes,
//! values through casts that change nothing.

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

/// Least and greatest value that an activation lets through.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Bounds {
    pub low: Option<f32>,
    pub high: Option<f32>,
}

impl Bounds {
    pub fn clamp(&self, v: f32) -> f32 {
        v.max(self.low.unwrap_or(f32::NEG_INFINITY)).min(self.high.unwrap_or(f32::INFINITY))
    }
}

/// Kernel, stride and pads of a convolution or a pooling window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub kernel: usize,
    pub stride: usize,
    pub pads: Pads,
}

/// A convolution of square kernels over one image.
pub(crate) struct ConvPattern {
    pub x: OutletId,
    pub kernels: OutletId,
    pub bias: OutletId,
    pub window: Window,
    pub group: usize,
    pub outputs: usize,
}

/// A typed graph, to be read backwards.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a>(pub &'a TypedModel);

impl<'a> Reader<'a> {
    pub fn node(&self, outlet: OutletId) -> &'a TypedNode {
        &self.0.nodes()[outlet.node]
    }

    pub fn op<T: Op>(&self, outlet: OutletId) -> Option<(&'a T, &'a TypedNode)> {
        let node = self.node(outlet);
        node.op_as::<T>().map(|op| (op, node))
    }

    /// Concrete shape.
    pub fn shape(&self, outlet: OutletId) -> Option<Vec<usize>> {
        let fact = &self.node(outlet).outputs[outlet.slot].fact;
        fact.shape.as_concrete().map(<[usize]>::to_vec)
    }

    /// Shape of one image, [1, C, H, W].
    pub fn image(&self, outlet: OutletId) -> Option<Shape> {
        match self.shape(outlet)?[..] {
            [1, channels, height, width] => Some(Shape { channels, height, width }),
            _ => None,
        }
    }

    /// Whether one node reads it, and nobody asks for it.
    pub fn is_inner(&self, outlet: OutletId) -> bool {
        self.node(outlet).outputs[outlet.slot].successors.len() == 1 && !self.0.outputs.contains(&outlet)
    }

    /// What stands behind casts and identities that change nothing.
    pub fn origin(&self, mut outlet: OutletId) -> OutletId {
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
    pub fn constant(&self, outlet: OutletId) -> Option<Arc<Tensor>> {
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
    pub fn floats(&self, outlet: OutletId) -> Option<Vec<f32>> {
        let tensor = self.constant(outlet)?;
        Some(crate::quantization::floats(&tensor)?.to_vec())
    }

    /// A constant that has one value everywhere.
    pub fn number(&self, outlet: OutletId) -> Option<f32> {
        let values = self.floats(outlet)?;
        let first = *values.first()?;
        values.iter().all(|v| *v == first).then_some(first)
    }

    /// Both operands of an arithmetic operation of this name.
    pub fn binary(&self, outlet: OutletId, name: &str) -> Option<[OutletId; 2]> {
        let (op, node) = self.op::<TypedBinOp>(outlet)?;
        (op.0.name() == name).then(|| [node.inputs[0], node.inputs[1]].map(|o| self.origin(o)))
    }

    /// The operand that is computed and the one that is constant, in whatever order.
    pub fn with_constant(&self, outlet: OutletId, name: &str) -> Option<(OutletId, OutletId)> {
        let [a, b] = self.binary(outlet, name)?;
        match (self.constant(a), self.constant(b)) {
            (None, Some(_)) => Some((a, b)),
            (Some(_), None) => Some((b, a)),
            _ => None,
        }
    }

    /// The operand of an operation on each value.
    pub fn unary(&self, outlet: OutletId, name: &str) -> Option<OutletId> {
        let (op, node) = self.op::<ElementWiseOp>(outlet)?;
        (op.0.name() == name).then(|| self.origin(node.inputs[0]))
    }

    /// Takes off the clips behind a value: what they clip, which nothing else may read, and the bounds of all of them.
    pub fn activation(&self, outlet: OutletId) -> (OutletId, Bounds) {
        let (mut at, mut bounds) = (self.origin(outlet), Bounds::default());
        let mut reached = at;
        loop {
            let clip = |name: &str| {
                let (x, bound) = self.with_constant(at, name)?;
                Some((x, self.number(bound)?))
            };
            let (x, next) = match (clip("Min"), clip("Max")) {
                // What is clipped earlier is clipped by a later bound as well.
                (Some((x, high)), _) if bounds.low.is_none_or(|low| low <= high) => {
                    (x, Bounds { high: Some(bounds.high.map_or(high, |h| h.min(high))), ..bounds })
                }
                (_, Some((x, low))) if bounds.high.is_none_or(|high| low <= high) => {
                    (x, Bounds { low: Some(bounds.low.map_or(low, |l| l.max(low))), ..bounds })
                }
                _ => return (reached, bounds),
            };
            if !self.is_inner(x) {
                // Its reader alone is taken; the bounds begin there.
                return (reached, bounds);
            }
            (at, reached, bounds) = (x, x, next);
        }
    }

    /// Square, not dilated, NCHW.
    pub fn window(&self, pool: &PoolSpec, x: Shape) -> Option<Window> {
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

    /// A convolution in f32, whatever its operands.
    pub fn conv(&self, outlet: OutletId) -> Option<ConvPattern> {
        let (op, node) = self.op::<Conv>(outlet)?;
        if op.q_params.is_some() || op.kernel_fmt != KernelFormat::OIHW {
            return None;
        }
        let &[x, kernels, bias] = &node.inputs[..] else { return None };
        let (x, kernels) = (self.origin(x), self.origin(kernels));
        let window = self.window(&op.pool_spec, self.image(x)?)?;
        Some(ConvPattern { x, kernels, bias, window, group: op.group, outputs: op.pool_spec.output_channels })
    }

    /// What is made twice as high and wide by giving every value four times.
    pub fn upsampled(&self, outlet: OutletId) -> Option<OutletId> {
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
