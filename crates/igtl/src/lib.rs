//! OpenIGTLink for sonotap: IMAGE messages as a source of frames; label maps, outlines in mm and measurements to every client.
//!
//! | file | what |
//! |---|---|
//! | `message.rs`, `image.rs` | messages as bytes; pure |
//! | `raster.rs` | a label map of outlines; pure |
//! | `body.rs` | a body as it comes off a stream |
//! | `source.rs` | IMAGE messages into the live path |
//! | `publish.rs` | scenes into messages |
//! | `client.rs`, `server.rs` | sockets and threads |
//!
//! Guarantees: the display thread never waits for a client and allocates nothing after warm-up; memory is bounded whatever a
//! client sends or does not read; an outline is sent only for the frame that it was computed from, and taken back with the next.
//! The protocol has no authentication and no encryption: without an address the server is bound to 127.0.0.1.
//!
//! `docs/openigtlink.md` describes what is sent, for those who receive it.
#![forbid(unsafe_code)]

mod body;
mod client;
pub mod image;
pub mod message;
pub mod publish;
pub mod raster;
pub mod server;
pub mod source;
