//! A framebuffer device such as `/dev/fb0`, with 16, 24 or 32 bits per pixel.
//!
//! The picture is written, not mapped: drivers that emulate a framebuffer forward a write at once, and a change of
//! mapped memory up to 50 ms later.
#![allow(unsafe_code, reason = "two ioctls that fill a structure")]

use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::console::Console;
use super::surface::{Bits, PixelLayout, Surface};
use super::{Display, Presence, Presentation, Presented};
use crate::error::{Error, ErrorKind, Result};
use crate::glass::Light;
use crate::input::Contact;
use crate::input::touch::Turn;
use crate::overlay::Canvas;
use crate::units::{FrameId, Timestamp};

const FBIOGET_VSCREENINFO: libc::c_ulong = 0x4600;
const FBIOGET_FSCREENINFO: libc::c_ulong = 0x4602;
/// Dots per inch of a screen that does not report its size.
const DPI: f32 = 133.0;

/// `struct fb_bitfield` of linux/fb.h.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct FbBitfield {
    offset: u32,
    length: u32,
    msb_right: u32,
}

/// `struct fb_var_screeninfo` of linux/fb.h.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct FbVar {
    xres: u32,
    yres: u32,
    xres_virtual: u32,
    yres_virtual: u32,
    xoffset: u32,
    yoffset: u32,
    bits_per_pixel: u32,
    grayscale: u32,
    red: FbBitfield,
    green: FbBitfield,
    blue: FbBitfield,
    transp: FbBitfield,
    nonstd: u32,
    activate: u32,
    height_mm: u32,
    width_mm: u32,
    timing: [u32; 12],
    reserved: [u32; 4],
}

/// `struct fb_fix_screeninfo` of linux/fb.h.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct FbFix {
    id: [u8; 16],
    smem_start: usize,
    smem_len: u32,
    kind: u32,
    type_aux: u32,
    visual: u32,
    panning: [u16; 3],
    line_length: u32,
    mmio_start: usize,
    mmio_len: u32,
    accel: u32,
    capabilities: u16,
    reserved: [u16; 2],
}

/// An open framebuffer. Dropping it blanks the screen and restores the console.
pub struct Framebuffer {
    file: File,
    path: PathBuf,
    surface: Surface,
    /// Bytes before the first visible pixel.
    start: u64,
    memory: Vec<u8>,
    dpi: f32,
    _console: Option<Console>,
}

impl Framebuffer {
    /// Opens a framebuffer; `turn` rotates the picture on its way, `dpi` overrides the driver's.
    ///
    /// # Errors
    /// `Unavailable` when it does not exist or is no framebuffer, `Unsupported` for a pixel format that is not handled.
    pub fn open(path: &Path, turn: Turn, dpi: Option<f32>) -> Result<Self> {
        let place = path.display();
        let failed = |e| Error::caused(ErrorKind::Unavailable, format!("framebuffer {place}: cannot be used"), e);
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(failed)?;
        let (var, fix) = ask(&file).map_err(failed)?;
        let surface =
            surface_of(&var, fix.line_length as usize, turn).map_err(|e| e.within(format!("framebuffer {place}")))?;
        let start = var.yoffset as usize * surface.stride + var.xoffset as usize * surface.layout.bytes();
        let console = Console::take().map_err(|e| log::info!("{e}; the picture may be written over")).ok();
        let said = dpi_of(var.xres, var.width_mm);
        Ok(Self {
            file,
            path: path.to_owned(),
            surface,
            start: start as u64,
            memory: vec![0; surface.bytes()],
            dpi: dpi.or(said).unwrap_or(DPI),
            _console: console,
        })
    }

    fn put(&mut self) -> Result<()> {
        self.file.write_all_at(&self.memory, self.start).map_err(|e| {
            let place = self.path.display();
            Error::caused(ErrorKind::Io, format!("framebuffer {place}: the picture cannot be written"), e)
        })
    }
}

fn ask(file: &File) -> std::io::Result<(FbVar, FbFix)> {
    let (mut var, mut fix) = (FbVar::default(), FbFix::default());
    // SAFETY: the call writes one `fb_var_screeninfo`, whose layout `FbVar` has (a test holds its size).
    let told = unsafe { libc::ioctl(file.as_raw_fd(), FBIOGET_VSCREENINFO as _, std::ptr::from_mut(&mut var)) };
    if told < 0 {
        return Err(std::io::Error::last_os_error());
    }
    // SAFETY: the call writes one `fb_fix_screeninfo`, whose layout `FbFix` has (a test holds its size).
    let told = unsafe { libc::ioctl(file.as_raw_fd(), FBIOGET_FSCREENINFO as _, std::ptr::from_mut(&mut fix)) };
    if told < 0 {
        return Err(std::io::Error::last_os_error());
    }
    Ok((var, fix))
}

fn surface_of(var: &FbVar, stride: usize, turn: Turn) -> Result<Surface> {
    let bits = |b: FbBitfield| Bits { offset: b.offset, length: b.length };
    let alpha = (var.transp.length > 0).then(|| bits(var.transp));
    let layout = PixelLayout::new(var.bits_per_pixel, bits(var.red), bits(var.green), bits(var.blue), alpha);
    let layout = layout.filter(|l| var.xres as usize * l.bytes() <= stride && var.xres > 0 && var.yres > 0);
    let Some(layout) = layout else {
        let (w, h, bpp) = (var.xres, var.yres, var.bits_per_pixel);
        let message = format!("expected 16, 24 or 32 bits a pixel, got {bpp} at {w}x{h} in a stride of {stride}");
        return Err(Error::new(ErrorKind::Unsupported, message));
    };
    Ok(Surface { width: var.xres, height: var.yres, stride, layout, turn })
}

/// Dots per inch; `None` outside 40 to 800.
pub(super) fn dpi_of(px: u32, mm: u32) -> Option<f32> {
    let dpi = px as f32 * 25.4 / mm as f32;
    (40.0..=800.0).contains(&dpi).then_some(dpi)
}

impl Display for Framebuffer {
    fn size(&self) -> (u32, u32) {
        self.surface.canvas_size()
    }

    fn dpi(&self) -> f32 {
        self.dpi
    }

    fn present(
        &mut self,
        canvas: &Canvas,
        _shown: &Presented,
        is_in_time: &mut dyn FnMut() -> bool,
    ) -> Result<Presentation> {
        self.surface.write(canvas, &mut self.memory);
        if !is_in_time() {
            return Ok(Presentation::Withheld);
        }
        self.put()?;
        Ok(Presentation::Lit(Light::Now))
    }

    fn contacts(&mut self, _now: Timestamp, _shown: Option<FrameId>, _out: &mut Vec<Contact>) -> Result<Presence> {
        Ok(Presence::Open)
    }

    fn finish(&mut self) -> Result<()> {
        self.memory.fill(0);
        self.put()
    }
}

impl Drop for Framebuffer {
    fn drop(&mut self) {
        // A picture left on the screen would be taken for live.
        if let Err(e) = self.finish() {
            log::error!("{e}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn var(bits_per_pixel: u32) -> FbVar {
        let bits = |offset, length| FbBitfield { offset, length, msb_right: 0 };
        FbVar {
            xres: 800,
            yres: 480,
            bits_per_pixel,
            red: bits(11, 5),
            green: bits(5, 6),
            blue: bits(0, 5),
            ..FbVar::default()
        }
    }

    #[test]
    fn the_structures_are_those_of_the_kernel() {
        assert_eq!(size_of::<FbVar>(), 160);
        assert_eq!(size_of::<FbFix>(), if cfg!(target_pointer_width = "64") { 80 } else { 68 });
        assert_eq!(std::mem::offset_of!(FbFix, line_length), if cfg!(target_pointer_width = "64") { 48 } else { 44 });
        assert_eq!(std::mem::offset_of!(FbVar, width_mm), 92);
    }

    #[test]
    fn what_is_no_framebuffer_is_refused_with_its_name() {
        for path in ["/dev/null", "/dev/no-such-fb"] {
            let e = Framebuffer::open(Path::new(path), Turn::None, None).err().unwrap();
            assert_eq!(e.kind(), ErrorKind::Unavailable, "{e}");
            assert!(e.to_string().starts_with(&format!("framebuffer {path}: ")), "{e}");
        }
    }

    #[test]
    fn any_stride_that_holds_a_row_is_taken_and_no_other() {
        let surface = surface_of(&var(16), 1_664, Turn::None).unwrap();
        assert_eq!((surface.stride, surface.layout), (1_664, PixelLayout::RGB565));
        for (var, stride) in [(var(16), 1_599), (var(8), 800), (FbVar { xres: 0, ..var(16) }, 1_600)] {
            let e = surface_of(&var, stride, Turn::None).unwrap_err();
            assert_eq!(e.kind(), ErrorKind::Unsupported, "{e}");
        }
    }

    #[test]
    fn a_size_that_cannot_be_gives_no_resolution() {
        assert!((dpi_of(800, 154).unwrap() - 131.9).abs() < 0.1);
        for (px, mm) in [(800, 0), (800, 10_000), (800, 1)] {
            assert_eq!(dpi_of(px, mm), None, "{px} px in {mm} mm");
        }
    }
}
