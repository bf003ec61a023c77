//! The mask decoder as an operation of tract.

use std::fmt;

use tract_onnx::tract_core::ops::source::TypedSource;
use tract_onnx::tract_core::transform::ModelTransform;
use tract_onnx::tract_hir::internal::*;

use super::linear::Planes;
use super::recognize::{Found, recognize};
use super::{Buffers, DecodeRequest, ImageFeatures, Layers};
use crate::pool;

/// SAM's two-way mask decoder as one operation, in f32.
///
/// | input | shape |
/// |---|---|
/// | embedding, skip4, skip2 | [1, C, S / 8, S / 8], [1, C, S / 4, S / 4], [1, C, S / 2, S / 2], f32 or bytes of a quantized type |
/// | coordinates, labels | [1, N, 2], model px, and [1, N], SAM's labels |
/// | prompt maps | [1, C, S / 2, S / 2] |
///
/// Results: masks [1, M, S / 2, S / 2], logits; IoU [1, M]; pixel features [1, C, S / 2, S / 2].
#[derive(Clone)]
pub struct MaskDecoder(Arc<Layers>);

impl MaskDecoder {
    /// Multiply-accumulates of a decode with this number of points.
    pub fn macs(&self, points: usize) -> usize {
        self.0.macs(points)
    }

    fn masks(&self) -> usize {
        self.0.output_hypernetworks_mlps.len()
    }

    fn shapes(&self) -> [TVec<usize>; 3] {
        let cells = 4 * self.0.grid;
        let planes = |n: usize| tvec![1, n, cells, cells];
        [planes(self.masks()), tvec![1, self.masks()], planes(self.0.pixels.point.outputs)]
    }
}

impl fmt::Debug for MaskDecoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MaskDecoder of {} blocks, {} channels", self.0.blocks.len(), self.0.d)
    }
}

impl PartialEq for MaskDecoder {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for MaskDecoder {}

impl Op for MaskDecoder {
    fn name(&self) -> StaticName {
        "MaskDecoder".into()
    }

    fn info(&self) -> TractResult<Vec<String>> {
        Ok(vec![format!("{self:?}")])
    }

    op_as_typed_op!();
}

impl EvalOp for MaskDecoder {
    not_out_of_plan!();

    fn state(&self, _ctx: &EvalContext) -> TractResult<Option<Box<dyn OpState>>> {
        Ok(Some(Box::new(DecoderState::default())))
    }
}

impl TypedOp for MaskDecoder {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        ensure!(inputs.len() == 6, "MaskDecoder: expected 6 inputs, got {}", inputs.len());
        Ok(self.shapes().iter().map(|shape| f32::fact(&**shape)).collect())
    }

    fn cost(&self, inputs: &[&TypedFact]) -> TractResult<TVec<(Cost, TDim)>> {
        // Linear in the number of points, except for the self-attention of tokens.
        let (none, one) = (self.macs(0), self.macs(1));
        let points = inputs[4].shape[1].clone();
        Ok(tvec![(Cost::FMA(f32::datum_type()), points * (one - none) + none.to_dim())])
    }

    as_op!();
}

/// Memory of a decoder.
#[derive(Default)]
struct DecoderState(Box<Buffers>);

impl Clone for DecoderState {
    /// A state with memory of its own; its content does not outlive a run.
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl fmt::Debug for DecoderState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DecoderState")
    }
}

fn planes(value: &TValue) -> TractResult<Planes<'_>> {
    let plain = value.try_as_plain_ram()?;
    match value.datum_type() {
        DatumType::QU8(QParams::ZpScale { zero_point, scale }) => {
            Ok(Planes::Quantized { bytes: plain.as_slice::<u8>()?, scale, zero_point: zero_point as f32 })
        }
        _ => Ok(Planes::Values(plain.as_slice::<f32>()?)),
    }
}

impl OpState for DecoderState {
    fn eval(&mut self, ctx: &EvalContext, op: &dyn Op, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let op = op.downcast_ref::<MaskDecoder>().context("expected the state of a MaskDecoder")?;
        let [embedding, skip4, skip2, coords, labels, maps] = &inputs[..] else {
            bail!("MaskDecoder: expected 6 inputs, got {}", inputs.len());
        };
        let [masks, iou, pixels] = op.shapes();
        let result = |shape: &[usize]| pool::tensor(ctx, f32::datum_type(), shape);
        let (mut masks, mut iou, mut pixels) = (result(&masks)?, result(&iou)?, result(&pixels)?);
        let mut results = [&mut masks, &mut iou, &mut pixels].map(Tensor::as_plain_ram_mut);
        let [Some(masks_view), Some(iou_view), Some(pixels_view)] = &mut results else {
            bail!("expected plain tensors")
        };
        let mut request = DecodeRequest {
            features: ImageFeatures { embedding: planes(embedding)?, skip4: planes(skip4)?, skip2: planes(skip2)? },
            coords: coords.try_as_plain_ram()?.as_slice()?,
            labels: labels.try_as_plain_ram()?.as_slice()?,
            maps: maps.try_as_plain_ram()?.as_slice()?,
            masks: masks_view.as_slice_mut()?,
            iou: iou_view.as_slice_mut()?,
            pixels: pixels_view.as_slice_mut()?,
        };
        op.0.decode(&mut request, &mut self.0)?;
        Ok(tvec![masks.into_tvalue(), iou.into_tvalue(), pixels.into_tvalue()])
    }

    fn reset_lanes(&mut self, _lanes: &[LaneId]) -> TractResult<()> {
        Ok(())
    }
}

/// Fuses a mask decoder's graph that is not decluttered yet; any other graph is left unchanged.
#[derive(Clone, Copy, Debug)]
pub struct FuseMaskDecoder;

impl FuseMaskDecoder {
    /// Fuses the graph.
    ///
    /// # Errors
    /// `Model`, naming the first node that does not match; the graph is unchanged then.
    pub fn try_transform(&self, model: &mut TypedModel) -> crate::error::Result<()> {
        let found = recognize(model)?;
        let refuse = |e: TractError| crate::error::Error::new(crate::error::ErrorKind::Model, format!("{e:#}"));
        put(model, found).map_err(refuse)
    }
}

fn put(model: &mut TypedModel, found: Found) -> TractResult<()> {
    let Found { layers, embedding, skip4, skip2, coords, labels, maps } = found;
    let mut patch = TypedModelPatch::new("mask decoder");
    let taps = patch.taps(model, &[embedding, skip4, skip2, coords, labels, maps])?;
    let wires = patch.wire_node("mask_decoder", MaskDecoder(Arc::new(layers)), &taps)?;
    for (outlet, wire) in model.outputs.clone().iter().zip(wires) {
        patch.shunt_outside(model, *outlet, wire)?;
    }
    patch.apply(model)?;
    model.compact()
}

impl ModelTransform for FuseMaskDecoder {
    fn name(&self) -> StaticName {
        "fuse_mask_decoder".into()
    }

    fn transform(&self, model: &mut TypedModel) -> TractResult<()> {
        match recognize(model) {
            Ok(found) => put(model, found),
            Err(_) => Ok(()),
        }
    }
}

/// Changes the types of a model's first inputs, to types that their readers accept too: [`MaskDecoder`] accepts bytes.
///
/// # Errors
/// When the model has no such input.
pub fn set_input_types(model: &mut TypedModel, types: &[DatumType]) -> TractResult<()> {
    for (i, datum_type) in types.iter().enumerate() {
        let outlet = *model.inputs.get(i).context("expected as many inputs as types")?;
        let fact = datum_type.fact(model.outlet_fact(outlet)?.shape.clone());
        model.node_mut(outlet.node).op = Box::new(TypedSource::new(fact.clone()));
        model.set_outlet_fact(outlet, fact)?;
    }
    Ok(())
}
