//! Kernels for the CPU. Each file: the plain loop first, then what is faster.

#[cfg(target_arch = "x86_64")]
pub mod amx;
pub mod argmax;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod bytes;
pub mod cascade;
pub mod cells;
pub mod columns;
pub mod conv;
pub mod cost;
pub mod direct;
pub mod elementwise;
pub mod embed;
pub mod filters;
pub mod gemm;
pub mod gemv;
mod geometry;
#[cfg(test)]
mod gradient_check;
pub mod haar;
pub mod inner;
pub mod integral;
pub mod lbp;
pub mod loss;
pub mod lrn;
mod micro;
#[cfg(target_arch = "aarch64")]
mod neon;
pub mod norm;
pub mod panels;
pub mod peak;
pub mod planes;
pub mod pool;
mod portable;
pub mod reduce;
pub mod resample;
pub mod rows;
mod simd;
pub mod softmax;
pub mod surf;
pub mod table;
pub mod trees;
pub mod update;
mod windows;
pub mod winograd;
