//! The network in training as the live path's [`Segmenter`], so that it is validated by the product's own looks.

use super::net::Network;
use super::net::decoder::{MASK_CELLS, Seen};
use super::net::encoder::Embedding;
use super::net::parameters::Parameters;
use super::net::proposal::ProposalHead;
use super::ops::MASKS;
use super::picture::SIDE;
use sonotap::error::{Error, ErrorKind, Result};
use sonotap::frame::Frame;
use sonotap::geometry::ModelView;
use sonotap::model::preprocess::Resampler;
use sonotap::model::{Decoded, ModelPrompts, ModelSpec, Segmenter};

/// A network with its weights, off the tape.
pub struct TrainedSegmenter {
    network: Network,
    head: Option<ProposalHead>,
    parameters: Parameters,
    resampler: Resampler,
    seen: Option<Seen>,
}

impl TrainedSegmenter {
    /// These weights must be off the tape.
    pub fn new(network: Network, parameters: Parameters) -> Self {
        Self::with_proposal(network, None, parameters)
    }

    /// The same with a head that proposes, whose weights are among these.
    pub fn with_proposal(network: Network, head: Option<ProposalHead>, parameters: Parameters) -> Self {
        Self { network, head, parameters, resampler: Resampler::default(), seen: None }
    }

    /// Another of the same weights, that has seen nothing.
    pub fn twin(&self) -> Self {
        Self::with_proposal(self.network.clone(), self.head, self.parameters.clone())
    }

    /// Sees a picture of the model's size, grey in 0..=1; shows what it made of it.
    pub fn see(&mut self, picture: &[f32]) -> Embedding {
        let embedding = self.network.encoder.forward(&self.parameters, picture);
        self.seen = Some(self.network.decoder.see(&self.parameters, embedding.clone(), 1));
        embedding
    }
}

impl Segmenter for TrainedSegmenter {
    fn spec(&self) -> ModelSpec {
        ModelSpec {
            side: SIDE as u32,
            mask_cells: MASK_CELLS,
            masks: MASKS,
            pixel_channels: self.network.config.decoder.pixels,
            first_candidate: 0,
            view_advantage: None,
            proposes: self.head.is_some(),
        }
    }

    fn encode(&mut self, frame: &Frame, view: &ModelView) -> Result<()> {
        let mut picture = vec![0.0; SIDE * SIDE];
        self.resampler.grey_view(frame, view, &mut picture)?;
        self.see(&picture);
        Ok(())
    }

    fn decode(&mut self, prompts: &ModelPrompts, out: &mut Decoded) -> Result<()> {
        let Some(seen) = &self.seen else {
            return Err(Error::new(ErrorKind::Argument, "decode: expected a frame to be encoded before, got none"));
        };
        let answer = self.network.decoder.forward(&self.parameters, seen, &[prompts]);
        let values = |data: burn::tensor::TensorData| -> Result<Vec<f32>> {
            data.try_to_vec().map_err(|e| Error::new(ErrorKind::Model, format!("decode: {e:?}")))
        };
        out.masks = values(answer.masks.into_data())?.into();
        out.iou = values(answer.iou.into_data())?;
        out.pixels = values(answer.pixels.swap_dims(1, 2).into_data())?.into();
        Ok(())
    }

    fn propose(&mut self, out: &mut Vec<f32>) -> Result<Option<f32>> {
        out.clear();
        let Some(head) = &self.head else { return Ok(None) };
        let Some(seen) = &self.seen else {
            return Err(Error::new(ErrorKind::Argument, "propose: expected a frame to be encoded before, got none"));
        };
        let proposed = head.forward(&self.parameters, seen);
        let score = proposed.score();
        let values = proposed.logits.into_data().try_to_vec();
        *out = values.map_err(|e| Error::new(ErrorKind::Model, format!("propose: {e:?}")))?;
        Ok(Some(score.into_scalar::<f32>()))
    }
}
