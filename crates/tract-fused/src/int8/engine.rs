//! A planned network with its memory: planned once, then run without allocating.
//!
//! A depthwise convolution runs together with the convolutions before and after it, a band of rows at a time, so that the
//! expanded tensors between them stay in the caches and are never stored whole. An addition is fused into the convolution that
//! writes one of its terms.
//!
//! # Invariants
//! - The result equals [`reference::run`](super::reference::run) bit by bit, with all kernels.
//! - After [`Engine::new`] nothing is allocated.
//! - Halos hold the zero point and are never written.
#![allow(unsafe_code, reason = "kernels take pointers into buffers")]

use std::ops::Range;
use std::sync::Arc;

use super::buffer::{Buffer, Layout, Memory};
use super::isa::{KernelTable, Kernels};
use super::kernels::{DepthwiseCall, GemmCall, Plane, Residual, SumCall};
use super::network::{Input, IntegerNetwork, Pads, Quantization, Quantizer, Shape, TensorId};
use super::plan::{Band, Gemm, PlanStep, Schedule, Work, schedule};
use crate::error::{Error, ErrorKind, Result};
use crate::wide::wide;

/// Channels of an output that are transposed to planes together, and pixels of each.
const GROUP: usize = 16;
const PLACES: usize = 128;

/// A network planned for one instruction set: weights packed, tensors laid out. Shared by the engines that run it.
pub struct EnginePlan {
    kernels: Kernels,
    table: KernelTable,
    steps: Vec<PlanStep>,
    layouts: Vec<Option<Layout>>,
    shapes: Vec<Shape>,
    quantizations: Vec<Quantization>,
    inputs: Vec<Input>,
    outputs: Vec<TensorId>,
}

/// A planned network and its memory.
pub struct Engine {
    plan: Arc<EnginePlan>,
    tensors: Tensors,
    /// A quantized row of one input channel, before it is interleaved with the other channels.
    row: Vec<u8>,
}

/// Whole tensors, and the bands of the others.
struct Tensors {
    plan: Arc<EnginePlan>,
    buffers: Vec<Option<Buffer>>,
    /// Bands of the input and the output of a depthwise convolution.
    bands: [Memory; 2],
}

/// A step of the plan.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepInfo<'a> {
    /// Names of its layers.
    pub name: &'a str,
    /// Multiply-accumulates.
    pub macs: usize,
    /// Kind of work, for reports: `1x1`, `full`, `band`, `sum`, `upsample`, `max pool` or `lookup`.
    pub class: &'static str,
}

impl EnginePlan {
    /// Plans a network for these kernels.
    ///
    /// # Errors
    /// `Model` when the network contradicts itself, `Unsupported` when there is no kernel for a layer, `Unavailable` when this
    /// processor cannot run the kernels.
    pub fn new(network: &IntegerNetwork, kernels: Kernels) -> Result<Self> {
        network.check_numbers()?;
        let table = kernels.table().ok_or_else(|| {
            Error::new(ErrorKind::Unavailable, format!("expected a processor with {kernels}, got another"))
        })?;
        let Schedule { steps, layouts } = schedule(network, &table)?;
        Ok(Self {
            kernels,
            table,
            steps,
            layouts,
            shapes: network.tensors.iter().map(|t| t.shape).collect(),
            quantizations: network.tensors.iter().map(|t| t.quantization).collect(),
            inputs: network.inputs.clone(),
            outputs: network.outputs.clone(),
        })
    }

    /// The kernels in use.
    pub fn kernels(&self) -> Kernels {
        self.kernels
    }

    /// The steps, in execution order.
    pub fn steps(&self) -> impl Iterator<Item = StepInfo<'_>> {
        self.steps.iter().map(|s| {
            let class = match &s.work {
                Work::Conv(g) if g.taps.len() == 1 => "1x1",
                Work::Conv(_) => "full",
                Work::Band(_) => "band",
                Work::Sum { .. } => "sum",
                Work::Upsample { .. } => "upsample",
                Work::MaxPool { .. } => "max pool",
                Work::Lookup { .. } => "lookup",
            };
            StepInfo { name: &s.name, macs: s.macs, class }
        })
    }

    /// Multiply-accumulates of a run.
    pub fn macs(&self) -> usize {
        self.steps.iter().map(|s| s.macs).sum()
    }

    /// An input's shape.
    pub fn input_shape(&self, input: usize) -> Shape {
        self.shapes[self.inputs[input].tensor]
    }

    /// An input's quantization.
    pub fn input_quantization(&self, input: usize) -> Quantization {
        self.quantizations[self.inputs[input].tensor]
    }

    /// Number of outputs.
    pub fn outputs(&self) -> usize {
        self.outputs.len()
    }

    /// An output's shape.
    pub fn output_shape(&self, output: usize) -> Shape {
        self.shapes[self.outputs[output]]
    }

    /// An output's quantization.
    pub fn output_quantization(&self, output: usize) -> Quantization {
        self.quantizations[self.outputs[output]]
    }
}

impl Engine {
    /// Plans a network for these kernels and allocates its memory.
    ///
    /// # Errors
    /// Those of [`EnginePlan::new`].
    pub fn new(network: &IntegerNetwork, kernels: Kernels) -> Result<Self> {
        Ok(Self::of(&Arc::new(EnginePlan::new(network, kernels)?)))
    }

    /// Allocates the memory of a planned network.
    pub fn of(plan: &Arc<EnginePlan>) -> Self {
        let layouts = |which: usize| {
            plan.steps.iter().filter_map(move |s| match &s.work {
                Work::Band(b) => Some(b.layouts[which]),
                _ => None,
            })
        };
        let bands = [0, 1].map(|which| Memory::new(layouts(which), 0));
        let zero = |t: TensorId| plan.quantizations[t].zero_point as u8;
        let buffers = plan.layouts.iter().enumerate().map(|(t, l)| l.map(|l| Buffer::new(l, zero(t)))).collect();
        let widest = plan.inputs.iter().map(|i| plan.shapes[i.tensor].width).max().unwrap_or(0);
        Self { plan: plan.clone(), tensors: Tensors { plan: plan.clone(), buffers, bands }, row: vec![0; widest] }
    }

    /// The plan.
    pub fn plan(&self) -> &Arc<EnginePlan> {
        &self.plan
    }

    /// Bytes of memory for tensors.
    pub fn bytes(&self) -> usize {
        let whole: usize = self.tensors.buffers.iter().flatten().map(|b| b.memory.len()).sum();
        whole + self.tensors.bands.iter().map(Memory::len).sum::<usize>()
    }

    /// Sets an input from f32 values, [C, H, W]; normalizes and quantizes them.
    ///
    /// # Errors
    /// `Argument` when it has another number of values than the input.
    pub fn set_values(&mut self, input: usize, values: &[f32]) -> Result<()> {
        let s = self.plan.input_shape(input);
        check_size(input, s, values.len())?;
        let Input { tensor, norm } = self.plan.inputs[input];
        let quantizer = Quantizer::new(norm, self.plan.quantizations[tensor]);
        let Some(buffer) = self.tensors.buffers[tensor].as_mut() else { return Ok(()) };
        let scratch = &mut self.row;
        wide(
            #[inline(always)]
            move || {
                let (buffer, scratch) = (buffer, scratch);
                let pixel = buffer.layout.pixel;
                for (i, row) in values.chunks_exact(s.width).enumerate() {
                    let (channel, y) = (i / s.height, i % s.height);
                    if pixel == 1 {
                        quantizer.bytes(row, buffer.row_mut(y).iter_mut());
                        continue;
                    }
                    quantizer.bytes(row, scratch.iter_mut());
                    let places = buffer.row_mut(y).iter_mut().skip(channel).step_by(pixel);
                    places.zip(&*scratch).for_each(|(place, byte)| *place = *byte);
                }
            },
        );
        Ok(())
    }

    /// Sets an input from bytes, [C, H, W].
    ///
    /// # Errors
    /// `Argument` when they are not as many as the input has.
    pub fn set_planes(&mut self, input: usize, planes: &[u8]) -> Result<()> {
        let s = self.plan.input_shape(input);
        check_size(input, s, planes.len())?;
        let Some(buffer) = self.tensors.buffers[self.plan.inputs[input].tensor].as_mut() else { return Ok(()) };
        let pixel = buffer.layout.pixel;
        if !s.width.is_multiple_of(GROUP) || !s.channels.is_multiple_of(2 * GROUP) {
            for (i, row) in planes.chunks_exact(s.width).enumerate() {
                let (channel, y) = (i / s.height, i % s.height);
                let places = buffer.row_mut(y).iter_mut().skip(channel).step_by(pixel);
                places.zip(row).for_each(|(place, byte)| *place = *byte);
            }
            return Ok(());
        }
        let plane = s.height * s.width;
        wide(
            #[inline(always)]
            move || {
                let buffer = buffer;
                for y in 0..s.height {
                    let pixels = buffer.row_mut(y);
                    for at in (0..s.width).step_by(GROUP) {
                        for channel in (0..s.channels).step_by(2 * GROUP) {
                            let from = &planes[channel * plane + y * s.width + at..];
                            let mut lines = [[0; 2 * GROUP]; GROUP];
                            transpose([from, &from[GROUP * plane..]], plane, &mut lines, 0);
                            for (i, line) in lines.iter().enumerate() {
                                pixels[(at + i) * pixel + channel..][..2 * GROUP].copy_from_slice(line);
                            }
                        }
                    }
                }
            },
        );
        Ok(())
    }

    /// Sets an input from bytes, [H, W, C].
    ///
    /// # Errors
    /// `Argument` when they are not as many as the input has.
    pub fn set_bytes(&mut self, input: usize, bytes: &[u8]) -> Result<()> {
        let s = self.plan.input_shape(input);
        check_size(input, s, bytes.len())?;
        let Some(buffer) = self.tensors.buffers[self.plan.inputs[input].tensor].as_mut() else { return Ok(()) };
        let pixel = buffer.layout.pixel;
        for (y, row) in bytes.chunks_exact(s.width * s.channels).enumerate() {
            let pixels = buffer.row_mut(y).chunks_exact_mut(pixel);
            pixels.zip(row.chunks_exact(s.channels)).for_each(|(p, v)| p[..s.channels].copy_from_slice(v));
        }
        Ok(())
    }

    /// Computes all tensors.
    pub fn run(&mut self) {
        (0..self.plan.steps.len()).for_each(|i| self.run_step(i));
    }

    /// Computes one step; the steps before it must have run.
    pub fn run_step(&mut self, i: usize) {
        let (plan, tensors) = (&self.plan, &mut self.tensors);
        let table = &plan.table;
        match &plan.steps[i].work {
            Work::Conv(g) => tensors.conv(table, g),
            Work::Band(b) => tensors.band(table, b),
            Work::Sum { a, b, y, is_up, sum } => {
                let (a, b) = (tensors.plane(*a), tensors.plane(*b));
                let Shape { height, width, channels } = plan.shapes[*y];
                let y = tensors.plane_mut(*y);
                let call = SumCall { a, b, y, is_up: *is_up, height, width, channels, sum: *sum };
                // SAFETY: the kernels are this processor's; the planes are whole tensors whose shapes the network's check compared.
                unsafe { (table.sum)(&call) }
            }
            Work::Upsample { x, y } => tensors.whole(*x, *y, upsample),
            Work::Lookup { x, y, table } => tensors.whole(*x, *y, |x, y| lookup(x, y, table)),
            Work::MaxPool { x, y, kernel, stride, pads } => {
                tensors.whole(*x, *y, |x, y| max_pool(x, y, *kernel, *stride, *pads));
            }
        }
    }

    /// Writes an output as f32, [C, H, W].
    ///
    /// # Panics
    /// When `out` has another size than the output.
    pub fn output(&self, output: usize, out: &mut [f32]) {
        let q = self.plan.output_quantization(output);
        self.planes(
            output,
            out,
            #[inline(always)]
            move |bytes, values| {
                for (v, byte) in values.iter_mut().zip(bytes) {
                    *v = (f32::from(*byte) - q.zero_point as f32) * q.scale;
                }
            },
        );
    }

    /// Writes an output as bytes, [C, H, W].
    ///
    /// # Panics
    /// When `out` has another size than the output.
    pub fn output_bytes(&self, output: usize, out: &mut [u8]) {
        self.planes(
            output,
            out,
            #[inline(always)]
            |bytes, values| values.copy_from_slice(bytes),
        );
    }

    #[inline(always)]
    fn planes<T>(&self, output: usize, out: &mut [T], put: impl Fn(&[u8], &mut [T])) {
        let t = self.plan.outputs[output];
        let s = self.plan.shapes[t];
        assert_eq!(out.len(), s.len(), "values of an output");
        let Some(buffer) = &self.tensors.buffers[t] else { return };
        let plane = s.height * s.width;
        let pixel = buffer.layout.pixel;
        if !s.width.is_multiple_of(GROUP) || !plane.is_multiple_of(PLACES) || !s.channels.is_multiple_of(GROUP) {
            for (i, v) in out.iter_mut().enumerate() {
                let byte = buffer.row(i % plane / s.width)[i % s.width * pixel + i / plane];
                put(&[byte], std::slice::from_mut(v));
            }
            return;
        }
        wide(
            #[inline(always)]
            move || {
                let out = out;
                for (first, planes) in out.chunks_exact_mut(plane * GROUP).enumerate() {
                    let (mut x, mut y) = (0, 0);
                    for from in (0..plane).step_by(PLACES) {
                        // A few channels of a few pixels, so that the written lines stay in L1.
                        let mut block = [[0; PLACES]; GROUP];
                        for to in (0..PLACES).step_by(2 * GROUP) {
                            let mut next = || {
                                let row = &buffer.row(y)[x * pixel + first * GROUP..];
                                x += GROUP;
                                if x == s.width {
                                    (x, y) = (0, y + 1);
                                }
                                row
                            };
                            let pair = [next(), next()];
                            transpose(pair, pixel, &mut block, to);
                        }
                        for (plane, line) in planes.chunks_exact_mut(plane).zip(&block) {
                            put(line, &mut plane[from..from + PLACES]);
                        }
                    }
                }
            },
        );
    }

    /// The bytes of a tensor, [H, W, C]; `None` when it is not kept whole.
    pub fn tensor(&self, t: TensorId) -> Option<Vec<u8>> {
        let (s, buffer) = (self.plan.shapes[t], self.tensors.buffers[t].as_ref()?);
        let pixel = |y: usize, x: usize| &buffer.row(y)[x * buffer.layout.pixel..][..s.channels];
        Some((0..s.height * s.width).flat_map(|i| pixel(i / s.width, i % s.width)).copied().collect())
    }
}

/// Transposes two groups of 16 pixels by 16 channels into columns `to..` of 16 lines. Rows are interleaved with the rows eight
/// further on, four times, both groups side by side.
#[inline(always)]
fn transpose<const N: usize>(groups: [&[u8]; 2], pixel: usize, lines: &mut [[u8; N]; GROUP], to: usize) {
    let mut rows = [[0; 2 * GROUP]; GROUP];
    for (i, bytes) in rows.iter_mut().enumerate() {
        for (half, group) in bytes.as_chunks_mut::<GROUP>().0.iter_mut().zip(groups) {
            if let Some(whole) = group[i * pixel..].first_chunk() {
                *half = *whole;
            }
        }
    }
    for _ in 0..4 {
        let mut next = [[0; 2 * GROUP]; GROUP];
        for i in 0..8 {
            let (a, b) = (rows[i], rows[i + 8]);
            for k in 0..GROUP / 2 {
                for l in [0, GROUP] {
                    next[2 * i][l + 2 * k] = a[l + k];
                    next[2 * i][l + 2 * k + 1] = b[l + k];
                    next[2 * i + 1][l + 2 * k] = a[l + 8 + k];
                    next[2 * i + 1][l + 2 * k + 1] = b[l + 8 + k];
                }
            }
        }
        rows = next;
    }
    for (line, row) in lines.iter_mut().zip(rows) {
        if let Some(part) = line[to..].first_chunk_mut() {
            *part = row;
        }
    }
}

fn check_size(input: usize, s: Shape, got: usize) -> Result<()> {
    if got == s.len() {
        return Ok(());
    }
    let context = format!("input {input}: expected {}x{}x{} values, got {got}", s.channels, s.height, s.width);
    Err(Error::new(ErrorKind::Argument, context))
}

fn upsample(x: &Buffer, y: &mut Buffer) {
    let pixel = x.layout.pixel;
    for row in 0..y.layout.height {
        let pixels = x.row(row / 2).chunks_exact(pixel);
        for (two, one) in y.row_mut(row).chunks_exact_mut(2 * pixel).zip(pixels) {
            two[..pixel].copy_from_slice(one);
            two[pixel..].copy_from_slice(one);
        }
    }
}

fn lookup(x: &Buffer, y: &mut Buffer, table: &[u8; 256]) {
    for row in 0..y.layout.height {
        y.row_mut(row).iter_mut().zip(x.row(row)).for_each(|(y, x)| *y = table[usize::from(*x)]);
    }
}

fn max_pool(x: &Buffer, y: &mut Buffer, kernel: usize, stride: usize, pads: Pads) {
    wide(
        #[inline(always)]
        move || {
            let (pixel, height, width) = (x.layout.pixel, x.layout.height, x.layout.width);
            let y = y;
            for row in 0..y.layout.height {
                for (column, largest) in y.row_mut(row).chunks_exact_mut(pixel).enumerate() {
                    largest.fill(0);
                    for k in 0..kernel * kernel {
                        let from = (row * stride + k / kernel).wrapping_sub(pads.top);
                        let at = (column * stride + k % kernel).wrapping_sub(pads.left);
                        if from < height && at < width {
                            let seen = &x.row(from)[at * pixel..][..pixel];
                            largest.iter_mut().zip(seen).for_each(|(m, v)| *m = (*m).max(*v));
                        }
                    }
                }
            }
        },
    );
}

impl Tensors {
    /// Runs `work` from one whole tensor to another.
    fn whole(&mut self, x: TensorId, y: TensorId, work: impl FnOnce(&Buffer, &mut Buffer)) {
        let Some(mut result) = self.buffers[y].take() else { return };
        if let Some(x) = &self.buffers[x] {
            work(x, &mut result);
        }
        self.buffers[y] = Some(result);
    }

    /// Pointer to the first pixel of a whole tensor; null for any other, which no step reads.
    fn start(&self, t: TensorId) -> *const u8 {
        self.buffers[t].as_ref().map_or(std::ptr::null(), |b| b.memory.start(&b.layout))
    }

    fn start_mut(&mut self, t: TensorId) -> *mut u8 {
        self.buffers[t].as_mut().map_or(std::ptr::null_mut(), |b| b.memory.start_mut(&b.layout))
    }

    fn layout(&self, t: TensorId) -> Layout {
        self.buffers[t].as_ref().map_or_else(|| Layout::new(self.plan.shapes[t], Pads::default()), |b| b.layout)
    }

    fn plane(&self, t: TensorId) -> Plane<*const u8> {
        let l = self.layout(t);
        Plane { start: self.start(t), row: l.row, pixel: l.pixel }
    }

    fn plane_mut(&mut self, t: TensorId) -> Plane<*mut u8> {
        let l = self.layout(t);
        Plane { start: self.start_mut(t), row: l.row, pixel: l.pixel }
    }

    fn conv(&mut self, table: &KernelTable, g: &Gemm) {
        let (x, l) = (self.start(g.x), self.layout(g.x));
        let y = self.start_mut(g.y);
        let x = x.wrapping_sub(l.offset(g.pads.top, g.pads.left));
        self.gemm(table, g, x, y, 0..g.outputs.len());
    }

    /// `x` points to the first tap of the tensor's first pixel, `y` to its first result; both may be outside a band's memory.
    fn gemm(&mut self, table: &KernelTable, g: &Gemm, x: *const u8, y: *mut u8, pixels: Range<usize>) {
        let residual =
            g.residual.as_ref().map(|(other, offsets, sum)| Residual { other: self.start(*other), offsets, sum: *sum });
        let Gemm { inputs, taps, outputs, blocks, zero, quads, .. } = g;
        let call = GemmCall { x, inputs, taps, quads: *quads, y, outputs, blocks, zero: *zero, residual, pixels };
        // SAFETY: the kernels are this processor's; offsets were made from the layouts of the buffers that `x` and `y` point into,
        // and pixels are those of the band that lies there.
        unsafe { (table.gemm)(&call) }
    }

    fn band(&mut self, table: &KernelTable, b: &Band) {
        let d = &b.depthwise;
        let [wide, narrow] = &b.layouts;
        if b.expand.is_some() {
            self.fill_sides(wide, d.x_zero);
        }
        // First input row that is not in the band yet.
        let mut next = -(d.pads.top as isize);
        for first in (0..d.to.height).step_by(b.rows) {
            let rows = b.rows.min(d.to.height - first);
            let top = (first * d.stride) as isize - d.pads.top as isize;
            let end = top + ((rows - 1) * d.stride + d.kernel) as isize;
            let (x, x_row) = match &b.expand {
                Some(expand) => {
                    self.advance(table, b, expand, top, next..end);
                    next = next.max(end);
                    (self.bands[0].start(wide).wrapping_sub(d.pads.left * wide.pixel), wide.row)
                }
                None => {
                    let l = self.layout(d.x);
                    let x = self.start(d.x).wrapping_offset(top * l.row as isize);
                    (x.wrapping_sub(d.pads.left * l.pixel), l.row)
                }
            };
            let (y, y_row) = match &b.project {
                Some(_) => (self.bands[1].start_mut(narrow), narrow.row),
                None => {
                    let l = self.layout(d.y);
                    (self.start_mut(d.y).wrapping_add(first * l.row), l.row)
                }
            };
            let call = DepthwiseCall {
                x,
                x_row,
                y,
                y_row,
                pixel: wide.pixel,
                rows,
                width: d.to.width,
                kernel: d.kernel,
                stride: d.stride,
                weights: &d.weights,
                zero: d.zero,
            };
            // SAFETY: the kernels are this processor's; the band, or the tensor with its halo, holds all taps of these rows and one
            // row more, and there is room for the result.
            unsafe { (table.depthwise)(&call) }
            if let Some(project) = &b.project {
                let x = self.bands[1].start(narrow).wrapping_sub(first * narrow.row);
                let y = self.start_mut(project.y);
                self.gemm(table, project, x, y, first * project.width..(first + rows) * project.width);
            }
        }
    }

    /// Moves the rows that are needed again to the top of the band, and computes the new ones.
    fn advance(&mut self, table: &KernelTable, b: &Band, expand: &Gemm, top: isize, rows: Range<isize>) {
        let (wide, d) = (&b.layouts[0], &b.depthwise);
        let kept = (rows.start - top).max(0) as usize;
        let step = b.rows * d.stride;
        if kept > 0 {
            self.bands[0].bytes_mut().copy_within(step * wide.row..(step + kept) * wide.row, 0);
        }
        let inside = 0..d.from.height as isize;
        for row in (rows.start.max(top)..rows.end).filter(|r| !inside.contains(r)) {
            let at = (row - top) as usize * wide.row;
            self.bands[0].bytes_mut()[at..][..wide.row].fill(d.x_zero);
        }
        let (from, to) = (rows.start.max(top).max(0) as usize, rows.end.clamp(0, inside.end) as usize);
        if from < to {
            let l = self.layout(expand.x);
            let x = self.start(expand.x).wrapping_sub(l.offset(expand.pads.top, expand.pads.left));
            let y = self.bands[0].start_mut(wide).wrapping_offset(-top * wide.row as isize);
            self.gemm(table, expand, x, y, from * expand.width..to * expand.width);
        }
    }

    /// Writes the zero point left and right of a band's rows.
    fn fill_sides(&mut self, l: &Layout, zero: u8) {
        let rows = self.bands[0].bytes_mut().chunks_exact_mut(l.row).take(l.height + 1);
        rows.for_each(|row| {
            row[..l.start].fill(zero);
            row[l.start + l.width * l.pixel..].fill(zero);
        });
    }
}
