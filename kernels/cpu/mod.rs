//! Kernels for the CPU. Each file: the plain loop first, then what is faster.

pub mod argmax;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
pub mod conv;
pub mod elementwise;
pub mod gemm;
pub mod gemv;
pub mod loss;
pub mod lrn;
mod micro;
pub mod norm;
pub mod panels;
pub mod pool;
mod portable;
pub mod reduce;
mod simd;
pub mod softmax;
pub mod table;
pub mod winograd;
