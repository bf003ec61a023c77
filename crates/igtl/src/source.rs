//! IMAGE messages as a source of frames.
//!
//! A message's pixels go from the socket into a frame of the live path's own memory, and enter when the CRC is right. So an image
//! is copied once, out of the kernel, and waits for no pace: the newest wins.
//!
//! One sender at a time has the source: the first, and no other until it has been silent for [`TAKE_OVER`], which is longer than
//! the live path keeps outlines without a picture. The same sender may come back sooner. So no outline of one sender's patient
//! is carried to another's image.

use std::collections::VecDeque;
use std::io::Read;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use sonotap::{CaptureTime, Entered, FrameInput};

use crate::body::{Body, Fault};
use crate::image::{IMAGE_HEADER_BYTES, ImageHeader, Plane};
use crate::message::{Code, Field, Header, Stamp, broken};

/// Another sender than the last may be the source after so long without an image of the last.
pub const TAKE_OVER: Duration = Duration::from_secs(2);
/// Images whose time stamp and place are remembered: four and a half minutes at 30 a second.
const ARRIVALS_MAX: usize = 8_192;

/// Whose clock says when an image was captured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimeOf {
    /// The sender's TIMESTAMP, whose clock is related to ours by the smallest delay seen; an image whose stamp does not grow counts
    /// as captured when it came.
    #[default]
    Sender,
    /// The end of its arrival.
    Arrival,
}

/// What is taken.
#[derive(Clone, Debug, Default)]
pub struct SourceConfig {
    /// Only images of this device; of any when `None`.
    pub device: Option<String>,
    /// When an image was captured.
    pub time: TimeOf,
}

/// Who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Number of the connection.
    pub connection: u64,
    /// Its address.
    pub ip: IpAddr,
}

/// What is remembered of an image that came in.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    number: u64,
    /// The message's own time stamp.
    pub stamp: Stamp,
    /// Where it lies.
    pub plane: Plane,
}

struct Claim {
    peer: Peer,
    device: Field<20>,
    last: Instant,
    last_stamp: Stamp,
}

/// What came in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SourceReport {
    /// Images that became frames.
    pub images: u64,
    /// Of these, frames that nobody looked at before the next came.
    pub displaced: u64,
    /// Images left out because all memory for frames was in use.
    pub no_buffer: u64,
    /// Images refused: not of a kind that is handled, or not true.
    pub refused: u64,
    /// Images whose CRC was wrong.
    pub checksum: u64,
    /// Images of another sender or device than the one that has the source.
    pub busy: u64,
}

#[derive(Default)]
struct Counters {
    images: AtomicU64,
    displaced: AtomicU64,
    no_buffer: AtomicU64,
    refused: AtomicU64,
    checksum: AtomicU64,
    busy: AtomicU64,
}

/// Takes IMAGE messages of any connection.
pub struct ImageSource {
    input: FrameInput,
    config: SourceConfig,
    claim: Mutex<Option<Claim>>,
    arrivals: Mutex<VecDeque<Arrival>>,
    counters: Counters,
    numbers: AtomicU64,
}

impl ImageSource {
    /// A source of frames that go into `input`.
    pub fn new(input: FrameInput, config: SourceConfig) -> Self {
        let (claim, arrivals) = (Mutex::default(), Mutex::new(VecDeque::new()));
        Self { input, config, claim, arrivals, counters: Counters::default(), numbers: AtomicU64::new(0) }
    }

    /// What came in so far.
    pub fn report(&self) -> SourceReport {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let c = &self.counters;
        SourceReport {
            images: count(&c.images),
            displaced: count(&c.displaced),
            no_buffer: count(&c.no_buffer),
            refused: count(&c.refused),
            checksum: count(&c.checksum),
            busy: count(&c.busy),
        }
    }

    /// Whether an image came within the last second.
    pub fn is_streaming(&self) -> bool {
        lock(&self.claim).as_ref().is_some_and(|claim| claim.last.elapsed() < Duration::from_secs(1))
    }

    /// What is remembered of the image with this host number; `None` when it is forgotten.
    pub fn arrival(&self, number: u64) -> Option<Arrival> {
        let arrivals = lock(&self.arrivals);
        let at = arrivals.binary_search_by_key(&number, |a| a.number).ok()?;
        arrivals.get(at).copied()
    }

    /// Takes the body of an IMAGE off a stream, wherever it ends; makes it a frame if it is to be one.
    ///
    /// # Errors
    /// `Refused` with the reason, `Gone` when the stream ends.
    pub fn receive(&self, stream: &mut impl Read, header: &Header, peer: Peer) -> Result<(), Fault> {
        let mut body = Body::open(stream, *header)?;
        let outcome = self.take(&mut body, header, peer);
        let counted = match outcome {
            Ok(Some(ready)) => body.finish().and_then(|()| self.enter(ready)),
            // Where the image is refused or left out, the CRC does not matter.
            Ok(None) => match body.finish() {
                Err(Fault::Gone(why)) => Err(Fault::Gone(why)),
                _ => Ok(()),
            },
            Err(Fault::Refused(code, why)) => match body.finish() {
                Err(Fault::Gone(gone)) => Err(Fault::Gone(gone)),
                _ => Err(Fault::Refused(code, why)),
            },
            gone => gone.map(drop),
        };
        counted.inspect_err(|fault| self.count(fault))
    }

    fn count(&self, fault: &Fault) {
        let counter = match fault {
            Fault::Gone(_) => return,
            Fault::Refused(Code::Busy, _) => &self.counters.busy,
            Fault::Refused(Code::Checksum, _) => &self.counters.checksum,
            Fault::Refused(..) => &self.counters.refused,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Reads the pixels into a frame; `None` when there is no frame for them.
    fn take<R: Read>(&self, body: &mut Body<'_, R>, header: &Header, peer: Peer) -> Result<Option<Ready>, Fault> {
        let refused = |e| Fault::Refused(Code::Unknown, e);
        let mut bytes = [0; IMAGE_HEADER_BYTES];
        body.read(&mut bytes)?;
        let image = ImageHeader::parse(&bytes).map_err(refused)?;
        let picture = image.picture(body.content_bytes()).map_err(refused)?;
        let time = self.claim(header, peer)?;
        let Some(mut frame) = self.input.lease() else {
            self.counters.no_buffer.fetch_add(1, Ordering::Relaxed);
            return Ok(None);
        };
        frame.reshape(picture.width, picture.height, picture.format).map_err(refused)?;
        body.read(frame.pixels_mut())?;
        frame.set_scale(picture.plane.scale().ok());
        let arrival = Arrival { number: 0, stamp: header.stamp, plane: picture.plane };
        Ok(Some(Ready { frame, time, arrival }))
    }

    fn enter(&self, ready: Ready) -> Result<(), Fault> {
        let Ready { frame, time, mut arrival } = ready;
        let entered = {
            // Numbers are remembered in their order.
            let mut arrivals = lock(&self.arrivals);
            arrival.number = self.numbers.fetch_add(1, Ordering::Relaxed);
            if arrivals.len() == ARRIVALS_MAX {
                arrivals.pop_front();
            }
            arrivals.push_back(arrival);
            frame.enter(time, Some(arrival.number))
        };
        let entered = entered.map_err(|e| Fault::Refused(Code::Unknown, e))?;
        self.counters.images.fetch_add(1, Ordering::Relaxed);
        if matches!(entered, Entered::Displaced { .. }) {
            self.counters.displaced.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Whether this sender and device have the source now; when its image was captured.
    fn claim(&self, header: &Header, peer: Peer) -> Result<CaptureTime, Fault> {
        let device = header.device;
        if let Some(wanted) = self.config.device.as_deref().filter(|wanted| *wanted != device.as_str()) {
            let what = format!("IMAGE: expected device {wanted:?}, got {device:?}");
            return Err(Fault::Refused(Code::Busy, broken(what)));
        }
        let mut claim = lock(&self.claim);
        let mut last_stamp = Stamp::default();
        if let Some(held) = claim.as_ref() {
            let is_same = held.device == device && held.peer.ip == peer.ip;
            let is_holder = is_same && [peer.connection, GONE].contains(&held.peer.connection);
            if !is_holder && held.last.elapsed() < TAKE_OVER {
                let what = format!("IMAGE of {device:?}: {:?} of another sender is the source", held.device);
                return Err(Fault::Refused(Code::Busy, broken(what)));
            }
            last_stamp = if is_same { held.last_stamp } else { last_stamp };
            if held.peer != peer || held.device != device {
                log::info!("IMAGE messages of {device:?} from {} are the source", peer.ip);
            }
        }
        *claim = Some(Claim { peer, device, last: Instant::now(), last_stamp: header.stamp });
        let has_grown = header.stamp > last_stamp;
        Ok(match self.config.time {
            TimeOf::Sender if has_grown => CaptureTime::Host(header.stamp.to_unix()),
            _ => CaptureTime::Now,
        })
    }

    /// A connection is over: the same sender may come back at once.
    pub fn left(&self, peer: Peer) {
        let mut claim = lock(&self.claim);
        if let Some(held) = claim.as_mut().filter(|held| held.peer == peer) {
            held.peer.connection = GONE;
        }
    }
}

/// Number of a connection that is over.
const GONE: u64 = u64::MAX;

/// An image that is in a frame, and not yet known to be whole.
struct Ready {
    frame: sonotap::pipeline::entry::Lease,
    time: CaptureTime,
    arrival: Arrival,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
