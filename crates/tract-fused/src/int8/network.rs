//! The layer graph (convolutions, additions, resampling), generic over f32 and int8 parameters.
//!
//! Before quantization weights are f32 and tensors have no parameters ([`FloatNetwork`]). After it weights are integers and
//! each tensor has a [`Quantization`] ([`IntegerNetwork`]). Shapes are [C, H, W] of one image; memory is channels-last,
//! [H, W, C].

use crate::error::{Error, ErrorKind, Result};

/// Channels and size of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Channels.
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl Shape {
    /// Number of values.
    pub fn len(&self) -> usize {
        self.channels * self.height * self.width
    }

    /// The shape of twice the height and width.
    pub fn doubled(&self) -> Self {
        Self { height: 2 * self.height, width: 2 * self.width, ..*self }
    }

    /// Whether it holds no value.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Quantization of an activation: a byte represents `scale * (byte - zero_point)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantization {
    /// Difference between the values of two neighbouring bytes.
    pub scale: f32,
    /// The byte that represents 0, 0..=255.
    pub zero_point: i32,
}

impl Quantization {
    /// The byte nearest to a value; halves round to even.
    pub fn byte(&self, v: f32) -> u8 {
        ((v / self.scale).round_ties_even() + self.zero_point as f32).clamp(0.0, 255.0) as u8
    }

    /// The value of a byte.
    pub fn value(&self, byte: u8) -> f32 {
        (i32::from(byte) - self.zero_point) as f32 * self.scale
    }
}

/// Quantization of an f32 input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Quantizer {
    /// `round(x / scale) + zero_point`, as ONNX defines it.
    Exact(Quantization),
    /// `round(x * gain + offset)`: normalization and quantization in one step.
    Affine {
        /// Factor.
        gain: f32,
        /// Added to the product.
        offset: f32,
    },
}

/// 1.5 * 2^23. Added to a value of 0..=255, it leaves the nearest integer, halves to even, in the last bits of the mantissa. A
/// float-to-integer conversion would check the range of each value again.
const ROUND: f32 = 12_582_912.0;

impl Quantizer {
    /// A quantizer that applies `norm` first.
    pub fn new(norm: Norm, q: Quantization) -> Self {
        if norm == Norm::default() {
            return Self::Exact(q);
        }
        let gain = 1.0 / (norm.sd * q.scale);
        Self::Affine { gain, offset: q.zero_point as f32 - norm.mean * gain }
    }

    /// Quantizes values.
    #[inline(always)]
    pub fn bytes<'a>(self, values: &[f32], bytes: impl Iterator<Item = &'a mut u8>) {
        match self {
            Self::Exact(q) => bytes.zip(values).for_each(
                #[inline(always)]
                |(b, v)| {
                    // Rounded before the zero point is added: an odd zero point would change how halves round.
                    let steps = (v / q.scale).clamp(-ROUND / 4.0, ROUND / 4.0) + ROUND;
                    *b = (steps - ROUND + q.zero_point as f32).clamp(0.0, 255.0) as u8;
                },
            ),
            Self::Affine { gain, offset } => bytes.zip(values).for_each(
                #[inline(always)]
                |(b, v)| *b = ((v * gain + offset).clamp(0.0, 255.0) + ROUND).to_bits() as u8,
            ),
        }
    }
}

/// Index into [`Network::tensors`].
pub type TensorId = usize;

/// A tensor and its quantization.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor<Q> {
    /// As in the graph.
    pub name: String,
    /// Its shape.
    pub shape: Shape,
    /// Its quantization.
    pub quantization: Q,
}

/// Zero padding around an image, rows and columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pads {
    /// Above.
    pub top: usize,
    /// On the left.
    pub left: usize,
    /// Below.
    pub bottom: usize,
    /// On the right.
    pub right: usize,
}

/// A convolution, full or depthwise.
#[derive(Clone, Debug, PartialEq)]
pub struct Conv<W> {
    /// As in the graph.
    pub name: String,
    /// Input tensor.
    pub x: TensorId,
    /// Output tensor.
    pub y: TensorId,
    /// Edge of the square kernel.
    pub kernel: usize,
    /// Stride in both directions.
    pub stride: usize,
    /// Zero padding.
    pub pads: Pads,
    /// Whether each output channel reads only the input channel of the same number.
    pub is_depthwise: bool,
    /// Kernels `[O, I, k, k]` (depthwise `[C, 1, k, k]`) and biases `[O]`.
    pub weights: W,
}

/// A layer of the network.
#[derive(Clone, Debug, PartialEq)]
pub enum Layer<W> {
    /// A convolution.
    Conv(Conv<W>),
    /// `a + b`.
    Add {
        /// First term.
        a: TensorId,
        /// Second term.
        b: TensorId,
        /// The sum.
        y: TensorId,
    },
    /// `upsample(coarse) + fine`: nearest neighbour, by two in both directions.
    UpAdd {
        /// Input tensor of half the height and width.
        coarse: TensorId,
        /// Input tensor of the sum's shape.
        fine: TensorId,
        /// The sum.
        y: TensorId,
    },
    /// Nearest-neighbour upsampling by two in both directions.
    Upsample {
        /// Input tensor of half the height and width.
        x: TensorId,
        /// Output tensor, of the input's quantization.
        y: TensorId,
    },
    /// Max pooling with a square window; taps outside the image are ignored.
    MaxPool {
        /// Input tensor.
        x: TensorId,
        /// Output tensor, of the input's quantization.
        y: TensorId,
        /// Edge of the window.
        kernel: usize,
        /// Stride in both directions.
        stride: usize,
        /// Rows and columns outside the image.
        pads: Pads,
    },
    /// A table lookup of each byte: an activation or a change of quantization.
    Lookup {
        /// Input tensor.
        x: TensorId,
        /// Output tensor, of the input's shape.
        y: TensorId,
        /// The result for each byte.
        table: Box<[u8; 256]>,
    },
}

impl<W> Layer<W> {
    /// The same layer with its weights, if any, converted.
    pub fn map<V>(&self, weights: impl FnOnce(&Conv<W>) -> V) -> Layer<V> {
        match self {
            Self::Conv(c) => Layer::Conv(Conv {
                name: c.name.clone(),
                x: c.x,
                y: c.y,
                kernel: c.kernel,
                stride: c.stride,
                pads: c.pads,
                is_depthwise: c.is_depthwise,
                weights: weights(c),
            }),
            Self::Add { a, b, y } => Layer::Add { a: *a, b: *b, y: *y },
            Self::UpAdd { coarse, fine, y } => Layer::UpAdd { coarse: *coarse, fine: *fine, y: *y },
            Self::Upsample { x, y } => Layer::Upsample { x: *x, y: *y },
            Self::MaxPool { x, y, kernel, stride, pads } => {
                Layer::MaxPool { x: *x, y: *y, kernel: *kernel, stride: *stride, pads: *pads }
            }
            Self::Lookup { x, y, table } => Layer::Lookup { x: *x, y: *y, table: table.clone() },
        }
    }

    /// Output tensor.
    pub fn result(&self) -> TensorId {
        match self {
            Self::Conv(c) => c.y,
            Self::Add { y, .. }
            | Self::UpAdd { y, .. }
            | Self::Upsample { y, .. }
            | Self::MaxPool { y, .. }
            | Self::Lookup { y, .. } => *y,
        }
    }

    /// Input tensor.
    pub fn reads(&self) -> Vec<TensorId> {
        match self {
            Self::Conv(c) => vec![c.x],
            Self::Add { a, b, .. } => vec![*a, *b],
            Self::UpAdd { coarse, fine, .. } => vec![*coarse, *fine],
            Self::Upsample { x, .. } | Self::MaxPool { x, .. } | Self::Lookup { x, .. } => vec![*x],
        }
    }

    /// Renumbers its tensors.
    pub fn renumbered(mut self, number: impl Fn(TensorId) -> TensorId) -> Self {
        let change = |t: &mut TensorId| *t = number(*t);
        match &mut self {
            Self::Conv(c) => [&mut c.x, &mut c.y].into_iter().for_each(change),
            Self::Add { a, b, y } => [a, b, y].into_iter().for_each(change),
            Self::UpAdd { coarse, fine, y } => [coarse, fine, y].into_iter().for_each(change),
            Self::Upsample { x, y } | Self::MaxPool { x, y, .. } | Self::Lookup { x, y, .. } => {
                [x, y].into_iter().for_each(change);
            }
        }
        self
    }
}

/// Normalization of an f32 input before quantization: `(x - mean) / sd`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Norm {
    /// Subtracted.
    pub mean: f32,
    /// Divisor.
    pub sd: f32,
}

impl Default for Norm {
    /// The identity.
    fn default() -> Self {
        Self { mean: 0.0, sd: 1.0 }
    }
}

/// An input of the network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Input {
    /// Its tensor.
    pub tensor: TensorId,
    /// Normalization, applied to f32 input only.
    pub norm: Norm,
}

/// Tensors and the layers between them, in execution order.
#[derive(Clone, Debug, PartialEq)]
pub struct Network<Q, W> {
    /// All tensors.
    pub tensors: Vec<Tensor<Q>>,
    /// All layers.
    pub layers: Vec<Layer<W>>,
    /// Inputs.
    pub inputs: Vec<Input>,
    /// Outputs.
    pub outputs: Vec<TensorId>,
}

/// Activation of an f32 convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// None.
    None,
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, 0), 6)`.
    Relu6,
}

/// Weights before quantization.
#[derive(Clone, Debug, PartialEq)]
pub struct FloatWeights {
    /// `[O, I, k, k]`.
    pub kernels: Vec<f32>,
    /// `[O]`.
    pub bias: Vec<f32>,
    /// Applied to the sums.
    pub activation: Activation,
}

/// Weights after quantization: symmetric, one scale per output channel.
#[derive(Clone, Debug, PartialEq)]
pub struct IntegerWeights {
    /// `[O, I, k, k]`.
    pub kernels: Vec<i8>,
    /// `[O]`, kernel scales.
    pub scales: Vec<f32>,
    /// `[O]`, in units of input scale times kernel scale.
    pub bias: Vec<i32>,
}

/// A network before quantization.
pub type FloatNetwork = Network<(), FloatWeights>;
/// A network after quantization.
pub type IntegerNetwork = Network<Quantization, IntegerWeights>;

/// Largest height, width and number of channels of a tensor.
const EDGE_MAX: usize = 4096;
/// Most values of a tensor, so that offsets into its memory fit u32.
const VALUES_MAX: usize = 1 << 28;

fn refuse(context: String) -> Error {
    Error::new(ErrorKind::Model, context)
}

impl<Q, W> Default for Network<Q, W> {
    /// An empty network.
    fn default() -> Self {
        Self { tensors: Vec::new(), layers: Vec::new(), inputs: Vec::new(), outputs: Vec::new() }
    }
}

impl<Q, W> Network<Q, W> {
    /// Shape of a tensor.
    pub fn shape(&self, t: TensorId) -> Shape {
        self.tensors[t].shape
    }

    /// Multiply-accumulates of a layer.
    pub fn macs(&self, layer: &Layer<W>) -> usize {
        let Layer::Conv(c) = layer else { return 0 };
        let inputs = if c.is_depthwise { 1 } else { self.shape(c.x).channels };
        self.shape(c.y).len() * inputs * c.kernel * c.kernel
    }

    /// Checks that each tensor is written once and before it is read, and that shapes fit.
    ///
    /// # Errors
    /// `Model`, naming the tensor or the layer.
    pub fn check(&self) -> Result<()> {
        let mut is_known = vec![false; self.tensors.len()];
        let known = |is_known: &[bool], t: TensorId| {
            let name = self.tensors.get(t).map_or("?", |t| t.name.as_str());
            is_known
                .get(t)
                .copied()
                .unwrap_or(false)
                .then_some(())
                .ok_or_else(|| refuse(format!("tensor `{name}`: expected to be computed before it is used")))
        };
        for t in &self.tensors {
            let Shape { channels, height, width } = t.shape;
            if [channels, height, width].iter().any(|n| *n == 0 || *n > EDGE_MAX) || t.shape.len() > VALUES_MAX {
                return Err(refuse(format!(
                    "tensor `{}`: expected edges of 1..={EDGE_MAX}, got {:?}",
                    t.name, t.shape
                )));
            }
        }
        for input in &self.inputs {
            match is_known.get_mut(input.tensor) {
                Some(known) if !*known => *known = true,
                _ => return Err(refuse("input: expected a tensor of the network, once".into())),
            }
        }
        for layer in &self.layers {
            layer.reads().iter().try_for_each(|t| known(&is_known, *t))?;
            let y = layer.result();
            match is_known.get_mut(y) {
                Some(known) if !*known => *known = true,
                _ => return Err(refuse(format!("tensor {y}: expected to be written once"))),
            }
            self.check_layer(layer)?;
        }
        self.outputs.iter().try_for_each(|t| known(&is_known, *t))
    }

    fn check_layer(&self, layer: &Layer<W>) -> Result<()> {
        let y = self.shape(layer.result());
        let fits = match layer {
            Layer::Conv(c) => {
                self.conv_shape(c) == Some(y) && (!c.is_depthwise || self.shape(c.x).channels == y.channels)
            }
            Layer::Add { a, b, .. } => self.shape(*a) == y && self.shape(*b) == y,
            Layer::UpAdd { coarse, fine, .. } => {
                let c = self.shape(*coarse);
                self.shape(*fine) == y && c.doubled() == y
            }
            Layer::Upsample { x, .. } => self.shape(*x).doubled() == y,
            Layer::Lookup { x, .. } => self.shape(*x) == y,
            Layer::MaxPool { x, kernel, stride, pads, .. } => {
                let x = self.shape(*x);
                x.channels == y.channels && windows(x, y.channels, *kernel, *stride, *pads) == Some(y)
            }
        };
        let name = &self.tensors[layer.result()].name;
        fits.then_some(()).ok_or_else(|| refuse(format!("tensor `{name}`: expected the shape that follows, got {y:?}")))
    }

    fn conv_shape(&self, c: &Conv<W>) -> Option<Shape> {
        windows(self.shape(c.x), self.shape(c.y).channels, c.kernel, c.stride, c.pads)
    }
}

/// Output shape of a windowed operation; `None` if no window fits, or if a window could lie wholly in the padding.
pub(crate) fn windows(x: Shape, channels: usize, kernel: usize, stride: usize, pads: Pads) -> Option<Shape> {
    let Pads { top, left, bottom, right } = pads;
    let edge = |size: usize, pads: usize| {
        let rest = size.checked_add(pads)?.checked_sub(kernel)?;
        Some(rest.checked_div(stride)? + 1)
    };
    let is_padded_less = [top, left, bottom, right].iter().all(|p| *p < kernel);
    is_padded_less.then_some(())?;
    let (height, width) = (edge(x.height, top.checked_add(bottom)?)?, edge(x.width, left.checked_add(right)?)?);
    Some(Shape { channels, height, width })
}

impl IntegerNetwork {
    /// Checks what [`Network::check`] checks, the numbers of weights, the scales, and that no sum overflows i32 before or after
    /// requantization.
    ///
    /// # Errors
    /// `Model`, naming the tensor or the layer.
    pub fn check_numbers(&self) -> Result<()> {
        self.check()?;
        for t in &self.tensors {
            let Quantization { scale, zero_point } = t.quantization;
            if !(scale.is_normal() && scale > 0.0 && (0..=255).contains(&zero_point)) {
                return Err(refuse(format!(
                    "tensor `{}`: expected a scale above 0 and a zero point of 0..=255, got {scale}, {zero_point}",
                    t.name
                )));
            }
        }
        for layer in &self.layers {
            let is_same = |x: TensorId, y: TensorId| self.tensors[x].quantization == self.tensors[y].quantization;
            match layer {
                Layer::Conv(c) => self.check_conv(c).map_err(|e| e.within(&c.name))?,
                Layer::Upsample { x, y } | Layer::MaxPool { x, y, .. } if !is_same(*x, *y) => {
                    let name = &self.tensors[*y].name;
                    return Err(refuse(format!("tensor `{name}`: expected the quantization of what it is made of")));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn check_conv(&self, c: &Conv<IntegerWeights>) -> Result<()> {
        let outputs = self.shape(c.y).channels;
        let each = c.kernel * c.kernel * if c.is_depthwise { 1 } else { self.shape(c.x).channels };
        let w = &c.weights;
        if [w.kernels.len(), w.bias.len(), w.scales.len()] != [outputs * each, outputs, outputs] {
            return Err(refuse(format!("expected {outputs} kernels of {each} weights, got {}", w.kernels.len())));
        }
        if w.kernels.contains(&i8::MIN) {
            // Instruction sets without dot products add two products of signed bytes in i16.
            return Err(refuse("expected weights of -127..=127, got -128".into()));
        }
        for o in 0..outputs {
            let reach: i64 = w.kernels[o * each..][..each].iter().map(|w| 255 * i64::from(w.unsigned_abs())).sum();
            // With signed activations, 128 times each weight is added and subtracted as well.
            let reach = 2 * reach + i64::from(w.bias[o].unsigned_abs());
            let scaled = reach as f64 * f64::from(self.requantization(c, o));
            let is_within = reach < i64::from(i32::MAX) && scaled < f64::from(i32::MAX) && w.scales[o] > 0.0;
            if !is_within {
                return Err(refuse(format!("channel {o}: expected sums within i32, got {reach}, scaled {scaled}")));
            }
        }
        Ok(())
    }

    /// The factor from a channel's sums to units of the output's scale.
    pub fn requantization(&self, c: &Conv<IntegerWeights>, channel: usize) -> f32 {
        let (x, y) = (self.tensors[c.x].quantization.scale, self.tensors[c.y].quantization.scale);
        (x * c.weights.scales[channel]) / y
    }

    /// Parameters of the addition `y = a + b`.
    pub fn sum(&self, a: TensorId, b: TensorId, y: TensorId) -> Sum {
        let [a, b, y] = [a, b, y].map(|t| self.tensors[t].quantization);
        Sum { scales: [a.scale / y.scale, b.scale / y.scale], zeros: [a.zero_point, b.zero_point], zero: y.zero_point }
    }
}

/// Addition of two quantized values.
///
/// Each byte minus its zero point is multiplied by its scale; both products are rounded to f32, added, and rounded half to even.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sum {
    /// Scales of the terms, divided by the scale of the result.
    pub scales: [f32; 2],
    /// Zero points of the terms.
    pub zeros: [i32; 2],
    /// Zero point of the result.
    pub zero: i32,
}

impl Sum {
    /// The sum of two bytes.
    pub fn of(&self, a: u8, b: u8) -> u8 {
        let term = |i: usize, v: u8| (i32::from(v) - self.zeros[i]) as f32 * self.scales[i];
        ((term(0, a) + term(1, b)).round_ties_even() as i32).saturating_add(self.zero).clamp(0, 255) as u8
    }
}

/// A sum as a byte: multiplied by `scale` in f32, rounded half to even, shifted and clamped.
pub fn requantize(sum: i32, scale: f32, zero_point: i32) -> u8 {
    ((sum as f32 * scale).round_ties_even() as i32).saturating_add(zero_point).clamp(0, 255) as u8
}
