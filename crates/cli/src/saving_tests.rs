//! Saving beside a live path: what the screen says is what the disk has.

use std::path::PathBuf;

use super::*;
use sonotap::desk::{Button, DeskConfig};
use sonotap::display::Display as _;
use sonotap::frame::{Picture, PixelFormat};
use sonotap::overlay::LayoutConfig;
use sonotap::pipeline::capture_time::CaptureTime;
use sonotap::pipeline::live::LiveConfig;
use sonotap::profile::Profile;
use sonotap::screen::{Screen, ScreenConfig};
use sonotap::session::Command;
use sonotap_exam::Origin;

const ID: &str = "ID-4711";

struct Bench {
    display_loop: DisplayLoop<Displays>,
    saving: Saving,
    root: tempfile::TempDir,
    pushed: u8,
}

impl Bench {
    fn new(profile: &ExamsProfile, ask_after: Option<Duration>) -> Self {
        let root = tempfile::tempdir().unwrap();
        let displays = Displays::open(&Profile::default(), None).unwrap();
        let model = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/student");
        let live = Live::open(model, LiveConfig::default()).unwrap();
        let config = ScreenConfig {
            size: displays.size(),
            layout: LayoutConfig { has_exam: true, ..LayoutConfig::default() },
            desk: DeskConfig { ask_after, presets: Vec::new() },
            ..ScreenConfig::default()
        };
        let new = NewExam { origin: Origin::Simulated, ..NewExam::default() };
        let saving = Saving::open(root.path(), new, profile, Vec::new(), None).unwrap();
        let screen = Screen::new(config).unwrap();
        Self { display_loop: DisplayLoop::new(live, screen, displays), saving, root, pushed: 0 }
    }

    fn usual() -> Self {
        Self::new(&ExamsProfile::default(), None)
    }

    fn push(&mut self) {
        self.pushed = self.pushed.wrapping_add(1);
        let pixels = vec![self.pushed; 64 * 48];
        let picture = Picture::dense(64, 48, PixelFormat::Grey8, &pixels);
        self.display_loop.live().input().push(&picture, CaptureTime::Now, None).unwrap();
    }

    fn turn(&mut self) {
        self.display_loop.turn().unwrap();
        let now = self.display_loop.live().clock().now();
        self.saving.turn(&mut self.display_loop, now);
        self.display_loop.wait();
    }

    /// Turns until it is so, with frames coming.
    fn until(&mut self, mut is_so: impl FnMut(&ExamTold) -> bool) {
        loop {
            self.push();
            self.turn();
            if is_so(self.display_loop.screen().desk().unwrap().told()) {
                return;
            }
        }
    }

    fn until_shown(&mut self) {
        while self.display_loop.live().engine().shown().is_none() {
            self.push();
            self.turn();
        }
    }

    fn desk(&mut self) -> &mut Desk {
        self.display_loop.screen_mut().desk_mut().unwrap()
    }

    fn save(&mut self) {
        self.display_loop.command(Command::SaveStill);
    }

    fn exam(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn view(&self, name: &str) -> sonotap_exam::ExamView {
        Store::read(self.root.path()).unwrap().view(&name.parse().unwrap()).unwrap()
    }

    fn name(&self) -> String {
        self.saving.told.exam.clone().expect("an exam has begun")
    }
}

#[test]
fn saved_is_said_when_it_is_on_the_disk_and_not_saved_until_it_is() {
    let mut bench = Bench::usual();
    bench.until_shown();
    bench.save();
    bench.turn();
    assert_eq!(bench.saving.told.saving, SaveTold::Saving);
    bench.until(|told| told.saving == SaveTold::Saved(1));
    let name = bench.name();
    assert_eq!(bench.view(&name).items().count(), 1);
    // The disk goes away, and comes again.
    let away = bench.root.path().join("away");
    std::fs::rename(bench.exam(&name), &away).unwrap();
    bench.save();
    bench.until(|told| told.saving == SaveTold::Failed(Trouble::Disk));
    assert_eq!((bench.saving.told.waiting, bench.saving.told.items.len()), (1, 1));
    std::fs::rename(&away, bench.exam(&name)).unwrap();
    bench.until(|told| matches!(told.saving, SaveTold::Saved(number) if number > 1));
    assert_eq!((bench.saving.told.waiting, bench.view(&name).items().count()), (0, 2));
    let report = bench.saving.finish();
    assert_eq!((report.saved.len(), report.failed.len(), report.refused), (2, 0, 0));
}

#[test]
fn an_exam_is_bound_and_ended_and_the_next_has_nothing_of_it() {
    let mut bench = Bench::usual();
    bench.until_shown();
    bench.save();
    bench.until(|told| told.saving == SaveTold::Saved(1));
    let first = bench.name();
    bench.desk().scanned(ID);
    bench.turn();
    assert!(bench.saving.told.patient.is_none(), "it is bound before somebody said so");
    bench.desk().push(Button::Bind);
    bench.until(|told| told.patient.as_ref().is_some_and(|p| p.reveal() == ID));
    assert!(std::fs::read_to_string(bench.exam(&first).join("exam.json")).unwrap().contains(ID));
    bench.display_loop.command(Command::ShowExam);
    bench.desk().push(Button::End);
    bench.desk().push(Button::ReallyEnd);
    // No frame comes meanwhile.
    while bench.saving.told.exam.is_some() {
        bench.turn();
    }
    bench.turn();
    assert!(bench.view(&first).is_ended());
    let engine = bench.display_loop.live().engine();
    assert_eq!((engine.cine().count(), engine.shown().is_none()), (0, true));
    let told = bench.desk().told();
    assert!(told.patient.is_none() && told.items.is_empty() && told.exam.is_none());
    bench.until_shown();
    bench.save();
    bench.until(|told| told.saving == SaveTold::Saved(1));
    let second = bench.name();
    assert!(second != first && !bench.view(&second).is_bound());
    for file in bench.exam(&second).read_dir().unwrap().map(Result::unwrap) {
        let bytes = std::fs::read(file.path()).unwrap();
        assert!(!bytes.windows(ID.len()).any(|w| w == ID.as_bytes()), "{:?}", file.file_name());
    }
    assert_eq!(bench.saving.finish().ended, 1);
}

#[test]
fn a_patient_picked_from_the_worklist_is_bound_with_the_order() {
    use sonotap_exam::{Patient, Worklist, WorklistEntry};
    let mut bench = Bench::usual();
    let entry = |id: &str, name: &str| WorklistEntry {
        step: format!("STEP-{id}"),
        scheduled: "2026-11-29 10:30".into(),
        modality: "US".into(),
        procedure: "Bladder".into(),
        patient: Patient {
            id: id.into(),
            name: name.into(),
            birth_date: "19700131".into(),
            sex: "F".into(),
            accession: format!("ACC-{id}"),
        },
    };
    let entries = vec![entry("1", "DOE^JANE"), entry("2", "ROE^RITA")];
    let orders = Orders::with(Arc::new(move || Ok(Worklist { entries: entries.clone(), left_out: 0, is_cut: false })));
    bench.saving = std::mem::replace(&mut bench.saving, Bench::usual().saving).with_orders(Some(orders));
    bench.until_shown();
    bench.display_loop.command(Command::ShowExam);
    bench.desk().push(Button::Worklist);
    bench.until(|told| matches!(told.worklist, WorklistTold::Listed { .. }));
    bench.desk().push(Button::Order(1));
    bench.desk().push(Button::Bind);
    bench.until(|told| told.patient.as_ref().is_some_and(|p| p.reveal() == "2"));
    let name = bench.name();
    let record = std::fs::read_to_string(bench.exam(&name).join("exam.json")).unwrap();
    for datum in ["ROE^RITA", "19700131", "ACC-2", "\"F\""] {
        assert!(record.contains(datum), "{datum} is not in exam.json");
    }
    // With the exam goes the list: an order of it binds nothing any more.
    bench.desk().push(Button::ReallyEnd);
    bench.until(|told| told.exam.is_none());
    assert_eq!(bench.desk().told().worklist, WorklistTold::Ready);
    assert!(bench.saving.orders.as_ref().unwrap().patient(2).is_none());
}

#[test]
fn a_saved_item_is_outlined_anew_as_another_item_that_names_it() {
    let mut bench = Bench::usual();
    bench.until_shown();
    bench.save();
    bench.until(|told| told.saving == SaveTold::Saved(1));
    let derived = |bench: &Bench, number: u32| -> Option<u64> {
        let path = bench.exam(&bench.name()).join(format!("{number:04}.prompts.json"));
        serde_json::from_slice::<serde_json::Value>(&std::fs::read(path).unwrap()).unwrap()["derived_from"].as_u64()
    };
    bench.display_loop.command(Command::ShowExam);
    bench.desk().push(Button::Item(1));
    bench.desk().push(Button::Edit);
    bench.until(|told| told.reopened == Some(1));
    assert!(!bench.display_loop.live().engine().is_live());
    bench.save();
    bench.until(|told| told.saving == SaveTold::Saved(2));
    // Held, the cine: there is one frame of it.
    bench.display_loop.command(Command::SaveCine);
    bench.until(|told| told.saving == SaveTold::Saved(3));
    let item = bench.view(&bench.name()).items().last().unwrap().clone();
    assert_eq!((item.kind, item.frames), (ItemKind::Still, 1));
    bench.display_loop.command(Command::Unfreeze);
    bench.until(|told| told.reopened.is_none());
    bench.save();
    bench.until(|told| told.saving == SaveTold::Saved(4));
    assert_eq!([1, 2, 3, 4].map(|n| derived(&bench, n)), [None, Some(1), Some(1), None]);
    // The end takes it from the screen.
    bench.desk().push(Button::Item(2));
    bench.desk().push(Button::Edit);
    bench.until(|told| told.reopened == Some(2));
    bench.desk().push(Button::ReallyEnd);
    bench.until(|told| told.exam.is_none());
    assert!(bench.desk().told().reopened.is_none() && !bench.display_loop.live().engine().is_reopened());
    assert_eq!(bench.saving.finish().failed, Vec::<String>::new());
}

#[test]
fn a_frame_of_a_saved_cine_is_chosen_and_measured_and_saved_as_an_item_that_names_it() {
    use sonotap::calipers::CaliperCommand;
    use sonotap::geometry::Point;
    let mut bench = Bench::new(&ExamsProfile { cine_before_s: 100.0, ..ExamsProfile::default() }, None);
    bench.until_shown();
    (0..5).for_each(|_| {
        bench.push();
        bench.turn();
    });
    bench.display_loop.command(Command::SaveCine);
    bench.until(|told| told.saving == SaveTold::Saved(1));
    bench.desk().push(Button::Item(1));
    bench.desk().push(Button::Edit);
    bench.until(|told| told.reopened == Some(1));
    let frames = bench.view(&bench.name()).items().next().unwrap().frames as usize;
    assert_eq!(bench.display_loop.live().engine().cine().count(), frames, "all of them can be stepped to");
    bench.display_loop.command(Command::ScrubTo(0.0));
    bench.display_loop.command(Command::StepForward);
    bench.display_loop.command(Command::Calipers(CaliperCommand::Toggle));
    let shown = bench.display_loop.live().engine().shown().unwrap().id();
    for (x, y) in [(10.0, 10.0), (40.0, 10.0)] {
        bench.display_loop.command(Command::Click { at: Point::new(x, y), polarity: None, shown });
    }
    bench.save();
    bench.until(|told| told.saving == SaveTold::Saved(2));
    let path = bench.exam(&bench.name()).join("0002.prompts.json");
    let notes: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert_eq!((&notes["derived_from"], &notes["derived_from_frame"]), (&1.into(), &2.into()));
    assert_eq!(notes["calipers"][0]["length_px"], 30.0);
    bench.display_loop.command(Command::Unfreeze);
    bench.until(|told| told.reopened.is_none());
    assert_eq!(bench.saving.finish().failed, Vec::<String>::new());
}

#[test]
fn what_is_not_on_the_disk_holds_the_end_of_its_exam() {
    let mut bench = Bench::usual();
    bench.until_shown();
    bench.save();
    bench.until(|told| told.saving == SaveTold::Saved(1));
    let (name, away) = (bench.name(), bench.root.path().join("away"));
    std::fs::rename(bench.exam(&name), &away).unwrap();
    bench.save();
    bench.until(|told| told.waiting == 1);
    bench.desk().push(Button::ReallyEnd);
    bench.until(|told| matches!(told.saving, SaveTold::NotEnded(_)));
    assert_eq!((bench.name(), bench.saving.told.waiting), (name.clone(), 1));
    // Only when somebody says that it may be lost.
    bench.desk().push(Button::ReallyLose);
    bench.until(|told| told.exam.is_none());
    assert_eq!(bench.saving.told.waiting, 0);
    let report = bench.saving.finish();
    assert!(report.failed.iter().any(|why| why.contains("1 pictures")), "{report:?}");
}

#[test]
fn while_the_screen_asks_or_without_a_picture_nothing_is_saved_and_it_says_so() {
    let mut bench = Bench::new(&ExamsProfile::default(), Some(Duration::ZERO));
    bench.save();
    bench.turn();
    assert_eq!(bench.saving.told.saving, SaveTold::Failed(Trouble::NoPicture));
    bench.until_shown();
    bench.save();
    bench.until(|told| told.exam.is_some());
    while !bench.desk().is_asking() {
        bench.turn();
    }
    bench.save();
    bench.turn();
    assert_eq!(bench.saving.told.saving, SaveTold::Failed(Trouble::Asked));
    let report = bench.saving.finish();
    assert_eq!((report.saved.len(), report.refused, report.failed.len()), (1, 2, 0));
}

#[test]
fn a_cine_has_what_came_before_and_after_the_press_as_the_profile_says() {
    let profile = ExamsProfile { cine_before_s: 100.0, cine_after_s: 0.3, ..ExamsProfile::default() };
    let mut bench = Bench::new(&profile, None);
    bench.until_shown();
    (0..5).for_each(|_| {
        bench.push();
        bench.turn();
    });
    let before = bench.display_loop.live().engine().cine().count();
    bench.display_loop.command(Command::SaveCine);
    bench.turn();
    assert_eq!(bench.saving.told.saving, SaveTold::Recording);
    bench.until(|told| matches!(told.saving, SaveTold::Saved(_)));
    let view = bench.view(&bench.name());
    let item = view.items().next().unwrap();
    assert!(item.kind == ItemKind::Cine && item.frames as usize > before, "{} of {before}", item.frames);
    // While it is frozen nothing comes after.
    bench.display_loop.command(Command::Freeze);
    bench.display_loop.command(Command::SaveCine);
    bench.turn();
    bench.until(|told| told.saving == SaveTold::Saved(2));
    assert!(bench.saving.told.items.iter().all(|item| item.is_cine));
}

#[test]
fn an_item_is_deleted_and_put_back_at_the_screen() {
    let mut bench = Bench::usual();
    bench.until_shown();
    bench.save();
    bench.until(|told| told.saving == SaveTold::Saved(1));
    let name = bench.name();
    for (steps, is_deleted) in [
        (&[Button::Item(1), Button::Delete, Button::ReallyDelete][..], true),
        (&[Button::Item(1), Button::Restore], false),
    ] {
        steps.iter().for_each(|button| bench.desk().push(*button));
        bench.until(|told| told.items[0].is_deleted == is_deleted);
        assert_eq!(bench.view(&name).items().count(), usize::from(!is_deleted));
    }
}

#[test]
fn without_a_store_the_screen_says_so() {
    let mut bench = Bench::usual();
    bench.display_loop.command(Command::SaveStill);
    bench.desk().push(Button::ReallyEnd);
    refuse(&mut bench.display_loop);
    assert_eq!(bench.desk().told().saving, SaveTold::Failed(Trouble::NoStore));
    assert_eq!(bench.desk().take_request(), None);
    assert_eq!(bench.display_loop.live_mut().take_save_request(), SaveRequest::default());
}
