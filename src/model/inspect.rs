//! Reports the operations of a model's graphs, their multiply-accumulates, and the kernels that compute them.

use std::collections::BTreeMap;
use std::path::Path;

use tract_fused::{Int8Region, MaskDecoder};
use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::konst::Const;
use tract_onnx::tract_core::ops::source::TypedSource;
use tract_onnx::tract_hir::internal::{Cost, SymbolValues};

use super::graph::Graph;
use super::manifest::Kind;
use super::sam::{self, LoadOptions};
use crate::error::Result;

/// Number of points for which a decode is counted: one click and its padding.
const POINTS: i64 = 2;

/// Operations of one kind.
#[derive(Clone, Debug, PartialEq)]
pub struct OperationReport {
    /// The operation's name in tract.
    pub operation: String,
    /// Number of nodes.
    pub count: usize,
    /// Multiply-accumulates of all of them in one run.
    pub macs: u64,
    /// Name of the kernels that compute them, or `tract`.
    pub kernels: String,
    /// The layers that a fused operation replaces.
    pub what: String,
}

/// One graph.
#[derive(Clone, Debug, PartialEq)]
pub struct GraphReport {
    /// Its file.
    pub file: String,
    /// Operations, by decreasing multiply-accumulates.
    pub operations: Vec<OperationReport>,
    /// Multiply-accumulates of one run.
    pub macs: u64,
    /// The number of them that are integer.
    pub integer_macs: u64,
}

impl GraphReport {
    /// The share of integer multiply-accumulates, 0..=1.
    pub fn integer_share(&self) -> f64 {
        if self.macs == 0 { 0.0 } else { self.integer_macs as f64 / self.macs as f64 }
    }
}

/// A model folder.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelReport {
    /// The manifest's name.
    pub name: String,
    /// The graphs' contract.
    pub kind: Kind,
    /// The encoder, the decoder, and the graph that proposes if there is one.
    pub graphs: Vec<GraphReport>,
}

/// Loads a model folder without its self-test, and reports its operations.
///
/// # Errors
/// Those of [`sam::load_with`].
pub fn inspect(folder: &Path) -> Result<ModelReport> {
    let loaded = sam::load_with(folder, LoadOptions { skip_self_test: true, ..LoadOptions::default() })?;
    let graphs = loaded.segmenter.graphs().map(graph_report).collect();
    Ok(ModelReport { name: loaded.manifest.name, kind: loaded.manifest.kind, graphs })
}

fn graph_report(graph: &Graph) -> GraphReport {
    let model = graph.model();
    let mut symbols = SymbolValues::default();
    model.symbols.all_symbols().iter().for_each(|s| symbols.set(s, POINTS));
    let mut by_kind: BTreeMap<(String, String, String), (usize, u64)> = BTreeMap::new();
    let (mut macs, mut integer_macs) = (0, 0);
    for node in model.nodes().iter().filter(|n| !n.op_is::<Const>() && !n.op_is::<TypedSource>()) {
        let inputs = model.node_input_facts(node.id).unwrap_or_default();
        let mut of_node = 0;
        for (cost, count) in node.op.cost(&inputs).unwrap_or_default() {
            let Cost::FMA(datum_type) = cost else { continue };
            let count = u64::try_from(count.eval(&symbols).to_i64().unwrap_or(0)).unwrap_or(0);
            of_node += count;
            if !datum_type.is_float() {
                integer_macs += count;
            }
        }
        macs += of_node;
        let (kernels, what) = described(node);
        let kind = by_kind.entry((node.op.name().into_owned(), kernels, what)).or_default();
        *kind = (kind.0 + 1, kind.1 + of_node);
    }
    let operation =
        |((operation, kernels, what), (count, macs))| OperationReport { operation, count, macs, kernels, what };
    let mut operations: Vec<OperationReport> = by_kind.into_iter().map(operation).collect();
    operations.sort_by(|a, b| b.macs.cmp(&a.macs).then_with(|| a.operation.cmp(&b.operation)));
    GraphReport { file: graph.file.clone(), operations, macs, integer_macs }
}

fn described(node: &TypedNode) -> (String, String) {
    use tract_fused::network::Layer;
    if let Some(region) = node.op_as::<Int8Region>() {
        let layers = &region.network().layers;
        let count = |is_it: fn(&Layer<_>) -> bool| layers.iter().filter(|l| is_it(l)).count();
        let counts = [
            ("full convolutions", count(|l| matches!(l, Layer::Conv(c) if !c.is_depthwise))),
            ("depthwise convolutions", count(|l| matches!(l, Layer::Conv(c) if c.is_depthwise))),
            ("sums", count(|l| matches!(l, Layer::Add { .. } | Layer::UpAdd { .. }))),
            ("resizes", count(|l| matches!(l, Layer::Upsample { .. }))),
            ("max pools", count(|l| matches!(l, Layer::MaxPool { .. }))),
            ("lookups", count(|l| matches!(l, Layer::Lookup { .. }))),
        ];
        let counts: Vec<String> =
            counts.iter().filter(|(_, n)| *n > 0).map(|(what, n)| format!("{n} {what}")).collect();
        let kernels = region.plan().map_or_else(|| "definition".into(), |p| format!("int8 {}", p.kernels()));
        return (kernels, format!("{}: {}", node.name, counts.join(", ")));
    }
    if node.op_is::<MaskDecoder>() {
        return ("f32 vectors".into(), "SAM's two-way mask decoder".into());
    }
    ("tract".into(), String::new())
}
