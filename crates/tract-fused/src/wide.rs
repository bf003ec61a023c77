//! Loops compiled for the widest vectors of the processor.

/// Runs a closure compiled for the widest vectors of the processor.
///
/// The closure, and every function with a loop that it calls, must be marked `#[inline(always)]`. Code that is not inlined
/// into the wide copy is compiled for the narrowest processor, without a warning. The closure must also consume its captures
/// (`move`, and rebind a mutable buffer inside): a closure that could be called again is reached through a shim compiled for
/// the narrowest processor.
#[inline(always)]
pub fn wide<R>(run: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(run)
}
