//! Who a student learns from beside the truth: a trained network, or any model folder that the live path runs.
//!
//! Source of the method: Zhou et al., "EdgeSAM", 2023: embeddings first, then prompts in the loop, clicks where student and
//! teacher disagree. Here the truth stays in the loss, and the teacher also answers prompts with previous masks, boxes and
//! negative clicks.

use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};

use super::export::Weights;
use super::net::decoder::MASK_CELLS;
use super::net::encoder::Embedding;
use super::ops::MASKS;
use super::picture::{Picture, SIDE};
use super::segmenter::TrainedSegmenter;
use sonotap::error::{Error, ErrorKind, Result};
use sonotap::frame::{Frame, PixelFormat};
use sonotap::geometry::{ModelSpace, ModelView, Point, Rect};
use sonotap::model::manifest::{MANIFEST, Manifest, hex_digest};
use sonotap::model::{Decoded, ModelPrompts, Segmenter, sam};

const CELLS: usize = MASK_CELLS * MASK_CELLS;

/// A teacher.
pub struct Teacher {
    /// What it is called in a model's manifest.
    pub name: String,
    /// SHA-256 of its weights or manifest.
    pub digest: String,
    who: Who,
    decoded: Decoded,
}

enum Who {
    /// Also shows its embedding.
    Network(Box<TrainedSegmenter>),
    Folder(Box<dyn Segmenter>),
}

/// What a teacher answers.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// Logits of masks 0..=3, one after the other; empty where it has fewer masks.
    pub masks: Vec<f32>,
    /// Its own estimate of their IoU.
    pub iou: Vec<f32>,
}

impl Teacher {
    /// From `weights.safetensors` of a run, or a model folder.
    ///
    /// # Errors
    /// Those of reading either; `Model` when it gives fewer than [`MASKS`] masks.
    pub fn load(path: &Path) -> Result<Self> {
        let place = path.display();
        let (name, digest, who) = if path.is_dir() {
            let manifest = path.join(MANIFEST);
            let bytes = std::fs::read(&manifest).map_err(|e| Error::new(ErrorKind::Io, format!("{place}: {e}")))?;
            let digest = hex_digest(&bytes);
            let name = Manifest::load(path)?.name;
            (name, digest, Who::Folder(sam::load(path)?))
        } else {
            let weights = Weights::load(path)?;
            let who = Who::Network(Box::new(weights.segmenter()));
            (weights.config.name.clone(), weights.digest.clone(), who)
        };
        let teacher = Self { name, digest, who, decoded: Decoded::default() };
        let masks = teacher.segmenter().spec().masks;
        if masks < MASKS {
            return Err(Error::new(
                ErrorKind::Model,
                format!("{place}: expected a teacher of {MASKS} masks, got {masks}"),
            ));
        }
        Ok(teacher)
    }

    /// Another that answers the same on another thread; a model folder has none.
    pub fn twin(&self) -> Option<Self> {
        let Who::Network(n) = &self.who else { return None };
        let who = Who::Network(Box::new(n.twin()));
        Some(Self { name: self.name.clone(), digest: self.digest.clone(), who, decoded: Decoded::default() })
    }

    fn segmenter(&self) -> &dyn Segmenter {
        match &self.who {
            Who::Network(n) => n.as_ref(),
            Who::Folder(f) => f.as_ref(),
        }
    }

    /// Looks at a picture; a network of our own also shows its embedding.
    ///
    /// # Errors
    /// Those of the model.
    pub fn see(&mut self, picture: &Picture) -> Result<Option<Embedding>> {
        match &mut self.who {
            Who::Network(n) => Ok(Some(n.see(picture.values()))),
            Who::Folder(f) => {
                let grey = picture.values().iter().map(|v| (v * 255.0).round() as u8).collect();
                let side = SIDE as u32;
                let frame =
                    Frame::from_pixels(side, side, PixelFormat::Grey8, grey).map_err(|e| e.within("picture"))?;
                f.encode(&frame, &ModelView::new(frame.bounds(), f.spec().side))?;
                Ok(None)
            }
        }
    }

    /// Answers prompts about the picture that it saw last.
    ///
    /// # Errors
    /// Those of the model.
    pub fn answer(&mut self, prompts: &ModelPrompts) -> Result<Told> {
        let segmenter: &mut dyn Segmenter = match &mut self.who {
            Who::Network(n) => n.as_mut(),
            Who::Folder(f) => f.as_mut(),
        };
        let spec = segmenter.spec();
        let scaled = scaled(prompts, spec.side as f32 / SIDE as f32, spec.mask_cells);
        segmenter.decode(&scaled, &mut self.decoded)?;
        let plane = spec.mask_cells * spec.mask_cells;
        let masks = self.decoded.masks.chunks_exact(plane).take(MASKS);
        Ok(Told {
            masks: masks.flat_map(|m| resized(m, spec.mask_cells, MASK_CELLS)).collect(),
            iou: self.decoded.iou.iter().take(MASKS).copied().collect(),
        })
    }
}

/// Prompts in the teacher's own px and cells.
fn scaled(p: &ModelPrompts, k: f32, cells: usize) -> ModelPrompts {
    let at = |p: Point<ModelSpace>| Point::new(p.x * k, p.y * k);
    ModelPrompts {
        clicks: p.clicks.iter().map(|(c, polarity)| (at(*c), *polarity)).collect(),
        boxed: p.boxed.map(|b| Rect::new(b.x0 * k, b.y0 * k, b.x1 * k, b.y1 * k)),
        previous: if p.previous.is_empty() { Vec::new() } else { resized(&p.previous, MASK_CELLS, cells) },
    }
}

/// A square grid at another size, bilinear between cell centres.
fn resized(values: &[f32], from: usize, to: usize) -> Vec<f32> {
    if from == to {
        return values.to_vec();
    }
    let k = from as f32 / to as f32;
    let step = |i: usize| {
        let x = ((i as f32 + 0.5) * k - 0.5).clamp(0.0, from as f32 - 1.0);
        (x as usize, (x as usize + 1).min(from - 1), x.fract())
    };
    (0..to * to)
        .map(|i| {
            let ((x0, x1, tx), (y0, y1, ty)) = (step(i % to), step(i / to));
            let row = |y: usize| values[y * from + x0] * (1.0 - tx) + values[y * from + x1] * tx;
            row(y0) * (1.0 - ty) + row(y1) * ty
        })
        .collect()
}

/// How far a student's embedding is from a teacher's, each part in units of the teacher's own spread.
pub fn embedding_loss(student: &Embedding, teacher: &Embedding, device: &Device) -> Tensor<1> {
    let part = |s: &Tensor<4>, t: &Tensor<4>| {
        let mean = t.clone().mean().into_scalar::<f32>();
        let variance = (t.clone() - mean).powi_scalar(2).mean().into_scalar::<f32>().max(1e-6);
        let t = Tensor::from_data(t.clone().into_data(), device);
        (s.clone() - t).powi_scalar(2).mean() / variance
    };
    part(&student.coarse, &teacher.coarse) + part(&student.skip4, &teacher.skip4) + part(&student.skip2, &teacher.skip2)
}

/// Cross-entropy of the student's masks with the teacher's probabilities, and squared difference of predicted IoU.
///
/// Shape: `logits` [T, 4, P], `iou` [T, 4]. For a lone click all masks count, else mask 0.
pub fn answer_loss(logits: Tensor<3>, iou: Tensor<2>, told: &[Told], is_lone: &[bool]) -> Tensor<1> {
    let device = logits.device();
    let targets = told.len();
    let probability = |l: &f32| 1.0 / (1.0 + (-l.clamp(-20.0, 20.0)).exp());
    let p: Vec<f32> = told.iter().flat_map(|t| t.masks.iter().map(probability)).collect();
    let p = Tensor::<3>::from_data(TensorData::new(p, [targets, MASKS, CELLS]), &device);
    let counts = |i: usize, lone: bool| if lone || i == 0 { 1.0 } else { 0.0f32 };
    let weights: Vec<f32> = is_lone.iter().flat_map(|l| (0..MASKS).map(|i| counts(i, *l))).collect();
    let sum: f32 = weights.iter().sum();
    let weights = Tensor::<2>::from_data(TensorData::new(weights, [targets, MASKS]), &device);
    // max(l, 0) - l p + ln(1 + e^-|l|)
    let entropy = logits.clone().clamp_min(0.0) - logits.clone() * p + (logits.abs().neg().exp() + 1.0).log();
    let entropy = entropy.mean_dim(2).reshape([targets, MASKS]);
    let scores: Vec<f32> = told.iter().flat_map(|t| t.iou.clone()).collect();
    let scores = Tensor::<2>::from_data(TensorData::new(scores, [targets, MASKS]), &device);
    let miss = (iou - scores).powi_scalar(2);
    ((entropy + miss) * weights).sum() / sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_student_that_answers_as_its_teacher_has_the_least_loss() {
        let masks: Vec<f32> = (0..MASKS * CELLS).map(|i| ((i * 37 % 101) as f32 - 50.0) / 10.0).collect();
        let told = [Told { masks: masks.clone(), iou: vec![0.5, 0.6, 0.7, 0.8] }];
        let device = Device::flex();
        let loss = |shift: f32, iou: f32| {
            let logits = masks.iter().map(|v| v + shift).collect::<Vec<_>>();
            let logits = Tensor::<3>::from_data(TensorData::new(logits, [1, MASKS, CELLS]), &device);
            let iou = [0.5, 0.6, 0.7, 0.8].iter().map(|v| v + iou).collect::<Vec<f32>>();
            let iou = Tensor::<2>::from_data(TensorData::new(iou, [1, MASKS]), &device);
            answer_loss(logits, iou, &told, &[true]).into_scalar::<f32>()
        };
        let best = loss(0.0, 0.0);
        for (shift, iou) in [(0.5, 0.0), (-0.5, 0.0), (0.0, 0.2)] {
            assert!(loss(shift, iou) > best + 1e-3, "{shift} {iou}");
        }
    }

    #[test]
    fn a_grid_resized_there_and_back_is_nearly_the_same() {
        let smooth: Vec<f32> = (0..CELLS)
            .map(|i| ((i % MASK_CELLS) as f32 / 20.0).sin() + ((i / MASK_CELLS) as f32 / 15.0).cos())
            .collect();
        let back = resized(&resized(&smooth, MASK_CELLS, 256), 256, MASK_CELLS);
        let far = smooth.iter().zip(&back).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(far < 0.02, "{far}");
    }
}
