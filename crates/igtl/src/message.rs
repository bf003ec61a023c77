//! OpenIGTLink's messages as bytes: header, STATUS, STRING, POLYDATA, queries. IMAGE is in [`image`](crate::image).
//!
//! | term | meaning |
//! |---|---|
//! | header | 58 bytes: version, type, device name, time stamp, bytes of the body, CRC of the body |
//! | device | the name of one stream of messages; a client keeps the newest message of each type and device |
//! | content | the body without what header version 2 puts around it (extended header in front, metadata behind) |
//!
//! All numbers are big-endian. What is written has header version 1; versions 1 and 2 are read.
//!
//! Invariants: no length of a message is believed before it is checked against what is there or against a stated bound; parsing a
//! message allocates at most eight times the bytes of that message.
//!
//! Source: OpenIGTLink protocol 3.0, openigtlink.org (Documents/Protocol of the library's repository).

use std::time::Duration;

use crc::{CRC_64_ECMA_182, Crc, Digest, Table};
use sonotap::{Error, ErrorKind, Result};

/// Port that the protocol is registered for.
pub const PORT: u16 = 18_944;
/// Bytes of a header.
pub const HEADER_BYTES: usize = 58;
/// Bytes of the extended header of version 2.
pub const EXTENDED_BYTES: usize = 12;
/// Most bytes of a body. A longer one is no message that sonotap could skip in reasonable time.
pub const BODY_BYTES_MAX: u64 = 64 << 20;
/// Most bytes of a STRING's text: its length has 16 bits.
pub const STRING_BYTES_MAX: usize = u16::MAX as usize;
/// Most points of a POLYDATA that is read.
pub const POINTS_MAX: usize = 1 << 20;

static CRC64: Crc<u64, Table<16>> = Crc::<u64, Table<16>>::new(&CRC_64_ECMA_182);

/// The protocol's CRC of some bytes: CRC-64 of ECMA-182, starting at 0, not reflected.
///
/// ```
/// assert_eq!(sonotap_igtl::message::crc64(b"123456789"), 0x6C40_DF5F_0B49_7347);
/// ```
pub fn crc64(bytes: &[u8]) -> u64 {
    CRC64.checksum(bytes)
}

/// The same, of bytes that come in pieces.
pub struct BodyCrc(Digest<'static, u64, Table<16>>);

impl Default for BodyCrc {
    fn default() -> Self {
        Self(CRC64.digest())
    }
}

impl BodyCrc {
    /// The next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Of all bytes so far.
    pub fn finish(self) -> u64 {
        self.0.finalize()
    }
}

/// A time stamp: seconds since 1970 (UTC) in the upper 32 bits, 2^-32 s in the lower. 0 is no time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp(pub u64);

impl Stamp {
    /// Of a time since 1970, rounded down.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use sonotap_igtl::message::Stamp;
    /// assert_eq!(Stamp::from_unix(Duration::from_millis(1_500)), Stamp(0x0000_0001_8000_0000));
    /// ```
    pub fn from_unix(since_1970: Duration) -> Self {
        let fraction = (u64::from(since_1970.subsec_nanos()) << 32) / 1_000_000_000;
        Self((since_1970.as_secs() << 32) | fraction)
    }

    /// Time since 1970.
    pub fn to_unix(self) -> Duration {
        let nanos = ((self.0 & 0xFFFF_FFFF) * 1_000_000_000) >> 32;
        Duration::new(self.0 >> 32, nanos as u32)
    }
}

/// A text in a field of `N` bytes, padded with zeros.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Field<const N: usize>([u8; N]);

impl<const N: usize> Field<N> {
    /// The text, cut to the field at the end of a character.
    pub fn new(text: &str) -> Self {
        let mut end = text.len().min(N);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let mut bytes = [0; N];
        bytes[..end].copy_from_slice(&text.as_bytes()[..end]);
        Self(bytes)
    }

    /// Up to the first zero, and no further than it is text.
    pub fn as_str(&self) -> &str {
        let text = &self.0[..self.0.iter().position(|&b| b == 0).unwrap_or(N)];
        match std::str::from_utf8(text) {
            Ok(text) => text.trim_end(),
            Err(e) => std::str::from_utf8(&text[..e.valid_up_to()]).unwrap_or_default(),
        }
    }
}

impl<const N: usize> std::fmt::Debug for Field<N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

/// What comes before every body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// 1, or 2 with an extended header in the body.
    pub version: u16,
    /// Such as IMAGE or GET_STATUS.
    pub kind: Field<12>,
    /// Name of the stream.
    pub device: Field<20>,
    /// When the content was captured.
    pub stamp: Stamp,
    /// Bytes of the body.
    pub body_bytes: u64,
    /// CRC of the body.
    pub crc: u64,
}

impl Header {
    /// Reads a header.
    ///
    /// # Errors
    /// `Format` when it is none: after that the stream has no place to go on from. Expected are version 1 or 2, a type in
    /// printable ASCII and at most [`BODY_BYTES_MAX`] bytes.
    pub fn parse(bytes: &[u8; HEADER_BYTES]) -> Result<Self> {
        let mut cursor = Cursor(bytes);
        let header = Self {
            version: cursor.u16()?,
            kind: Field(cursor.array()?),
            device: Field(cursor.array()?),
            stamp: Stamp(cursor.u64()?),
            body_bytes: cursor.u64()?,
            crc: cursor.u64()?,
        };
        if !(1..=2).contains(&header.version) {
            return Err(broken(format!("header: expected version 1 or 2, got {}", header.version)));
        }
        let name = header.kind.as_str();
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(broken(format!("header: expected a type in printable ASCII, got {name:?}")));
        }
        if header.body_bytes > BODY_BYTES_MAX {
            let got = header.body_bytes;
            return Err(broken(format!("{name}: expected a body of at most {BODY_BYTES_MAX} bytes, got {got}")));
        }
        Ok(header)
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.version.to_be_bytes());
        out.extend_from_slice(&self.kind.0);
        out.extend_from_slice(&self.device.0);
        for number in [self.stamp.0, self.body_bytes, self.crc] {
            out.extend_from_slice(&number.to_be_bytes());
        }
    }
}

/// Appends a message of header version 1; `body` appends its body.
///
/// ```
/// use sonotap_igtl::message::{Message, Stamp, append, append_string};
/// let mut out = Vec::new();
/// append(&mut out, "STRING", "Sonotap", Stamp(7), |body| append_string(body, "{}"));
/// let message = Message::parse(&out)?;
/// assert_eq!((message.header.device.as_str(), message.header.stamp), ("Sonotap", Stamp(7)));
/// # Ok::<(), sonotap::Error>(())
/// ```
pub fn append(out: &mut Vec<u8>, kind: &str, device: &str, stamp: Stamp, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    let mut header =
        Header { version: 1, kind: Field::new(kind), device: Field::new(device), stamp, body_bytes: 0, crc: 0 };
    header.write(out);
    body(out);
    let body = &out[start + HEADER_BYTES..];
    (header.body_bytes, header.crc) = (body.len() as u64, crc64(body));
    let mut written = Vec::with_capacity(HEADER_BYTES);
    header.write(&mut written);
    out[start..start + HEADER_BYTES].copy_from_slice(&written);
}

/// A whole message in memory.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Its header.
    pub header: Header,
    /// Its content, whose CRC is right.
    pub content: &'a [u8],
    /// Bytes of header and body.
    pub bytes: usize,
}

impl<'a> Message<'a> {
    /// Reads the message that `bytes` begin with.
    ///
    /// # Errors
    /// `Format` when it is truncated, no message, or its CRC is wrong.
    pub fn parse(bytes: &'a [u8]) -> Result<Self> {
        let Some((head, rest)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
            return Err(broken(format!("header: expected {HEADER_BYTES} bytes, got {}", bytes.len())));
        };
        let header = Header::parse(head)?;
        let body_bytes = header.body_bytes as usize;
        let name = header.kind;
        let Some(body) = rest.get(..body_bytes) else {
            return Err(broken(format!("{name:?}: expected a body of {body_bytes} bytes, got {}", rest.len())));
        };
        check_crc(&header, crc64(body))?;
        let content = match header.version {
            1 => body,
            _ => {
                let Some((extended, after)) = body.split_first_chunk::<EXTENDED_BYTES>() else {
                    return Err(broken(format!("{name:?}: expected an extended header, got {body_bytes} bytes")));
                };
                let around = Extended::parse(extended, header.body_bytes)?;
                &after[around.skipped..after.len() - around.metadata]
            }
        };
        Ok(Self { header, content, bytes: HEADER_BYTES + body_bytes })
    }
}

/// Whether a body is what its header says.
///
/// # Errors
/// `Format` when it is not.
pub fn check_crc(header: &Header, got: u64) -> Result<()> {
    match header.crc == got {
        true => Ok(()),
        false => Err(broken(format!("{:?}: expected a body of CRC {:016x}, got {got:016x}", header.kind, header.crc))),
    }
}

/// What header version 2 puts around a content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extended {
    /// Bytes of the extended header beyond the twelve that are known.
    pub skipped: usize,
    /// Bytes of metadata behind the content.
    pub metadata: usize,
}

impl Extended {
    /// Reads the extended header of a body of that length.
    ///
    /// # Errors
    /// `Format` when its lengths do not fit the body.
    pub fn parse(bytes: &[u8; EXTENDED_BYTES], body_bytes: u64) -> Result<Self> {
        let mut cursor = Cursor(bytes);
        let (own, index, values) = (u64::from(cursor.u16()?), u64::from(cursor.u16()?), u64::from(cursor.u32()?));
        let metadata = index + values;
        if own < EXTENDED_BYTES as u64 || own + metadata > body_bytes {
            let expected = format!("expected an extended header and metadata within {body_bytes} bytes");
            return Err(broken(format!("header version 2: {expected}, got {own} and {metadata}")));
        }
        Ok(Self { skipped: own as usize - EXTENDED_BYTES, metadata: metadata as usize })
    }
}

/// What a type asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// A message itself.
    Tell,
    /// GET_: the newest one.
    Get,
    /// STT_: all from now on.
    Start,
    /// STP_: no more.
    Stop,
    /// RTS_: an answer to one of these.
    Answer,
}

/// The verb of a type, and the type without it.
///
/// ```
/// use sonotap_igtl::message::{Verb, verb_of};
/// assert_eq!(verb_of("STT_POLYDATA"), (Verb::Start, "POLYDATA"));
/// assert_eq!(verb_of("IMAGE"), (Verb::Tell, "IMAGE"));
/// ```
pub fn verb_of(kind: &str) -> (Verb, &str) {
    let verbs = [("GET_", Verb::Get), ("STT_", Verb::Start), ("STP_", Verb::Stop), ("RTS_", Verb::Answer)];
    verbs.iter().find_map(|(name, verb)| Some((*verb, kind.strip_prefix(name)?))).unwrap_or((Verb::Tell, kind))
}

/// The protocol's codes that sonotap sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Code {
    /// All is well.
    Ok = 1,
    /// Somebody else has it.
    Busy = 6,
    /// What was expected does not come.
    TimeOut = 7,
    /// A body does not match its CRC.
    Checksum = 9,
    /// Something that is not handled.
    Unknown = 12,
    /// Not yet.
    NotReady = 13,
}

/// A STATUS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// As the protocol counts them.
    pub code: u16,
    /// The sender's own number.
    pub sub_code: i64,
    /// A short word.
    pub name: String,
    /// A sentence.
    pub text: String,
}

/// Longest text of a STATUS, bytes.
const STATUS_TEXT_MAX: usize = 1_024;

impl Status {
    /// Appends the body.
    pub fn append(out: &mut Vec<u8>, code: Code, name: &str, text: &str) {
        out.extend_from_slice(&(code as u16).to_be_bytes());
        out.extend_from_slice(&0_i64.to_be_bytes());
        out.extend_from_slice(&Field::<20>::new(name).0);
        out.extend_from_slice(Field::<STATUS_TEXT_MAX>::new(text).as_str().as_bytes());
        out.push(0);
    }

    /// Reads a content.
    ///
    /// # Errors
    /// `Format` when it is truncated.
    pub fn parse(content: &[u8]) -> Result<Self> {
        let mut cursor = Cursor(content);
        let (code, sub_code) = (cursor.u16()?, cursor.u64()? as i64);
        let name: Field<20> = Field(cursor.array()?);
        let text = cursor.0.split(|&b| b == 0).next().unwrap_or_default();
        let text = String::from_utf8_lossy(&text[..text.len().min(STATUS_TEXT_MAX)]).into_owned();
        Ok(Self { code, sub_code, name: name.as_str().into(), text })
    }
}

/// Character set of a STRING: ASCII and UTF-8 in IANA's registry.
const ASCII: u16 = 3;
const UTF_8: u16 = 106;

/// Appends the body of a STRING; a text beyond [`STRING_BYTES_MAX`] is cut.
pub fn append_string(out: &mut Vec<u8>, text: &str) {
    let mut end = text.len().min(STRING_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let text = &text[..end];
    out.extend_from_slice(&(if text.is_ascii() { ASCII } else { UTF_8 }).to_be_bytes());
    out.extend_from_slice(&(text.len() as u16).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// Reads the content of a STRING in ASCII or UTF-8.
///
/// # Errors
/// `Format` when it is truncated or no such text, `Unsupported` for another character set.
pub fn parse_string(content: &[u8]) -> Result<&str> {
    let mut cursor = Cursor(content);
    let (set, bytes) = (cursor.u16()?, usize::from(cursor.u16()?));
    if ![ASCII, UTF_8].contains(&set) {
        return Err(Error::new(ErrorKind::Unsupported, format!("STRING: expected character set 3 or 106, got {set}")));
    }
    std::str::from_utf8(cursor.take(bytes)?).map_err(|e| broken(format!("STRING: expected UTF-8: {e}")))
}

/// Points and closed lines of a POLYDATA; other cells and attributes are neither written nor kept.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PolyData {
    /// x, y, z in mm.
    pub points: Vec<[f32; 3]>,
    /// Each line as indices of points; a closed one ends where it begins.
    pub lines: Vec<Vec<u32>>,
}

impl PolyData {
    /// Appends the body of one closed line a ring, from points in the order of the rings.
    ///
    /// Cost: none but the bytes.
    pub fn append_rings(out: &mut Vec<u8>, points: impl Iterator<Item = [f32; 3]> + Clone, ring_lens: &[usize]) {
        let count: usize = ring_lens.iter().sum();
        let line_bytes: usize = ring_lens.iter().map(|n| 4 * (n + 2)).sum();
        let mut sizes = [0_u32; 10];
        (sizes[0], sizes[3], sizes[4]) = (count as u32, ring_lens.len() as u32, line_bytes as u32);
        sizes.iter().for_each(|n| out.extend_from_slice(&n.to_be_bytes()));
        for point in points.take(count) {
            point.iter().for_each(|v| out.extend_from_slice(&v.to_be_bytes()));
        }
        let mut first = 0_u32;
        for &len in ring_lens {
            let len = len as u32;
            for index in [len + 1].into_iter().chain(first..first + len).chain([first]) {
                out.extend_from_slice(&index.to_be_bytes());
            }
            first += len;
        }
    }

    /// Reads a content.
    ///
    /// # Errors
    /// `Format` when its lengths do not fit it, a line names a point that is not there, or there are more than [`POINTS_MAX`].
    pub fn parse(content: &[u8]) -> Result<Self> {
        let mut cursor = Cursor(content);
        let mut sizes = [0_u32; 10];
        for size in &mut sizes {
            *size = cursor.u32()?;
        }
        let [points, _, vertex_bytes, lines, line_bytes, ..] = sizes.map(|n| n as usize);
        if points > POINTS_MAX {
            return Err(broken(format!("POLYDATA: expected at most {POINTS_MAX} points, got {points}")));
        }
        let numbers = cursor.take(points * 12)?;
        let f32_at = |at: usize| f32::from_be_bytes([numbers[at], numbers[at + 1], numbers[at + 2], numbers[at + 3]]);
        let points: Vec<_> = (0..points).map(|i| [0, 4, 8].map(|k| f32_at(12 * i + k))).collect();
        cursor.take(vertex_bytes)?;
        let mut cells = Cursor(cursor.take(line_bytes)?);
        let mut out = Self { points, lines: Vec::new() };
        while !cells.0.is_empty() {
            let len = cells.u32()? as usize;
            if len < 2 {
                return Err(broken(format!("POLYDATA: expected a line of at least 2 points, got {len}")));
            }
            // Taken before anything is allocated for it.
            let mut indices = Cursor(cells.take(len.saturating_mul(4))?);
            let line = (0..len).map(|_| indices.u32()).collect::<Result<Vec<_>>>()?;
            if let Some(index) = line.iter().find(|i| **i as usize >= out.points.len()) {
                return Err(broken(format!("POLYDATA: expected an index below {}, got {index}", out.points.len())));
            }
            out.lines.push(line);
        }
        match out.lines.len() == lines {
            true => Ok(out),
            false => Err(broken(format!("POLYDATA: expected {lines} lines, got {}", out.lines.len()))),
        }
    }
}

/// Takes numbers off the front of bytes.
pub(crate) struct Cursor<'a>(pub &'a [u8]);

impl<'a> Cursor<'a> {
    pub(crate) fn take(&mut self, bytes: usize) -> Result<&'a [u8]> {
        let Some((taken, rest)) = self.0.split_at_checked(bytes) else {
            return Err(broken(format!("content: expected {bytes} more bytes, got {}", self.0.len())));
        };
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    pub(crate) fn u8(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    pub(crate) fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    pub(crate) fn f32(&mut self) -> Result<f32> {
        Ok(f32::from_be_bytes(self.array()?))
    }
}

pub(crate) fn broken(context: String) -> Error {
    Error::new(ErrorKind::Format, context)
}
