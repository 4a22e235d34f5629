//! Arrays (rows, …) of safetensors and `.npy` files: path in, rows out.

use super::{Loaded, Notes, SAMPLED, at, invalid, layout_of, memory};
use crate::error::Result;
use crate::learn::{Layout, Matrix};
use std::path::Path;
use weights_tools::{Contents, Rows, StreamedRows};

/// The tensor that holds labels.
const LABEL: &str = "label";

/// See [`super::Source::blobs`].
pub(super) fn blobs(path: &Path) -> Result<Vec<String>> {
    let contents = Contents::of(path)?;
    Ok(candidates(&contents).map(|(name, shape)| format!("{name} {shape:?}")).collect())
}

fn candidates(contents: &Contents) -> impl Iterator<Item = &(String, Vec<usize>)> {
    contents.tensors.iter().filter(|(name, shape)| shape.len() >= 2 && name != LABEL)
}

/// One tensor of a safetensors file, and its tensor `label` of shape (rows) or (rows, 1).
pub(super) fn safetensors(
    path: &Path,
    blob: Option<&str>,
    layout: Option<Layout>,
) -> Result<Loaded> {
    let contents = Contents::of(path)?;
    let blob = match (blob, candidates(&contents).collect::<Vec<_>>().as_slice()) {
        (Some(blob), _) => blob,
        (None, [(only, _)]) => only,
        (None, []) => return Err(invalid(path.display(), "has no tensor of shape (rows, …)")),
        (None, _) => {
            let known = blobs(path)?.join(", ");
            return Err(invalid(path.display(), format!("name one of its blobs: {known}")));
        }
    };
    let settings = contents.metadata.get("settings");
    let about = settings.map_or_else(|| blob.to_owned(), |settings| format!("{blob}; {settings}"));
    let mut loaded = rows(path, StreamedRows::safetensors(path, blob)?, layout, about)?;
    if blob != LABEL && contents.tensors.iter().any(|(name, _)| name == LABEL) {
        loaded.notes.label = Some(labels(path, loaded.matrix.rows())?);
    }
    Ok(loaded)
}

/// The array of a `.npy` file.
pub(super) fn npy(path: &Path, layout: Option<Layout>) -> Result<Loaded> {
    rows(path, StreamedRows::npy(path)?, layout, String::new())
}

fn rows(
    path: &Path,
    mut rows: StreamedRows,
    layout: Option<Layout>,
    about: String,
) -> Result<Loaded> {
    let shape = rows.shape();
    let (count, width) = (shape[0], shape[1..].iter().product());
    if shape.len() < 2 {
        let problem = format!("an array of shape {shape:?} where (rows, …) is wanted");
        return Err(invalid(path.display(), problem));
    }
    if layout == Some(Layout::Mapped) {
        let matrix = Matrix::mapped(width, rows.map()?).map_err(at(path.display()))?;
        return Ok(Loaded { matrix, notes: Notes::default(), about });
    }
    let some = (0..count).step_by(count.div_ceil(SAMPLED));
    let some: Vec<Vec<f32>> = some.map(|r| Ok(rows.row(r)?)).collect::<Result<_>>()?;
    let layout = layout_of(layout, some.iter().cloned().map(Ok))?;
    memory::check(path, memory::needed_like(layout, count, &some))?;
    let mut matrix = Matrix::new(width, layout);
    for r in 0..count {
        matrix.push(&rows.row(r)?).map_err(at(path.display()))?;
    }
    Ok(Loaded { matrix, notes: Notes::default(), about })
}

fn labels(path: &Path, rows: usize) -> Result<Vec<String>> {
    let labels = Rows::open(path, LABEL)?;
    match *labels.shape() {
        [n] | [n, 1] if n == rows => {
            Ok((0..rows).filter_map(|r| labels.row(r)).map(|l| l[0].to_string()).collect())
        }
        ref shape => {
            let problem = format!("tensor '{LABEL}' has shape {shape:?} where [{rows}] is wanted");
            Err(invalid(path.display(), problem))
        }
    }
}
