//! 8-connected components of a mask.

use sonotap::mask::Bitmap;

/// The components of a mask, numbered in the order in which their first pixels come, row by row.
#[derive(Clone, Debug)]
pub struct Components {
    width: u32,
    height: u32,
    /// 0 outside, else one more than the component.
    labels: Vec<u32>,
    areas: Vec<usize>,
}

impl Components {
    /// Finds them.
    ///
    /// ```
    /// use sonotap_lab::eval::components::Components;
    /// use sonotap::mask::Bitmap;
    /// let touching_at_a_corner = Bitmap::from_values(3, 2, vec![1, 0, 0, 0, 1, 0]).unwrap();
    /// assert_eq!(Components::of(&touching_at_a_corner).len(), 1);
    /// ```
    pub fn of(mask: &Bitmap) -> Self {
        let (width, height) = (mask.width(), mask.height());
        let mut found = Self { width, height, labels: vec![0; mask.pixels().len()], areas: Vec::new() };
        let mut open: Vec<usize> = Vec::new();
        for start in 0..mask.pixels().len() {
            if mask.pixels()[start] == 0 || found.labels[start] != 0 {
                continue;
            }
            let label = found.areas.len() as u32 + 1;
            let mut area = 0;
            found.labels[start] = label;
            open.push(start);
            while let Some(at) = open.pop() {
                area += 1;
                let (x, y) = (at as u32 % width, at as u32 / width);
                for v in y.saturating_sub(1)..=(y + 1).min(height - 1) {
                    for u in x.saturating_sub(1)..=(x + 1).min(width - 1) {
                        let near = v as usize * width as usize + u as usize;
                        if mask.pixels()[near] != 0 && found.labels[near] == 0 {
                            found.labels[near] = label;
                            open.push(near);
                        }
                    }
                }
            }
            found.areas.push(area);
        }
        found
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.areas.len()
    }

    /// Whether the mask was empty.
    pub fn is_empty(&self) -> bool {
        self.areas.is_empty()
    }

    /// Pixels of a component.
    ///
    /// # Panics
    /// If there are not so many components; so do the others that take one.
    pub fn area_px(&self, component: usize) -> usize {
        self.areas[component]
    }

    /// A component alone.
    pub fn bitmap(&self, component: usize) -> Bitmap {
        assert!(component < self.areas.len(), "component {component} of {}", self.areas.len());
        let label = component as u32 + 1;
        let values = self.labels.iter().map(|&l| u8::from(l == label)).collect();
        Bitmap::from_values(self.width, self.height, values).unwrap_or_else(|| Bitmap::new(self.width, self.height))
    }

    /// The one with the most pixels, the first of several; `None` when the mask was empty.
    pub fn largest(&self) -> Option<usize> {
        self.by_area().first().copied()
    }

    /// From the largest to the smallest; of equals the first in row order comes first.
    pub fn by_area(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.areas.len()).collect();
        order.sort_by_key(|&i| std::cmp::Reverse(self.areas[i]));
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn parts_are_numbered_by_row_and_ordered_by_area() {
        let mask = Bitmap::from_values(6, 3, vec![1, 0, 0, 1, 1, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1]).unwrap();
        let parts = Components::of(&mask);
        assert_eq!((0..parts.len()).map(|i| parts.area_px(i)).collect::<Vec<_>>(), [1, 3, 1, 1]);
        assert_eq!((parts.largest(), parts.by_area()), (Some(1), vec![1, 0, 2, 3]));
    }

    proptest! {
        #[test]
        fn parts_are_disjoint_and_make_up_the_mask(values in prop::collection::vec(0u8..2, 56)) {
            let mask = Bitmap::from_values(8, 7, values).unwrap();
            let parts = Components::of(&mask);
            let mut sum = [0u8; 56];
            for i in 0..parts.len() {
                prop_assert_eq!(parts.bitmap(i).area_px(), parts.area_px(i));
                sum.iter_mut().zip(parts.bitmap(i).pixels()).for_each(|(s, p)| *s += p);
            }
            prop_assert_eq!(&sum[..], mask.pixels());
        }
    }
}
