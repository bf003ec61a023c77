//! The screen of a device that has none: a browser on a phone or tablet shows it and touches it, over the device's own network.
//!
//! [`Remote`] is a [`Display`](sonotap::Display) like any other: the browser shows the pixels that a screen on the device would
//! show, and sends contacts as a touch panel does. It can also stand beside a screen and mirror it.
//!
//! | file | what |
//! |---|---|
//! | `display.rs` | the display: pictures in, contacts, controls and arrivals out |
//! | `hub.rs` | what the display thread and the connections share |
//! | `pictures.rs` | the newest picture, encoded as JPEG by one thread for all viewers |
//! | `pace.rs` | how many pictures may be under way to a viewer, and in which quality |
//! | `touches.rs` | contacts of a viewer: which picture they name, when they happened |
//! | `access.rs` | pairing, sessions, who controls |
//! | `authority.rs` | TLS: an authority of the device's own, and certificates of it |
//! | `channel.rs` | a connection, plain or by TLS |
//! | `http.rs` | requests, read within bounds of time and bytes |
//! | `server.rs` | the listener, its connections, what each address answers |
//! | `wire.rs` | the messages of the picture stream |
//! | `card.rs` | what the device shows so that a tablet can be paired: address, PIN, QR code |
//! | `page/` | the page: HTML, CSS and JavaScript, as they are |
//!
//! Terms: a *picture* is one canvas, numbered from 1; a frame is shown by one or more pictures. A picture is *under way* from its
//! sending until the page says that it was drawn. The *lead* is the viewer whose glass counts for the live path's deadline: the
//! one who controls, or else the first.
//!
//! Guarantees: a viewer has at most [`UNDERWAY_MAX`] pictures under way, newer ones displace what waits; only one viewer
//! controls; every thread is named, their number is bounded ([`CONNECTIONS_MAX`] and two), and all end with the display; nothing
//! is listened to before pairing is opened, nor after it has closed while nobody is paired.
//!
//! ```no_run
//! use sonotap::{DisplayLoop, Live, LiveConfig, Presence, Screen, ScreenConfig};
//! use sonotap_remote::{Remote, RemoteConfig};
//!
//! let remote = Remote::new(RemoteConfig::default())?;
//! println!("{}", remote.open_pairing()?.to_text());
//! let live = Live::open("models/student", LiveConfig { deadline: Some(sonotap_remote::AGE_MAX), ..LiveConfig::default() })?;
//! let mut display_loop = DisplayLoop::new(live, Screen::new(ScreenConfig::default())?, remote);
//! while display_loop.turn()?.presence == Presence::Open {
//!     display_loop.wait();
//! }
//! # Ok::<(), sonotap::Error>(())
//! ```
#![deny(unsafe_code)]

mod access;
mod authority;
mod card;
mod channel;
mod display;
mod http;
mod hub;
mod pace;
mod pictures;
mod server;
mod touches;
mod wire;

use std::time::Duration;

pub use authority::Authority;
pub use card::PairingCard;
pub use display::{Remote, RemoteConfig, RemoteReport};
pub use pace::UNDERWAY_MAX;
pub use server::CONNECTIONS_MAX;

/// Greatest age of a live frame at a tablet's glass, by default.
pub const AGE_MAX: Duration = Duration::from_millis(250);
