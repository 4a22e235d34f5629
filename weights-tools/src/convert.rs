//! One weights file in, the same weights in the other format out.

use std::path::Path;

use crate::{Dtype, Error, WeightsFile, write_caffemodel, write_safetensors};

/// Converts weights; the ending of `to` (`.safetensors` or `.caffemodel`) says to what. `dtype` is for
/// safetensors: a `.caffemodel` holds f32.
pub fn convert(from: &Path, to: &Path, dtype: Dtype) -> Result<(), Error> {
    let weights = WeightsFile::open(from)?;
    let ending = to.extension().and_then(|e| e.to_str()).unwrap_or("").to_ascii_lowercase();
    let unwritable = |problem: &str| Error::Unwritable {
        file: to.display().to_string(),
        problem: problem.into(),
    };
    match ending.as_str() {
        "safetensors" => write_safetensors(to, &weights, dtype),
        "caffemodel" if dtype == Dtype::F32 => {
            let net = from.file_stem().map(|s| s.to_string_lossy()).unwrap_or_default();
            write_caffemodel(to, &net, &weights)
        }
        "caffemodel" => Err(unwritable("a .caffemodel holds F32 only")),
        _ => Err(unwritable("the name must end in .safetensors or .caffemodel")),
    }
}
