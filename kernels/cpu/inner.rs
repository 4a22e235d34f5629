//! Fully connected layers: `y = W·x + b` for each row x of a batch.
//!
//! Flows in: weights packed once ([`Weights`]), a batch packed for all threads ([`Inputs`]). Flows out: some
//! outputs of every row. A few rows are a matter of reading W as fast as memory allows ([`gemv`]); more
//! are a matrix product, in tiles where the machine has them.

#[cfg(target_arch = "x86_64")]
use super::amx;
use super::columns::PackedColumns;
use super::gemm::{self, Left, Matrix, Sizes, Start, Target, Workspace};
use super::gemv;
use super::panels::PackedRows;
use super::table::Kernels;
use crate::ops::{Algorithm, InnerDims, Precision};
use std::ops::Range;

/// Weights, packed for one instruction set.
pub enum Weights {
    /// For vectors of `f32`.
    Vectors(PackedColumns),
    /// For tiles of `bf16`.
    #[cfg(target_arch = "x86_64")]
    Tiles(amx::Columns),
}

/// The rows of a batch, packed for the weights that they meet.
pub enum Inputs {
    /// A few rows: for each input the rows' values.
    Few(usize, Vec<f32>),
    /// For vectors of `f32`.
    Vectors(PackedRows),
    /// For tiles of `bf16`.
    #[cfg(target_arch = "x86_64")]
    Tiles(amx::Rows),
}

impl Weights {
    /// Packs weights: `(outputs, inputs)`, or `(inputs, outputs)` if `d.transpose`.
    ///
    /// # Panics
    /// When there are not as many, or `how` [cannot](Self::can) do this.
    pub fn new(
        kernels: &Kernels,
        d: &InnerDims,
        how: Algorithm,
        precision: Precision,
        weights: &[f32],
    ) -> Self {
        let InnerDims { inputs, outputs, .. } = *d;
        assert_eq!(weights.len(), inputs * outputs);
        assert!(Self::can(kernels, how, precision), "{} cannot compute {d:?}", how.name());
        let matrix = match d.transpose {
            true => Matrix::rows(weights, outputs),
            false => Matrix::transposed(weights, inputs),
        };
        #[cfg(target_arch = "x86_64")]
        if how == Algorithm::Tiles {
            let weight = |input, output| weights[matrix.at(input, output)];
            return Self::Tiles(amx::Columns::new(inputs, outputs, weight));
        }
        let precision = if how == Algorithm::Short { Precision::F24 } else { precision };
        Self::Vectors(PackedColumns::new(kernels, inputs, outputs, matrix, precision))
    }

    /// Whether these kernels can compute fully connected layers so, with weights kept so.
    pub fn can(kernels: &Kernels, how: Algorithm, precision: Precision) -> bool {
        match how {
            Algorithm::Gemm => true,
            Algorithm::Short => precision == Precision::F32,
            Algorithm::Tiles => kernels.has_tiles() && precision == Precision::F32,
            _ => false,
        }
    }

    /// How a layer over so many rows is computed: as `wanted` where that can be, else as a matrix product;
    /// without a wish in tiles, or, if few rows wait for nothing but the reading of weights, with weights as
    /// exact as those of tiles and shorter.
    pub fn choose(
        kernels: &Kernels,
        rows: usize,
        precision: Precision,
        wanted: Option<Algorithm>,
    ) -> Algorithm {
        let fastest = match (kernels.has_tiles(), rows) {
            (true, 1..=gemv::ROWS) => Algorithm::Short,
            (true, _) => Algorithm::Tiles,
            (false, _) => Algorithm::Gemm,
        };
        // Few rows need no tiles: whole weights arrive as fast.
        let few = wanted == Some(Algorithm::Tiles) && rows <= gemv::ROWS;
        let how = if few { Algorithm::Gemm } else { wanted.unwrap_or(fastest) };
        if Self::can(kernels, how, precision) { how } else { Algorithm::Gemm }
    }

    /// Bytes that they take.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Vectors(columns) => columns.bytes(),
            #[cfg(target_arch = "x86_64")]
            Self::Tiles(tiles) => tiles.bytes(),
        }
    }

    /// How many outputs a share must have so that `parts` shares, each beginning at a panel, hold all.
    pub fn share(&self, parts: usize) -> usize {
        match self {
            Self::Vectors(columns) => columns.share(parts),
            #[cfg(target_arch = "x86_64")]
            Self::Tiles(tiles) => tiles.share(parts),
        }
    }

    /// Packs a batch `(rows, inputs)`.
    pub fn pack(&self, kernels: &Kernels, d: &InnerDims, x: &[f32]) -> Inputs {
        match self {
            Self::Vectors(_) if d.rows <= gemv::ROWS => {
                let value = |at: usize| x[at % d.rows * d.inputs + at / d.rows];
                Inputs::Few(d.rows, (0..x.len()).map(value).collect())
            }
            Self::Vectors(_) => {
                let x = Matrix::rows(x, d.inputs);
                Inputs::Vectors(PackedRows::new(kernels, d.rows, d.inputs, x))
            }
            #[cfg(target_arch = "x86_64")]
            Self::Tiles(tiles) => Inputs::Tiles(tiles.pack_inputs(x)),
        }
    }

    /// Some outputs, which begin a panel, of all rows, one thread: `y` is `(rows, outputs.len())`. `bias` has
    /// one value for each output of the layer; negative results are multiplied with `relu`, if that is
    /// given.
    ///
    /// # Panics
    /// When inputs and weights are packed for different instruction sets, or sizes do not fit.
    pub fn product(
        &self,
        work: &mut Workspace,
        x: &Inputs,
        outputs: Range<usize>,
        bias: Option<&[f32]>,
        relu: Option<f32>,
        y: &mut [f32],
    ) {
        let bias = bias.map(|b| &b[outputs.clone()]);
        match (self, x) {
            (Self::Vectors(weights), Inputs::Few(rows, x)) => {
                start(bias, y);
                gemv::fast(work.kernels, *rows, x, weights.from(outputs.start), y);
                bend(relu, y);
            }
            (Self::Vectors(weights), Inputs::Vectors(x)) => {
                start(bias, y);
                let n = outputs.len();
                let s = Sizes { m: y.len() / n, n, k: weights.inputs() };
                let c = Target { data: y, row: n, start: Start::C, relu };
                gemm::fast(work, s, Left::Packed(x, 0), &weights.from(outputs.start), c);
            }
            #[cfg(target_arch = "x86_64")]
            (Self::Tiles(tiles), Inputs::Tiles(x)) => {
                let amx = work.kernels.amx().expect("weights packed for tiles");
                tiles.product(amx, x, outputs, bias, relu, y);
            }
            #[cfg(target_arch = "x86_64")]
            _ => panic!("inputs and weights are packed for different instruction sets"),
        }
    }
}

/// ReLU, if it is asked for.
fn bend(relu: Option<f32>, y: &mut [f32]) {
    if let Some(slope) = relu {
        y.iter_mut().for_each(|v| *v = if *v > 0.0 { *v } else { slope * *v });
    }
}

/// Every row begins as the biases.
fn start(bias: Option<&[f32]>, y: &mut [f32]) {
    match bias {
        Some(bias) => y.chunks_exact_mut(bias.len()).for_each(|row| row.copy_from_slice(bias)),
        None => y.fill(0.0),
    }
}

#[cfg(test)]
mod tests {
    use super::super::columns::round_rows;
    use super::super::table::available;
    use super::*;

    #[test]
    fn every_kernel_equals_the_plain_product_on_tails() {
        let number = |i: usize| ((i * 7919 + 13) % 1009) as f32 / 504.5 - 1.0;
        for (rows, inputs, outputs) in
            [(1, 1, 1), (1, 33, 70), (2, 200, 31), (17, 31, 33), (33, 64, 96), (40, 2100, 5)]
        {
            let x: Vec<f32> = (0..rows * inputs).map(number).collect();
            let weights: Vec<f32> = (0..inputs * outputs).map(|i| number(i + 5)).collect();
            let bias: Vec<f32> = (0..outputs).map(number).collect();
            let ways = [
                (Algorithm::Gemm, Precision::F32),
                (Algorithm::Gemm, Precision::F24),
                (Algorithm::Gemm, Precision::F16),
                (Algorithm::Gemm, Precision::I8),
                (Algorithm::Tiles, Precision::F32),
                (Algorithm::Short, Precision::F32),
            ];
            let runs = available().iter().flat_map(|k| ways.map(|(how, p)| (k, how, p)));
            let runs = runs.filter(|(kernels, how, p)| Weights::can(kernels, *how, *p));
            for ((kernels, how, precision), transpose) in runs.flat_map(|r| [(r, false), (r, true)])
            {
                let d = InnerDims { rows, inputs, outputs, transpose };
                // What the weights are once they are kept so: each output's are rounded together.
                let mut rounded: Vec<f32> = (0..outputs * inputs)
                    .map(|at| (at / inputs, at % inputs))
                    .map(|(o, i)| weights[if transpose { i * outputs + o } else { o * inputs + i }])
                    .collect();
                let kept = if how == Algorithm::Short { Precision::F24 } else { precision };
                round_rows(kept, inputs, &mut rounded);
                let weight = |i: usize, o: usize| rounded[o * inputs + i];
                let packed = Weights::new(kernels, &d, how, precision, &weights);
                let batch = packed.pack(kernels, &d, &x);
                let share = packed.share(2);
                for first in (0..outputs).step_by(share) {
                    let range = first..outputs.min(first + share);
                    let mut y = vec![9.0; rows * range.len()];
                    let work = &mut Workspace::new(kernels);
                    packed.product(work, &batch, range.clone(), Some(&bias), Some(0.5), &mut y);
                    for (at, got) in y.iter().enumerate() {
                        let (row, o) = (at / range.len(), first + at % range.len());
                        let products = (0..inputs).map(|i| x[row * inputs + i] * weight(i, o));
                        let sum: f64 =
                            products.clone().map(f64::from).sum::<f64>() + bias[o] as f64;
                        let want = if sum > 0.0 { sum } else { 0.5 * sum };
                        let size = products.map(f32::abs).sum::<f32>() + bias[o].abs();
                        let bound = if how == Algorithm::Tiles { 2e-5 } else { 2e-6 };
                        let near = (*got as f64 - want).abs() <= (bound * size) as f64;
                        assert!(near, "{} {precision:?} {d:?}: {got} {want}", kernels.name());
                    }
                }
            }
        }
    }
}
