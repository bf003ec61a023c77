//! The network that is trained: image encoder with neck, prompt encoder and mask decoder.

pub mod decoder;
pub mod encoder;
pub mod layers;
pub mod parameters;
pub mod proposal;

use std::collections::BTreeMap;

use burn::tensor::Device;
use rand::{Rng, SeedableRng as _};
use rand_pcg::Pcg64Mcg;
use serde::{Deserialize, Serialize};

use decoder::{Decoder, DecoderConfig};
use encoder::{Encoder, EncoderConfig};
use parameters::{Builder, Matrix, Parameters};
use proposal::ProposalHead;

/// What a network is like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkConfig {
    /// Image encoder.
    pub encoder: EncoderConfig,
    /// Prompt encoder and mask decoder.
    pub decoder: DecoderConfig,
}

/// A network's structure. Its numbers are in [`Parameters`].
#[derive(Clone, Debug)]
pub struct Network {
    /// As asked for.
    pub config: NetworkConfig,
    /// Image encoder and neck.
    pub encoder: Encoder,
    /// Prompt encoder and mask decoder.
    pub decoder: Decoder,
}

impl Network {
    /// A network with fresh numbers from a seed.
    pub fn new(config: &NetworkConfig, device: &Device, seed: u64) -> (Self, Parameters) {
        let mut rng = Pcg64Mcg::seed_from_u64(seed);
        let mut b = Builder::new(device, &mut rng);
        let network = Self::build(&mut b, config);
        (network, b.finish())
    }

    /// A network with a head that proposes a mask without prompts, whose parameters come after the network's own.
    pub fn with_proposal(config: &NetworkConfig, device: &Device, seed: u64) -> (Self, ProposalHead, Parameters) {
        let mut rng = Pcg64Mcg::seed_from_u64(seed);
        let mut b = Builder::new(device, &mut rng);
        let network = Self::build(&mut b, config);
        let head = ProposalHead::new(&mut b, config.encoder.embedding, config.decoder.middle);
        (network, head, b.finish())
    }

    fn build<R: Rng>(b: &mut Builder<R>, config: &NetworkConfig) -> Self {
        let e = &config.encoder;
        let encoder = Encoder::new(b, e);
        let decoder = Decoder::new(b, &config.decoder, e.embedding, [e.skip4, e.skip2]);
        Self { config: config.clone(), encoder, decoder }
    }
}

/// Tensors by name.
pub type Tensors = BTreeMap<String, Matrix>;
