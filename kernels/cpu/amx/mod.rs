//! Matrix products in AMX's tile registers (Intel server processors since 2023).
//!
//! The tile unit multiplies `bf16`, numbers with the exponent of `f32` and 8 bits of mantissa, sixteen
//! times as fast as AVX-512 multiplies `f32`, and sums in `f32`. An `f32` is, but for its last seven bits
//! or so, the sum of two `bf16`: its rounded value and what that leaves. So
//!
//! ```text
//! a·b ≈ a₁·b₁ + a₁·b₂ + a₂·b₁        a = a₁ + a₂, b = b₁ + b₂
//! ```
//!
//! costs three products of tiles and errs by about 2⁻¹⁷ of a·b: not quite `f32`, but a hundred times
//! closer to it than `bf16`, at five times the speed (Henry, Tang and Heinecke, 2019).
//!
//! A tile holds 16 rows of 64 bytes. The left operand has 16 rows of 32 summed indices; the right one 16
//! pairs of summed indices for 16 columns, so that a word holds both values of a pair.

mod conv;
mod detect;
mod gemm;
mod gradient;
mod inner;
mod micro;
mod pack;
mod words;

pub use conv::{Buffer, Filters};
pub use detect::Amx;
pub use gemm::{Packed, product};
pub use gradient::{Accumulators, weights_back};
pub use inner::Columns;
pub use pack::Rows;

pub(super) use conv::BUDGET;
pub(super) use micro::chains;

/// How many `bf16` stand for an `f32`.
pub(super) const PARTS: usize = 2;
/// Rows of a tile, and columns of its words.
pub(super) const SIDE: usize = 16;
/// Summed indices of a step: two for each word of a row.
const STEP: usize = 2 * SIDE;
/// Bytes of a tile.
const TILE: usize = 64 * SIDE;

/// A row of a tile, or a cache line.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Line([u32; SIDE]);

// SAFETY: zero bytes are zeros.
unsafe impl crate::memory::Number for Line {}

const ZEROS: Line = Line([0; SIDE]);
