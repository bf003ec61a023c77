//! `QuantizeLinear` and `DequantizeLinear` as marker operations. tract's own versions become plain arithmetic in typing, which
//! hides the quantized tensors.
//!
//! The markers exist from parsing until [`Lower`](crate::Lower) replaces those that no region took by tract's own operations.

use tract_onnx::Onnx;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_core::ops::cast::cast;
use tract_onnx::tract_core::ops::math::{add, div, max, min, mul, round_half_to_even, sub};
use tract_onnx::tract_core::ops::quant::{DequantizeLinearF32, quantize_linear_i8, quantize_linear_u8};
use tract_onnx::tract_hir::internal::*;

/// Scale and zero point, per tensor or per index of an axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct QuantizationSteps {
    /// f32.
    pub scale: Arc<Tensor>,
    /// Of the quantized type.
    pub zero_point: Arc<Tensor>,
    /// As in ONNX: negative values count from the last axis.
    pub axis: i64,
}

impl QuantizationSteps {
    /// Scale and zero point if they are per tensor.
    pub(crate) fn of_tensor(&self) -> Option<(f32, i32)> {
        if self.scale.len() != 1 || self.zero_point.len() != 1 {
            return None;
        }
        let zero_point = self.zero_point.cast_to::<i32>().ok()?;
        Some((floats(&self.scale)?[0], integers(&zero_point)?[0]))
    }
}

pub(crate) fn floats(tensor: &Tensor) -> Option<&[f32]> {
    tensor.as_plain_ram()?.as_slice::<f32>().ok()
}

pub(crate) fn integers(tensor: &Tensor) -> Option<&[i32]> {
    tensor.as_plain_ram()?.as_slice::<i32>().ok()
}

/// f32 to quantized values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Quantize(pub QuantizationSteps);

/// Quantized values to f32.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dequantize(pub QuantizationSteps);

macro_rules! marker_op {
    ($op:ident, $name:literal, |$steps:ident| $datum_type:expr) => {
        impl Op for $op {
            fn name(&self) -> StaticName {
                $name.into()
            }

            op_as_typed_op!();
        }

        impl EvalOp for $op {
            not_out_of_plan!();
        }

        impl TypedOp for $op {
            fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
                let $steps = &self.0;
                Ok(tvec!($datum_type.fact(inputs[0].shape.clone())))
            }

            as_op!();
        }
    };
}

marker_op!(Quantize, "QuantizeLinear", |steps| steps.zero_point.datum_type());
marker_op!(Dequantize, "DequantizeLinear", |_steps| f32::datum_type());

/// Registers the parsers of both nodes in place of tract's own.
pub(crate) fn register(onnx: &mut Onnx) {
    onnx.op_register.insert("QuantizeLinear", |_, node| read(node, true));
    onnx.op_register.insert("DequantizeLinear", |_, node| read(node, false));
}

fn read(node: &NodeProto, is_quantize: bool) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    ensure!(node.get_attr_opt::<i64>("block_size")?.unwrap_or(0) == 0, "{}: blocks are not supported", node.op_type);
    let has_zero_point = node.input.get(2).is_some_and(|name| !name.is_empty());
    Ok((
        expand(QuantizationNode { is_quantize, has_zero_point, axis: node.get_attr_opt("axis")?.unwrap_or(1) }),
        vec![],
    ))
}

/// Either node, before its types are known.
#[derive(Clone, Debug)]
struct QuantizationNode {
    is_quantize: bool,
    has_zero_point: bool,
    axis: i64,
}

impl Expansion for QuantizationNode {
    fn name(&self) -> StaticName {
        if self.is_quantize { "QuantizeLinear".into() } else { "DequantizeLinear".into() }
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_input_arity(inputs, 2 + usize::from(self.has_zero_point))?;
        check_output_arity(outputs, 1)?;
        s.equals(&inputs[1].datum_type, f32::datum_type())?;
        s.equals(&inputs[0].shape, &outputs[0].shape)?;
        let (steps, values) = if self.is_quantize { (&outputs[0], &inputs[0]) } else { (&inputs[0], &outputs[0]) };
        s.equals(&values.datum_type, f32::datum_type())?;
        match self.has_zero_point {
            true => s.equals(&steps.datum_type, &inputs[2].datum_type),
            false if self.is_quantize => s.equals(&steps.datum_type, u8::datum_type()),
            false => Ok(()),
        }
    }

    fn wire(&self, prefix: &str, target: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        let constant = |outlet: OutletId, what: &str| -> TractResult<Arc<Tensor>> {
            target.outlet_fact(outlet)?.konst.clone().with_context(|| format!("{what} must be a constant"))
        };
        let scale = constant(inputs[1], "the scale")?;
        let zero_point = match self.has_zero_point {
            true => constant(inputs[2], "the zero point")?,
            false if self.is_quantize => rctensor0(0u8),
            false => Tensor::zero_scalar_dt(target.outlet_fact(inputs[0])?.datum_type)?.into_arc_tensor(),
        };
        let steps = QuantizationSteps { scale, zero_point, axis: self.axis };
        let op: Box<dyn TypedOp> =
            if self.is_quantize { Box::new(Quantize(steps)) } else { Box::new(Dequantize(steps)) };
        target.wire_node(prefix, op, &inputs[..1])
    }

    fn runs_out_of_plan(&self) -> bool {
        false
    }
}

/// Scales or zero points in f32, shaped to broadcast along `axis` of a tensor of this rank.
fn along_axis(values: &Tensor, axis: i64, rank: usize) -> TractResult<Tensor> {
    let mut shape = vec![1; rank];
    if values.len() > 1 {
        let axis = usize::try_from(if axis < 0 { axis + rank as i64 } else { axis })?;
        *shape.get_mut(axis).context("quantization axis is beyond the rank")? = values.len();
    }
    values.cast_to::<f32>()?.into_owned().into_shape(&shape)
}

/// Wires tract's own operations in place of [`Quantize`].
pub(crate) fn lower_quantize(
    steps: &QuantizationSteps,
    name: &str,
    patch: &mut TypedModelPatch,
    x: OutletId,
) -> TractResult<OutletId> {
    let datum_type = steps.zero_point.datum_type();
    if let Some((scale, zero_point)) = steps.of_tensor() {
        let op: Box<dyn TypedOp> = match datum_type {
            DatumType::U8 => Box::new(quantize_linear_u8(scale.recip(), u8::try_from(zero_point)?)),
            DatumType::I8 => Box::new(quantize_linear_i8(scale.recip(), i8::try_from(zero_point)?)),
            other => bail!("{name}: expected bytes to quantize to, got {other:?}"),
        };
        return Ok(patch.wire_node(name, op, &[x])?[0]);
    }
    let (low, high) = match datum_type {
        DatumType::U8 => (0.0f32, 255.0f32),
        DatumType::I8 => (-128.0, 127.0),
        other => bail!("{name}: expected bytes to quantize to, got {other:?}"),
    };
    let rank = patch.outlet_fact(x)?.rank();
    let mut put = |what: &str, values: Tensor| patch.add_const(format!("{name}.{what}"), values);
    let scale = put("scale", along_axis(&steps.scale, steps.axis, rank)?)?;
    let zero_point = put("zero_point", along_axis(&steps.zero_point, steps.axis, rank)?)?;
    let low = put("low", tensor0(low).broadcast_into_rank(rank)?)?;
    let high = put("high", tensor0(high).broadcast_into_rank(rank)?)?;
    let y = patch.wire_node(format!("{name}.steps"), div(), &[x, scale])?;
    let y = patch.wire_node(format!("{name}.rounded"), round_half_to_even(), &y)?;
    let y = patch.wire_node(format!("{name}.shifted"), add(), &[y[0], zero_point])?;
    let y = patch.wire_node(format!("{name}.at_least"), max(), &[y[0], low])?;
    let y = patch.wire_node(format!("{name}.at_most"), min(), &[y[0], high])?;
    Ok(patch.wire_node(name, cast(datum_type), &y)?[0])
}

/// Wires tract's own operations in place of [`Dequantize`].
pub(crate) fn lower_dequantize(
    steps: &QuantizationSteps,
    name: &str,
    patch: &mut TypedModelPatch,
    x: OutletId,
) -> TractResult<OutletId> {
    if let Some((scale, zero_point)) = steps.of_tensor() {
        return Ok(patch.wire_node(name, DequantizeLinearF32::new(scale, zero_point), &[x])?[0]);
    }
    let rank = patch.outlet_fact(x)?.rank();
    let mut put = |what: &str, values: Tensor| patch.add_const(format!("{name}.{what}"), values);
    let scale = put("scale", along_axis(&steps.scale, steps.axis, rank)?)?;
    let zero_point = put("zero_point", along_axis(&steps.zero_point, steps.axis, rank)?)?;
    let y = patch.wire_node(format!("{name}.f32"), cast(f32::datum_type()), &[x])?;
    let y = patch.wire_node(format!("{name}.shifted"), sub(), &[y[0], zero_point])?;
    Ok(patch.wire_node(name, mul(), &[y[0], scale])?[0])
}
