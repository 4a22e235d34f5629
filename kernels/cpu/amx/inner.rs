//! Fully connected layers: `Y = X·Wᵀ`, weights packed once.

use super::detect::Configured;
use super::micro::{self, Operands, Shape, Sums};
use super::pack::{PANEL, Rows, split};
use super::{Amx, Line, PARTS, SIDE, STEP, TILE};
use crate::cpu::micro::bend;
use crate::memory::Buffer;
use std::arch::x86_64::*;
use std::ops::Range;

/// Steps of a block: a block of X for 64 rows (512 KiB) and a panel of W stay in the second-level cache.
const BLOCK: usize = 64;

/// Right-hand side: weights by blocks of at most 64 steps, each block by panels of 16 outputs, each panel
/// by steps of 32 inputs: a tile of first parts, a tile of second parts.
pub struct Columns {
    lines: Buffer<Line>,
    inputs: usize,
    outputs: usize,
}

impl Columns {
    /// Packs weights; `weight` gives the one that leads from an input to an output.
    pub fn new(inputs: usize, outputs: usize, weight: impl Fn(usize, usize) -> f32) -> Self {
        let (steps, panels) = (inputs.div_ceil(STEP), outputs.div_ceil(SIDE));
        let mut packed =
            Self { lines: Buffer::zeroed(steps * panels * PARTS * SIDE), inputs, outputs };
        for output in 0..outputs {
            let (panel, column) = (output / SIDE, output % SIDE);
            for step in 0..steps {
                let at = packed.step(panel, step);
                for pair in 0..SIDE {
                    let input = step * STEP + 2 * pair;
                    let value = |i: usize| if i < inputs { weight(i, output) } else { 0.0 };
                    let (even, odd) = (split(value(input)), split(value(input + 1)));
                    for part in 0..PARTS {
                        let line = at + part * SIDE + pair;
                        packed.lines[line].0[column] = even[part] >> 16 | odd[part];
                    }
                }
            }
        }
        packed
    }

    fn steps(&self) -> usize {
        self.inputs.div_ceil(STEP)
    }

    /// The first line of a step of a panel.
    fn step(&self, panel: usize, step: usize) -> usize {
        let panels = self.outputs.div_ceil(SIDE);
        let block = step / BLOCK;
        let len = BLOCK.min(self.steps() - block * BLOCK);
        let steps = block * BLOCK * panels + panel * len + step % BLOCK;
        steps * PARTS * SIDE
    }

    /// Bytes that they take.
    pub fn bytes(&self) -> usize {
        self.lines.bytes()
    }

    /// How many outputs a share must have so that `parts` shares, each beginning at a panel, hold all.
    pub fn share(&self, parts: usize) -> usize {
        self.outputs.div_ceil(SIDE).div_ceil(parts) * SIDE
    }

    /// Packs inputs, `(rows, inputs)`, into the form that [`Columns::product`] takes.
    pub fn pack_inputs(&self, x: &[f32]) -> Rows {
        Rows::new(x.len() / self.inputs, self.steps(), |row, step, values| {
            let x = &x[row * self.inputs..][..self.inputs];
            let x = &x[step * STEP..x.len().min(step * STEP + STEP)];
            values[..x.len()].copy_from_slice(x);
        })
    }

    /// Some outputs, which begin a panel, of all rows of `x`: `y` is `(rows, outputs.len())`. `bias` has one
    /// value for each of `outputs`; negative results are multiplied with `relu`, if that is given.
    ///
    /// # Panics
    /// When the sizes do not fit.
    pub fn product(
        &self,
        amx: Amx,
        x: &Rows,
        outputs: Range<usize>,
        bias: Option<&[f32]>,
        relu: Option<f32>,
        y: &mut [f32],
    ) {
        assert!(outputs.start.is_multiple_of(SIDE) && outputs.end <= self.outputs);
        assert_eq!(x.steps(), self.steps());
        assert_eq!(y.len(), x.rows() * outputs.len());
        assert!(bias.is_none_or(|b| b.len() >= outputs.len()));
        // Two panels at a time, half of all apart: memory delivers two streams faster than one.
        let (first_panel, panels) = (outputs.start / SIDE, outputs.len().div_ceil(SIDE));
        let (pairs, row_panels) = (panels.div_ceil(2), x.rows().div_ceil(PANEL));
        let mut sums = vec![Sums::ZERO; pairs * row_panels];
        let step_bytes = PARTS * TILE;
        let configured = Configured::new(amx);
        for first in (0..self.steps()).step_by(BLOCK) {
            let len = BLOCK.min(self.steps() - first);
            for (pair, sums) in sums.chunks_exact_mut(row_panels).enumerate() {
                let panel = |i: usize| {
                    let line = self.step(first_panel + (pair + i * pairs).min(panels - 1), first);
                    self.lines[line..].as_ptr().cast::<u8>()
                };
                for (r, sums) in sums.iter_mut().enumerate() {
                    let operands = Operands {
                        steps: len,
                        a: x.panel(r, first),
                        b: [panel(0), panel(1)],
                        b_second: (PARTS - 1) * TILE,
                        b_step: step_bytes,
                        stream: if r == 0 { step_bytes } else { 0 },
                    };
                    let columns = if pair + pairs < panels { 2 } else { 1 };
                    let shape = Shape { rows: x.tiles(r), columns };
                    let sums: *mut Sums = sums;
                    let start = if first > 0 { sums } else { std::ptr::null() };
                    // SAFETY: `x` and `self` hold `len` steps from `first` on.
                    unsafe { micro::tile(&configured, shape, &operands, start, sums) };
                }
            }
        }
        drop(configured);
        for (row, y) in y.chunks_exact_mut(outputs.len()).enumerate() {
            for (panel, y) in y.chunks_mut(SIDE).enumerate() {
                let sums = &sums[panel % pairs * row_panels + row / PANEL];
                let line = &sums.0[row % PANEL / SIDE * 2 + panel / pairs][row % SIDE];
                let bias = bias.map_or(&[][..], |b| &b[panel * SIDE..]);
                // SAFETY: the machine has AVX-512 if it has tiles.
                unsafe { finish(line, bias, relu.unwrap_or(1.0), y) };
            }
        }
    }
}

/// Sums, biases (none or enough) and ReLU into at most sixteen outputs.
#[target_feature(enable = "avx512f")]
fn finish(sums: &[f32; SIDE], bias: &[f32], slope: f32, y: &mut [f32]) {
    let lanes = ((1u32 << y.len()) - 1) as __mmask16;
    // SAFETY: lanes outside the mask are neither read nor written.
    unsafe {
        let mut v = _mm512_loadu_ps(sums.as_ptr());
        if !bias.is_empty() {
            v = _mm512_add_ps(v, _mm512_maskz_loadu_ps(lanes, bias.as_ptr()));
        }
        if slope != 1.0 {
            v = bend(v, slope);
        }
        _mm512_mask_storeu_ps(y.as_mut_ptr(), lanes, v);
    }
}
