//! A logarithm that runs wide: plain arithmetic, no branches, no calls.

pub(super) use tract_fused::fast_math::exp;

/// ln(1 + u) for u in 0..=1, absolute error under 2e-7.
#[inline(always)]
pub(super) fn ln_1p(u: f32) -> f32 {
    let s = u / (2.0 + u);
    let q = s * s;
    let p = 1.0 / 13.0;
    let p = p * q + 1.0 / 11.0;
    let p = p * q + 1.0 / 9.0;
    let p = p * q + 1.0 / 7.0;
    let p = p * q + 1.0 / 5.0;
    let p = p * q + 1.0 / 3.0;
    let p = p * q + 1.0;
    2.0 * s * p
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logarithm_is_that_of_the_standard_library() {
        for i in 0..=10_000 {
            let u = i as f32 / 10_000.0;
            assert!((f64::from(ln_1p(u)) - f64::from(u).ln_1p()).abs() < 2e-7, "{u}");
        }
    }
}
