//! From matrices in memory to the words of tiles, on the way to a product.
//!
//! Flows in: an operand, seen as lines (rows of a left-hand side, columns of a right-hand side) of summed
//! indices. Flows out: tiles of two parts. Values that are neighbours in memory are read as vectors,
//! whichever way they run; where they run the other way than the tile's rows, sixteen vectors are transposed.

use super::pack::split16;
use super::{Line, PARTS, SIDE, STEP};
use std::arch::x86_64::*;
use std::ops::Range;

/// An operand: value p of line i is `data[i · line + p · next]`, and one of both distances is 1.
#[derive(Clone, Copy)]
pub struct Operand<'a> {
    pub data: &'a [f32],
    pub line: usize,
    pub next: usize,
}

/// Which way the rows of a tile run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// A row of the tile is a line.
    Left,
    /// A row of the tile is a pair of summed indices of all lines.
    Right,
}

impl Operand<'_> {
    /// Packs lines `i` (at most sixteen) and summed indices `p` (at most 32) into a tile of first and one
    /// of second parts; what is missing is zero.
    ///
    /// # Safety
    /// The machine must have tiles, and `data` the values. Each of `to` must be a whole tile.
    #[target_feature(enable = "avx512f,avx512bf16")]
    pub unsafe fn pack(&self, side: Side, i: Range<usize>, p: Range<usize>, to: [&mut [Line]; 2]) {
        let mut words = [[_mm512_setzero_si512(); SIDE]; PARTS];
        let along = self.next == 1;
        let lanes = |count: usize| ((1u64 << count.min(SIDE)) - 1) as __mmask16;
        let load = |at: usize, count: usize| {
            // SAFETY: lanes beyond `count` are not read; the values are the caller's promise.
            unsafe { _mm512_maskz_loadu_ps(lanes(count), self.data.as_ptr().wrapping_add(at)) }
        };
        if along {
            for (row, i) in i.clone().enumerate() {
                let at = i * self.line + p.start;
                let high = load(at + SIDE, p.len().saturating_sub(SIDE));
                [words[0][row], words[1][row]] = within(load(at, p.len()), high);
            }
        } else {
            for (row, p0) in p.clone().step_by(2).enumerate() {
                let even = load(p0 * self.next + i.start, i.len());
                let count = if p0 + 1 < p.end { i.len() } else { 0 };
                let odd = load((p0 + 1) * self.next + i.start, count);
                // SAFETY: the set is the caller's promise.
                let (even, odd) = unsafe { (split16(even), split16(odd)) };
                for part in 0..PARTS {
                    words[part][row] =
                        _mm512_or_si512(_mm512_srli_epi32::<16>(even[part]), odd[part]);
                }
            }
        }
        for (words, to) in words.iter_mut().zip(to) {
            if along != (side == Side::Left) {
                transpose(words);
            }
            for (word, line) in words.iter().zip(&mut to[..SIDE]) {
                // SAFETY: a line is sixteen words on a 64-byte boundary.
                unsafe { _mm512_store_epi32(line.0.as_mut_ptr().cast(), *word) };
            }
        }
    }
}

/// Words of 32 neighbouring values, rounded, and of what that leaves of them.
#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
pub fn within(low: __m512, high: __m512) -> [__m512i; PARTS] {
    let words = |low, high| {
        // SAFETY: both are 64 bytes of which any value is valid.
        unsafe { std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(high, low)) }
    };
    let whole = |half| _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(half)));
    let first = words(low, high);
    let left_low = _mm512_sub_ps(low, whole(_mm512_castsi512_si256(first)));
    let left_high = _mm512_sub_ps(high, whole(_mm512_extracti64x4_epi64::<1>(first)));
    [first, words(left_low, left_high)]
}

/// Sixteen rows of sixteen words become columns: pairs of words, of pairs, of quarters, of halves.
#[inline]
#[target_feature(enable = "avx512f")]
fn transpose(rows: &mut [__m512i; SIDE]) {
    let mut next = *rows;
    for i in (0..SIDE).step_by(2) {
        next[i] = _mm512_unpacklo_epi32(rows[i], rows[i + 1]);
        next[i + 1] = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
    }
    // Row 4q + c now becomes words c, c + 4, c + 8 and c + 12 of rows 4q to 4q + 3.
    for q in (0..SIDE).step_by(4) {
        rows[q] = _mm512_unpacklo_epi64(next[q], next[q + 2]);
        rows[q + 1] = _mm512_unpackhi_epi64(next[q], next[q + 2]);
        rows[q + 2] = _mm512_unpacklo_epi64(next[q + 1], next[q + 3]);
        rows[q + 3] = _mm512_unpackhi_epi64(next[q + 1], next[q + 3]);
    }
    for c in 0..4 {
        let [a, b, d, e] = [rows[c], rows[4 + c], rows[8 + c], rows[12 + c]];
        let (low, high) = (_mm512_shuffle_i32x4::<0x88>(a, b), _mm512_shuffle_i32x4::<0x88>(d, e));
        next[c] = _mm512_shuffle_i32x4::<0x88>(low, high);
        next[8 + c] = _mm512_shuffle_i32x4::<0xdd>(low, high);
        let (low, high) = (_mm512_shuffle_i32x4::<0xdd>(a, b), _mm512_shuffle_i32x4::<0xdd>(d, e));
        next[4 + c] = _mm512_shuffle_i32x4::<0x88>(low, high);
        next[12 + c] = _mm512_shuffle_i32x4::<0xdd>(low, high);
    }
    *rows = next;
}

/// Summed indices of a whole number of steps.
pub fn steps(count: usize) -> usize {
    count.div_ceil(STEP)
}

#[cfg(test)]
mod tests {
    use super::super::{Amx, ZEROS};
    use super::*;

    #[test]
    fn every_value_finds_its_word() {
        if Amx::detect().is_none() {
            return println!("skipped: no tiles here");
        }
        let data: Vec<f32> = (1..2000).map(|i| i as f32 / 8.0).collect();
        for (line, next) in [(35, 1), (1, 21)] {
            for (side, i, p) in [
                (Side::Left, 0..16, 0..32),
                (Side::Right, 0..16, 0..32),
                (Side::Left, 3..10, 1..20),
                (Side::Right, 2..19 - 2, 2..35),
                (Side::Right, 0..1, 4..5),
            ] {
                let p = p.start..p.end.min(p.start + 32);
                let i = i.start..i.end.min(i.start + 16);
                let mut tiles = [[ZEROS; SIDE]; 2];
                let [first, second] = &mut tiles;
                let operand = Operand { data: &data, line, next };
                // SAFETY: there are tiles; the data is long enough; tiles are whole.
                unsafe { operand.pack(side, i.clone(), p.clone(), [first, second]) };
                for (a, b) in (0..16).flat_map(|a| (0..32).map(move |b| (a, b))) {
                    let (row, word) = if side == Side::Left { (a, b / 2) } else { (b / 2, a) };
                    let half = |part: usize| {
                        let word = tiles[part][row].0[word];
                        f32::from_bits(if b % 2 == 0 { word << 16 } else { word & 0xffff_0000 })
                    };
                    let inside = a < i.len() && b < p.len();
                    let at = (i.start + a) * line + (p.start + b) * next;
                    let want = if inside { data[at] } else { 0.0 };
                    assert!((half(0) + half(1) - want).abs() <= want / 65536.0, "{a} {b}");
                }
            }
        }
    }
}
