//! V4L2 cameras: found by what they are, streamed through mapped buffers, newest picture only.
//!
//! The crate `v4l` opens devices and lists what they offer. Its streams are not used: after a timeout they queue a
//! buffer that the driver still owns, they panic when stopping fails, and they cannot skip to the newest picture. The six
//! calls of a stream are made here instead.
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
    v4l2_format, v4l2_pix_format, v4l2_requestbuffers,
};
use v4l::v4l2::{self, vidioc};
use v4l::video::Capture as _;
use v4l::video::capture::Parameters;
use v4l::{Device, FourCC, Fraction};

use super::{Camera, CameraFormat, Colours, Fault, Grabbed, Ink, Levels, Matrix, PictureLayout, convert};
use crate::error::{Error, ErrorKind, Result};
use crate::frame::Frame;
use crate::profile::CameraProfile;
use crate::units::Nanos;

const CAPTURE: u32 = 1;
const MMAP: u32 = 1;
const FIELD_NONE: u32 = 1;
/// A time stamp that is older, or in the future, is of another clock.
const AGE_MAX: Nanos = Nanos::from_ms(2_000);
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
    buffers: Vec<Mapping>,
    device: Device,
    layout: PictureLayout,
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
        let offered: Vec<_> = device.enum_formats().map_err(io("listing formats"))?;
        let has = |f: &&CameraFormat| offered.iter().any(|o| o.fourcc == FourCC::new(&f.fourcc()));
        let Some(&format) = profile.formats.iter().find(has) else {
            let there: Vec<_> = offered.iter().map(|f| f.fourcc.to_string()).collect();
            let message = format!("expected one of {:?}, got {}", profile.formats, there.join(", "));
            return Err(Error::new(ErrorKind::Unsupported, message));
        };
        let pix = set_format(&device, format, profile.size).map_err(io("setting the format"))?;
        let interval = Fraction::new(1_000, (profile.fps * 1e3).round() as u32);
        if let Err(e) = device.set_params(&Parameters::new(interval)) {
            log::info!("camera: the driver keeps its own rate: {e}");
        }
        if (pix.width, pix.height) != (profile.size[0], profile.size[1]) {
            let [w, h] = profile.size;
            log::warn!("camera: expected {w}x{h}, got {}x{}; no scale, whole picture", pix.width, pix.height);
        }
        let mut colours = colours_of(&pix);
        colours.levels = profile.levels.unwrap_or(colours.levels);
        let layout = PictureLayout::new(format, pix.width, pix.height, pix.bytesperline as usize, colours);
        let mut stream = Self { buffers: Vec::new(), device, layout };
        stream.map(profile.buffers).map_err(io("mapping buffers"))?;
        stream.switch(vidioc::VIDIOC_STREAMON).map_err(io("starting"))?;
        Ok(stream)
    }

    /// Asks for buffers, maps them and gives them to the driver.
    fn map(&mut self, wanted: u32) -> io::Result<()> {
        // SAFETY: plain numbers, for which zero is a value.
        let mut request: v4l2_requestbuffers = unsafe { zeroed() };
        (request.count, request.type_, request.memory) = (wanted, CAPTURE, MMAP);
        call(&self.device, vidioc::VIDIOC_REQBUFS, &mut request)?;
        if request.count < 2 {
            return Err(io::Error::other(format!("expected at least 2 buffers, got {}", request.count)));
        }
        for index in 0..request.count {
            let mut buffer = blank(index);
            call(&self.device, vidioc::VIDIOC_QUERYBUF, &mut buffer)?;
            // SAFETY: VIDIOC_QUERYBUF of a mapped buffer has written `offset`.
            let offset = unsafe { buffer.m.offset };
            let bytes = buffer.length as usize;
            let access = libc::PROT_READ | libc::PROT_WRITE;
            let fd = self.device.handle().fd();
            // SAFETY: a new mapping at a place of the kernel's choice, of the size and offset that the driver gave.
            let start = unsafe {
                v4l2::mmap(std::ptr::null_mut(), bytes, access, libc::MAP_SHARED, fd, offset as libc::off_t)?
            };
            self.buffers.push(Mapping { start, bytes });
            self.give(index)?;
        }
        Ok(())
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
        let outcome = convert(&self.layout, self.bytes(&buffer), ink, frame);
        self.give(buffer.index)?;
        Ok(match outcome {
            Ok(()) => Grabbed::Picture { age: age_of(&buffer), skipped },
            Err(e) => {
                log::debug!("{e}");
                Grabbed::Damaged { pictures: damaged + 1 }
            }
        })
    }

    /// What the driver wrote into a buffer that was taken.
    fn bytes(&self, taken: &v4l2_buffer) -> &[u8] {
        let Some(mapping) = self.buffers.get(taken.index as usize) else { return &[] };
        let bytes = (taken.bytesused as usize).min(mapping.bytes);
        // SAFETY: within one live mapping; the buffer was dequeued, so the driver does not write to it, and it is given
        // back only through `&mut self`, after the borrow.
        unsafe { std::slice::from_raw_parts(mapping.start.cast::<u8>(), bytes) }
    }

    /// A filled buffer, if one waits.
    fn take(&self) -> io::Result<Option<v4l2_buffer>> {
        let mut buffer = blank(0);
        match call(&self.device, vidioc::VIDIOC_DQBUF, &mut buffer) {
            Ok(()) => Ok(Some(buffer)),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Gives a buffer to the driver.
    fn give(&mut self, index: u32) -> io::Result<()> {
        call(&self.device, vidioc::VIDIOC_QBUF, &mut blank(index))
    }

    fn switch(&self, request: vidioc::_IOC_TYPE) -> io::Result<()> {
        call(&self.device, request, &mut (CAPTURE as c_int))
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

fn blank(index: u32) -> v4l2_buffer {
    // SAFETY: plain numbers and pointers that the kernel does not follow for mapped buffers; zero is a value of each.
    let mut buffer: v4l2_buffer = unsafe { zeroed() };
    (buffer.index, buffer.type_, buffer.memory) = (index, CAPTURE, MMAP);
    buffer
}

fn set_format(device: &Device, wanted: CameraFormat, [width, height]: [u32; 2]) -> io::Result<v4l2_pix_format> {
    // SAFETY: plain numbers; zero is a value of each.
    let mut format: v4l2_format = unsafe { zeroed() };
    // SAFETY: as above. A stride of 0 lets the driver choose; its old one would be kept.
    let mut pix: v4l2_pix_format = unsafe { zeroed() };
    let pixelformat = u32::from_le_bytes(wanted.fourcc());
    (pix.width, pix.height, pix.pixelformat, pix.field) = (width, height, pixelformat, FIELD_NONE);
    format.type_ = CAPTURE;
    format.fmt.pix = pix;
    call(device, vidioc::VIDIOC_S_FMT, &mut format)?;
    // SAFETY: for this type of buffer the kernel writes `pix`.
    let got = unsafe { format.fmt.pix };
    if got.pixelformat != pixelformat {
        let there = String::from_utf8_lossy(&got.pixelformat.to_le_bytes()).into_owned();
        return Err(io::Error::other(format!("expected {wanted:?}, got {there}")));
    }
    Ok(got)
}

/// By the rules of V4L2: what the driver says, else what its colour space implies.
fn colours_of(pix: &v4l2_pix_format) -> Colours {
    const REC709: u32 = 3;
    const JPEG: u32 = 7;
    // SAFETY: both members of the union are 32-bit numbers.
    let encoding = unsafe { pix.__bindgen_anon_1.ycbcr_enc };
    let matrix = match (encoding, pix.colorspace) {
        (2 | 4, _) | (0, REC709) => Matrix::Bt709,
        _ => Matrix::Bt601,
    };
    let levels = match (pix.quantization, pix.colorspace) {
        (1, _) | (0, JPEG) => Levels::Full,
        _ => Levels::Limited,
    };
    Colours { levels, matrix }
}

fn age_of(buffer: &v4l2_buffer) -> Nanos {
    if buffer.flags & V4L2_BUF_FLAG_TIMESTAMP_MASK != V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC {
        return Nanos(0);
    }
    age_between(&buffer.timestamp, monotonic_now())
}

fn age_between(stamp: &timeval, now: Nanos) -> Nanos {
    let (s, us) = (u64::try_from(stamp.tv_sec).unwrap_or(0), u64::try_from(stamp.tv_usec).unwrap_or(0));
    let captured = Nanos(s.saturating_mul(1_000_000_000).saturating_add(us * 1_000));
    let age = now.since(captured);
    if captured > now || age > AGE_MAX { Nanos(0) } else { age }
}

/// The clock that drivers stamp with.
fn monotonic_now() -> Nanos {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes to `time` only. The clock is always there.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    Nanos(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
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
    use v4l::capability::Flags;
    let caps = Device::with_path(path)?.query_caps()?;
    if !caps.capabilities.contains(Flags::VIDEO_CAPTURE | Flags::STREAMING) {
        return Ok(None);
    }
    let (path, usb) = (path.to_owned(), usb_id(path));
    Ok(Some(Listing { path, driver: caps.driver, card: caps.card, bus: caps.bus, usb, formats: Vec::new() }))
}

fn formats(path: &Path) -> io::Result<Vec<FormatListing>> {
    let device = Device::with_path(path)?;
    let mut listed = Vec::new();
    for offered in device.enum_formats()? {
        let mut sizes = Vec::new();
        for size in device.enum_framesizes(offered.fourcc).unwrap_or_default() {
            // Of a range its ends: a driver that scales has thousands of sizes.
            match size.size {
                FrameSizeEnum::Discrete(s) => sizes.push((s.width, s.height)),
                FrameSizeEnum::Stepwise(s) => sizes.extend([(s.min_width, s.min_height), (s.max_width, s.max_height)]),
            }
        }
        sizes.sort_unstable();
        sizes.dedup();
        let sizes = sizes.into_iter().map(|(width, height)| {
            let intervals = device.enum_frameintervals(offered.fourcc, width, height).unwrap_or_default();
            let mut fps: Vec<f64> = intervals.iter().flat_map(|i| rates(&i.interval)).collect();
            fps.sort_by(|a, b| b.total_cmp(a));
            fps.dedup();
            SizeListing { width, height, fps }
        });
        let sizes = sizes.collect();
        let is_handled = CameraFormat::from_fourcc(offered.fourcc.repr).is_some();
        listed.push(FormatListing { fourcc: offered.fourcc.to_string(), is_handled, sizes });
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
        let now = Nanos::from_ms(10_000);
        for (sec, usec, age_ms) in [(9, 990_000, 10.0), (10, 0, 0.0), (11, 0, 0.0), (2, 0, 0.0), (-1, -1, 0.0)] {
            assert_eq!(age_between(&timeval { tv_sec: sec, tv_usec: usec }, now).as_ms(), age_ms, "{sec} {usec}");
        }
        assert!(monotonic_now() > Nanos(0) && monotonic_now() <= monotonic_now());
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
