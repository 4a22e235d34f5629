//! What a kernel over bytes needs from a SIMD instruction set: vectors of 8-bit and 16-bit whole numbers.
//!
//! As with [`Simd`](super::simd::Simd), a kernel is written once; the plain implementation, [`Words`], says what
//! each operation means, and is what the portable kernels run (the compiler maps its short loops to
//! what the target has).

/// One instruction set's vector of whole numbers: `WORDS` of 16 bits, or twice as many bytes.
///
/// # Safety
/// Every method may execute instructions of the set: call them only from a function that is compiled
/// for it, on a machine that has it. Slices are checked.
pub unsafe trait Bytes: Copy {
    /// Words of a vector.
    const WORDS: usize;

    /// Reads `2 · WORDS` bytes.
    ///
    /// # Safety
    /// As for the trait.
    unsafe fn bytes(from: &[u8]) -> Self;

    /// Reads `WORDS` words.
    ///
    /// # Safety
    /// As for the trait.
    unsafe fn words(from: &[u16]) -> Self;

    /// `table[index]` for `WORDS` indices below [`TABLE`]; `table` must have as many words.
    ///
    /// # Safety
    /// As for the trait.
    unsafe fn pick(table: &[u16], index: &[u16]) -> Self;

    /// `word` in every lane.
    ///
    /// # Safety
    /// As for the trait.
    unsafe fn splat(word: u16) -> Self;

    /// Writes `WORDS` words.
    ///
    /// # Safety
    /// As for the trait.
    unsafe fn store(self, to: &mut [u16]);

    /// Bytes: self − other, or 0 where that is negative.
    ///
    /// # Safety
    /// As for the trait.
    unsafe fn sub_bytes(self, other: Self) -> Self;

    /// Bytes: the smaller one.
    ///
    /// # Safety
    /// As for the trait.
    unsafe fn min_bytes(self, other: Self) -> Self;

    /// The bits of both.
    ///
    /// # Safety
    /// As for the trait.
    unsafe fn or(self, other: Self) -> Self;

    /// Words: the sum of each pair of bytes.
    ///
    /// # Safety
    /// As for the trait.
    unsafe fn pairs(self) -> Self;

    /// Words: the sum, modulo 2¹⁶.
    ///
    /// # Safety
    /// As for the trait.
    unsafe fn add(self, other: Self) -> Self;

    /// Words: the difference, modulo 2¹⁶.
    ///
    /// # Safety
    /// As for the trait.
    unsafe fn sub(self, other: Self) -> Self;

    /// Words: the upper half of the product.
    ///
    /// # Safety
    /// As for the trait.
    unsafe fn high(self, other: Self) -> Self;

    /// Words with a sign: the upper half of the product.
    ///
    /// # Safety
    /// As for the trait.
    unsafe fn high_signed(self, other: Self) -> Self;

    /// Words: self / 2ᴺ, rounded down.
    ///
    /// # Safety
    /// As for the trait.
    unsafe fn shift<const N: u32>(self) -> Self;

    /// Words with a sign: `0` where negative, `255` where larger.
    ///
    /// # Safety
    /// As for the trait.
    unsafe fn clamp(self) -> Self;

    /// Writes the lower bytes of the even words, then those of the odd ones: `WORDS / 2` each.
    ///
    /// # Safety
    /// As for the trait.
    unsafe fn split(self, even: &mut [u8], odd: &mut [u8]);
}

/// Words of a table that [`Bytes::pick`] reads from: two vectors of AVX-512.
pub const TABLE: usize = 64;

/// `table[index]` one by one; indices count modulo [`TABLE`].
#[inline(always)]
pub fn pick<const N: usize>(table: &[u16], index: &[u16]) -> [u16; N] {
    let table: &[u16; TABLE] = table.first_chunk().expect("a whole table");
    let mut out = [0; N];
    for (out, &i) in out.iter_mut().zip(&index[..N]) {
        *out = table[usize::from(i) % TABLE];
    }
    out
}

/// Sixteen words on any machine.
#[derive(Clone, Copy)]
pub struct Words([u16; 16]);

impl Words {
    #[inline(always)]
    fn each_word(self, other: Self, f: impl Fn(u16, u16) -> u16) -> Self {
        let mut out = self;
        for i in 0..16 {
            out.0[i] = f(self.0[i], other.0[i]);
        }
        out
    }

    #[inline(always)]
    fn each_byte(self, other: Self, f: impl Fn(u8, u8) -> u8) -> Self {
        self.each_word(other, |a, b| {
            let ([a, c], [b, d]) = (a.to_le_bytes(), b.to_le_bytes());
            u16::from_le_bytes([f(a, b), f(c, d)])
        })
    }
}

// SAFETY: safe code for the target's baseline.
unsafe impl Bytes for Words {
    const WORDS: usize = 16;

    #[inline(always)]
    unsafe fn bytes(from: &[u8]) -> Self {
        let mut out = [0; 16];
        for (out, pair) in out.iter_mut().zip(from[..32].chunks_exact(2)) {
            *out = u16::from_le_bytes([pair[0], pair[1]]);
        }
        Self(out)
    }

    #[inline(always)]
    unsafe fn words(from: &[u16]) -> Self {
        Self(*from.first_chunk().expect("a whole vector"))
    }

    #[inline(always)]
    unsafe fn pick(table: &[u16], index: &[u16]) -> Self {
        Self(pick(table, index))
    }

    #[inline(always)]
    unsafe fn splat(word: u16) -> Self {
        Self([word; 16])
    }

    #[inline(always)]
    unsafe fn store(self, to: &mut [u16]) {
        to[..16].copy_from_slice(&self.0);
    }

    #[inline(always)]
    unsafe fn sub_bytes(self, other: Self) -> Self {
        self.each_byte(other, |a, b| a.saturating_sub(b))
    }

    #[inline(always)]
    unsafe fn min_bytes(self, other: Self) -> Self {
        self.each_byte(other, |a, b| a.min(b))
    }

    #[inline(always)]
    unsafe fn or(self, other: Self) -> Self {
        self.each_word(other, |a, b| a | b)
    }

    #[inline(always)]
    unsafe fn pairs(self) -> Self {
        self.each_word(self, |a, _| (a & 0xff) + (a >> 8))
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        self.each_word(other, |a, b| a.wrapping_add(b))
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        self.each_word(other, |a, b| a.wrapping_sub(b))
    }

    #[inline(always)]
    unsafe fn high(self, other: Self) -> Self {
        self.each_word(other, |a, b| ((u32::from(a) * u32::from(b)) >> 16) as u16)
    }

    #[inline(always)]
    unsafe fn high_signed(self, other: Self) -> Self {
        self.each_word(other, |a, b| ((i32::from(a as i16) * i32::from(b as i16)) >> 16) as u16)
    }

    #[inline(always)]
    unsafe fn shift<const N: u32>(self) -> Self {
        self.each_word(self, |a, _| a >> N)
    }

    #[inline(always)]
    unsafe fn clamp(self) -> Self {
        self.each_word(self, |a, _| (a as i16).clamp(0, 255) as u16)
    }

    #[inline(always)]
    unsafe fn split(self, even: &mut [u8], odd: &mut [u8]) {
        let (even, odd) = (&mut even[..8], &mut odd[..8]);
        for i in 0..8 {
            (even[i], odd[i]) = (self.0[2 * i] as u8, self.0[2 * i + 1] as u8);
        }
    }
}

/// Implements [`Bytes`] over the intrinsics of an x86 instruction set.
#[cfg(target_arch = "x86_64")]
macro_rules! stamp_bytes {
    ($vector:ident of $words:literal words: load $load:ident, store $store:ident, pick $pick:ident, splat $splat:ident,
     splat_bytes $splat_bytes:ident, pairs $pairs:ident, min_signed $min:ident, max_signed $max:ident,
     shift $shift:ident, split $split:ident; $($name:ident $binary:ident),*) => {
        // SAFETY: the trait's callers promise the instruction set; slices are cut to whole vectors before
        // their pointers are used.
        unsafe impl $crate::cpu::bytes::Bytes for $vector {
            const WORDS: usize = $words;

            #[inline(always)]
            unsafe fn bytes(from: &[u8]) -> Self {
                // SAFETY: as above.
                unsafe { $load(from[..2 * $words].as_ptr().cast()) }
            }

            #[inline(always)]
            unsafe fn words(from: &[u16]) -> Self {
                // SAFETY: as above.
                unsafe { $load(from[..$words].as_ptr().cast()) }
            }

            #[inline(always)]
            unsafe fn pick(table: &[u16], index: &[u16]) -> Self {
                // SAFETY: as above.
                unsafe { $pick(table, index) }
            }

            #[inline(always)]
            unsafe fn splat(word: u16) -> Self {
                // SAFETY: as above.
                unsafe { $splat(word as i16) }
            }

            #[inline(always)]
            unsafe fn store(self, to: &mut [u16]) {
                // SAFETY: as above.
                unsafe { $store(to[..$words].as_mut_ptr().cast(), self) }
            }

            #[inline(always)]
            unsafe fn pairs(self) -> Self {
                // SAFETY: as above.
                unsafe { $pairs(self, $splat_bytes(1)) }
            }

            #[inline(always)]
            unsafe fn shift<const N: u32>(self) -> Self {
                // SAFETY: as above.
                unsafe { $shift(self, N) }
            }

            #[inline(always)]
            unsafe fn clamp(self) -> Self {
                // SAFETY: as above.
                unsafe { $min($max(self, $splat(0)), $splat(255)) }
            }

            #[inline(always)]
            unsafe fn split(self, even: &mut [u8], odd: &mut [u8]) {
                let (even, odd) = (&mut even[..$words / 2], &mut odd[..$words / 2]);
                // SAFETY: as above.
                unsafe { $split(self, even.as_mut_ptr().cast(), odd.as_mut_ptr().cast()) }
            }

            $(
                #[inline(always)]
                unsafe fn $name(self, other: Self) -> Self {
                    // SAFETY: as above.
                    unsafe { $binary(self, other) }
                }
            )*
        }
    };
}
#[cfg(target_arch = "x86_64")]
pub(super) use stamp_bytes;
