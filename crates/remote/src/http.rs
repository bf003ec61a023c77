//! Requests of HTTP/1.1, read within bounds of time and bytes, and answers.

use std::io::{self, Read as _, Write as _};
use std::time::{Duration, Instant};

use crate::channel::Channel;

/// Bytes of a request's head, at most.
const HEAD_MAX: usize = 8 * 1024;
/// Bytes of a body, at most.
pub(crate) const BODY_MAX: usize = 8 * 1024;
/// Header lines, at most.
const HEADERS_MAX: usize = 48;
/// From the first byte of a request to its last, at most.
const REQUEST_TIME: Duration = Duration::from_secs(5);
/// An answer is sent within this time, or given up.
const WRITE_TIME: Duration = Duration::from_secs(5);

/// Sent with every answer.
const SAFE: &str = "Content-Security-Policy: default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'\r\n\
    X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\nCross-Origin-Resource-Policy: same-origin\r\n\
    Cross-Origin-Opener-Policy: same-origin\r\nCache-Control: no-store\r\n";

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    /// GET.
    Get,
    /// POST.
    Post,
}

/// A request: what is used of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// GET or POST.
    pub method: Method,
    /// Without the query.
    pub path: String,
    /// Of `Host`.
    pub host: String,
    /// Of `Origin`.
    pub origin: Option<String>,
    /// Of `Sec-Fetch-Site`.
    pub fetch_site: Option<String>,
    /// Of `Cookie`.
    pub cookies: String,
    /// The body.
    pub body: Vec<u8>,
}

impl Request {
    /// The value of a cookie.
    pub(crate) fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies.split("; ").find_map(|c| c.split_once('=').filter(|(n, _)| *n == name)).map(|(_, value)| value)
    }
}

/// Why there is no request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoRequest {
    /// The other side closed, sends nothing, or too slowly.
    Gone,
    /// What came is refused with this status; nothing after it is read.
    Refused(u16),
}

/// Reads requests of a connection, one after the other.
pub(crate) struct Requests {
    bytes: Vec<u8>,
}

/// A parsed head, and its length in bytes.
struct Head {
    request: Request,
    body_len: usize,
    length: usize,
}

impl Requests {
    /// Those of a new connection.
    pub(crate) fn new() -> Self {
        Self { bytes: Vec::with_capacity(1024) }
    }

    /// The next request. Waits `idle` for its first byte, then as long as a request may take.
    pub(crate) fn next(&mut self, channel: &mut Channel, idle: Duration) -> Result<Request, NoRequest> {
        let mut until = Instant::now() + idle;
        while self.bytes.is_empty() {
            self.read(channel, until)?;
        }
        until = Instant::now() + REQUEST_TIME;
        let head = loop {
            match parse_head(&self.bytes)? {
                Some(head) => break head,
                None if self.bytes.len() >= HEAD_MAX => return Err(NoRequest::Refused(431)),
                None => self.read(channel, until)?,
            }
        };
        let Head { mut request, body_len, length } = head;
        if length > HEAD_MAX {
            return Err(NoRequest::Refused(431));
        }
        while self.bytes.len() < length + body_len {
            self.read(channel, until)?;
        }
        request.body = self.bytes[length..length + body_len].to_vec();
        self.bytes.drain(..length + body_len);
        Ok(request)
    }

    fn read(&mut self, channel: &mut Channel, until: Instant) -> Result<(), NoRequest> {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() || channel.stream().set_read_timeout(Some(left)).is_err() {
            return Err(NoRequest::Gone);
        }
        let mut piece = [0; 2048];
        match channel.read(&mut piece) {
            Ok(0) => Err(NoRequest::Gone),
            Ok(n) => {
                self.bytes.extend_from_slice(&piece[..n]);
                Ok(())
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(_) => Err(NoRequest::Gone),
        }
    }
}

/// `None` while the head is not whole.
fn parse_head(bytes: &[u8]) -> Result<Option<Head>, NoRequest> {
    let refused = |status| Err(NoRequest::Refused(status));
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut parsed = httparse::Request::new(&mut headers);
    let length = match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return refused(431),
        Err(_) => return refused(400),
    };
    let method = match parsed.method {
        Some("GET") => Method::Get,
        Some("POST") => Method::Post,
        _ => return refused(405),
    };
    // A header that decides something is there once.
    let one = |name: &str| -> Result<Option<String>, NoRequest> {
        let mut found = parsed.headers.iter().filter(|h| h.name.eq_ignore_ascii_case(name));
        match (found.next(), found.next()) {
            (None, _) => Ok(None),
            (Some(h), None) => match std::str::from_utf8(h.value) {
                Ok(value) => Ok(Some(value.trim().to_owned())),
                Err(_) => Err(NoRequest::Refused(400)),
            },
            (Some(_), Some(_)) => Err(NoRequest::Refused(400)),
        }
    };
    if one("transfer-encoding")?.is_some() {
        return refused(501);
    }
    let body_len = match one("content-length")? {
        None if method == Method::Post => return refused(411),
        None => 0,
        Some(text) if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => {
            text.parse::<usize>().unwrap_or(usize::MAX)
        }
        Some(_) => return refused(400),
    };
    if body_len > BODY_MAX || method == Method::Get && body_len > 0 {
        return refused(413);
    }
    let path = parsed.path.unwrap_or_default();
    let request = Request {
        method,
        path: path.split('?').next().unwrap_or_default().to_owned(),
        host: one("host")?.unwrap_or_default(),
        origin: one("origin")?,
        fetch_site: one("sec-fetch-site")?,
        cookies: one("cookie")?.unwrap_or_default(),
        body: Vec::new(),
    };
    Ok(Some(Head { request, body_len, length }))
}

/// An answer.
pub(crate) struct Answer<'a> {
    /// Status.
    pub status: u16,
    /// Media type of the body.
    pub kind: &'a str,
    /// More header lines, each with its line end.
    pub more: &'a str,
    /// The body.
    pub body: &'a [u8],
}

impl<'a> Answer<'a> {
    /// A status with a short text.
    pub(crate) fn text(status: u16, body: &'a str) -> Self {
        Self { status, kind: "text/plain; charset=utf-8", more: "", body: body.as_bytes() }
    }

    /// Sends it; the connection stays open when `stays`.
    ///
    /// # Errors
    /// Those of the socket.
    pub(crate) fn send(&self, channel: &mut Channel, stays: bool) -> io::Result<()> {
        let Self { status, kind, more, body } = self;
        let connection = if stays { "keep-alive" } else { "close" };
        let head = format!(
            "HTTP/1.1 {status} {}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: {connection}\r\n{SAFE}{more}\r\n",
            reason(*status),
            body.len(),
        );
        channel.stream().set_write_timeout(Some(WRITE_TIME))?;
        let mut all = head.into_bytes();
        all.extend_from_slice(body);
        channel.write_all(&all)
    }
}

/// Begins an answer whose body ends with the connection.
///
/// # Errors
/// Those of the socket.
pub(crate) fn begin_stream(channel: &mut Channel) -> io::Result<()> {
    channel.stream().set_write_timeout(Some(WRITE_TIME))?;
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nConnection: close\r\n{SAFE}\r\n");
    channel.write_all(head.as_bytes())
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        409 => "Conflict",
        411 => "Length Required",
        413 => "Content Too Large",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        _ => "Error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_taken_whole_and_what_is_ambiguous_is_refused() {
        let refused = |text: &str| match parse_head(text.as_bytes()) {
            Err(NoRequest::Refused(status)) => status,
            other => panic!("{text:?}: {:?}", other.map(|h| h.map(|h| h.request))),
        };
        let good = "POST /seen?x HTTP/1.1\r\nHost: 10.0.0.1:8080\r\nORIGIN: http://10.0.0.1:8080\r\ncookie: a=1; s=2\r\nContent-Length: 5\r\n\r\nabc";
        for cut in 0..good.len() - 3 {
            assert!(parse_head(&good.as_bytes()[..cut]).unwrap().is_none(), "{cut}");
        }
        let head = parse_head(good.as_bytes()).unwrap().unwrap();
        assert_eq!((head.body_len, head.length), (5, good.len() - 3));
        assert_eq!((head.request.path.as_str(), head.request.host.as_str()), ("/seen", "10.0.0.1:8080"));
        assert_eq!((head.request.cookie("s"), head.request.cookie("t")), (Some("2"), None));
        for (text, status) in [
            ("DELETE / HTTP/1.1\r\n\r\n", 405),
            ("POST / HTTP/1.1\r\n\r\n", 411),
            ("POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
            ("POST / HTTP/1.1\r\nContent-Length: +1\r\n\r\n", 400),
            ("POST / HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n", 413),
            ("POST / HTTP/1.1\r\nContent-Length: 8193\r\n\r\n", 413),
            ("GET / HTTP/1.1\r\nContent-Length: 1\r\n\r\n", 413),
            ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", 501),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
            ("\u{16}\u{3}\u{1}", 400),
            ("GET / HTTP/1.1\r\nbad header\r\n\r\n", 400),
        ] {
            assert_eq!(refused(text), status, "{text:?}");
        }
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(HEADERS_MAX + 1));
        assert_eq!(refused(&many), 431);
    }
}
