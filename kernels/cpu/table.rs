//! Which kernels this machine can run, and which one knob forces.
//!
//! A [`Kernels`] is the proof that its instruction set was detected: only this file makes one, and
//! only after asking the machine. Tests and benches loop over [`available`], so a new entry is tested
//! and measured by being listed.

use super::gemm::{MicroKernel, micro};
use super::gemv::{self, four_rows};
use std::sync::LazyLock;

/// The kernels of one instruction set.
#[derive(Debug)]
pub struct Kernels {
    name: &'static str,
    pub(super) gemm: MicroKernel,
    pub(super) gemv: gemv::Run,
}

impl Kernels {
    /// The instruction set, as the knob `LIKENET_ISA` spells it.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The matrix product's micro-kernel: instruction set, operation, tile.
    pub fn gemm_name(&self) -> &'static str {
        self.gemm.name
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{four_rows, micro};
    use std::arch::x86_64::{__m256, __m512};

    #[target_feature(enable = "avx512f")]
    pub unsafe fn avx512_gemm_14x32(
        k: usize,
        a: *const f32,
        b: *const f32,
        c: *mut f32,
        row: usize,
    ) {
        // SAFETY: this function is compiled for the set; the pointers are the caller's promise.
        unsafe { micro::<__m512, 14, 2>(k, a, b, c, row) }
    }

    #[target_feature(enable = "avx512f")]
    pub unsafe fn avx512_gemv(k: usize, rows: *const f32, x: *const f32, y: *mut f32) {
        // SAFETY: this function is compiled for the set; the pointers are the caller's promise.
        unsafe { four_rows::<__m512>(k, rows, x, y) }
    }

    #[target_feature(enable = "avx2,fma")]
    pub unsafe fn avx2_gemv(k: usize, rows: *const f32, x: *const f32, y: *mut f32) {
        // SAFETY: this function is compiled for the set; the pointers are the caller's promise.
        unsafe { four_rows::<__m256>(k, rows, x, y) }
    }

    #[target_feature(enable = "avx2,fma")]
    pub unsafe fn avx2_gemm_6x16(k: usize, a: *const f32, b: *const f32, c: *mut f32, row: usize) {
        // SAFETY: this function is compiled for the set; the pointers are the caller's promise.
        unsafe { micro::<__m256, 6, 2>(k, a, b, c, row) }
    }
}

unsafe fn portable_gemm_4x8(k: usize, a: *const f32, b: *const f32, c: *mut f32, row: usize) {
    // SAFETY: the portable lanes run anywhere; the pointers are the caller's promise.
    unsafe { micro::<wide::f32x8, 4, 1>(k, a, b, c, row) }
}

unsafe fn portable_gemv(k: usize, rows: *const f32, x: *const f32, y: *mut f32) {
    // SAFETY: the portable lanes run anywhere; the pointers are the caller's promise.
    unsafe { four_rows::<wide::f32x8>(k, rows, x, y) }
}

static AVAILABLE: LazyLock<Vec<Kernels>> = LazyLock::new(|| {
    let mut found = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            let name = "avx512_gemm_14x32";
            let gemm = MicroKernel { name, mr: 14, nr: 32, run: x86::avx512_gemm_14x32 };
            found.push(Kernels { name: "avx512", gemm, gemv: x86::avx512_gemv });
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            let gemm =
                MicroKernel { name: "avx2_gemm_6x16", mr: 6, nr: 16, run: x86::avx2_gemm_6x16 };
            found.push(Kernels { name: "avx2", gemm, gemv: x86::avx2_gemv });
        }
    }
    let gemm = MicroKernel { name: "portable_gemm_4x8", mr: 4, nr: 8, run: portable_gemm_4x8 };
    found.push(Kernels { name: "portable", gemm, gemv: portable_gemv });
    found
});

/// Everything that this machine can run, fastest first.
pub fn available() -> &'static [Kernels] {
    &AVAILABLE
}

/// The fastest, or the one that the environment variable `LIKENET_ISA` names.
///
/// Fails when it names one that this machine lacks: a forced set never falls back.
pub fn best() -> Result<&'static Kernels, String> {
    match std::env::var("LIKENET_ISA") {
        Ok(name) if !name.is_empty() => by_name(&name),
        _ => Ok(&available()[0]),
    }
}

/// The kernels of that instruction set.
pub fn by_name(name: &str) -> Result<&'static Kernels, String> {
    available().iter().find(|k| k.name == name).ok_or_else(|| {
        let names: Vec<&str> = available().iter().map(|k| k.name).collect();
        format!("instruction set '{name}' is not to be had here; there are: {}", names.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_portable_kernels_run_everywhere() {
        assert_eq!(available().last().map(Kernels::name), Some("portable"));
        assert!(by_name("portable").is_ok());
        assert!(by_name("mmx").unwrap_err().contains("portable"));
    }
}
