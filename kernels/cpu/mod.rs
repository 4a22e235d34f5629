//! Kernels for the CPU. Each file: the plain loop first, then what is faster.

pub mod argmax;
pub mod conv;
pub mod elementwise;
pub mod gemm;
pub mod loss;
pub mod lrn;
pub mod norm;
pub mod pool;
pub mod reduce;
pub mod softmax;
