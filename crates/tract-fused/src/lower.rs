//! Replaces the quantization nodes that no region took by tract's own operations.

use tract_onnx::tract_core::model::Rewriter;
use tract_onnx::tract_core::transform::ModelTransform;
use tract_onnx::tract_hir::internal::*;

use crate::quantization::{Dequantize, Quantize, lower_dequantize, lower_quantize};

/// Apply it after the transforms that match quantization nodes, and before tract declutters.
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
