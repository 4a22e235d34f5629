//! A file in, a report of what it holds out.

use std::fmt;
use std::path::Path;

use serde::Serialize;

use crate::state::{decode_binaryproto, decode_solverstate};
use crate::weights_file::WeightsSource;
use crate::{Blob, Error, WeightsFile, mapped, npy, safetensors_file};

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A net's weights as Caffe stores them.
    Caffemodel,
    /// Weights in safetensors form.
    Safetensors,
    /// A single array of Caffe, as a rule a mean picture.
    Binaryproto,
    /// A solver's state.
    Solverstate,
    /// A NumPy array.
    Npy,
}

/// What a file holds.
#[derive(Debug, Clone, Serialize)]
pub struct Inspection {
    /// The path, as it was given.
    pub file: String,
    /// What it is.
    pub kind: Kind,
    /// Its length in bytes.
    pub bytes: u64,
    /// Values in all tensors together.
    pub values: usize,
    /// Its layers; a solver's history and a single array are one layer without a name.
    pub layers: Vec<LayerReport>,
    /// For a solver state: updates done, the weights' file and the step of the learning rate.
    pub solver: Option<SolverReport>,
    /// For a single array of three or four dimensions: the mean of each channel.
    pub channel_means: Vec<ChannelMean>,
}

/// What a solver state says besides its arrays.
#[derive(Debug, Clone, Serialize)]
pub struct SolverReport {
    /// Updates done.
    pub iter: i32,
    /// The weights' file, as it was written.
    pub learned_net: String,
    /// The current step of the learning-rate policy.
    pub current_step: i32,
}

/// The mean of a channel of a picture.
#[derive(Debug, Clone, Serialize)]
pub struct ChannelMean {
    /// Which channel, from 0.
    pub channel: usize,
    /// The mean of its values.
    pub mean: f64,
}

/// A layer.
#[derive(Debug, Clone, Serialize)]
pub struct LayerReport {
    /// Its name.
    pub name: String,
    /// Its Caffe type; empty if the file does not say.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its tensors.
    pub tensors: Vec<TensorReport>,
}

/// A tensor and its values in numbers.
#[derive(Debug, Clone, Serialize)]
pub struct TensorReport {
    /// Its name in the layer.
    pub name: String,
    /// Its dimensions as stored.
    pub shape: Vec<usize>,
    /// Its number type.
    pub dtype: String,
    /// How many values it has.
    pub count: usize,
    /// How many bytes they take; `None` for a type that is not read.
    pub bytes: Option<usize>,
    /// The smallest finite value; `None` if there is none or the type is not read.
    pub min: Option<f32>,
    /// The largest finite value.
    pub max: Option<f32>,
    /// The mean of the finite values.
    pub mean: Option<f64>,
    /// Their standard deviation.
    pub std: Option<f64>,
    /// Values that are infinite or not a number.
    pub non_finite: usize,
}

/// Reads a file of any kind that this crate knows and reports what it holds.
pub fn inspect(path: &Path) -> Result<Inspection, Error> {
    let file = path.display().to_string();
    let bytes = mapped::map(path)?;
    let ending = path.extension().and_then(|e| e.to_str()).unwrap_or("").to_ascii_lowercase();
    let mut report = Inspection {
        file: file.clone(),
        kind: Kind::Caffemodel,
        bytes: bytes.len() as u64,
        values: 0,
        layers: vec![],
        solver: None,
        channel_means: vec![],
    };
    if bytes.starts_with(b"\x93NUMPY") {
        report.kind = Kind::Npy;
        report.set_array(&npy::read_f32_from_bytes(&file, &bytes)?);
        return Ok(report);
    }
    match ending.as_str() {
        _ if safetensors_file::looks_like(&bytes) => report.set_weights(path, Kind::Safetensors)?,
        "safetensors" => report.set_weights(path, Kind::Safetensors)?,
        "caffemodel" => report.set_weights(path, Kind::Caffemodel)?,
        "binaryproto" => {
            report.kind = Kind::Binaryproto;
            report.set_array(&decode_binaryproto(&file, &bytes)?);
        }
        "solverstate" => {
            report.kind = Kind::Solverstate;
            report.set_solver(&file, bytes)?;
        }
        // An unknown ending: a .caffemodel by another name, or nothing that can be told.
        _ => report
            .set_weights(path, Kind::Caffemodel)
            .map_err(|_| Error::UnknownKind { file: file.clone() })?,
    }
    report.values = report.layers.iter().flat_map(|l| &l.tensors).map(|t| t.count).sum();
    Ok(report)
}

impl Inspection {
    fn set_weights(&mut self, path: &Path, kind: Kind) -> Result<(), Error> {
        let weights = WeightsFile::open(path)?;
        self.kind = kind;
        for (i, entry) in weights.layers().enumerate() {
            let mut layer =
                LayerReport { name: entry.name.clone(), kind: entry.kind.clone(), tensors: vec![] };
            for (t, tensor) in entry.tensors.iter().enumerate() {
                let count = crate::blob::count(&tensor.shape).unwrap_or(0);
                let mut report = TensorReport {
                    name: tensor.name.clone(),
                    shape: tensor.shape.clone(),
                    dtype: tensor.dtype.to_string(),
                    count,
                    bytes: tensor.dtype.size().map(|size| size * count),
                    min: None,
                    max: None,
                    mean: None,
                    std: None,
                    non_finite: 0,
                };
                if tensor.dtype.size().is_some() {
                    report.measure(&weights.read_at(i, t)?.data);
                }
                layer.tensors.push(report);
            }
            self.layers.push(layer);
        }
        Ok(())
    }

    fn set_array(&mut self, blob: &Blob) {
        let tensors = vec![TensorReport::of("data", blob)];
        self.values = blob.data.len();
        self.layers = vec![LayerReport { name: String::new(), kind: String::new(), tensors }];
        let (channels, plane) = match blob.shape[..] {
            [c, h, w] | [1, c, h, w] => (c, h * w),
            _ => return,
        };
        if plane == 0 {
            return;
        }
        self.channel_means = blob
            .data
            .chunks_exact(plane)
            .take(channels)
            .enumerate()
            .map(|(channel, values)| {
                let sum: f64 = values.iter().map(|&v| f64::from(v)).sum();
                ChannelMean { channel, mean: sum / plane as f64 }
            })
            .collect();
    }

    fn set_solver(&mut self, file: &str, bytes: prost::bytes::Bytes) -> Result<(), Error> {
        let state = decode_solverstate(file, bytes)?;
        let history = state.history.iter().enumerate();
        let tensors = history.map(|(i, b)| TensorReport::of(&format!("history{i}"), b)).collect();
        self.layers = vec![LayerReport { name: String::new(), kind: String::new(), tensors }];
        self.solver = Some(SolverReport {
            iter: state.iter,
            learned_net: state.learned_net,
            current_step: state.current_step,
        });
        Ok(())
    }
}

impl TensorReport {
    fn of(name: &str, blob: &Blob) -> Self {
        let mut report = TensorReport {
            name: name.to_owned(),
            shape: blob.shape.clone(),
            dtype: "F32".to_owned(),
            count: blob.data.len(),
            bytes: Some(blob.data.len() * 4),
            min: None,
            max: None,
            mean: None,
            std: None,
            non_finite: 0,
        };
        report.measure(&blob.data);
        report
    }

    /// Two passes: the mean, then the deviations from it. One pass would lose the digits.
    fn measure(&mut self, values: &[f32]) {
        let finite = || values.iter().copied().filter(|v| v.is_finite());
        let count = finite().count();
        self.non_finite = values.len() - count;
        if count == 0 {
            return;
        }
        let mean = finite().map(f64::from).sum::<f64>() / count as f64;
        let variance = finite().map(|v| (f64::from(v) - mean).powi(2)).sum::<f64>() / count as f64;
        self.min = finite().reduce(f32::min);
        self.max = finite().reduce(f32::max);
        self.mean = Some(mean);
        self.std = Some(variance.sqrt());
    }
}

impl fmt::Display for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = format!("{:?}", self.kind).to_lowercase();
        writeln!(f, "{}: {kind}, {} bytes, {} values", self.file, self.bytes, self.values)?;
        if let Some(s) = &self.solver {
            writeln!(f, "after {} updates, step {}", s.iter, s.current_step)?;
            writeln!(f, "weights: {}", s.learned_net)?;
        }
        for layer in &self.layers {
            if !layer.name.is_empty() {
                let kind = if layer.kind.is_empty() { "type unknown" } else { &layer.kind };
                writeln!(f, "{} ({kind})", layer.name)?;
            }
            for tensor in &layer.tensors {
                writeln!(f, "  {tensor}")?;
            }
        }
        for c in &self.channel_means {
            writeln!(f, "channel {}: mean {:.4}", c.channel, c.mean)?;
        }
        Ok(())
    }
}

impl fmt::Display for TensorReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shape: Vec<_> = self.shape.iter().map(ToString::to_string).collect();
        let shape = if shape.is_empty() { "single".to_owned() } else { shape.join("×") };
        write!(f, "{:<12} {shape:<16} {} {} values", self.name, self.dtype, self.count)?;
        if let (Some(min), Some(max), Some(mean), Some(std)) =
            (self.min, self.max, self.mean, self.std)
        {
            write!(f, ", {min:.4e} to {max:.4e}, mean {mean:.4e}, std {std:.4e}")?;
        }
        if self.non_finite > 0 {
            write!(f, ", {} NOT FINITE", self.non_finite)?;
        }
        Ok(())
    }
}
