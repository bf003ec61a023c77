//! Files of tensors (safetensors): a run to go on with, or averaged weights alone in half precision.
//!
//! A file is written beside the old one and put in its place when it is whole: a full disk or a lost power keeps the last
//! good one.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use half::f16;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use super::net::Tensors;
use super::net::parameters::{Group, Matrix, Parameters, host, place};
use super::optimizer::Optimizer;
use sonotap::durable;
use sonotap::error::{Error, ErrorKind, Result};

/// How numbers are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// As they are.
    Single,
    /// 16 bits: for weights to begin from, half as large.
    Half,
}

/// Text that belongs to the tensors.
pub type Notes = HashMap<String, String>;

/// Writes tensors.
///
/// # Errors
/// `Io`; then what was there before is still there.
pub fn save(path: &Path, tensors: &Tensors, notes: Notes, precision: Precision) -> Result<()> {
    let (dtype, bytes): (Dtype, fn(f32) -> Vec<u8>) = match precision {
        Precision::Single => (Dtype::F32, |v| v.to_le_bytes().to_vec()),
        Precision::Half => (Dtype::F16, |v| f16::from_f32(v).to_le_bytes().to_vec()),
    };
    let encoded: Vec<(&String, Vec<usize>, Vec<u8>)> = tensors
        .iter()
        .map(|(name, m)| (name, m.shape.to_vec(), m.values.iter().flat_map(|v| bytes(*v)).collect()))
        .collect();
    let cannot = |what: String| Error::new(ErrorKind::Io, format!("{}: cannot be written: {what}", path.display()));
    let views = encoded.iter().map(|(name, shape, bytes)| {
        TensorView::new(dtype, shape.clone(), bytes)
            .map(|view| (name.as_str(), view))
            .map_err(|e| cannot(e.to_string()))
    });
    let views: Vec<_> = views.collect::<Result<_>>()?;
    let whole = safetensors::serialize(views, Some(notes)).map_err(|e| cannot(e.to_string()))?;
    durable::write(path, &whole)
}

/// Where a run's folder has what `--resume` needs.
///
/// # Errors
/// `Argument` when it is there and the run is to begin, or is not there and it is to go on.
pub fn of_folder(folder: &Path, is_resumed: bool) -> Result<PathBuf> {
    let path = folder.join("checkpoint.safetensors");
    if path.is_file() == is_resumed {
        return Ok(path);
    }
    let what = if is_resumed { "a checkpoint to go on from, got none" } else { "no run there, or --resume; got one" };
    Err(Error::new(ErrorKind::Argument, format!("{}: expected {what}", path.display())))
}

/// Reads tensors of rank 2, or lower or higher ones as [first edge, the rest].
///
/// # Errors
/// `Io` when the file cannot be read, `Format` when it is not such a file.
pub fn load(path: &Path) -> Result<(Tensors, Notes)> {
    let place = path.display();
    let bytes = std::fs::read(path).map_err(|e| Error::new(ErrorKind::Io, format!("{place}: {e}")))?;
    let wrong = |what: String| Error::new(ErrorKind::Format, format!("{place}: {what}"));
    let file = SafeTensors::deserialize(&bytes).map_err(|e| wrong(format!("expected safetensors: {e}")))?;
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|e| wrong(e.to_string()))?;
    let mut tensors = BTreeMap::new();
    for (name, view) in file.tensors() {
        let values: Vec<f32> = match view.dtype() {
            Dtype::F32 => view.data().as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
            Dtype::F16 => view.data().as_chunks().0.iter().map(|b| f16::from_le_bytes(*b).to_f32()).collect(),
            other => return Err(wrong(format!("tensor `{name}`: expected F32 or F16, got {other:?}"))),
        };
        let rows = if view.shape().len() < 2 { 1 } else { view.shape()[0] };
        let shape = [rows, values.len() / rows.max(1)];
        tensors.insert(name, Matrix { shape, values });
    }
    Ok((tensors, header.metadata().clone().unwrap_or_default()))
}

/// All numbers of a run.
pub fn of_run(parameters: &Parameters, optimizer: &Optimizer) -> Tensors {
    let mut all = Tensors::new();
    for (i, p) in parameters.iter().enumerate() {
        all.insert(format!("weight.{}", p.name), host(&p.value));
        if p.group != Group::Constant {
            all.insert(format!("average.{}", p.name), host(&optimizer.average[i]));
            all.insert(format!("first.{}", p.name), host(&optimizer.first[i]));
            all.insert(format!("second.{}", p.name), host(&optimizer.second[i]));
        }
    }
    all
}

/// Takes up a run where it was; how many steps it had is for the caller to say.
///
/// # Errors
/// `Format` when a tensor is absent or of another shape.
pub fn restore(all: &Tensors, parameters: &mut Parameters, device: &Device) -> Result<Optimizer> {
    let part = |kind: &str| -> Tensors {
        let named = all.iter().filter_map(|(name, m)| Some((name.strip_prefix(kind)?.to_owned(), m.clone())));
        named.collect()
    };
    parameters.load(&part("weight."), device, |_| false)?;
    let mut optimizer = Optimizer::new(parameters);
    let plain = device.clone().inner();
    for (kind, list) in
        [("average.", &mut optimizer.average), ("first.", &mut optimizer.first), ("second.", &mut optimizer.second)]
    {
        let found = part(kind);
        for (slot, p) in list.iter_mut().zip(parameters.iter()).filter(|(_, p)| p.group != Group::Constant) {
            let m = found.get(&p.name).filter(|m| m.shape == slot.dims()).ok_or_else(|| {
                let context = format!("checkpoint: expected a tensor `{kind}{}` of {:?}", p.name, slot.dims());
                Error::new(ErrorKind::Format, context)
            })?;
            *slot = place(m, Group::Constant, &plain);
        }
    }
    Ok(optimizer)
}

/// Averaged weights alone: what a later run begins from, and what is exported.
pub fn averaged(parameters: &Parameters, optimizer: &Optimizer) -> Tensors {
    optimizer.averaged(parameters).to_host()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Tensors {
        let m = |seed: f32| Matrix { shape: [2, 3], values: (0..6).map(|i| seed + i as f32 * 0.37).collect() };
        Tensors::from([("a".into(), m(0.1)), ("b.c".into(), m(-7.0))])
    }

    #[test]
    fn tensors_and_notes_come_back_as_they_were() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.safetensors");
        let notes = Notes::from([("step".into(), "12".into())]);
        save(&path, &some(), notes.clone(), Precision::Single).unwrap();
        assert_eq!(load(&path).unwrap(), (some(), notes));
        save(&path, &some(), Notes::new(), Precision::Half).unwrap();
        for (name, m) in load(&path).unwrap().0 {
            m.values.iter().zip(&some()[&name].values).for_each(|(a, b)| assert!((a - b).abs() < 4e-3));
        }
    }

    #[test]
    fn a_file_that_cannot_be_written_leaves_the_last_good_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.safetensors");
        save(&path, &some(), Notes::new(), Precision::Single).unwrap();
        // What is written first cannot be: a folder has its name.
        std::fs::create_dir(sonotap::durable::part_of(&path)).unwrap();
        let error = save(&path, &Tensors::new(), Notes::new(), Precision::Single).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io);
        assert_eq!(load(&path).unwrap().0, some());
    }

    #[test]
    fn a_file_that_was_cut_off_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.safetensors");
        save(&path, &some(), Notes::new(), Precision::Single).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 5]).unwrap();
        let error = load(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Format);
        assert!(error.to_string().contains("x.safetensors"), "{error}");
    }
}
