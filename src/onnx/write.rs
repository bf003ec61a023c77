//! ONNX graphs, node by node (opset 17).
//!
//! Images are NCHW, as runtimes expect; weights are converted from the trainer's channels-last form.

use prost::Message as _;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension::Value};
use tract_onnx::pb::type_proto::{self, Value as TypeValue};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto,
    ValueInfoProto, tensor_proto::DataType,
};

use super::{Dim, TensorSpec};

/// A graph under construction.
#[derive(Default)]
pub struct Graph {
    nodes: Vec<NodeProto>,
    constants: Vec<TensorProto>,
}

/// An attribute of a node.
pub enum Attribute {
    /// An integer.
    Int(i64),
    /// Integers.
    Ints(Vec<i64>),
    /// A float.
    Float(f32),
    /// A string.
    Text(&'static str),
}

/// Signedness of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bytes {
    /// -128..=127.
    Signed,
    /// 0..=255.
    Unsigned,
}

impl Graph {
    /// A constant of f32.
    pub fn floats(&mut self, name: &str, shape: &[usize], values: &[f32]) -> String {
        let raw_data = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.constant(name, shape, DataType::Float, raw_data)
    }

    /// A constant of i64.
    pub fn ints(&mut self, name: &str, values: &[i64]) -> String {
        let raw_data = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.constant(name, &[values.len()], DataType::Int64, raw_data)
    }

    /// A constant of signed or unsigned bytes.
    pub fn bytes(&mut self, name: &str, shape: &[usize], kind: Bytes, values: Vec<u8>) -> String {
        let kind = if kind == Bytes::Signed { DataType::Int8 } else { DataType::Uint8 };
        self.constant(name, shape, kind, values)
    }

    /// A constant of i32.
    pub fn integers(&mut self, name: &str, shape: &[usize], values: &[i32]) -> String {
        let raw_data = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.constant(name, shape, DataType::Int32, raw_data)
    }

    fn constant(&mut self, name: &str, shape: &[usize], data_type: DataType, raw_data: Vec<u8>) -> String {
        if !self.constants.iter().any(|c| c.name == name) {
            self.constants.push(TensorProto {
                name: name.to_owned(),
                dims: shape.iter().map(|d| *d as i64).collect(),
                data_type: data_type as i32,
                raw_data,
                ..TensorProto::default()
            });
        }
        name.to_owned()
    }

    /// A node with one output, which has the node's name.
    pub fn node(&mut self, op: &str, name: &str, inputs: &[&str], attributes: Vec<(&str, Attribute)>) -> String {
        let attribute = attributes.into_iter().map(|(name, a)| {
            let mut proto = AttributeProto { name: name.to_owned(), ..AttributeProto::default() };
            match a {
                Attribute::Int(i) => (proto.i, proto.r#type) = (i, AttributeType::Int as i32),
                Attribute::Ints(v) => (proto.ints, proto.r#type) = (v, AttributeType::Ints as i32),
                Attribute::Float(f) => (proto.f, proto.r#type) = (f, AttributeType::Float as i32),
                Attribute::Text(t) => (proto.s, proto.r#type) = (t.as_bytes().to_vec(), AttributeType::String as i32),
            }
            proto
        });
        self.nodes.push(NodeProto {
            op_type: op.to_owned(),
            name: name.to_owned(),
            input: inputs.iter().map(|s| (*s).to_owned()).collect(),
            output: vec![name.to_owned()],
            attribute: attribute.collect(),
            ..NodeProto::default()
        });
        name.to_owned()
    }

    /// The serialized model.
    pub fn finish(self, name: &str, inputs: &[TensorSpec], outputs: &[TensorSpec]) -> Vec<u8> {
        let info = |tensors: &[TensorSpec]| tensors.iter().map(info).collect();
        let model = ModelProto {
            ir_version: 8,
            opset_import: vec![OperatorSetIdProto { domain: String::new(), version: 17 }],
            producer_name: "sonotap".into(),
            producer_version: env!("CARGO_PKG_VERSION").into(),
            graph: Some(GraphProto {
                name: name.to_owned(),
                node: self.nodes,
                initializer: self.constants,
                input: info(inputs),
                output: info(outputs),
                ..GraphProto::default()
            }),
            ..ModelProto::default()
        };
        model.encode_to_vec()
    }
}

fn info(t: &TensorSpec) -> ValueInfoProto {
    let dim = t.shape.iter().map(|d| Dimension {
        value: Some(match d {
            Dim::Fixed(n) => Value::DimValue(*n as i64),
            Dim::Named(name) => Value::DimParam(name.clone()),
        }),
        ..Dimension::default()
    });
    let tensor =
        type_proto::Tensor { elem_type: DataType::Float as i32, shape: Some(TensorShapeProto { dim: dim.collect() }) };
    let r#type = TypeProto { value: Some(TypeValue::TensorType(tensor)), ..TypeProto::default() };
    ValueInfoProto { name: t.name.clone(), r#type: Some(r#type), ..ValueInfoProto::default() }
}
