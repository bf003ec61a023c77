//! The functions of the header as a host would wrap them: each call passes pointers to values that live until it returns.

use std::ffi::CString;
use std::path::{Path, PathBuf};

use sonotap_capi::*;

pub(crate) fn bundled() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/student")
}

pub(crate) fn fourcc(name: &[u8; 4]) -> u32 {
    u32::from_le_bytes(*name)
}

/// All zeros, which are the defaults.
macro_rules! zeroed {
    ($name:ident, $kind:ty) => {
        pub(crate) fn $name() -> $kind {
            // SAFETY: numbers, raw pointers and optional functions, for all of which zeros are a value.
            let mut value: $kind = unsafe { std::mem::zeroed() };
            value.struct_size = size_of::<$kind>() as u32;
            value
        }
    };
}
zeroed!(config, sonotap_config);
zeroed!(frame, sonotap_frame);
zeroed!(scene, sonotap_scene);
zeroed!(object, sonotap_object);
zeroed!(marker, sonotap_marker);
zeroed!(picture, sonotap_picture);

pub(crate) fn last_error() -> String {
    let mut text = vec![0u8; 1024];
    // SAFETY: the buffer has its length.
    let len = unsafe { sonotap_last_error(text.as_mut_ptr().cast(), text.len()) };
    text.truncate(len.min(1023));
    String::from_utf8(text).unwrap()
}

pub(crate) struct Model(pub *mut sonotap_model);

impl Model {
    pub(crate) fn bundled() -> Self {
        Self::of_folder(&bundled()).unwrap_or_else(|(status, text)| panic!("{status}: {text}"))
    }

    pub(crate) fn of_folder(folder: &Path) -> Result<Self, (i32, String)> {
        let path = CString::new(folder.to_str().unwrap()).unwrap();
        let mut model = std::ptr::null_mut();
        // SAFETY: a text that ends in NUL, and a place for a handle.
        let status = unsafe { sonotap_model_from_folder(path.as_ptr(), &mut model) };
        if status == SONOTAP_OK { Ok(Self(model)) } else { Err((status, last_error())) }
    }

    pub(crate) fn of_memory(files: &[(&str, &[u8])]) -> Result<Self, (i32, String)> {
        let names: Vec<CString> = files.iter().map(|(name, _)| CString::new(*name).unwrap()).collect();
        let blobs: Vec<sonotap_blob> = files
            .iter()
            .zip(&names)
            .map(|((_, bytes), name)| sonotap_blob {
                name: name.as_ptr(),
                bytes: bytes.as_ptr().cast(),
                len: bytes.len(),
            })
            .collect();
        let mut model = std::ptr::null_mut();
        // SAFETY: as many blobs as are said, each with its name and bytes.
        let status = unsafe { sonotap_model_from_memory(blobs.as_ptr(), blobs.len(), &mut model) };
        if status == SONOTAP_OK { Ok(Self(model)) } else { Err((status, last_error())) }
    }

    pub(crate) fn describe(&self) -> String {
        text_of(|text, cap, needed| {
            // SAFETY: the buffer has its length.
            unsafe { sonotap_model_describe(self.0, text, cap, needed) }
        })
    }

    pub(crate) fn open(&self, config: &sonotap_config) -> Result<Session, (i32, String)> {
        let mut session = std::ptr::null_mut();
        // SAFETY: a structure of its size, and a place for a handle.
        let status = unsafe { sonotap_open(self.0, config, &mut session) };
        if status == SONOTAP_OK { Ok(Session(session)) } else { Err((status, last_error())) }
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        assert_eq!(sonotap_model_free(self.0), SONOTAP_OK);
    }
}

fn text_of(call: impl Fn(*mut std::ffi::c_char, usize, *mut usize) -> i32) -> String {
    let mut needed = 0;
    assert_eq!(call(std::ptr::null_mut(), 0, &mut needed), SONOTAP_MORE);
    // Numbers may get longer until the second call.
    let mut text = vec![0u8; needed + 256];
    assert_eq!(call(text.as_mut_ptr().cast(), text.len(), &mut needed), SONOTAP_OK);
    text.truncate(needed - 1);
    String::from_utf8(text).unwrap()
}

/// A handle that may go to other threads, as the header says.
#[derive(Clone, Copy)]
pub(crate) struct Handle(pub *mut sonotap_session);
// SAFETY: a name, which any thread may pass.
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}

impl Handle {
    pub(crate) fn name(self) -> *mut sonotap_session {
        self.0
    }
}

pub(crate) struct Session(pub *mut sonotap_session);

impl Session {
    pub(crate) fn handle(&self) -> Handle {
        Handle(self.0)
    }

    pub(crate) fn push(&self, frame: &sonotap_frame) -> i32 {
        push(self.0, frame)
    }

    pub(crate) fn poll(&self) -> Option<sonotap_scene> {
        match poll(self.0) {
            (SONOTAP_OK, scene) => Some(scene),
            (SONOTAP_NOTHING_NEW, _) => None,
            (status, _) => panic!("{status}: {}", last_error()),
        }
    }

    pub(crate) fn object(&self, index: u32) -> (i32, sonotap_object) {
        let mut out = object();
        // SAFETY: a structure of its size.
        (unsafe { sonotap_get_object(self.0, index, &mut out) }, out)
    }

    pub(crate) fn outline(&self, index: u32, of: &sonotap_object) -> (Vec<sonotap_point>, Vec<u32>) {
        let mut points = vec![sonotap_point::default(); of.points as usize];
        let mut ends = vec![0; of.rings as usize];
        // SAFETY: both lists have their lengths.
        let status = unsafe {
            sonotap_get_outline(self.0, index, points.as_mut_ptr(), points.len(), ends.as_mut_ptr(), ends.len())
        };
        assert_eq!(status, SONOTAP_OK, "{}", last_error());
        (points, ends)
    }

    pub(crate) fn marker(&self, index: u32, marker_index: u32) -> (i32, sonotap_marker) {
        let mut out = marker();
        // SAFETY: a structure of its size.
        (unsafe { sonotap_get_marker(self.0, index, marker_index, &mut out) }, out)
    }

    pub(crate) fn mask(&self, index: u32, width: u32, height: u32) -> (i32, Vec<u8>) {
        let mut pixels = vec![9; width as usize * height as usize];
        let into = picture_of(b"GREY", width, height, &mut pixels);
        // SAFETY: a picture that lives until the call returns.
        (unsafe { sonotap_get_mask(self.0, index, &into) }, pixels)
    }

    pub(crate) fn frame(&self, name: &[u8; 4], width: u32, height: u32) -> (i32, Vec<u8>) {
        let bytes = if name == b"GREY" { 1 } else { 3 };
        let mut pixels = vec![9; bytes * width as usize * height as usize];
        let into = picture_of(name, width, height, &mut pixels);
        // SAFETY: a picture that lives until the call returns.
        (unsafe { sonotap_get_frame(self.0, &into) }, pixels)
    }

    pub(crate) fn draw(&self, what: u32, into: &sonotap_picture) -> i32 {
        // SAFETY: a picture that lives until the call returns.
        unsafe { sonotap_draw(self.0, what, into) }
    }

    pub(crate) fn report(&self) -> String {
        text_of(|text, cap, needed| {
            // SAFETY: the buffer has its length.
            unsafe { sonotap_report(self.0, text, cap, needed) }
        })
    }

    pub(crate) fn close(self) -> i32 {
        let status = sonotap_close(self.0);
        std::mem::forget(self);
        status
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        sonotap_close(self.0);
    }
}

pub(crate) fn push(session: *mut sonotap_session, frame: &sonotap_frame) -> i32 {
    // SAFETY: a structure of its size, whose planes live until the call returns.
    unsafe { sonotap_push_frame(session, frame, std::ptr::null_mut()) }
}

pub(crate) fn poll(session: *mut sonotap_session) -> (i32, sonotap_scene) {
    let mut out = scene();
    // SAFETY: a structure of its size.
    (unsafe { sonotap_poll(session, &mut out) }, out)
}

/// A picture of dense rows.
pub(crate) fn picture_of(name: &[u8; 4], width: u32, height: u32, pixels: &mut [u8]) -> sonotap_picture {
    sonotap_picture {
        fourcc: fourcc(name),
        width,
        height,
        pixels: pixels.as_mut_ptr(),
        bytes: pixels.len(),
        ..picture()
    }
}

/// A frame of dense rows.
pub(crate) fn frame_of(name: &[u8; 4], width: u32, height: u32, pixels: &[u8]) -> sonotap_frame {
    sonotap_frame {
        fourcc: fourcc(name),
        width,
        height,
        plane: [pixels.as_ptr(), std::ptr::null()],
        plane_bytes: [pixels.len(), 0],
        ..frame()
    }
}

/// A simulated probe over a cyst.
pub(crate) struct Probe {
    phantom: sonotap::source::phantom::Phantom,
    pub frame: sonotap::frame::Frame,
    next: u64,
}

impl Probe {
    pub(crate) fn new(width: u32, height: u32) -> Self {
        use sonotap::source::phantom::{Phantom, PhantomConfig, PhantomPreset};
        let config = PhantomConfig { width, height, ..PhantomConfig::default() };
        Self { phantom: Phantom::new(PhantomPreset::Cyst, config).unwrap(), frame: Default::default(), next: 0 }
    }

    pub(crate) fn step(&mut self) -> sonotap_frame {
        use sonotap::source::FrameSource;
        self.phantom.next_into(&mut self.frame).unwrap();
        self.next += 1;
        let (width, height) = (self.frame.width(), self.frame.height());
        sonotap_frame {
            host_id: self.next,
            content: SONOTAP_CONTENT_BMODE,
            mm_per_px_x: 0.1,
            mm_per_px_y: 0.1,
            scale_source: SONOTAP_SCALE_PHANTOM,
            ..frame_of(b"GREY", width, height, self.frame.pixels())
        }
    }

    /// Where the cyst is on the frame of the last step.
    pub(crate) fn middle(&self) -> (f32, f32) {
        let at = self.phantom.tap_point(self.next - 1).unwrap();
        (at.x, at.y)
    }
}

pub(crate) const PERIOD_NS: u64 = 33_333_333;

/// A session without threads, on a clock that the test sets.
pub(crate) fn stepped() -> sonotap_config {
    sonotap_config { flags: SONOTAP_STEPPED | SONOTAP_HOST_CLOCK, ..config() }
}

/// Pushes a frame now and polls until its scene, predicting what is asked for.
pub(crate) fn turn(session: &Session, frame: &sonotap_frame, now_ns: u64) -> Option<sonotap_scene> {
    assert_eq!(sonotap_set_now_ns(session.0, now_ns), SONOTAP_OK);
    assert!(session.push(frame) >= 0, "{}", last_error());
    let first = session.poll();
    let has_predicted = sonotap_step(session.0) == SONOTAP_OK;
    let second = if has_predicted { session.poll() } else { None };
    second.or(first)
}
