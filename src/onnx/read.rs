//! A graph of few kinds of nodes, with its constants at hand.

use std::collections::BTreeMap;

use prost::Message as _;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::dimension::Value as DimensionValue;
use tract_onnx::pb::type_proto::Value as TypeValue;
use tract_onnx::pb::{ModelProto, NodeProto, TensorProto, ValueInfoProto};

use crate::error::{Error, ErrorKind, Result};

/// A graph's nodes in their order, its constants, inputs and outputs.
#[derive(Debug)]
pub struct Graph {
    /// In an order in which they can be computed, as ONNX demands.
    pub nodes: Vec<Node>,
    /// Names and shapes of what is given; edges that are not fixed are 0.
    pub inputs: Vec<(String, Vec<usize>)>,
    /// Names of what is asked for.
    pub outputs: Vec<String>,
    constants: BTreeMap<String, TensorProto>,
}

/// A node.
#[derive(Debug)]
pub struct Node(NodeProto);

fn refuse(context: String) -> Error {
    Error::new(ErrorKind::Model, context)
}

impl Node {
    /// Its kind.
    pub fn op(&self) -> &str {
        &self.0.op_type
    }

    /// Its name, or that of its result when it has none.
    pub fn name(&self) -> &str {
        if self.0.name.is_empty() { self.result() } else { &self.0.name }
    }

    /// Name of its `i`th input; empty when there is none.
    pub fn input(&self, i: usize) -> &str {
        self.0.input.get(i).map_or("", String::as_str)
    }

    /// Names of its inputs.
    pub fn inputs(&self) -> &[String] {
        &self.0.input
    }

    /// Name of its first output.
    pub fn result(&self) -> &str {
        self.0.output.first().map_or("", String::as_str)
    }

    /// Whole numbers of an attribute, or `otherwise`.
    pub fn ints(&self, name: &str, otherwise: &[i64]) -> Vec<i64> {
        self.0.attribute.iter().find(|a| a.name == name).map_or_else(|| otherwise.to_vec(), |a| a.ints.clone())
    }

    /// A whole number, or `otherwise`.
    pub fn int(&self, name: &str, otherwise: i64) -> i64 {
        self.0.attribute.iter().find(|a| a.name == name).map_or(otherwise, |a| a.i)
    }

    /// A number, or `otherwise`.
    pub fn float(&self, name: &str, otherwise: f32) -> f32 {
        self.0.attribute.iter().find(|a| a.name == name).map_or(otherwise, |a| a.f)
    }

    /// A word, or `otherwise`.
    pub fn text(&self, name: &str, otherwise: &str) -> String {
        let found = self.0.attribute.iter().find(|a| a.name == name);
        found.map_or_else(|| otherwise.to_owned(), |a| String::from_utf8_lossy(&a.s).into_owned())
    }

    /// An error that names the node.
    pub fn refuse(&self, what: impl std::fmt::Display) -> Error {
        refuse(format!("node `{}` ({}): {what}", self.name(), self.op()))
    }
}

impl Graph {
    /// Reads the bytes of a model file.
    ///
    /// # Errors
    /// `Model` when they are no ONNX graph.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let model = ModelProto::decode(bytes)
            .map_err(|e| Error::caused(ErrorKind::Model, "expected an ONNX graph, got other bytes", e))?;
        let graph = model.graph.ok_or_else(|| refuse("expected an ONNX graph, got a file without one".into()))?;
        let mut constants: BTreeMap<String, TensorProto> =
            graph.initializer.into_iter().map(|t| (t.name.clone(), t)).collect();
        let inputs = graph.input.iter().filter(|i| !constants.contains_key(&i.name)).map(shape_of).collect();
        let mut nodes = Vec::new();
        for node in graph.node {
            let value = node.attribute.iter().find(|a| a.name == "value").and_then(|a| a.t.clone());
            match (node.op_type.as_str(), value, node.output.first()) {
                ("Constant", Some(value), Some(name)) => drop(constants.insert(name.clone(), value)),
                _ => nodes.push(Node(node)),
            }
        }
        let outputs = graph.output.into_iter().map(|o| o.name).collect();
        Ok(Self { nodes, inputs, outputs, constants })
    }

    /// Whether a name is that of a constant.
    pub fn is_constant(&self, name: &str) -> bool {
        self.constants.contains_key(name)
    }

    /// Shape of a constant.
    ///
    /// # Errors
    /// `Model` when there is no such constant.
    pub fn shape(&self, name: &str) -> Result<Vec<usize>> {
        Ok(self.constant(name)?.dims.iter().map(|d| usize::try_from(*d).unwrap_or(0)).collect())
    }

    fn constant(&self, name: &str) -> Result<&TensorProto> {
        self.constants.get(name).ok_or_else(|| refuse(format!("`{name}`: expected a constant, got none")))
    }

    fn raw<const N: usize>(&self, name: &str, kinds: &[DataType]) -> Result<Vec<[u8; N]>> {
        let t = self.constant(name)?;
        let count = self.shape(name)?.iter().product::<usize>();
        let is_kind = kinds.iter().any(|k| *k as i32 == t.data_type);
        let (parts, rest) = t.raw_data.as_chunks::<N>();
        if !is_kind || parts.len() != count || !rest.is_empty() {
            let (kind, bytes) = (t.data_type, t.raw_data.len());
            let context =
                format!("`{name}`: expected {count} raw values of {kinds:?}, got {bytes} bytes of type {kind}");
            return Err(refuse(context));
        }
        Ok(parts.to_vec())
    }

    /// A constant's values; those that are not kept raw are read as well.
    ///
    /// # Errors
    /// `Model` when there is no such constant of f32.
    pub fn floats(&self, name: &str) -> Result<Vec<f32>> {
        let t = self.constant(name)?;
        if t.data_type == DataType::Float as i32 && !t.float_data.is_empty() {
            return Ok(t.float_data.clone());
        }
        Ok(self.raw::<4>(name, &[DataType::Float])?.into_iter().map(f32::from_le_bytes).collect())
    }

    /// A constant that is one number.
    ///
    /// # Errors
    /// As [`Self::floats`]; `Model` when it is more than one.
    pub fn float(&self, name: &str) -> Result<f32> {
        match self.floats(name)?[..] {
            [v] => Ok(v),
            ref other => Err(refuse(format!("`{name}`: expected one number, got {}", other.len()))),
        }
    }

    /// A constant of i32 or bytes, as i32.
    ///
    /// # Errors
    /// `Model` when there is no such constant of these kinds.
    pub fn integers(&self, name: &str) -> Result<Vec<i32>> {
        let t = self.constant(name)?;
        if !t.int32_data.is_empty() {
            return Ok(t.int32_data.clone());
        }
        match DataType::try_from(t.data_type) {
            Ok(DataType::Uint8) => {
                Ok(self.raw(name, &[DataType::Uint8])?.iter().map(|b: &[u8; 1]| i32::from(b[0])).collect())
            }
            Ok(DataType::Int8) => {
                Ok(self.raw(name, &[DataType::Int8])?.iter().map(|b: &[u8; 1]| i32::from(b[0] as i8)).collect())
            }
            _ => Ok(self.raw::<4>(name, &[DataType::Int32])?.into_iter().map(i32::from_le_bytes).collect()),
        }
    }

    /// A constant of i64.
    ///
    /// # Errors
    /// `Model` when there is no such constant.
    pub fn longs(&self, name: &str) -> Result<Vec<i64>> {
        let t = self.constant(name)?;
        if !t.int64_data.is_empty() {
            return Ok(t.int64_data.clone());
        }
        Ok(self.raw::<8>(name, &[DataType::Int64])?.into_iter().map(i64::from_le_bytes).collect())
    }

    /// Whether a constant is of unsigned bytes.
    pub fn is_unsigned(&self, name: &str) -> bool {
        self.constants.get(name).is_some_and(|t| t.data_type == DataType::Uint8 as i32)
    }

    /// Whether a constant is of signed bytes.
    pub fn is_signed(&self, name: &str) -> bool {
        self.constants.get(name).is_some_and(|t| t.data_type == DataType::Int8 as i32)
    }
}

fn shape_of(info: &ValueInfoProto) -> (String, Vec<usize>) {
    let shape = info.r#type.as_ref().and_then(|t| match &t.value {
        Some(TypeValue::TensorType(t)) => t.shape.as_ref(),
        _ => None,
    });
    let edge = |value: &Option<DimensionValue>| match value {
        Some(DimensionValue::DimValue(n)) => usize::try_from(*n).unwrap_or(0),
        _ => 0,
    };
    (info.name.clone(), shape.map_or_else(Vec::new, |s| s.dim.iter().map(|d| edge(&d.value)).collect()))
}
