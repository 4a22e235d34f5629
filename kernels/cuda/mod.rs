//! Kernels for NVIDIA's devices, and what launches them.
//!
//! Flows in: numbers in a device's memory ([`Span`]) and a description of the operation. Flows out: changed numbers
//! there. For each `NAME.cu` there is a `NAME.rs` that checks lengths once and launches: what the kernels do is
//! written in CUDA C++, how many blocks do it is written in Rust.
//!
//! The same sources run on the CPU (`emulator.rs`, `host/`): no change is blind for want of a device.

mod arguments;
mod device;
mod driver;
mod elementwise;
#[cfg(feature = "emulator")]
pub mod emulator;
mod loss;
mod lrn;
mod maps;
mod plain;
pub mod plan;
mod play;
mod pool;
pub mod products;
mod ptx;
mod softmax;
mod sums;
pub mod tensor_plan;
#[cfg(all(test, feature = "emulator"))]
mod tensor_tests;
mod update;

pub use device::{Device, Launch, Memory, Span};
pub use loss::{Divisor, Labelled};
pub use play::Operands;

/// The CPU as a device, for tests; in a program that was built for users there is none.
///
/// # Errors
/// When the program was built without it, or no C++ compiler is to be found.
#[cfg(feature = "emulator")]
pub fn emulated() -> Result<Device, String> {
    Device::emulated()
}

/// The CPU as a device, for tests; in a program that was built for users there is none.
///
/// # Errors
/// Always: this program was built without it.
#[cfg(not(feature = "emulator"))]
pub fn emulated() -> Result<Device, String> {
    Err("the emulator of CUDA kernels serves tests, and is not in this program".into())
}
