//! The slot between two threads: it holds one value, the newest.
//!
//! Several slots may share one [`Wake`], so that a thread sleeps until any of them has something.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

/// Wakes one sleeping thread; waking it twice before it looks is waking it once.
#[derive(Clone)]
pub struct Wake {
    ring: Sender<()>,
    hear: Receiver<()>,
    bell: Option<Bell>,
}

/// Called on the thread that wakes.
pub type Bell = Arc<dyn Fn() + Send + Sync>;

impl fmt::Debug for Wake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wake").field("is_rung", &!self.hear.is_empty()).finish_non_exhaustive()
    }
}

impl Default for Wake {
    fn default() -> Self {
        let (ring, hear) = bounded(1);
        Self { ring, hear, bell: None }
    }
}

impl Wake {
    /// The same wake; who wakes through the returned one also calls `bell`.
    pub fn with_bell(&self, bell: Bell) -> Self {
        Self { bell: Some(bell), ..self.clone() }
    }

    /// Wakes the sleeper, now or when it next sleeps.
    pub fn wake(&self) {
        let _already_awake = self.ring.try_send(());
        if let Some(bell) = &self.bell {
            bell();
        }
    }

    /// Sleeps until woken, at most `timeout`; whether it was woken.
    pub fn sleep(&self, timeout: Duration) -> bool {
        self.hear.recv_timeout(timeout).is_ok()
    }
}

/// A slot for one value. Clones are the same slot.
#[derive(Debug)]
pub struct Latest<T> {
    slot: Arc<Mutex<Option<T>>>,
    wake: Wake,
}

impl<T> Clone for Latest<T> {
    fn clone(&self) -> Self {
        Self { slot: self.slot.clone(), wake: self.wake.clone() }
    }
}

impl<T> Latest<T> {
    /// An empty slot that rings `wake` when it is filled.
    pub fn new(wake: Wake) -> Self {
        Self { slot: Arc::default(), wake }
    }

    /// Puts the newest value in and returns the one that nobody took.
    pub fn put(&self, value: T) -> Option<T> {
        let displaced = self.lock().replace(value);
        self.wake.wake();
        displaced
    }

    /// Takes the value out.
    pub fn take(&self) -> Option<T> {
        self.lock().take()
    }

    /// Whether there is nothing to take.
    pub fn is_empty(&self) -> bool {
        self.lock().is_none()
    }

    /// What rings when the slot is filled.
    pub fn wake(&self) -> &Wake {
        &self.wake
    }

    fn lock(&self) -> MutexGuard<'_, Option<T>> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newest_wins_and_the_displaced_comes_back() {
        let slot = Latest::new(Wake::default());
        assert_eq!(slot.put(1), None);
        assert_eq!(slot.put(2), Some(1));
        assert_eq!(slot.take(), Some(2));
        assert_eq!(slot.take(), None);
    }

    #[test]
    fn two_slots_wake_one_sleeper_and_waking_is_not_counted() {
        let wake = Wake::default();
        let (a, b) = (Latest::new(wake.clone()), Latest::new(wake.clone()));
        a.put(1);
        b.put(2);
        assert!(wake.sleep(Duration::ZERO));
        assert!(!wake.sleep(Duration::ZERO), "two puts were two wakings");
    }

    #[test]
    fn a_bell_is_heard_by_who_sleeps_and_by_who_listens() {
        let rung = Arc::new(std::sync::atomic::AtomicU32::new(0));
        let counted = rung.clone();
        let wake = Wake::default();
        let belled = wake.with_bell(Arc::new(move || {
            counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }));
        wake.wake();
        assert_eq!(rung.load(std::sync::atomic::Ordering::Relaxed), 0);
        assert!(wake.sleep(Duration::ZERO));
        belled.wake();
        assert!(wake.sleep(Duration::ZERO), "the bell rang and nobody was woken");
        assert_eq!(rung.load(std::sync::atomic::Ordering::Relaxed), 1);
    }

    #[test]
    fn a_sleeper_in_another_thread_is_woken() {
        let slot: Latest<u32> = Latest::new(Wake::default());
        let other = slot.clone();
        let sleeper = std::thread::spawn(move || {
            while other.take().is_none() {
                other.wake().sleep(Duration::from_secs(10));
            }
        });
        slot.put(7);
        sleeper.join().unwrap();
    }
}
