//! A picture in many sizes, exactly as ccv makes them.
//!
//! Flows in: a picture. Flows out: its planes, halved again and again ([`half`]); between two halves, sizes
//! in equal steps of the logarithm ([`levels`]). All arithmetic is in integers.

use super::Image;
use crate::error::{Error, Result};
use crate::image::Size;
use rayon::prelude::*;

/// The planes of a picture, enlarged or halved: R, G, B, or gray.
pub(super) struct Octave {
    pub width: usize,
    pub height: usize,
    pub planes: Vec<Vec<u8>>,
}

/// A picture made `scale` times smaller than its octave.
pub(super) struct Level {
    pub scale: f64,
    pub planes: Octave,
}

impl Octave {
    /// Fails where the picture's fields contradict each other.
    pub fn new(image: Image) -> Result<Self> {
        let (width, height, channels, data) = match image {
            Image::Colour(p) => (p.width, p.height, 3, &p.data),
            Image::Gray(p) => (p.width, p.height, 1, &p.data),
        };
        let count = width.checked_mul(height).and_then(|n| n.checked_mul(channels));
        if width == 0 || height == 0 || count != Some(data.len()) {
            return Err(Error::Invalid(format!(
                "a picture of {height} rows x {width} columns x {channels} cannot have {} values",
                data.len()
            )));
        }
        let plane = |c: usize| data[c..].iter().step_by(channels).copied().collect();
        Ok(Self { width, height, planes: (0..channels).map(plane).collect() })
    }

    pub fn size(&self) -> Size {
        Size::new(self.height, self.width)
    }

    /// Every plane by the same function to another size.
    fn map(&self, height: usize, width: usize, f: impl Fn(&[u8]) -> Vec<u8>) -> Self {
        Self { width, height, planes: self.planes.iter().map(|p| f(p)).collect() }
    }
}

/// How many times the picture must be enlarged so that the smallest face fills the window; at least 1.
pub(super) fn ratio(window: Size, min_size: u32) -> f64 {
    let ratio = |side: usize| side as f32 / min_size as f32;
    f64::from(ratio(window.width).max(ratio(window.height)).max(1.0))
}

/// How often the picture can be halved, the picture itself included.
pub(super) fn octaves(window: Size, picture: Size) -> usize {
    let times = |picture: usize, window: usize| picture as f64 / window as f64;
    let times = times(picture.height, window.height).min(times(picture.width, window.width));
    // The quotient, and not log2, is ccv's.
    (times.ln() / 2f64.ln()).max(0.0) as usize + 1
}

/// The picture in 2^(k / (interval + 1)) times smaller, k = 0 … interval, while it holds a window.
pub(super) fn levels(octave: &Octave, window: Size, interval: u32) -> Vec<Level> {
    let step = 2f64.powf(1.0 / f64::from(interval + 1));
    let scales = std::iter::successors(Some(1.0), |scale| Some(scale * step));
    let smaller = |side: usize, scale: f64| (side as f64 / scale + 0.5) as usize;
    let sizes = scales.take(interval as usize + 1).map(|scale| {
        (scale, Size::new(smaller(octave.height, scale), smaller(octave.width, scale)))
    });
    let fitting: Vec<_> = sizes
        .take_while(|(_, size)| size.height >= window.height && size.width >= window.width)
        .collect();
    fitting
        .into_par_iter()
        .map(|(scale, size)| Level { scale, planes: shrink(octave, size) })
        .collect()
}

/// Half as many rows and columns, by the filter 1 4 6 4 1 in both directions, cut to integers at the end.
/// Rows are mirrored at the border; the first and the last column weigh 10, 5, 1 inwards.
pub(super) fn half(octave: &Octave) -> Octave {
    let (width, height) = (octave.width / 2, octave.height / 2);
    octave.map(height, width, |plane| {
        let row = |row: &[u8]| -> Vec<u16> {
            let at = |x: usize| u16::from(row[x]);
            let last = octave.width - 1;
            let sum = |x: usize| match x {
                0 => 10 * at(0) + 5 * at(1) + at(2),
                x if x + 1 == width => 10 * at(last) + 5 * at(last - 1) + at(last - 2),
                _ => {
                    let x = 2 * x;
                    6 * at(x) + 4 * (at(x - 1) + at(x + 1)) + at(x - 2) + at(x + 2)
                }
            };
            (0..width).map(sum).collect()
        };
        let rows: Vec<Vec<u16>> = plane.chunks_exact(octave.width).map(row).collect();
        let mut out = Vec::with_capacity(width * height);
        for y in 0..height as isize {
            let mirrored = |y: isize| match y {
                y if y < 0 => -1 - y,
                y => y.min(2 * octave.height as isize - 1 - y),
            };
            let [a, b, c, d, e] = [-2, -1, 0, 1, 2].map(|i| &rows[mirrored(2 * y + i) as usize]);
            // At most 255 · 256.
            out.extend(
                (0..width).map(|x| ((6 * c[x] + 4 * (b[x] + d[x]) + a[x] + e[x]) >> 8) as u8),
            );
        }
        out
    })
}

/// Pixels along an axis that an output pixel is the mean of.
struct Share {
    first: usize,
    weights: Vec<u32>,
}

/// Adds a weight, of 256ths of a pixel, to the last of `shares`.
fn share(shares: &mut [Share], at: usize, weight: u32) {
    let Some(last) = shares.last_mut() else { return };
    if last.weights.is_empty() {
        last.first = at;
    }
    last.weights.push(weight);
}

/// Pixels of `from` in one of `to`. ccv passes the inverse around, which rounds differently, and a pixel
/// that begins or ends between two others shows it.
fn scale(from: usize, to: usize) -> f64 {
    1.0 / (to as f64 / from as f64)
}

/// What each of `to` columns covers of `from`.
fn columns(from: usize, to: usize) -> Vec<Share> {
    let scale = scale(from, to);
    let mut shares = Vec::with_capacity(to);
    for x in 0..to {
        shares.push(Share { first: 0, weights: Vec::new() });
        let (start, end) = (x as f64 * scale, x as f64 * scale + scale);
        let first = ((start + 1.0 - 1e-6) as usize).min(from - 1);
        let last = (end as usize).min(from - 1);
        if first as f64 > start {
            share(&mut shares, first - 1, ((first as f64 - start) * 256.0) as u32);
        }
        (first..last).for_each(|x| share(&mut shares, x, 256));
        if end - last as f64 > 1e-3 {
            share(&mut shares, last, ((end - last as f64) * 256.0) as u32);
        }
    }
    shares
}

/// What each of `to` rows covers of `from`: a row that two of them share gives the second its part and the
/// first the rest.
fn rows(from: usize, to: usize) -> Vec<Share> {
    let scale = scale(from, to);
    let mut shares = vec![Share { first: 0, weights: Vec::new() }];
    for y in 0..from {
        let end = shares.len() as f64 * scale;
        if end <= (y + 1) as f64 || y + 1 == from {
            let part = (((y + 1) as f64 - end).max(0.0) * 256.0) as u32;
            share(&mut shares, y, 256 - part);
            shares.push(Share { first: 0, weights: Vec::new() });
            if part > 0 {
                share(&mut shares, y, part);
            }
        } else {
            share(&mut shares, y, 256);
        }
    }
    shares.truncate(to);
    shares
}

/// The picture in a smaller size: each pixel is the mean of what it covers, in 8-bit weights, cut to an
/// integer.
fn shrink(octave: &Octave, size: Size) -> Octave {
    let (columns, rows) = (columns(octave.width, size.width), rows(octave.height, size.height));
    let area = scale(octave.width, size.width) * scale(octave.height, size.height);
    let per_area = 1.0 / f64::from((area * 65536.0) as u32);
    octave.map(size.height, size.width, |plane| {
        if octave.size() == size {
            return plane.to_vec();
        }
        let mut out = Vec::with_capacity(size.height * size.width);
        let mut line = vec![0u32; octave.width];
        for row in &rows {
            line.fill(0);
            let lines = plane[row.first * octave.width..].chunks_exact(octave.width);
            for (weight, from) in row.weights.iter().zip(lines) {
                line.iter_mut().zip(from).for_each(|(sum, v)| *sum += weight * u32::from(*v));
            }
            out.extend(columns.iter().map(|column| {
                let sum: u32 =
                    column.weights.iter().zip(&line[column.first..]).map(|(w, v)| w * v).sum();
                // The half keeps rounding away from the integers, so this is division without its time.
                ((f64::from(sum) + 0.5) * per_area) as u8
            }));
        }
        out
    })
}

/// Where an output pixel of a bicubic enlargement comes from: four pixels, and their weights in 64ths.
struct Cubic {
    at: [usize; 4],
    weights: [i32; 4],
}

/// The four pixels for each of `to` along an axis, by Keys' kernel with A = −3/4.
fn cubic(from: usize, to: usize, ratio: f64) -> Vec<Cubic> {
    const A: f32 = -0.75;
    let scale = (1.0 / ratio) as f32;
    let one = |i: usize| {
        let position = ((i as f64 + 0.5) * f64::from(scale) - 0.5) as f32;
        // Towards zero, not down: in the first half pixel x is negative.
        let first = position as usize;
        let x = position - first as f32;
        let fixed = |weight: f32| (f64::from(weight * 64.0) + 0.5) as i32;
        let (far, near) = (x + 1.0, |x: f32| ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0);
        let a = fixed(((A * far - 5.0 * A) * far + 8.0 * A) * far - 4.0 * A);
        let (b, c) = (fixed(near(x)), fixed(near(1.0 - x)));
        let at = [first.saturating_sub(1), first, first + 1, first + 2].map(|x| x.min(from - 1));
        Cubic { at, weights: [a, b, c, 64 - a - b - c] }
    };
    (0..to).map(one).collect()
}

/// The picture `ratio` times as large.
pub(super) fn enlarge(octave: Octave, ratio: f64) -> Octave {
    // A ratio that only rounding took off 1.
    if ratio - 1.0 <= 1e-4 {
        return octave;
    }
    let larger = |side: usize| (f64::from(side as f32 * ratio as f32) + 0.5) as usize;
    let (height, width) = (larger(octave.height), larger(octave.width));
    let (columns, rows) = (cubic(octave.width, width, ratio), cubic(octave.height, height, ratio));
    octave.map(height, width, |plane| {
        let mix = |c: &Cubic, value: &dyn Fn(usize) -> i32| -> i32 {
            c.at.iter().zip(c.weights).map(|(at, w)| w * value(*at)).sum()
        };
        let across: Vec<Vec<i32>> = plane
            .chunks_exact(octave.width)
            .map(|row| columns.iter().map(|c| mix(c, &|x| i32::from(row[x]))).collect())
            .collect();
        let pixel = |row: &Cubic, x: usize| {
            ((mix(row, &|y| across[y][x]) + 2048) >> 12).clamp(0, 255) as u8
        };
        rows.iter().flat_map(|row| (0..width).map(|x| pixel(row, x)).collect::<Vec<_>>()).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gray(width: usize, height: usize, plane: Vec<u8>) -> Octave {
        Octave { width, height, planes: vec![plane] }
    }

    #[test]
    fn a_half_by_hand() {
        // Rows of 0 16 32 48 64 80: the first column is (5·16 + 32) / 16, the second the filter's, the last
        // (10·80 + 5·64 + 48) / 16. Equal rows stay as they are.
        let rows = [0, 16, 32, 48, 64, 80].repeat(5);
        let half = half(&gray(6, 5, rows));
        assert_eq!((half.width, half.height), (3, 2));
        assert_eq!(half.planes[0], [7, 32, 73, 7, 32, 73]);
        // Columns of 160, 0, 0, 160: mirrored, the first row sees 0 160 160 0 0, the second 160 0 0 160 160.
        let columns = [160, 0, 0, 160].iter().flat_map(|v| [*v; 6]).collect();
        let half = super::half(&gray(6, 4, columns));
        assert_eq!(half.planes[0], [100, 100, 100, 60, 60, 60]);
    }

    #[test]
    fn means_by_hand() {
        // 3 columns in 2: each is one and a half, weights 256 and 128. 2 rows stay.
        let small = shrink(&gray(3, 2, vec![30, 60, 90, 3, 6, 9]), Size::new(2, 2));
        assert_eq!(small.planes[0], [40, 80, 4, 8]);
        // 3 rows in 2, of 2 columns.
        let small = shrink(&gray(2, 3, vec![30, 3, 60, 6, 90, 9]), Size::new(2, 2));
        assert_eq!(small.planes[0], [40, 4, 80, 8]);
    }

    #[test]
    fn an_enlargement_by_hand() {
        // Twice as many: positions 0 (cut), ¼, ¾, 1¼ …, whose weights are those of Keys' kernel in 64ths:
        // at ¼ −6.75, 56.25 and 16.75, half added and cut towards zero, then what makes 64.
        let taps = cubic(4, 8, 2.0);
        assert_eq!(taps[3].at, [0, 1, 2, 3]);
        assert_eq!(taps[3].weights, [-6, 56, 17, -3]);
        let flat = enlarge(gray(4, 4, vec![200; 16]), 2.0);
        assert_eq!((flat.width, flat.height), (8, 8));
        assert!(flat.planes[0].iter().all(|v| *v == 200));
        assert_eq!(enlarge(gray(4, 4, vec![7; 16]), 1.0).width, 4);
    }

    #[test]
    fn sizes_by_hand() {
        let (window, sizes) = (Size::square(48), |w| octaves(Size::square(48), Size::new(480, w)));
        assert_eq!([sizes(40), sizes(95), sizes(96), sizes(400)], [1, 1, 2, 4]);
        assert_eq!(ratio(window, 24), 2.0);
        assert_eq!(ratio(window, 96), 1.0);
        let octave = gray(96, 60, vec![0; 96 * 60]);
        let levels: Vec<_> = levels(&octave, window, 5).iter().map(|l| l.planes.size()).collect();
        // 60 / 1.12 = 53.5, 60 / 1.26 = 47.6, which rounds to 48; 60 / 1.41 = 42 is too small.
        assert_eq!(levels, [Size::new(60, 96), Size::new(53, 86), Size::new(48, 76)]);
    }
}
