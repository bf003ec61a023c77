//! The server: a listening socket, its clients, and the thread that makes messages of scenes.
//!
//! | thread | number | what |
//! |---|---|---|
//! | `igtl-accept` | 1 | takes connections, forgets those that are over |
//! | `igtl-encode` | 1 | makes messages of the newest scene, gives them to all clients |
//! | `igtl-read`, `igtl-write` | one each a client, at most [`CLIENTS_MAX`] | reads and writes a socket |
//! | `igtl-connect` | 1, where a source is connected to | opens that connection again and again, and reads it |
//!
//! All end when the [`Server`] is dropped.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde::Serialize;
use sonotap::{Error, ErrorKind, Result};

use crate::client::Client;
use crate::publish::{Bundle, Encoder, Post, Publisher};
use crate::source::{ImageSource, SourceReport};

/// Most clients at a time; a further one is closed at once.
pub const CLIENTS_MAX: usize = 8;
/// How often the accepting thread looks for connections.
const ACCEPT: Duration = Duration::from_millis(25);
/// From one vain attempt to connect to the next.
const RETRY: Duration = Duration::from_millis(250);
/// Longest wait for a connection to be opened, and of the encoder for a scene.
const CONNECT: Duration = Duration::from_millis(500);
const SCENE: Duration = Duration::from_millis(100);

/// Binds a listening socket.
///
/// # Errors
/// `Unavailable` when the address is in use, or none of this machine's.
pub fn listen(address: SocketAddr) -> Result<TcpListener> {
    let listening = TcpListener::bind(address).and_then(|l| l.set_nonblocking(true).map(|()| l));
    listening.map_err(|e| Error::caused(ErrorKind::Unavailable, format!("OpenIGTLink at {address}: {e}"), e))
}

/// What the server does.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    clients: AtomicU64,
    turned_away: AtomicU64,
    pub stuck: AtomicU64,
    pub skipped: AtomicU64,
    pub messages: AtomicU64,
    pub bytes: AtomicU64,
    encoded: AtomicU64,
    beats: AtomicU64,
}

/// What the server did.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ServerReport {
    /// Connections taken.
    pub clients: u64,
    /// Connections closed at once because there were [`CLIENTS_MAX`].
    pub turned_away: u64,
    /// Clients cut off because they took nothing.
    pub stuck: u64,
    /// States that messages were made of.
    pub encoded: u64,
    /// States that a client was given and did not get, because a newer one came first.
    pub skipped: u64,
    /// Messages written.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What came in, where IMAGE messages are the source.
    pub source: Option<SourceReport>,
}

/// Where IMAGE messages come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// From whoever connects to us.
    Clients,
    /// From a server that we connect to.
    Server(SocketAddr),
}

struct Shared {
    clients: Mutex<Vec<Arc<Client>>>,
    /// Guarded by the same lock as the clients, so that a new one misses nothing.
    newest: Mutex<Bundle>,
    counters: Arc<Counters>,
    is_stopped: AtomicBool,
    source: Option<Arc<ImageSource>>,
    origin: Origin,
}

/// A running server.
pub struct Server {
    shared: Arc<Shared>,
    post: Post,
    address: SocketAddr,
    threads: Vec<JoinHandle<()>>,
    publisher: Option<Publisher>,
}

impl Server {
    /// Starts it. IMAGE messages go to `source`, where there is one.
    ///
    /// # Errors
    /// `Unavailable` when a thread cannot be had.
    pub fn start(listener: TcpListener, source: Option<(Arc<ImageSource>, Origin)>) -> Result<Self> {
        let unknown = |e| Error::caused(ErrorKind::Unavailable, "OpenIGTLink: a socket without an address", e);
        let address = listener.local_addr().map_err(unknown)?;
        let origin = source.as_ref().map_or(Origin::Clients, |(_, origin)| *origin);
        let source = source.map(|(source, _)| source);
        let post = Post::default();
        let encoder = Encoder::new(post.clone(), source.clone());
        let shared = Arc::new(Shared {
            clients: Mutex::default(),
            newest: Mutex::new(encoder.bundle().clone()),
            counters: Arc::default(),
            is_stopped: AtomicBool::new(false),
            source,
            origin,
        });
        let publisher = Some(Publisher::new(post.clone()));
        let mut server = Self { shared, post, address, threads: Vec::new(), publisher };
        let shared = server.shared.clone();
        server.spawn("igtl-accept", move || shared.accept(&listener))?;
        let shared = server.shared.clone();
        server.spawn("igtl-encode", move || shared.encode(encoder))?;
        if let Origin::Server(address) = origin {
            let shared = server.shared.clone();
            server.spawn("igtl-connect", move || shared.connect(address))?;
        }
        Ok(server)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The display thread's side; there is one.
    pub fn publisher(&mut self) -> Option<Publisher> {
        self.publisher.take()
    }

    /// What it did so far.
    pub fn report(&self) -> ServerReport {
        let c = &self.shared.counters;
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ServerReport {
            clients: count(&c.clients),
            turned_away: count(&c.turned_away),
            stuck: count(&c.stuck),
            encoded: count(&c.encoded),
            skipped: count(&c.skipped),
            messages: count(&c.messages),
            bytes: count(&c.bytes),
            source: self.shared.source.as_ref().map(|s| s.report()),
        }
    }

    /// Whether images come.
    pub fn is_streaming(&self) -> bool {
        self.shared.source.as_ref().is_some_and(|s| s.is_streaming())
    }

    /// Counts the rounds of the accepting thread.
    pub fn beats(&self) -> u64 {
        self.shared.counters.beats.load(Ordering::Relaxed)
    }

    fn spawn(&mut self, name: &str, work: impl FnOnce() + Send + 'static) -> Result<()> {
        self.threads.push(spawn(name, work)?);
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.is_stopped.store(true, Ordering::Release);
        self.post.newest.wake().wake();
        lock(&self.shared.clients).iter().for_each(|c| c.close());
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                log::error!("a thread of OpenIGTLink panicked");
            }
        }
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    let thread = std::thread::Builder::new().name(name.into()).spawn(work);
    thread.map_err(|e| Error::caused(ErrorKind::Unavailable, format!("no thread {name}"), e))
}

impl Shared {
    fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Acquire)
    }

    fn accept(&self, listener: &TcpListener) {
        let mut threads: Vec<[JoinHandle<()>; 2]> = Vec::new();
        let mut connections = 0;
        while !self.is_stopped() {
            self.counters.beats.fetch_add(1, Ordering::Relaxed);
            lock(&self.clients).retain(|c| !c.is_closed());
            threads.retain(|pair| !pair.iter().all(JoinHandle::is_finished));
            let Ok((stream, address)) = listener.accept() else {
                std::thread::sleep(ACCEPT);
                continue;
            };
            if threads.len() == CLIENTS_MAX {
                self.counters.turned_away.fetch_add(1, Ordering::Relaxed);
                log::warn!("OpenIGTLink, {}: turned away, there are {CLIENTS_MAX} clients", address.ip());
                continue;
            }
            connections += 1;
            match self.welcome(stream, address, connections) {
                Ok(pair) => threads.push(pair),
                Err(e) => log::warn!("OpenIGTLink, {}: {e}", address.ip()),
            }
        }
        lock(&self.clients).iter().for_each(|c| c.close());
        for thread in threads.into_iter().flatten() {
            if thread.join().is_err() {
                log::error!("a thread of an OpenIGTLink client panicked");
            }
        }
    }

    fn welcome(&self, stream: TcpStream, address: SocketAddr, connection: u64) -> Result<[JoinHandle<()>; 2]> {
        let client = Client::new(stream, address, connection, self.counters.clone(), true);
        let client = client.map_err(|e| Error::caused(ErrorKind::Io, "a socket that cannot be used", e))?;
        let client = Arc::new(client);
        let source = self.source.clone().filter(|_| self.origin == Origin::Clients);
        let reader = client.clone();
        let read = spawn("igtl-read", move || reader.read(source.as_deref()))?;
        let writer = client.clone();
        let write = spawn("igtl-write", move || writer.write()).inspect_err(|_| client.close())?;
        self.counters.clients.fetch_add(1, Ordering::Relaxed);
        log::info!("OpenIGTLink, {}: connected", address.ip());
        let mut clients = lock(&self.clients);
        client.offer(&lock(&self.newest));
        clients.push(client);
        Ok([read, write])
    }

    fn encode(&self, mut encoder: Encoder) {
        let post = encoder.post().clone();
        while !self.is_stopped() {
            post.newest.wake().sleep(SCENE);
            let Some(bundle) = encoder.encode_newest() else { continue };
            self.counters.encoded.fetch_add(1, Ordering::Relaxed);
            let clients = lock(&self.clients);
            *lock(&self.newest) = bundle.clone();
            clients.iter().for_each(|c| c.offer(bundle));
        }
    }

    /// Reads IMAGE messages of a server. What we have to say goes to those who connect to us.
    fn connect(&self, address: SocketAddr) {
        let mut connections = 1 << 32;
        while !self.is_stopped() {
            let opened = TcpStream::connect_timeout(&address, CONNECT)
                .and_then(|stream| Client::new(stream, address, connections, self.counters.clone(), false));
            connections += 1;
            match opened {
                Ok(client) => {
                    log::info!("OpenIGTLink: connected to {address}");
                    let client = Arc::new(client);
                    lock(&self.clients).push(client.clone());
                    if !self.is_stopped() {
                        client.read(self.source.as_deref());
                    }
                }
                Err(e) => log::debug!("OpenIGTLink: {address}: {e}"),
            }
            if !self.is_stopped() {
                std::thread::sleep(RETRY);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
