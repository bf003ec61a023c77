//! Packs the external data of an ONNX file into the file.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Component, Path};

use prost::Message as _;
use tract_onnx::pb::tensor_proto::DataLocation;
use tract_onnx::pb::{ModelProto, NodeProto, TensorProto};

use crate::error::{Error, ErrorKind, Result};

/// Largest size of a file, and of all external data, bytes.
const BYTES_MAX: u64 = 2 << 30;

/// An ONNX file with all its data.
pub struct Packed {
    model: ModelProto,
    /// Whether it had external data.
    pub was_external: bool,
}

impl Packed {
    /// Reads a file, and the files beside it that its tensors name.
    ///
    /// # Errors
    /// `Io` when a file cannot be read; `Model` when it is not an ONNX graph, or refers to data outside its folder.
    pub fn read(path: &Path) -> Result<Self> {
        let place = path.display();
        let bytes = read_range(path, 0, None)?;
        let mut model = ModelProto::decode(&*bytes).map_err(|e| {
            Error::caused(ErrorKind::Model, format!("{place}: expected an ONNX graph, got other bytes"), e)
        })?;
        let folder = path.parent().unwrap_or(Path::new("."));
        let (mut was_external, mut total) = (false, 0);
        let graph = model.graph.as_mut();
        let graph = graph.ok_or_else(|| {
            Error::new(ErrorKind::Model, format!("{place}: expected a graph, got a file without one"))
        })?;
        for tensor in graph.initializer.iter_mut().chain(graph.node.iter_mut().flat_map(constants)) {
            if tensor.data_location == Some(DataLocation::External as i32) {
                take_in(folder, tensor, &mut total).map_err(|e| e.within(&place))?;
                was_external = true;
            }
        }
        Ok(Self { model, was_external })
    }

    /// The bytes of a self-contained file.
    pub fn bytes(&self) -> Vec<u8> {
        self.model.encode_to_vec()
    }

    /// Operator types of the nodes.
    pub fn kinds(&self) -> impl Iterator<Item = &str> {
        self.model.graph.iter().flat_map(|g| &g.node).map(|n| n.op_type.as_str())
    }

    /// Data types of constants, ONNX numbers.
    pub fn constant_types(&self) -> impl Iterator<Item = i32> {
        self.model.graph.iter().flat_map(|g| &g.initializer).map(|t| t.data_type)
    }

    /// Names of the outputs.
    pub fn outputs(&self) -> Vec<String> {
        self.model.graph.iter().flat_map(|g| &g.output).map(|o| o.name.clone()).collect()
    }

    /// Names and shapes of the inputs that are not constants; symbolic dimensions are `None`.
    pub fn inputs(&self) -> Vec<(String, Vec<Option<usize>>)> {
        use tract_onnx::pb::tensor_shape_proto::dimension::Value as Edge;
        use tract_onnx::pb::type_proto::Value as Type;
        let Some(graph) = &self.model.graph else { return Vec::new() };
        let is_constant = |name: &str| graph.initializer.iter().any(|t| t.name == name);
        let given = graph.input.iter().filter(|i| !is_constant(&i.name));
        given
            .map(|i| {
                let shape = i.r#type.as_ref().and_then(|t| match &t.value {
                    Some(Type::TensorType(t)) => t.shape.as_ref(),
                    _ => None,
                });
                let edge = |value: &Option<Edge>| match value {
                    Some(Edge::DimValue(n)) => usize::try_from(*n).ok().filter(|n| *n > 0),
                    _ => None,
                };
                (i.name.clone(), shape.map_or_else(Vec::new, |s| s.dim.iter().map(|d| edge(&d.value)).collect()))
            })
            .collect()
    }
}

fn constants(node: &mut NodeProto) -> impl Iterator<Item = &mut TensorProto> {
    node.attribute.iter_mut().filter_map(|a| a.t.as_mut())
}

fn take_in(folder: &Path, tensor: &mut TensorProto, total: &mut u64) -> Result<()> {
    let entry = |key: &str| tensor.external_data.iter().find(|e| e.key == key).map(|e| e.value.clone());
    let location = entry("location").unwrap_or_default();
    let number = |key: &str| -> Result<Option<u64>> {
        let parsed = entry(key).map(|v| v.parse().map_err(|_| (key, v)));
        parsed.transpose().map_err(|(key, v)| {
            Error::new(
                ErrorKind::Model,
                format!("`{}`: expected a number as {key} of its data, got {v:?}", tensor.name),
            )
        })
    };
    let (offset, length) = (number("offset")?.unwrap_or(0), number("length")?);
    let parts = Path::new(&location).components();
    if location.is_empty() || !parts.clone().all(|c| matches!(c, Component::Normal(_) | Component::CurDir)) {
        let name = &tensor.name;
        let what = format!("`{name}`: expected its data in a file beside the graph, got {location:?}");
        return Err(Error::new(ErrorKind::Model, what));
    }
    let bytes = read_range(&folder.join(&location), offset, length)?;
    *total += bytes.len() as u64;
    if *total > BYTES_MAX {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!("expected at most {BYTES_MAX} bytes of data, got more"),
        ));
    }
    tensor.raw_data = bytes;
    tensor.external_data.clear();
    tensor.data_location = None;
    Ok(())
}

/// Reads a part of a file, up to its end if there is no length.
fn read_range(path: &Path, offset: u64, length: Option<u64>) -> Result<Vec<u8>> {
    let place = path.display();
    let failed = |e: std::io::Error| Error::caused(ErrorKind::Io, format!("{place}: cannot be read: {e}"), e);
    let mut file = File::open(path).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    let wanted = length.unwrap_or(size.saturating_sub(offset));
    if wanted > BYTES_MAX || offset.checked_add(wanted).is_none_or(|end| end > size) {
        let what = format!("{place}: expected {wanted} bytes from {offset} on, got a file of {size}");
        return Err(Error::new(ErrorKind::Model, what));
    }
    file.seek(SeekFrom::Start(offset)).map_err(failed)?;
    let mut bytes = Vec::with_capacity(wanted as usize);
    file.take(wanted).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}
