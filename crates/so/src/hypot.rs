//! `hypot` for what is linked in, in place of glibc's, whose version 2.35 would be the newest that the library needs on x86-64: tract's
//! operation Asinh calls it by way of Rust's standard library.
//!
//! The symbols are hidden: a host keeps its own `hypot`, but for a host that links the static library, whose first definition counts.

extern "C" fn hypot(x: f64, y: f64) -> f64 {
    libm::hypot(x, y)
}

extern "C" fn hypotf(x: f32, y: f32) -> f32 {
    libm::hypotf(x, y)
}

std::arch::global_asm!(
    ".weak hypot",
    ".hidden hypot",
    ".type hypot, @function",
    "hypot:",
    "jmp {hypot}",
    ".weak hypotf",
    ".hidden hypotf",
    ".type hypotf, @function",
    "hypotf:",
    "jmp {hypotf}",
    hypot = sym hypot,
    hypotf = sym hypotf,
);

#[cfg(test)]
mod tests {
    use super::{hypot, hypotf};

    #[test]
    fn lengths_are_exact_without_overflow_and_an_infinite_side_outweighs_nan() {
        let (inf, nan, least) = (f64::INFINITY, f64::NAN, f64::from_bits(1));
        let cases = [
            (3.0, -4.0, 5.0),
            (-0.0, 0.0, 0.0),
            (3e300, 4e300, 5e300),
            (least, 0.0, least),
            (f64::MAX, f64::MAX, inf),
            (-inf, nan, inf),
            (nan, inf, inf),
            (nan, 1.0, nan),
        ];
        for (x, y, length) in cases {
            let found = hypot(x, y);
            assert!(found == length || found.is_nan() && length.is_nan(), "{x} {y}: {found}");
            // What is linked in gets the same.
            assert_eq!(x.hypot(y).to_bits() << 1, found.to_bits() << 1, "{x} {y}");
        }
        for (x, y, length) in
            [(3.0, -4.0, 5.0), (3e38, 0.0, 3e38), (3e38, 3e38, f32::INFINITY), (f32::NAN, f32::INFINITY, f32::INFINITY)]
        {
            assert_eq!(hypotf(x, y), length, "{x} {y}");
        }
    }
}
