//! Features, labels, names and groups of samples, from files.
//!
//! Flows in: a file of features, by its ending, and perhaps a CSV of labels. Flows out: a [`Table`].
//!
//! ```text
//! arrays ┐
//! csv    ├ rows and notes ─┬ labels: a CSV, or the file's own, or the folders of the photos ─ table
//! libsvm │                 └ groups: a column, or the photos themselves
//! parquet┘
//! ```
//!
//! Rows go one by one from the file into the matrix, so that a file larger than memory is read as long as
//! what is not zero in it fits.

mod arrays;
mod csv_file;
mod labels;
mod libsvm;
mod memory;
#[cfg(feature = "parquet")]
mod parquet_file;

use crate::error::{Error, Result};
use crate::learn::{Layout, Matrix};
use std::collections::{HashMap, HashSet};
use std::fmt::Display;
use std::path::{Path, PathBuf};

/// Share of values that are not zero below which a matrix is packed unless a layout is asked for.
pub const PACKED_BELOW: f64 = 0.5;

/// Rows that are looked at to find that share.
const SAMPLED: usize = 64;

/// More columns than any blob has, and a row of them is 16 MiB.
const MAX_COLUMNS: usize = 1 << 22;

/// Samples to learn from, or to judge. Whatever has an entry for each row is in the order of the rows.
#[derive(Clone, Debug)]
pub struct Table {
    /// Features, one row a sample.
    pub matrix: Matrix,
    /// Whether each sample is of the positive class, where that is known. Both classes occur.
    pub labels: Option<Vec<bool>>,
    /// The file that each row was computed from, as it was written down.
    pub names: Option<Vec<String>>,
    /// Whether the row is of that file's mirror image; false where it is not known.
    pub mirrored: Vec<bool>,
    /// Which rows belong together: equal numbers, from 0 in the order in which they first appear.
    pub groups: Option<Vec<u32>>,
    /// Names of the negative and the positive class; empty without labels.
    pub class_names: [String; 2],
    /// What the features are: the blob, and how photos became its inputs where that is written down.
    pub about: String,
    /// Files that have a label and no row.
    pub unused: usize,
}

/// Where a table comes from.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// `.safetensors`, `.npy`, `.csv`, `.parquet`, LIBSVM's text (`.libsvm`, `.svm`, `.txt`), or a folder
    /// of parts as Spark writes them.
    pub features: &'a Path,
    /// The tensor of a safetensors file; may be left out when there is only one.
    pub blob: Option<&'a str>,
    /// A CSV with a column `label` and the columns `file` or `row` (from 0), or with labels alone in the
    /// order of the rows. Without it the labels in the features' file count, or else the names of the
    /// folders in which the photos lie, if these are two or `positive` names one of them.
    pub labels: Option<&'a Path>,
    /// A column of that CSV: rows whose text in it is equal are one group. Without it a column `group`
    /// counts, or else all rows of one photo are one group.
    pub group: Option<&'a str>,
    /// The class of all positive samples; every other class is negative. Without it there are two
    /// classes, and the later one is positive: numbers by size, names by alphabet.
    pub positive: Option<&'a str>,
    /// How the matrix lies in memory; [`Layout::Mapped`] takes arrays of `f32` only. Without it, packed when less than [`PACKED_BELOW`] of some rows is
    /// not zero.
    pub layout: Option<Layout>,
}

/// Columns that are not features, as they are written.
#[derive(Default)]
struct Notes {
    label: Option<Vec<String>>,
    file: Option<Vec<String>>,
    mirrored: Option<Vec<String>>,
    group: Option<Vec<String>>,
}

impl Notes {
    /// The place of a column of this name; `None` if such a column holds features.
    fn column(&mut self, name: &str) -> Option<&mut Vec<String>> {
        let column = match name {
            "label" => &mut self.label,
            "file" => &mut self.file,
            "mirrored" => &mut self.mirrored,
            "group" => &mut self.group,
            _ => return None,
        };
        Some(column.get_or_insert_default())
    }
}

/// What a file of features says by itself.
struct Loaded {
    matrix: Matrix,
    notes: Notes,
    about: String,
}

impl Source<'_> {
    /// Reads the features and finds the labels and groups of their rows.
    ///
    /// Fails when a file is damaged, has no rows, or has values that are not finite; when a row lacks a
    /// label; when there is one class only, or more than two and none of them is said to be positive.
    pub fn read(&self) -> Result<Table> {
        let Loaded { matrix, mut notes, about } = self.load()?;
        let rows = matrix.rows();
        if rows == 0 || matrix.columns() == 0 {
            return Err(invalid(self.features.display(), "has no features"));
        }
        if notes.file.is_none() {
            csv_file::row_names(self.features, rows, &mut notes)?;
        }
        let (mut labels, mut groups, mut unused) = (notes.label, notes.group, 0);
        let mut from = self.features;
        if let Some(path) = self.labels {
            let found = labels::align(path, self.group, notes.file.as_deref(), rows)?;
            (labels, unused, from) = (Some(found.labels), found.unused, path);
            groups = found.groups.or(groups);
        } else if let Some(group) = self.group {
            let problem = format!("no labels file is given in which '{group}' could be a column");
            return Err(invalid(self.features.display(), problem));
        }
        let folders = || labels::folders(notes.file.as_ref()?, self.positive);
        let (labels, class_names) = match (labels.or_else(folders), self.positive) {
            (Some(texts), positive) => {
                let (labels, names) =
                    labels::classes(&texts, positive).map_err(at(from.display()))?;
                (Some(labels), names)
            }
            (None, Some(positive)) => {
                let problem = format!("has no labels that could be '{positive}'");
                return Err(invalid(self.features.display(), problem));
            }
            (None, None) => (None, Default::default()),
        };
        let mirrored = notes.mirrored.unwrap_or_else(|| vec![String::new(); rows]);
        Ok(Table {
            groups: groups.as_ref().or(notes.file.as_ref()).map(|texts| numbered(texts)),
            mirrored: mirrored.iter().map(|m| matches!(m.as_str(), "1" | "true")).collect(),
            names: notes.file,
            matrix,
            labels,
            class_names,
            about,
            unused,
        })
    }

    fn is_array(&self) -> bool {
        let ending = self.features.extension().and_then(|e| e.to_str());
        matches!(ending, Some("safetensors" | "npy"))
    }

    fn load(&self) -> Result<Loaded> {
        let path = self.features;
        if self.layout == Some(Layout::Mapped) && !self.is_array() {
            let problem = "only .safetensors and .npy files can be learnt from where they lie";
            return Err(invalid(path.display(), problem));
        }
        let parts = if path.is_dir() { parts(path)? } else { vec![path.to_path_buf()] };
        let ending = parts[0].extension().and_then(|e| e.to_str()).unwrap_or("");
        if let Some(blob) = self.blob.filter(|_| ending != "safetensors") {
            let problem =
                format!("is no .safetensors file, and only these have blobs like '{blob}'");
            return Err(invalid(path.display(), problem));
        }
        match ending {
            "safetensors" => arrays::safetensors(path, self.blob, self.layout),
            "npy" => arrays::npy(path, self.layout),
            "csv" => csv_file::read(path, self.layout),
            "parquet" => parquet(&parts, self.layout),
            "libsvm" | "svm" | "txt" => libsvm::read(&parts, self.layout),
            _ if path.is_dir() => libsvm::read(&parts, self.layout),
            _ => Err(invalid(
                path.display(),
                "features are read from .safetensors, .npy, .csv, .libsvm, .svm, .txt and .parquet files",
            )),
        }
    }

    /// The tensors of a safetensors file that can be features, each with its shape: `fc7 [100, 4096]`.
    ///
    /// Fails when the file is damaged.
    pub fn blobs(path: &Path) -> Result<Vec<String>> {
        arrays::blobs(path)
    }
}

#[cfg(feature = "parquet")]
fn parquet(parts: &[PathBuf], layout: Option<Layout>) -> Result<Loaded> {
    parquet_file::read(parts, layout)
}

#[cfg(not(feature = "parquet"))]
fn parquet(parts: &[PathBuf], _: Option<Layout>) -> Result<Loaded> {
    let problem = "this program was built without Parquet; build it with `--features parquet`";
    Err(invalid(parts[0].display(), problem))
}

/// The files `part-…` of a folder by name; all of one ending, at least one.
fn parts(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut parts = vec![];
    for entry in std::fs::read_dir(folder).map_err(Error::io(folder))? {
        let path = entry.map_err(Error::io(folder))?.path();
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned());
        if name.is_some_and(|n| n.starts_with("part-")) {
            parts.push(path);
        }
    }
    parts.sort();
    match parts.iter().find(|part| part.extension() != parts[0].extension()) {
        _ if parts.is_empty() => Err(invalid(folder.display(), "holds no files part-…")),
        Some(other) => Err(invalid(
            folder.display(),
            format!("holds parts of two kinds: {} and {}", parts[0].display(), other.display()),
        )),
        None => Ok(parts),
    }
}

/// The layout asked for, or what suits the first of these rows.
fn layout_of(
    asked: Option<Layout>,
    sample: impl IntoIterator<Item = Result<Vec<f32>>>,
) -> Result<Layout> {
    if let Some(layout) = asked {
        return Ok(layout);
    }
    let (mut filled, mut of) = (0, 0);
    for row in sample.into_iter().take(SAMPLED) {
        let row = row?;
        filled += row.iter().filter(|&&v| v != 0.0).count();
        of += row.len();
    }
    Ok(suits(filled, of))
}

/// The layout for so many values other than zero of so many.
fn suits(filled: usize, of: usize) -> Layout {
    if (filled as f64) < PACKED_BELOW * of as f64 { Layout::Packed } else { Layout::Dense }
}

/// Fails when a file that leaves zeros out claims far more of them than it has other values: a matrix has
/// at least a bit for each.
fn check_sparse(rows: usize, columns: usize, stored: usize) -> Result<()> {
    const FREE: usize = 1 << 24;
    const FOR_EACH: usize = 1 << 10;
    if columns > MAX_COLUMNS {
        let problem = format!("a row has {columns} columns; at most {MAX_COLUMNS} are read");
        return Err(Error::Invalid(problem));
    }
    if rows.saturating_mul(columns) > FREE + FOR_EACH * stored {
        return Err(Error::Invalid(format!(
            "{rows} rows of {columns} columns hold only {stored} values: too few to learn from in this way"
        )));
    }
    Ok(())
}

/// Fails when two columns have one name.
fn check_unique<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<()> {
    let mut known = HashSet::new();
    match names.into_iter().find(|name| !known.insert(*name)) {
        Some(twice) => Err(Error::Invalid(format!("two columns are called '{twice}'"))),
        None => Ok(()),
    }
}

/// Equal texts get equal numbers, from 0 in the order in which they first appear.
fn numbered(texts: &[String]) -> Vec<u32> {
    let mut known = HashMap::new();
    let mut number = |text| {
        let next = known.len() as u32;
        *known.entry(text).or_insert(next)
    };
    texts.iter().map(|text| number(text.as_str())).collect()
}

fn invalid(place: impl Display, problem: impl Display) -> Error {
    Error::Invalid(format!("{place}: {problem}"))
}

/// For `map_err`: says where it happened.
fn at(place: impl Display) -> impl FnOnce(Error) -> Error {
    move |e| invalid(place, e)
}
