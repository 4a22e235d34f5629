//! From `f32` to the parts that tiles hold.

use super::{Line, PARTS, SIDE, STEP, ZEROS};
use crate::memory::Buffer;
use std::arch::x86_64::*;

/// Left-hand side: rows in panels of 32, each by steps of 32 summed indices, each step one or two tiles
/// of first parts and as many of second parts.
#[derive(Clone, Default)]
pub struct Rows {
    lines: Buffer<Line>,
    rows: usize,
    steps: usize,
}

/// Rows of a panel: two tiles.
pub const PANEL: usize = 2 * SIDE;

impl Rows {
    /// Packs `rows` rows of `steps · 32` values, of which `value` gives those of a row and a step.
    pub fn new(rows: usize, steps: usize, value: impl Fn(usize, usize, &mut [f32; STEP])) -> Self {
        let mut packed = Self::default();
        packed.pack(rows, steps, value);
        packed
    }

    /// The same into the memory that this one has.
    pub fn pack(
        &mut self,
        rows: usize,
        steps: usize,
        value: impl Fn(usize, usize, &mut [f32; STEP]),
    ) {
        let tiles = rows.div_ceil(SIDE);
        self.lines.at_least(tiles * steps * PARTS * SIDE).fill(ZEROS);
        (self.rows, self.steps) = (rows, steps);
        for row in 0..rows {
            let tiles = self.tiles(row / PANEL);
            let (panel, tile) = (self.panel_start(row / PANEL), row % PANEL / SIDE);
            for step in 0..steps {
                let mut values = [0f32; STEP];
                value(row, step, &mut values);
                let step = panel + step * tiles * PARTS * SIDE;
                let line = |part: usize| step + (part * tiles + tile) * SIDE + row % SIDE;
                let split = values.map(split);
                for part in 0..PARTS {
                    let words = &mut self.lines[line(part)].0;
                    for (word, pair) in words.iter_mut().zip(split.as_chunks::<2>().0) {
                        *word = pair[0][part] >> 16 | pair[1][part];
                    }
                }
            }
        }
    }

    fn panel_start(&self, panel: usize) -> usize {
        panel * 2 * self.steps * PARTS * SIDE
    }

    /// Tiles of a panel: one or two.
    pub fn tiles(&self, panel: usize) -> usize {
        2.min(self.rows.div_ceil(SIDE) - panel * 2)
    }

    /// Where a panel's step begins.
    pub fn panel(&self, panel: usize, step: usize) -> *const u8 {
        let at = self.panel_start(panel) + step * self.tiles(panel) * PARTS * SIDE;
        self.lines[at..].as_ptr().cast()
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Summed indices, by 32.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// Bytes that it takes.
    pub fn bytes(&self) -> usize {
        self.lines.bytes()
    }
}

/// A number's two parts, each in the upper half of a word whose lower half is zero.
///
/// Rounded to nearest, ties away from zero; infinite numbers have a NaN for a second part, so that
/// products with them are NaN.
#[inline(always)]
pub fn split(x: f32) -> [u32; 2] {
    let round = |x: f32| x.to_bits().wrapping_add(0x8000) & 0xffff_0000;
    let first = round(x);
    [first, round(x - f32::from_bits(first))]
}

/// [`split`] of sixteen numbers.
///
/// # Safety
/// The machine must have AVX-512F.
#[inline(always)]
pub unsafe fn split16(x: __m512) -> [__m512i; 2] {
    // SAFETY: the caller promises the set.
    unsafe {
        let upper = _mm512_set1_epi32(0xffff_0000_u32 as i32);
        let round = |x: __m512| {
            let bits = _mm512_add_epi32(_mm512_castps_si512(x), _mm512_set1_epi32(0x8000));
            _mm512_and_si512(bits, upper)
        };
        let first = round(x);
        [first, round(_mm512_sub_ps(x, _mm512_castsi512_ps(first)))]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_parts_are_almost_the_number() {
        for x in [1.0, -3.271_592_7, 1e-30, 6.022e23, 255.0 / 256.0, 0.0, -0.0] {
            let [first, second] = split(x).map(f32::from_bits);
            assert!((x - first).abs() <= x.abs() / 256.0);
            assert!((x - first - second).abs() <= x.abs() / 65536.0, "{x} {first} {second}");
        }
        assert_eq!(split(1.0), [1.0f32.to_bits(), 0]);
        assert!(f32::from_bits(split(f32::NAN)[0]).is_nan());
        assert!(f32::from_bits(split(f32::INFINITY)[1]).is_nan());
    }
}
