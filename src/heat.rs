//! Heat: a hot device computes less, so that deadlines are kept while the processor slows down.
//!
//! [`HeatGuard`] decides, with hysteresis; [`HeatWatch`] reads the thermal zones of Linux on a thread of its own,
//! because a sensor may take milliseconds to answer.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, Sender, bounded};

use crate::error::{Error, ErrorKind, Result};
use crate::profile::HeatProfile;

/// The thermal zones of Linux.
const ZONES: &str = "/sys/class/thermal";
/// Interval between readings.
const EVERY: Duration = Duration::from_secs(1);
/// Plausible temperatures, °C; readings outside come from a broken or disabled sensor.
const BELIEVED_C: std::ops::RangeInclusive<f32> = -40.0..=200.0;

/// Decides whether the device is hot, by the hottest reading, with hysteresis.
///
/// ```
/// use sonotap::heat::HeatGuard;
/// let mut guard = HeatGuard::new(75.0, 68.0);
/// assert!(!guard.note(Some(74.9)) && guard.note(Some(75.0)) && guard.note(Some(68.1)) && !guard.note(Some(68.0)));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct HeatGuard {
    hot_c: f32,
    cool_c: f32,
    is_hot: bool,
}

impl HeatGuard {
    /// Hot from `hot_c` up, until `cool_c`.
    pub fn new(hot_c: f32, cool_c: f32) -> Self {
        Self { hot_c, cool_c, is_hot: false }
    }

    /// Takes the hottest reading, °C; without one nothing changes. Returns whether the device is hot.
    pub fn note(&mut self, hottest_c: Option<f32>) -> bool {
        if let Some(c) = hottest_c {
            self.is_hot = if self.is_hot { c > self.cool_c } else { c >= self.hot_c };
        }
        self.is_hot
    }
}

/// The hottest thermal zone in a folder, °C, of all or of these types. `None` when none can be read.
pub fn hottest_c(folder: &Path, types: &[String]) -> Option<f32> {
    let read = |path: PathBuf| std::fs::read_to_string(path).ok();
    let zones = std::fs::read_dir(folder).ok()?.flatten().map(|e| e.path());
    let wanted = zones.filter(|zone| {
        let kind = read(zone.join("type")).unwrap_or_default();
        types.is_empty() || types.iter().any(|t| t == kind.trim())
    });
    let readings = wanted.filter_map(|zone| Some(read(zone.join("temp"))?.trim().parse::<i32>().ok()? as f32 / 1e3));
    readings.filter(|c| BELIEVED_C.contains(c)).max_by(f32::total_cmp)
}

/// Watches the thermal zones until it is dropped.
pub struct HeatWatch {
    is_hot: Arc<AtomicBool>,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl HeatWatch {
    /// Starts to watch this machine's zones.
    ///
    /// # Errors
    /// `Unavailable` when no thread can be started.
    pub fn start(profile: &HeatProfile) -> Result<Self> {
        Self::start_on(Path::new(ZONES), profile, EVERY)
    }

    fn start_on(folder: &Path, profile: &HeatProfile, every: Duration) -> Result<Self> {
        let is_hot = Arc::new(AtomicBool::new(false));
        let (stop, stopped) = bounded(0);
        let (shared, folder, profile) = (is_hot.clone(), folder.to_owned(), profile.clone());
        let thread = std::thread::Builder::new()
            .name("heat".into())
            .spawn(move || {
                let mut guard = HeatGuard::new(profile.hot_c, profile.cool_c);
                loop {
                    let hottest = hottest_c(&folder, &profile.zones);
                    let is_hot = guard.note(hottest);
                    if shared.swap(is_hot, Ordering::Relaxed) != is_hot {
                        let words = if is_hot { "hot: every second frame is looked at" } else { "cool again" };
                        log::warn!("{words} ({:.1} °C)", hottest.unwrap_or_default());
                    }
                    if stopped.recv_timeout(every) != Err(RecvTimeoutError::Timeout) {
                        return;
                    }
                }
            })
            .map_err(|e| Error::caused(ErrorKind::Unavailable, "no thread for the thermal zones", e))?;
        Ok(Self { is_hot, stop: Some(stop), thread: Some(thread) })
    }

    /// Whether the device is hot.
    pub fn is_hot(&self) -> bool {
        self.is_hot.load(Ordering::Relaxed)
    }
}

impl Drop for HeatWatch {
    fn drop(&mut self) {
        self.stop.take();
        if self.thread.take().is_some_and(|t| t.join().is_err()) {
            log::error!("the thread of the thermal zones panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zones(of: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (i, (kind, temp)) in of.iter().enumerate() {
            let zone = folder.path().join(format!("thermal_zone{i}"));
            std::fs::create_dir(&zone).unwrap();
            std::fs::write(zone.join("type"), format!("{kind}\n")).unwrap();
            std::fs::write(zone.join("temp"), format!("{temp}\n")).unwrap();
        }
        folder
    }

    #[test]
    fn the_hottest_zone_that_can_be_believed_counts() {
        let folder =
            zones(&[("cpu-thermal", "61500"), ("gpu-thermal", "64250"), ("tj-thermal", "-274000"), ("pmic", "x")]);
        assert_eq!(hottest_c(folder.path(), &[]), Some(64.25));
        assert_eq!(hottest_c(folder.path(), &["cpu-thermal".into()]), Some(61.5));
        assert_eq!(hottest_c(folder.path(), &["no-such-zone".into()]), None);
        assert_eq!(hottest_c(Path::new("/no/such/folder"), &[]), None);
    }

    #[test]
    fn a_sensor_that_falls_silent_changes_nothing() {
        let mut guard = HeatGuard::new(75.0, 68.0);
        assert!(!guard.note(None));
        assert!(guard.note(Some(90.0)) && guard.note(None) && guard.note(Some(70.0)));
        assert!(!guard.note(Some(60.0)) && !guard.note(None) && !guard.note(Some(74.0)));
    }

    #[test]
    fn a_hot_machine_is_noticed_and_a_cooler_one_too() {
        let folder = zones(&[("cpu-thermal", "80000")]);
        let watch = HeatWatch::start_on(folder.path(), &HeatProfile::default(), Duration::from_millis(1)).unwrap();
        while !watch.is_hot() {
            std::thread::yield_now();
        }
        std::fs::write(folder.path().join("thermal_zone0/temp"), "50000").unwrap();
        while watch.is_hot() {
            std::thread::yield_now();
        }
    }
}
