//! Loops compiled for the vectors that the processor has.

/// Runs a function compiled for the widest vectors that the processor has.
///
/// `#[inline(always)]` must stand before the closure, and before whatever loops it calls: what is not inlined into the copy for a
/// wide processor is compiled for the narrowest, and nothing says so. The closure must also consume what it captured (`move`, and
/// a buffer taken out of it): one that could be called again is reached through a shim that is compiled for the narrowest.
#[inline(always)]
pub fn wide<R>(run: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(run)
}
