//! Of prompts and their edits.

use super::*;
use proptest::prelude::*;

const A: ObjectId = ObjectId(0);
const B: ObjectId = ObjectId(1);

fn click(x: f32, polarity: Polarity) -> PromptShape {
    PromptShape::Click { at: Point::new(x, 1.0), polarity }
}

fn plus(x: f32) -> PromptShape {
    click(x, Polarity::Positive)
}

fn minus(x: f32) -> PromptShape {
    click(x, Polarity::Negative)
}

fn boxed(x: f32) -> PromptShape {
    PromptShape::Box(Rect::new(x, 0.0, x + 4.0, 2.0))
}

fn shapes(set: &PromptSet, object: ObjectId) -> Vec<PromptShape> {
    set.active(object).map(|p| p.shape).collect()
}

#[test]
fn a_new_box_takes_the_place_of_the_old_one_and_undo_brings_it_back() {
    let mut set = PromptSet::new();
    set.add(A, boxed(1.0)).unwrap();
    set.add(A, plus(2.0)).unwrap();
    set.add(A, boxed(3.0)).unwrap();
    assert_eq!(shapes(&set, A), [plus(2.0), boxed(3.0)]);
    assert!(set.undo());
    assert_eq!(shapes(&set, A), [boxed(1.0), plus(2.0)]);
}

#[test]
fn undone_prompts_are_carried_too_and_carrying_is_no_edit() {
    let mut set = PromptSet::new();
    set.add(A, plus(10.0)).unwrap();
    set.add(B, boxed(10.0)).unwrap();
    set.add(A, minus(20.0)).unwrap();
    assert!(set.undo());
    let revision = set.revision();
    let stayed = set.carry(|object, p| (object == A).then(|| Point::new(p.x + 5.0, p.y)));
    assert_eq!((stayed, set.revision()), (1, revision));
    assert!(set.redo());
    assert_eq!(shapes(&set, A), [plus(15.0), minus(25.0)]);
    assert_eq!(shapes(&set, B), [boxed(10.0)]);
    set.carry(|_, p| Some(Point::new(p.x - 3.0, f32::NAN)));
    assert_eq!(shapes(&set, A), [plus(15.0), minus(25.0)], "a prompt was carried to nowhere");
    set.carry(|_, p| Some(Point::new(p.x - 3.0, p.y)));
    assert_eq!(shapes(&set, B), [boxed(7.0)], "a box did not keep its size");
}

#[test]
fn only_the_changed_object_gets_a_new_revision() {
    let mut set = PromptSet::new();
    set.add(A, plus(1.0)).unwrap();
    set.add(B, plus(2.0)).unwrap();
    assert_eq!((set.object_revision(A), set.object_revision(B)), (Revision(1), Revision(2)));
    assert!(set.undo());
    assert_eq!((set.object_revision(A), set.object_revision(B)), (Revision(1), Revision(3)));
    assert!(set.redo());
    assert!(set.clear_all());
    assert_eq!((set.object_revision(A), set.object_revision(B)), (Revision(5), Revision(5)));
    assert!(!set.clear_all() && !set.clear_object(A) && !set.redo());
    assert_eq!(set.revision(), Revision(5), "an edit that changed nothing got a number");
}

#[test]
fn candidates_of_a_lone_click_come_round_and_can_be_undone() {
    let mut set = PromptSet::new();
    assert_eq!(set.next_candidate(A), None);
    set.add(A, plus(1.0)).unwrap();
    let round: Vec<_> = (0..4).map(|_| set.next_candidate(A).unwrap()).collect();
    assert_eq!(round, [1, 2, 0, 1]);
    assert!(set.undo() && set.undo());
    assert_eq!(set.candidate(A), 2);
    set.add(A, minus(2.0)).unwrap();
    assert_eq!((set.candidate(A), set.next_candidate(A)), (0, None));
    assert!(set.undo());
    assert_eq!(set.candidate(A), 2);
    let mut other = PromptSet::new();
    other.add(A, boxed(1.0)).unwrap();
    assert_eq!(other.next_candidate(A), None, "a box has no alternatives");
}

#[test]
fn refused_prompts_change_nothing() {
    let mut set = PromptSet::new();
    for (object, shape, error) in [
        (A, minus(1.0), PromptError::NothingInside),
        (A, plus(f32::NAN), PromptError::NotFinite),
        (A, boxed(f32::INFINITY), PromptError::NotFinite),
        (ObjectId(4), plus(1.0), PromptError::NoSuchObject(ObjectId(4))),
    ] {
        assert_eq!(set.add(object, shape), Err(error), "{shape:?}");
        assert_eq!(set.restart(object, shape), Err(error), "{shape:?}");
    }
    assert_eq!((set.revision(), set.can_undo()), (Revision(0), false));
    for i in 0..PromptSet::PER_OBJECT {
        set.add(A, plus(i as f32)).unwrap();
    }
    assert!(set.undo());
    set.add(A, boxed(1.0)).unwrap();
    let before = (set.revision(), set.can_redo());
    assert_eq!(set.add(A, plus(99.0)), Err(PromptError::Full));
    assert_eq!((set.revision(), set.can_redo()), before);
    set.add(A, boxed(2.0)).expect("a box in place of a box needs no room");
    assert_eq!(PromptError::Full.to_string(), "expected at most 16 prompts an object, got one more");
}

#[test]
fn negative_clicks_go_with_the_last_inside() {
    let mut set = PromptSet::new();
    let first = set.add(A, plus(1.0)).unwrap();
    set.add(A, minus(2.0)).unwrap();
    let second = set.add(A, plus(3.0)).unwrap();
    assert!(set.remove(first));
    assert_eq!(shapes(&set, A), [minus(2.0), plus(3.0)]);
    assert!(!set.remove(first), "a removed prompt was removed again");
    assert!(set.remove(second));
    assert!(set.is_empty(A));
    assert!(set.undo());
    assert_eq!(shapes(&set, A), [minus(2.0), plus(3.0)]);
}

#[test]
fn restart_is_one_edit() {
    let mut set = PromptSet::new();
    set.add(A, plus(1.0)).unwrap();
    set.add(A, minus(2.0)).unwrap();
    set.restart(A, plus(9.0)).unwrap();
    assert!(set.is_lone_click(A));
    assert!(set.undo());
    assert_eq!(shapes(&set, A), [plus(1.0), minus(2.0)]);
}

#[test]
fn the_name_of_a_forgotten_prompt_removes_no_other() {
    let mut set = PromptSet::new();
    let forgotten = set.add(A, plus(1.0)).unwrap();
    assert!(set.undo());
    let present = set.add(A, plus(2.0)).unwrap();
    assert!(!set.remove(forgotten) && set.get(forgotten).is_none());
    assert_eq!(set.get(present).map(|p| p.shape), Some(plus(2.0)));
}

#[test]
fn reset_forgets_everything_but_the_revision() {
    let mut set = PromptSet::new();
    set.add(A, plus(1.0)).unwrap();
    set.reset();
    assert!(set.is_empty(A) && !set.can_undo() && !set.can_redo());
    assert_eq!((set.revision(), set.object_revision(A)), (Revision(2), Revision(2)));
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Add(ObjectId, PromptShape),
    Restart(ObjectId, PromptShape),
    Accept(ObjectId, f32),
    Remove(ObjectId, usize),
    RemoveNamed(u16),
    ClearObject(ObjectId),
    ClearAll,
    Next(ObjectId),
    Undo,
    Redo,
    Carry(f32),
}

fn op() -> impl Strategy<Value = Op> {
    let object = || (0u8..5).prop_map(ObjectId);
    let shape = || {
        (0u8..8, 0u16..1000).prop_map(|(kind, x)| match kind {
            0 => boxed(f32::from(x)),
            1 | 2 => minus(f32::from(x)),
            3 if x < 100 => plus(f32::NAN),
            _ => plus(f32::from(x)),
        })
    };
    prop_oneof![
        40 => (object(), shape()).prop_map(|(o, s)| Op::Add(o, s)),
        2 => (object(), shape()).prop_map(|(o, s)| Op::Restart(o, s)),
        4 => (object(), 0u16..1000).prop_map(|(o, x)| Op::Accept(o, f32::from(x))),
        6 => (object(), 0usize..16).prop_map(|(o, i)| Op::Remove(o, i)),
        2 => any::<u16>().prop_map(Op::RemoveNamed),
        1 => object().prop_map(Op::ClearObject),
        1 => Just(Op::ClearAll),
        5 => object().prop_map(Op::Next),
        12 => Just(Op::Undo),
        8 => Just(Op::Redo),
        4 => (0u8..9).prop_map(|d| Op::Carry(f32::from(d))),
    ]
}

fn do_op(set: &mut PromptSet, op: Op) -> bool {
    match op {
        Op::Add(o, s) => set.add(o, s).is_ok(),
        Op::Restart(o, s) => set.restart(o, s).is_ok(),
        Op::Accept(o, x) => set.restart_boxed(o, Rect::new(x, 0.0, x + 4.0, 2.0), Point::new(x, 1.0)).is_ok(),
        Op::Remove(o, i) => {
            let id = set.active(o).nth(i).map(|p| p.id);
            id.is_some_and(|id| set.remove(id))
        }
        Op::RemoveNamed(id) => set.remove(PromptId(id)),
        Op::ClearObject(o) => set.clear_object(o),
        Op::ClearAll => set.clear_all(),
        Op::Next(o) => set.next_candidate(o).is_some(),
        Op::Undo => set.undo(),
        Op::Redo => set.redo(),
        Op::Carry(_) => unreachable!("carrying is no edit"),
    }
}

type Seen = [(Vec<Prompt>, u8); ObjectId::MAX];

fn seen(set: &PromptSet) -> Seen {
    std::array::from_fn(|o| {
        let o = ObjectId(o as u8);
        (set.active(o).copied().collect(), set.candidate(o))
    })
}

fn shifted(states: &mut [Seen], d: f32) {
    for prompt in states.iter_mut().flatten().flat_map(|(prompts, _)| prompts) {
        let p = prompt.shape.anchor();
        prompt.shape = prompt.shape.with_anchor(Point::new(p.x + d, p.y));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn any_edits_agree_with_a_list_of_full_copies_within_bounds(
        ops in prop::collection::vec(op(), 1..3000)
    ) {
        let mut set = PromptSet::new();
        let (slab_room, history_room) = (set.slab.capacity(), set.history.capacity());
        let (mut copies, mut present) = (vec![seen(&set)], 0);
        for op in ops {
            let revision = set.revision();
            if let Op::Carry(d) = op {
                set.carry(|_, p| Some(Point::new(p.x + d, p.y)));
                shifted(&mut copies, d);
                prop_assert_eq!(set.revision(), revision);
            } else {
                let was_edited = do_op(&mut set, op);
                prop_assert_eq!(set.revision().0, revision.0 + u64::from(was_edited));
                match op {
                    Op::Undo if was_edited => present -= 1,
                    Op::Redo if was_edited => present += 1,
                    _ if was_edited => {
                        copies.truncate(present + 1);
                        copies.push(seen(&set));
                        copies.drain(..copies.len().saturating_sub(PromptSet::UNDO_DEPTH + 1));
                        present = copies.len() - 1;
                    }
                    _ => {}
                }
            }
            prop_assert_eq!(&seen(&set), &copies[present]);
            prop_assert_eq!(set.can_undo(), present > 0);
            prop_assert_eq!(set.can_redo(), present + 1 < copies.len());
            for (prompts, candidate) in &copies[present] {
                prop_assert!(prompts.len() <= PromptSet::PER_OBJECT && *candidate < PromptSet::CANDIDATES);
                prop_assert!(prompts.is_empty() || prompts.iter().any(|p| p.shape.is_inside()));
                prop_assert!(prompts.iter().filter(|p| matches!(p.shape, PromptShape::Box(_))).count() <= 1);
            }
        }
        prop_assert_eq!((set.slab.capacity(), set.history.capacity()), (slab_room, history_room));
    }

    #[test]
    fn undo_takes_back_and_redo_makes_again_whatever_the_edit(
        ops in prop::collection::vec(op(), 1..300), last in op()
    ) {
        let mut set = PromptSet::new();
        for op in ops.into_iter().filter(|op| !matches!(op, Op::Carry(_))) {
            do_op(&mut set, op);
        }
        prop_assume!(!matches!(last, Op::Undo | Op::Redo | Op::Carry(_)));
        let before = seen(&set);
        prop_assume!(do_op(&mut set, last));
        let after = seen(&set);
        prop_assert!(set.undo());
        prop_assert_eq!(&seen(&set), &before);
        prop_assert!(set.redo());
        prop_assert_eq!(&seen(&set), &after);
    }
}

#[test]
fn full_objects_with_a_full_history_still_take_an_edit() {
    let mut set = PromptSet::new();
    for object in (0..ObjectId::MAX as u8).map(ObjectId) {
        for i in 0..PromptSet::PER_OBJECT - 1 {
            set.add(object, plus(i as f32)).unwrap();
        }
        set.add(object, boxed(0.0)).unwrap();
    }
    for i in 0..1000 {
        let x = i as f32;
        set.restart_boxed(ObjectId((i % 4) as u8), Rect::new(x, 0.0, x + 4.0, 2.0), Point::new(x, 1.0)).unwrap();
    }
    assert_eq!(set.slab.len(), HELD_MAX, "the bound is not reached, so it is not the bound");
    let undone = std::iter::from_fn(|| set.undo().then_some(())).count();
    assert_eq!(undone, PromptSet::UNDO_DEPTH);
}
