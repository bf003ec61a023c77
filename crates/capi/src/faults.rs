//! Places where a test makes a panic happen, once. Without the feature `faults` they are nothing.

#[cfg(feature = "faults")]
use std::ffi::{CStr, c_char};
#[cfg(feature = "faults")]
use std::sync::Mutex;

#[cfg(feature = "faults")]
static ARMED: Mutex<Option<String>> = Mutex::new(None);

/// Panics if this is the place that a test named.
#[cfg(feature = "faults")]
pub(crate) fn point(place: &str) {
    let mut armed = ARMED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if armed.take_if(|a| a == place).is_some() {
        drop(armed);
        panic!("injected in {place}");
    }
}

#[cfg(not(feature = "faults"))]
pub(crate) fn point(_place: &str) {}

/// The next time that the named place is reached it panics.
#[cfg(feature = "faults")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sonotap_inject_panic(place: *const c_char) {
    // SAFETY: a test passes a string that ends in NUL.
    let place = unsafe { CStr::from_ptr(place) }.to_string_lossy().into_owned();
    *ARMED.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(place);
}

/// A model whose predictions panic when a test says so.
#[cfg(feature = "faults")]
pub(crate) fn faulty(inner: Box<dyn sonotap::model::Segmenter>) -> Box<dyn sonotap::model::Segmenter> {
    use sonotap::model::{Decoded, ModelPrompts, ModelSpec, Segmenter};
    struct Faulty(Box<dyn Segmenter>);
    impl Segmenter for Faulty {
        fn spec(&self) -> ModelSpec {
            self.0.spec()
        }
        fn encode(
            &mut self,
            frame: &sonotap::frame::Frame,
            view: &sonotap::geometry::ModelView,
        ) -> sonotap::error::Result<()> {
            point("predict");
            self.0.encode(frame, view)
        }
        fn decode(&mut self, prompts: &ModelPrompts, out: &mut Decoded) -> sonotap::error::Result<()> {
            self.0.decode(prompts, out)
        }
    }
    Box::new(Faulty(inner))
}

#[cfg(not(feature = "faults"))]
pub(crate) fn faulty(inner: Box<dyn sonotap::model::Segmenter>) -> Box<dyn sonotap::model::Segmenter> {
    inner
}
