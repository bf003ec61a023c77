//! OpenIGTLink beside a run: the server of a profile's `[igtl]`.

use std::net::TcpListener;
use std::sync::Arc;

use anyhow::{Context, Result};
use sonotap::pipeline::live::Live;
use sonotap::profile::{IgtlProfile, IgtlTime};
use sonotap_igtl::server::{Server, listen};
use sonotap_igtl::source::{ImageSource, SourceConfig, TimeOf};

use crate::source::Origin;

/// Binds the socket, before anything slow is done: an address in use is said at once.
pub fn bind(igtl: Option<&IgtlProfile>) -> Result<Option<TcpListener>> {
    let Some(igtl) = igtl else { return Ok(None) };
    let address = IgtlProfile::address(&igtl.listen).context("igtl.listen: expected a port or ADDRESS:PORT")?;
    if !address.ip().is_loopback() {
        log::warn!(
            "OpenIGTLink listens at {address}: everybody who reaches it gets what is outlined, without authentication"
        );
    }
    Ok(Some(listen(address)?))
}

/// Starts the server on its socket; images go into `live` where they are the source.
pub fn start(
    listener: Option<TcpListener>,
    igtl: Option<&IgtlProfile>,
    origin: &Origin,
    live: &Live,
) -> Result<Option<Server>> {
    let (Some(listener), Some(igtl)) = (listener, igtl) else { return Ok(None) };
    let source = match origin {
        Origin::Igtl(images) => {
            let time = match igtl.time {
                IgtlTime::Sender => TimeOf::Sender,
                IgtlTime::Arrival => TimeOf::Arrival,
            };
            let config = SourceConfig { device: igtl.device.clone(), time };
            Some((Arc::new(ImageSource::new(live.input(), config)), *images))
        }
        _ => None,
    };
    let server = Server::start(listener, source)?;
    log::info!("OpenIGTLink listens at {}", server.address());
    Ok(Some(server))
}
