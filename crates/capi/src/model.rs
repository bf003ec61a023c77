//! Models.

use std::ffi::c_char;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use sonotap::error::Result;
use sonotap::model::files::{MemoryFiles, ModelFiles};
use sonotap::model::manifest::Manifest;
use sonotap::model::predictor::{PredictOptions, Predictor};
use sonotap::model::sam::{LoadOptions, load_files};

use crate::boundary::{Failure, Outcome, call};
use crate::handles::Registry;
use crate::types::*;
use crate::{faults, memory, raw};

/// Most files of a model in memory.
const FILES_MAX: usize = 16;

static MODELS: Registry<Model> = Registry::new("model", 1);

/// Copies of a model's files, and the first session's predictor, which checking has made already.
pub(crate) struct Model {
    files: MemoryFiles,
    pub manifest: Manifest,
    spare: Mutex<Option<Predictor>>,
    predictor_bytes: usize,
}

impl Model {
    fn new(files: MemoryFiles) -> Result<Self> {
        faults::point("model");
        let (loaded, predictor_bytes) = memory::held_by(|| load(&files));
        let (predictor, manifest) = loaded?;
        Ok(Self { files, manifest, spare: Mutex::new(Some(predictor)), predictor_bytes })
    }

    pub(crate) fn of(handle: *const sonotap_model) -> Outcome<Arc<Self>> {
        MODELS.get(handle)
    }

    /// A predictor of its own for a session.
    pub(crate) fn predictor(&self) -> Result<Predictor> {
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).take();
        spare.map_or_else(|| Ok(load(&self.files)?.0), Ok)
    }

    /// Heap of a session's predictor and of the copies of the files.
    pub(crate) fn bytes(&self) -> usize {
        self.predictor_bytes + self.files.bytes()
    }
}

fn load(files: &MemoryFiles) -> Result<(Predictor, Manifest)> {
    let loaded = load_files(ModelFiles::Memory(files), LoadOptions::default())?;
    Ok((Predictor::new(faults::faulty(Box::new(loaded.segmenter)), PredictOptions::default()), loaded.manifest))
}

/// Loads a model from a folder, with all its checks (tens of milliseconds). The files are copied: the folder may go away. [any]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sonotap_model_from_folder(
    utf8_path: *const c_char,
    out: *mut *mut sonotap_model,
) -> sonotap_status {
    call(|| {
        // SAFETY: the host passes a text that ends in NUL.
        let path = unsafe { raw::text("utf8_path", utf8_path) }?
            .ok_or_else(|| Failure::argument("utf8_path: expected a path, got NULL"))?;
        if out.is_null() {
            return Err(Failure::argument("out: expected a place for the model, got NULL"));
        }
        let folder = Path::new(path);
        let model = MemoryFiles::of_folder(folder).and_then(Model::new).map_err(|e| e.within(folder.display()))?;
        // SAFETY: the host's place for one handle.
        unsafe { raw::put(out, MODELS.add(model)?) };
        Ok(SONOTAP_OK)
    })
}

/// Loads a model from memory: the manifest, named "manifest.toml", and the files that it names. They are copied. [any]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sonotap_model_from_memory(
    files: *const sonotap_blob,
    count: usize,
    out: *mut *mut sonotap_model,
) -> sonotap_status {
    call(|| {
        if out.is_null() {
            return Err(Failure::argument("out: expected a place for the model, got NULL"));
        }
        // SAFETY: the host passes `count` of them.
        let blobs = unsafe { raw::list("files", files, count, FILES_MAX) }?;
        let mut copies = MemoryFiles::default();
        for blob in blobs {
            // SAFETY: the host passes a text that ends in NUL.
            let name = unsafe { raw::text("files: name", blob.name) }?
                .ok_or_else(|| Failure::argument("files: expected a name, got NULL"))?;
            // SAFETY: the host has `len` bytes there.
            copies.add(name, unsafe { raw::bytes(name, blob.bytes.cast(), blob.len) }?);
        }
        let model = Model::new(copies)?;
        // SAFETY: the host's place for one handle.
        unsafe { raw::put(out, MODELS.add(model)?) };
        Ok(SONOTAP_OK)
    })
}

/// The model's manifest as JSON: name, licence, intended and excluded use, digests, training data, accuracy. [any]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sonotap_model_describe(
    model: *const sonotap_model,
    json: *mut c_char,
    cap: usize,
    needed: *mut usize,
) -> sonotap_status {
    call(|| {
        let model = Model::of(model)?;
        let manifest = Manifest { self_test: None, ..model.manifest.clone() };
        let mut described = serde_json::to_value(manifest)
            .map_err(|e| Failure::new(SONOTAP_E_MODEL, format!("manifest: cannot be written as JSON: {e}")))?;
        described["bytes_per_session"] = model.bytes().into();
        // SAFETY: the host has `cap` bytes at `json` and one number at `needed`.
        unsafe { raw::write_text(&described.to_string(), json, cap, needed) }
    })
}

/// Lets go of a model. Sessions that use it keep it. [any]
#[unsafe(no_mangle)]
pub extern "C" fn sonotap_model_free(model: *mut sonotap_model) -> sonotap_status {
    call(|| {
        drop(MODELS.remove(model)?);
        Ok(SONOTAP_OK)
    })
}
