//! A network's learned numbers, by name, all of rank 2: matrices [inputs, outputs], taps [kernel^2, channels], rows [1, n].

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor, TensorData};
use rand::Rng;

use crate::train::picture::normal;
use sonotap::error::{Error, ErrorKind, Result};

/// Which learning rate a parameter follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// The image encoder, which begins from ImageNet weights.
    Encoder,
    /// All else.
    Rest,
    /// The head that proposes, which is new where the others are trained.
    Proposal,
    /// Not learned.
    Constant,
}

impl Group {
    /// Whether it is learned where the encoder may be frozen.
    pub fn is_learned(self, freezes_encoder: bool) -> bool {
        self != Self::Constant && !(freezes_encoder && self == Self::Encoder)
    }
}

/// A handle of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Id(usize);

/// A named matrix on the host.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    /// Rows, columns.
    pub shape: [usize; 2],
    /// Row-major.
    pub values: Vec<f32>,
}

/// One parameter.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Dotted path, as in the checkpoint.
    pub name: String,
    /// Its learning rate.
    pub group: Group,
    /// Its value; on tape while learning.
    pub value: Tensor<2>,
}

/// All parameters of a network, in a fixed order.
#[derive(Clone, Debug, Default)]
pub struct Parameters {
    all: Vec<Parameter>,
}

impl Parameters {
    /// The value of one.
    pub fn get(&self, id: Id) -> Tensor<2> {
        self.all[id.0].value.clone()
    }

    /// The name of one.
    pub fn name(&self, id: Id) -> &str {
        &self.all[id.0].name
    }

    /// Replaces the value of one by another of its shape.
    pub fn set(&mut self, id: Id, m: &Matrix, device: &Device) {
        let p = &mut self.all[id.0];
        p.value = place(m, p.group, device);
    }

    /// All, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Parameter> {
        self.all.iter()
    }

    /// Replaces each value by a function of its place and itself.
    pub fn update(&mut self, mut f: impl FnMut(usize, &Parameter) -> Tensor<2>) {
        for i in 0..self.all.len() {
            self.all[i].value = f(i, &self.all[i]);
        }
    }

    /// Puts on tape what is learned, and takes off it what is not: no gradient is computed for that.
    pub fn learn_only(&mut self, learned: impl Fn(Group) -> bool) {
        self.update(|_, p| {
            let value = p.value.clone().inner_if_on_tape();
            let value = Tensor::from_inner(value);
            if p.group != Group::Constant && learned(p.group) { value.require_grad() } else { value }
        });
    }

    /// Learned numbers.
    pub fn count(&self) -> usize {
        let learned = self.all.iter().filter(|p| p.group != Group::Constant);
        learned.map(|p| p.value.dims().iter().product::<usize>()).sum()
    }

    /// All values on the host, by name.
    pub fn to_host(&self) -> BTreeMap<String, Matrix> {
        self.all.iter().map(|p| (p.name.clone(), host(&p.value))).collect()
    }

    /// Takes the values of the same names; `missing` says which names may be absent and then keep their value.
    ///
    /// # Errors
    /// `Format` when a name is absent or a shape differs.
    pub fn load(
        &mut self,
        from: &BTreeMap<String, Matrix>,
        device: &Device,
        may_lack: impl Fn(&str) -> bool,
    ) -> Result<()> {
        for p in &mut self.all {
            let Some(m) = from.get(&p.name) else {
                if may_lack(&p.name) {
                    continue;
                }
                return Err(Error::new(
                    ErrorKind::Format,
                    format!("checkpoint: expected a tensor `{}`, got none", p.name),
                ));
            };
            let (expected, got) = (p.value.dims(), m.shape);
            if expected != got {
                let context = format!("checkpoint: tensor `{}`: expected {expected:?}, got {got:?}", p.name);
                return Err(Error::new(ErrorKind::Format, context));
            }
            p.value = place(m, p.group, device);
        }
        Ok(())
    }
}

/// The values of a tensor on the host.
pub fn host(t: &Tensor<2>) -> Matrix {
    let data = t.clone().inner_if_on_tape().into_data();
    Matrix { shape: t.dims(), values: data.try_to_vec().unwrap_or_default() }
}

/// Takes a tensor off the tape when it is on one.
pub trait OffTape {
    /// The same values, without history.
    fn inner_if_on_tape(self) -> Self;
}

impl<const D: usize> OffTape for Tensor<D> {
    fn inner_if_on_tape(self) -> Self {
        if self.is_autodiff() { self.inner() } else { self }
    }
}

/// A matrix as a tensor; on tape where it is learned.
pub fn place(m: &Matrix, group: Group, device: &Device) -> Tensor<2> {
    let tensor = Tensor::from_data(TensorData::new(m.values.clone(), m.shape), device);
    if device.is_autodiff() && group != Group::Constant { tensor.require_grad() } else { tensor }
}

/// Makes parameters, each with its name and first values.
pub struct Builder<'a, R> {
    parameters: Parameters,
    prefix: Vec<String>,
    group: Group,
    device: &'a Device,
    rng: &'a mut R,
}

impl<'a, R: Rng> Builder<'a, R> {
    /// Nothing yet.
    pub fn new(device: &'a Device, rng: &'a mut R) -> Self {
        Self { parameters: Parameters::default(), prefix: Vec::new(), group: Group::Rest, device, rng }
    }

    /// Names made within `f` begin with `part`.
    pub fn within<T>(&mut self, part: impl Into<String>, f: impl FnOnce(&mut Self) -> T) -> T {
        self.prefix.push(part.into());
        let made = f(self);
        self.prefix.pop();
        made
    }

    /// Parameters made within `f` follow this group's learning rate.
    pub fn grouped<T>(&mut self, group: Group, f: impl FnOnce(&mut Self) -> T) -> T {
        let before = std::mem::replace(&mut self.group, group);
        let made = f(self);
        self.group = before;
        made
    }

    /// Normal values of this standard deviation.
    pub fn normal(&mut self, name: &str, shape: [usize; 2], sd: f32) -> Id {
        let values = (0..shape[0] * shape[1]).map(|_| sd * normal(self.rng)).collect();
        self.push(name, Matrix { shape, values })
    }

    /// One value everywhere.
    pub fn filled(&mut self, name: &str, shape: [usize; 2], value: f32) -> Id {
        self.push(name, Matrix { shape, values: vec![value; shape[0] * shape[1]] })
    }

    fn push(&mut self, name: &str, m: Matrix) -> Id {
        let name = self.prefix.iter().map(String::as_str).chain([name]).collect::<Vec<_>>().join(".");
        let value = place(&m, self.group, self.device);
        self.parameters.all.push(Parameter { name, group: self.group, value });
        Id(self.parameters.all.len() - 1)
    }

    /// What was made.
    pub fn finish(self) -> Parameters {
        self.parameters
    }
}
