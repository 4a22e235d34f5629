//! Parquet: paths in, rows and notes out.
//!
//! A row is one number a column, or a column `features` with a list of numbers or with a vector of Spark
//! ML (`type` 0: `size`, `indices` and `values`; 1: `values` alone). The columns `label`, `file`,
//! `mirrored` and `group` are not features.
//!
//! What is compressed may be by Snappy or gzip; Zstandard would need a compiler for C. Pages whose
//! checksum is wrong are errors (Spark writes one). The decoder below checks the rest of a damaged page
//! only in part, and a rare one without a checksum makes it panic: here that is an error like others.

use super::{Loaded, Notes, at, check_sparse, check_unique, invalid, layout_of};
use crate::error::{Error, Result};
use crate::learn::{Layout, Matrix};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::reader::RowIter;
use parquet::record::{Field, Row};
use parquet::schema::types::{Type, TypePtr};
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// The column that holds all features of a row.
const FEATURES: &str = "features";

/// Reads files one after the other as one table.
///
/// Fails when a file is damaged, a column is neither a number nor one of those named above, or a value is
/// missing.
pub(super) fn read(paths: &[PathBuf], layout: Option<Layout>) -> Result<Loaded> {
    // Whatever was half read when the decoder gave up is dropped.
    let read = catch_unwind(AssertUnwindSafe(|| read_all(paths, layout)));
    read.unwrap_or_else(|_| {
        let problem = "is damaged: the decoder gave up within one of its pages";
        Err(invalid(paths[0].display(), problem))
    })
}

fn read_all(paths: &[PathBuf], layout: Option<Layout>) -> Result<Loaded> {
    let sample = Rows::open(&paths[0])?.map(|row| Ok(features(&row?, &mut Notes::default())?.0));
    let layout = layout_of(layout, sample).map_err(at(paths[0].display()))?;
    let mut notes = Notes::default();
    let mut matrix: Option<Matrix> = None;
    let mut total = 0;
    for path in paths {
        for row in Rows::open(path)? {
            let mut add = |row: Row| {
                let (values, stored) = features(&row, &mut notes)?;
                let matrix = matrix.get_or_insert_with(|| Matrix::new(values.len(), layout));
                total += stored;
                check_sparse(matrix.rows() + 1, matrix.columns(), total)?;
                matrix.push(&values)
            };
            row.and_then(&mut add).map_err(at(path.display()))?;
        }
    }
    let matrix = matrix.unwrap_or_else(|| Matrix::new(0, layout));
    Ok(Loaded { matrix, notes, about: String::new() })
}

/// The rows of a file: only the columns that count.
struct Rows(RowIter<'static>);

impl Rows {
    fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(Error::io(path))?;
        let length = file.metadata().map_err(Error::io(path))?.len();
        let reader = SerializedFileReader::new(file).map_err(|e| invalid(path.display(), e))?;
        check_places(reader.metadata(), length).map_err(at(path.display()))?;
        let schema = reader.metadata().file_metadata().schema();
        let wanted = wanted(schema).map_err(at(path.display()))?;
        let rows = RowIter::from_file_into(Box::new(reader)).project(Some(wanted));
        rows.map(Self).map_err(|e| invalid(path.display(), e))
    }
}

impl Iterator for Rows {
    type Item = Result<Row>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.0.next()?.map_err(|e| Error::Invalid(e.to_string())))
    }
}

/// Fails when a column does not lie within a file of this many bytes: the decoder would trust it.
fn check_places(metadata: &ParquetMetaData, length: u64) -> Result<()> {
    for column in metadata.row_groups().iter().flat_map(|group| group.columns()) {
        let start = column.dictionary_page_offset().unwrap_or(column.data_page_offset());
        let end = start.checked_add(column.compressed_size());
        let end = end.filter(|&end| start >= 0 && start <= end && end as u64 <= length);
        if end.is_none() {
            let name = column.column_path().string();
            return Err(invalid(format_args!("column '{name}'"), "lies outside the file"));
        }
    }
    Ok(())
}

/// The part of a schema that is read. Beside a column `features` other numbers do not count.
fn wanted(schema: &Type) -> Result<Type> {
    let is_note = |column: &TypePtr| Notes::default().column(column.name()).is_some();
    let columns = schema.get_fields().iter();
    let one = columns.clone().any(|column| column.name() == FEATURES && column.is_group());
    let wanted = columns.filter(|column| !one || is_note(column) || column.name() == FEATURES);
    let wanted: Vec<TypePtr> = wanted.cloned().collect();
    for column in wanted.iter().filter(|column| column.name() != FEATURES || !one) {
        if column.is_group() {
            let problem = "is neither a number nor, under the name 'features', a list of numbers";
            return Err(invalid(format_args!("column '{}'", column.name()), problem));
        }
    }
    if wanted.iter().all(is_note) {
        return Err(Error::Invalid("has no columns of features".into()));
    }
    check_unique(wanted.iter().map(|column| column.name()))?;
    let built = Type::group_type_builder(schema.name()).with_fields(wanted).build();
    built.map_err(|e| Error::Invalid(e.to_string()))
}

/// The features of a row, and how many of them the file spells out; its other columns go to `notes`.
fn features(row: &Row, notes: &mut Notes) -> Result<(Vec<f32>, usize)> {
    let (mut values, mut stored) = (vec![], 0);
    for (name, field) in row.get_column_iter() {
        match (notes.column(name), field) {
            (Some(column), field) => {
                let text =
                    text(field).ok_or_else(|| Error::Invalid(format!("no {name} in a row")))?;
                column.push(text);
            }
            (None, Field::Group(vector)) => stored += spark(vector, &mut values)?,
            (None, Field::ListInternal(list)) => {
                values = list.elements().iter().map(number).collect::<Result<_>>()?;
                stored += values.len();
            }
            (None, field) => {
                values.push(number(field).map_err(at(format_args!("column '{name}'")))?);
                stored += 1;
            }
        }
    }
    Ok((values, stored))
}

/// Spark ML's vector: fills `values`; gives how many the file spells out.
fn spark(vector: &Row, values: &mut Vec<f32>) -> Result<usize> {
    let field = |name: &str| {
        let field = vector.get_column_iter().find(|(column, _)| *column == name);
        field.map_or(&Field::Null, |(_, field)| field)
    };
    let list = |name| match field(name) {
        Field::ListInternal(list) => Ok(list.elements()),
        _ => Err(invalid(FEATURES, format!("a vector without {name}"))),
    };
    let stored = list("values")?.iter().map(number).collect::<Result<Vec<f32>>>()?;
    let count = stored.len();
    match (integer(field("type")), integer(field("size"))) {
        (Some(1), _) => *values = stored,
        (Some(0), Some(size)) => {
            check_sparse(1, size, count)?;
            values.resize(size, 0.0);
            let indices = list("indices")?;
            for (index, value) in indices.iter().zip(&stored) {
                let place = integer(index).and_then(|i| values.get_mut(i));
                *place.ok_or_else(|| invalid(FEATURES, "an index outside the vector"))? = *value;
            }
            if indices.len() != count {
                let problem = format!("{} indices of {count} values", indices.len());
                return Err(invalid(FEATURES, problem));
            }
        }
        _ => return Err(invalid(FEATURES, "a vector that is neither dense nor sparse")),
    }
    Ok(count)
}

fn integer(field: &Field) -> Option<usize> {
    match *field {
        Field::Byte(v) => v.try_into().ok(),
        Field::Int(v) => v.try_into().ok(),
        _ => None,
    }
}

fn number(field: &Field) -> Result<f32> {
    Ok(match *field {
        Field::Float(v) => v,
        Field::Double(v) => v as f32,
        Field::Float16(v) => v.to_f32(),
        Field::Byte(v) => v.into(),
        Field::Short(v) => v.into(),
        Field::Int(v) => v as f32,
        Field::Long(v) => v as f32,
        Field::UByte(v) => v.into(),
        Field::UShort(v) => v.into(),
        Field::UInt(v) => v as f32,
        Field::ULong(v) => v as f32,
        Field::Null => return Err(Error::Invalid("a value is missing".into())),
        _ => return Err(Error::Invalid(format!("{field} is not a number"))),
    })
}

/// A label, a name or the like; `None` where it is missing.
fn text(field: &Field) -> Option<String> {
    match field {
        Field::Null => None,
        Field::Str(text) => Some(text.clone()),
        Field::Bool(truth) => Some(truth.to_string()),
        Field::Double(number) => Some(number.to_string()),
        Field::Float(number) => Some(number.to_string()),
        other => Some(other.to_string()),
    }
}
