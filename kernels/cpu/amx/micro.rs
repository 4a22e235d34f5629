//! The innermost loop: up to two by two tiles of C.
//!
//! Flows in: tiles, each a kibibyte without gaps. Flows out: sums. Each step multiplies 32 summed indices. Sums live in tiles 0 to 3, left operands in 4 and 5, right
//! operands in 6 and 7; the three products of a step are ordered so that each operand is read once.

use super::detect::Configured;
use super::{SIDE, TILE};
use std::arch::asm;

/// Operands of a [`tile`].
pub struct Operands {
    /// Steps: 32 summed indices each.
    pub steps: usize,
    /// For each step: one or two tiles of first parts, then as many of second parts.
    pub a: *const u8,
    /// For each step a tile of first parts: of one or two right-hand sides.
    pub b: [*const u8; 2],
    /// From a right-hand tile of first parts to that of second parts, in bytes.
    pub b_second: usize,
    /// From a step's right-hand tile to the next step's, in bytes.
    pub b_step: usize,
    /// Bytes of a step's right-hand tiles if they come from memory without gaps: all lines are asked for at
    /// once, instead of row by row. Else 0.
    pub stream: usize,
}

/// Sums of a [`tile`]: up to two rows of two tiles, each 16 rows of 16 columns.
#[derive(Clone)]
#[repr(C, align(64))]
pub struct Sums(pub [[[f32; SIDE]; SIDE]; 4]);

impl Sums {
    pub const ZERO: Self = Self([[[0.0; SIDE]; SIDE]; 4]);

    /// Sums that begin as one number for each of at most 32 rows.
    pub fn of_rows(rows: &[f32]) -> Self {
        let mut sums = Self::ZERO;
        for (i, value) in rows.iter().enumerate() {
            let tiles = &mut sums.0[i / SIDE * 2..][..2];
            tiles.iter_mut().for_each(|tile| tile[i % SIDE] = [*value; SIDE]);
        }
        sums
    }
}

/// What is multiplied.
#[derive(Clone, Copy)]
pub struct Shape {
    /// Left-hand tiles, one or two.
    pub rows: usize,
    /// Right-hand tiles, one or two.
    pub columns: usize,
}

macro_rules! tile_loop {
    (
        $s:ident, $sums:ident, $start:ident;
        sums { $($tile:literal $at:literal),* }
        step { $($step:literal)* }
    ) => {
        asm!(
            "test {start}, {start}",
            "jz 3f",
            $(concat!("tileloadd ", $tile, ", [{start} + {line}*1 + ", $at, "]"),)*
            "jmp 4f",
            "3:",
            $(concat!("tilezero ", $tile),)*
            "4:",
            "test {steps}, {steps}",
            "jz 5f",
            "2:",
            "mov {left}, {stream}",
            "test {left}, {left}",
            "jz 7f",
            "sub {b0}, {second}",
            "sub {b1}, {second}",
            "6:",
            "prefetcht0 [{b0} + {left} - 64]",
            "prefetcht0 [{b1} + {left} - 64]",
            "sub {left}, 64",
            "jnz 6b",
            "add {b0}, {second}",
            "add {b1}, {second}",
            "7:",
            $($step,)*
            "add {b0}, {b_step}",
            "add {b1}, {b_step}",
            "dec {steps}",
            "jnz 2b",
            "5:",
            $(concat!("tilestored [{c} + {line}*1 + ", $at, "], ", $tile),)*
            a = inout(reg) $s.a => _,
            b0 = inout(reg) $s.b[0].wrapping_add($s.b_second) => _,
            b1 = inout(reg) $s.b[1].wrapping_add($s.b_second) => _,
            second = in(reg) $s.b_second,
            b_step = in(reg) $s.b_step + $s.b_second,
            line = in(reg) 64usize,
            steps = inout(reg) $s.steps => _,
            c = in(reg) $sums,
            start = in(reg) $start,
            stream = in(reg) $s.stream,
            left = out(reg) _,
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack),
        )
    };
}

/// Computes one to four tiles of C over all steps. The sums begin as `start`, which may be `sums`, or as
/// zero if it is null.
///
/// # Safety
/// `a` must hold as many steps of the shape's tiles, `b` a tile of each part for each step; `start` must be
/// readable, or null; `sums` writable.
pub unsafe fn tile(
    _: &Configured,
    shape: Shape,
    s: &Operands,
    start: *const Sums,
    sums: *mut Sums,
) {
    const { assert!(TILE == 1024, "as the displacements below have it") };
    // SAFETY: tiles are configured; the caller promises what is read and written.
    unsafe {
        match (shape.rows, shape.columns) {
            (2, 2) => tile_loop! {
                s, sums, start;
                sums { "tmm0" "0", "tmm1" "1024", "tmm2" "2048", "tmm3" "3072" }
                step {
                    "tileloadd tmm4, [{a} + {line}*1]"
                    "tileloadd tmm5, [{a} + {line}*1 + 1024]"
                    "tileloadd tmm6, [{b0} + {line}*1]"
                    "tileloadd tmm7, [{b1} + {line}*1]"
                    "sub {b0}, {second}"
                    "sub {b1}, {second}"
                    "tdpbf16ps tmm0, tmm4, tmm6"
                    "tdpbf16ps tmm1, tmm4, tmm7"
                    "tdpbf16ps tmm2, tmm5, tmm6"
                    "tdpbf16ps tmm3, tmm5, tmm7"
                    "tileloadd tmm6, [{b0} + {line}*1]"
                    "tileloadd tmm7, [{b1} + {line}*1]"
                    "tdpbf16ps tmm0, tmm4, tmm6"
                    "tdpbf16ps tmm1, tmm4, tmm7"
                    "tdpbf16ps tmm2, tmm5, tmm6"
                    "tdpbf16ps tmm3, tmm5, tmm7"
                    "tileloadd tmm4, [{a} + {line}*1 + 2048]"
                    "tileloadd tmm5, [{a} + {line}*1 + 3072]"
                    "tdpbf16ps tmm0, tmm4, tmm6"
                    "tdpbf16ps tmm1, tmm4, tmm7"
                    "tdpbf16ps tmm2, tmm5, tmm6"
                    "tdpbf16ps tmm3, tmm5, tmm7"
                    "add {a}, 4096"
                }
            },
            (2, 1) => tile_loop! {
                s, sums, start;
                sums { "tmm0" "0", "tmm2" "2048" }
                step {
                    "tileloadd tmm4, [{a} + {line}*1]"
                    "tileloadd tmm5, [{a} + {line}*1 + 1024]"
                    "tileloadd tmm6, [{b0} + {line}*1]"
                    "sub {b0}, {second}"
                    "tdpbf16ps tmm0, tmm4, tmm6"
                    "tdpbf16ps tmm2, tmm5, tmm6"
                    "tileloadd tmm6, [{b0} + {line}*1]"
                    "tdpbf16ps tmm0, tmm4, tmm6"
                    "tdpbf16ps tmm2, tmm5, tmm6"
                    "tileloadd tmm4, [{a} + {line}*1 + 2048]"
                    "tileloadd tmm5, [{a} + {line}*1 + 3072]"
                    "tdpbf16ps tmm0, tmm4, tmm6"
                    "tdpbf16ps tmm2, tmm5, tmm6"
                    "add {a}, 4096"
                }
            },
            (1, 2) => tile_loop! {
                s, sums, start;
                sums { "tmm0" "0", "tmm1" "1024" }
                step {
                    "tileloadd tmm4, [{a} + {line}*1]"
                    "tileloadd tmm6, [{b0} + {line}*1]"
                    "tileloadd tmm7, [{b1} + {line}*1]"
                    "sub {b0}, {second}"
                    "sub {b1}, {second}"
                    "tdpbf16ps tmm0, tmm4, tmm6"
                    "tdpbf16ps tmm1, tmm4, tmm7"
                    "tileloadd tmm6, [{b0} + {line}*1]"
                    "tileloadd tmm7, [{b1} + {line}*1]"
                    "tdpbf16ps tmm0, tmm4, tmm6"
                    "tdpbf16ps tmm1, tmm4, tmm7"
                    "tileloadd tmm4, [{a} + {line}*1 + 1024]"
                    "tdpbf16ps tmm0, tmm4, tmm6"
                    "tdpbf16ps tmm1, tmm4, tmm7"
                    "add {a}, 2048"
                }
            },
            (1, 1) => tile_loop! {
                s, sums, start;
                sums { "tmm0" "0" }
                step {
                    "tileloadd tmm4, [{a} + {line}*1]"
                    "tileloadd tmm6, [{b0} + {line}*1]"
                    "sub {b0}, {second}"
                    "tdpbf16ps tmm0, tmm4, tmm6"
                    "tileloadd tmm6, [{b0} + {line}*1]"
                    "tdpbf16ps tmm0, tmm4, tmm6"
                    "tileloadd tmm4, [{a} + {line}*1 + 1024]"
                    "tdpbf16ps tmm0, tmm4, tmm6"
                    "add {a}, 2048"
                }
            },
            (rows, columns) => unreachable!("no kernel has {rows}×{columns} tiles"),
        }
    }
}
/// Operands of a [`sliding_tile`].
pub struct Sliding {
    /// Steps: 32 summed indices each.
    pub steps: usize,
    /// Left-hand rows of first parts, of one or two tiles; a step's values follow the last one's.
    pub a: [*const u8; 2],
    /// From one left-hand row to the next, in bytes.
    pub a_row: usize,
    /// From a left-hand row of first parts to that of second parts, in bytes.
    pub a_second: usize,
    /// Right-hand tiles of first parts, of one or two right-hand sides, each after the last step's.
    pub b: [*const u8; 2],
    /// From a right-hand tile of first parts to that of second parts, in bytes.
    pub b_second: usize,
}

macro_rules! sliding_loop {
    (
        $s:ident, $sums:ident;
        sums { $($tile:literal $at:literal),* }
        left { $($left:literal)* }
        right { $($right:literal)* }
        multiply { $($multiply:literal)* }
    ) => {
        asm!(
            $(concat!("tileloadd ", $tile, ", [{c} + {line}*1 + ", $at, "]"),)*
            "2:",
            $($left,)*
            $($right,)*
            "sub {b0}, {b_second}",
            "sub {b1}, {b_second}",
            $($multiply,)*
            $($right,)*
            "add {a0}, {a_second}",
            "add {a1}, {a_second}",
            $($multiply,)*
            $($left,)*
            "sub {a0}, {a_back}",
            "sub {a1}, {a_back}",
            $($multiply,)*
            "add {b0}, {b_step}",
            "add {b1}, {b_step}",
            "dec {steps}",
            "jnz 2b",
            $(concat!("tilestored [{c} + {line}*1 + ", $at, "], ", $tile),)*
            a0 = inout(reg) $s.a[0] => _,
            a1 = inout(reg) $s.a[1] => _,
            row = in(reg) $s.a_row,
            a_second = in(reg) $s.a_second,
            a_back = in(reg) $s.a_second.wrapping_sub(64),
            b0 = inout(reg) $s.b[0].wrapping_add($s.b_second) => _,
            b1 = inout(reg) $s.b[1].wrapping_add($s.b_second) => _,
            b_second = in(reg) $s.b_second,
            b_step = in(reg) $s.b_second + TILE,
            line = in(reg) 64usize,
            steps = inout(reg) $s.steps => _,
            c = in(reg) $sums,
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack),
        )
    };
}

/// Adds one to four tiles of products to `sums`. Left-hand rows lie in plain order, and right-hand tiles may
/// begin at any line, so that one copy of each serves every tap of a window.
///
/// # Safety
/// There must be a step at least; each of sixteen rows of `a` must hold all steps of both parts, and so must
/// `b`; `sums` must be writable.
pub unsafe fn sliding_tile(_: &Configured, shape: Shape, s: &Sliding, sums: *mut Sums) {
    const { assert!(TILE == 1024, "as the displacements below have it") };
    // SAFETY: tiles are configured; the caller promises what is read and written.
    unsafe {
        match (shape.rows, shape.columns) {
            (2, 2) => sliding_loop! {
                s, sums;
                sums { "tmm0" "0", "tmm1" "1024", "tmm2" "2048", "tmm3" "3072" }
                left { "tileloadd tmm4, [{a0} + {row}*1]" "tileloadd tmm5, [{a1} + {row}*1]" }
                right { "tileloadd tmm6, [{b0} + {line}*1]" "tileloadd tmm7, [{b1} + {line}*1]" }
                multiply {
                    "tdpbf16ps tmm0, tmm4, tmm6"
                    "tdpbf16ps tmm1, tmm4, tmm7"
                    "tdpbf16ps tmm2, tmm5, tmm6"
                    "tdpbf16ps tmm3, tmm5, tmm7"
                }
            },
            (2, 1) => sliding_loop! {
                s, sums;
                sums { "tmm0" "0", "tmm2" "2048" }
                left { "tileloadd tmm4, [{a0} + {row}*1]" "tileloadd tmm5, [{a1} + {row}*1]" }
                right { "tileloadd tmm6, [{b0} + {line}*1]" }
                multiply { "tdpbf16ps tmm0, tmm4, tmm6" "tdpbf16ps tmm2, tmm5, tmm6" }
            },
            (1, 2) => sliding_loop! {
                s, sums;
                sums { "tmm0" "0", "tmm1" "1024" }
                left { "tileloadd tmm4, [{a0} + {row}*1]" }
                right { "tileloadd tmm6, [{b0} + {line}*1]" "tileloadd tmm7, [{b1} + {line}*1]" }
                multiply { "tdpbf16ps tmm0, tmm4, tmm6" "tdpbf16ps tmm1, tmm4, tmm7" }
            },
            (1, 1) => sliding_loop! {
                s, sums;
                sums { "tmm0" "0" }
                left { "tileloadd tmm4, [{a0} + {row}*1]" }
                right { "tileloadd tmm6, [{b0} + {line}*1]" }
                multiply { "tdpbf16ps tmm0, tmm4, tmm6" }
            },
            (rows, columns) => unreachable!("no kernel has {rows}×{columns} tiles"),
        }
    }
}

/// Products of tiles that wait for nothing; how many floating-point operations they were.
pub fn chains(amx: super::Amx) -> f64 {
    const ROUNDS: usize = 20_000;
    // Numbers between 1 and 2 in all bits: on zeros the unit takes less power and runs faster.
    let words =
        std::array::from_fn(|i| 0x3f80_3f80 | (i as u32).wrapping_mul(0x9e37_79b9) & 0x007f_007f);
    let tile = [super::Line(words); SIDE];
    let configured = Configured::new(amx);
    // SAFETY: tiles are configured; `tile` is a kibibyte.
    unsafe {
        asm!(
            "tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3",
            "tileloadd tmm4, [{tile} + {line}*1]", "tileloadd tmm5, [{tile} + {line}*1]",
            "tileloadd tmm6, [{tile} + {line}*1]", "tileloadd tmm7, [{tile} + {line}*1]",
            "2:",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "dec {rounds}",
            "jnz 2b",
            tile = in(reg) tile.as_ptr(),
            line = in(reg) 64usize,
            rounds = inout(reg) ROUNDS => _,
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack, readonly),
        );
    }
    drop(configured);
    (ROUNDS * 4 * 2 * SIDE * SIDE * super::STEP) as f64
}
