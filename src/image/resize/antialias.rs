//! Bilinear resizing with anti-aliasing, as Pillow's `Image.resize(size, BILINEAR)`.
//!
//! Each output sample is a weighted mean under a triangle. Enlarging, the triangle reaches one
//! input sample to each side (plain bilinear interpolation); shrinking, it widens by the scale, so
//! every input sample counts. Weights are in 22-bit fixed point; the row pass comes first and its
//! result is rounded to 8 bits before the column pass. Follows `Resample.c` of Pillow 3.3 to 12.
//! (Pillow 13 takes the columns first where the height shrinks much more than the width; there the
//! last bit can differ.)

use super::super::{ImageError, Picture, Size};

/// Bits of the weights after the point. 8 more for the samples and 2 to spare make 32.
const BITS: u32 = 22;
/// One half in the accumulator: it rounds the final shift.
const HALF: i32 = 1 << (BITS - 1);

/// For each output position the first input sample and the weights from there on.
struct Filter {
    first: Vec<usize>,
    /// Where the weights of position `i` are: `starts[i]..starts[i + 1]`.
    starts: Vec<usize>,
    weights: Vec<i32>,
}

impl Filter {
    /// The triangle filter that takes `from` samples to `to`.
    fn triangle(from: usize, to: usize) -> Self {
        let scale = from as f64 / to as f64;
        let reach = scale.max(1.0);
        let mut filter =
            Self { first: Vec::with_capacity(to), starts: vec![0], weights: Vec::new() };
        let mut exact = Vec::new();
        for i in 0..to {
            let centre = (i as f64 + 0.5) * scale;
            // Truncation rounds to the nearest sample here: the sums are not negative.
            let low = (centre - reach + 0.5).max(0.0) as usize;
            let high = ((centre + reach + 0.5) as usize).min(from);
            exact.clear();
            exact.extend((low..high).map(|x| {
                let distance = ((x as f64 - centre + 0.5) * (1.0 / reach)).abs();
                (1.0 - distance).max(0.0)
            }));
            let total: f64 = exact.iter().sum();
            let fixed = |w: &f64| (0.5 + w / total * f64::from(1 << BITS)) as i32;
            filter.weights.extend(exact.iter().map(fixed));
            filter.first.push(low);
            filter.starts.push(filter.weights.len());
        }
        filter
    }

    /// First input sample and weights of each output position.
    fn positions(&self) -> impl Iterator<Item = (usize, &[i32])> {
        let spans = self.starts.windows(2).map(|s| &self.weights[s[0]..s[1]]);
        self.first.iter().copied().zip(spans)
    }
}

/// An RGB picture resized to `to` with anti-aliasing; equal bit for bit to the result of Pillow
/// before 13.
///
/// Fails where a size is zero or the picture's fields contradict each other.
pub fn antialias(picture: &Picture, to: Size) -> Result<Picture, ImageError> {
    picture.check()?;
    to.check("the resized picture")?;
    // A pass that keeps the length would keep every value; Pillow skips it, too.
    let narrow = (picture.width != to.width).then(|| {
        let filter = Filter::triangle(picture.width, to.width);
        row_pass(&picture.data, picture.size(), &filter)
    });
    let rows = narrow.as_deref().unwrap_or(&picture.data);
    let data = if picture.height != to.height {
        let filter = Filter::triangle(picture.height, to.height);
        column_pass(rows, to.width * 3, &filter)
    } else {
        rows.to_vec()
    };
    Ok(Picture { width: to.width, height: to.height, data })
}

/// Filters each row of RGB pixels: (height, from, 3) → (height, to, 3).
fn row_pass(pixels: &[u8], from: Size, filter: &Filter) -> Vec<u8> {
    let to = filter.first.len();
    let mut out = vec![0; from.height * to * 3];
    let rows = pixels.chunks_exact(from.width * 3);
    for (row, out_row) in rows.zip(out.chunks_exact_mut(to * 3)) {
        for (pixel, (first, weights)) in out_row.chunks_exact_mut(3).zip(filter.positions()) {
            let mut sum = [HALF; 3];
            let samples = row[first * 3..].chunks_exact(3);
            for (sample, &weight) in samples.zip(weights) {
                for (s, &v) in sum.iter_mut().zip(sample) {
                    *s += i32::from(v) * weight;
                }
            }
            for (value, s) in pixel.iter_mut().zip(sum) {
                *value = narrow(s);
            }
        }
    }
    out
}

/// Filters down the columns: (from, length) → (to, length), whole rows at a time.
fn column_pass(rows: &[u8], length: usize, filter: &Filter) -> Vec<u8> {
    let mut out = vec![0; filter.first.len() * length];
    let mut sums = vec![0i32; length];
    for (out_row, (first, weights)) in out.chunks_exact_mut(length).zip(filter.positions()) {
        sums.fill(HALF);
        let samples = rows[first * length..].chunks_exact(length);
        for (row, &weight) in samples.zip(weights) {
            for (sum, &v) in sums.iter_mut().zip(row) {
                *sum += i32::from(v) * weight;
            }
        }
        for (value, &sum) in out_row.iter_mut().zip(&sums) {
            *value = narrow(sum);
        }
    }
    out
}

/// An accumulator back to 8 bits. Rounded weights may sum to a little more than one.
fn narrow(sum: i32) -> u8 {
    (sum >> BITS).clamp(0, 255) as u8
}

#[cfg(test)]
mod tests {
    use super::super::super::test_support::{golden, photo};
    use super::*;

    #[test]
    fn agrees_bit_for_bit_with_pillow() {
        for (picture, sizes) in [
            ("p0.png", [(56, 48), (19, 17), (7, 64)]),
            ("p1.png", [(56, 48), (16, 24), (3, 5)]),
            ("p3.png", [(31, 20), (40, 37), (1, 1)]),
        ] {
            for (h, w) in sizes {
                let stem = picture.trim_end_matches(".png");
                let name = format!("formats/pillow_{stem}_{h}x{w}.rgb");
                let wanted = std::fs::read(golden(&name)).unwrap();
                let got = antialias(&photo(picture), Size::new(h, w)).unwrap();
                assert!(got.data == wanted, "{name}");
            }
        }
    }

    #[test]
    fn a_flat_picture_stays_flat() {
        let flat = Picture::new(Size::new(9, 7), [9, 200, 255].repeat(63)).unwrap();
        for (h, w) in [(3, 3), (50, 20), (1, 7), (9, 1)] {
            let got = antialias(&flat, Size::new(h, w)).unwrap();
            assert!(got.data.chunks_exact(3).all(|p| p == [9, 200, 255]));
        }
    }
}
