//! Shapes with any outline. Flows in: points in a frame's units. Flows out: polygons and strokes on the canvas.

use super::canvas::{Bounds, Pen};
use super::colour::{Colour, mix};

/// Lines through each row of pixels.
const LINES: usize = 4;

/// How much of each pixel a shape covers, over a part of the picture.
pub(super) struct Mask {
    left: usize,
    top: usize,
    width: usize,
    height: usize,
    /// (height, width), in [0, 1].
    cover: Vec<f32>,
}

/// A closed curve through all points (Catmull and Rom, 1974), with `steps` pieces between each two.
pub(super) fn smooth(points: &[[f32; 2]], steps: usize) -> Vec<[f32; 2]> {
    let n = points.len();
    let piece = |i: usize, t: f32| -> [f32; 2] {
        let p = [points[(i + n - 1) % n], points[i], points[(i + 1) % n], points[(i + 2) % n]];
        std::array::from_fn(|k| {
            let [a, b, c, d] = p.map(|point| point[k]);
            let (linear, square) = (c - a, 2.0 * a - 5.0 * b + 4.0 * c - d);
            let cube = 3.0 * (b - c) + d - a;
            b + 0.5 * t * (linear + t * (square + t * cube))
        })
    };
    let at = |k: usize| piece(k / steps, (k % steps) as f32 / steps as f32);
    (0..n * steps).map(at).collect()
}

/// The right half of an outline from top to bottom, and its mirror image back to the top.
pub(super) fn mirrored(half: &[[f32; 2]]) -> Vec<[f32; 2]> {
    let back = half.iter().rev().filter(|point| point[0] > 0.0).map(|&[x, y]| [-x, y]);
    half.iter().copied().chain(back).collect()
}

impl Mask {
    /// A polygon in picture coordinates (even-odd) over the columns and rows [left, right, top, bottom).
    fn polygon(points: &[[f32; 2]], [left, right, top, bottom]: [usize; 4]) -> Self {
        let (width, height) = (right.saturating_sub(left), bottom.saturating_sub(top));
        let mut cover = vec![0.0; width * height];
        let mut crossings = Vec::new();
        for line in 0..height * LINES {
            let y = top as f32 + (line as f32 + 0.5) / LINES as f32;
            crossings.clear();
            for (i, a) in points.iter().enumerate() {
                let b = points[(i + 1) % points.len()];
                if (a[1] <= y) != (b[1] <= y) {
                    crossings.push(a[0] + (b[0] - a[0]) * (y - a[1]) / (b[1] - a[1]));
                }
            }
            crossings.sort_by(f32::total_cmp);
            let row = &mut cover[line / LINES * width..][..width];
            for pair in crossings.chunks_exact(2) {
                add_span(row, pair[0] - left as f32, pair[1] - left as f32);
            }
        }
        Self { left, top, width, height, cover }
    }

    /// Blurs with a box of 2 `radius` + 1 pixels, rows then columns, twice: nearly a Gaussian.
    fn soften(&mut self, radius: usize) {
        let mut line = Vec::new();
        for _ in 0..2 {
            for row in self.cover.chunks_exact_mut(self.width.max(1)) {
                line.clear();
                line.extend_from_slice(row);
                box_blur(&line, radius, |i, value| row[i] = value);
            }
            for column in 0..self.width {
                line.clear();
                line.extend(self.cover.iter().skip(column).step_by(self.width));
                box_blur(&line, radius, |i, value| self.cover[i * self.width + column] = value);
            }
        }
    }
}

/// Adds one line's cover from `start` to `end`, in pixels of the row.
fn add_span(row: &mut [f32], start: f32, end: f32) {
    let (start, end) = (start.max(0.0), end.min(row.len() as f32));
    let (first, last) = (start as usize, (end.ceil() as usize).min(row.len()));
    for (column, cover) in row.iter_mut().enumerate().take(last).skip(first) {
        let inside = end.min(column as f32 + 1.0) - start.max(column as f32);
        *cover += inside.max(0.0) / LINES as f32;
    }
}

/// Means over 2 `radius` + 1 values; beyond the ends lie zeros.
fn box_blur(values: &[f32], radius: usize, mut put: impl FnMut(usize, f32)) {
    let weight = 1.0 / (2 * radius + 1) as f32;
    let mut sum: f32 = values.iter().take(radius).sum();
    for i in 0..values.len() {
        sum += values.get(i + radius).unwrap_or(&0.0);
        put(i, sum * weight);
        sum -= if i >= radius { values[i - radius] } else { 0.0 };
    }
}

impl Pen<'_> {
    /// A polygon of one colour, whose edge is about `soft` units wide.
    pub(super) fn polygon(&mut self, points: &[[f32; 2]], soft: f32, colour: Colour) {
        self.polygon_with(points, soft, |_, _| (colour, 1.0));
    }

    /// A polygon whose colour and cover depend on the place in the frame and on what is there.
    pub(super) fn polygon_with(
        &mut self,
        points: &[[f32; 2]],
        soft: f32,
        paint: impl Fn([f32; 2], Colour) -> (Colour, f32),
    ) {
        let placed: Vec<[f32; 2]> = points.iter().map(|&point| self.frame.place(point)).collect();
        let radius = (0.3 * soft * self.frame.scale).round().max(0.0) as usize;
        let bounds = Bounds::around(&placed, 2.0 * radius as f32 + 1.0);
        let mut mask = Mask::polygon(&placed, self.canvas.clip(bounds));
        if radius > 0 {
            mask.soften(radius);
        }
        let local = self.frame.inverse();
        for row in 0..mask.height {
            let y = mask.top + row;
            let start = y * self.canvas.width + mask.left;
            let pixels = &mut self.canvas.pixels[start..start + mask.width];
            let covers = &mask.cover[row * mask.width..][..mask.width];
            for (column, (pixel, &cover)) in pixels.iter_mut().zip(covers).enumerate() {
                if cover > 0.0 {
                    let x = (mask.left + column) as f32 + 0.5;
                    let (colour, opacity) = paint(local(x, y as f32 + 0.5), *pixel);
                    *pixel = mix(*pixel, colour, (cover * opacity).min(1.0));
                }
            }
        }
    }

    /// A stroke along a quadratic Bézier curve, `widths` units wide at its start, middle and end.
    pub(super) fn stroke(&mut self, curve: [[f32; 2]; 3], widths: [f32; 3], colour: Colour) {
        const PIECES: usize = 10;
        let outline: Vec<[f32; 2]> = (0..2 * PIECES + 2)
            .map(|k| {
                let (side, k) = if k <= PIECES { (1.0, k) } else { (-1.0, 2 * PIECES + 1 - k) };
                let t = k as f32 / PIECES as f32;
                let s = 1.0 - t;
                let at = |i: usize| {
                    s * s * curve[0][i] + 2.0 * s * t * curve[1][i] + t * t * curve[2][i]
                };
                let slope =
                    |i: usize| s * (curve[1][i] - curve[0][i]) + t * (curve[2][i] - curve[1][i]);
                let (dx, dy) = (slope(0), slope(1));
                let width = s * s * widths[0] + 2.0 * s * t * widths[1] + t * t * widths[2];
                let half =
                    side * 0.5 * width.max(self.pixel()) / (dx * dx + dy * dy).sqrt().max(1e-6);
                [at(0) - dy * half, at(1) + dx * half]
            })
            .collect();
        self.polygon(&outline, 0.0, colour);
    }
}
