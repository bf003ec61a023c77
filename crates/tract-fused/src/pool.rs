//! Tensors that are reused for later results.

use std::sync::Mutex;

use tract_onnx::tract_hir::internal::*;

/// Most tensors that a pool keeps.
const KEPT: usize = 16;

/// Tensors that are no longer read. Operations write their next results into them. Inserted into a state's
/// [`TurnState::shared`], a pool saves the allocation of results in every run.
#[derive(Debug, Default)]
pub struct TensorPool(Mutex<Vec<Tensor>>);

impl TensorPool {
    /// Takes a result back, unless it is still shared.
    pub fn recycle(&self, value: TValue) {
        if let Ok(tensor) = Arc::try_unwrap(value.into_arc_tensor()) {
            self.recycle_tensor(tensor);
        }
    }

    /// Takes a tensor back.
    pub fn recycle_tensor(&self, tensor: Tensor) {
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

/// A tensor for a result; its content is left over from earlier uses.
pub(crate) fn tensor(ctx: &EvalContext, datum_type: DatumType, shape: &[usize]) -> TractResult<Tensor> {
    let pool = ctx.shared.and_then(|shared| shared.get::<TensorPool>());
    match pool.and_then(|pool| pool.take(datum_type, shape)) {
        Some(tensor) => Ok(tensor),
        None => Tensor::zero_dt(datum_type, shape),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tensor_is_reused_and_one_that_is_held_is_not() {
        let pool = TensorPool::default();
        let value = Tensor::zero::<f32>(&[2, 3]).unwrap().into_tvalue();
        pool.recycle(value.clone());
        assert!(pool.take(f32::datum_type(), &[2, 3]).is_none(), "it is held");
        let at = value.as_bytes().as_ptr();
        pool.recycle(value);
        assert!(pool.take(f32::datum_type(), &[3, 2]).is_none());
        assert!(pool.take(u8::datum_type(), &[2, 3]).is_none());
        assert_eq!(pool.take(f32::datum_type(), &[2, 3]).unwrap().as_bytes().as_ptr(), at);
    }
}
