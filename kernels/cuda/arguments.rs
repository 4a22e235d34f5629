//! A kernel's arguments as the driver wants them, and how many blocks share an array.

use super::device::{Device, Launch, Span};
use crate::ops::AxisView;

/// What a kernel's parameter is made of.
pub(super) trait Argument {
    /// As it lies in memory.
    type Raw;
    fn raw(self) -> Self::Raw;
}

macro_rules! as_it_is {
    ($($t:ty),+) => {
        $(impl $crate::cuda::arguments::Argument for $t {
            type Raw = Self;
            fn raw(self) -> Self {
                self
            }
        })+
    };
}
pub(super) use as_it_is;

as_it_is!(u32, i32, u64, f32, f64);

/// Where it begins.
impl Argument for Span {
    type Raw = u64;
    fn raw(self) -> u64 {
        self.address
    }
}

/// Nothing is a null pointer.
impl Argument for Option<Span> {
    type Raw = u64;
    fn raw(self) -> u64 {
        self.map_or(0, |span| span.address)
    }
}

/// A count of elements.
impl Argument for usize {
    type Raw = u64;
    fn raw(self) -> u64 {
        self as u64
    }
}

/// `struct Axis` of the kernels.
impl Argument for AxisView {
    type Raw = [u64; 3];
    fn raw(self) -> [u64; 3] {
        [self.outer, self.len, self.inner].map(|n| n as u64)
    }
}

/// Launches a kernel of `$device` with arguments of the types of its parameters.
macro_rules! launch {
    ($device:expr, $launch:expr; $($argument:expr),+ $(,)?) => {{
        let launch: $crate::cuda::Launch = $launch;
        // An empty array is nobody's work.
        if launch.grid.iter().all(|n| *n > 0) {
            use $crate::cuda::arguments::Argument;
            // SAFETY: who calls has checked that the spans are as long as the kernel will have them; types and order are
            // those of the kernel's parameters, which every test of an operation tries.
            unsafe {
                $device.launch(&launch, &mut [
                    $(std::ptr::from_mut(&mut { $argument.raw() }).cast::<std::ffi::c_void>()),+
                ]);
            }
        }
    }};
}
pub(super) use launch;

/// Threads of a block that walks an array.
const THREADS: usize = 256;

impl Device {
    /// As many blocks as have something to do, and not more than keep the device busy.
    pub(super) fn each(
        &self,
        file: &'static str,
        kernel: &'static str,
        n: usize,
    ) -> Launch<'static> {
        let blocks = n.div_ceil(THREADS).min(16 * self.multiprocessors());
        flat(file, kernel, blocks)
    }

    /// A block for each of `n`, or one for several if there are very many.
    pub(super) fn block_each(
        &self,
        file: &'static str,
        kernel: &'static str,
        n: usize,
    ) -> Launch<'static> {
        flat(file, kernel, n.min(64 * self.multiprocessors()))
    }
}

/// Blocks in a row.
pub(super) fn flat(file: &'static str, kernel: &'static str, blocks: usize) -> Launch<'static> {
    let block = [THREADS as u32, 1, 1];
    Launch { file, kernel, grid: [blocks as u32, 1, 1], block, shared: 0 }
}

/// Blocks that sum an array of `n`: it follows from `n` alone, and so does the order of the sum.
pub(super) fn parts(n: usize) -> usize {
    n.div_ceil(16 * THREADS).clamp(1, 512)
}
