//! Memory that goes round between an operation and who reads its result.

use std::sync::Mutex;

use tract_onnx::tract_hir::internal::*;

/// Tensors at most that are kept.
const KEPT: usize = 16;

/// Results that nobody reads any more, for operations to write the next ones into. Put into a state's
/// [`TurnState::shared`], it saves what would be allocated at every run.
#[derive(Debug, Default)]
pub struct Spare(Mutex<Vec<Tensor>>);

impl Spare {
    /// Takes a result back; one that somebody else still holds is left alone.
    pub fn give(&self, value: TValue) {
        if let Ok(tensor) = Arc::try_unwrap(value.into_arc_tensor()) {
            self.give_tensor(tensor);
        }
    }

    /// Takes a tensor back.
    pub fn give_tensor(&self, tensor: Tensor) {
        let mut kept = self.0.lock().unwrap_or_else(|e| e.into_inner());
        if kept.len() < KEPT {
            kept.push(tensor);
        }
    }

    fn take(&self, datum_type: DatumType, shape: &[usize]) -> Option<Tensor> {
        let mut kept = self.0.lock().unwrap_or_else(|e| e.into_inner());
        let at = kept.iter().position(|t| t.datum_type() == datum_type && t.shape() == shape)?;
        Some(kept.swap_remove(at))
    }
}

/// A tensor to write a result into; what is in it is left from before.
pub(crate) fn tensor(ctx: &EvalContext, datum_type: DatumType, shape: &[usize]) -> TractResult<Tensor> {
    let spare = ctx.shared.and_then(|shared| shared.get::<Spare>());
    match spare.and_then(|spare| spare.take(datum_type, shape)) {
        Some(tensor) => Ok(tensor),
        None => Tensor::zero_dt(datum_type, shape),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tensor_goes_round_and_one_that_is_held_does_not() {
        let spare = Spare::default();
        let value = Tensor::zero::<f32>(&[2, 3]).unwrap().into_tvalue();
        spare.give(value.clone());
        assert!(spare.take(f32::datum_type(), &[2, 3]).is_none(), "it is held");
        let at = value.as_bytes().as_ptr();
        spare.give(value);
        assert!(spare.take(f32::datum_type(), &[3, 2]).is_none());
        assert!(spare.take(u8::datum_type(), &[2, 3]).is_none());
        assert_eq!(spare.take(f32::datum_type(), &[2, 3]).unwrap().as_bytes().as_ptr(), at);
    }
}
