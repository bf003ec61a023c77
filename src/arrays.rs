//! Frames, masks and logits as [`ndarray`] views, in and out. Axes are rows, columns, then channels; nothing is copied on the
//! way out.

use ndarray::{ArrayView2, ArrayView3};

use crate::error::{Error, ErrorKind, Result};
use crate::frame::{Frame, PixelFormat};
use crate::geometry::ModelView;
use crate::mask::{Bitmap, LogitGrid};
use crate::pipeline::capture_time::CaptureTime;
use crate::pipeline::entry::{Entered, FrameInput};

impl Frame {
    /// The pixels, `[height, width, channels]` of bytes; 1 channel for grey, 3 for red, green, blue.
    ///
    /// ```
    /// use sonotap::{Frame, ndarray::Array3};
    /// let grey = Array3::from_shape_fn((48, 64, 1), |(y, x, _)| (x + y) as u8);
    /// assert_eq!(Frame::from_array(grey.view())?.array(), grey);
    /// # Ok::<(), sonotap::Error>(())
    /// ```
    pub fn array(&self) -> ArrayView3<'_, u8> {
        let shape = (self.height() as usize, self.width() as usize, self.format().bytes());
        ArrayView3::from_shape(shape, self.pixels()).expect("a frame has as many pixels as its size says")
    }

    /// A copy of `[height, width, channels]` bytes of any strides, with 1 channel (grey) or 3 (red, green, blue). It has no
    /// scale, and its region is the whole of it.
    ///
    /// # Errors
    /// `Argument` for another number of channels and for sizes that no frame has.
    pub fn from_array(pixels: ArrayView3<'_, u8>) -> Result<Self> {
        let mut frame = Self::default();
        frame.copy_array(pixels)?;
        Ok(frame)
    }

    /// Becomes such a copy, reusing the buffer.
    ///
    /// # Errors
    /// As [`Frame::from_array`]; then the frame stays as it was.
    pub fn copy_array(&mut self, pixels: ArrayView3<'_, u8>) -> Result<()> {
        let (height, width, channels) = pixels.dim();
        let format = match channels {
            1 => PixelFormat::Grey8,
            3 => PixelFormat::Rgb8,
            _ => return Err(argument(format!("frame: expected 1 or 3 channels, got {channels}"))),
        };
        let edge = |px: usize| u32::try_from(px).map_err(|_| argument(format!("frame: {px} px are too many")));
        self.reshape(edge(width)?, edge(height)?, format)?;
        match pixels.as_slice() {
            Some(rows) => self.pixels_mut().copy_from_slice(rows),
            None => self.pixels_mut().iter_mut().zip(pixels).for_each(|(to, &from)| *to = from),
        }
        Ok(())
    }
}

impl FrameInput {
    /// Copies `[height, width, channels]` bytes in, as [`FrameInput::push`].
    ///
    /// # Errors
    /// `Argument` when the array or the time cannot be true; it is counted and nothing comes in.
    pub fn push_array(
        &self,
        pixels: ArrayView3<'_, u8>,
        time: CaptureTime,
        host_number: Option<u64>,
    ) -> Result<Entered> {
        self.push_by(|frame| frame.copy_array(pixels), time, host_number)
    }
}

impl Bitmap {
    /// `[height, width]` of 0 and 1.
    pub fn array(&self) -> ArrayView2<'_, u8> {
        let shape = (self.height() as usize, self.width() as usize);
        ArrayView2::from_shape(shape, self.pixels()).expect("a mask has as many pixels as its size says")
    }

    /// A copy of `[height, width]` values of any strides, inside where non-zero.
    ///
    /// ```
    /// use sonotap::{Bitmap, ndarray::array};
    /// let mask = Bitmap::from_array(array![[0, 9], [255, 0], [0, 0]].view());
    /// assert_eq!((mask.width(), mask.height(), mask.array()), (2, 3, array![[0, 1], [1, 0], [0, 0]].view()));
    /// ```
    ///
    /// # Panics
    /// If a side is longer than `u32::MAX`.
    pub fn from_array(values: ArrayView2<'_, u8>) -> Self {
        let (height, width) = values.dim();
        let edge = |px: usize| u32::try_from(px).expect("a side of a mask is shorter than 2^32 px");
        Self::from_values(edge(width), edge(height), values.iter().copied().collect())
            .expect("there are as many values as the array's size says")
    }
}

impl LogitGrid {
    /// `[cells, cells]` logits; row 0 is the top of the view.
    pub fn array(&self) -> ArrayView2<'_, f32> {
        ArrayView2::from_shape((self.cells(), self.cells()), self.values()).expect("a grid has cells * cells values")
    }

    /// A copy of `[cells, cells]` logits of any strides that cover `view`.
    ///
    /// # Errors
    /// `Argument` when the array is empty or not square.
    pub fn from_array(view: ModelView, logits: ArrayView2<'_, f32>) -> Result<Self> {
        let (rows, columns) = logits.dim();
        let square = (rows == columns).then(|| Self::from_values(rows, view, logits.iter().copied().collect()));
        let what = || argument(format!("logits: expected a square of at least 1x1, got {rows}x{columns}"));
        square.flatten().ok_or_else(what)
    }
}

fn argument(message: String) -> Error {
    Error::new(ErrorKind::Argument, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Rect;
    use ndarray::{Array2, Array3, s};

    #[test]
    fn an_array_of_any_strides_becomes_the_frame_it_shows() {
        let whole = Array3::from_shape_fn((20, 30, 3), |(y, x, c)| (y * 90 + x * 3 + c) as u8);
        let part = whole.slice(s![2..18, 4..;2, ..]);
        assert!(part.as_slice().is_none());
        for view in [whole.view(), part, whole.view().permuted_axes([1, 0, 2]), whole.slice(s![..;-1, .., ..])] {
            let frame = Frame::from_array(view).unwrap();
            assert_eq!((frame.height() as usize, frame.width() as usize, 3), view.dim());
            assert_eq!(frame.array(), view);
        }
    }

    #[test]
    fn arrays_that_no_frame_has_are_refused_and_leave_the_frame() {
        let good = Array3::from_elem((16, 16, 1), 7);
        let mut frame = Frame::from_array(good.view()).unwrap();
        for (height, width, channels) in [(16, 16, 2), (16, 16, 0), (0, 16, 1), (16, 0, 3), (1, 20_000, 1)] {
            let wrong = Array3::from_elem((height, width, channels), 1);
            let error = frame.copy_array(wrong.view()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Argument, "{height}x{width}x{channels}");
            assert_eq!(frame.array(), good, "{height}x{width}x{channels}");
        }
    }

    #[test]
    fn logits_come_back_as_they_went_in() {
        let view = ModelView::new(Rect::new(0.0, 0.0, 64.0, 48.0), 64);
        let logits = Array2::from_shape_fn((8, 8), |(y, x)| y as f32 - x as f32);
        assert_eq!(LogitGrid::from_array(view, logits.t()).unwrap().array(), logits.t());
        for (rows, columns) in [(0, 0), (3, 4)] {
            assert!(LogitGrid::from_array(view, Array2::zeros((rows, columns)).view()).is_err());
        }
    }
}
