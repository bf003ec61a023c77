//! A connection: plain, or by TLS.
//!
//! Reads give what has come, and never wait for the rest of a TLS record: who asks keeps the time.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::{ServerConfig, ServerConnection};

/// First byte of a TLS connection.
const HANDSHAKE: u8 = 0x16;

/// A connection of a browser.
pub(crate) struct Channel<'s> {
    stream: &'s TcpStream,
    tls: Option<Box<ServerConnection>>,
}

/// Why there is no TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoTls {
    /// The other side speaks plain HTTP.
    Plain,
    /// It speaks something else, is too slow, or does not believe our certificate.
    Gone,
}

impl<'s> Channel<'s> {
    /// Without TLS.
    pub(crate) fn plain(stream: &'s TcpStream) -> Self {
        Self { stream, tls: None }
    }

    /// With TLS; the handshake ends within `time`.
    pub(crate) fn tls(stream: &'s TcpStream, config: Arc<ServerConfig>, time: Duration) -> Result<Self, NoTls> {
        let until = Instant::now() + time;
        let gone = |_| NoTls::Gone;
        wait(stream, until).map_err(gone)?;
        stream.set_write_timeout(Some(time)).map_err(gone)?;
        let mut first = [0];
        if stream.peek(&mut first).map_err(gone)? == 1 && first[0] != HANDSHAKE {
            return Err(if first[0].is_ascii_uppercase() { NoTls::Plain } else { NoTls::Gone });
        }
        let connection = ServerConnection::new(config).map_err(|_| NoTls::Gone)?;
        let mut channel = Self { stream, tls: Some(Box::new(connection)) };
        while channel.tls.as_ref().is_some_and(|tls| tls.is_handshaking()) {
            wait(stream, until).map_err(gone)?;
            if !channel.receive().map_err(gone)? {
                return Err(NoTls::Gone);
            }
        }
        Ok(channel)
    }

    /// The socket, for its times.
    pub(crate) fn stream(&self) -> &TcpStream {
        self.stream
    }

    /// Takes in once what has come, and answers what TLS itself has to; `false` at the end.
    fn receive(&mut self) -> io::Result<bool> {
        let Some(tls) = &mut self.tls else { return Ok(true) };
        let mut stream = self.stream;
        let is_open = tls.read_tls(&mut stream)? > 0;
        let taken = tls.process_new_packets();
        // An alert among them says why it ends.
        while tls.wants_write() {
            tls.write_tls(&mut stream)?;
        }
        match taken {
            Ok(_) => Ok(is_open),
            Err(e) => Err(io::Error::new(io::ErrorKind::InvalidData, e)),
        }
    }
}

impl Read for Channel<'_> {
    /// `Interrupted` when what has come is no whole record yet.
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else { return (&mut &*self.stream).read(into) };
        match tls.reader().read(into) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            read => return read,
        }
        if !self.receive()? {
            return Ok(0);
        }
        let read = self.tls.as_mut().map_or(Ok(0), |tls| tls.reader().read(into));
        read.map_err(|e| match e.kind() {
            io::ErrorKind::WouldBlock => io::ErrorKind::Interrupted.into(),
            _ => e,
        })
    }
}

impl Write for Channel<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut stream = self.stream;
        let Some(tls) = &mut self.tls else { return stream.write(bytes) };
        let taken = tls.writer().write(bytes)?;
        while tls.wants_write() {
            tls.write_tls(&mut stream)?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn wait(stream: &TcpStream, until: Instant) -> io::Result<()> {
    let left = until.saturating_duration_since(Instant::now());
    match left.is_zero() {
        true => Err(io::ErrorKind::TimedOut.into()),
        false => stream.set_read_timeout(Some(left)),
    }
}
