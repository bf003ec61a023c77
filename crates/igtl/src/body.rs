//! The body of a message as it comes off a stream: bounded by its header, with a running CRC, never whole in memory.

use std::io::{self, Read};

use sonotap::{Error, Result};

use crate::message::{BodyCrc, Code, EXTENDED_BYTES, Extended, HEADER_BYTES, Header, check_crc};

/// Bytes that are taken off the stream at once.
const CHUNK_BYTES: usize = 64 << 10;

/// Why a message came to nothing.
#[derive(Debug)]
pub enum Fault {
    /// The stream is over, or has no place to go on from.
    Gone(String),
    /// This message is refused; the stream goes on.
    Refused(Code, Error),
}

impl From<io::Error> for Fault {
    fn from(e: io::Error) -> Self {
        Self::Gone(e.to_string())
    }
}

/// Takes the next header off a stream; `None` when the stream ends before it.
///
/// # Errors
/// `Gone` when it ends within the header, or what comes is no header.
pub(crate) fn next_header(stream: &mut impl Read) -> Result<Option<Header>, Fault> {
    let mut bytes = [0; HEADER_BYTES];
    match stream.read(&mut bytes[..1])? {
        0 => return Ok(None),
        _ => stream.read_exact(&mut bytes[1..])?,
    }
    Header::parse(&bytes).map(Some).map_err(|e| Fault::Gone(e.to_string()))
}

/// A body that is being read.
pub(crate) struct Body<'a, R> {
    stream: &'a mut R,
    header: Header,
    content_bytes: u64,
    metadata_bytes: u64,
    crc: BodyCrc,
}

impl<'a, R: Read> Body<'a, R> {
    /// Takes what is in front of the content off the stream.
    ///
    /// # Errors
    /// `Gone` when the stream ends, or the lengths of an extended header do not fit the body.
    pub(crate) fn open(stream: &'a mut R, header: Header) -> Result<Self, Fault> {
        let (content_bytes, crc) = (header.body_bytes, BodyCrc::default());
        let mut body = Self { stream, header, content_bytes, metadata_bytes: 0, crc };
        if header.version == 1 {
            return Ok(body);
        }
        if header.body_bytes < EXTENDED_BYTES as u64 {
            return Err(Fault::Gone(format!("{:?}: expected an extended header, got none", header.kind)));
        }
        let mut extended = [0; EXTENDED_BYTES];
        body.read(&mut extended)?;
        let around = Extended::parse(&extended, header.body_bytes).map_err(|e| Fault::Gone(e.to_string()))?;
        body.skip(around.skipped as u64)?;
        body.metadata_bytes = around.metadata as u64;
        body.content_bytes -= body.metadata_bytes;
        Ok(body)
    }

    /// Bytes of the content that are still to come.
    pub(crate) fn content_bytes(&self) -> u64 {
        self.content_bytes
    }

    /// Fills `to` with the next bytes of the content.
    ///
    /// # Errors
    /// `Refused` when the content has fewer, `Gone` when the stream ends.
    pub(crate) fn read(&mut self, to: &mut [u8]) -> Result<(), Fault> {
        if to.len() as u64 > self.content_bytes {
            let (kind, got, expected) = (self.header.kind, self.content_bytes, to.len());
            let what = format!("{kind:?}: expected {expected} more bytes, got {got}");
            return Err(Fault::Refused(Code::Unknown, crate::message::broken(what)));
        }
        for chunk in to.chunks_mut(CHUNK_BYTES) {
            self.stream.read_exact(chunk)?;
            self.content_bytes -= chunk.len() as u64;
            // While the chunk is in the cache.
            self.crc.update(chunk);
        }
        Ok(())
    }

    /// Takes the rest off the stream and checks the CRC of all.
    ///
    /// # Errors
    /// `Refused` when it is wrong, `Gone` when the stream ends.
    pub(crate) fn finish(mut self) -> Result<(), Fault> {
        self.skip(self.content_bytes)?;
        self.content_bytes = std::mem::take(&mut self.metadata_bytes);
        self.skip(self.content_bytes)?;
        check_crc(&self.header, self.crc.finish()).map_err(|e| Fault::Refused(Code::Checksum, e))
    }

    fn skip(&mut self, mut bytes: u64) -> Result<(), Fault> {
        let mut chunk = [0; 4_096];
        while bytes > 0 {
            let taken = bytes.min(chunk.len() as u64);
            self.read(&mut chunk[..taken as usize])?;
            bytes -= taken;
        }
        Ok(())
    }
}
