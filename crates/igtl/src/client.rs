//! One client: a thread that reads its messages, and one that writes ours.
//!
//! Between the encoder and the writer is a slot for one bundle, so a client that reads slowly gets the newest state and costs
//! nobody else anything. One that takes nothing for [`STUCK`] is cut off.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sonotap::pipeline::latest::{Latest, Wake};

use crate::body::{Body, Fault, next_header};
use crate::message::{Code, HEADER_BYTES, Header, Stamp, Status, Verb, append, verb_of};
use crate::publish::{Bundle, DEVICE, PARTS, kind_of};
use crate::server::Counters;
use crate::source::{ImageSource, Peer};

/// A client whose socket takes nothing for so long is cut off.
pub(crate) const STUCK: Duration = Duration::from_secs(5);
/// A message may take so long from its first byte to its last.
const MESSAGE_MAX: Duration = Duration::from_secs(10);
/// How often a thread that waits looks whether it is to end.
const LOOK: Duration = Duration::from_millis(250);
/// Most bytes of answers that wait for a client.
const ANSWERS_MAX: usize = 16 << 10;

/// A connection, shared by its two threads and the server.
pub(crate) struct Client {
    pub(crate) peer: Peer,
    stream: TcpStream,
    newest: Latest<Bundle>,
    wishes: Mutex<Wishes>,
    is_closed: AtomicBool,
    /// Whether it gets what we have to say.
    is_listener: bool,
    counters: Arc<Counters>,
}

#[derive(Default)]
struct Wishes {
    /// Parts that are not to be sent unless asked for.
    stopped: [bool; PARTS],
    /// Parts to be sent, new or not.
    again: [bool; PARTS],
    /// Whole messages.
    answers: Vec<u8>,
}

impl Client {
    /// A client of an accepted or opened connection; one that is no listener has no writer.
    ///
    /// # Errors
    /// Those of the socket.
    pub(crate) fn new(
        stream: TcpStream,
        address: SocketAddr,
        connection: u64,
        counters: Arc<Counters>,
        is_listener: bool,
    ) -> io::Result<Self> {
        stream.set_nonblocking(false)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(LOOK))?;
        stream.set_write_timeout(Some(STUCK))?;
        let (peer, wishes) = (Peer { connection, ip: address.ip() }, Mutex::default());
        let newest = Latest::new(Wake::default());
        Ok(Self { peer, stream, newest, wishes, is_closed: AtomicBool::new(false), is_listener, counters })
    }

    /// Whether its threads are to end.
    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    /// Ends its threads.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        // Already gone is as good.
        let _ = self.stream.shutdown(Shutdown::Both);
        self.newest.wake().wake();
    }

    /// The newest state; never waits.
    pub(crate) fn offer(&self, bundle: &Bundle) {
        if self.is_listener && self.newest.put(bundle.clone()).is_some() {
            self.counters.skipped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Reads until the connection ends. The thread of its name.
    pub(crate) fn read(&self, source: Option<&ImageSource>) {
        let mut stream = Patient { client: self, until: None };
        let mut last_told = String::new();
        let why = loop {
            stream.until = None;
            let header = match next_header(&mut stream) {
                Ok(Some(header)) => header,
                Ok(None) => break "closed by the peer".to_owned(),
                Err(Fault::Gone(why)) => break why,
                Err(Fault::Refused(_, e)) => break e.to_string(),
            };
            match self.message(&mut stream, header, source) {
                Ok(()) => {}
                Err(Fault::Gone(why)) => break why,
                Err(Fault::Refused(code, e)) => {
                    // Once for the same reason, not for every image.
                    let text = e.to_string();
                    if text != last_told {
                        log::warn!("OpenIGTLink, {}: {text}", self.peer.ip);
                        self.answer("STATUS", |out| Status::append(out, code, "refused", &text));
                        last_told = text;
                    }
                }
            }
        };
        if let Some(source) = source {
            source.left(self.peer);
        }
        if !self.is_closed() {
            log::info!("OpenIGTLink, {}: {why}", self.peer.ip);
        }
        self.close();
    }

    fn message(&self, stream: &mut Patient<'_>, header: Header, source: Option<&ImageSource>) -> Result<(), Fault> {
        let (verb, kind) = verb_of(header.kind.as_str());
        if let ((Verb::Tell, "IMAGE"), Some(source)) = ((verb, kind), source) {
            return source.receive(stream, &header, self.peer);
        }
        Body::open(stream, header)?.finish()?;
        match verb {
            Verb::Tell | Verb::Answer => {}
            Verb::Get if kind == "CAPABIL" => self.answer("CAPABILITY", |out| {
                for name in ["STATUS", "IMAGE", "POLYDATA", "STRING"] {
                    let mut field = [0; 12];
                    field[..name.len()].copy_from_slice(name.as_bytes());
                    out.extend_from_slice(&field);
                }
            }),
            Verb::Get | Verb::Start | Verb::Stop => self.wish(verb, kind),
        }
        Ok(())
    }

    fn wish(&self, verb: Verb, kind: &str) {
        let mut is_known = false;
        {
            let mut wishes = lock(&self.wishes);
            for part in (0..PARTS).filter(|part| kind_of(*part) == kind) {
                is_known = true;
                match verb {
                    Verb::Get => wishes.again[part] = true,
                    Verb::Start => (wishes.stopped[part], wishes.again[part]) = (false, true),
                    _ => wishes.stopped[part] = true,
                }
            }
        }
        match verb {
            Verb::Get if is_known => self.newest.wake().wake(),
            Verb::Get => self.answer("STATUS", |out| {
                Status::append(
                    out,
                    Code::Unknown,
                    "unknown",
                    &format!("GET_{kind}: expected IMAGE, POLYDATA, STRING or STATUS"),
                );
            }),
            _ => self.answer(&format!("RTS_{kind}"), |out| out.push(u8::from(!is_known))),
        }
    }

    fn answer(&self, kind: &str, body: impl FnOnce(&mut Vec<u8>)) {
        let mut wishes = lock(&self.wishes);
        if self.is_listener && wishes.answers.len() < ANSWERS_MAX {
            append(&mut wishes.answers, kind, DEVICE, Stamp(0), body);
        }
        drop(wishes);
        self.newest.wake().wake();
    }

    /// Writes until the connection ends. The thread of its name.
    pub(crate) fn write(&self) {
        let mut sent = [0; PARTS];
        let mut current = Bundle::default();
        while !self.is_closed() {
            self.newest.wake().sleep(LOOK);
            if let Err(e) = self.write_what_is_new(&mut current, &mut sent) {
                let is_stuck = matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut);
                if is_stuck && !self.is_closed() {
                    self.counters.stuck.fetch_add(1, Ordering::Relaxed);
                    log::warn!("OpenIGTLink, {}: takes nothing for {} s, cut off", self.peer.ip, STUCK.as_secs());
                }
                self.close();
            }
        }
    }

    fn write_what_is_new(&self, current: &mut Bundle, sent: &mut [u64; PARTS]) -> io::Result<()> {
        let (stopped, again, answers) = {
            let mut wishes = lock(&self.wishes);
            (wishes.stopped, std::mem::take(&mut wishes.again), std::mem::take(&mut wishes.answers))
        };
        (&self.stream).write_all(&answers)?;
        if let Some(bundle) = self.newest.take() {
            *current = bundle;
        }
        for (i, part) in current.parts.iter().enumerate() {
            let is_new = part.revision != sent[i] && !stopped[i];
            if (is_new || again[i]) && part.bytes.len() >= HEADER_BYTES {
                (&self.stream).write_all(&part.bytes)?;
                sent[i] = part.revision;
                self.counters.messages.fetch_add(1, Ordering::Relaxed);
                self.counters.bytes.fetch_add(part.bytes.len() as u64, Ordering::Relaxed);
            }
        }
        Ok(())
    }
}

/// A socket that is read without end between messages, and within [`MESSAGE_MAX`] within one.
struct Patient<'a> {
    client: &'a Client,
    /// Set by the first byte of a message.
    until: Option<Instant>,
}

impl Read for Patient<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.client.is_closed() {
                return Err(io::Error::other("closed"));
            }
            if self.until.is_some_and(|until| Instant::now() > until) {
                let what = format!("a message took more than {} s", MESSAGE_MAX.as_secs());
                return Err(io::Error::other(what));
            }
            match (&self.client.stream).read(to) {
                Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                done => {
                    self.until.get_or_insert_with(|| Instant::now() + MESSAGE_MAX);
                    return done;
                }
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
