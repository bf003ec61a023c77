//! What one look does, against models of known make.

use super::*;
use crate::frame::{PixelFormat, RegionContent};
use crate::region::{FrameRegion, Regions};
use proptest::prelude::*;
use std::sync::{Arc, Mutex};

const CELLS: usize = 64;
const SPEC: ModelSpec = ModelSpec {
    side: 256,
    mask_cells: CELLS,
    masks: 4,
    pixel_channels: 1,
    first_candidate: 0,
    view_advantage: None,
    proposes: false,
};

/// What a fake model was shown and asked.
#[derive(Default)]
struct Log {
    views: Vec<ModelView>,
    fed: Vec<Option<LogitGrid>>,
}

/// One decode, as a fake model sees it.
struct Asked<'a> {
    frame: Option<FrameId>,
    view: ModelView,
    prompts: &'a ModelPrompts,
}

impl Asked<'_> {
    fn is_whole(&self) -> bool {
        self.view.crop().width() == 640.0
    }

    fn is_fed(&self) -> bool {
        !self.prompts.previous.is_empty()
    }
}

type Shape = Box<dyn Fn(Point<ImageSpace>) -> f32>;

/// Answers with four shapes of image space and their predicted IoUs.
struct Fake<A> {
    spec: ModelSpec,
    frame: Option<FrameId>,
    log: Arc<Mutex<Log>>,
    answer: A,
}

impl<A: Fn(&Asked) -> [(Shape, f32); 4] + Send> Segmenter for Fake<A> {
    fn spec(&self) -> ModelSpec {
        self.spec
    }

    fn encode(&mut self, frame: &Frame, view: &ModelView) -> Result<()> {
        self.frame = frame.id;
        self.log.lock().unwrap().views.push(*view);
        Ok(())
    }

    fn decode(&mut self, prompts: &ModelPrompts, out: &mut Decoded) -> Result<()> {
        let mut log = self.log.lock().unwrap();
        let view = *log.views.last().expect("decoded before anything was encoded");
        let previous = (!prompts.previous.is_empty()).then(|| prompts.previous.clone());
        log.fed.push(previous.map(|v| LogitGrid::from_values(CELLS, view, v).unwrap()));
        let answers = (self.answer)(&Asked { frame: self.frame, view, prompts });
        let grid = LogitGrid::background(CELLS, view);
        out.masks.clear();
        for (shape, _) in &answers {
            out.masks.extend((0..CELLS * CELLS).map(|i| shape(grid.centre(i % CELLS, i / CELLS))));
        }
        out.iou = answers.iter().map(|(_, iou)| *iou).collect();
        out.pixels = vec![1.0; CELLS * CELLS].into();
        Ok(())
    }
}

fn disc(x: f32, y: f32, radius: f32) -> Shape {
    Box::new(move |p| (radius - p.distance(Point::new(x, y))) / 4.0)
}

fn everywhere(v: f32) -> Shape {
    Box::new(move |_| v)
}

/// The same shape for all masks, with the score 0.9.
fn surely(shape: impl Fn() -> Shape) -> [(Shape, f32); 4] {
    [0.9; 4].map(|iou| (shape(), iou))
}

fn predictor<A>(options: PredictOptions, answer: A) -> (Predictor, Arc<Mutex<Log>>)
where
    A: Fn(&Asked) -> [(Shape, f32); 4] + Send + 'static,
{
    looker_of(SPEC, options, answer)
}

fn looker_of<A>(spec: ModelSpec, options: PredictOptions, answer: A) -> (Predictor, Arc<Mutex<Log>>)
where
    A: Fn(&Asked) -> [(Shape, f32); 4] + Send + 'static,
{
    let log = Arc::new(Mutex::new(Log::default()));
    (Predictor::new(Box::new(Fake { spec, frame: None, log: log.clone(), answer }), options), log)
}

/// A predictor whose scores of several views compare.
fn surveyor<A>(answer: A) -> Predictor
where
    A: Fn(&Asked) -> [(Shape, f32); 4] + Send + 'static,
{
    looker_of(ModelSpec { view_advantage: Some(0.0), ..SPEC }, PredictOptions::default(), answer).0
}

/// In views of at most so many px a small disc of this score; in all views a large one of .5. Fed an outline, that which fits
/// the view.
fn small_in_close_views(px: f32, score: f32) -> impl Fn(&Asked) -> [(Shape, f32); 4] + Send + 'static {
    move |asked| {
        if asked.is_fed() {
            let (radius, sure) = if asked.view.crop().width() <= 310.0 { (20.0, score) } else { (100.0, 0.5) };
            return [sure; 4].map(|iou| (disc(300.0, 220.0, radius), iou));
        }
        let small = if asked.view.crop().width() <= px { score } else { 0.1 };
        [
            (disc(300.0, 220.0, 100.0), 0.5),
            (disc(300.0, 220.0, 20.0), small),
            (disc(300.0, 220.0, 21.0), small - 0.05),
            (everywhere(5.0), 0.99),
        ]
    }
}

#[test]
fn a_lone_click_is_seen_at_several_scales_when_scores_compare() {
    let mut out = Vec::new();
    let mut predictor = surveyor(small_in_close_views(250.0, 0.9));
    let report = predictor.predict(&frame(1), &[tap(300.0, 220.0)], &mut out).unwrap();
    assert_eq!(
        (report.encodes, report.decodes),
        (6, 6),
        "the whole image, four squares, and closer at what was chosen"
    );
    assert!(is_disc(&out[0], 20.0), "not the mask that fills its view, nor that of the wider views");
    assert_eq!((out[0].score().map(Score::get), out[0].candidates()), (Some(0.9), 2));
    let prompts = with_mask(tap(300.0, 220.0), &out[0]);
    assert_eq!(predictor.predict(&frame(2), &[prompts], &mut out).unwrap().encodes, 1, "a later frame");
    let two = clicked(&[(300.0, 220.0, Polarity::Positive), (310.0, 220.0, Polarity::Positive)]);
    assert!(predictor.predict(&frame(3), &[two], &mut out).unwrap().encodes <= 2, "two clicks");

    let (mut other, _) = looker_of(SPEC, PredictOptions::default(), small_in_close_views(250.0, 0.9));
    let report = other.predict(&frame(1), &[tap(300.0, 220.0)], &mut out).unwrap();
    assert!(report.encodes <= 2, "a model whose scores do not compare is asked as ever");
}

#[test]
fn a_picture_that_stands_still_is_seen_in_a_mirror_too() {
    let mut out = Vec::new();
    // The disc lies at the same place of the picture, mirrored or not: so does the answer of the mean.
    let mut predictor = surveyor(|asked: &Asked| {
        let x = if asked.frame.is_none() { 640.0 - 200.0 } else { 200.0 };
        surely(|| disc(x, 220.0, 40.0))
    });
    let still = Prompts { is_still: true, ..tap(200.0, 220.0) };
    let report = predictor.predict(&frame(1), &[still], &mut out).unwrap();
    assert_eq!((report.encodes, report.decodes), (11, 11), "and closer at what was chosen");
    assert!(is_disc(&out[0], 40.0), "{}", area_px(&out[0]));
    let bounds = out[0].mask().unwrap().inside_bounds().unwrap();
    assert!((bounds.centre().x - 200.0).abs() < 4.0, "{bounds:?}");
}

#[test]
fn a_mask_that_its_view_cuts_is_no_candidate_and_a_poor_one_is_not_shown_next() {
    let mut out = Vec::new();
    // In views that do not hold it whole the disc of 160 px is cut, whatever its score; the ribbon is poor everywhere.
    let mut predictor = surveyor(|asked: &Asked| {
        let whole = asked.view.crop().width() >= 440.0;
        let (score, cut) = if whole { (0.6, 0.1) } else { (0.1, 0.95) };
        [
            (disc(300.0, 220.0, 160.0), score),
            (disc(300.0, 220.0, 160.0), cut),
            (disc(300.0, 220.0, 30.0), 0.05),
            (everywhere(-5.0), 0.9),
        ]
    });
    predictor.predict(&frame(1), &[tap(300.0, 220.0)], &mut out).unwrap();
    assert!(is_disc(&out[0], 160.0) && out[0].score().map(Score::get) == Some(0.6), "{:?}", out[0].score());
    assert_eq!(out[0].candidates(), 1);
}

#[test]
fn the_next_candidate_is_another_outline_than_those_shown() {
    let mut out = Vec::new();
    let mut predictor = surveyor(small_in_close_views(250.0, 0.9));
    predictor.predict(&frame(1), &[tap(300.0, 220.0)], &mut out).unwrap();
    let shown = out[0].mask().cloned().unwrap();
    let next = Prompts { candidate: 1, passed: vec![shown.clone()], ..tap(300.0, 220.0) };
    predictor.predict(&frame(2), &[next], &mut out).unwrap();
    assert!(is_disc(&out[0], 100.0), "21 px are no other outline than 20 px: {}", area_px(&out[0]));
    // Without memory of what was shown the second of the distinct ones is meant.
    predictor.predict(&frame(3), &[Prompts { candidate: 1, ..tap(300.0, 220.0) }], &mut out).unwrap();
    assert!(is_disc(&out[0], 100.0));
    // After the last the first comes again.
    let passed = vec![shown, out[0].mask().cloned().unwrap()];
    predictor.predict(&frame(4), &[Prompts { candidate: 2, passed, ..tap(300.0, 220.0) }], &mut out).unwrap();
    assert!(is_disc(&out[0], 20.0), "{}", area_px(&out[0]));
}

#[test]
fn an_expected_size_orders_outlines_and_hides_none() {
    use crate::frame::{PixelScale, ScaleSource};
    use crate::preset::Preset;
    use crate::units::Millimetres;
    let mm = Millimetres(0.5);
    let scale = PixelScale::new(mm, mm, ScaleSource::Profile).unwrap();
    // The large disc is 100 mm wide, the small one 20 mm.
    for (preset, score, radius) in [("kidney", 0.6, 100.0), ("kidney", 0.9, 20.0), ("nodule", 0.6, 20.0)] {
        let expected = Preset::find(preset).unwrap().expected(Some(&scale));
        let mut out = Vec::new();
        let mut predictor = surveyor(small_in_close_views(250.0, score));
        let first = Prompts { expected, ..tap(300.0, 220.0) };
        predictor.predict(&frame(1), std::slice::from_ref(&first), &mut out).unwrap();
        assert!(is_disc(&out[0], radius), "{preset}, score {score}: {}", area_px(&out[0]));
        let passed = vec![out[0].mask().cloned().unwrap()];
        predictor.predict(&frame(2), &[Prompts { candidate: 1, passed, ..first }], &mut out).unwrap();
        assert!(is_disc(&out[0], 120.0 - radius), "{preset}, score {score}: the other one is next");
    }
}

fn frame(id: u64) -> Frame {
    let mut frame = Frame::from_pixels(640, 480, PixelFormat::Grey8, vec![0; 640 * 480]).unwrap();
    frame.id = (id > 0).then_some(FrameId(id));
    frame
}

fn clicked(clicks: &[(f32, f32, Polarity)]) -> Prompts {
    let clicks = clicks.iter().map(|&(x, y, p)| (Point::new(x, y), p)).collect();
    Prompts { clicks, ..Prompts::default() }
}

fn tap(x: f32, y: f32) -> Prompts {
    clicked(&[(x, y, Polarity::Positive)])
}

fn with_mask(mut prompts: Prompts, look: &Prediction) -> Prompts {
    prompts.previous = look.mask().cloned();
    prompts
}

fn area_px(look: &Prediction) -> f64 {
    look.mask().unwrap().to_bitmap(640, 480).area_px() as f64
}

fn is_disc(look: &Prediction, radius: f64) -> bool {
    (area_px(look) / (std::f64::consts::PI * radius * radius) - 1.0).abs() < 0.05
}

#[test]
fn first_tap_costs_two_encodes_and_a_later_frame_one() {
    let (mut predictor, log) =
        predictor(PredictOptions::default(), |a| surely(|| disc(299.0 + a.frame.unwrap().0 as f32, 220.0, 30.0)));
    let mut out = Vec::new();
    let first = predictor.predict(&frame(1), &[tap(300.0, 220.0)], &mut out).unwrap();
    assert_eq!((first.encodes, first.decodes), (2, 2));
    for id in 2..6 {
        let prompts = with_mask(tap(299.0 + id as f32, 220.0), &out[0]);
        let report = predictor.predict(&frame(id), &[prompts], &mut out).unwrap();
        assert_eq!((report.encodes, report.decodes, report.view), (1, 1, first.view), "frame {id}");
        assert!(is_disc(&out[0], 30.0));
    }
    let log = log.lock().unwrap();
    assert_eq!(*log.views[0].crop(), Rect::new(0.0, 0.0, 640.0, 480.0));
    assert_eq!(*log.views[1].crop(), Rect::new(150.0, 70.0, 450.0, 370.0));
    assert!(log.fed[0].is_none() && log.fed[1].is_some(), "the first answer is fed to the closer look");
}

#[test]
fn a_first_look_costs_one_encode_and_the_next_look_is_closer() {
    let (mut predictor, log) = predictor(PredictOptions::default(), |_| surely(|| disc(300.0, 220.0, 30.0)));
    let mut out = Vec::new();
    let first = predictor.predict_roughly(&frame(1), &[tap(300.0, 220.0)], &mut out).unwrap();
    assert_eq!((first.encodes, first.decodes), (1, 1));
    assert!(is_disc(&out[0], 30.0));
    let prompts = with_mask(tap(300.0, 220.0), &out[0]);
    let second = predictor.predict(&frame(2), &[prompts], &mut out).unwrap();
    assert_eq!((second.encodes, second.decodes), (1, 1));
    let log = log.lock().unwrap();
    assert_eq!(*log.views[0].crop(), Rect::new(0.0, 0.0, 640.0, 480.0));
    assert_eq!(*log.views[1].crop(), Rect::new(150.0, 70.0, 450.0, 370.0));
}

#[test]
fn a_click_on_the_same_frame_costs_no_encode() {
    let (mut predictor, _) = predictor(PredictOptions::default(), |_| surely(|| disc(300.0, 220.0, 30.0)));
    let mut out = Vec::new();
    predictor.predict(&frame(7), &[tap(300.0, 220.0)], &mut out).unwrap();
    let more = clicked(&[(300.0, 220.0, Polarity::Positive), (350.0, 220.0, Polarity::Negative)]);
    let prompts = with_mask(more, &out[0]);
    assert_eq!(predictor.predict(&frame(7), std::slice::from_ref(&prompts), &mut out).unwrap().encodes, 0);
    assert_eq!(predictor.predict(&frame(8), std::slice::from_ref(&prompts), &mut out).unwrap().encodes, 1);
    assert_eq!(predictor.predict(&frame(0), std::slice::from_ref(&prompts), &mut out).unwrap().encodes, 1);
    assert_eq!(predictor.predict(&frame(0), &[prompts], &mut out).unwrap().encodes, 1);
}

#[test]
fn view_moves_a_few_times_while_the_object_crosses_the_frame() {
    let x = |id: u64| 100.0 + 2.0 * id as f32;
    let (mut predictor, log) =
        predictor(PredictOptions::default(), move |a| surely(|| disc(x(a.frame.unwrap().0), 240.0, 30.0)));
    let mut out = Vec::new();
    predictor.predict(&frame(1), &[tap(x(1), 240.0)], &mut out).unwrap();
    for id in 2..200 {
        let prompts = with_mask(tap(x(id), 240.0), &out[0]);
        assert_eq!(predictor.predict(&frame(id), &[prompts], &mut out).unwrap().encodes, 1, "frame {id}");
        assert!(id % 10 != 0 || is_disc(&out[0], 30.0), "cut at frame {id}: {}", area_px(&out[0]));
    }
    let mut views = log.lock().unwrap().views.clone();
    views.dedup();
    assert!((4..7).contains(&views.len()), "{} views", views.len());
}

#[test]
fn near_objects_share_a_closer_view_and_far_ones_the_whole() {
    for (x, is_closer) in [(360.0, true), (560.0, false)] {
        let (mut predictor, _) = predictor(PredictOptions::default(), move |a| {
            let at = a.view.to_image(a.prompts.clicks[0].0);
            surely(|| disc(at.x, at.y, 30.0))
        });
        let mut out = Vec::new();
        let report = predictor.predict(&frame(1), &[tap(260.0, 220.0), tap(x, 240.0)], &mut out).unwrap();
        assert_eq!((report.encodes, report.decodes), if is_closer { (2, 4) } else { (1, 2) });
        assert_eq!(report.view.crop().width() < 640.0, is_closer);
        let next: Vec<_> =
            [tap(260.0, 220.0), tap(x, 240.0)].into_iter().zip(&out).map(|(p, l)| with_mask(p, l)).collect();
        let report = predictor.predict(&frame(2), &next, &mut out).unwrap();
        assert_eq!((report.encodes, report.decodes), (1, 2));
        assert!(out.iter().all(|l| is_disc(l, 30.0)));
    }
}

#[test]
fn a_mask_at_the_edge_of_its_crop_is_followed_within_the_look() {
    let (mut predictor, _) = predictor(PredictOptions::default(), |a| {
        let radius = if a.is_fed() { 110.0 } else { 30.0 };
        surely(|| disc(180.0, 170.0, radius))
    });
    let mut out = Vec::new();
    let report = predictor.predict(&frame(1), &[tap(180.0, 170.0)], &mut out).unwrap();
    assert_eq!(report.encodes, 2, "a disc of 110 px fits the least crop");
    let (mut predictor, _) = self::predictor(PredictOptions::default(), |a| {
        let radius = if a.is_fed() { 170.0 } else { 30.0 };
        surely(|| disc(320.0, 240.0, radius))
    });
    let report = predictor.predict(&frame(1), &[tap(320.0, 240.0)], &mut out).unwrap();
    assert_eq!(report.encodes, 3);
    assert!(is_disc(&out[0], 170.0), "{}", area_px(&out[0]));
}

#[test]
fn second_decode_without_the_previous_mask_wins_when_it_contradicts_fewer_clicks() {
    let clicks = clicked(&[(300.0, 220.0, Polarity::Positive), (340.0, 220.0, Polarity::Negative)]);
    for (options, is_stubborn, redecoded, decodes) in [
        (PredictOptions { target_crop: false, ..PredictOptions::default() }, true, true, 2),
        (PredictOptions { target_crop: false, ..PredictOptions::default() }, false, false, 2),
        (
            PredictOptions { target_crop: false, retry_without_previous: false, ..PredictOptions::default() },
            true,
            false,
            1,
        ),
    ] {
        let (mut predictor, log) = predictor(options, move |a| {
            let radius = if a.is_fed() || !is_stubborn { 60.0 } else { 30.0 };
            surely(|| disc(300.0, 220.0, radius))
        });
        let previous = LogitGrid::from_values(4, ModelView::new(Rect::new(0.0, 0.0, 640.0, 480.0), 256), vec![1.0; 16]);
        let mut out = Vec::new();
        let prompts = Prompts { previous, ..clicks.clone() };
        let report = predictor.predict(&frame(1), &[prompts], &mut out).unwrap();
        assert_eq!((out[0].redecoded(), report.decodes), (redecoded, decodes), "{options:?} {is_stubborn}");
        assert_eq!(out[0].contradicted(), usize::from(!redecoded));
        assert!(out[0].mask().unwrap().sample(Point::new(340.0, 220.0)) < 0.0, "corrected or redecoded");
        assert_eq!(log.lock().unwrap().fed.iter().filter(|f| f.is_some()).count(), 1);
    }
}

#[test]
fn a_click_missed_by_a_little_is_corrected_and_not_asked_again() {
    for (x, is_inside, decodes) in [(358.0, false, 1), (349.0, false, 2), (362.0, true, 1)] {
        let options = PredictOptions { target_crop: false, ..PredictOptions::default() };
        let (mut predictor, _) =
            predictor(options, |a| surely(|| disc(300.0, 220.0, if a.is_fed() { 60.0 } else { 20.0 })));
        let previous = LogitGrid::from_values(4, ModelView::new(Rect::new(0.0, 0.0, 640.0, 480.0), 256), vec![1.0; 16]);
        let polarity = if is_inside { Polarity::Positive } else { Polarity::Negative };
        let prompts = Prompts { previous, ..clicked(&[(300.0, 220.0, Polarity::Positive), (x, 220.0, polarity)]) };
        let mut out = Vec::new();
        let report = predictor.predict(&frame(1), &[prompts], &mut out).unwrap();
        assert_eq!((report.decodes, out[0].redecoded()), (decodes, decodes == 2), "click at {x}");
        assert_eq!(out[0].mask().unwrap().sample(Point::new(x, 220.0)) > 0.0, is_inside, "click at {x}");
    }
}

#[test]
fn lone_click_chooses_among_the_masks_by_score() {
    let answer =
        |_: &Asked| [(50.0, 0.75), (28.0, 0.7), (35.0, 0.9), (42.0, 0.8)].map(|(r, s)| (disc(300.0, 220.0, r), s));
    let whole = PredictOptions { target_crop: false, ..PredictOptions::default() };
    for (candidate, radius, score) in [(0, 35.0, 0.9), (1, 42.0, 0.8), (2, 50.0, 0.75), (3, 28.0, 0.7), (4, 35.0, 0.9)]
    {
        let prompts = Prompts { candidate, ..tap(300.0, 220.0) };
        let mut out = Vec::new();
        let (mut far, _) = predictor(whole, answer);
        far.predict(&frame(1), std::slice::from_ref(&prompts), &mut out).unwrap();
        assert!(is_disc(&out[0], radius), "candidate {candidate}: {}", area_px(&out[0]));
        assert_eq!((out[0].score(), out[0].candidates()), (Score::new(score), 4));

        let (mut closer, log) = predictor(PredictOptions::default(), answer);
        closer.predict(&frame(1), &[prompts], &mut out).unwrap();
        assert!(is_disc(&out[0], 50.0), "with the first answer fed, mask 0 is shown");
        assert_eq!(out[0].candidates(), 4);
        let log = log.lock().unwrap();
        let fed = log.fed[1].as_ref().unwrap().to_bitmap(640, 480).area_px() as f64;
        assert!((fed / (std::f64::consts::PI * radius * radius) - 1.0).abs() < 0.08, "candidate {candidate}: {fed}");
    }
}

#[test]
fn what_is_no_mask_is_never_an_outline() {
    fn spotted(v: f32) -> Shape {
        Box::new(move |p| if p.x < 12.0 && p.y < 12.0 { v } else { disc(300.0, 220.0, 40.0)(p) })
    }
    type Answer = fn(&Asked) -> [(Shape, f32); 4];
    let cases: [(Answer, Implausible); 6] = [
        (|_| surely(|| spotted(f32::NAN)), Implausible::NotFinite),
        (|_| surely(|| spotted(f32::INFINITY)), Implausible::NotFinite),
        (|_| [0.9, f32::NAN, 0.9, 0.9].map(|s| (disc(300.0, 220.0, 40.0), s)), Implausible::NotFinite),
        (|_| surely(|| everywhere(-3.0)), Implausible::Empty),
        (|_| surely(|| everywhere(3.0)), Implausible::Everything),
        (
            |a| surely(|| if a.is_whole() { disc(300.0, 220.0, 40.0) } else { everywhere(f32::NAN) }),
            Implausible::NotFinite,
        ),
    ];
    for (n, (answer, why)) in cases.into_iter().enumerate() {
        let (mut predictor, _) = predictor(PredictOptions::default(), answer);
        let mut out = Vec::new();
        predictor.predict(&frame(1), &[tap(300.0, 220.0)], &mut out).unwrap();
        assert_eq!(out[0].outcome(), PredictionOutcome::Implausible(why), "case {n}");
        assert_eq!((out[0].mask(), out[0].score()), (None, None), "case {n}");
    }
}

#[test]
fn an_empty_closer_look_leaves_the_first_answer() {
    let (mut predictor, _) = predictor(PredictOptions::default(), |a| {
        surely(|| if a.is_whole() { disc(300.0, 220.0, 40.0) } else { everywhere(-3.0) })
    });
    let mut out = Vec::new();
    predictor.predict(&frame(1), &[tap(300.0, 220.0)], &mut out).unwrap();
    assert!(is_disc(&out[0], 40.0));
    assert_eq!(out[0].mask().unwrap().view().crop().width(), 640.0);
}

#[test]
fn an_implausible_object_does_not_touch_the_others() {
    let (mut predictor, _) = predictor(PredictOptions::default(), |a| {
        let at = a.view.to_image(a.prompts.clicks[0].0);
        surely(|| if at.x < 100.0 { everywhere(-3.0) } else { disc(300.0, 220.0, 30.0) })
    });
    let mut out = Vec::new();
    let report = predictor.predict(&frame(1), &[tap(20.0, 20.0), tap(300.0, 220.0)], &mut out).unwrap();
    assert_eq!(out[0].outcome(), PredictionOutcome::Implausible(Implausible::Empty));
    assert!(is_disc(&out[1], 30.0));
    assert_eq!((report.encodes, report.decodes), (2, 3));
}

#[test]
fn a_previous_mask_with_nothing_inside_counts_as_none() {
    let (mut predictor, log) = predictor(PredictOptions::default(), |_| surely(|| disc(300.0, 220.0, 30.0)));
    let view = ModelView::new(Rect::new(0.0, 0.0, 640.0, 480.0), 256);
    let nothing = Some(LogitGrid::background(CELLS, view));
    let mut out = Vec::new();
    predictor.predict(&frame(1), &[Prompts { previous: nothing.clone(), ..tap(300.0, 220.0) }], &mut out).unwrap();
    assert!(log.lock().unwrap().fed[0].is_none());
    assert_eq!(out[0].candidates(), 4);
    let alone = Prompts { previous: nothing, ..Prompts::default() };
    let report = predictor.predict(&frame(2), &[alone], &mut out).unwrap();
    assert_eq!((report.decodes, out[0].outcome()), (0, PredictionOutcome::Implausible(Implausible::Empty)));
}

#[test]
fn clicks_beside_the_image_region_are_refused() {
    let (mut predictor, log) = predictor(PredictOptions::default(), |_| surely(|| disc(300.0, 220.0, 30.0)));
    let mut frame = frame(1);
    frame.region.rect = Rect::new(100.0, 60.0, 540.0, 420.0);
    let mut out = Vec::new();
    let clicks = [(300.0, 220.0, Polarity::Positive), (30.5, 440.0, Polarity::Negative)];
    let e = predictor.predict(&frame, &[clicked(&clicks)], &mut out).unwrap_err();
    assert!(e.to_string().contains("object 0: expected a place within an image region"), "{e}");
    assert!(log.lock().unwrap().views.is_empty(), "it was looked at all the same");
    predictor.predict(&frame, &[clicked(&clicks[..1])], &mut out).unwrap();
    assert_eq!(*log.lock().unwrap().views[0].crop(), frame.region.rect);
}

#[test]
fn each_object_is_looked_at_within_its_own_region() {
    let (mut predictor, log) = predictor(PredictOptions::default(), |_| surely(|| disc(160.0, 220.0, 30.0)));
    let mut frame = frame(1);
    let half = |x0, x1| FrameRegion {
        rect: Rect::new(x0, 0.0, x1, 480.0),
        content: RegionContent::BMode,
        ..FrameRegion::default()
    };
    frame.set_regions(Regions::new(&[half(0.0, 320.0), half(320.0, 640.0)]).unwrap()).unwrap();
    let mut out = Vec::new();
    predictor.predict_roughly(&frame, &[tap(160.0, 220.0), tap(480.0, 220.0), tap(170.0, 220.0)], &mut out).unwrap();
    let views: Vec<Rect<ImageSpace>> = log.lock().unwrap().views.iter().map(|v| *v.crop()).collect();
    assert_eq!(views, [half(0.0, 320.0).rect, half(320.0, 640.0).rect]);
    let is_outlined: Vec<bool> = out.iter().map(|o| o.mask().is_some()).collect();
    assert_eq!(is_outlined, [true, false, true], "the disc is in the left image alone");
    let both = Prompts { boxed: Some(Rect::new(300.0, 100.0, 340.0, 200.0)), ..Prompts::default() };
    let e = predictor.predict(&frame, &[both], &mut out).unwrap_err();
    assert!(e.to_string().contains("object 0: expected all of it in one image region"), "{e}");
}

#[test]
fn padding_is_background() {
    let options = PredictOptions { target_crop: false, ..PredictOptions::default() };
    let (mut predictor, _) = predictor(options, |_| surely(|| Box::new(|p| p.x - 320.0)));
    let mut out = Vec::new();
    predictor.predict(&frame(1), &[tap(400.0, 220.0)], &mut out).unwrap();
    let mask = out[0].mask().unwrap();
    let rows = |from: usize| mask.values()[from * CELLS..(from + 1) * CELLS].iter().filter(|v| **v > 0.0).count();
    assert_eq!((rows(47), rows(49), rows(63)), (32, 0, 0), "48 of 64 rows hold image");
}

#[test]
fn bad_prompts_are_refused_with_what_was_expected() {
    let many = vec![(Point::new(1.0, 1.0), Polarity::Positive); MAX_CLICKS + 1];
    let boxed = |r| Prompts { boxed: Some(r), ..Prompts::default() };
    for (objects, message) in [
        (vec![tap(1.0, 1.0); 5], "expected at most 4 objects, got 5"),
        (vec![Prompts { clicks: many, ..Prompts::default() }], "object 0: expected at most 40 clicks, got 41"),
        (vec![tap(1.0, 1.0), Prompts::default()], "object 1: expected a click, a box or a previous mask, got none"),
        (vec![tap(640.0, 20.0)], "object 0: click 0 at (640, 20) is outside the 640x480 frame"),
        (vec![tap(f32::NAN, 20.0)], "object 0: click 0 at (NaN, 20) is outside the 640x480 frame"),
        (
            vec![boxed(Rect::new(-9.0, 0.0, -1.0, 5.0))],
            "object 0: box [-9, 0 .. -1, 5) covers nothing of the 640x480 frame",
        ),
    ] {
        let (mut predictor, _) = predictor(PredictOptions::default(), |_| surely(|| disc(300.0, 220.0, 30.0)));
        let error = predictor.predict(&frame(1), &objects, &mut Vec::new()).unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Argument, message));
    }
    let (mut predictor, log) = predictor(PredictOptions::default(), |_| surely(|| disc(300.0, 220.0, 30.0)));
    assert!(predictor.predict(&Frame::default(), &[tap(0.0, 0.0)], &mut Vec::new()).is_err());
    assert_eq!(predictor.predict(&frame(1), &[], &mut Vec::new()).unwrap().encodes, 0);
    assert!(log.lock().unwrap().views.is_empty());
}

#[test]
fn outputs_of_another_size_than_stated_are_an_error() {
    struct Short;
    impl Segmenter for Short {
        fn spec(&self) -> ModelSpec {
            SPEC
        }
        fn encode(&mut self, _: &Frame, _: &ModelView) -> Result<()> {
            Ok(())
        }
        fn decode(&mut self, _: &ModelPrompts, out: &mut Decoded) -> Result<()> {
            (out.masks, out.iou, out.pixels) = (vec![0.0; 4 * 32 * 32].into(), vec![0.5; 4], Vec::new().into());
            Ok(())
        }
    }
    let error = Predictor::new(Box::new(Short), PredictOptions::default())
        .predict(&frame(1), &[tap(9.0, 9.0)], &mut Vec::new())
        .unwrap_err();
    assert_eq!(error.to_string(), "decoder: expected 16384 mask logits, got 4096");
    assert_eq!(error.kind(), ErrorKind::Model);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn no_click_is_on_the_wrong_side_of_the_outline(
        places in prop::collection::vec((0.0f32..640.0, 0.0f32..480.0, any::<bool>()), 1..16), seed in 1u32..9999,
    ) {
        let (mut predictor, _) = predictor(PredictOptions::default(), move |_| surely(|| {
            Box::new(move |p| ((p.x * 0.37 + seed as f32).sin() + (p.y * 0.23 * seed as f32).cos()) * 6.0)
        }));
        let polarity = |inside| if inside { Polarity::Positive } else { Polarity::Negative };
        let clicks: Vec<_> = places.iter().map(|&(x, y, inside)| (x, y, polarity(inside))).collect();
        let mut out = Vec::new();
        predictor.predict(&frame(1), &[clicked(&clicks)], &mut out).unwrap();
        let mask = out[0].mask().unwrap();
        for (n, &(x, y, p)) in clicks.iter().enumerate() {
            let is_overruled = clicks[n + 1..].iter().any(|&(u, v, q)| q != p && (u - x).abs().max((v - y).abs()) < 10.0);
            let inside = mask.sample(Point::new(x, y)) > 0.0;
            prop_assert!(is_overruled || inside == (p == Polarity::Positive), "click {n} of {clicks:?}");
        }
    }
}

/// An outline of 40 px at (250, 220); from the third click on with a bulge at (330, 220), and a spot at (250, 320) that nobody
/// asked for.
fn bulge_and_spot(asked: &Asked) -> [(Shape, f32); 4] {
    let is_third = asked.prompts.clicks.len() > 2;
    surely(|| {
        let (outline, bulge, spot) = (disc(250.0, 220.0, 40.0), disc(310.0, 220.0, 30.0), disc(250.0, 320.0, 15.0));
        match is_third {
            true => Box::new(move |p| outline(p).max(bulge(p)).max(spot(p))),
            false => outline,
        }
    })
}

#[test]
fn a_correcting_click_changes_the_outline_only_where_it_is_about() {
    let spot = Point::new(250.0, 320.0);
    let clicks = [(250.0, 220.0), (230.0, 210.0), (325.0, 220.0)].map(|(x, y)| (x, y, Polarity::Positive));
    let kept = PredictOptions { target_crop: false, ..PredictOptions::default() };
    for (options, with_spot) in [(kept, false), (PredictOptions { keep_elsewhere: false, ..kept }, true)] {
        let (mut predictor, _) = predictor(options, bulge_and_spot);
        let mut out = Vec::new();
        predictor.predict(&frame(1), &[clicked(&clicks[..2])], &mut out).unwrap();
        let prompts = with_mask(clicked(&clicks), &out[0]);
        predictor.predict(&frame(1), std::slice::from_ref(&prompts), &mut out).unwrap();
        let mask = out[0].mask().unwrap();
        assert!(mask.sample(Point::new(325.0, 220.0)) > 0.0 && mask.sample(Point::new(250.0, 220.0)) > 0.0);
        assert_eq!(mask.sample(spot) > 0.0, with_spot);
    }
}

#[test]
fn a_second_click_and_a_click_answered_before_change_all_of_the_outline() {
    let spot = Point::new(250.0, 320.0);
    let options = PredictOptions { target_crop: false, ..PredictOptions::default() };
    let third = [(250.0, 220.0), (230.0, 210.0), (325.0, 220.0)].map(|(x, y)| (x, y, Polarity::Positive));
    let (mut predictor, _) = predictor(options, bulge_and_spot);
    let mut out = Vec::new();
    // The mask so far holds the click: it was answered on a frame before.
    predictor.predict(&frame(1), &[clicked(&third)], &mut out).unwrap();
    let prompts = with_mask(clicked(&third), &out[0]);
    predictor.predict(&frame(2), &[prompts], &mut out).unwrap();
    assert!(out[0].mask().unwrap().sample(spot) > 0.0);
    // The second click still chooses the object.
    let (mut predictor, _) = self::predictor(options, |a| {
        let is_second = a.prompts.clicks.len() > 1;
        surely(|| if is_second { disc(250.0, 220.0, 90.0) } else { disc(250.0, 220.0, 40.0) })
    });
    predictor.predict(&frame(1), &[clicked(&third[..1])], &mut out).unwrap();
    let prompts = with_mask(clicked(&[third[0], third[2]]), &out[0]);
    predictor.predict(&frame(1), &[prompts], &mut out).unwrap();
    assert!(is_disc(&out[0], 90.0));
}
