//! Which instruction sets this machine can run, and which one knob forces.
//!
//! A [`Kernels`] is the proof that its instruction set was detected: only this file makes one, and
//! only after asking the machine. Tests and benches loop over [`available`], so a new entry is tested
//! and measured by being listed.

#[cfg(target_arch = "x86_64")]
use super::amx::Amx;
use super::simd::{Simd, SimdOp, TILE_VECTORS};
use std::sync::LazyLock;

/// An instruction set that this machine has.
#[derive(Debug, PartialEq, Eq)]
pub struct Kernels {
    set: Set,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Set {
    /// AVX-512, and tiles beside it.
    #[cfg(target_arch = "x86_64")]
    Amx(Amx),
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "aarch64")]
    Neon,
    Portable,
}

impl Kernels {
    /// The instruction set, as the knob `LIKENET_ISA` spells it.
    pub fn name(&self) -> &'static str {
        match self.set {
            #[cfg(target_arch = "x86_64")]
            Set::Amx(_) => "amx",
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => "avx512",
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => "avx2",
            #[cfg(target_arch = "aarch64")]
            Set::Neon => "neon",
            Set::Portable => "portable",
        }
    }

    /// The matrix product's micro-kernel: instruction set, operation, largest tile.
    pub fn gemm_name(&self) -> String {
        let [rows, columns] = self.tile();
        format!("{}_gemm_{rows}x{columns}", self.name())
    }

    /// The proof that tiles can be used, if they can.
    #[cfg(target_arch = "x86_64")]
    pub fn amx(&self) -> Option<Amx> {
        match self.set {
            Set::Amx(amx) => Some(amx),
            _ => None,
        }
    }

    /// Whether there are tiles for `bf16`.
    pub fn has_tiles(&self) -> bool {
        #[cfg(target_arch = "x86_64")]
        return self.amx().is_some();
        #[cfg(not(target_arch = "x86_64"))]
        false
    }

    /// Lanes of a vector.
    pub fn lanes(&self) -> usize {
        self.run(Lanes)
    }

    /// Rows and columns of a matrix product's largest tile.
    pub fn tile(&self) -> [usize; 2] {
        self.run(Tile)
    }

    /// Runs a plain loop that the compiler turns into this set's instructions, if all of it is inlined.
    pub(super) fn compile<R>(&self, f: impl FnOnce() -> R) -> R {
        self.run(Plain(f))
    }

    /// Runs an operation compiled for this instruction set.
    pub(super) fn run<O: SimdOp>(&self, op: O) -> O::Output {
        match self.set {
            // SAFETY: only `AVAILABLE` makes a `Kernels`, after detecting its set.
            #[cfg(target_arch = "x86_64")]
            Set::Amx(_) | Set::Avx512 => unsafe { x86::avx512(op) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => unsafe { x86::avx2(op) },
            // SAFETY: every machine of this architecture has NEON.
            #[cfg(target_arch = "aarch64")]
            Set::Neon => unsafe { op.run::<std::arch::aarch64::float32x4_t>() },
            // SAFETY: the portable lanes run anywhere.
            Set::Portable => unsafe { op.run::<wide::f32x8>() },
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::SimdOp;
    use std::arch::x86_64::{__m256, __m512};

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,popcnt")]
    pub unsafe fn avx512<O: SimdOp>(op: O) -> O::Output {
        // SAFETY: this function is compiled for the set, which the caller detected.
        unsafe { op.run::<__m512>() }
    }

    #[target_feature(enable = "avx2,fma,f16c,popcnt")]
    pub unsafe fn avx2<O: SimdOp>(op: O) -> O::Output {
        // SAFETY: this function is compiled for the set, which the caller detected.
        unsafe { op.run::<__m256>() }
    }
}

struct Plain<F>(F);

impl<R, F: FnOnce() -> R> SimdOp for Plain<F> {
    type Output = R;

    #[inline(always)]
    unsafe fn run<S: Simd>(self) -> R {
        (self.0)()
    }
}

struct Lanes;

impl SimdOp for Lanes {
    type Output = usize;

    #[inline(always)]
    unsafe fn run<S: Simd>(self) -> usize {
        S::LANES
    }
}

struct Tile;

impl SimdOp for Tile {
    type Output = [usize; 2];

    #[inline(always)]
    unsafe fn run<S: Simd>(self) -> [usize; 2] {
        [S::TILE_ROWS, TILE_VECTORS * S::LANES]
    }
}

static AVAILABLE: LazyLock<Vec<Kernels>> = LazyLock::new(|| {
    let mut found = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        let popcnt = is_x86_feature_detected!("popcnt");
        // Bytes need `bw`. Every machine with AVX-512 since Skylake has the four.
        let words = is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512dq");
        let vectors = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl");
        if popcnt && words && vectors {
            found.extend(Amx::detect().map(|amx| Kernels { set: Set::Amx(amx) }));
            found.push(Kernels { set: Set::Avx512 });
        }
        let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        if avx2 && popcnt && is_x86_feature_detected!("f16c") {
            found.push(Kernels { set: Set::Avx2 });
        }
    }
    #[cfg(target_arch = "aarch64")]
    found.extend([Kernels { set: Set::Neon }]);
    found.extend([Kernels { set: Set::Portable }]);
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
    available().iter().find(|k| k.name() == name).ok_or_else(|| {
        let names: Vec<&str> = available().iter().map(Kernels::name).collect();
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
