//! Tables as text with commas: path in, rows and notes out.

use super::{Loaded, Notes, at, check_unique, invalid, layout_of};
use crate::error::{Error, Result};
use crate::learn::{Layout, Matrix};
use csv::StringRecord;
use std::fs::File;
use std::iter::from_fn;
use std::path::Path;

/// Features in columns, as `likenet features` writes them; the columns `file`, `mirrored`, `label` and
/// `group` are not features, and none is needed.
///
/// Fails when a value is not a number, and names the line.
pub(super) fn read(path: &Path, layout: Option<Layout>) -> Result<Loaded> {
    let mut sample = Features::open(path)?;
    let mut unused = Notes::default();
    let layout = layout_of(layout, from_fn(|| sample.next(&mut unused).transpose()))?;
    let mut features = Features::open(path)?;
    let mut notes = Notes::default();
    let columns = features.header.iter().filter(|name| unused.column(name).is_none()).count();
    let mut matrix = Matrix::new(columns, layout);
    while let Some(row) = features.next(&mut notes)? {
        matrix.push(&row).map_err(at(features.place()))?;
    }
    Ok(Loaded { matrix, notes, about: features.about() })
}

/// A file of features while it is read.
struct Features<'a> {
    path: &'a Path,
    reader: csv::Reader<File>,
    header: StringRecord,
    record: StringRecord,
}

impl<'a> Features<'a> {
    fn open(path: &'a Path) -> Result<Self> {
        let mut reader = csv::Reader::from_reader(File::open(path).map_err(Error::io(path))?);
        let header = reader.headers().map_err(in_csv(path))?.clone();
        check_unique(&header).map_err(at(path.display()))?;
        // Whole numbers are names that other programs give to columns.
        let value = |name: &&str| name.parse::<f32>().is_ok() && name.parse::<u64>().is_err();
        let problem = match header.iter().find(|name| name.is_empty() || value(name)) {
            None => return Ok(Self { path, reader, header, record: StringRecord::new() }),
            Some("") => "a column has no name".to_string(),
            Some(number) => format!("'{number}' is no column's name; is the header missing?"),
        };
        Err(invalid(format_args!("{}:1", path.display()), problem))
    }

    /// The line that was read last.
    fn place(&self) -> String {
        let line = self.record.position().map_or(1, |p| p.line());
        format!("{}:{line}", self.path.display())
    }

    /// The next row's features; its other columns are added to `notes`.
    fn next(&mut self, notes: &mut Notes) -> Result<Option<Vec<f32>>> {
        if !self.reader.read_record(&mut self.record).map_err(in_csv(self.path))? {
            return Ok(None);
        }
        let mut row = vec![];
        for (name, text) in self.header.iter().zip(&self.record) {
            match (notes.column(name), text.trim().parse()) {
                (Some(column), _) => column.push(text.to_owned()),
                (None, Ok(value)) => row.push(value),
                (None, Err(_)) => {
                    let problem = format!("column '{name}': '{text}' is not a number");
                    return Err(invalid(self.place(), problem));
                }
            }
        }
        Ok(Some(row))
    }

    /// The blobs whose values the columns `BLOB_0`, `BLOB_1` … are.
    fn about(&self) -> String {
        let mut blobs: Vec<&str> = vec![];
        for name in &self.header {
            let numbered = name.rsplit_once('_').filter(|(_, n)| n.parse::<u32>().is_ok());
            if let Some((blob, _)) = numbered.filter(|(blob, _)| blobs.last() != Some(blob)) {
                blobs.push(blob);
            }
        }
        blobs.join(", ")
    }
}

/// A small table, all of it.
pub(super) struct Sheet {
    /// Empty when the first line is no header.
    pub(super) header: StringRecord,
    pub(super) records: Vec<StringRecord>,
}

impl Sheet {
    /// Reads a table. Its first line is a header unless `is_record` says otherwise.
    pub(super) fn read(path: &Path, is_record: fn(&StringRecord) -> bool) -> Result<Self> {
        let file = File::open(path).map_err(Error::io(path))?;
        let mut reader = csv::ReaderBuilder::new();
        let mut reader = reader.has_headers(false).trim(csv::Trim::All).from_reader(file);
        let records = reader.records().collect::<std::result::Result<Vec<_>, _>>();
        let mut records = records.map_err(in_csv(path))?;
        let header = match records.first() {
            Some(first) if !is_record(first) => records.remove(0),
            _ => StringRecord::new(),
        };
        check_unique(&header).map_err(at(path.display()))?;
        Ok(Self { header, records })
    }

    /// The column of this name.
    pub(super) fn column(&self, name: &str) -> Option<usize> {
        self.header.iter().position(|column| column == name)
    }
}

/// Adds the names and mirrorings of `OUT.rows.csv` (row, file, mirrored), if that lies beside the
/// features `OUT.npy`, `OUT.BLOB.npy` or the like.
///
/// Fails when it tells of other rows than these.
pub(super) fn row_names(features: &Path, rows: usize, notes: &mut Notes) -> Result<()> {
    let mut out = features.to_path_buf();
    while out.extension().is_some() {
        let path = out.with_extension("rows.csv");
        if path.is_file() {
            let sheet = Sheet::read(&path, |_| false)?;
            let numbers = sheet.column("row").filter(|_| sheet.column("file").is_some());
            let number = |(r, record): (usize, &StringRecord)| {
                record.get(numbers?)?.parse().ok().filter(|&n: &usize| n == r)
            };
            let counted = sheet.records.iter().enumerate().map_while(number).count();
            if counted != rows || sheet.records.len() != rows {
                let (name, found) = (features.display(), sheet.records.len());
                let problem =
                    format!("its {found} rows are not the rows 0 to {} of {name}", rows - 1);
                return Err(invalid(path.display(), problem));
            }
            for record in &sheet.records {
                for (name, text) in sheet.header.iter().zip(record) {
                    if let Some(column) = notes.column(name).filter(|_| name != "label") {
                        column.push(text.to_owned());
                    }
                }
            }
            return Ok(());
        }
        out.set_extension("");
    }
    Ok(())
}

/// For `map_err`: the reader's message, which knows the line.
fn in_csv(path: &Path) -> impl FnOnce(csv::Error) -> Error {
    move |e| invalid(path.display(), e)
}
