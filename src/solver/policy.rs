//! How the learning rate changes while training. Flows in: an iteration. Flows out: its rate.

/// A learning-rate policy: Caffe's `lr_policy`.
#[derive(Clone, Debug, PartialEq)]
pub enum Policy {
    /// `base`.
    Fixed,
    /// `base · gamma^⌊iter / size⌋`.
    Step {
        /// Factor of each step.
        gamma: f32,
        /// Iterations of a step.
        size: usize,
    },
    /// `base · gamma^iter`.
    Exp {
        /// Factor of each iteration.
        gamma: f32,
    },
    /// `base · (1 + gamma · iter)^−power`.
    Inv {
        /// How fast it falls.
        gamma: f32,
        /// Exponent.
        power: f32,
    },
    /// `base · gamma^steps`, steps being the values that were reached.
    MultiStep {
        /// Factor of each step.
        gamma: f32,
        /// Iterations at which a step is taken, none smaller than the one before.
        values: Vec<usize>,
    },
    /// `base · (1 − iter / max_iter)^power`.
    Poly {
        /// Exponent.
        power: f32,
    },
    /// `base / (1 + e^(−gamma · (iter − middle)))`.
    Sigmoid {
        /// Steepness; negative falls.
        gamma: f32,
        /// The iteration of half the rate.
        middle: usize,
    },
}

impl Policy {
    /// The rate of iteration `iter`, in Caffe's precision: powers with a whole exponent in `f64`, all
    /// else in `f32`.
    ///
    /// `current_step` is the steps taken so far, which snapshots store. Multistep takes at most one at
    /// a call, as Caffe does, so this is called once for each iteration: two equal values are two
    /// steps, in two iterations.
    pub fn rate(&self, base: f32, iter: usize, max_iter: usize, current_step: &mut usize) -> f32 {
        let stepped =
            |gamma: f32, n: usize| (f64::from(base) * f64::from(gamma).powf(n as f64)) as f32;
        match self {
            Self::Fixed => base,
            Self::Step { gamma, size } => {
                *current_step = iter / size;
                stepped(*gamma, *current_step)
            }
            Self::Exp { gamma } => stepped(*gamma, iter),
            Self::Inv { gamma, power } => base * (1.0 + gamma * iter as f32).powf(-power),
            Self::MultiStep { gamma, values } => {
                *current_step += values.get(*current_step).is_some_and(|&v| iter >= v) as usize;
                stepped(*gamma, *current_step)
            }
            Self::Poly { power } => base * (1.0 - iter as f32 / max_iter as f32).powf(*power),
            Self::Sigmoid { gamma, middle } => {
                base * (1.0 / (1.0 + (-gamma * (iter as f32 - *middle as f32)).exp()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Settings;
    use super::*;

    #[test]
    fn every_policy_to_the_last_bit() {
        #[derive(serde::Deserialize)]
        struct Case {
            settings: String,
            rates: Vec<f32>,
        }
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/solver/lr_policies_cpp.json");
        let text = std::fs::read_to_string(path).expect("golden rates");
        let cases: Vec<Case> = serde_json::from_str(&text).expect("cases");
        assert_eq!(cases.len(), 7);
        for case in cases {
            let s =
                Settings::parse("solver", &format!("net: 'n' {}", case.settings)).expect("valid");
            let mut step = 0;
            for (iter, wanted) in case.rates.iter().enumerate() {
                let got = s.policy.rate(s.base_lr, iter, s.max_iter, &mut step);
                assert_eq!(
                    got.to_bits(),
                    wanted.to_bits(),
                    "{:?} {iter}: {got} {wanted}",
                    s.policy
                );
            }
        }
    }

    #[test]
    fn equal_step_values_cost_an_iteration_each() {
        let policy = Policy::MultiStep { gamma: 0.5, values: vec![2, 2, 5] };
        let mut step = 0;
        let rates: Vec<f32> = (0..7).map(|i| policy.rate(8.0, i, 7, &mut step)).collect();
        assert_eq!(rates, [8.0, 8.0, 4.0, 2.0, 2.0, 1.0, 1.0]);
        assert_eq!(step, 3);
    }

    #[test]
    fn a_resumed_training_goes_on_with_its_step() {
        let policy = Policy::MultiStep { gamma: 0.5, values: vec![2, 4] };
        assert_eq!(policy.rate(8.0, 5, 9, &mut 2), 2.0);
        let mut step = 0;
        Policy::Step { gamma: 0.5, size: 10 }.rate(8.0, 35, 40, &mut step);
        assert_eq!(step, 3);
    }
}
