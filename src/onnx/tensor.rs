//! Names and shapes of tensors.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One dimension of a tensor.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(untagged)]
pub enum Dim {
    /// Fixed.
    Fixed(usize),
    /// The number of points, written "N".
    Named(String),
}

/// Name and shape of a graph's input or output, f32.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TensorSpec {
    /// Name in the graph.
    pub name: String,
    /// Shape, outermost dimension first.
    pub shape: Vec<Dim>,
}

impl TensorSpec {
    /// The fixed size of `axis`; `None` for "N" and for axes that do not exist.
    pub fn fixed(&self, axis: usize) -> Option<usize> {
        match self.shape.get(axis) {
            Some(Dim::Fixed(n)) => Some(*n),
            _ => None,
        }
    }
}

impl fmt::Display for TensorSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, d) in self.shape.iter().enumerate() {
            let x = if i == 0 { "" } else { "x" };
            match d {
                Dim::Fixed(n) => write!(f, "{x}{n}")?,
                Dim::Named(name) => write!(f, "{x}{name}")?,
            }
        }
        Ok(())
    }
}
