//! One display that is looked at, others that get the same pictures.

use super::{Display, Key, Presence, Presented};
use crate::error::Result;
use crate::input::Contact;
use crate::overlay::Canvas;
use crate::units::{FrameId, Nanos};

/// Shows every picture on all of its displays. Size, resolution, touches and keys are those of the first.
///
/// An error of one does not keep the picture from the others; the first error is returned.
pub struct Tee {
    first: Box<dyn Display>,
    others: Vec<Box<dyn Display>>,
}

impl Tee {
    /// The display that is looked at.
    pub fn new(first: Box<dyn Display>) -> Self {
        Self { first, others: Vec::new() }
    }

    /// And one more that gets the same pictures.
    pub fn and(mut self, other: Box<dyn Display>) -> Self {
        self.others.push(other);
        self
    }

    fn on_all(&mut self, mut act: impl FnMut(&mut dyn Display) -> Result<()>) -> Result<()> {
        let mut outcome = act(self.first.as_mut());
        for other in &mut self.others {
            let this = act(other.as_mut());
            if outcome.is_ok() {
                outcome = this;
            }
        }
        outcome
    }
}

impl Display for Tee {
    fn size(&self) -> (u32, u32) {
        self.first.size()
    }

    fn dpi(&self) -> f32 {
        self.first.dpi()
    }

    fn present(&mut self, canvas: &Canvas, shown: &Presented) -> Result<()> {
        self.on_all(|display| display.present(canvas, shown))
    }

    fn contacts(&mut self, now: Nanos, shown: FrameId, out: &mut Vec<Contact>) -> Result<Presence> {
        self.first.contacts(now, shown, out)
    }

    fn keys(&mut self, out: &mut Vec<Key>) {
        self.first.keys(out);
    }

    fn finish(&mut self) -> Result<()> {
        self.on_all(|display| display.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Error, ErrorKind};
    use std::cell::Cell;
    use std::rc::Rc;

    struct Counting {
        presented: Rc<Cell<u32>>,
        failing: bool,
    }

    impl Display for Counting {
        fn size(&self) -> (u32, u32) {
            (4, 4)
        }
        fn dpi(&self) -> f32 {
            96.0
        }
        fn present(&mut self, _canvas: &Canvas, _shown: &Presented) -> Result<()> {
            self.presented.set(self.presented.get() + 1);
            if self.failing { Err(Error::new(ErrorKind::Io, "full")) } else { Ok(()) }
        }
        fn contacts(&mut self, _now: Nanos, _shown: FrameId, _out: &mut Vec<Contact>) -> Result<Presence> {
            Ok(Presence::Open)
        }
        fn finish(&mut self) -> Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_failing_display_is_reported_and_does_not_blind_the_others() {
        let presented = Rc::new(Cell::new(0));
        let display = |failing| Box::new(Counting { presented: presented.clone(), failing });
        let mut tee = Tee::new(display(true)).and(display(false)).and(display(true));
        let shown = Presented { frame: FrameId(1), captured: Nanos(0), presented: Nanos(0) };
        assert_eq!(tee.present(&Canvas::new(4, 4), &shown).unwrap_err().to_string(), "full");
        assert_eq!(presented.get(), 3);
        tee.finish().unwrap();
    }
}
