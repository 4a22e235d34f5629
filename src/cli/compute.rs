//! Where and how a network is computed: the arguments that every command which runs one shares.

use clap::{Args, ValueEnum};
use likenet::backend::{self, Backend, Settings};
use likenet::net::{Algorithm, Options, Precision};
use likenet::{Error, Result};

/// The backends that users have.
pub const BACKENDS: [&str; 4] = ["auto", "cpu", "cuda", "reference"];

/// The backend of that name; `auto` tells which it is.
pub fn told(name: &str) -> &str {
    if name != "auto" {
        return name;
    }
    match backend::device() {
        Ok(device) => {
            eprintln!("backend: cuda, on {device}");
            "cuda"
        }
        Err(reason) => {
            eprintln!("backend: cpu, because {reason}");
            "cpu"
        }
    }
}

/// A number of threads that a machine can have: more would only bring it to a halt.
pub fn threads() -> clap::builder::RangedU64ValueParser<usize> {
    clap::builder::RangedU64ValueParser::new().range(..=1024)
}

/// Backend, threads, algorithm.
#[derive(Args)]
pub struct ComputeArgs {
    /// Where the network is computed; auto: on an NVIDIA device if there is one, else on the CPU
    #[arg(long, value_parser = BACKENDS, default_value = "cpu")]
    pub backend: String,
    /// Threads; 0 means one for each core
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = threads())]
    pub threads: usize,
    /// How convolutions are computed, where they can be [default: whatever is fastest for each]
    #[arg(long, value_enum)]
    pub conv: Option<ConvArg>,
    /// How weights are kept: smaller ones are read faster, which is what one picture waits for
    #[arg(long, value_enum, default_value_t = PrecisionArg::F32)]
    pub precision: PrecisionArg,
}

/// How weights are kept.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PrecisionArg {
    /// As they are
    F32,
    /// 24 bits: sixteen of mantissa
    F24,
    /// Half precision, eleven bits
    F16,
    /// Eight bits, and a factor for each output
    Int8,
}

impl From<PrecisionArg> for Precision {
    fn from(arg: PrecisionArg) -> Self {
        match arg {
            PrecisionArg::F32 => Self::F32,
            PrecisionArg::F24 => Self::F24,
            PrecisionArg::F16 => Self::F16,
            PrecisionArg::Int8 => Self::I8,
        }
    }
}

/// How convolutions are computed.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ConvArg {
    /// Every tap of the window reads the picture itself
    Direct,
    /// One matrix product over all patches
    Gemm,
    /// Fewer multiplications, over transformed tiles
    Winograd,
    /// In the processor's matrix unit (AMX), each number as two of half the size
    Tiles,
}

impl From<ConvArg> for Algorithm {
    fn from(arg: ConvArg) -> Self {
        match arg {
            ConvArg::Direct => Self::Direct,
            ConvArg::Gemm => Self::Gemm,
            ConvArg::Winograd => Self::Winograd,
            ConvArg::Tiles => Self::Tiles,
        }
    }
}

impl ComputeArgs {
    /// A backend as asked for.
    pub fn backend(&self) -> Result<Box<dyn Backend>> {
        backend::by_name(told(&self.backend), self.settings()).map_err(Error::Invalid)
    }

    fn settings(&self) -> Settings {
        Settings { threads: self.threads, weights: self.precision.into(), changing: false }
    }

    /// In words, what results depend on.
    pub fn words(&self) -> String {
        let conv = self.conv.map_or("as chosen", |conv| Algorithm::from(conv).name());
        let weights = Precision::from(self.precision).name();
        format!("{}, convolutions {conv}, weights {weights}", self.backend)
    }

    /// Options of a network that is computed so.
    pub fn options(&self) -> Options {
        Options {
            backend: told(&self.backend).into(),
            threads: self.threads,
            weights: self.precision.into(),
            conv: self.conv.map(Algorithm::from),
            ..Options::default()
        }
    }
}
