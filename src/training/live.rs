//! A glimpse as a file, for those who watch a training from another program. Flows in: a glimpse. Flows out: JSON,
//! with its pictures as PNG files in base64.

use super::glimpse::{Glimpse, Wrong};
use crate::error::Result;
use crate::image::Picture;
use crate::report::encode_png;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// How often a training that is watched is looked at, in seconds.
pub const OFTEN: u64 = 2;

/// The file beside a log.
pub fn beside(log: &Path) -> PathBuf {
    log.with_file_name("live.json")
}

impl Glimpse {
    /// Writes it, atomically.
    pub fn write(&self, path: &Path) -> Result<()> {
        Ok(weights_tools::write_file(path, self.json()?.to_string())?)
    }

    fn json(&self) -> Result<Value> {
        let wrong = |w: &Wrong| -> Result<Value> {
            Ok(json!({
                "photo": png(&w.photo)?,
                "label": w.label,
                "guess": w.guess,
                "probability": w.probability,
            }))
        };
        Ok(json!({
            "iter": self.iter,
            "batch": self.batch,
            "errors": self.errors,
            "filters": self.filters.as_ref().map(png).transpose()?,
            "wrong": self.wrong.iter().map(wrong).collect::<Result<Vec<_>>>()?,
        }))
    }
}

fn png(picture: &Picture) -> Result<String> {
    Ok(BASE64_STANDARD.encode(encode_png(picture)?))
}
