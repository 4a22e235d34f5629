//! First values of parameters: Caffe's fillers, drawn from our own generator.

use crate::layer::{Filler, FillerKind, VarianceNorm};
use crate::rng::Rng;
use crate::shape::Shape;

/// Values for a parameter of this shape.
///
/// The inputs of a unit (fan in) are the elements per index of the first axis, the outputs (fan out)
/// the elements per index of the second, as Caffe counts them.
pub fn fill(filler: &Filler, shape: &Shape, rng: &mut Rng) -> Vec<f32> {
    let count = shape.count();
    let dims = shape.dims();
    let fan_in = count / dims.first().copied().unwrap_or(1);
    let fan_out = count / dims.get(1).copied().unwrap_or(1);
    let fan = |norm: VarianceNorm| match norm {
        VarianceNorm::FanIn => fan_in as f32,
        VarianceNorm::FanOut => fan_out as f32,
        VarianceNorm::Average => (fan_in + fan_out) as f32 / 2.0,
    };
    let mut uniform = |low: f32, high: f32| (0..count).map(|_| rng.uniform(low, high)).collect();
    match filler.kind {
        FillerKind::Constant(value) => vec![value; count],
        FillerKind::Uniform { min, max } => uniform(min, max),
        FillerKind::Xavier(norm) => {
            let bound = (3.0 / fan(norm)).sqrt();
            uniform(-bound, bound)
        }
        FillerKind::Gaussian { mean, std } => {
            let mut values: Vec<f32> = (0..count).map(|_| rng.gaussian(mean, std)).collect();
            if filler.sparse >= 0 {
                let keep = filler.sparse as f64 / dims.first().copied().unwrap_or(1) as f64;
                values.iter_mut().for_each(|v| *v *= f32::from(rng.unit() < keep));
            }
            values
        }
        FillerKind::Msra(norm) => {
            let std = (2.0 / fan(norm)).sqrt();
            (0..count).map(|_| rng.gaussian(0.0, std)).collect()
        }
        FillerKind::PositiveUnitball => {
            let mut values: Vec<f32> = uniform(0.0, 1.0);
            for unit in values.chunks_mut(fan_in) {
                let sum: f32 = unit.iter().sum();
                unit.iter_mut().for_each(|v| *v /= sum);
            }
            values
        }
        FillerKind::Bilinear => bilinear(dims),
    }
}

/// The weights of bilinear interpolation for a square window, the same for every pair of channels.
fn bilinear(dims: &[usize]) -> Vec<f32> {
    let side = dims.last().copied().unwrap_or(1);
    let factor = side.div_ceil(2);
    let centre = (2 * factor - 1 - factor % 2) as f32 / (2 * factor) as f32;
    let tent = |i: usize| 1.0 - (i as f32 / factor as f32 - centre).abs();
    let window = side * side;
    let count: usize = dims.iter().product();
    (0..count).map(|i| tent(i % side) * tent(i % window / side)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(kind: FillerKind, dims: &[usize]) -> Vec<f32> {
        let filler = Filler { kind, sparse: -1 };
        fill(&filler, &Shape::new(dims).unwrap(), &mut Rng::new(1))
    }

    #[test]
    fn xavier_and_msra_have_the_stated_variance() {
        let variance = |v: &[f32]| v.iter().map(|x| x * x).sum::<f32>() / v.len() as f32;
        let x = filled(FillerKind::Xavier(VarianceNorm::FanIn), &[200, 100]);
        assert!((variance(&x) * 100.0 - 1.0).abs() < 0.05);
        let m = filled(FillerKind::Msra(VarianceNorm::FanOut), &[200, 100]);
        assert!((variance(&m) * 200.0 - 2.0).abs() < 0.1);
    }

    #[test]
    fn unit_balls_sum_to_one() {
        for unit in filled(FillerKind::PositiveUnitball, &[4, 9]).chunks(9) {
            assert!((unit.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        }
    }

    #[test]
    fn bilinear_of_four_is_the_known_window() {
        let w = filled(FillerKind::Bilinear, &[1, 1, 4, 4]);
        let row = [0.25, 0.75, 0.75, 0.25];
        for (i, v) in w.iter().enumerate() {
            assert!((v - row[i / 4] * row[i % 4]).abs() < 1e-6, "{w:?}");
        }
    }
}
