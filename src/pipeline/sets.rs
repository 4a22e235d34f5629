//! Which photos are learnt from and judged. Flows in: the store. Flows out: photos with their labels; tables of
//! their features.

use super::config::Use;
use super::features::FILE;
use super::project::{PHOTOS, Project};
use crate::error::{Error, Result};
use crate::learn::{Layout, Matrix, Source, Table};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// A set of photos.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Set {
    /// Those that pass the filter.
    People,
    /// All.
    Everything,
}

impl Set {
    /// The sets that a study looks at.
    pub fn all(by: Use) -> &'static [Self] {
        match by {
            Use::None => &[Self::Everything],
            _ => &[Self::People, Self::Everything],
        }
    }

    /// Its name in the store.
    pub fn name(self) -> &'static str {
        match self {
            Self::People => "people",
            Self::Everything => "everything",
        }
    }
}

/// A photo with its label.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Photo {
    pub id: i64,
    /// The network's name for it.
    pub native: String,
    pub user: i64,
    /// Its file, below the folder of the photos.
    pub file: String,
    pub good: bool,
    pub test: bool,
}

/// A set's photos, by their number.
pub(super) fn photos(project: &Project, set: Set) -> Result<Vec<Photo>> {
    let passes = |name: &str| {
        format!(
            "EXISTS (SELECT 1 FROM filters WHERE filters.photo = photos.id AND filter = '{name}' AND keep)"
        )
    };
    let condition = match (set, project.config.filter.by) {
        (Set::Everything, _) | (_, Use::None) => "1".to_string(),
        (_, Use::Faces) => passes("faces"),
        (_, Use::Classifier) => passes("classifier"),
        (_, Use::Both) => format!("{} AND {}", passes("faces"), passes("classifier")),
    };
    project.store.read(|db| {
        let mut query = db.prepare(&format!(
            "SELECT photos.id, photos.native, user, file, good, part = 'test' FROM photos
             JOIN labels ON labels.photo = photos.id JOIN downloads ON downloads.photo = photos.id
             WHERE removed IS NULL AND state = 'done' AND duplicate_of IS NULL AND {condition}
             ORDER BY photos.id"
        ))?;
        let photo = |row: &rusqlite::Row| {
            let (id, native, user, file) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
            Ok(Photo { id, native, user, file, good: row.get(4)?, test: row.get(5)? })
        };
        query.query_map([], photo)?.collect()
    })
}

/// Paths of photos, in their order.
pub(super) fn paths(project: &Project, photos: &[Photo]) -> Vec<PathBuf> {
    photos.iter().map(|photo| project.photos().join(&photo.file)).collect()
}

/// Features of one blob, of whichever photos have some.
pub(super) struct Features {
    table: Table,
    rows: HashMap<PathBuf, Vec<usize>>,
}

impl Features {
    /// Reads a blob of the study's features.
    pub fn read(project: &Project, blob: &str) -> Result<Self> {
        let path = project.file(FILE);
        let source = Source {
            features: &path,
            blob: Some(blob),
            labels: None,
            group: None,
            positive: None,
            layout: None,
        };
        let table = Table { labels: None, ..source.read()? };
        let mut rows: HashMap<PathBuf, Vec<usize>> = HashMap::new();
        for (row, name) in table.names.iter().flatten().enumerate() {
            rows.entry(below_photos(name)).or_default().push(row);
        }
        Ok(Self { table, rows })
    }

    /// The rows of some photos with their labels, grouped by user, and which photo each row is of. Photos without
    /// features, whose files could not be read, are left out.
    pub fn of(&self, photos: &[Photo], copies: bool) -> Result<(Table, Vec<usize>)> {
        let matrix = &self.table.matrix;
        let mut chosen = Matrix::new(matrix.columns(), layout(matrix));
        let mut values = vec![0.0; matrix.columns()];
        let (mut labels, mut groups, mut mirrored, mut of) = (vec![], vec![], vec![], vec![]);
        for (place, photo) in photos.iter().enumerate() {
            for &row in self.rows.get(Path::new(&photo.file)).into_iter().flatten() {
                if self.table.mirrored[row] && !copies {
                    continue;
                }
                matrix.read_row(row, &mut values);
                chosen.push(&values)?;
                labels.push(photos[place].good);
                groups.push(photos[place].user as u32);
                mirrored.push(self.table.mirrored[row]);
                of.push(place);
            }
        }
        if labels.is_empty() {
            return Err(Error::Invalid("no photo has features".into()));
        }
        let table = Table {
            matrix: chosen,
            labels: Some(labels),
            names: None,
            mirrored,
            groups: Some(groups),
            class_names: ["bad".into(), "good".into()],
            about: self.table.about.clone(),
            unused: 0,
        };
        Ok((table, of))
    }
}

/// A photo's path below the folder of the photos: a study that was moved, or is named by another path, finds its
/// features all the same.
fn below_photos(path: &str) -> PathBuf {
    let parts: Vec<_> = Path::new(path).components().collect();
    let folder = parts.iter().rposition(|part| part.as_os_str() == PHOTOS);
    parts[folder.map_or(0, |at| at + 1)..].iter().collect()
}

fn layout(matrix: &Matrix) -> Layout {
    match matrix.layout() {
        Layout::Mapped => Layout::Dense,
        layout => layout,
    }
}
