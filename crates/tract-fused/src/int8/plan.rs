//! Plans a network: groups layers into steps, lays out tensors, packs weights.

use super::buffer::Layout;
use super::isa::KernelTable;
use super::kernels::{Block, DepthwiseWeights, TAPS_MAX};
use super::network::{Conv, IntegerNetwork, IntegerWeights, Layer, Pads, Shape, Sum, TensorId};
use super::pack;
use crate::error::{Error, ErrorKind, Result};

/// Largest band of an expanded tensor, bytes: it should fit the caches.
const BAND_BYTES: usize = 128 * 1024;

/// A full convolution, with the addition that is fused into it.
pub(super) struct Gemm {
    pub x: TensorId,
    pub y: TensorId,
    /// Offset of each pixel's first tap, from the first pixel minus the padding.
    pub inputs: Vec<u32>,
    pub taps: Vec<usize>,
    pub quads: usize,
    pub outputs: Vec<u32>,
    pub blocks: Vec<Block>,
    pub zero: i32,
    pub residual: Option<(TensorId, Vec<u32>, Sum)>,
    pub pads: Pads,
    /// Pixels of a row.
    pub width: usize,
}

/// A depthwise convolution.
pub(super) struct Depthwise {
    pub x: TensorId,
    pub y: TensorId,
    pub kernel: usize,
    pub stride: usize,
    pub pads: Pads,
    pub weights: DepthwiseWeights,
    pub zero: i32,
    /// Zero point of the input, for its halo.
    pub x_zero: u8,
    pub from: Shape,
    pub to: Shape,
}

/// A depthwise convolution with the convolutions before and after it, computed a band of rows at a time.
pub(super) struct Band {
    pub expand: Option<Gemm>,
    pub depthwise: Depthwise,
    pub project: Option<Gemm>,
    /// Rows of a band.
    pub rows: usize,
    /// Layouts of a band of the depthwise convolution's input and output.
    pub layouts: [Layout; 2],
}

/// The work of a step.
pub(super) enum Work {
    Conv(Gemm),
    Band(Box<Band>),
    Sum { a: TensorId, b: TensorId, y: TensorId, is_up: bool, sum: Sum },
    Upsample { x: TensorId, y: TensorId },
    MaxPool { x: TensorId, y: TensorId, kernel: usize, stride: usize, pads: Pads },
    Lookup { x: TensorId, y: TensorId, table: Box<[u8; 256]> },
}

impl Work {
    /// The whole tensors that it reads, and the one that it writes.
    fn tensors(&self) -> (Vec<TensorId>, TensorId) {
        let of =
            |g: &Gemm, x: Option<TensorId>| x.into_iter().chain(g.residual.as_ref().map(|r| r.0)).collect::<Vec<_>>();
        match self {
            Self::Conv(g) => (of(g, Some(g.x)), g.y),
            Self::Band(b) => {
                let x = b.expand.as_ref().map_or(b.depthwise.x, |e| e.x);
                match &b.project {
                    Some(p) => (of(p, Some(x)), p.y),
                    None => (vec![x], b.depthwise.y),
                }
            }
            Self::Sum { a, b, y, .. } => (vec![*a, *b], *y),
            Self::Upsample { x, y } | Self::MaxPool { x, y, .. } | Self::Lookup { x, y, .. } => (vec![*x], *y),
        }
    }
}

/// A step of the plan.
pub(super) struct PlanStep {
    pub work: Work,
    /// Names of its layers.
    pub name: String,
    /// Multiply-accumulates of its layers.
    pub macs: usize,
}

/// Steps and layouts; the memory is the engine's.
pub(super) struct Schedule {
    pub steps: Vec<PlanStep>,
    /// Layouts of tensors that are kept whole.
    pub layouts: Vec<Option<Layout>>,
}

/// Plans a network that has passed its check.
///
/// # Errors
/// `Unsupported` for a depthwise kernel larger than 7x7.
pub(super) fn schedule(network: &IntegerNetwork, table: &KernelTable) -> Result<Schedule> {
    Planner::new(network, table).schedule()
}

struct Planner<'a> {
    network: &'a IntegerNetwork,
    table: &'a KernelTable,
    /// Layers that read each tensor, and the layer that writes it.
    readers: Vec<Vec<usize>>,
    writer: Vec<Option<usize>>,
    /// For a layer that runs inside another layer's step: that layer.
    host: Vec<Option<usize>>,
    /// For a convolution: the addition fused into it, as its layer and the other term.
    sums: Vec<Option<(usize, TensorId)>>,
    layouts: Vec<Option<Layout>>,
}

/// The convolutions around a depthwise one that run with it.
struct Neighbours {
    expand: Option<usize>,
    project: Option<usize>,
}

impl<'a> Planner<'a> {
    fn new(network: &'a IntegerNetwork, table: &'a KernelTable) -> Self {
        let mut readers = vec![Vec::new(); network.tensors.len()];
        let mut writer = vec![None; network.tensors.len()];
        for (i, layer) in network.layers.iter().enumerate() {
            layer.reads().iter().for_each(|t| readers[*t].push(i));
            writer[layer.result()] = Some(i);
        }
        let layers = network.layers.len();
        let layouts = vec![None; network.tensors.len()];
        Self { network, table, readers, writer, host: vec![None; layers], sums: vec![None; layers], layouts }
    }

    fn schedule(mut self) -> Result<Schedule> {
        let layers = &self.network.layers;
        let mut around = Vec::new();
        for (i, layer) in layers.iter().enumerate() {
            let mut n = self.neighbours(i, layer);
            // One convolution between two depthwise ones ends the first's band: it runs once.
            n.expand = n.expand.filter(|e| !around.iter().any(|a: &Neighbours| a.project == Some(*e)));
            let last = n.project.unwrap_or(i);
            for inner in [n.expand, n.project.map(|_| i)].into_iter().flatten() {
                self.host[inner] = Some(last);
            }
            around.push(n);
        }
        for (i, layer) in layers.iter().enumerate() {
            if let Layer::Add { a, b, .. } = layer {
                self.place_sum(i, [(*b, *a), (*a, *b)]);
            }
        }
        self.lay_out();
        let mut steps = Vec::new();
        for (i, layer) in layers.iter().enumerate().filter(|(i, _)| self.host[*i].is_none()) {
            let depthwise = around.iter().position(|n| n.project == Some(i)).or(is_depthwise(layer).then_some(i));
            steps.push(match (depthwise, layer) {
                (Some(d), _) => self.band(d, &around[d])?,
                (None, Layer::Conv(c)) => {
                    let work = Work::Conv(self.gemm(i, c, None, None));
                    PlanStep { work, name: c.name.clone(), macs: self.network.macs(layer) }
                }
                (None, Layer::Add { a, b, y }) => self.sum(*a, *b, *y, false),
                (None, Layer::UpAdd { coarse, fine, y }) => self.sum(*coarse, *fine, *y, true),
                (None, Layer::Upsample { x, y }) => self.other(*y, Work::Upsample { x: *x, y: *y }),
                (None, Layer::Lookup { x, y, table }) => {
                    self.other(*y, Work::Lookup { x: *x, y: *y, table: table.clone() })
                }
                (None, Layer::MaxPool { x, y, kernel, stride, pads }) => {
                    let work = Work::MaxPool { x: *x, y: *y, kernel: *kernel, stride: *stride, pads: *pads };
                    self.other(*y, work)
                }
            });
        }
        self.check(&steps)?;
        Ok(Schedule { steps, layouts: self.layouts })
    }

    /// Every tensor that a step reads is an input, or was written whole by a step before it: kernels read memory by that.
    fn check(&self, steps: &[PlanStep]) -> Result<()> {
        let mut is_there = vec![false; self.network.tensors.len()];
        self.network.inputs.iter().for_each(|i| is_there[i.tensor] = true);
        for step in steps {
            let (reads, writes) = step.work.tensors();
            let missing = |t: &&TensorId| !is_there[**t] || self.layouts[**t].is_none();
            let lost = reads.iter().find(missing).or_else(|| Some(&writes).filter(|t| self.layouts[**t].is_none()));
            if let Some(t) = lost {
                let name = &self.network.tensors[*t].name;
                return Err(Error::new(
                    ErrorKind::Model,
                    format!("{}: expected `{name}` in memory, got no place for it", step.name),
                ));
            }
            is_there[writes] = true;
        }
        match self.network.outputs.iter().find(|t| !is_there[**t]) {
            Some(t) => {
                let name = &self.network.tensors[*t].name;
                Err(Error::new(
                    ErrorKind::Model,
                    format!("output `{name}`: expected a step that computes it, got none"),
                ))
            }
            None => Ok(()),
        }
    }

    /// Whether a tensor is read by exactly one layer and is neither input nor output.
    fn is_inner(&self, t: TensorId) -> bool {
        let is_given = self.network.inputs.iter().any(|i| i.tensor == t);
        self.readers[t].len() == 1 && !is_given && !self.network.outputs.contains(&t)
    }

    fn neighbours(&self, i: usize, layer: &Layer<IntegerWeights>) -> Neighbours {
        let Layer::Conv(d) = layer else { return Neighbours { expand: None, project: None } };
        if !d.is_depthwise {
            return Neighbours { expand: None, project: None };
        }
        let full = |l: usize| match &self.network.layers[l] {
            Layer::Conv(c) if !c.is_depthwise => Some(c),
            _ => None,
        };
        let expand = self.writer[d.x].filter(|l| self.is_inner(d.x) && full(*l).is_some());
        let project = self.readers[d.y].first().copied().filter(|l| {
            let point = full(*l).is_some_and(|c| c.kernel == 1 && c.stride == 1);
            self.is_inner(d.y) && point && *l > i
        });
        Neighbours { expand, project }
    }

    /// Fuses an addition into the convolution that writes one of its terms, if the other term is computed before it.
    fn place_sum(&mut self, sum: usize, terms: [(TensorId, TensorId); 2]) {
        for (own, other) in terms {
            let Some(conv) = self.writer[own].filter(|_| own != other && self.is_inner(own)) else { continue };
            let is_full = matches!(&self.network.layers[conv], Layer::Conv(c) if !c.is_depthwise);
            let is_there = self.writer[other].is_none_or(|w| w < conv);
            if is_full && is_there && self.sums[conv].is_none() {
                self.host[sum] = Some(conv);
                self.sums[conv] = Some((sum, other));
                return;
            }
        }
    }

    /// Lays out every tensor that is kept whole, with the padding that its readers need.
    fn lay_out(&mut self) {
        let network = self.network;
        let mut exists = vec![true; network.tensors.len()];
        for (i, layer) in network.layers.iter().enumerate() {
            let is_within = matches!(layer, Layer::Conv(_)) && self.host[i].is_some();
            exists[layer.result()] &= !(is_within || self.sums[i].is_some());
        }
        for (t, exists) in exists.iter().enumerate().filter(|(_, e)| **e) {
            debug_assert!(*exists);
            let mut pads = Pads::default();
            for reader in &self.readers[t] {
                if let Layer::Conv(c) = &network.layers[*reader] {
                    pads.top = pads.top.max(c.pads.top);
                    pads.left = pads.left.max(c.pads.left);
                    pads.bottom = pads.bottom.max(c.pads.bottom);
                    pads.right = pads.right.max(c.pads.right);
                }
            }
            self.layouts[t] = Some(Layout::new(network.shape(t), pads));
        }
    }

    /// The layout of a tensor that is kept whole.
    fn layout(&self, t: TensorId) -> Layout {
        self.layouts[t].unwrap_or_else(|| Layout::new(self.network.shape(t), Pads::default()))
    }

    fn gemm(&self, i: usize, c: &Conv<IntegerWeights>, x: Option<Layout>, y: Option<Layout>) -> Gemm {
        let network = self.network;
        let (result, other) = match self.sums[i] {
            Some((sum, other)) => (network.layers[sum].result(), Some(other)),
            None => (c.y, None),
        };
        let (x, y) = (x.unwrap_or_else(|| self.layout(c.x)), y.unwrap_or_else(|| self.layout(result)));
        let s = network.shape(c.y);
        let pixels = || (0..s.height * s.width).map(|i| (i / s.width, i % s.width));
        let offsets =
            |l: Layout, stride: usize| pixels().map(|(v, u)| l.offset(v * stride, u * stride) as u32).collect();
        let residual = other.map(|other| (other, offsets(self.layout(other), 1), network.sum(c.y, other, result)));
        Gemm {
            x: c.x,
            y: result,
            inputs: offsets(x, c.stride),
            taps: (0..c.kernel).map(|k| k * x.row).collect(),
            quads: (c.kernel * x.pixel).div_ceil(4),
            outputs: offsets(y, 1),
            blocks: pack::gemm(network, c, self.table, x.pixel, y.pixel),
            zero: network.tensors[c.y].quantization.zero_point,
            residual,
            pads: c.pads,
            width: s.width,
        }
    }

    fn conv(&self, i: usize) -> Option<&'a Conv<IntegerWeights>> {
        match &self.network.layers[i] {
            Layer::Conv(c) => Some(c),
            _ => None,
        }
    }

    fn band(&self, at: usize, n: &Neighbours) -> Result<PlanStep> {
        let network = self.network;
        let Some(d) = self.conv(at) else { return Err(Error::new(ErrorKind::Model, "expected a convolution")) };
        if d.kernel * d.kernel > TAPS_MAX {
            let context = format!("{}: expected a depthwise kernel of at most 7x7, got {}", d.name, d.kernel);
            return Err(Error::new(ErrorKind::Unsupported, context));
        }
        let (from, to) = (network.shape(d.x), network.shape(d.y));
        let tall = |rows: usize| Shape { height: (rows - 1) * d.stride + d.kernel, ..from };
        let sides = Pads { top: 0, bottom: 0, ..d.pads };
        let wide = |rows: usize| Layout::new(tall(rows), sides);
        let narrow = |rows: usize| Layout::new(Shape { height: rows, ..to }, Pads::default());
        let bytes = |rows: usize| tall(rows).height * wide(rows).row + rows * narrow(rows).row;
        let mut rows = 2;
        while 2 * rows < to.height && bytes(2 * rows) <= BAND_BYTES {
            rows *= 2;
        }
        if bytes(to.height) <= BAND_BYTES || rows >= to.height {
            rows = to.height;
        }
        let layouts = [wide(rows), narrow(rows)];
        let gemm = |i: Option<usize>, x: Option<Layout>, y: Option<Layout>| {
            i.and_then(|i| self.conv(i).map(|c| self.gemm(i, c, x, y)))
        };
        let named = [n.expand, Some(at), n.project].into_iter().flatten();
        let layers: Vec<&Layer<IntegerWeights>> = named.map(|i| &network.layers[i]).collect();
        let names: Vec<&str> = layers.iter().map(|l| network.tensors[l.result()].name.as_str()).collect();
        let depthwise = Depthwise {
            x: d.x,
            y: d.y,
            kernel: d.kernel,
            stride: d.stride,
            pads: d.pads,
            weights: pack::depthwise(network, d, self.table, layouts[0].pixel),
            zero: network.tensors[d.y].quantization.zero_point,
            x_zero: network.tensors[d.x].quantization.zero_point as u8,
            from,
            to,
        };
        let band = Band {
            expand: gemm(n.expand, None, Some(layouts[0])),
            project: gemm(n.project, Some(layouts[1]), None),
            depthwise,
            rows,
            layouts,
        };
        let macs = layers.iter().map(|l| network.macs(l)).sum();
        Ok(PlanStep { work: Work::Band(Box::new(band)), name: names.join(" + "), macs })
    }

    fn other(&self, y: TensorId, work: Work) -> PlanStep {
        PlanStep { work, name: self.network.tensors[y].name.clone(), macs: 0 }
    }

    fn sum(&self, a: TensorId, b: TensorId, y: TensorId, is_up: bool) -> PlanStep {
        let sum = self.network.sum(a, b, y);
        PlanStep { work: Work::Sum { a, b, y, is_up, sum }, name: self.network.tensors[y].name.clone(), macs: 0 }
    }
}

fn is_depthwise(layer: &Layer<IntegerWeights>) -> bool {
    matches!(layer, Layer::Conv(c) if c.is_depthwise)
}
