//! The neighbourhoods of an image's pixels as rows, so that a full convolution of few channels is a matrix product.

use super::Depthwise;

/// Rows of `kernel * kernel * channels` values, tap by tap in row order, one for each output place; beyond the image 0.
///
/// Shape: `x` [B, H, W, C] flat; result [B * H / stride * W / stride, kernel^2 * C]. Padding as [`Depthwise::before`] has it.
pub fn patches(x: &[f32], [height, width, channels]: [usize; 3], how: Depthwise) -> Vec<f32> {
    let (oh, ow) = (how.result(height), how.result(width));
    let images = x.len() / (height * width * channels);
    let row = how.kernel * how.kernel * channels;
    let mut out = vec![0.0; images * oh * ow * row];
    for (i, out) in out.chunks_exact_mut(row).enumerate() {
        let (image, oy, ox) = (i / (oh * ow), i / ow % oh, i % ow);
        for (ty, y) in how.taps(oy, height) {
            for (tx, xx) in how.taps(ox, width) {
                let from = ((image * height + y) * width + xx) * channels;
                out[(ty * how.kernel + tx) * channels..][..channels].copy_from_slice(&x[from..from + channels]);
            }
        }
    }
    out
}
