//! The functions of the header, called as a host calls them.

#[allow(dead_code, reason = "each test program uses its part")]
mod common;

#[path = "abi/hosts.rs"]
mod hosts;
#[path = "abi/scenes.rs"]
mod scenes;
#[path = "abi/wrong.rs"]
mod wrong;
