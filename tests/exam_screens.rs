//! The exam at the screen: every state that an operator meets, made by the screen itself, with its buttons pressed where they are
//! drawn. `BLESS=1 cargo test --release --test exam_screens` writes the pictures to docs/screens/.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use sonotap::desk::{
    Button, Desk, DeskConfig, ExamRequest, ExamTold, Identity, ItemTold, OrderTold, Page, SaveTold, Trouble, Warnings,
    WorklistTold,
};
use sonotap::frame::Frame;
use sonotap::geometry::{DisplaySpace, Point};
use sonotap::input::{Contact, Phase};
use sonotap::overlay::{Canvas, Control, Handedness, LayoutConfig};
use sonotap::preset::Preset;
use sonotap::scene::{Mode, Scene, Signal};
use sonotap::screen::{Screen, ScreenConfig};
use sonotap::session::Command;
use sonotap::source::FrameSource;
use sonotap::source::phantom::{Phantom, PhantomConfig, PhantomPreset};
use sonotap::units::{FrameId, Timestamp};

/// Sizes and resolutions of usual screens.
const SCREENS: [((u32, u32), f32); 5] =
    [((800, 480), 133.0), ((1280, 800), 150.0), ((640, 480), 96.0), ((1920, 1080), 96.0), ((1024, 600), 170.0)];
const ID: &str = "ID-4711";

/// A screen with a picture on it, and a clock.
struct Bench {
    screen: Screen,
    frame: Frame,
    scene: Scene,
    ms: u64,
    commands: Vec<Command>,
}

impl Bench {
    fn new(size: (u32, u32), dpi: f32) -> Self {
        Self::with(ScreenConfig {
            size,
            dpi,
            layout: LayoutConfig { has_exam: true, ..LayoutConfig::default() },
            desk: DeskConfig { presets: presets(), ..DeskConfig::default() },
            ..ScreenConfig::default()
        })
    }

    fn with(config: ScreenConfig) -> Self {
        let mut bench = Self {
            screen: Screen::new(config).unwrap(),
            frame: picture(1),
            scene: Scene { frame: Some(FrameId(1)), signal: Signal::Good, ..Scene::default() },
            ms: 1_000,
            commands: Vec::new(),
        };
        bench.draw();
        bench
    }

    fn usual() -> Self {
        Self::new((800, 480), 133.0)
    }

    fn draw(&mut self) -> &Canvas {
        self.screen.draw(&self.frame, &self.scene)
    }

    fn desk(&mut self) -> &mut Desk {
        self.screen.desk_mut().unwrap()
    }

    fn tell(&mut self, told: ExamTold) {
        self.desk().tell(told);
        self.draw();
    }

    fn touch(&mut self, phase: Phase, at: Point<DisplaySpace>) {
        let time = Timestamp::from_ms(self.ms);
        let contact = Contact { finger: 0, phase, at, size_mm: Some(9.0), time, shown: Some(FrameId(1)) };
        self.screen.touch(contact, &mut self.commands);
    }

    /// What a finger does there for so long.
    fn hold(&mut self, at: Point<DisplaySpace>, for_ms: u64) -> Vec<Command> {
        self.ms += 1_000;
        self.touch(Phase::Down, at);
        self.ms += for_ms;
        self.screen.tick(Timestamp::from_ms(self.ms), &mut self.commands);
        self.touch(Phase::Up, at);
        let commands = std::mem::take(&mut self.commands);
        let rest = commands.into_iter().filter(|c| !self.screen.obey(*c)).collect();
        self.draw();
        rest
    }

    fn press(&mut self, control: Control) -> Vec<Command> {
        let at = self.screen.layout().place(control).unwrap_or_else(|| panic!("{control:?} is not there")).centre();
        self.hold(at, 100)
    }

    fn place(&mut self, button: Button) -> Option<Point<DisplaySpace>> {
        let layout = self.screen.layout().clone();
        self.desk().buttons(&layout).iter().find(|(b, _)| *b == button).map(|(_, r)| r.centre())
    }

    #[track_caller]
    fn push(&mut self, button: Button) {
        let page = self.desk().page();
        let at = self.place(button).unwrap_or_else(|| panic!("{button:?} is not on {page:?}"));
        assert_eq!(self.hold(at, 100), [], "{button:?}");
    }

    fn requests(&mut self) -> Vec<ExamRequest> {
        std::iter::from_fn(|| self.desk().take_request()).collect()
    }

    fn type_in(&mut self, text: &str) {
        for c in text.chars() {
            for _ in 0..20 {
                match self.place(Button::Type(c)) {
                    Some(_) => break,
                    None => self.push(Button::Shift),
                }
            }
            self.push(Button::Type(c));
        }
    }

    fn keep(&mut self, name: &str) {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/screens").join(format!("{name}.png"));
        let canvas = self.draw();
        if std::env::var_os("BLESS").is_some() {
            write(&path, canvas);
        }
        let kept =
            image::image_dimensions(&path).unwrap_or_else(|e| panic!("{}: {e}; BLESS=1 writes it", path.display()));
        assert_eq!(kept, (canvas.width(), canvas.height()), "{name}");
    }
}

fn write(path: &std::path::Path, canvas: &Canvas) {
    use image::codecs::png::{CompressionType, FilterType, PngEncoder};
    let file = std::fs::File::create(path).unwrap();
    let encoder = PngEncoder::new_with_quality(file, CompressionType::Best, FilterType::Adaptive);
    let (width, height) = (canvas.width(), canvas.height());
    image::ImageEncoder::write_image(encoder, &canvas.to_rgb(), width, height, image::ExtendedColorType::Rgb8).unwrap();
}

fn presets() -> Vec<String> {
    Preset::names().map(|name| Preset::find(name).unwrap().label).collect()
}

fn picture(number: u64) -> Frame {
    static RENDERED: OnceLock<Vec<Frame>> = OnceLock::new();
    let render = |seed: u64| {
        let config = PhantomConfig { width: 320, height: 240, seed, ..PhantomConfig::default() };
        let mut frame = Frame::default();
        Phantom::new(PhantomPreset::Cyst, config).unwrap().next_into(&mut frame).unwrap();
        frame.stamp(FrameId(1), Timestamp::START);
        frame
    };
    RENDERED.get_or_init(|| (0..4).map(render).collect())[number as usize % 4].clone()
}

fn item(number: u32) -> ItemTold {
    let thumbnail = Some(Arc::new(picture(u64::from(number))));
    ItemTold { number, is_cine: number == 2, is_deleted: false, thumbnail }
}

fn told() -> ExamTold {
    ExamTold {
        exam: Some("2026-11-29-0001".into()),
        items: (1..=3).map(item).collect(),
        clock: "2026-11-29 10:30 UTC".into(),
        ..ExamTold::default()
    }
}

fn bound() -> ExamTold {
    ExamTold { patient: Identity::new(ID), ..told() }
}

fn end(is_unsaved_lost: bool) -> ExamRequest {
    ExamRequest::End { is_unsaved_lost }
}

#[test]
fn save_pressed_is_a_still_held_the_cine_also_without_a_picture() {
    for (size, dpi) in SCREENS {
        let mut bench = Bench::new(size, dpi);
        assert_eq!(bench.press(Control::SAVE), [Command::SaveStill], "{size:?}");
        let at = bench.screen.layout().place(Control::SAVE).unwrap().centre();
        assert_eq!(bench.hold(at, 700), [Command::SaveCine, Command::HideOverlay(false)], "{size:?}");
        // The host says that there is no picture; the press is not swallowed.
        bench.screen.draw_empty();
        bench.ms += 1_000;
        bench.touch(Phase::Down, at);
        bench.ms += 100;
        bench.touch(Phase::Up, at);
        assert_eq!(std::mem::take(&mut bench.commands), [Command::SaveStill], "{size:?}");
    }
}

#[test]
fn what_became_of_a_picture_is_on_the_control_and_in_words() {
    let mut bench = Bench::usual();
    let idle = bench.draw().pixels().to_vec();
    let mut seen = Vec::new();
    for (name, saving, waiting) in [
        ("exam-saving", SaveTold::Saving, 0),
        ("exam-saved", SaveTold::Saved(3), 0),
        ("exam-not-saved", SaveTold::Failed(Trouble::Full), 1),
    ] {
        bench.tell(ExamTold { saving, waiting, ..bound() });
        let pixels = bench.draw().pixels().to_vec();
        assert!(pixels != idle && !seen.contains(&pixels), "{name}");
        seen.push(pixels);
        bench.keep(name);
    }
    for why in [Trouble::ReadOnly, Trouble::Disk, Trouble::TooMany, Trouble::NoPicture, Trouble::Asked] {
        bench.tell(ExamTold { saving: SaveTold::Failed(why), ..bound() });
        let pixels = bench.draw().pixels().to_vec();
        assert!(!seen.contains(&pixels), "{why:?} looks like another state");
        seen.push(pixels);
    }
}

#[test]
fn buttons_of_every_page_are_large_apart_and_on_the_screen() {
    for (size, dpi) in SCREENS {
        for handedness in [Handedness::Right, Handedness::Left, Handedness::Elsewhere] {
            let config = ScreenConfig {
                size,
                dpi,
                layout: LayoutConfig { has_exam: true, handedness, ..LayoutConfig::default() },
                desk: DeskConfig { presets: presets(), ..DeskConfig::default() },
                ..ScreenConfig::default()
            };
            let mut bench = Bench::with(config);
            let warnings = Warnings { clock: Some("no time server"), ..Warnings::default() };
            bench.tell(ExamTold { waiting: 1, items: (1..=40).map(item).collect(), warnings, ..told() });
            for path in [
                &[][..],
                &[Button::Patient],
                &[Button::Presets],
                &[Button::Presets, Button::More],
                &[Button::Items],
                &[Button::Items, Button::More],
                &[Button::Items, Button::Item(40)],
                &[Button::Items, Button::Item(40), Button::Delete],
                &[Button::End],
                &[Button::End, Button::EndAnyway],
            ] {
                if bench.desk().page().is_some() {
                    bench.desk().toggle();
                }
                bench.desk().toggle();
                for button in path {
                    if bench.place(*button).is_some() {
                        bench.push(*button);
                    }
                }
                check_page(&mut bench, size);
            }
        }
    }
}

fn check_page(bench: &mut Bench, size: (u32, u32)) {
    let layout = bench.screen.layout().clone();
    let page = bench.desk().page();
    let buttons = bench.desk().buttons(&layout).to_vec();
    assert!(buttons.len() >= 2, "{size:?} {page:?}: there is no way out");
    for (i, (button, place)) in buttons.iter().enumerate() {
        let mm = layout.mm(1.0);
        assert!(place.width() >= 15.0 * mm && place.height() >= 15.0 * mm, "{size:?} {page:?} {button:?}: {place:?}");
        assert!(place.x0 >= 0.0 && place.y0 >= layout.status_bar().y1, "{size:?} {page:?} {button:?}: {place:?}");
        assert!(place.x1 <= size.0 as f32 && place.y1 <= size.1 as f32, "{size:?} {page:?} {button:?}: {place:?}");
        for (other, its) in &buttons[..i] {
            let along = |a0: f32, a1: f32, b0: f32, b1: f32| (b0 - a1).max(a0 - b1);
            let apart = along(place.x0, place.x1, its.x0, its.x1).max(along(place.y0, place.y1, its.y0, its.y1));
            assert!(apart >= 2.99 * mm, "{size:?} {page:?}: {button:?} and {other:?} are {} mm apart", apart / mm);
        }
    }
    // Freeze stays where it is, unless the page needs the whole screen.
    if let Some(freeze) = layout.place(Control::Freeze)
        && buttons.iter().all(|(_, r)| r.intersect(&freeze).is_none())
    {
        assert_eq!(bench.press(Control::Freeze), [Command::ToggleFreeze], "{size:?} {page:?}");
    }
}

#[test]
fn an_identity_is_typed_shown_and_bound_only_when_somebody_says_so() {
    let mut bench = Bench::usual();
    bench.tell(told());
    bench.press(Control::Exam);
    bench.keep("exam-page");
    bench.push(Button::Patient);
    bench.type_in("4711-Ab");
    bench.keep("exam-keypad");
    bench.push(Button::Enter);
    assert_eq!((bench.desk().page(), bench.requests()), (Some(Page::Confirm), vec![]));
    bench.keep("exam-confirm");
    // "No" binds nothing and shows an empty keypad.
    bench.push(Button::Reject);
    bench.push(Button::Enter);
    assert_eq!((bench.desk().page(), bench.requests()), (Some(Page::Keypad), vec![]));
    bench.type_in("0815");
    bench.push(Button::Backspace);
    bench.push(Button::Enter);
    bench.push(Button::Bind);
    assert_eq!(bench.requests(), [ExamRequest::Bind(Identity::new("081").unwrap())]);
    assert_eq!(bench.desk().page(), None);
}

#[test]
fn a_scan_is_offered_on_a_page_of_its_own_and_what_is_no_patient_is_refused_with_the_reason() {
    let mut bench = Bench::usual();
    bench.tell(bound());
    bench.desk().scanned("  ");
    assert_eq!(bench.desk().page(), None);
    for text in ["bad\\id", "(01)09521234543213", "PID|1||1^^^A^PI~2^^^B^PI||DOE^JANE", "(8017)401234567890123456"] {
        bench.desk().scanned(text);
        assert_eq!((bench.desk().page(), bench.requests()), (Some(Page::Keypad), vec![]), "{text}");
    }
    bench.keep("exam-scan-refused");
    bench.desk().scanned("0815");
    bench.keep("exam-rebind");
    assert_eq!((bench.desk().page(), bench.requests()), (Some(Page::Confirm), vec![]));
    bench.push(Button::Bind);
    assert_eq!(bench.requests(), [ExamRequest::Bind(Identity::new("0815").unwrap())]);
    // With a name it is shown and bound with it.
    bench.desk().scanned("PID|1||0815^^^HOSP^MR||DOE^JANE||19700131|F");
    bench.push(Button::Bind);
    let named = Identity::new("0815").unwrap().named("DOE^JANE", "born 1970-01-31, F").unwrap();
    assert_eq!(bench.requests(), [ExamRequest::Bind(named)]);
}

/// Orders with names of all lengths, more than fit on a page.
fn orders() -> WorklistTold {
    let all = [
        ("4711", "DOE^JANE", "born 1970-01-31, F", "2026-11-29 10:30", "Bladder volume"),
        ("4712", "DOE^JANET", "born 1970-03-31, F", "2026-11-29 10:45", "Kidneys"),
        ("0000000000000000004713", "WOLFESCHLEGELSTEINHAUSENBERGERDORFF^HUBERT BLAINE", "", "2026-11-29", ""),
        ("4714", "", "M", "", "Thyroid, both lobes, with nodules and lymph nodes of the neck"),
        ("4715", "ROE^RICHARD", "born 1955-12-01, M", "2026-11-29 11:30", "Carotids"),
        ("4716", "ROE^RITA", "born 1990-06-15, F", "2026-11-29 12:00", "Fetal growth"),
    ];
    let orders = all.iter().enumerate().map(|(i, (id, name, note, when, procedure))| OrderTold {
        identity: Identity::new(id).unwrap().named(name, note).unwrap().of_order(i as u64 + 1),
        when: (*when).into(),
        procedure: (*procedure).into(),
    });
    WorklistTold::Listed { orders: orders.collect(), left_out: 2, is_cut: false }
}

#[test]
fn a_patient_is_picked_from_the_worklist_and_bound_only_when_somebody_says_so() {
    let mut bench = Bench::usual();
    let with = |worklist| ExamTold { worklist, ..told() };
    bench.tell(told());
    bench.press(Control::Exam);
    assert!(bench.place(Button::Worklist).is_none(), "there is none in the profile");
    bench.tell(with(WorklistTold::Ready));
    bench.keep("exam-page-worklist");
    bench.push(Button::Worklist);
    assert_eq!(bench.requests(), [ExamRequest::AskWorklist]);
    bench.tell(with(WorklistTold::Asking));
    bench.push(Button::AskAgain);
    assert_eq!(bench.requests(), [], "it is being asked already");
    bench.tell(with(WorklistTold::Failed("Worklist: no association: nobody answers".into())));
    bench.keep("exam-worklist-failed");
    bench.push(Button::AskAgain);
    assert_eq!(bench.requests(), [ExamRequest::AskWorklist]);
    bench.tell(with(orders()));
    bench.keep("exam-worklist");
    // Every order is on one of the pages, in the order of their times.
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.extend((0..6).filter(|i| bench.place(Button::Order(*i)).is_some()));
        bench.push(Button::More);
    }
    seen.dedup();
    assert!((0..6).all(|i| seen.contains(&i)), "{seen:?}");
    while bench.place(Button::Order(0)).is_none() {
        bench.push(Button::More);
    }
    bench.push(Button::Order(0));
    assert_eq!((bench.desk().page(), bench.requests()), (Some(Page::Confirm), vec![]));
    bench.push(Button::Reject);
    assert_eq!(bench.desk().page(), Some(Page::Worklist), "another is picked");
    bench.push(Button::Order(1));
    bench.keep("exam-worklist-confirm");
    bench.push(Button::Bind);
    let requests = bench.requests();
    let [ExamRequest::Bind(identity)] = requests.as_slice() else { panic!("{requests:?}") };
    assert_eq!((identity.reveal(), identity.order()), ("4712", Some(2)));
    bench.tell(ExamTold { patient: Some(identity.clone()), ..with(orders()) });
    assert!(!format!("{:?}", bench.desk()).contains("JANE"), "a name is in a text for logs");
}

#[test]
fn the_worklist_fits_every_usual_screen() {
    for (size, dpi) in SCREENS {
        let mut bench = Bench::new(size, dpi);
        bench.tell(ExamTold { worklist: orders(), ..told() });
        bench.press(Control::Exam);
        bench.push(Button::Worklist);
        bench.push(Button::Order(0));
        assert_eq!(bench.desk().page(), Some(Page::Confirm), "{size:?}");
    }
}

#[test]
fn an_exam_is_ended_by_a_second_button_and_unsaved_pictures_are_lost_only_by_a_third() {
    let mut bench = Bench::usual();
    bench.tell(bound());
    bench.press(Control::Exam);
    bench.push(Button::End);
    assert_eq!(bench.requests(), []);
    bench.keep("exam-end");
    bench.push(Button::SamePatient);
    assert_eq!((bench.desk().page(), bench.requests()), (None, vec![]));
    bench.press(Control::Exam);
    bench.push(Button::End);
    bench.push(Button::ReallyEnd);
    assert_eq!(bench.requests(), [end(false)]);
    // Two pictures are not on the disk.
    bench.tell(ExamTold { waiting: 2, saving: SaveTold::NotEnded(Trouble::Full), ..bound() });
    bench.press(Control::Exam);
    bench.push(Button::End);
    bench.keep("exam-not-ended");
    bench.push(Button::EndAnyway);
    bench.keep("exam-lose");
    assert_eq!(bench.requests(), []);
    bench.push(Button::ReallyLose);
    assert_eq!(bench.requests(), [end(true)]);
}

#[test]
fn where_nobody_has_been_for_long_the_screen_asks_and_scans_and_toggles_do_not_answer() {
    let mut bench = Bench::usual();
    let tick = |bench: &mut Bench, minutes: u64| {
        let now = Timestamp::from_ms(bench.ms + minutes * 60_000);
        bench.screen.tick(now, &mut Vec::new());
    };
    // Before anything is of a patient nothing is asked.
    tick(&mut bench, 60);
    assert_eq!(bench.desk().page(), None);
    bench.tell(bound());
    bench.press(Control::Freeze);
    tick(&mut bench, 14);
    assert!(!bench.desk().is_asking());
    tick(&mut bench, 15);
    assert!(bench.desk().is_asking());
    bench.keep("exam-same-patient");
    bench.desk().scanned("0815");
    bench.press(Control::Exam);
    assert!(bench.desk().is_asking());
    bench.push(Button::SamePatient);
    assert_eq!((bench.desk().page(), bench.requests()), (None, vec![]));
    tick(&mut bench, 14);
    assert_eq!(bench.desk().page(), None);
    tick(&mut bench, 15);
    bench.push(Button::ReallyEnd);
    assert_eq!(bench.requests(), [end(false)]);
    let never = DeskConfig { ask_after: None, presets: Vec::new() };
    let layout = LayoutConfig { has_exam: true, ..LayoutConfig::default() };
    let mut bench = Bench::with(ScreenConfig { layout, desk: never, ..ScreenConfig::default() });
    bench.tell(bound());
    tick(&mut bench, 10_000);
    assert_eq!(bench.desk().page(), None);
}

#[test]
fn after_an_exam_nothing_of_it_is_on_the_screen() {
    let mut bench = Bench::usual();
    let fresh = bench.draw().pixels().to_vec();
    bench.tell(bound());
    bench.press(Control::Exam);
    bench.push(Button::Patient);
    bench.type_in("47");
    bench.desk().new_exam();
    assert!(bench.draw().pixels() == fresh, "something of the last exam is on the screen");
    bench.press(Control::Exam);
    bench.push(Button::Patient);
    bench.push(Button::Enter);
    assert_eq!((bench.desk().page(), bench.requests()), (Some(Page::Keypad), vec![]), "something was typed before");
    bench.type_in("4711");
    bench.tell(ExamTold { patient: Identity::new("4711"), ..ExamTold::default() });
    assert!(!format!("{:?}", bench.desk()).contains("4711"));
}

#[test]
fn an_item_is_looked_at_deleted_by_a_second_button_and_put_back() {
    let mut bench = Bench::usual();
    bench.tell(bound());
    bench.press(Control::Exam);
    bench.push(Button::Items);
    bench.keep("exam-items");
    bench.push(Button::Item(3));
    assert_eq!(bench.requests(), [ExamRequest::Open(3)]);
    bench.desk().show_item(3, Arc::new(picture(3)));
    bench.keep("exam-item");
    bench.push(Button::Delete);
    bench.keep("exam-delete");
    bench.push(Button::Close);
    assert_eq!((bench.desk().page(), bench.requests()), (Some(Page::Item(3)), vec![]));
    bench.push(Button::Delete);
    bench.push(Button::ReallyDelete);
    assert_eq!(bench.requests(), [ExamRequest::Delete(3)]);
    let mut deleted = bound();
    deleted.items[2].is_deleted = true;
    bench.tell(deleted);
    bench.keep("exam-deleted");
    bench.push(Button::Item(3));
    assert_eq!((bench.place(Button::Delete), bench.requests()), (None, vec![ExamRequest::Open(3)]));
    bench.push(Button::Restore);
    assert_eq!(bench.requests(), [ExamRequest::Restore(3)]);
}

#[test]
fn an_item_is_outlined_anew_over_a_picture_that_says_that_it_is_not_live() {
    let mut bench = Bench::usual();
    bench.tell(bound());
    bench.press(Control::Exam);
    bench.push(Button::Items);
    bench.push(Button::Item(3));
    bench.push(Button::Edit);
    assert_eq!((bench.desk().page(), bench.requests()), (None, vec![ExamRequest::Open(3), ExamRequest::Edit(3)]));
    let before = bench.draw().pixels().to_vec();
    bench.scene.mode = Mode::Frozen;
    let frozen = bench.draw().pixels().to_vec();
    bench.tell(ExamTold { reopened: Some(3), ..bound() });
    let said = bench.draw().pixels().to_vec();
    assert!(said != frozen && frozen != before, "it looks like a frozen picture of now");
    bench.tell(bound());
    assert!(bench.draw().pixels() == frozen);
}

#[test]
fn what_the_operator_should_know_is_on_the_screen_and_on_the_page() {
    let mut bench = Bench::usual();
    let warnings = Warnings { is_disk_low: true, is_reserve_used: false, clock: Some("no time server"), unsent: 2 };
    bench.tell(ExamTold { warnings, ..told() });
    bench.keep("exam-warnings");
    bench.press(Control::Exam);
    bench.keep("exam-page-warnings");
    bench.push(Button::ConfirmDate);
    assert_eq!(bench.requests(), [ExamRequest::ConfirmDate]);
    bench.push(Button::Presets);
    bench.keep("exam-presets");
    bench.push(Button::Preset(Some(0)));
    assert_eq!(bench.requests(), [ExamRequest::ChoosePreset(Some(0))]);
}

#[test]
fn under_a_page_nothing_of_the_picture_is_touched() {
    let mut bench = Bench::usual();
    bench.tell(bound());
    bench.press(Control::Exam);
    let image = bench.screen.layout().image_area();
    let at = Point::new(image.x0 + 3.0, image.y0 + 3.0);
    assert_eq!(bench.hold(at, 100), []);
    assert_eq!(bench.hold(at, 900).iter().filter(|c| **c != Command::HideOverlay(false)).count(), 0);
    bench.touch(Phase::Down, at);
    bench.ms += 50;
    bench.touch(Phase::Move, image.centre());
    bench.ms += 50;
    bench.touch(Phase::Up, image.centre());
    assert_eq!(std::mem::take(&mut bench.commands), []);
    bench.push(Button::Close);
    assert!(matches!(bench.hold(image.centre(), 100)[..], [Command::Click { .. }]));
}

#[test]
fn a_tablets_picture_has_the_line_and_the_pages_too() {
    let layout = LayoutConfig { has_exam: true, handedness: Handedness::Elsewhere, ..LayoutConfig::default() };
    let mut bench = Bench::with(ScreenConfig { layout, ..ScreenConfig::default() });
    bench.tell(ExamTold { saving: SaveTold::Saved(3), ..bound() });
    bench.keep("exam-tablet");
    assert!(bench.screen.obey(Command::ShowExam));
    bench.draw();
    bench.push(Button::End);
    bench.push(Button::ReallyEnd);
    assert_eq!(bench.requests(), [end(false)]);
}
