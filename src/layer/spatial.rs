//! Layers over windows of a picture: convolution, its transpose, pooling.

use super::source::Filler;
use super::{Inference, ParamSpec, ShapeResult};
use crate::shape::Shape;
use likenet_kernels::ops::{ConvDims, PoolDims, Window};

/// A grouped convolution. Weights `(filters, channels / group, kh, kw)`, bias `(filters)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Conv {
    /// Output channels.
    pub filters: usize,
    /// Independent groups of channels.
    pub group: usize,
    /// The sliding window.
    pub window: Window,
    /// First weights.
    pub weight: Filler,
    /// First biases; none when the layer has no bias.
    pub bias: Option<Filler>,
}

/// A transposed convolution. Weights `(channels, filters / group, kh, kw)`, bias `(filters)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Deconv(pub Conv);

/// Height or width after a convolution, rounded down.
fn convolved(w: &Window, axis: usize, len: usize) -> ShapeResult<usize> {
    let (padded, extent) = (len + 2 * w.pad[axis], w.extent(axis));
    if extent > padded {
        return Err(format!(
            "a window of {extent} does not fit into {padded} (picture {len}, pad {})",
            w.pad[axis]
        ));
    }
    Ok((padded - extent) / w.stride[axis] + 1)
}

impl Conv {
    /// All sizes for a bottom of shape (n, c, h, w).
    pub fn dims(&self, bottom: &Shape) -> ShapeResult<ConvDims> {
        let [_, channels, h, w] = bottom.nchw()?;
        self.check_groups(channels)?;
        Ok(ConvDims {
            channels,
            input: [h, w],
            filters: self.filters,
            output: [convolved(&self.window, 0, h)?, convolved(&self.window, 1, w)?],
            group: self.group,
            window: self.window,
        })
    }

    fn check_groups(&self, channels: usize) -> ShapeResult<()> {
        let (f, g) = (self.filters, self.group);
        if !channels.is_multiple_of(g) || !f.is_multiple_of(g) {
            return Err(format!(
                "{channels} channels and {f} filters cannot be cut into {g} groups"
            ));
        }
        Ok(())
    }

    fn params(&self, weight: [usize; 4]) -> ShapeResult<Vec<ParamSpec>> {
        let mut params = vec![ParamSpec::new("weight", weight, self.weight)?];
        if let Some(bias) = self.bias {
            params.push(ParamSpec::new("bias", [self.filters], bias)?);
        }
        Ok(params)
    }

    pub(super) fn infer(&self, bottoms: &[&Shape]) -> ShapeResult<Inference> {
        let mut out = Inference::default();
        for bottom in bottoms {
            let d = self.dims(bottom)?;
            let n = bottom.dims()[0];
            let [kh, kw] = self.window.kernel;
            let params = self.params([self.filters, d.channels / d.group, kh, kw])?;
            if out.params.is_empty() {
                out.params = params;
            } else if out.params != params {
                return Err(format!("bottoms share weights, but not their channels: {bottom}"));
            }
            out.tops.push(Shape::new([n, d.filters, d.output[0], d.output[1]])?);
            out.macs += (n * d.output_len() * d.patch_len()) as u64;
        }
        Ok(out)
    }
}

impl Deconv {
    /// Sizes of the convolution that this layer undoes: its input is our top, its output our bottom.
    pub fn dims(&self, bottom: &Shape) -> ShapeResult<ConvDims> {
        let [_, channels, h, w] = bottom.nchw()?;
        let l = &self.0;
        l.check_groups(channels)?;
        let enlarged = |axis: usize, len: usize| {
            (l.window.stride[axis] * (len - 1) + l.window.extent(axis))
                .checked_sub(2 * l.window.pad[axis])
                .filter(|&n| n > 0)
                .ok_or(format!("pad {} leaves nothing", l.window.pad[axis]))
        };
        Ok(ConvDims {
            channels: l.filters,
            input: [enlarged(0, h)?, enlarged(1, w)?],
            filters: channels,
            output: [h, w],
            group: l.group,
            window: l.window,
        })
    }

    pub(super) fn infer(&self, bottoms: &[&Shape]) -> ShapeResult<Inference> {
        let mut out = Inference::default();
        for bottom in bottoms {
            let d = self.dims(bottom)?;
            let n = bottom.dims()[0];
            let [kh, kw] = self.0.window.kernel;
            let params = self.0.params([d.filters, d.channels / d.group, kh, kw])?;
            if out.params.is_empty() {
                out.params = params;
            } else if out.params != params {
                return Err(format!("bottoms share weights, but not their channels: {bottom}"));
            }
            out.tops.push(Shape::new([n, d.channels, d.input[0], d.input[1]])?);
            out.macs += (n * d.output_len() * d.patch_len()) as u64;
        }
        Ok(out)
    }
}

/// What a pooling window becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolMethod {
    /// Its maximum.
    Max,
    /// Its mean.
    Ave,
}

/// Pooling.
#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    /// Maximum or mean.
    pub method: PoolMethod,
    /// The sliding window; `None` is the whole picture.
    pub window: Option<Window>,
    /// Round the output size down instead of up.
    pub floor: bool,
}

impl Pool {
    /// All sizes for a bottom of shape (n, c, h, w).
    pub fn dims(&self, bottom: &Shape) -> ShapeResult<PoolDims> {
        let [_, _, h, w] = bottom.nchw()?;
        let input = [h, w];
        let window = self.window.unwrap_or(Window {
            kernel: input,
            stride: [1, 1],
            pad: [0, 0],
            dilation: [1, 1],
        });
        let output = [self.pooled(&window, 0, h)?, self.pooled(&window, 1, w)?];
        Ok(PoolDims { input, output, window })
    }

    /// Number of windows along an axis. With padding on either axis, the last window must begin inside
    /// the picture or its leading pad.
    fn pooled(&self, w: &Window, axis: usize, len: usize) -> ShapeResult<usize> {
        let (k, s, p) = (w.kernel[axis], w.stride[axis], w.pad[axis]);
        if p >= k {
            return Err(format!("pad {p} is not smaller than the window {k}"));
        }
        let span = (len + 2 * p) as i64 - k as i64;
        let (s, p) = (s as i64, p as i64);
        let steps = if self.floor { span.div_euclid(s) } else { -(-span).div_euclid(s) };
        let mut windows = steps + 1;
        if w.pad != [0, 0] && (windows - 1) * s >= len as i64 + p {
            windows -= 1;
        }
        usize::try_from(windows)
            .ok()
            .filter(|&n| n > 0)
            .ok_or(format!("a window of {k} does not fit into a picture of {len}"))
    }

    pub(super) fn infer(&self, bottom: &Shape, tops: usize) -> ShapeResult<Inference> {
        if tops == 2 && self.method != PoolMethod::Max {
            return Err("a second top (the mask) exists for MAX pooling only".into());
        }
        let d = self.dims(bottom)?;
        let [n, c, _, _] = bottom.nchw()?;
        let top = Shape::new([n, c, d.output[0], d.output[1]])?;
        Ok(Inference::tops(vec![top; tops]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(kernel: usize, stride: usize, pad: usize, floor: bool) -> Pool {
        Pool {
            method: PoolMethod::Max,
            window: Some(Window {
                kernel: [kernel; 2],
                stride: [stride; 2],
                pad: [pad; 2],
                dilation: [1; 2],
            }),
            floor,
        }
    }

    #[test]
    fn pooling_rounds_up_and_clips_only_with_padding() {
        let out = |p: Pool, len: usize| {
            let d = p.dims(&Shape::new([1, 1, len, len]).unwrap());
            d.map(|d| d.output[0])
        };
        assert_eq!(out(pool(3, 2, 0, false), 55), Ok(27));
        assert_eq!(out(pool(3, 2, 0, false), 14), Ok(7));
        assert_eq!(out(pool(3, 2, 0, true), 14), Ok(6));
        assert_eq!(out(pool(2, 2, 1, false), 4), Ok(3));
        assert_eq!(out(pool(1, 2, 0, false), 6), Ok(4));
        assert_eq!(out(pool(3, 2, 0, false), 2), Ok(1));
        assert!(out(pool(3, 1, 3, false), 9).is_err());
        assert!(out(pool(5, 1, 0, true), 2).is_err());
    }
}
