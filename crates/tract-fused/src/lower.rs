//! Puts tract's own operations in the place of quantization that no region took.

use tract_onnx::tract_core::model::Rewriter;
use tract_onnx::tract_core::transform::ModelTransform;
use tract_onnx::tract_hir::internal::*;

use crate::quantization::{Dequantize, Quantize, lower_dequantize, lower_quantize};

/// To be applied after all that looks at quantization, and before tract declutters.
#[derive(Clone, Copy, Debug)]
pub struct Lower;

impl ModelTransform for Lower {
    fn name(&self) -> StaticName {
        "lower_quantization".into()
    }

    fn transform(&self, model: &mut TypedModel) -> TractResult<()> {
        let rewriter = Rewriter::default()
            .with_rule_for::<Quantize>("quantize", |(), model, node, name, op| {
                replaced(model, node, |patch, x| lower_quantize(&op.0, name, patch, x))
            })
            .with_rule_for::<Dequantize>("dequantize", |(), model, node, name, op| {
                replaced(model, node, |patch, x| lower_dequantize(&op.0, name, patch, x))
            });
        rewriter.rewrite(&(), model)
    }
}

fn replaced(
    model: &TypedModel,
    node: &TypedNode,
    wire: impl FnOnce(&mut TypedModelPatch, OutletId) -> TractResult<OutletId>,
) -> TractResult<Option<TypedModelPatch>> {
    let mut patch = TypedModelPatch::default();
    let x = patch.tap_model(model, node.inputs[0])?;
    let y = wire(&mut patch, x)?;
    patch.shunt_outside(model, node.id.into(), y)?;
    Ok(Some(patch))
}
