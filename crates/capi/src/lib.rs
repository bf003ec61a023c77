//! The C interface of sonotap. `include/sonotap.h` is generated from these files, and has the rules at its top; this page has what a
//! maintainer needs beside them.
//!
//! | file | what |
//! |---|---|
//! | `types.rs` | every number and structure of the header |
//! | `boundary.rs` | what no call may do: unwind, print, or call back into itself; the text of the last error |
//! | `raw.rs` | the only places that read or write through a host's pointer |
//! | `handles.rs` | handles are names, not addresses: a closed or invented one is refused |
//! | `memory.rs` | counts the library's heap; what a session may need, before it is opened |
//! | `log.rs` | log lines and wake-ups on their way to the host |
//! | `library.rs` `model.rs` `session.rs` `input.rs` `output.rs` | the functions, in the order of the header |
//! | `owner.rs` | what the display thread owns: the live path, the screen, the tickets |
//! | `numbers.rs` | states of a scene as numbers of the header |
//! | `pixels.rs` | pictures that a host lends to be written |
//! | `faults.rs` | places where a test makes a panic happen |
//!
//! Invariants, each with its test in `tests/`: no call unwinds or writes to a standard stream; a handle that met a panic answers
//! `SONOTAP_E_PANIC` until it is closed; no function blocks but `sonotap_wait`, `sonotap_step` and `sonotap_close`; a picture is handed
//! over only while it can be in time, or says itself that it is late.
#![allow(non_camel_case_types, reason = "names of the header")]
#![allow(rustdoc::broken_intra_doc_links, reason = "[any], [owner] and plane[0] are text of the header")]
#![allow(clippy::missing_safety_doc, reason = "the rules at the top of the header are the contract of every function")]

mod boundary;
mod faults;
mod handles;
mod input;
mod library;
mod log;
mod memory;
mod model;
mod numbers;
mod output;
mod owner;
mod pixels;
mod raw;
mod session;
mod types;

const _: () = assert!(size_of::<usize>() == 8, "layouts and handles are those of 64-bit processors");

#[cfg(feature = "faults")]
pub use faults::sonotap_inject_panic;
pub use input::*;
pub use library::*;
pub use model::*;
pub use output::*;
pub use session::*;
pub use types::*;
