//! Differentiable operations of our own, over burn's CPU tensors; any other device gets the same made of burn's operations.
//!
//! Images are `[batch, height, width, channels]` (NHWC): a 1x1 convolution is then one matrix product and a depthwise
//! convolution runs along channels, which is where burn's general convolutions lose most of their time on a CPU.
//!
//! A [`Kernel`] is a function of plain slices with its derivative; [`apply`] puts it on burn's tape. So each is tested
//! against finite differences without burn, and against the portable form with it.

mod attention;
mod depthwise;
mod fast_math;
mod linear;
mod mask_loss;
mod norm;
mod patches;
#[cfg(test)]
mod tests;
mod up_add;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::{
    Autodiff, BackendTensor, DispatchAutodiffContext, DispatchDevice, DispatchKindConversion, DispatchTensor, Flex,
    TensorMetadata as _,
};
use burn::tensor::{Shape, Tensor, TensorData};
use burn_flex::FlexTensor;

pub use attention::attention;
pub use depthwise::{Depthwise, depthwise};
pub use linear::linear;
pub use mask_loss::{LossRow, LossWeights, MASKS, MaskLoss, mask_loss};
pub use norm::{EPSILON as NORM_EPSILON, layer_norm};
pub use patches::patches;
pub use up_add::up_add;

/// What is done to a sum before it is passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    None,
    /// Negative values become 0.
    Relu,
    /// Values are held within 0..=6.
    Relu6,
}

impl Activation {
    /// The activation of a value.
    #[inline(always)]
    pub fn of(self, v: f32) -> f32 {
        match self {
            Self::None => v,
            Self::Relu => v.max(0.0),
            Self::Relu6 => v.clamp(0.0, 6.0),
        }
    }

    /// 1 where the activation passes a change on, by its result; else 0.
    #[inline(always)]
    pub fn passes(self, result: f32) -> f32 {
        let open = match self {
            Self::None => true,
            Self::Relu => result > 0.0,
            Self::Relu6 => result > 0.0 && result < 6.0,
        };
        if open { 1.0 } else { 0.0 }
    }

    /// The same on a tensor of any device.
    pub fn on<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::None => x,
            Self::Relu => burn::tensor::activation::relu(x),
            Self::Relu6 => x.clamp(0.0, 6.0),
        }
    }
}

/// A function of `N` contiguous f32 tensors and its derivative.
pub trait Kernel<const N: usize>: Clone + Send + std::fmt::Debug + 'static {
    /// The result.
    fn forward(&self, inputs: [&FlexTensor; N]) -> FlexTensor;

    /// The gradients of those inputs that are wanted, from the inputs, the result and the result's gradient.
    fn backward(
        &self,
        inputs: [&FlexTensor; N],
        out: &FlexTensor,
        grad: &FlexTensor,
        wanted: [bool; N],
    ) -> [Option<FlexTensor>; N];
}

type OnTape = Autodiff<Flex, NoCheckpointing>;

/// True on the CPU backend that kernels are for, on tape or not.
pub fn has_kernels<const D: usize>(x: &Tensor<D>) -> bool {
    matches!(x.device().inner().as_dispatch(), DispatchDevice::Flex(_))
}

/// The kernel's result, on burn's tape when one of the inputs is.
///
/// # Panics
/// If the tensors are not on the CPU backend ([`has_kernels`]), or some are on tape and others not.
pub fn apply<const N: usize, const D: usize>(kernel: impl Kernel<N>, inputs: [DispatchTensor; N]) -> Tensor<D> {
    if inputs.iter().all(|t| t.autodiff == DispatchAutodiffContext::Disabled) {
        let plain = inputs.map(|t| match <DispatchTensor as DispatchKindConversion<Flex>>::try_into_backend(t) {
            Ok(BackendTensor::Float(t)) => t.to_contiguous(),
            other => panic!("expected an f32 tensor of the CPU backend, got {other:?}"),
        });
        return Tensor::from_primitive::<Flex>(kernel.forward(plain.each_ref()));
    }
    let taped = inputs.map(|t| match <DispatchTensor as DispatchKindConversion<OnTape>>::try_into_backend(t) {
        Ok(BackendTensor::Float(t)) => t,
        other => panic!("expected an f32 tensor of the CPU backend on tape, got {other:?}"),
    });
    let nodes = taped.each_ref().map(|t| t.node());
    let plain = taped.map(|t| t.into_primitive().to_contiguous());
    let out = kernel.forward(plain.each_ref());
    let result = match (Step { kernel }).prepare::<NoCheckpointing>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(prep) => prep.finish((plain, out.clone()), out),
        OpsKind::UnTracked(prep) => prep.finish(out),
    };
    Tensor::from_primitive::<OnTape>(result)
}

#[derive(Debug)]
struct Step<K> {
    kernel: K,
}

impl<const N: usize, K: Kernel<N>> Backward<Flex, N> for Step<K> {
    type State = ([FlexTensor; N], FlexTensor);

    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let grad = grads.consume::<Flex>(&ops.node).to_contiguous();
        let (inputs, out) = ops.state;
        let wanted = ops.parents.each_ref().map(Option::is_some);
        let found = self.kernel.backward(inputs.each_ref(), &out, &grad, wanted);
        for (parent, grad) in ops.parents.into_iter().zip(found) {
            if let (Some(parent), Some(grad)) = (parent, grad) {
                grads.register::<Flex>(parent.id, grad);
            }
        }
    }
}

/// The values of a contiguous f32 tensor.
fn values(t: &FlexTensor) -> &[f32] {
    t.as_slice().expect("kernels get contiguous f32 tensors")
}

/// A tensor of these values.
fn tensor(shape: impl Into<Vec<usize>>, values: Vec<f32>) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, Shape::from(shape.into())))
}

/// Edge lengths, of which there must be `D`.
fn edges<const D: usize>(t: &FlexTensor) -> [usize; D] {
    let shape = t.shape();
    std::array::from_fn(|i| shape[i])
}
