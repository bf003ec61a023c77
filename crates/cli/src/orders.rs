//! The worklist beside a run: asked by a thread of its own, so that nothing on the display's thread waits for a network.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};

use anyhow::Result;
use sonotap::desk::{Identity, OrderTold, WorklistTold};
use sonotap::error::{Error, ErrorKind, Result as SonotapResult};
use sonotap::profile::DicomProfile;
use sonotap_exam::{ClockReading, Days, Patient, Worklist, WorklistEntry, worklist};

use crate::exams::Network;

/// Asks a worklist once, and waits for it.
type Ask = Arc<dyn Fn() -> SonotapResult<Worklist> + Send + Sync>;

/// The orders of a worklist.
pub struct Orders {
    ask: Ask,
    /// The thread that asks, while it does.
    asked: Option<Receiver<SonotapResult<Worklist>>>,
    /// Numbers and patients of the orders that were told last.
    known: Vec<(u64, Patient)>,
    /// Of the next order: no number is used twice, so that an order of an older list is never taken for one of a newer.
    next: u64,
}

impl Orders {
    /// Of the profile's worklist; `None` where it has none.
    ///
    /// # Errors
    /// When the profile's certificates cannot be read.
    pub fn of(profile: &DicomProfile) -> Result<Option<Self>> {
        let Some((from, options)) = Network::of_profile(profile).worklist()? else { return Ok(None) };
        Ok(Some(Self::with(Arc::new(move || {
            let mut options = options.clone();
            options.days = Days::around(&ClockReading::take());
            worklist(&from, &options)
        }))))
    }

    /// Of whatever `ask` answers.
    pub fn with(ask: Ask) -> Self {
        Self { ask, asked: None, known: Vec::new(), next: 1 }
    }

    /// Begins to ask, unless it is being asked. Never waits.
    pub fn ask(&mut self) -> WorklistTold {
        if self.asked.is_some() {
            return WorklistTold::Asking;
        }
        let (told, asked) = channel();
        let ask = self.ask.clone();
        // It ends by itself: every step of asking has its time limit.
        let started = std::thread::Builder::new().name("worklist".into()).spawn(move || {
            // Nobody listens any more when the exam has ended meanwhile.
            let _ = told.send(ask());
        });
        match started {
            Ok(_) => {
                self.asked = Some(asked);
                WorklistTold::Asking
            }
            Err(e) => failed(&Error::caused(ErrorKind::Unavailable, "no thread for the worklist", e)),
        }
    }

    /// What the worklist answered, if it has. Never waits.
    pub fn answer(&mut self) -> Option<WorklistTold> {
        let answer = match self.asked.as_ref()?.try_recv() {
            Ok(answer) => answer,
            Err(TryRecvError::Empty) => return None,
            Err(TryRecvError::Disconnected) => Err(Error::new(ErrorKind::Unavailable, "the worklist's thread is gone")),
        };
        self.asked = None;
        self.known.clear();
        Some(match answer {
            Ok(found) => self.listed(found),
            Err(e) => failed(&e),
        })
    }

    /// The patient of an order that was told last.
    pub fn patient(&self, number: u64) -> Option<Patient> {
        self.known.iter().find(|(known, _)| *known == number).map(|(_, patient)| patient.clone())
    }

    /// Forgets what was told, and what is being asked.
    pub fn forget(&mut self) {
        self.known.clear();
        self.asked = None;
    }

    fn listed(&mut self, found: Worklist) -> WorklistTold {
        let Worklist { entries, mut left_out, is_cut } = found;
        let mut orders = Vec::with_capacity(entries.len());
        for entry in entries {
            match told_of(&entry) {
                Some(identity) => {
                    let identity = identity.of_order(self.next);
                    self.known.push((self.next, entry.patient));
                    self.next += 1;
                    orders.push(OrderTold { identity, when: entry.scheduled, procedure: entry.procedure });
                }
                None => left_out += 1,
            }
        }
        WorklistTold::Listed { orders: orders.into(), left_out, is_cut }
    }
}

/// What the screen shows of an order's patient; `None` where it could not show all of the number and the name.
fn told_of(entry: &WorklistEntry) -> Option<Identity> {
    let Patient { id, name, birth_date, sex, .. } = &entry.patient;
    let born = match birth_date.len() {
        8 if birth_date.is_ascii() => format!("born {}-{}-{}", &birth_date[..4], &birth_date[4..6], &birth_date[6..]),
        _ => String::new(),
    };
    let note = [born.as_str(), sex.as_str()].into_iter().filter(|t| !t.is_empty()).collect::<Vec<_>>().join(", ");
    Identity::new(id)?.named(name, &note)
}

/// A line for the screen. No error says anything of a patient.
fn failed(e: &Error) -> WorklistTold {
    log::warn!("{e}");
    let text = e.to_string();
    // The peer's name is the profile's: the operator wants the reason.
    let reason = text.strip_prefix("worklist ").and_then(|t| t.split_once(": ")).map_or(text.as_str(), |(_, why)| why);
    WorklistTold::Failed(format!("Worklist: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn entry(id: &str, name: &str) -> WorklistEntry {
        WorklistEntry {
            step: "STEP-1".into(),
            scheduled: "2026-11-29 10:30".into(),
            modality: "US".into(),
            procedure: "Bladder".into(),
            patient: Patient {
                id: id.into(),
                name: name.into(),
                birth_date: "19700131".into(),
                sex: "F".into(),
                accession: "ACC-1".into(),
            },
        }
    }

    fn answered(orders: &mut Orders) -> WorklistTold {
        loop {
            if let Some(told) = orders.answer() {
                return told;
            }
            std::thread::yield_now();
        }
    }

    #[test]
    fn an_order_has_its_patient_and_one_of_an_older_list_has_none() {
        let mut orders = Orders::with(Arc::new(|| {
            let entries = vec![entry("4711", "DOE^JANE"), entry("4712", "ROE^\u{5c71}")];
            Ok(Worklist { entries, left_out: 1, is_cut: false })
        }));
        assert_eq!(orders.answer(), None);
        assert_eq!(orders.ask(), WorklistTold::Asking);
        let WorklistTold::Listed { orders: told, left_out, .. } = answered(&mut orders) else { panic!("no list") };
        assert_eq!((told.len(), left_out), (2, 1));
        let identity = &told[0].identity;
        assert_eq!((identity.reveal(), identity.spoken().as_str()), ("4711", "DOE, JANE"));
        assert_eq!(identity.note(), "born 1970-01-31, F");
        let first = identity.order().unwrap();
        assert_eq!(orders.patient(first).unwrap().accession, "ACC-1");
        orders.ask();
        answered(&mut orders);
        assert!(orders.patient(first).is_none(), "the list was asked for anew");
    }

    #[test]
    fn asking_never_waits_and_asks_once_at_a_time() {
        let (go, gate) = std::sync::mpsc::channel::<()>();
        let (gate, asked) = (std::sync::Mutex::new(gate), Arc::new(AtomicUsize::new(0)));
        let count = asked.clone();
        let mut orders = Orders::with(Arc::new(move || {
            count.fetch_add(1, Ordering::AcqRel);
            gate.lock().unwrap().recv().unwrap();
            Ok(Worklist::default())
        }));
        assert_eq!(orders.ask(), WorklistTold::Asking);
        assert_eq!((orders.ask(), orders.answer()), (WorklistTold::Asking, None));
        go.send(()).unwrap();
        assert!(matches!(answered(&mut orders), WorklistTold::Listed { .. }));
        assert_eq!(asked.load(Ordering::Acquire), 1);
    }

    #[test]
    fn a_network_that_is_not_there_is_said_in_a_line() {
        let port = {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            listener.local_addr().unwrap().port()
        };
        let profile = DicomProfile { worklist: Some(format!("RIS@127.0.0.1:{port}")), ..DicomProfile::default() };
        let mut orders = Orders::of(&profile).unwrap().unwrap();
        orders.ask();
        let WorklistTold::Failed(why) = answered(&mut orders) else { panic!("an answer from nobody") };
        assert!(why.starts_with("Worklist: no association") && !why.contains('\n'), "{why}");
        assert!(Orders::of(&DicomProfile::default()).unwrap().is_none(), "without one in the profile");
    }
}
