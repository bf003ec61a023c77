//! Writes small ONNX graphs, so that tests can make models whose answers they know.

/// One edge of a shape.
#[derive(Clone, Copy)]
pub(crate) enum D {
    Fixed(i64),
    Named(&'static str),
}

/// An attribute of a node.
pub(crate) enum Attribute {
    Int(i64),
    Ints(Vec<i64>),
    Text(&'static str),
}

/// A graph in the making; names connect nodes.
#[derive(Default)]
pub(crate) struct GraphWriter {
    body: Vec<u8>,
    nodes: usize,
}

impl GraphWriter {
    pub(crate) fn input(&mut self, name: &str, shape: &[D]) {
        message(&mut self.body, 11, &value(name, shape));
    }

    pub(crate) fn output(&mut self, name: &str, shape: &[D]) {
        message(&mut self.body, 12, &value(name, shape));
    }

    pub(crate) fn floats(&mut self, name: &str, shape: &[i64], values: &[f32]) {
        let raw: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        message(&mut self.body, 5, &tensor(name, shape, 1, &raw));
    }

    pub(crate) fn ints(&mut self, name: &str, values: &[i64]) {
        let raw: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        message(&mut self.body, 5, &tensor(name, &[values.len() as i64], 7, &raw));
    }

    pub(crate) fn node(&mut self, op: &str, inputs: &[&str], output: &str, attributes: &[(&str, Attribute)]) {
        let mut node = Vec::new();
        inputs.iter().for_each(|name| message(&mut node, 1, name.as_bytes()));
        message(&mut node, 2, output.as_bytes());
        message(&mut node, 3, format!("{op}_{}", self.nodes).as_bytes());
        message(&mut node, 4, op.as_bytes());
        for (name, attribute) in attributes {
            message(&mut node, 5, &encode_attribute(name, attribute));
        }
        self.nodes += 1;
        message(&mut self.body, 1, &node);
    }

    /// The bytes of the file, opset 17.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        message(&mut self.body, 2, b"test");
        let mut opset = Vec::new();
        number(&mut opset, 2, 17);
        let mut model = Vec::new();
        number(&mut model, 1, 8);
        message(&mut model, 7, &self.body);
        message(&mut model, 8, &opset);
        model
    }
}

fn encode_attribute(name: &str, attribute: &Attribute) -> Vec<u8> {
    let mut out = Vec::new();
    message(&mut out, 1, name.as_bytes());
    let kind = match attribute {
        Attribute::Int(v) => {
            number(&mut out, 3, *v);
            2
        }
        Attribute::Text(v) => {
            message(&mut out, 4, v.as_bytes());
            3
        }
        Attribute::Ints(v) => {
            v.iter().for_each(|&v| number(&mut out, 8, v));
            7
        }
    };
    number(&mut out, 20, kind);
    out
}

fn tensor(name: &str, shape: &[i64], kind: i64, raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    shape.iter().for_each(|&d| number(&mut out, 1, d));
    number(&mut out, 2, kind);
    message(&mut out, 8, name.as_bytes());
    message(&mut out, 9, raw);
    out
}

fn value(name: &str, shape: &[D]) -> Vec<u8> {
    let mut dims = Vec::new();
    for d in shape {
        let mut dim = Vec::new();
        match d {
            D::Fixed(n) => number(&mut dim, 1, *n),
            D::Named(name) => message(&mut dim, 2, name.as_bytes()),
        }
        message(&mut dims, 1, &dim);
    }
    let mut tensor = Vec::new();
    number(&mut tensor, 1, 1);
    message(&mut tensor, 2, &dims);
    let mut kind = Vec::new();
    message(&mut kind, 1, &tensor);
    let mut out = Vec::new();
    message(&mut out, 1, name.as_bytes());
    message(&mut out, 2, &kind);
    out
}

fn varint(out: &mut Vec<u8>, mut v: u64) {
    while v >= 0x80 {
        out.push(v as u8 | 0x80);
        v >>= 7;
    }
    out.push(v as u8);
}

fn number(out: &mut Vec<u8>, field: u64, v: i64) {
    varint(out, field << 3);
    varint(out, v as u64);
}

fn message(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    varint(out, field << 3 | 2);
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}
