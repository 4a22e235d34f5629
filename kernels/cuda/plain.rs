//! Launches `plain.cu`: convolutions and fully connected layers by their definition.

use super::arguments::{as_it_is, launch};
use super::device::{Device, Span};
use crate::ops::{ConvDims, InnerDims};

/// `struct Conv` of the kernels.
#[derive(Clone, Copy)]
#[repr(C)]
struct Conv {
    sizes: [i32; 15],
    pitch: u64,
}

/// `struct Matrix` of the kernels: steps from row to row, from column to column.
#[derive(Clone, Copy)]
#[repr(C)]
struct Steps([u64; 2]);

as_it_is!(Conv, Steps);

impl Conv {
    fn new(d: &ConvDims, pitch: usize) -> Self {
        let w = &d.window;
        let sizes = [
            [d.channels, d.input[0], d.input[1]],
            [d.filters, d.output[0], d.output[1]],
            [d.group, w.kernel[0], w.kernel[1]],
            [w.stride[0], w.stride[1], w.pad[0]],
            [w.pad[1], w.dilation[0], w.dilation[1]],
        ];
        let mut all = [0; 15];
        all.iter_mut().zip(sizes.as_flattened()).for_each(|(to, n)| *to = *n as i32);
        Self { sizes: all, pitch: pitch as u64 }
    }
}

fn rows(columns: usize) -> Steps {
    Steps([columns as u64, 1])
}

fn transposed(columns: usize) -> Steps {
    Steps([1, columns as u64])
}

/// See [`crate::cpu::conv`] and [`crate::cpu::gemm`] for the definitions.
impl Device {
    /// Convolution of each picture, then ReLU with this slope (1: none). Output pictures begin `pitch` apart.
    pub fn plain_conv(
        &self,
        d: &ConvDims,
        [x, weight]: [Span; 2],
        bias: Option<Span>,
        slope: f32,
        (y, pitch): (Span, usize),
    ) {
        let batch = x.len / d.input_len();
        assert!(weight.len >= d.filters * d.patch_len());
        assert!(bias.is_none_or(|b| b.len >= d.filters) && pitch >= d.output_len());
        assert!(batch == 0 || y.len >= (batch - 1) * pitch + d.output_len());
        let n = batch * d.output_len();
        let l = self.each("plain", "plain_conv", n);
        launch!(self, l; Conv::new(d, pitch), n, slope, x, weight, bias, y);
    }

    /// Transposed convolution of each picture; `d` is the convolution that it undoes.
    pub fn plain_conv_back(
        &self,
        d: &ConvDims,
        [dy, weight]: [Span; 2],
        bias: Option<Span>,
        dx: Span,
    ) {
        let batch = dy.len / d.output_len();
        assert!(dx.len == batch * d.input_len() && weight.len >= d.filters * d.patch_len());
        assert!(bias.is_none_or(|b| b.len >= d.channels));
        let l = self.each("plain", "plain_conv_back", dx.len);
        launch!(self, l; Conv::new(d, d.output_len()), dx.len, dy, weight, bias, dx);
    }

    /// Weight gradients of a convolution.
    pub fn plain_conv_weights_back(&self, d: &ConvDims, [x, dy]: [Span; 2], add: bool, dw: Span) {
        let (batch, n) = (x.len / d.input_len(), d.filters * d.patch_len());
        assert!(dy.len >= batch * d.output_len() && dw.len >= n);
        let l = self.block_each("plain", "plain_conv_weights_back", n);
        let add = u32::from(add);
        launch!(self, l; Conv::new(d, d.output_len()), batch, n, add, x, dy, dw);
    }

    fn plain_product(
        &self,
        [m, n, k]: [usize; 3],
        (a, of_a): (Span, Steps),
        (b, of_b): (Span, Steps),
        (bias, add, slope): (Option<Span>, bool, f32),
        c: Span,
    ) {
        assert!(a.len >= m * k && b.len >= k * n && c.len >= m * n);
        assert!(bias.is_none_or(|b| b.len >= n));
        let l = self.each("plain", "plain_product", m * n);
        launch!(self, l; m, n, k, of_a, of_b, u32::from(add), slope, a, b, bias, c);
    }

    /// Fully connected layer, then ReLU with this slope (1: none).
    pub fn plain_inner(
        &self,
        d: &InnerDims,
        [x, weight]: [Span; 2],
        bias: Option<Span>,
        slope: f32,
        y: Span,
    ) {
        let of_weight = if d.transpose { rows(d.outputs) } else { transposed(d.inputs) };
        let sizes = [d.rows, d.outputs, d.inputs];
        self.plain_product(
            sizes,
            (x, rows(d.inputs)),
            (weight, of_weight),
            (bias, false, slope),
            y,
        );
    }

    /// Input gradients of a fully connected layer.
    pub fn plain_inner_back(&self, d: &InnerDims, [dy, weight]: [Span; 2], dx: Span) {
        let of_weight = if d.transpose { transposed(d.outputs) } else { rows(d.inputs) };
        let sizes = [d.rows, d.inputs, d.outputs];
        self.plain_product(
            sizes,
            (dy, rows(d.outputs)),
            (weight, of_weight),
            (None, false, 1.0),
            dx,
        );
    }

    /// Weight gradients of a fully connected layer from its input and the gradients of its output.
    pub fn plain_inner_weights_back(&self, d: &InnerDims, [x, dy]: [Span; 2], add: bool, dw: Span) {
        let (left, right) = if d.transpose {
            ((x, transposed(d.inputs)), (dy, rows(d.outputs)))
        } else {
            ((dy, transposed(d.outputs)), (x, rows(d.inputs)))
        };
        let [m, n] = if d.transpose { [d.inputs, d.outputs] } else { [d.outputs, d.inputs] };
        self.plain_product([m, n, d.rows], left, right, (None, add, 1.0), dw);
    }
}
