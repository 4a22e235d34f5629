//! From a data layer's description to its batches.
//!
//! Flows in: what the prototxt says. Flows out: a [`Stream`].

use super::items::{Encoded, Items, find};
use super::stream::{Rules, Stream};
use crate::error::{Error, Result};
use crate::image::{DataTransform, Mean, MeanImage};
use crate::layer::{DataLayer, Database, Source, SourceKind};
use std::path::{Path, PathBuf};

/// Opens what a Data or ImageData layer names: an LMDB or a list, as in Caffe; a folder that holds one folder
/// for each class; or a `.safetensors` file with the tensors `data` and `label`. Paths count from the current directory, as Caffe's do,
/// or else from `base`, the prototxt's folder. Batch, shuffling, crop, mirroring and skipping are the
/// layer's; everything else is taken from `rules`.
///
/// Fails when the layer is no such layer, names a LevelDB or what is not there, or its settings
/// contradict each other or the first sample.
pub fn open(source: &Source, base: &Path, rules: Rules) -> Result<Stream> {
    let Some(layer) = &source.data else {
        return Err(Error::Invalid(format!(
            "a {:?} layer names no pictures; only Data and ImageData do",
            source.kind
        )));
    };
    let bases = [base.to_path_buf()];
    let at = find(Path::new(&layer.source), &bases)?;
    let items = match source.kind {
        _ if at.extension().is_some_and(|e| e == "safetensors") => {
            Items::features(&at, "data", "label")?
        }
        SourceKind::Data => database(layer, &at)?,
        _ if at.is_dir() => Items::folders(std::slice::from_ref(&at))?,
        _ => Items::list(&at, &layer.root_folder, base)?,
    };
    let transform = DataTransform {
        new_height: layer.new_height,
        new_width: layer.new_width,
        is_color: layer.is_color,
        crop_size: layer.crop_size,
        mean: mean(layer, &bases)?,
        scale: layer.scale,
    };
    let rules = Rules {
        batch: layer.batch_size,
        shuffle: layer.shuffle,
        train: layer.train,
        mirror: layer.mirror,
        rand_skip: layer.rand_skip,
        ..rules
    };
    Stream::new(items, transform, rules)
}

fn database(layer: &DataLayer, at: &Path) -> Result<Items> {
    if layer.backend == Database::LevelDb {
        return Err(Error::Invalid(format!(
            "{}: LevelDB (data_param.backend, Caffe's default) is not read; write the pictures to an \
             LMDB (convert_imageset -backend lmdb) and set backend: LMDB, or list them for ImageData",
            at.display()
        )));
    }
    let encoded = match (layer.force_color, layer.force_gray) {
        (true, true) => {
            return Err(Error::Invalid(format!(
                "{}: force_color and force_gray contradict each other",
                at.display()
            )));
        }
        (true, false) => Encoded::Color,
        (false, true) => Encoded::Gray,
        (false, false) => Encoded::AsStored,
    };
    Items::lmdb(at, encoded)
}

fn mean(layer: &DataLayer, bases: &[PathBuf]) -> Result<Mean> {
    match (layer.mean_file.as_str(), layer.mean_value.as_slice()) {
        ("", []) => Ok(Mean::None),
        ("", &[all]) => Ok(Mean::Channels([all; 3])),
        ("", &[b, g, r]) => Ok(Mean::Channels([b, g, r])),
        ("", values) => Err(Error::Invalid(format!(
            "transform_param.mean_value: {} values; give one, or one for each of three channels",
            values.len()
        ))),
        (file, []) => {
            let blob = weights_tools::read_binaryproto(&find(Path::new(file), bases)?)?;
            Ok(Mean::Image(MeanImage::new(&blob.shape, blob.data)?))
        }
        (file, _) => Err(Error::Invalid(format!(
            "transform_param: both mean_file ({file}) and mean_value are given; keep one"
        ))),
    }
}
