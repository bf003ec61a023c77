//! The regions of a frame: which part shows what, in which scale, and to which of them a prompt belongs.
//!
//! A scanner shows several pictures on one screen: two B-mode images side by side, a Doppler spectrum below one, an inset.
//! Each has its own bounds and its own scale, so both belong to the prompt and not to the frame: what is outlined and
//! measured is the topmost region under the prompt.
//!
//! Invariants: a list is ordered from the topmost to the lowest region; an outline never gets the scale of a region that
//! its prompts are not in.
//!
//! ```
//! use sonotap::frame::RegionContent;
//! use sonotap::geometry::{Point, Rect};
//! use sonotap::region::{FrameRegion, Misplaced, Regions};
//! let part = |x0, x1, content| FrameRegion { rect: Rect::new(x0, 0.0, x1, 100.0), content, ..FrameRegion::default() };
//! let screen = [part(0.0, 80.0, RegionContent::BMode), part(80.0, 160.0, RegionContent::Spectrum)];
//! let regions = Regions::new(&screen).unwrap();
//! assert_eq!(regions.of_click(Point::new(20.0, 50.0)), Ok(screen[0]));
//! assert_eq!(regions.of_click(Point::new(90.0, 50.0)), Err(Misplaced::NotTissue(RegionContent::Spectrum)));
//! assert_eq!(regions.of_box(&Rect::new(60.0, 10.0, 90.0, 40.0)), Err(Misplaced::Across));
//! ```

use std::fmt;
use std::ops::Deref;

use crate::contour::Outline;
use crate::frame::{Frame, ImageRegion, PixelFormat, PixelScale, RegionContent};
use crate::geometry::{ImageSpace, Point, Rect};
use crate::mask::LogitGrid;

/// Most regions of a frame.
pub const REGIONS_MAX: usize = 8;
/// A pixel is coloured when its channels differ by more: chroma of lossy files reaches about 20 on grey.
const CHROMA_MIN: u8 = 40;
/// An outline whose inside is coloured to this share or more is not measured in millimetres.
const COLOURED_SHARE_MAX: f32 = 0.01;

/// A part of a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FrameRegion {
    /// Where, image px.
    pub rect: Rect<ImageSpace>,
    /// What it shows.
    pub content: RegionContent,
    /// Size of its pixels, when somebody says.
    pub scale: Option<PixelScale>,
    /// Whether regions that are not so overwrite its pixels (Region Flags (0018,6016), bit 0).
    pub is_low_priority: bool,
}

/// Why a prompt belongs to no region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misplaced {
    /// On the rim: in no region at all.
    Outside,
    /// In a region that shows something else than tissue.
    NotTissue(RegionContent),
    /// Prompts or the sides of a box are in different regions.
    Across,
    /// On a pixel of colour flow.
    OnColour,
}

impl Misplaced {
    /// A few words for the screen.
    pub fn label(self) -> &'static str {
        match self {
            Self::Outside => "outside the image",
            Self::NotTissue(content) => content.label(),
            Self::Across => "across two images",
            Self::OnColour => "on colour flow",
        }
    }
}

impl fmt::Display for Misplaced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Outside => write!(f, "expected a place within an image region, got one on the rim outside them"),
            Self::NotTissue(content) => write!(f, "expected a place on a B-mode image, got one on {}", content.label()),
            Self::Across => write!(f, "expected all of it in one image region, got several"),
            Self::OnColour => write!(f, "expected a place on grey tissue, got one on coloured pixels of colour flow"),
        }
    }
}

/// Why an outline gets no millimetres although its region has a scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unmeasured {
    /// Coloured pixels are inside, which are flow and not tissue.
    HoldsColour,
    /// It reaches beneath a region that lies above its own.
    Covered,
}

impl Unmeasured {
    /// A few words for the screen.
    pub fn label(self) -> &'static str {
        match self {
            Self::HoldsColour => "the outline holds colour flow",
            Self::Covered => "the outline reaches beneath another image",
        }
    }
}

/// Up to [`REGIONS_MAX`] regions, the topmost first.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Regions {
    list: [FrameRegion; REGIONS_MAX],
    len: usize,
}

impl Deref for Regions {
    type Target = [FrameRegion];

    fn deref(&self) -> &[FrameRegion] {
        &self.list[..self.len]
    }
}

impl Regions {
    /// Puts the regions in order: low priority below the others, and of one priority the smaller above the larger.
    /// `None` when there are more than [`REGIONS_MAX`].
    pub fn new(regions: &[FrameRegion]) -> Option<Self> {
        let mut list = Self { len: regions.len(), ..Self::default() };
        list.list.get_mut(..regions.len())?.copy_from_slice(regions);
        let area = |r: &FrameRegion| r.rect.width() * r.rect.height();
        list.list[..regions.len()]
            .sort_by(|a, b| a.is_low_priority.cmp(&b.is_low_priority).then(area(a).total_cmp(&area(b))));
        Some(list)
    }

    /// A single region, whose scale nobody says.
    pub fn one(region: ImageRegion) -> Self {
        let mut one = Self { len: 1, ..Self::default() };
        one.list[0] = FrameRegion { rect: region.rect, content: region.content, ..FrameRegion::default() };
        one
    }

    /// The same regions without any scale.
    pub fn without_scales(mut self) -> Self {
        self.list.iter_mut().for_each(|r| r.scale = None);
        self
    }

    /// The topmost region at a place.
    pub fn at(&self, p: Point<ImageSpace>) -> Option<&FrameRegion> {
        self.iter().find(|r| r.rect.contains(p))
    }

    /// The region that a click belongs to.
    ///
    /// # Errors
    /// [`Misplaced`] on the rim and on what is not tissue.
    pub fn of_click(&self, p: Point<ImageSpace>) -> Result<FrameRegion, Misplaced> {
        let region = self.at(p).ok_or(Misplaced::Outside)?;
        if region.content.is_segmentable() { Ok(*region) } else { Err(Misplaced::NotTissue(region.content)) }
    }

    /// The region that a box belongs to: the one at its middle, else the only one that it meets. What of the box lies on
    /// the rim is not of the region.
    ///
    /// # Errors
    /// [`Misplaced`] when it meets no region, one that is not tissue, or a visible part of another one.
    pub fn of_box(&self, rect: &Rect<ImageSpace>) -> Result<FrameRegion, Misplaced> {
        let met = || self.iter().filter(|r| r.rect.intersect(rect).is_some());
        let home = self.at(rect.centre()).or_else(|| met().next()).ok_or(Misplaced::Outside)?;
        let is_above = |r: &FrameRegion| self.iter().take_while(|h| *h != home).any(|a| a == r);
        let shows = |r: &FrameRegion| {
            r.rect.intersect(rect).is_some_and(|part| is_above(r) || home.rect.union(&part) != home.rect)
        };
        if self.iter().any(|r| r != home && shows(r)) {
            return Err(Misplaced::Across);
        }
        if home.content.is_segmentable() { Ok(*home) } else { Err(Misplaced::NotTissue(home.content)) }
    }

    /// The region that clicks and a box belong to together; `None` when there is neither.
    ///
    /// # Errors
    /// [`Misplaced`] of the first that belongs to none, [`Misplaced::Across`] when they belong to different ones.
    pub fn of_prompts(
        &self,
        clicks: impl IntoIterator<Item = Point<ImageSpace>>,
        boxed: Option<&Rect<ImageSpace>>,
    ) -> Result<Option<FrameRegion>, Misplaced> {
        let boxed = boxed.map(|b| self.of_box(b));
        let mut home = None;
        for region in clicks.into_iter().map(|p| self.of_click(p)).chain(boxed) {
            let region = region?;
            if *home.get_or_insert(region) != region {
                return Err(Misplaced::Across);
            }
        }
        Ok(home)
    }

    /// Where prompts may be put, taken together: what motion is followed in. `None` when there is no such place.
    pub fn tissue(&self) -> Option<Rect<ImageSpace>> {
        self.iter().filter(|r| r.content.is_segmentable()).map(|r| r.rect).reduce(|a, b| a.union(&b))
    }

    /// Whether an outline in `home` reaches beneath a region above it.
    fn covers_part_of(&self, outline: &Outline, home: &FrameRegion) -> bool {
        // By its place: a scale that somebody measured may have been added to `home`.
        self.iter().take_while(|r| (r.rect, r.content) != (home.rect, home.content)).any(|above| {
            let is_within = |p: &Point<ImageSpace>| above.rect.contains(*p);
            outline.points().iter().any(is_within) || outline.contains(above.rect.centre())
        })
    }
}

impl Frame {
    /// Its regions; the one that [`Frame::region`] names where none are listed.
    pub fn parts(&self) -> Regions {
        if !self.regions.is_empty() {
            return self.regions;
        }
        let mut one = Regions::one(self.region);
        one.list[0].scale = self.scale;
        one
    }

    /// See [`Frame::set_regions`]; the regions have been checked.
    pub(crate) fn list_regions(&mut self, regions: Regions) {
        let mut tissue = regions.iter().filter(|r| r.content.is_segmentable());
        if let (Some(rect), Some(first)) = (regions.tissue(), tissue.next()) {
            let is_one = |r: &FrameRegion| r.scale == first.scale && r.content == first.content;
            let is_alike = tissue.all(is_one);
            self.scale = first.scale.filter(|_| is_alike);
            let content = if is_alike { first.content } else { RegionContent::BMode };
            self.region = ImageRegion { rect, content };
        } else if let Some(first) = regions.first() {
            self.scale = first.scale;
            self.region = ImageRegion { rect: first.rect, content: first.content };
        }
        self.regions = regions;
    }

    /// The region that prompts belong to; `None` when there are none.
    ///
    /// # Errors
    /// Why they belong to none: outside all regions, on a trace, a spectrum or graphics, in two regions, or on colour.
    pub fn region_of(
        &self,
        clicks: impl IntoIterator<Item = Point<ImageSpace>, IntoIter: Clone>,
        boxed: Option<&Rect<ImageSpace>>,
    ) -> Result<Option<FrameRegion>, Misplaced> {
        let clicks = clicks.into_iter();
        let home = self.parts().of_prompts(clicks.clone(), boxed)?;
        let has_colour = home.is_some_and(|h| h.content == RegionContent::BModeWithColour);
        if has_colour && clicks.into_iter().any(|p| self.is_coloured(p)) {
            return Err(Misplaced::OnColour);
        }
        Ok(home)
    }

    /// Whether the pixel at a place has a colour; false outside the frame.
    pub fn is_coloured(&self, p: Point<ImageSpace>) -> bool {
        if self.format != PixelFormat::Rgb8 || !self.contains(p) {
            return false;
        }
        let at = 3 * p.x as usize;
        let rgb = &self.row(p.y as u32)[at..at + 3];
        rgb.iter().max().zip(rgb.iter().min()).is_some_and(|(high, low)| high - low > CHROMA_MIN)
    }

    /// The scale to measure an outline in `home` with; `None` when the region has none.
    ///
    /// # Errors
    /// Why the region's scale does not hold for this outline.
    pub fn scale_for(
        &self,
        home: &FrameRegion,
        outline: &Outline,
        mask: &LogitGrid,
    ) -> Result<Option<PixelScale>, Unmeasured> {
        if home.scale.is_none() {
            return Ok(None);
        }
        if self.parts().covers_part_of(outline, home) {
            return Err(Unmeasured::Covered);
        }
        if home.content == RegionContent::BModeWithColour && self.coloured_share(mask) >= COLOURED_SHARE_MAX {
            return Err(Unmeasured::HoldsColour);
        }
        Ok(home.scale)
    }

    /// Share of the mask's inside, by its cells, that is coloured.
    fn coloured_share(&self, mask: &LogitGrid) -> f32 {
        let cells = mask.cells();
        let inside = (0..cells * cells).filter(|&i| mask.values()[i] > 0.0);
        let (mut all, mut coloured) = (0, 0);
        for i in inside {
            all += 1;
            coloured += usize::from(self.is_coloured(mask.centre(i % cells, i / cells)));
        }
        coloured as f32 / (all as f32).max(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::ScaleSource;
    use crate::geometry::ModelView;
    use crate::units::Millimetres;

    fn part(rect: [f32; 4], content: RegionContent, mm: f64, is_low_priority: bool) -> FrameRegion {
        let scale = PixelScale::new(Millimetres(mm), Millimetres(mm), ScaleSource::DicomRegion);
        FrameRegion { rect: Rect::new(rect[0], rect[1], rect[2], rect[3]), content, scale, is_low_priority }
    }

    /// Two B-mode images side by side, the right one with an inset, a spectrum below, a trace over the left one.
    fn screen() -> [FrameRegion; 5] {
        [
            part([0.0, 0.0, 100.0, 100.0], RegionContent::BMode, 0.1, true),
            part([100.0, 0.0, 200.0, 100.0], RegionContent::BMode, 0.2, true),
            part([150.0, 0.0, 200.0, 40.0], RegionContent::BMode, 0.4, true),
            part([0.0, 110.0, 200.0, 150.0], RegionContent::Spectrum, 0.0, false),
            part([0.0, 80.0, 100.0, 100.0], RegionContent::Trace, 0.0, false),
        ]
    }

    fn place(x: f32, y: f32) -> Point<ImageSpace> {
        Point::new(x, y)
    }

    #[test]
    fn a_click_belongs_to_the_topmost_region_under_it() {
        use RegionContent::{Spectrum, Trace};
        let [left, right, inset, ..] = screen();
        let regions = Regions::new(&screen()).unwrap();
        for (p, expected) in [
            (place(50.0, 50.0), Ok(left)),
            (place(99.9, 50.0), Ok(left)),
            (place(100.0, 50.0), Ok(right)),
            (place(160.0, 20.0), Ok(inset)),
            (place(50.0, 90.0), Err(Misplaced::NotTissue(Trace))),
            (place(50.0, 120.0), Err(Misplaced::NotTissue(Spectrum))),
            (place(50.0, 105.0), Err(Misplaced::Outside)),
            (place(f32::NAN, 50.0), Err(Misplaced::Outside)),
        ] {
            assert_eq!(regions.of_click(p), expected, "{p:?}");
        }
    }

    #[test]
    fn high_priority_lies_above_what_is_smaller() {
        let large = part([0.0, 0.0, 100.0, 100.0], RegionContent::BMode, 0.1, false);
        let small = part([10.0, 10.0, 20.0, 20.0], RegionContent::MMode, 0.1, true);
        let at = |list: &[FrameRegion]| Regions::new(list).unwrap().of_click(place(15.0, 15.0));
        assert_eq!(at(&[small, large]), Ok(large));
        let (large, small) =
            (FrameRegion { is_low_priority: true, ..large }, FrameRegion { is_low_priority: false, ..small });
        assert_eq!(at(&[large, small]), Err(Misplaced::NotTissue(RegionContent::MMode)));
    }

    #[test]
    fn a_box_belongs_to_one_region_and_may_reach_onto_the_rim() {
        let [left, right, inset, ..] = screen();
        let regions = Regions::new(&screen()).unwrap();
        for (rect, expected) in [
            ([10.0, 10.0, 60.0, 60.0], Ok(left)),
            ([-20.0, -5.0, 60.0, 60.0], Ok(left)),
            ([10.0, 10.0, 120.0, 60.0], Err(Misplaced::Across)),
            ([10.0, 50.0, 60.0, 90.0], Err(Misplaced::Across)),
            ([110.0, 10.0, 170.0, 60.0], Err(Misplaced::Across)),
            ([155.0, 5.0, 190.0, 30.0], Ok(inset)),
            ([140.0, 5.0, 190.0, 30.0], Err(Misplaced::Across)),
            ([110.0, 60.0, 190.0, 90.0], Ok(right)),
            ([110.0, 60.0, 190.0, 130.0], Err(Misplaced::Across)),
            ([20.0, 115.0, 60.0, 140.0], Err(Misplaced::NotTissue(RegionContent::Spectrum))),
            ([20.0, 160.0, 60.0, 190.0], Err(Misplaced::Outside)),
        ] {
            let rect = Rect::new(rect[0], rect[1], rect[2], rect[3]);
            assert_eq!(regions.of_box(&rect), expected, "{rect:?}");
        }
    }

    #[test]
    fn prompts_of_one_object_belong_to_one_region() {
        let regions = Regions::new(&screen()).unwrap();
        let both = [place(50.0, 50.0), place(120.0, 50.0)];
        assert_eq!(regions.of_prompts(both, None), Err(Misplaced::Across));
        assert_eq!(regions.of_prompts([both[0]], Some(&Rect::new(20.0, 20.0, 60.0, 60.0))), Ok(Some(screen()[0])));
        assert_eq!(regions.of_prompts([both[1]], Some(&Rect::new(20.0, 20.0, 60.0, 60.0))), Err(Misplaced::Across));
        assert_eq!(regions.of_prompts([], None), Ok(None));
    }

    #[test]
    fn more_than_eight_regions_are_none() {
        let one = part([0.0, 0.0, 9.0, 9.0], RegionContent::BMode, 0.1, false);
        assert_eq!(Regions::new(&[one; REGIONS_MAX]).unwrap().len(), REGIONS_MAX);
        assert_eq!(Regions::new(&[one; REGIONS_MAX + 1]), None);
    }

    #[test]
    fn a_frame_of_several_scales_has_none_of_its_own() {
        let mut frame = Frame::from_pixels(200, 150, PixelFormat::Grey8, vec![0; 200 * 150]).unwrap();
        frame.set_regions(Regions::new(&screen()).unwrap()).unwrap();
        assert_eq!((frame.scale, frame.region.rect), (None, Rect::new(0.0, 0.0, 200.0, 100.0)));
        frame.set_regions(Regions::new(&screen()[3..]).unwrap()).unwrap();
        frame.reshape(200, 150, PixelFormat::Grey8).unwrap();
        assert_eq!(frame.parts().len(), 1, "regions outlived a reshape");
        frame.set_regions(Regions::new(&[screen()[1], screen()[3]]).unwrap()).unwrap();
        assert_eq!((frame.scale, frame.region.rect), (screen()[1].scale, screen()[1].rect));
    }

    /// A square outline and its mask, 32 cells on the whole frame of 200 x 150 px.
    fn square(x0: f32, y0: f32, x1: f32, y1: f32) -> (Outline, LogitGrid) {
        let mut outline = Outline::default();
        outline.push_ring([(x0, y0), (x1, y0), (x1, y1), (x0, y1)].map(|(x, y)| place(x, y)));
        let mut mask = LogitGrid::background(32, ModelView::new(Rect::new(0.0, 0.0, 200.0, 150.0), 256));
        let rect = Rect::new(x0, y0, x1, y1);
        for i in 0..32 * 32 {
            if rect.contains(mask.centre(i % 32, i / 32)) {
                mask.values_mut()[i] = 1.0;
            }
        }
        (outline, mask)
    }

    #[test]
    fn an_outline_beneath_another_region_gets_no_millimetres() {
        let mut frame = Frame::from_pixels(200, 150, PixelFormat::Grey8, vec![0; 200 * 150]).unwrap();
        frame.set_regions(Regions::new(&screen()).unwrap()).unwrap();
        let right = screen()[1];
        for (sides, expected) in [
            ([110.0, 50.0, 140.0, 90.0], Ok(right.scale)),
            ([110.0, 10.0, 160.0, 90.0], Err(Unmeasured::Covered)),
            ([140.0, -10.0, 210.0, 60.0], Err(Unmeasured::Covered)),
        ] {
            let (outline, mask) = square(sides[0], sides[1], sides[2], sides[3]);
            assert_eq!(frame.scale_for(&right, &outline, &mask), expected, "{sides:?}");
        }
    }

    #[test]
    fn coloured_pixels_take_no_prompt_and_are_not_measured() {
        let mut frame = Frame::from_pixels(200, 150, PixelFormat::Rgb8, vec![90; 3 * 200 * 150]).unwrap();
        for (x, y) in (60..120).flat_map(|x| (40..80).map(move |y| (x, y))) {
            frame.pixels[3 * (y * 200 + x)..][..3].copy_from_slice(&[200, 30, 20]);
        }
        let home = part([0.0, 0.0, 200.0, 150.0], RegionContent::BModeWithColour, 0.1, false);
        frame.set_regions(Regions::new(&[home]).unwrap()).unwrap();
        assert_eq!(frame.region_of([place(20.0, 20.0)], None), Ok(Some(home)));
        assert_eq!(frame.region_of([place(80.0, 60.0)], None), Err(Misplaced::OnColour));
        let (outline, mask) = square(130.0, 20.0, 190.0, 140.0);
        assert_eq!(frame.scale_for(&home, &outline, &mask), Ok(home.scale));
        let (outline, mask) = square(100.0, 20.0, 190.0, 140.0);
        assert_eq!(frame.scale_for(&home, &outline, &mask), Err(Unmeasured::HoldsColour));
    }
}
