//! Fully connected layers: a product, or, for a few rows, the weights read once.

use super::product::{Layout, Matrices, Size, gemm};
use super::{After, Arg, Fields, Gpu, Launch, Operand, Plan};
use crate::ops::InnerDims;

/// A fully connected layer: X (rows, inputs), Weight, Bias, Y (rows, outputs).
pub fn inner(gpu: &Gpu, d: &InnerDims, after: After) -> Plan {
    let InnerDims { rows, inputs, outputs, transpose } = *d;
    if rows <= 8 && !transpose && inputs % 4 == 0 && !after.add {
        return gemv(d, after);
    }
    let s = Size { m: rows, n: outputs, k: inputs, count: 1 };
    let (layout, ldb) = if transpose { (Layout::Kn, outputs) } else { (Layout::Kk, inputs) };
    let m = Matrices {
        a: (Operand::X, inputs, 0),
        b: (Operand::Weight, ldb, 0),
        c: (Operand::Y, outputs, 0),
    };
    gemm(gpu, layout, s, m, after)
}

fn gemv(d: &InnerDims, after: After) -> Plan {
    let dims = Fields::default()
        .ints(&[d.rows, d.inputs, d.outputs, after.relu.is_some() as usize, after.bias as usize])
        .float(after.relu.unwrap_or(0.0));
    let operands = [Operand::X, Operand::Weight, Operand::Bias, Operand::Y];
    let launch = Launch {
        file: "gemv",
        kernel: format!("gemv_rows_{}", d.rows.next_power_of_two()),
        // A warp makes two outputs.
        grid: [d.outputs.div_ceil(2 * 4) as u32, 1, 1],
        block: 128,
        shared: 0,
        args: std::iter::once(dims.arg()).chain(operands.map(Arg::Ptr)).collect(),
    };
    Plan { launches: vec![launch], scratch: 0 }
}

/// Input gradients of a fully connected layer: X are the gradients of its output, Y those of its input.
pub fn inner_back(gpu: &Gpu, d: &InnerDims) -> Plan {
    let InnerDims { rows, inputs, outputs, transpose } = *d;
    let s = Size { m: rows, n: inputs, k: outputs, count: 1 };
    let (layout, ldb) = if transpose { (Layout::Kk, outputs) } else { (Layout::Kn, inputs) };
    let m = Matrices {
        a: (Operand::X, outputs, 0),
        b: (Operand::Weight, ldb, 0),
        c: (Operand::Y, inputs, 0),
    };
    gemm(gpu, layout, s, m, After::default())
}

/// Weight gradients of a fully connected layer: X its input, Dy the gradients of its output, Y the weights'.
pub fn inner_weights_back(gpu: &Gpu, d: &InnerDims, add: bool) -> Plan {
    let InnerDims { rows, inputs, outputs, transpose } = *d;
    let (x, dy) = ((Operand::X, inputs, 0), (Operand::Dy, outputs, 0));
    let (a, b) = if transpose { (x, dy) } else { (dy, x) };
    let s = Size { m: a.1, n: b.1, k: rows, count: 1 };
    let m = Matrices { a, b, c: (Operand::Y, b.1, 0) };
    gemm(gpu, Layout::Mn, s, m, After { add, ..After::default() })
}
