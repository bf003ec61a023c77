//! Few outlined images and many without: a click model and a match network teach each other (SAM-Match).
//!
//! ```text
//!  few outlined images ──▶ view, tone ───────────────────────────▶ click rounds, match mask ──▶ loss
//!  images without masks ─▶ weak view ──▶ averaged weights: match mask ─▶ box ─▶ click model's mask = pseudo label
//!                              └──▶ strong view ─────────────────▶ match mask, click round ──▶ loss against it
//! ```
//!
//! The match network is the click model's encoder with a small head ([`super::net::proposal`]), so that a device which runs
//! the click model gets a proposal for little more.
//!
//! | room | what |
//! |---|---|
//! | `config.rs` | a run as a file |
//! | `pictures.rs` | the drawn few, the rest, weak and strong views |
//! | `pseudo.rs` | what the averaged weights make of a picture without a mask |
//! | `loss.rs` | what the match network minimizes |
//! | `lesson.rs` | one picture's gradient |
//! | `run.rs` | a run that can be taken up again |
//! | `propose.rs` | proposals on whole images, their Dice |
//!
//! Sources: "SAM-Match" (semi-supervised segmentation of medical images with SAM, 2025): one network finds, the other outlines,
//! both learn; Sohn et al., "FixMatch", 2020: weak and strong views, a threshold of confidence; Tarvainen and Valpola, "Mean
//! Teacher", 2017: pseudo labels by averaged weights. What differs here is in docs/training.md.

pub mod config;
pub mod lesson;
pub mod loss;
pub mod pictures;
pub mod propose;
pub mod pseudo;
pub mod run;
