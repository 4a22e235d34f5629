//! Which kernels compute a layer on a GPU, launched how: pure arithmetic, no device needed.
//!
//! Flows in: the device's numbers and an operation's sizes. Flows out: a [`Plan`], launches in their order, whose
//! arguments name operands instead of addresses. Who has the addresses plays it.
//!
//! ```text
//! inner, conv, winograd (an operation) ─ product (a tile, how k is cut) ─ launches
//! ```

mod conv;
mod inner;
mod product;
#[cfg(test)]
mod tests;
mod winograd;

pub use conv::{conv, conv_back, conv_back_pack, conv_pack, conv_weights_back};
pub use inner::{inner, inner_back, inner_weights_back};
pub use winograd::{winograd, winograd_fits, winograd_pack, winograd_wins};

/// What a plan must know of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gpu {
    /// Multiprocessors.
    pub multiprocessors: usize,
    /// Compute capability, as in `(9, 0)`.
    pub capability: (u32, u32),
}

/// Where a pointer argument comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operand {
    /// Input; for gradients of an input the gradients of the output, for those of weights still the input.
    X,
    /// Gradients of the output, where X is also needed.
    Dy,
    /// Weights as they are.
    Weight,
    /// Packed weights, from this byte on.
    Packed(usize),
    /// Bias; null if there is none.
    Bias,
    /// Result.
    Y,
    /// Scratch memory, from this byte on.
    Scratch(usize),
}

/// An argument of a kernel.
#[derive(Clone, Debug, PartialEq)]
pub enum Arg {
    /// An address.
    Ptr(Operand),
    /// A number or a structure, by value.
    Bytes(Vec<u8>),
    /// A tensor map by value: 128 bytes that the driver encodes.
    Map(TensorMap),
}

/// How a bulk copy finds its way through an operand whose innermost dimension are channels (or k), `box_rows` rows of
/// 128 bytes at a time, swizzled in 128 bytes, zeros outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorMap {
    /// The operand.
    pub of: Operand,
    /// Its numbers.
    pub number: Number,
    /// Elements along each dimension, innermost first: k and rows, or channels, width, height and pictures.
    pub dims: Vec<usize>,
    /// Rows that a copy brings.
    pub box_rows: usize,
    /// For pictures: how windows move.
    pub patches: Option<Corners>,
}

/// The box in which a window's first tap moves: offsets from a picture's first and last pixel, and the step, each
/// `[across, down]`, as `cuTensorMapEncodeIm2col` wants them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corners {
    /// From the first pixel.
    pub lower: [isize; 2],
    /// From the last pixel.
    pub upper: [isize; 2],
    /// From window to window.
    pub stride: [usize; 2],
}

/// Numbers that tensor cores multiply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Number {
    /// IEEE half precision.
    F16,
    /// The upper half of an f32.
    Bf16,
    /// An f32 whose mantissa has ten bits.
    Tf32,
}

impl Number {
    /// As in the kernels' names.
    pub fn name(self) -> &'static str {
        match self {
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::Tf32 => "tf32",
        }
    }
    /// Bytes of one.
    pub fn bytes(self) -> usize {
        match self {
            Self::F16 | Self::Bf16 => 2,
            Self::Tf32 => 4,
        }
    }
    /// How many make a slab: the 128 bytes of k that a step of the product takes.
    pub fn slab(self) -> usize {
        128 / self.bytes()
    }
}

/// One kernel's launch.
#[derive(Clone, Debug, PartialEq)]
pub struct Launch {
    /// Source file without its ending.
    pub file: &'static str,
    /// Kernel.
    pub kernel: String,
    /// Blocks.
    pub grid: [u32; 3],
    /// Threads of a block.
    pub block: u32,
    /// Dynamic shared memory in bytes.
    pub shared: u32,
    /// Arguments, as the kernel takes them.
    pub args: Vec<Arg>,
}

/// Launches in their order, and the scratch memory that they need. Every operand begins at a multiple of 16 bytes,
/// or the kernels fall back on narrow accesses; scratch and packed weights must.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// In this order.
    pub launches: Vec<Launch>,
    /// Bytes.
    pub scratch: usize,
}

/// What follows a product in the kernel that made it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct After {
    /// Whether a bias is added.
    pub bias: bool,
    /// Slope for negative results, if there is a ReLU.
    pub relu: Option<f32>,
    /// Whether the result is added to what is there.
    pub add: bool,
}

/// A structure's fields in C's layout.
#[derive(Default)]
pub(super) struct Fields(Vec<u8>);

impl Fields {
    pub(super) fn ints(mut self, values: &[usize]) -> Self {
        values.iter().for_each(|v| self.0.extend((*v as i32).to_ne_bytes()));
        self
    }
    pub(super) fn float(mut self, v: f32) -> Self {
        self.0.extend(v.to_ne_bytes());
        self
    }
    pub(super) fn longs(mut self, values: &[usize]) -> Self {
        self.0.resize(self.0.len().next_multiple_of(8), 0);
        values.iter().for_each(|v| self.0.extend((*v as u64).to_ne_bytes()));
        self
    }
    pub(super) fn arg(&self) -> Arg {
        Arg::Bytes(self.0.clone())
    }
}

/// How weights must be packed: how many bytes, and the launches from Weight to Packed.
#[derive(Clone, Debug, PartialEq)]
pub struct Pack {
    /// Bytes of Packed.
    pub bytes: usize,
    /// In this order.
    pub launches: Vec<Launch>,
}

/// A launch of a kernel that walks `len` elements.
pub(super) fn each(file: &'static str, kernel: &str, len: usize, args: Vec<Arg>) -> Launch {
    let grid = [len.div_ceil(256).clamp(1, 132 * 16) as u32, 1, 1];
    Launch { file, kernel: kernel.into(), grid, block: 256, shared: 0, args }
}
