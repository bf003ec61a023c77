//! Training of our own click models (feature `train`).
//!
//! ```text
//!  sets ──▶ sources ──▶ views ──▶ tasks ──▶ example ──▶ (thread) ──▶ step: rounds of prompts and answers ──▶ optimizer
//!  train split  image, objects   tone      picture, targets         net over ops, on burn's tape                 │
//!                                                                     validate: the product's own look ◀── averaged weights
//! ```
//!
//! | room | what |
//! |---|---|
//! | `config.rs` | a run as a file |
//! | `sources.rs` `views.rs` `picture.rs` | real images, read once; random views of them; square pictures |
//! | `tasks/` `example.rs` | targets beside the real objects; a picture with its targets |
//! | `prompts.rs` | the simulated operator |
//! | `ops/` | differentiable operations over burn, with kernels for the CPU |
//! | `net/` `imagenet.rs` `grow.rs` `spread.rs` | the network, its parameters, what they begin from, layers that say nothing |
//! | `step.rs` `optimizer.rs` `run.rs` | a picture's gradient, a step, a run that can be taken up again |
//! | `teacher.rs` | who a student learns from beside the truth |
//! | `segmenter.rs` `validate.rs` | the network as the live path's segmenter |
//! | `checkpoint.rs` `curves.rs` `preview.rs` | files of a run; what it will be shown |
//! | `semi/` | few outlined images and many without: SAM-Match |
//! | `export/` | a model folder for the live path, compared with tract |

pub mod checkpoint;
pub mod config;
pub mod curves;
pub mod example;
pub mod export;
pub mod grow;
pub mod imagenet;
pub mod net;
pub mod ops;
pub mod optimizer;
pub mod picture;
pub mod preview;
pub mod prompts;
pub mod run;
pub mod segmenter;
pub mod semi;
pub mod sources;
pub mod spread;
pub mod step;
pub mod tasks;
pub mod teacher;
pub mod validate;
pub mod views;

pub use burn::tensor::Device;
/// For programs that train: they ask for the same large buffers again and again, and the system's allocator gives them back each time.
pub use mimalloc::MiMalloc;
