//! V4L2 cameras: found by what they are, streamed through mapped buffers, newest picture only.
//!
//! The crate `v4l` opens devices and lists sizes and rates. Its streams are not used: after a timeout they queue a
//! buffer that the driver still owns, they panic when stopping fails, they cannot skip to the newest picture, and they know
//! no multi-planar devices. The calls of a stream are made here instead.
//!
//! Invariants: a buffer is read only between its DQBUF and its QBUF, and never past `bytesused` or its mapping; whatever
//! a stream meets, dropping it stops it, unmaps every buffer and panics never.
#![allow(unsafe_code, reason = "ioctl and mmap; every block says what holds it")]

use std::io;
use std::mem::zeroed;
use std::os::raw::{c_int, c_void};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use v4l::framesize::FrameSizeEnum;
use v4l::v4l_sys::{
    V4L2_BUF_FLAG_ERROR, V4L2_BUF_FLAG_TIMESTAMP_MASK, V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC, timeval, v4l2_buffer,
    v4l2_fmtdesc, v4l2_format, v4l2_pix_format, v4l2_pix_format_mplane, v4l2_plane, v4l2_requestbuffers,
    v4l2_streamparm,
};
use v4l::v4l2::{self, vidioc};
use v4l::video::Capture as _;
use v4l::{Device, FourCC, Fraction};

use super::{Camera, CameraFormat, Colours, Fault, Grabbed, Ink, Levels, Matrix, PictureLayout, convert_buffers};
use crate::error::{Error, ErrorKind, Result};
use crate::frame::Frame;
use crate::source::camera::CameraProfile;

const MMAP: u32 = 1;
/// `enum v4l2_field`: whole pictures; fields woven into each other by the driver, in three orders.
const FIELD_NONE: u32 = 1;
const FIELDS_WOVEN: [u32; 3] = [4, 8, 9];
/// Most planes of a buffer (VIDEO_MAX_PLANES).
const PLANES_MAX: usize = 8;
/// Most formats of a device that are asked for.
const FORMATS_MAX: u32 = 256;

/// How a driver hands pictures over (`enum v4l2_buf_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Queue {
    /// A picture in one buffer.
    Single,
    /// A picture in one or several planes, each a buffer of its own: the only way of many boards' receivers.
    MultiPlanar,
}

impl Queue {
    fn number(self) -> u32 {
        match self {
            Self::Single => 1,
            Self::MultiPlanar => 9,
        }
    }
}
/// A time stamp that is older, or in the future, is of another clock.
const AGE_MAX: Duration = Duration::from_millis(2_000);
/// After the driver said "ready" and had nothing.
const HOLD: Duration = Duration::from_millis(5);

/// A camera as a profile describes it, there or not.
pub struct V4l2Camera {
    profile: CameraProfile,
    stream: Option<Stream>,
}

impl V4l2Camera {
    /// One that is not open.
    pub fn new(profile: &CameraProfile) -> Self {
        Self { profile: profile.clone(), stream: None }
    }
}

impl Camera for V4l2Camera {
    fn open(&mut self) -> Result<PictureLayout> {
        self.stream = None;
        let path = find(&self.profile)?;
        let stream = Stream::start(&path, &self.profile).map_err(|e| e.within(format!("camera {}", path.display())))?;
        let layout = stream.layout;
        self.stream = Some(stream);
        Ok(layout)
    }

    fn newest(&mut self, frame: &mut Frame, patience: Duration) -> Grabbed {
        match &mut self.stream {
            Some(stream) => stream.newest(frame, self.profile.ink, patience).unwrap_or_else(|e| {
                log::warn!("camera: {e}");
                Grabbed::Failed(fault_of(&e))
            }),
            None => Grabbed::Failed(Fault::Gone),
        }
    }

    fn close(&mut self) {
        self.stream = None;
    }
}

fn fault_of(e: &io::Error) -> Fault {
    match e.raw_os_error() {
        Some(libc::ENODEV | libc::ENXIO | libc::EBADF) => Fault::Gone,
        _ => Fault::Failed,
    }
}

/// A buffer of the driver, mapped.
struct Mapping {
    start: *mut c_void,
    bytes: usize,
}

// SAFETY: the mapping belongs to the process, not to a thread, and `Stream` hands out no reference to it.
unsafe impl Send for Mapping {}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: `start` and `bytes` are of one mmap that succeeded, and nobody else unmaps it.
        if let Err(e) = unsafe { v4l2::munmap(self.start, self.bytes) } {
            log::error!("camera: a buffer cannot be unmapped: {e}");
        }
    }
}

/// A device that streams. The mappings are dropped before the device, which is declared after them.
struct Stream {
    /// The planes of each buffer.
    buffers: Vec<Vec<Mapping>>,
    device: Device,
    queue: Queue,
    layout: PictureLayout,
}

/// A buffer that was taken from the driver.
struct Taken {
    index: u32,
    flags: u32,
    timestamp: timeval,
    /// Where the picture is in each plane.
    used: [(usize, usize); PLANES_MAX],
}

/// What a driver agreed to.
struct Agreed {
    size: [u32; 2],
    pixelformat: u32,
    field: u32,
    strides: [usize; 2],
    colours: Colours,
}

impl Stream {
    fn start(path: &Path, profile: &CameraProfile) -> Result<Self> {
        let io =
            |what: &'static str| move |e: io::Error| Error::caused(ErrorKind::Io, format!("{what} failed: {e}"), e);
        let device = Device::with_path(path).map_err(io("opening"))?;
        if let Some(input) = profile.input {
            let mut input = input as c_int;
            call(&device, vidioc::VIDIOC_S_INPUT, &mut input).map_err(io("choosing the input"))?;
        }
        let queue = queue_of(&device)
            .map_err(io("asking"))?
            .ok_or_else(|| Error::new(ErrorKind::Unsupported, "expected a device that captures, got another kind"))?;
        let offered = offered_by(&device, queue).map_err(io("listing formats"))?;
        let Some(&format) = profile.formats.iter().find(|f| offered.contains(&f.fourcc())) else {
            let there: Vec<_> = offered.iter().map(|f| FourCC::new(f).to_string()).collect();
            let message = format!("expected one of {:?}, got {}", profile.formats, there.join(", "));
            return Err(Error::new(ErrorKind::Unsupported, message));
        };
        let agreed = set_format(&device, queue, format, profile.size).map_err(io("setting the format"))?;
        check_field(agreed.field)?;
        if let Err(e) = set_rate(&device, queue, profile.fps) {
            log::info!("camera: the driver keeps its own rate: {e}");
        }
        let [width, height] = agreed.size;
        if agreed.size != profile.size {
            let [w, h] = profile.size;
            log::warn!("camera: expected {w}x{h}, got {width}x{height}; no scale, whole picture");
        }
        let mut colours = agreed.colours;
        colours.levels = profile.levels.unwrap_or(colours.levels);
        let layout = PictureLayout::new(format, width, height, agreed.strides[0], colours);
        let layout = if format.buffers() == 2 { layout.with_chroma_stride(agreed.strides[1]) } else { layout };
        let mut stream = Self { buffers: Vec::new(), device, queue, layout };
        stream.map(profile.buffers).map_err(io("mapping buffers"))?;
        stream.switch(vidioc::VIDIOC_STREAMON).map_err(io("starting"))?;
        Ok(stream)
    }

    /// Asks for buffers, maps them and gives them to the driver.
    fn map(&mut self, wanted: u32) -> io::Result<()> {
        // SAFETY: plain numbers, for which zero is a value.
        let mut request: v4l2_requestbuffers = unsafe { zeroed() };
        (request.count, request.type_, request.memory) = (wanted, self.queue.number(), MMAP);
        call(&self.device, vidioc::VIDIOC_REQBUFS, &mut request)?;
        if request.count < 2 {
            return Err(io::Error::other(format!("expected at least 2 buffers, got {}", request.count)));
        }
        for index in 0..request.count {
            let mut planes = blank_planes();
            let mut buffer = blank(self.queue, index, &mut planes);
            call(&self.device, vidioc::VIDIOC_QUERYBUF, &mut buffer)?;
            let places: Vec<(libc::off_t, usize)> = match self.queue {
                // SAFETY: VIDIOC_QUERYBUF of a mapped buffer has written `offset`.
                Queue::Single => vec![(unsafe { buffer.m.offset } as libc::off_t, buffer.length as usize)],
                Queue::MultiPlanar => {
                    let count = (buffer.length as usize).min(PLANES_MAX);
                    // SAFETY: as above, for each plane that the driver counts.
                    let place = |p: &v4l2_plane| (unsafe { p.m.mem_offset } as libc::off_t, p.length as usize);
                    planes[..count].iter().map(place).collect()
                }
            };
            let mut mappings = Vec::with_capacity(places.len());
            for (offset, bytes) in places {
                mappings.push(self.map_plane(offset, bytes)?);
            }
            self.buffers.push(mappings);
            self.give(index)?;
        }
        Ok(())
    }

    fn map_plane(&self, offset: libc::off_t, bytes: usize) -> io::Result<Mapping> {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let fd = self.device.handle().fd();
        // SAFETY: a new mapping at a place of the kernel's choice, of the size and offset that the driver gave.
        let start = unsafe { v4l2::mmap(std::ptr::null_mut(), bytes, access, libc::MAP_SHARED, fd, offset)? };
        Ok(Mapping { start, bytes })
    }

    fn newest(&mut self, frame: &mut Frame, ink: Ink, patience: Duration) -> io::Result<Grabbed> {
        let patience_ms = patience.as_millis().clamp(1, 1_000) as c_int;
        match self.device.handle().poll(libc::POLLIN, patience_ms) {
            Ok(0) => return Ok(Grabbed::Nothing),
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::Interrupted => return Ok(Grabbed::Nothing),
            Err(e) => return Err(e),
        }
        let (mut newest, mut skipped, mut damaged) = (None, 0, 0);
        for _ in 0..=self.buffers.len() {
            let Some(buffer) = self.take()? else { break };
            if buffer.flags & V4L2_BUF_FLAG_ERROR != 0 {
                damaged += 1;
                self.give(buffer.index)?;
            } else if let Some(older) = newest.replace(buffer) {
                skipped += 1;
                self.give(older.index)?;
            }
        }
        let Some(buffer) = newest else {
            if damaged == 0 {
                std::thread::sleep(HOLD);
                return Ok(Grabbed::Nothing);
            }
            return Ok(Grabbed::Damaged { pictures: damaged });
        };
        let outcome = {
            let mut planes = [&[][..]; PLANES_MAX];
            let count = self.bytes(&buffer, &mut planes);
            convert_buffers(&self.layout, &planes[..count], ink, frame)
        };
        self.give(buffer.index)?;
        Ok(match outcome {
            Ok(()) => Grabbed::Picture { age: age_of(buffer.flags, &buffer.timestamp), skipped },
            Err(e) => {
                log::debug!("{e}");
                Grabbed::Damaged { pictures: damaged + 1 }
            }
        })
    }

    /// What the driver wrote into the planes of a buffer that was taken; gives their number, at least one.
    fn bytes<'a>(&'a self, taken: &Taken, out: &mut [&'a [u8]; PLANES_MAX]) -> usize {
        let mappings = self.buffers.get(taken.index as usize).map_or(&[][..], Vec::as_slice);
        for ((plane, mapping), (from, to)) in out.iter_mut().zip(mappings).zip(taken.used) {
            let to = to.min(mapping.bytes);
            let from = from.min(to);
            // SAFETY: within one live mapping; the buffer was dequeued, so the driver does not write to it, and it is given
            // back only through `&mut self`, after the borrow.
            *plane = unsafe { std::slice::from_raw_parts(mapping.start.cast::<u8>().add(from), to - from) };
        }
        mappings.len().clamp(1, PLANES_MAX)
    }

    /// A filled buffer, if one waits.
    fn take(&self) -> io::Result<Option<Taken>> {
        let mut planes = blank_planes();
        let mut buffer = blank(self.queue, 0, &mut planes);
        match call(&self.device, vidioc::VIDIOC_DQBUF, &mut buffer) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(e) => return Err(e),
        }
        let mut used = [(0, 0); PLANES_MAX];
        match self.queue {
            Queue::Single => used[0] = (0, buffer.bytesused as usize),
            Queue::MultiPlanar => {
                for (place, plane) in used.iter_mut().zip(&planes) {
                    *place = (plane.data_offset as usize, plane.bytesused as usize);
                }
            }
        }
        Ok(Some(Taken { index: buffer.index, flags: buffer.flags, timestamp: buffer.timestamp, used }))
    }

    /// Gives a buffer to the driver.
    fn give(&mut self, index: u32) -> io::Result<()> {
        let mut planes = blank_planes();
        call(&self.device, vidioc::VIDIOC_QBUF, &mut blank(self.queue, index, &mut planes))
    }

    fn switch(&self, request: vidioc::_IOC_TYPE) -> io::Result<()> {
        call(&self.device, request, &mut (self.queue.number() as c_int))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // Of a device that is gone there is nothing left to stop.
        if let Err(e) = self.switch(vidioc::VIDIOC_STREAMOFF) {
            log::debug!("camera: stopping failed: {e}");
        }
    }
}

/// Structures that a V4L2 call reads and writes; the size is part of the call's number.
trait Argument: Sized {}
impl Argument for c_int {}
impl Argument for v4l2_buffer {}
impl Argument for v4l2_fmtdesc {}
impl Argument for v4l2_streamparm {}
impl Argument for v4l2_format {}
impl Argument for v4l2_requestbuffers {}

fn call<T: Argument>(device: &Device, request: vidioc::_IOC_TYPE, argument: &mut T) -> io::Result<()> {
    let size = (request >> 16) & 0x3FFF;
    assert_eq!(size as usize, size_of::<T>(), "the call takes another structure");
    loop {
        // SAFETY: `argument` is a live structure of the size that the call's number names, which was checked.
        match unsafe { v4l2::ioctl(device.handle().fd(), request, std::ptr::from_mut(argument).cast()) } {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}

fn blank_planes() -> [v4l2_plane; PLANES_MAX] {
    // SAFETY: plain numbers; zero is a value of each.
    unsafe { zeroed() }
}

/// A buffer to ask about; of several planes it points to `planes`, which must outlive the call it is made for.
fn blank(queue: Queue, index: u32, planes: &mut [v4l2_plane; PLANES_MAX]) -> v4l2_buffer {
    // SAFETY: plain numbers and pointers that the kernel does not follow for mapped buffers; zero is a value of each.
    let mut buffer: v4l2_buffer = unsafe { zeroed() };
    (buffer.index, buffer.type_, buffer.memory) = (index, queue.number(), MMAP);
    if queue == Queue::MultiPlanar {
        buffer.m.planes = planes.as_mut_ptr();
        buffer.length = PLANES_MAX as u32;
    }
    buffer
}

/// How a device hands pictures over; `None` when it captures none.
fn queue_of(device: &Device) -> io::Result<Option<Queue>> {
    use v4l::capability::Flags;
    let caps = device.query_caps()?.capabilities;
    Ok(match () {
        () if !caps.contains(Flags::STREAMING) => None,
        () if caps.contains(Flags::VIDEO_CAPTURE) => Some(Queue::Single),
        () if caps.contains(Flags::VIDEO_CAPTURE_MPLANE) => Some(Queue::MultiPlanar),
        () => None,
    })
}

/// The formats of a device, by their four characters.
fn offered_by(device: &Device, queue: Queue) -> io::Result<Vec<[u8; 4]>> {
    let mut offered = Vec::new();
    for index in 0..FORMATS_MAX {
        // SAFETY: plain numbers; zero is a value of each.
        let mut format: v4l2_fmtdesc = unsafe { zeroed() };
        (format.index, format.type_) = (index, queue.number());
        match call(device, vidioc::VIDIOC_ENUM_FMT, &mut format) {
            Ok(()) => offered.push(format.pixelformat.to_le_bytes()),
            Err(e) if e.kind() == io::ErrorKind::InvalidInput => break,
            Err(e) => return Err(e),
        }
    }
    Ok(offered)
}

fn set_rate(device: &Device, queue: Queue, fps: f64) -> io::Result<()> {
    // SAFETY: plain numbers; zero is a value of each.
    let mut rate: v4l2_streamparm = unsafe { zeroed() };
    rate.type_ = queue.number();
    // SAFETY: for capturing the kernel reads this member of the union, which is zeroed.
    let capture = unsafe { &mut rate.parm.capture };
    capture.timeperframe.numerator = 1_000;
    capture.timeperframe.denominator = (fps * 1e3).round() as u32;
    call(device, vidioc::VIDIOC_S_PARM, &mut rate)
}

/// Fields in pictures of their own would show every second line, or two times beside each other.
fn check_field(field: u32) -> Result<()> {
    match field {
        0 | FIELD_NONE => Ok(()),
        woven if FIELDS_WOVEN.contains(&woven) => {
            log::warn!("camera: interlaced: lines of two times are woven into each picture");
            Ok(())
        }
        other => {
            let message = format!("expected whole pictures, got fields (v4l2_field {other})");
            Err(Error::new(ErrorKind::Unsupported, message))
        }
    }
}

fn set_format(device: &Device, queue: Queue, wanted: CameraFormat, [width, height]: [u32; 2]) -> io::Result<Agreed> {
    // SAFETY: plain numbers; zero is a value of each. A stride of 0 lets the driver choose; its old one would be kept.
    let (mut format, mut pix, mut planar): (v4l2_format, v4l2_pix_format, v4l2_pix_format_mplane) = unsafe { zeroed() };
    let pixelformat = u32::from_le_bytes(wanted.fourcc());
    format.type_ = queue.number();
    match queue {
        Queue::Single => {
            (pix.width, pix.height, pix.pixelformat, pix.field) = (width, height, pixelformat, FIELD_NONE);
            format.fmt.pix = pix;
        }
        Queue::MultiPlanar => {
            (planar.width, planar.height, planar.pixelformat) = (width, height, pixelformat);
            (planar.field, planar.num_planes) = (FIELD_NONE, wanted.buffers() as u8);
            format.fmt.pix_mp = planar;
        }
    }
    call(device, vidioc::VIDIOC_S_FMT, &mut format)?;
    let agreed = match queue {
        // SAFETY: for this type of buffer the kernel writes `pix`.
        Queue::Single => agreed_single(&unsafe { format.fmt.pix }),
        // SAFETY: for this one `pix_mp`.
        Queue::MultiPlanar => agreed_planar(&unsafe { format.fmt.pix_mp }),
    };
    if agreed.pixelformat != pixelformat {
        let there = String::from_utf8_lossy(&agreed.pixelformat.to_le_bytes()).into_owned();
        return Err(io::Error::other(format!("expected {wanted:?}, got {there}")));
    }
    Ok(agreed)
}

fn agreed_single(pix: &v4l2_pix_format) -> Agreed {
    Agreed {
        size: [pix.width, pix.height],
        pixelformat: pix.pixelformat,
        field: pix.field,
        strides: [pix.bytesperline as usize, 0],
        colours: colours_of(pix),
    }
}

fn agreed_planar(planar: &v4l2_pix_format_mplane) -> Agreed {
    // SAFETY: both members of the union are numbers of one byte.
    let encoding = unsafe { planar.__bindgen_anon_1.ycbcr_enc };
    let [first, second] = [planar.plane_fmt[0], planar.plane_fmt[1]];
    Agreed {
        size: [planar.width, planar.height],
        pixelformat: planar.pixelformat,
        field: planar.field,
        strides: [first.bytesperline as usize, second.bytesperline as usize],
        colours: colours(planar.colorspace, u32::from(encoding), u32::from(planar.quantization)),
    }
}

fn colours_of(pix: &v4l2_pix_format) -> Colours {
    // SAFETY: both members of the union are 32-bit numbers.
    let encoding = unsafe { pix.__bindgen_anon_1.ycbcr_enc };
    colours(pix.colorspace, encoding, pix.quantization)
}

/// By the rules of V4L2: what the driver says, else what its colour space implies.
fn colours(colorspace: u32, encoding: u32, quantization: u32) -> Colours {
    const REC709: u32 = 3;
    const JPEG: u32 = 7;
    let matrix = match (encoding, colorspace) {
        (2 | 4, _) | (0, REC709) => Matrix::Bt709,
        _ => Matrix::Bt601,
    };
    let levels = match (quantization, colorspace) {
        (1, _) | (0, JPEG) => Levels::Full,
        _ => Levels::Limited,
    };
    Colours { levels, matrix }
}

fn age_of(flags: u32, timestamp: &timeval) -> Duration {
    if flags & V4L2_BUF_FLAG_TIMESTAMP_MASK != V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC {
        return Duration::ZERO;
    }
    age_between(timestamp, monotonic_now())
}

fn age_between(stamp: &timeval, now: Duration) -> Duration {
    let (s, us) = (u64::try_from(stamp.tv_sec).unwrap_or(0), u64::try_from(stamp.tv_usec).unwrap_or(0));
    let captured = Duration::from_nanos(s.saturating_mul(1_000_000_000).saturating_add(us * 1_000));
    let age = now.saturating_sub(captured);
    if captured > now || age > AGE_MAX { Duration::ZERO } else { age }
}

/// The clock that drivers stamp with.
fn monotonic_now() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes to `time` only. The clock is always there.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    Duration::from_nanos(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}

/// A video device and what it offers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Listing {
    /// Device file.
    pub path: PathBuf,
    /// As the profile's `driver`.
    pub driver: String,
    /// As the profile's `card`.
    pub card: String,
    /// As the profile's `bus`.
    pub bus: String,
    /// As the profile's `usb`.
    pub usb: Option<String>,
    /// Formats, empty when it could not be asked.
    pub formats: Vec<FormatListing>,
}

/// A format of a device.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FormatListing {
    /// Its four characters.
    pub fourcc: String,
    /// Whether sonotap takes it.
    pub is_handled: bool,
    /// Sizes, as far as the driver lists them.
    pub sizes: Vec<SizeListing>,
}

/// A size of a format.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SizeListing {
    /// px.
    pub width: u32,
    /// px.
    pub height: u32,
    /// Pictures a second, as far as the driver lists them.
    pub fps: Vec<f64>,
}

/// The cameras there are: devices that capture pictures into mapped buffers.
pub fn list() -> Vec<Listing> {
    let mut cameras: Vec<_> = nodes().into_iter().filter_map(|path| describe(&path).ok().flatten()).collect();
    cameras.iter_mut().for_each(|camera| camera.formats = formats(&camera.path).unwrap_or_default());
    cameras
}

fn nodes() -> Vec<PathBuf> {
    let mut nodes: Vec<_> = v4l::context::enum_devices().iter().map(|n| (n.index(), n.path().to_owned())).collect();
    nodes.sort();
    nodes.into_iter().map(|(_, path)| path).collect()
}

/// What a device is; `None` when it does not capture pictures.
fn describe(path: &Path) -> io::Result<Option<Listing>> {
    let device = Device::with_path(path)?;
    if queue_of(&device)?.is_none() {
        return Ok(None);
    }
    let caps = device.query_caps()?;
    let (path, usb) = (path.to_owned(), usb_id(path));
    Ok(Some(Listing { path, driver: caps.driver, card: caps.card, bus: caps.bus, usb, formats: Vec::new() }))
}

fn formats(path: &Path) -> io::Result<Vec<FormatListing>> {
    let device = Device::with_path(path)?;
    let mut listed = Vec::new();
    let queue = queue_of(&device)?.unwrap_or(Queue::Single);
    for fourcc in offered_by(&device, queue)? {
        let offered = FourCC::new(&fourcc);
        let mut sizes = Vec::new();
        for size in device.enum_framesizes(offered).unwrap_or_default() {
            // Of a range its ends: a driver that scales has thousands of sizes.
            match size.size {
                FrameSizeEnum::Discrete(s) => sizes.push((s.width, s.height)),
                FrameSizeEnum::Stepwise(s) => sizes.extend([(s.min_width, s.min_height), (s.max_width, s.max_height)]),
            }
        }
        sizes.sort_unstable();
        sizes.dedup();
        let sizes = sizes.into_iter().map(|(width, height)| {
            let intervals = device.enum_frameintervals(offered, width, height).unwrap_or_default();
            let mut fps: Vec<f64> = intervals.iter().flat_map(|i| rates(&i.interval)).collect();
            fps.sort_by(|a, b| b.total_cmp(a));
            fps.dedup();
            SizeListing { width, height, fps }
        });
        let sizes = sizes.collect();
        let is_handled = CameraFormat::from_fourcc(fourcc).is_some();
        listed.push(FormatListing { fourcc: offered.to_string(), is_handled, sizes });
    }
    Ok(listed)
}

fn rates(interval: &v4l::frameinterval::FrameIntervalEnum) -> Vec<f64> {
    use v4l::frameinterval::FrameIntervalEnum::{Discrete, Stepwise};
    let rate = |f: &Fraction| (f64::from(f.denominator) / f64::from(f.numerator.max(1)) * 100.0).round() / 100.0;
    match interval {
        Discrete(f) => vec![rate(f)],
        Stepwise(s) => vec![rate(&s.max), rate(&s.min)],
    }
}

/// Vendor and product of a USB device, "534d:2109".
fn usb_id(path: &Path) -> Option<String> {
    let name = path.canonicalize().ok()?.file_name()?.to_owned();
    let interface = Path::new("/sys/class/video4linux").join(name).join("device").canonicalize().ok()?;
    let number = |file: &str| Some(std::fs::read_to_string(interface.parent()?.join(file)).ok()?.trim().to_lowercase());
    Some(format!("{}:{}", number("idVendor")?, number("idProduct")?))
}

/// The device file of the camera that the profile describes.
fn find(profile: &CameraProfile) -> Result<PathBuf> {
    let candidates = match &profile.path {
        Some(path) => vec![path.clone()],
        None => nodes(),
    };
    let mut seen = Vec::new();
    for path in candidates {
        match describe(&path) {
            Ok(Some(camera)) if is_wanted(profile, &camera) => return Ok(path),
            Ok(Some(camera)) => seen.push(format!("{} ({}, {:?})", path.display(), camera.driver, camera.card)),
            Ok(None) => {}
            Err(e) => seen.push(format!("{} ({e})", path.display())),
        }
    }
    let wanted = wanted(profile);
    let there = if seen.is_empty() { "none".into() } else { seen.join(", ") };
    Err(Error::new(ErrorKind::Unavailable, format!("camera: expected one with {wanted}, got {there}")))
}

fn is_wanted(profile: &CameraProfile, camera: &Listing) -> bool {
    profile.driver.as_ref().is_none_or(|d| *d == camera.driver)
        && profile.bus.as_ref().is_none_or(|b| camera.bus.starts_with(b.as_str()))
        && profile.card.as_ref().is_none_or(|c| camera.card.contains(c.as_str()))
        && profile.usb.as_ref().is_none_or(|u| camera.usb.as_ref().is_some_and(|have| have.eq_ignore_ascii_case(u)))
}

fn wanted(profile: &CameraProfile) -> String {
    let path = profile.path.as_ref().map(|p| p.display().to_string());
    let named = [("path", &path), ("driver", &profile.driver), ("bus", &profile.bus), ("card", &profile.card)];
    let named = named.into_iter().chain([("usb", &profile.usb)]);
    named.filter_map(|(name, value)| value.as_ref().map(|v| format!("{name} {v:?}"))).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Span;

    fn profile(path: &str) -> CameraProfile {
        CameraProfile { path: Some(path.into()), ..CameraProfile::default() }
    }

    #[test]
    fn the_structures_are_those_of_the_calls() {
        // `call` refuses any other; a number of the kernel's header that changed would show here.
        for (request, size) in [
            (vidioc::VIDIOC_S_FMT, size_of::<v4l2_format>()),
            (vidioc::VIDIOC_QBUF, size_of::<v4l2_buffer>()),
            (vidioc::VIDIOC_DQBUF, size_of::<v4l2_buffer>()),
            (vidioc::VIDIOC_QUERYBUF, size_of::<v4l2_buffer>()),
            (vidioc::VIDIOC_REQBUFS, size_of::<v4l2_requestbuffers>()),
            (vidioc::VIDIOC_ENUM_FMT, size_of::<v4l2_fmtdesc>()),
            (vidioc::VIDIOC_S_PARM, size_of::<v4l2_streamparm>()),
            (vidioc::VIDIOC_STREAMON, size_of::<c_int>()),
            (vidioc::VIDIOC_STREAMOFF, size_of::<c_int>()),
            (vidioc::VIDIOC_S_INPUT, size_of::<c_int>()),
        ] {
            assert_eq!(((request >> 16) & 0x3FFF) as usize, size);
        }
    }

    #[test]
    #[should_panic(expected = "the call takes another structure")]
    fn a_call_with_another_structure_is_refused_before_it_is_made() {
        let device = Device::with_path("/dev/null").unwrap();
        let _ = call(&device, vidioc::VIDIOC_DQBUF, &mut 0);
    }

    #[test]
    fn what_is_no_camera_is_refused_with_what_was_wanted() {
        for path in ["/dev/null", "/dev/no-such-camera"] {
            let mut camera = V4l2Camera::new(&profile(path));
            let e = camera.open().unwrap_err();
            assert_eq!(e.kind(), ErrorKind::Unavailable, "{e}");
            let expected = format!("camera: expected one with path {path:?}, got {path} (");
            assert!(e.to_string().starts_with(&expected), "{e}");
            let grabbed = camera.newest(&mut Frame::default(), Duration::ZERO);
            assert_eq!(grabbed, Grabbed::Failed(Fault::Gone));
            camera.close();
        }
    }

    #[test]
    fn a_camera_is_matched_by_all_that_is_given() {
        let camera = Listing {
            path: "/dev/video0".into(),
            driver: "uvcvideo".into(),
            card: "USB3 Video: USB3 Video".into(),
            bus: "usb-0000:01:00.0-1.2".into(),
            usb: Some("534d:2109".into()),
            formats: Vec::new(),
        };
        let any = CameraProfile { driver: Some("uvcvideo".into()), ..CameraProfile::default() };
        let cases = [
            (any.clone(), true),
            (CameraProfile { driver: Some("uvc".into()), ..any.clone() }, false),
            (CameraProfile { card: Some("USB3".into()), usb: Some("534D:2109".into()), ..any.clone() }, true),
            (CameraProfile { usb: Some("534d:2108".into()), ..any.clone() }, false),
            (CameraProfile { bus: Some("usb-0000:01:00.0-1".into()), ..any.clone() }, true),
            (CameraProfile { bus: Some("usb-0000:01:00.0-2".into()), ..any }, false),
        ];
        for (profile, expected) in cases {
            assert_eq!(is_wanted(&profile, &camera), expected, "{}", wanted(&profile));
        }
    }

    #[test]
    fn time_stamps_of_another_clock_are_not_believed() {
        let now = Duration::from_millis(10_000);
        for (sec, usec, age_ms) in [(9, 990_000, 10.0), (10, 0, 0.0), (11, 0, 0.0), (2, 0, 0.0), (-1, -1, 0.0)] {
            assert_eq!(age_between(&timeval { tv_sec: sec, tv_usec: usec }, now).as_ms(), age_ms, "{sec} {usec}");
        }
        assert!(monotonic_now() > Duration::ZERO && monotonic_now() <= monotonic_now());
    }

    #[test]
    fn a_buffer_of_several_planes_points_to_all_of_them() {
        let mut planes = blank_planes();
        let at = planes.as_mut_ptr();
        let buffer = blank(Queue::MultiPlanar, 3, &mut planes);
        // SAFETY: `blank` has written this member.
        assert_eq!(unsafe { buffer.m.planes }, at);
        assert_eq!((buffer.type_, buffer.index, buffer.length), (9, 3, PLANES_MAX as u32));
        assert_eq!(blank(Queue::Single, 0, &mut planes).length, 0);
    }

    #[test]
    fn fields_apart_are_refused_and_woven_ones_are_not() {
        for (field, is_taken) in [
            (0, true),
            (1, true),
            (2, false),
            (3, false),
            (4, true),
            (5, false),
            (6, false),
            (7, false),
            (8, true),
            (9, true),
        ] {
            assert_eq!(check_field(field).is_ok(), is_taken, "v4l2_field {field}");
        }
    }

    #[test]
    fn the_drivers_colours_follow_the_rules_of_v4l2() {
        let colours = |colorspace, encoding, quantization| {
            // SAFETY: plain numbers; zero is a value of each.
            let mut pix: v4l2_pix_format = unsafe { zeroed() };
            (pix.colorspace, pix.quantization) = (colorspace, quantization);
            pix.__bindgen_anon_1.ycbcr_enc = encoding;
            let c = colours_of(&pix);
            (c.levels, c.matrix)
        };
        assert_eq!(colours(0, 0, 0), (Levels::Limited, Matrix::Bt601));
        assert_eq!(colours(3, 0, 0), (Levels::Limited, Matrix::Bt709));
        assert_eq!(colours(7, 0, 0), (Levels::Full, Matrix::Bt601));
        assert_eq!(colours(8, 2, 1), (Levels::Full, Matrix::Bt709));
    }
}
