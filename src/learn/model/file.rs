//! A model as a file.
//!
//! Flows in: a model. Flows out: safetensors; and back, whatever the file holds, a model or an error.

use super::{Classifier, Model};
use crate::error::{Error, Result};
use crate::learn::forest::{Forest, Parts};
use crate::learn::linear::Linear;
use crate::learn::metrics::Platt;
use crate::learn::scale::{Norm, Standard};
use serde::de::DeserializeOwned;
use std::path::Path;
use weights_tools::Archive;

/// What was read, or what is wrong with the file, whose name the caller knows.
type Read<T> = std::result::Result<T, String>;

/// What a model's file says that it is.
pub(super) const FORMAT: &str = "likenet-model";

/// The version of the files that are written and read.
pub(super) const VERSION: &str = "1";

/// Norms as a file spells them.
const NORMS: [(&str, Norm); 3] = [("l1", Norm::L1), ("l2", Norm::L2), ("max", Norm::Max)];

impl Model {
    /// Writes a safetensors file, atomically. Fails, and writes nothing, where [`Model::load`] would.
    pub fn save(&self, path: &Path) -> Result<()> {
        let bytes = self.to_bytes();
        let bytes = bytes.map_err(|problem| damaged(path, format!("not written: {problem}")))?;
        Ok(weights_tools::write_file(path, bytes)?)
    }

    /// The bytes of that file; or, in words, why [`Model::from_bytes`] would not read them.
    pub fn to_bytes(&self) -> std::result::Result<Vec<u8>, String> {
        let bytes = self.archive()?.encode()?;
        Self::from_bytes(&bytes).map(|_| bytes)
    }

    /// Reads a file that [`Model::save`] wrote.
    ///
    /// Fails, whatever the file holds, when it is not one, damaged, or of another version.
    pub fn load(path: &Path) -> Result<Self> {
        if !std::fs::metadata(path).map_err(Error::io(path))?.is_file() {
            return Err(damaged(path, "not a file".into()));
        }
        let bytes = std::fs::read(path).map_err(Error::io(path))?;
        Self::from_bytes(&bytes).map_err(|problem| damaged(path, problem))
    }

    fn archive(&self) -> Read<Archive> {
        let mut archive = Archive::default();
        let kind = match &self.classifier {
            Classifier::Linear(linear) => {
                archive.put("weights", 1, &linear.weights);
                archive.put("bias", 1, &[linear.bias]);
                "linear"
            }
            Classifier::Forest(forest) => {
                let parts = forest.parts();
                archive.put("nodes", 1, &parts.nodes);
                archive.put("features", 1, &parts.features);
                archive.put("thresholds", 1, &parts.thresholds);
                archive.put("children", 2, &parts.children);
                archive.put("probabilities", 1, &parts.probabilities);
                "forest"
            }
        };
        if let Some(Standard { mean, scale }) = &self.standard {
            archive.put("standard.mean", 1, mean);
            archive.put("standard.scale", 1, scale);
        }
        if let Some(Platt { slope, offset }) = self.platt {
            archive.put("platt", 1, &[slope, offset]);
        }
        let json = |value: serde_json::Result<String>| value.map_err(|e| e.to_string());
        let texts = [
            ("format", FORMAT.into()),
            ("version", VERSION.into()),
            ("likenet", env!("CARGO_PKG_VERSION").into()),
            ("kind", kind.into()),
            ("columns", self.columns().to_string()),
            ("classes", json(serde_json::to_string(&self.classes))?),
            ("features", self.features.clone()),
            ("trained", json(serde_json::to_string(&self.trained))?),
        ];
        archive.texts.extend(texts.map(|(name, text)| (name.into(), text)));
        if let Some((name, _)) = NORMS.iter().find(|(_, norm)| Some(*norm) == self.norm) {
            archive.texts.insert("norm".into(), (*name).into());
        }
        Ok(archive)
    }

    /// The model of a file's bytes; or, in words, what is wrong with them.
    pub fn from_bytes(bytes: &[u8]) -> std::result::Result<Self, String> {
        let archive = Archive::decode(bytes)?;
        check_format(&archive)?;
        let columns = archive.text("columns")?;
        // Forests number columns by u32.
        let columns = columns.parse::<u32>().map_err(|_| format!("it has {columns} columns"))?;
        let columns = columns as usize;
        let classifier = match archive.text("kind")? {
            "linear" => Classifier::Linear(linear(&archive)?),
            "forest" => Classifier::Forest(forest(&archive, columns)?),
            other => return Err(format!("it is a classifier of an unknown kind, {other:?}")),
        };
        if columns == 0 || classifier.columns() != columns {
            return Err(format!("its {} weights are for {columns} columns", classifier.columns()));
        }
        let norm = |name: &String| NORMS.iter().find(|(known, _)| known == name);
        let norm = match archive.texts.get("norm") {
            Some(name) => Some(norm(name).ok_or(format!("it has an unknown norm, {name:?}"))?.1),
            None => None,
        };
        let (classes, trained) = (json(&archive, "classes")?, json(&archive, "trained")?);
        let features = archive.text("features")?.into();
        let (standard, platt) = (standard(&archive, columns)?, platt(&archive)?);
        Ok(Self { classifier, standard, norm, platt, classes, features, trained })
    }
}

/// What a text says in JSON.
fn json<T: DeserializeOwned>(archive: &Archive, name: &str) -> Read<T> {
    serde_json::from_str(archive.text(name)?)
        .map_err(|e| format!("its text {name:?} cannot be read: {e}"))
}

fn check_format(archive: &Archive) -> Read<()> {
    match archive.text("format") {
        Ok(FORMAT) => {}
        Ok(other) => return Err(format!("it holds {other:?}, not a model ({FORMAT:?})")),
        Err(_) => return Err("it holds no model of likenet's".into()),
    }
    match archive.text("version")? {
        VERSION => Ok(()),
        other => Err(format!(
            "it is a model of version {other}, written by likenet {}; likenet {} reads version {VERSION}: \
             use the one that wrote it, or train the model again",
            archive.text("likenet").unwrap_or("of unknown version"),
            env!("CARGO_PKG_VERSION"),
        )),
    }
}

/// Numbers that are all finite.
fn finite(archive: &Archive, name: &str) -> Read<Vec<f64>> {
    let numbers: Vec<f64> = archive.get(name)?;
    match numbers.iter().position(|v| !v.is_finite()) {
        Some(i) => Err(format!("number {i} of its array {name:?} is {}", numbers[i])),
        None => Ok(numbers),
    }
}

fn linear(archive: &Archive) -> Read<Linear> {
    match finite(archive, "bias")?[..] {
        [bias] => Ok(Linear { weights: finite(archive, "weights")?, bias }),
        ref other => Err(format!("it has {} biases", other.len())),
    }
}

fn forest(archive: &Archive, columns: usize) -> Read<Forest> {
    let parts = Parts {
        columns,
        nodes: archive.get("nodes")?,
        features: archive.get("features")?,
        thresholds: archive.get("thresholds")?,
        children: archive.get("children")?,
        probabilities: archive.get("probabilities")?,
    };
    Forest::from_parts(parts).map_err(|e| e.to_string())
}

fn standard(archive: &Archive, columns: usize) -> Read<Option<Standard>> {
    if !archive.has("standard.mean") && !archive.has("standard.scale") {
        return Ok(None);
    }
    let (mean, scale) = (finite(archive, "standard.mean")?, finite(archive, "standard.scale")?);
    if [mean.len(), scale.len()] != [columns; 2] {
        let (means, scales) = (mean.len(), scale.len());
        return Err(format!("{means} means and {scales} scales are for {columns} columns"));
    }
    // Rows are divided by them as f32.
    match scale.iter().position(|&s| s as f32 <= 0.0) {
        Some(column) => Err(format!("column {column} is divided by {:e}", scale[column])),
        None => Ok(Some(Standard { mean, scale })),
    }
}

fn platt(archive: &Archive) -> Read<Option<Platt>> {
    if !archive.has("platt") {
        return Ok(None);
    }
    match finite(archive, "platt")?[..] {
        [slope, offset] => Ok(Some(Platt { slope, offset })),
        ref other => Err(format!("its sigmoid has {} numbers, not 2", other.len())),
    }
}

fn damaged(path: &Path, problem: String) -> Error {
    weights_tools::Error::Damaged { file: path.display().to_string(), problem }.into()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{forest, linear};
    use super::*;
    use weights_tools::WeightsSource as _;

    /// Models with everything that a file can have.
    fn models() -> Vec<Model> {
        let mut full = linear();
        if let Classifier::Linear(Linear { weights, bias }) = &mut full.classifier {
            weights[..5].copy_from_slice(&[0.1, -0.0, 5e-324, f64::MAX, 1.0 / 3.0]);
            *bias = -1e-17;
        }
        full.standard = Some(Standard { mean: vec![0.1; 19], scale: vec![2.0 / 3.0; 19] });
        full.platt = Some(Platt { slope: -0.1, offset: 1.0 / 7.0 });
        full.classes = ["a \"b\"".into(), "ü\n".into()];
        full.trained.insert("gap".into(), (0.1 + 0.2).into());
        full.trained.insert("most".into(), serde_json::json!({"seed": u64::MAX, "none": null}));
        let norms = [Norm::L1, Norm::L2, Norm::Max].map(|n| Model { norm: Some(n), ..forest() });
        [vec![linear(), full], norms.into()].concat()
    }

    #[test]
    fn a_file_gives_back_the_same_model_and_the_same_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model.safetensors");
        for model in models() {
            model.save(&path).unwrap();
            let bytes = std::fs::read(&path).unwrap();
            let back = Model::load(&path).unwrap();
            assert_eq!(back, model);
            // −0 = 0, but not in bits.
            back.save(&path).unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), bytes);
        }
    }

    #[test]
    fn other_readers_of_safetensors_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model.safetensors");
        linear().save(&path).unwrap();
        let file = weights_tools::WeightsFile::open(&path).unwrap();
        let at = file.layers().position(|layer| layer.name == "weights").expect("weights");
        let blob = file.read_at(at, 0).unwrap();
        assert_eq!((blob.shape, blob.data[3]), (vec![19], 2.0));
    }

    /// Why a model's file is refused after something has been done to it.
    fn refused(model: &Model, damage: impl FnOnce(&mut Archive)) -> String {
        let mut archive = model.archive().unwrap();
        damage(&mut archive);
        Model::from_bytes(&archive.encode().unwrap()).expect_err("damaged")
    }

    #[test]
    fn other_versions_say_who_reads_what() {
        let error = refused(&linear(), |file| {
            file.texts.insert("version".into(), "2".into());
            file.texts.insert("likenet".into(), "7.0.1".into());
            file.texts.insert("kind".into(), "network".into());
        });
        let this = format!("likenet {} reads version 1", env!("CARGO_PKG_VERSION"));
        for part in ["version 2", "written by likenet 7.0.1", &this] {
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn damaged_models_are_refused() {
        let set = |name: &'static str, text: &'static str| {
            move |file: &mut Archive| drop(file.texts.insert(name.into(), text.into()))
        };
        for (name, text, reason) in [
            ("format", "likenet-features", "holds \"likenet-features\""),
            ("kind", "oracle", "unknown kind, \"oracle\""),
            ("columns", "18", "19 weights are for 18 columns"),
            ("columns", "-1", "-1 columns"),
            ("columns", "99999999999", "99999999999 columns"),
            ("classes", "[\"a\"]", "\"classes\" cannot be read"),
            ("trained", "[", "\"trained\" cannot be read"),
            ("norm", "l3", "unknown norm, \"l3\""),
        ] {
            let error = refused(&linear(), set(name, text));
            assert!(error.contains(reason), "{error}");
        }
        for name in ["format", "version", "kind", "columns", "classes", "features", "trained"] {
            refused(&linear(), |file| drop(file.texts.remove(name)));
        }
        type Damage = fn(&mut Archive);
        let damages: [(&str, Damage); 8] = [
            ("F32, not F64", |f| f.put("weights", 1, &[0f32; 19])),
            ("number 1 of its array \"weights\" is NaN", |f| f.put("weights", 1, &[0.0, f64::NAN])),
            ("bias\" is inf", |f| f.put("bias", 1, &[f64::INFINITY])),
            ("2 biases", |f| f.put("bias", 1, &[0.0; 2])),
            ("no array \"standard.scale\"", |f| f.put("standard.mean", 1, &[0.0; 19])),
            ("19 means and 2 scales", |f| {
                f.put("standard.mean", 1, &[0.0; 19]);
                f.put("standard.scale", 1, &[1.0; 2]);
            }),
            ("column 0 is divided by 1e-60", |f| {
                f.put("standard.mean", 1, &[0.0; 19]);
                f.put("standard.scale", 1, &[1e-60; 19]);
            }),
            ("1 numbers, not 2", |f| f.put("platt", 1, &[0.0])),
        ];
        for (reason, damage) in damages {
            let error = refused(&linear(), damage);
            assert!(error.contains(reason), "{error}");
        }
        // A tree that would never end.
        let error = refused(&forest(), |f| f.put("children", 2, &[0, !1]));
        assert!(error.contains("damaged forest"), "{error}");
    }

    #[test]
    fn what_is_no_model_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model.safetensors");
        assert!(matches!(Model::load(&path), Err(Error::Io { .. })));
        assert!(Model::load(dir.path()).unwrap_err().to_string().contains("not a file"));
        std::fs::write(&path, b"{}").unwrap();
        let error = Model::load(&path).unwrap_err().to_string();
        assert!(error.contains("model.safetensors: not a safetensors file"), "{error}");
        for model in models() {
            let whole = model.archive().unwrap().encode().unwrap();
            for i in 0..whole.len() {
                let mut damaged = whole.clone();
                damaged[i] ^= 1 << (i % 8);
                // Many flips leave a model, though another one.
                let _ = Model::from_bytes(&damaged);
                assert!(Model::from_bytes(&whole[..i]).is_err(), "{i} bytes");
            }
        }
    }

    #[test]
    fn what_could_not_be_read_again_is_not_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model.safetensors");
        let mut model = linear();
        model.platt = Some(Platt { slope: f64::NAN, offset: 0.0 });
        let error = model.save(&path).unwrap_err().to_string();
        assert!(error.contains("not written") && error.contains("NaN"), "{error}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
