//! SURF features of patches, as SCD cascades read them.
//!
//! Flows in: an 8-bit picture, one plane a channel. Flows out: an integral image of its eight gradient
//! channels ([`integral`]), from it the 32 normalised numbers of a patch ([`patch`]), and from those the
//! answers of logistic weak learners ([`add_answers`]).
//!
//! Li and Zhang, Learning SURF Cascade for Fast and Accurate Object Detection (CVPR 2013), as ccv's
//! `ccv_scd.c` has it: the channels are dx, dy, du, dv and their magnitudes (u and v run along the
//! diagonals), where in colour each is that of the channel with the largest magnitude.

use super::softmax::exp;
use super::table::Kernels;
use std::ops::Range;

/// Gradient channels: dx, dy, du, dv, |dx|, |dy|, |du|, |dv|.
pub const CHANNELS: usize = 8;

/// Numbers of a patch: the channels of its four cells.
pub const NUMBERS: usize = 4 * CHANNELS;

/// Steps from a pixel to the one ahead of it: dx, dy, du, dv.
const DIRECTIONS: [[isize; 2]; 4] = [[1, 0], [0, 1], [1, 1], [-1, 1]];

/// Planes of one size: R, G, B, or gray alone.
#[derive(Clone, Copy, Debug)]
pub struct Planes<'a> {
    /// Columns, at least two.
    pub width: usize,
    /// Rows, at least two.
    pub height: usize,
    /// `height · width` values each.
    pub planes: &'a [Vec<u8>],
}

/// Where the sums of a patch stand: for each cell its four corners, as offsets from the window's corner.
#[derive(Clone, Copy, Debug)]
pub struct Corners([[usize; 4]; 4]);

/// A logistic weak learner on a patch: `tanh((bias + Σ weightᵢ · numberᵢ) / 2)`, from −1 to 1.
#[derive(Clone, Copy, Debug)]
pub struct Learner {
    /// The patch.
    pub corners: Corners,
    /// What is added.
    pub bias: f32,
    /// What the numbers are multiplied with.
    pub weights: [f32; NUMBERS],
}

impl Corners {
    /// The corners of four cells, each from column and row `[left, top` up to `right, bottom)`, in an
    /// integral image of a picture of that width.
    pub fn new(cells: [[usize; 4]; 4], width: usize) -> Self {
        let at = |x: usize, y: usize| (y * (width + 1) + x) * CHANNELS;
        Self(cells.map(|[l, t, r, b]| [at(l, t), at(r, t), at(l, b), at(r, b)]))
    }
}

/// Values that [`integral`] fills for `rows` rows of a picture of that width.
pub fn integral_len(width: usize, rows: usize) -> usize {
    (rows + 1) * (width + 1) * CHANNELS
}

/// The integral image of the gradients in some rows of a picture: `sums` is (rows + 1, width + 1, 8), and
/// each value the sum of all gradients above and left of it. Sums wrap around; their differences, up to
/// four million pixels, are exact all the same.
///
/// # Panics
/// Where the rows lie outside the picture, or a length does not fit.
pub fn integral(picture: Planes, rows: Range<usize>, sums: &mut [i32]) {
    let pitch = check(picture, &rows, sums);
    sums[..pitch].fill(0);
    for (i, y) in rows.enumerate() {
        let (above, here) = sums[i * pitch..][..2 * pitch].split_at_mut(pitch);
        let mut sum = [0i32; CHANNELS];
        here[..CHANNELS].fill(0);
        for x in 0..picture.width {
            let d = DIRECTIONS.map(|step| {
                let of = |plane: &Vec<u8>| {
                    let pixel = |y, x| blurred(plane, picture.width, picture.height, y, x);
                    difference(pixel, picture.width, picture.height, step, y, x)
                };
                // The first of equals, so that red comes before green.
                picture.planes.iter().map(of).reduce(stronger).unwrap_or(0)
            });
            for (c, sum) in sum.iter_mut().enumerate() {
                *sum = sum.wrapping_add(if c < 4 { d[c] } else { d[c - 4].abs() });
                let at = (x + 1) * CHANNELS + c;
                here[at] = above[at].wrapping_add(*sum);
            }
        }
    }
}

/// The values of a row of the integral image.
fn check(picture: Planes, rows: &Range<usize>, sums: &[i32]) -> usize {
    let Planes { width, height, planes } = picture;
    assert!(width >= 2 && height >= 2 && planes.iter().all(|p| p.len() == width * height));
    assert!(rows.start <= rows.end && rows.end <= height);
    assert_eq!(sums.len(), integral_len(width, rows.len()));
    (width + 1) * CHANNELS
}

#[inline(always)]
fn stronger(a: i32, b: i32) -> i32 {
    if b.abs() > a.abs() { b } else { a }
}

/// A pixel after a Gaussian filter of σ = ½ in integers, 27, 201, 27 of 256, cut after each direction;
/// pixels outside repeat the border.
fn blurred(plane: &[u8], width: usize, height: usize, y: usize, x: usize) -> i32 {
    let weigh = |[a, b, c]: [i32; 3]| (27 * (a + c) + 201 * b) >> 8;
    let row = |y: usize| {
        let at = |x: usize| plane[y * width + x] as i32;
        weigh([at(x.saturating_sub(1)), at(x), at((x + 1).min(width - 1))])
    };
    weigh([row(y.saturating_sub(1)), row(y), row((y + 1).min(height - 1))])
}

/// The central difference along a direction. On the border it is twice the one-sided one, and where two
/// borders meet, the row decides which side that is, and the column stays inside.
fn difference(
    pixel: impl Fn(usize, usize) -> i32,
    width: usize,
    height: usize,
    [dx, dy]: [isize; 2],
    y: usize,
    x: usize,
) -> i32 {
    let (left, right) = (x == 0, x + 1 == width);
    let [ahead, behind] = match (dy, y) {
        (1, 0) => [1, 0],
        (1, y) if y + 1 == height => [0, 1],
        _ => match dx {
            1 => [!right as isize, !left as isize],
            -1 => [!left as isize, !right as isize],
            _ => [1, 1],
        },
    };
    let value = |side: isize| {
        let column = (x as isize + side * dx).clamp(0, width as isize - 1);
        pixel((y as isize + side * dy) as usize, column as usize)
    };
    let factor = if ahead + behind == 2 { 1 } else { 2 };
    factor * (value(ahead) - value(-behind))
}

/// The 32 numbers of the patch of a window: the sums of each cell's channels, brought to length 1, cut to
/// ±2/√32 and brought to length 1 again. `at` is where the window's corner stands in `sums`.
#[inline(always)]
pub fn patch(sums: &[i32], at: usize, corners: &Corners) -> [f32; NUMBERS] {
    let mut numbers = cells(sums, at, corners);
    let scale = inverse_length(&numbers);
    numbers.iter_mut().for_each(|f| *f = (*f * scale).clamp(-LIMIT, LIMIT));
    let scale = inverse_length(&numbers);
    numbers.map(|f| f * scale)
}

/// 2/√32: the largest magnitude of a number of unit length, before the second normalisation.
const LIMIT: f32 = 0.353_553_4;

/// Sums over each cell: four corners a channel.
#[inline(always)]
fn cells(sums: &[i32], at: usize, corners: &Corners) -> [f32; NUMBERS] {
    let mut numbers = [0.0; NUMBERS];
    for (cell, numbers) in corners.0.iter().zip(numbers.as_chunks_mut::<CHANNELS>().0) {
        let [a, b, c, d] = cell.map(|corner| &sums[at + corner..][..CHANNELS]);
        for i in 0..CHANNELS {
            numbers[i] = (d[i].wrapping_sub(c[i])).wrapping_sub(b[i].wrapping_sub(a[i])) as f32;
        }
    }
    numbers
}

#[inline(always)]
fn inverse_length(numbers: &[f32; NUMBERS]) -> f32 {
    1.0 / (dot(numbers, numbers).sqrt() + 1e-6)
}

/// Eight sums side by side, then their sum by halves.
#[inline(always)]
fn dot(a: &[f32; NUMBERS], b: &[f32; NUMBERS]) -> f32 {
    let mut sums = [0.0; CHANNELS];
    for i in 0..NUMBERS {
        sums[i % CHANNELS] += a[i] * b[i];
    }
    let [a, b, c, d, e, f, g, h] = sums;
    ((a + e) + (c + g)) + ((b + f) + (d + h))
}

/// Adds a learner's answers for windows to `totals`; `at` is where their corners stand in `sums`.
pub fn add_answers(sums: &[i32], at: &[usize], learner: &Learner, totals: &mut [f32]) {
    for (&at, total) in at.iter().zip(totals) {
        let numbers = patch(sums, at, &learner.corners);
        *total += ((learner.bias + dot(&numbers, &learner.weights)) / 2.0).tanh();
    }
}

/// Windows whose exponentials are computed side by side.
const WIDTH: usize = 16;

/// [`add_answers`] of several learners, compiled for the machine's instruction set.
pub fn add_answers_fast(
    kernels: &Kernels,
    sums: &[i32],
    at: &[usize],
    learners: &[Learner],
    totals: &mut [f32],
) {
    assert_eq!(at.len(), totals.len());
    kernels.compile(|| {
        for (at, totals) in at.chunks(WIDTH).zip(totals.chunks_mut(WIDTH)) {
            for learner in learners {
                let mut margins = [0.0; WIDTH];
                for (margin, &at) in margins.iter_mut().zip(at) {
                    *margin = learner.bias + weighted(sums, at, learner);
                }
                let answers = margins.map(half_tanh);
                totals.iter_mut().zip(answers).for_each(|(total, answer)| *total += answer);
            }
        }
    });
}

/// Σ weightᵢ · numberᵢ of a window's patch, the second normalisation applied to the sum.
#[inline(always)]
fn weighted(sums: &[i32], at: usize, learner: &Learner) -> f32 {
    let mut numbers = cells(sums, at, &learner.corners);
    let scale = inverse_length(&numbers);
    for f in &mut numbers {
        let scaled = *f * scale;
        let below = if scaled < LIMIT { scaled } else { LIMIT };
        *f = if below > -LIMIT { below } else { -LIMIT };
    }
    dot(&numbers, &learner.weights) * inverse_length(&numbers)
}

/// `tanh(x / 2) = ± (1 − e^−|x|) / (1 + e^−|x|)`.
#[inline(always)]
fn half_tanh(x: f32) -> f32 {
    let e = exp(-x.abs());
    ((1.0 - e) / (1.0 + e)).copysign(x)
}

/// [`integral`], compiled for the machine's instruction set: planes are blurred once, and gradients made
/// side by side except on the border.
pub fn integral_fast(kernels: &Kernels, picture: Planes, rows: Range<usize>, sums: &mut [i32]) {
    let pitch = check(picture, &rows, sums);
    let Planes { width, height, planes } = picture;
    let reach = rows.start.saturating_sub(1)..(rows.end + 1).min(height);
    let smooth: Vec<Vec<u8>> =
        planes.iter().map(|p| kernels.compile(|| blur(p, width, height, reach.clone()))).collect();
    sums[..pitch].fill(0);
    let mut gradients = [(); 4].map(|_| vec![0i16; width]);
    for (i, y) in rows.enumerate() {
        kernels.compile(|| {
            gradients.iter_mut().for_each(|row| row.fill(0));
            for plane in &smooth {
                gradient_row(plane, width, height, y, reach.start, &mut gradients);
            }
            let (above, here) = sums[i * pitch..][..2 * pitch].split_at_mut(pitch);
            add_row(&gradients, above, here);
        });
    }
}

/// Rows of a plane, blurred; see [`blurred`]. All products fit 16 bits.
#[inline(always)]
fn blur(plane: &[u8], width: usize, height: usize, rows: Range<usize>) -> Vec<u8> {
    let weigh = |a: u8, b: u8, c: u8| {
        ((27 * (u16::from(a) + u16::from(c)) + 201 * u16::from(b)) >> 8) as u8
    };
    let clamped = |y: usize| y.clamp(1, height) - 1;
    let first = clamped(rows.start);
    let mut across = vec![0; (clamped(rows.end + 1) + 1 - first) * width];
    let lines = plane[first * width..].chunks_exact(width);
    for (out, line) in across.chunks_exact_mut(width).zip(lines) {
        for ((out, l), (c, r)) in
            out[1..].iter_mut().zip(line).zip(line[1..].iter().zip(&line[2..]))
        {
            *out = weigh(*l, *c, *r);
        }
        out[0] = weigh(line[0], line[0], line[1]);
        out[width - 1] = weigh(line[width - 2], line[width - 1], line[width - 1]);
    }
    let mut out = vec![0; rows.len() * width];
    for (out, y) in out.chunks_exact_mut(width).zip(rows) {
        let line = |y: usize| &across[(clamped(y) - first) * width..][..width];
        let (above, here, below) = (line(y), line(y + 1), line(y + 2));
        for (((out, a), b), c) in out.iter_mut().zip(above).zip(here).zip(below) {
            *out = weigh(*a, *b, *c);
        }
    }
    out
}

/// Replaces a row's gradients by those of a plane where these are stronger. `smooth` begins with row `first`.
#[inline(always)]
fn gradient_row(
    smooth: &[u8],
    width: usize,
    height: usize,
    y: usize,
    first: usize,
    gradients: &mut [Vec<i16>; 4],
) {
    let line = |y: usize| &smooth[(y - first) * width..][..width];
    let pixel = |y: usize, x: usize| i32::from(line(y)[x]);
    let inner = if y == 0 || y + 1 == height { 0..0 } else { 1..width - 1 };
    for x in (0..width).filter(|x| !inner.contains(x)) {
        for (row, step) in gradients.iter_mut().zip(DIRECTIONS) {
            let d = difference(pixel, width, height, step, y, x);
            row[x] = stronger(i32::from(row[x]), d) as i16;
        }
    }
    if inner.is_empty() {
        return;
    }
    let n = inner.len();
    let [above, here, below] = [line(y - 1), line(y), line(y + 1)];
    for (row, [dx, dy]) in gradients.iter_mut().zip(DIRECTIONS) {
        let ahead = &(if dy == 0 { here } else { below })[(1 + dx) as usize..][..n];
        let behind = &(if dy == 0 { here } else { above })[(1 - dx) as usize..][..n];
        for ((best, a), b) in row[1..].iter_mut().zip(ahead).zip(behind) {
            let d = i16::from(*a) - i16::from(*b);
            *best = if d.abs() > best.abs() { d } else { *best };
        }
    }
}

/// One row of the integral image from the row above and the gradients.
#[inline(always)]
fn add_row([dx, dy, du, dv]: &[Vec<i16>; 4], above: &[i32], here: &mut [i32]) {
    let mut sum = [0i32; CHANNELS];
    let (here, above) = (here.as_chunks_mut::<CHANNELS>().0, above.as_chunks::<CHANNELS>().0);
    here[0] = sum;
    let gradients = dx.iter().zip(dy).zip(du.iter().zip(dv));
    for ((here, above), ((dx, dy), (du, dv))) in
        here[1..].iter_mut().zip(&above[1..]).zip(gradients)
    {
        let d = [*dx, *dy, *du, *dv, dx.abs(), dy.abs(), du.abs(), dv.abs()];
        for c in 0..CHANNELS {
            sum[c] = sum[c].wrapping_add(i32::from(d[c]));
            here[c] = above[c].wrapping_add(sum[c]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::available;
    use super::*;

    /// Planes of noise with flat and saturated parts.
    fn noise(width: usize, height: usize, channels: usize) -> Vec<Vec<u8>> {
        let value = |c: usize, i: usize| match (i * 7 + c * 3) % 11 {
            0..3 => 255,
            3 => 0,
            _ => (((i * 7919 + c * 104_729) % 65_521) >> 8) as u8,
        };
        (0..channels).map(|c| (0..width * height).map(|i| value(c, i)).collect()).collect()
    }

    fn sums(picture: Planes, rows: Range<usize>, kernels: Option<&Kernels>) -> Vec<i32> {
        let mut sums = vec![7; integral_len(picture.width, rows.len())];
        match kernels {
            Some(kernels) => integral_fast(kernels, picture, rows, &mut sums),
            None => integral(picture, rows, &mut sums),
        }
        sums
    }

    #[test]
    fn every_instruction_set_gives_the_same_integral_image() {
        for (width, height, channels) in [(2, 2, 1), (3, 5, 3), (37, 19, 3), (64, 20, 1)] {
            let planes = noise(width, height, channels);
            let picture = Planes { width, height, planes: &planes };
            let middle = height / 3..height - height / 3;
            for rows in [0..height, 0..1, 1..height, middle, 2..2] {
                let want = sums(picture, rows.clone(), None);
                for kernels in available() {
                    let got = sums(picture, rows.clone(), Some(kernels));
                    assert!(got == want, "{} {width} x {height}, rows {rows:?}", kernels.name());
                }
            }
        }
    }

    /// The gradients of a pixel, from the integral image.
    fn gradients(picture: Planes, y: usize, x: usize) -> [i32; CHANNELS] {
        let sums = sums(picture, 0..picture.height, None);
        let corners = Corners::new([[x, y, x + 1, y + 1]; 4], picture.width);
        let numbers = cells(&sums, 0, &corners);
        std::array::from_fn(|i| numbers[i] as i32)
    }

    #[test]
    fn gradients_by_hand() {
        // 100 at every pixel but one of 200: blurred 98 and, around it, (27·200 + 228·100) ≫ 8 = 110 or
        // (201·200 + 54·100) ≫ 8 = 178 across, then down (27·110 + 228·99) ≫ 8 = 99 and so on.
        let mut plane = vec![100; 25];
        plane[12] = 200;
        let pixel = |y, x| blurred(&plane, 5, 5, y, x);
        assert_eq!(
            [pixel(0, 0), pixel(1, 1), pixel(1, 2), pixel(2, 1), pixel(2, 2)],
            [98, 99, 106, 107, 160]
        );
        let planes = [plane];
        let picture = Planes { width: 5, height: 5, planes: &planes };
        // Left of the bright pixel: dx = 160 − 98, dy = 99 − 99, du = 106 − 98, dv = 98 − 106.
        assert_eq!(gradients(picture, 2, 1), [62, 0, 8, -8, 62, 0, 8, 8]);
        // On the left border, one-sided: dx = 2 (107 − 98), dy central, du = 2 (99 − 98), dv = 2 (98 − 99).
        assert_eq!(gradients(picture, 2, 0), [18, 0, 2, -2, 18, 0, 2, 2]);
    }

    #[test]
    fn corners_by_hand() {
        // Columns 0, 10, 30 and rows 0, 0, 100; the filter moves no corner's neighbours by more than it says.
        let plane = vec![0, 0, 40, 0, 0, 40, 200, 200, 240];
        let at = |y: usize, x: usize| blurred(&plane, 3, 3, y, x);
        let (b, planes) = (|[y, x]: [usize; 2]| at(y, x), [plane.clone()]);
        let picture = Planes { width: 3, height: 3, planes: &planes };
        let twice = |p, q| 2 * (b(p) - b(q));
        let want =
            |d: [i32; 4]| [d[0], d[1], d[2], d[3], d[0].abs(), d[1].abs(), d[2].abs(), d[3].abs()];
        let corner = |y, x, d| assert_eq!(gradients(picture, y, x), want(d), "{y} {x}");
        corner(
            0,
            0,
            [
                twice([0, 1], [0, 0]),
                twice([1, 0], [0, 0]),
                twice([1, 1], [0, 0]),
                twice([1, 0], [0, 0]),
            ],
        );
        corner(
            0,
            2,
            [
                twice([0, 2], [0, 1]),
                twice([1, 2], [0, 2]),
                twice([1, 2], [0, 2]),
                twice([1, 1], [0, 2]),
            ],
        );
        corner(
            2,
            0,
            [
                twice([2, 1], [2, 0]),
                twice([2, 0], [1, 0]),
                twice([2, 0], [1, 0]),
                twice([2, 0], [1, 1]),
            ],
        );
    }

    #[test]
    fn the_strongest_channel_wins_and_red_before_green() {
        // Blurred ramps of slopes 4, −4 and 2: the first of the two strong ones.
        let ramp = |slope: i32| (0..25).map(|i| (100 + slope * (i % 5)) as u8).collect();
        let planes: Vec<Vec<u8>> = [4, -4, 2].map(ramp).to_vec();
        let of = |planes: &[Vec<u8>]| gradients(Planes { width: 5, height: 5, planes }, 2, 2)[0];
        assert!(of(&planes[..1]) > 0 && of(&planes[1..]) < 0);
        assert_eq!(of(&planes), of(&planes[..1]));
        let turned = [planes[1].clone(), planes[0].clone()];
        assert_eq!(of(&turned), of(&planes[1..2]));
    }

    /// Integral image of one row of four pixels with these values in the first channel, and its four cells.
    fn four(values: [i32; 4]) -> (Vec<i32>, Corners) {
        let mut sums = vec![0; integral_len(4, 1)];
        for (x, value) in values.iter().enumerate() {
            sums[(5 + x + 1) * CHANNELS] = sums[(5 + x) * CHANNELS] + value;
        }
        (sums, Corners::new([0, 1, 2, 3].map(|x| [x, 0, x + 1, 1]), 4))
    }

    #[test]
    fn a_patch_by_hand() {
        // Length 5; 3/5 and 4/5 are cut to 2/√32, both the same, so both become 1/√2.
        let (sums, corners) = four([3, 0, -4, 0]);
        let numbers = patch(&sums, 0, &corners);
        let half = 0.5f32.sqrt();
        assert!((numbers[0] - half).abs() < 1e-5 && (numbers[16] + half).abs() < 1e-5);
        assert_eq!(numbers.iter().filter(|f| **f != 0.0).count(), 2);
        let (sums, corners) = four([0; 4]);
        assert_eq!(patch(&sums, 0, &corners), [0.0; NUMBERS]);
    }

    #[test]
    fn answers_by_hand_and_the_same_on_every_instruction_set() {
        let (sums, corners) = four([3, 0, -4, 0]);
        let mut weights = [0.0; NUMBERS];
        (weights[0], weights[16]) = (2.0, 1.0);
        let learner = Learner { corners, bias: 0.25, weights };
        let mut totals = [1.0];
        add_answers(&sums, &[0], &learner, &mut totals);
        let want = 1.0 + ((0.25 + 0.5f32.sqrt()) / 2.0).tanh();
        assert!((totals[0] - want).abs() < 1e-6, "{totals:?} {want}");

        let planes = noise(61, 40, 3);
        let sums = sums_of(&planes, 61, 40);
        let cells = [[0, 0, 5, 9], [5, 0, 10, 9], [0, 9, 5, 20], [3, 3, 12, 4]];
        let learners = [-90.0, -0.5, 0.25, 100.0].map(|bias| Learner {
            corners: Corners::new(cells, 61),
            bias,
            weights: std::array::from_fn(|i| ((i * 37 % 23) as f32 - 11.0) / 8.0),
        });
        let at: Vec<usize> = (0..45).map(|x| (x / 3 * 62 + x) * CHANNELS).collect();
        let mut want = vec![0.5; 45];
        learners.iter().for_each(|l| add_answers(&sums, &at, l, &mut want));
        assert!(want.iter().any(|t| (t - want[0]).abs() > 0.1), "answers differ: {want:?}");
        for kernels in available() {
            let mut got = vec![0.5; 45];
            add_answers_fast(kernels, &sums, &at, &learners, &mut got);
            let near = want.iter().zip(&got).all(|(w, g)| (w - g).abs() < 3e-6);
            assert!(near, "{} {want:?} {got:?}", kernels.name());
        }
    }

    fn sums_of(planes: &[Vec<u8>], width: usize, height: usize) -> Vec<i32> {
        sums(Planes { width, height, planes }, 0..height, None)
    }
}
