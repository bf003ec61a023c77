//! How good a promptable model is: data sets, simulated operators, figures with intervals, a report.
//!
//! | file | what |
//! |---|---|
//! | `dataset.rs` | a folder of images and masks to rows; what cannot be used, and why |
//! | `clicks/` | where each protocol's operator clicks; boxes |
//! | `protocol.rs` | which prompts follow which answers |
//! | `metrics.rs` `distance.rs` `components.rs` | Dice, boundary distances, the distance transform, connected components |
//! | `runner.rs` | rows on threads, stoppable |
//! | `cine.rs` | one tap, then the live path's tracker |
//! | `import/` | sets of other layouts, made such a set |
//! | `truth.rs` | what a mask file says is inside |
//! | `statistics.rs` `summary.rs` | rows to means, cluster bootstrap, calibration |
//! | `report/` `compare.rs` | `report.json`, `report.html`, two reports side by side |
//!
//! Nothing here assumes an organ, a size or a scanner. The same seed gives the same figures for any number of threads.

pub mod cine;
pub mod clicks;
pub mod compare;
pub mod components;
pub mod dataset;
pub mod distance;
pub mod import;
pub mod metrics;
pub mod protocol;
pub mod record;
pub mod report;
pub mod runner;
pub mod statistics;
pub mod summary;
pub mod truth;
