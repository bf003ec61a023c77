//! Results of a decode, in memory of their own or in the runtime's, which is not copied.

use std::ops::{Deref, DerefMut};

use tract_onnx::prelude::{TValue, Tensor};
use tract_onnx::tract_hir::internal::IntoTensor as _;

/// f32 values, row-major. Reads and writes as a slice.
#[derive(Clone, Debug)]
pub struct Values(Memory);

#[derive(Clone, Debug)]
enum Memory {
    Own(Vec<f32>),
    Runtime(Tensor),
}

impl Values {
    /// Removes all values; keeps memory of its own.
    pub fn clear(&mut self) {
        self.own().clear();
    }

    /// Resizes to `len` values; new ones are `value`.
    pub fn resize(&mut self, len: usize, value: f32) {
        self.own().resize(len, value);
    }

    fn own(&mut self) -> &mut Vec<f32> {
        if let Memory::Runtime(tensor) = &self.0 {
            self.0 = Memory::Own(slice(tensor).to_vec());
        }
        match &mut self.0 {
            Memory::Own(values) => values,
            Memory::Runtime(_) => unreachable!("it was made its own above"),
        }
    }

    /// Takes over an f32 tensor.
    pub(super) fn of(value: TValue) -> Self {
        Self(Memory::Runtime(value.into_tensor()))
    }

    /// The runtime's tensor, if it has one.
    pub(super) fn into_runtime(self) -> Option<Tensor> {
        match self.0 {
            Memory::Own(_) => None,
            Memory::Runtime(tensor) => Some(tensor),
        }
    }
}

/// The values of an f32 tensor; no other type is taken over.
fn slice(tensor: &Tensor) -> &[f32] {
    tensor.as_plain_ram().and_then(|plain| plain.as_slice().ok()).unwrap_or_default()
}

impl Default for Values {
    fn default() -> Self {
        Self(Memory::Own(Vec::new()))
    }
}

impl From<Vec<f32>> for Values {
    fn from(values: Vec<f32>) -> Self {
        Self(Memory::Own(values))
    }
}

impl Extend<f32> for Values {
    fn extend<I: IntoIterator<Item = f32>>(&mut self, values: I) {
        self.own().extend(values);
    }
}

impl<'a> IntoIterator for &'a Values {
    type Item = &'a f32;
    type IntoIter = std::slice::Iter<'a, f32>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl PartialEq for Values {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Deref for Values {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match &self.0 {
            Memory::Own(values) => values,
            Memory::Runtime(tensor) => slice(tensor),
        }
    }
}

impl DerefMut for Values {
    fn deref_mut(&mut self) -> &mut [f32] {
        match &mut self.0 {
            Memory::Own(values) => values,
            Memory::Runtime(tensor) => {
                let view = tensor.to_plain_array_view_mut::<f32>().ok();
                view.and_then(|view| view.into_slice()).unwrap_or_default()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_the_runtime_read_and_write_like_their_own_and_go_back_uncopied() {
        let value = TValue::from(Tensor::from_shape(&[2, 2], &[1.0f32, 2.0, 3.0, 4.0]).unwrap());
        let at = value.as_bytes().as_ptr();
        let mut values = Values::of(value);
        values[3] = 7.0;
        assert_eq!(values, Values::from(vec![1.0, 2.0, 3.0, 7.0]));
        let copy = values.clone();
        assert_eq!(values.into_runtime().unwrap().as_bytes().as_ptr(), at);
        let mut copy = copy;
        copy.extend([8.0]);
        copy.resize(6, 9.0);
        assert_eq!(*copy, [1.0, 2.0, 3.0, 7.0, 8.0, 9.0]);
        assert!(copy.into_runtime().is_none());
    }
}
