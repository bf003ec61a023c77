//! Handles are names, not addresses. Each has a number that is not given again, so one that was closed, closed twice, or never was one
//! is refused instead of read; and what it names lives until the last call that uses it has returned.

use std::sync::{Arc, PoisonError, RwLock};

use crate::boundary::{Failure, Outcome};
use crate::types::{SONOTAP_E_HANDLE, SONOTAP_E_UNAVAILABLE};

/// Most models and most sessions at a time.
const PLACES_MAX: usize = 256;
const PLACE_BITS: u32 = 8;
/// Names are odd, so that nothing can be read where they point to.
const MARK: usize = 1;

struct Place<T> {
    generation: usize,
    value: Option<Arc<T>>,
}

/// What the handles of one kind name.
pub(crate) struct Registry<T> {
    places: RwLock<Vec<Place<T>>>,
    what: &'static str,
    kind: usize,
}

impl<T> Registry<T> {
    /// `kind` is 0 or 1, and differs between registries.
    pub(crate) const fn new(what: &'static str, kind: usize) -> Self {
        Self { places: RwLock::new(Vec::new()), what, kind }
    }

    /// Gives a value a name.
    pub(crate) fn add<H>(&self, value: T) -> Outcome<*mut H> {
        let mut places = self.places.write().unwrap_or_else(PoisonError::into_inner);
        let free = places.iter().position(|p| p.value.is_none());
        let at = free.unwrap_or(places.len());
        if at == PLACES_MAX {
            let text = format!("expected at most {PLACES_MAX} {}s at a time, got one more", self.what);
            return Err(Failure::new(SONOTAP_E_UNAVAILABLE, text));
        }
        if free.is_none() {
            places.push(Place { generation: 0, value: None });
        }
        let place = &mut places[at];
        place.generation += 1;
        place.value = Some(Arc::new(value));
        Ok(std::ptr::without_provenance_mut(self.name(at, place.generation)))
    }

    /// What a handle names.
    pub(crate) fn get<H>(&self, handle: *const H) -> Outcome<Arc<T>> {
        let places = self.places.read().unwrap_or_else(PoisonError::into_inner);
        let at = self.place_of(handle.addr());
        let place = places.get(at).filter(|p| self.name(at, p.generation) == handle.addr());
        place.and_then(|p| p.value.clone()).ok_or_else(|| self.unknown(handle.addr()))
    }

    /// Ends a name.
    pub(crate) fn remove<H>(&self, handle: *const H) -> Outcome<Arc<T>> {
        let mut places = self.places.write().unwrap_or_else(PoisonError::into_inner);
        let at = self.place_of(handle.addr());
        let place = places.get_mut(at).filter(|p| self.name(at, p.generation) == handle.addr());
        place.and_then(|p| p.value.take()).ok_or_else(|| self.unknown(handle.addr()))
    }

    fn name(&self, at: usize, generation: usize) -> usize {
        (((generation << PLACE_BITS | at) << 1 | self.kind) << 1) | MARK
    }

    fn place_of(&self, name: usize) -> usize {
        name >> 2 & (PLACES_MAX - 1)
    }

    fn unknown(&self, name: usize) -> Failure {
        let got = if name == 0 { "NULL".into() } else { format!("{name:#x}") };
        Failure::new(SONOTAP_E_HANDLE, format!("expected a {} that is open, got {got}", self.what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_refused_when_closed_closed_twice_invented_or_of_another_kind() {
        let (sessions, models) = (Registry::new("session", 0), Registry::new("model", 1));
        let first: *mut u8 = sessions.add("first").unwrap();
        let model: *mut u8 = models.add("model").unwrap();
        assert_eq!(*sessions.get(first).unwrap(), "first");
        assert_eq!(models.get(first).unwrap_err().status, SONOTAP_E_HANDLE);
        assert_eq!(sessions.get(model).unwrap_err().status, SONOTAP_E_HANDLE);
        assert_eq!(*sessions.remove(first).unwrap(), "first");
        assert_eq!(sessions.remove(first).unwrap_err().status, SONOTAP_E_HANDLE);
        let second: *mut u8 = sessions.add("second").unwrap();
        assert_ne!(first, second, "a name was given twice");
        assert_eq!(sessions.get(first).unwrap_err().status, SONOTAP_E_HANDLE);
        for invented in [0, 1, 2, 3, usize::MAX, usize::MAX / 3, second.addr() ^ 1, second.addr() + 4] {
            let e = sessions.get(std::ptr::without_provenance::<u8>(invented)).unwrap_err();
            assert_eq!(e.status, SONOTAP_E_HANDLE, "{invented:#x}");
        }
    }

    #[test]
    fn names_are_bounded_and_places_are_used_again() {
        let registry = Registry::new("session", 0);
        let names: Vec<*mut u8> = (0..PLACES_MAX).map(|i| registry.add(i).unwrap()).collect();
        assert_eq!(registry.add::<u8>(0).unwrap_err().status, SONOTAP_E_UNAVAILABLE);
        for (i, name) in names.iter().enumerate() {
            assert_eq!(*registry.remove(*name).unwrap(), i);
        }
        let again: *mut u8 = registry.add(7).unwrap();
        assert!(!names.contains(&again));
    }
}
