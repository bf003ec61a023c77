//! The live path: frames in at the source's pace, outlines out within a deadline, whatever the model takes.
//!
//! ```text
//! player ──▶ FrameInput ──Arc<Frame>──▶ Latest ──▶ Live::poll: Engine.advance ──InferenceJob──▶ Latest ──▶ worker: Predictor.look
//!  (thread)   checks, numbers, dates    newest wins    (display thread)          newest wins   (thread)      │
//!                                                       │       ▲──────────────── InferenceJob, answered ─────────┘
//!                                                     Ticket ──▶ draw ──▶ hand_over ──▶ display ──▶ presented(light)
//! ```
//!
//! | file | what |
//! |---|---|
//! | `clock.rs` | monotonic time, and a clock that a test sets |
//! | `entry.rs`, `capture_time.rs` | the one door for frames: checked, numbered, dated on our clock, bounded in bytes |
//! | `latest.rs` | the slot between two threads: holds one value, the newest |
//! | `stats.rs` | fixed histograms and counters |
//! | `figures.rs` | each frame followed from capture to the glass, with the worst case |
//! | `pace.rs` | shall a frame be shown now, wait for its mask, or be dropped |
//! | `step.rs` | a model without a thread, which predicts when the host says so |
//! | `worker.rs` | the thread that looks, and is started again when it dies |
//! | `player.rs` | the thread that plays a source as if it came from the probe |
//! | `capture.rs` | the thread that reads a camera, and opens it again whatever fails |
//! | `live.rs` | the parts put together: push frames and commands, poll scenes |
//!
//! No queue here holds more than one value, the ring and the pools have a fixed size, and every drop is counted by cause.

pub mod capture;
pub mod capture_time;
pub mod clock;
pub mod entry;
mod figures;
pub mod latest;
pub mod live;
pub mod pace;
pub mod player;
pub mod stats;
pub mod step;
pub mod worker;
