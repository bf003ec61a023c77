//! libsonotap as a shared and as a static library. All functions are sonotap-capi's.
//!
//! A package of its own, so that the libraries can be built among all other packages, from the same crates with the same features:
//! `cargo rustc --crate-type` takes one package alone, for which nearly everything would be built again.

pub use sonotap_capi::*;

#[cfg(all(target_arch = "x86_64", target_os = "linux", target_env = "gnu"))]
mod hypot;
