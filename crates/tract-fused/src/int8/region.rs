//! A region of integer layers as one operation of tract.

use std::fmt;

use tract_onnx::tract_hir::internal::*;

use super::network::{IntegerNetwork, Norm, TensorId};
use super::{Engine, EnginePlan, Kernels, reference};
use crate::pool;

/// The form in which an output leaves the region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputForm {
    /// f32.
    Float,
    /// Bytes, of a quantized type with scale and zero point.
    Quantized,
}

/// How a region is executed.
#[derive(Clone)]
pub(crate) enum Execution {
    /// By kernels, planned for this processor.
    Kernels(Arc<EnginePlan>),
    /// Value by value from the definition.
    Reference,
}

/// A maximal connected set of quantized convolutions, additions and resamplings as one operation.
///
/// Shape of all inputs and outputs: [1, C, H, W]. Inputs are f32, which the region quantizes, or bytes of a different region.
/// The operation's state owns the memory. A run allocates nothing if results are recycled through
/// [`TensorPool`](crate::TensorPool).
#[derive(Clone)]
pub struct Int8Region {
    pub(crate) network: Arc<IntegerNetwork>,
    pub(crate) execution: Execution,
    /// Index into the network's outputs, and form, of each output of the operation.
    pub(crate) outputs: Vec<(usize, OutputForm)>,
}

impl Int8Region {
    pub(crate) fn new(
        network: IntegerNetwork,
        kernels: Option<Kernels>,
        outputs: Vec<(usize, OutputForm)>,
    ) -> crate::error::Result<Self> {
        network.check_numbers()?;
        let execution = match kernels {
            Some(kernels) => Execution::Kernels(Arc::new(EnginePlan::new(&network, kernels)?)),
            None => Execution::Reference,
        };
        Ok(Self { network: Arc::new(network), execution, outputs })
    }

    /// Its layers.
    pub fn network(&self) -> &IntegerNetwork {
        &self.network
    }

    /// The plan for this processor; `None` if the region is executed from the definition.
    pub fn plan(&self) -> Option<&Arc<EnginePlan>> {
        match &self.execution {
            Execution::Kernels(plan) => Some(plan),
            Execution::Reference => None,
        }
    }

    /// Multiply-accumulates of a run.
    pub fn macs(&self) -> usize {
        self.network.layers.iter().map(|l| self.network.macs(l)).sum()
    }

    /// The quantized type whose bytes an input takes as they are; `None` if it has none, or if the input is normalized first.
    pub fn input_type(&self, input: usize) -> Option<DatumType> {
        let input = self.network.inputs.get(input).filter(|i| i.norm == Norm::default())?;
        Some(quantized_type(&self.network, input.tensor))
    }

    fn tensor(&self, output: usize) -> TensorId {
        self.network.outputs[output]
    }

    fn datum_type(&self, output: usize, form: OutputForm) -> DatumType {
        match form {
            OutputForm::Float => f32::datum_type(),
            OutputForm::Quantized => quantized_type(&self.network, self.tensor(output)),
        }
    }

    fn shape(&self, output: usize) -> [usize; 4] {
        let s = self.network.shape(self.tensor(output));
        [1, s.channels, s.height, s.width]
    }
}

/// The quantized type of a tensor.
pub(crate) fn quantized_type(network: &IntegerNetwork, t: TensorId) -> DatumType {
    let q = network.tensors[t].quantization;
    DatumType::QU8(QParams::ZpScale { zero_point: q.zero_point, scale: q.scale })
}

impl fmt::Debug for Int8Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Int8Region of {} layers, {} multiplications", self.network.layers.len(), self.macs())
    }
}

impl PartialEq for Int8Region {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.network, &other.network) && self.outputs == other.outputs
    }
}

impl Eq for Int8Region {}

impl Op for Int8Region {
    fn name(&self) -> StaticName {
        "Int8Region".into()
    }

    fn info(&self) -> TractResult<Vec<String>> {
        Ok(vec![format!("{self:?}")])
    }

    op_as_typed_op!();
}

impl EvalOp for Int8Region {
    not_out_of_plan!();

    fn state(&self, _ctx: &EvalContext) -> TractResult<Option<Box<dyn OpState>>> {
        Ok(Some(match &self.execution {
            Execution::Kernels(plan) => Box::new(EngineState(Engine::of(plan))),
            Execution::Reference => Box::new(ReferenceState),
        }))
    }
}

impl TypedOp for Int8Region {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        for (fact, input) in inputs.iter().zip(&self.network.inputs) {
            let s = self.network.shape(input.tensor);
            let expected = [1, s.channels, s.height, s.width];
            ensure!(
                fact.shape.as_concrete() == Some(&expected[..]),
                "Int8Region: expected an input of {expected:?}, got {:?}",
                fact.shape
            );
        }
        Ok(self.outputs.iter().map(|(o, form)| self.datum_type(*o, *form).fact(self.shape(*o))).collect())
    }

    fn cost(&self, _inputs: &[&TypedFact]) -> TractResult<TVec<(Cost, TDim)>> {
        Ok(tvec![(Cost::FMA(u8::datum_type()), self.macs().to_dim())])
    }

    as_op!();
}

/// Memory of a region executed by kernels.
struct EngineState(Engine);

impl Clone for EngineState {
    /// A state with memory of its own; its content does not outlive a run.
    fn clone(&self) -> Self {
        Self(Engine::of(self.0.plan()))
    }
}

impl fmt::Debug for EngineState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EngineState of {} bytes", self.0.bytes())
    }
}

fn region(op: &dyn Op) -> TractResult<&Int8Region> {
    op.downcast_ref::<Int8Region>().context("expected the state of an Int8Region")
}

impl OpState for EngineState {
    fn eval(&mut self, ctx: &EvalContext, op: &dyn Op, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let (region, engine) = (region(op)?, &mut self.0);
        for (i, value) in inputs.iter().enumerate() {
            let plain = value.try_as_plain_ram()?;
            match value.datum_type() {
                DatumType::F32 => engine.set_values(i, plain.as_slice::<f32>()?)?,
                _ => engine.set_planes(i, plain.as_slice::<u8>()?)?,
            }
        }
        engine.run();
        let output = |(output, form): &(usize, OutputForm)| -> TractResult<TValue> {
            let mut tensor = pool::tensor(ctx, region.datum_type(*output, *form), &region.shape(*output))?;
            let mut plain = tensor.try_as_plain_ram_mut()?;
            match form {
                OutputForm::Float => engine.output(*output, plain.as_slice_mut::<f32>()?),
                OutputForm::Quantized => engine.output_bytes(*output, plain.as_slice_mut::<u8>()?),
            }
            Ok(tensor.into_tvalue())
        };
        region.outputs.iter().map(output).collect()
    }

    fn reset_lanes(&mut self, _lanes: &[LaneId]) -> TractResult<()> {
        Ok(())
    }
}

/// The definition needs no memory.
#[derive(Clone, Debug)]
struct ReferenceState;

impl OpState for ReferenceState {
    fn eval(&mut self, _ctx: &EvalContext, op: &dyn Op, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let region = region(op)?;
        let network = &region.network;
        let input = |(input, value): (&super::network::Input, &TValue)| -> TractResult<Vec<u8>> {
            let plain = value.try_as_plain_ram()?;
            let planes = match value.datum_type() {
                DatumType::F32 => {
                    let values = plain.as_slice::<f32>()?;
                    let mut bytes = vec![0; values.len()];
                    let q = network.tensors[input.tensor].quantization;
                    super::network::Quantizer::new(input.norm, q).bytes(values, bytes.iter_mut());
                    bytes
                }
                _ => plain.as_slice::<u8>()?.to_vec(),
            };
            let s = network.shape(input.tensor);
            let place = |i: usize| i % s.channels * s.height * s.width + i / s.channels;
            Ok((0..s.len()).map(|i| planes[place(i)]).collect())
        };
        let bytes: Vec<Vec<u8>> = network.inputs.iter().zip(&inputs).map(input).collect::<TractResult<_>>()?;
        let bytes: Vec<&[u8]> = bytes.iter().map(Vec::as_slice).collect();
        let all = reference::run(network, &bytes);
        let output = |(output, form): &(usize, OutputForm)| -> TractResult<TValue> {
            let t = region.tensor(*output);
            let (s, q) = (network.shape(t), network.tensors[t].quantization);
            let byte = |i: usize| all[t][i % (s.height * s.width) * s.channels + i / (s.height * s.width)];
            let mut tensor = Tensor::zero_dt(region.datum_type(*output, *form), &region.shape(*output))?;
            let mut plain = tensor.try_as_plain_ram_mut()?;
            match form {
                OutputForm::Float => {
                    let values = plain.as_slice_mut::<f32>()?.iter_mut().enumerate();
                    values.for_each(|(i, v)| *v = (f32::from(byte(i)) - q.zero_point as f32) * q.scale);
                }
                OutputForm::Quantized => {
                    plain.as_slice_mut::<u8>()?.iter_mut().enumerate().for_each(|(i, v)| *v = byte(i));
                }
            }
            Ok(tensor.into_tvalue())
        };
        region.outputs.iter().map(output).collect()
    }

    fn reset_lanes(&mut self, _lanes: &[LaneId]) -> TractResult<()> {
        Ok(())
    }
}
