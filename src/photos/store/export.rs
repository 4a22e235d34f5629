//! Tables for other programs. Flows in: the store. Flows out: CSV, JSONL or Parquet, by the file's ending.

use super::Store;
use crate::error::{Error, Result};
use parquet::basic::{Compression, Repetition, Type as Physical};
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::{Type, TypePtr};
use rusqlite::types::Value;
use serde_json::{Map, Number, Value as Json};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

/// A table that can be exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub about: &'static str,
    /// How it is read: columns of numbers and texts, in a fixed order of rows.
    query: &'static str,
}

const TABLES: [Table; 7] = [
    Table {
        name: "photos",
        about: "a row for each photo: user, followers, likes, rate, label, part, file, faces, why it was left out",
        query: "SELECT photos.id AS photo, photos.native AS native, users.name AS user, followers, likes,
            created, url, page, rate, good, part, removed, downloads.state AS download, file, bytes, sha256,
            width, height, duplicate_of, downloads.reason AS reason,
            (SELECT count(*) FROM faces WHERE faces.photo = photos.id) AS faces,
            (SELECT keep FROM filters WHERE filters.photo = photos.id AND filter = 'faces') AS has_face,
            (SELECT keep FROM filters WHERE filters.photo = photos.id AND filter = 'classifier') AS is_person
            FROM photos JOIN users ON users.id = photos.user
            LEFT JOIN labels ON labels.photo = photos.id
            LEFT JOIN downloads ON downloads.photo = photos.id ORDER BY photos.id",
    },
    Table {
        name: "users",
        about: "a row for each user: name, followers",
        query: "SELECT id AS user, native, name, followers, hidden FROM users ORDER BY id",
    },
    Table {
        name: "faces",
        about: "a row for each face: its box in pixels, its confidence",
        query: "SELECT photo, place, x, y, w, h, confidence FROM faces ORDER BY photo, place",
    },
    Table {
        name: "scores",
        about: "a row for each photo and model: score, probability",
        query: "SELECT scores.photo AS photo, file, model, score, probability, good FROM scores
            JOIN labels ON labels.photo = scores.photo JOIN downloads ON downloads.photo = scores.photo
            ORDER BY model, probability DESC, scores.photo",
    },
    Table {
        name: "comparisons",
        about: "a row for each set of photos, features and method: what cross-validation gave",
        query: "SELECT photos, features, mirrored, method, c, ap, ap_spread, roc_auc, accuracy FROM comparisons
            ORDER BY photos, features, mirrored, method",
    },
    Table {
        name: "models",
        about: "a row for each model: what it learned from, how it ranks the test photos",
        query: "SELECT name, photos, features, method, learnt, judged, chance, ap, ap_low, ap_high, p, roc_auc,
            accuracy FROM models ORDER BY name",
    },
    Table {
        name: "counts",
        about: "a row for each stage and rule: how many photos it took out",
        query: "SELECT stage, place, reason, photos FROM counts ORDER BY stage, place, reason",
    },
];

/// All tables.
pub fn tables() -> &'static [Table] {
    &TABLES
}

/// Columns of one table.
struct Columns {
    names: Vec<String>,
    rows: Vec<Vec<Value>>,
}

/// Writes a table into a file whose ending says how: `.csv`, `.jsonl` or `.parquet`. Gives the number of rows.
pub fn export(store: &Store, table: &Table, path: &Path) -> Result<usize> {
    let format = match path.extension().and_then(|e| e.to_str()) {
        Some("csv") => csv_bytes,
        Some("jsonl") => jsonl_bytes,
        Some("parquet") => parquet_bytes,
        _ => {
            let path = path.display();
            return Err(Error::Invalid(format!(
                "{path}: tables are written as .csv, .jsonl or .parquet"
            )));
        }
    };
    let columns = store.read(|db| {
        let mut query = db.prepare(table.query)?;
        let names: Vec<String> = query.column_names().map(String::from).collect();
        let rows = query.query_map([], |row| (0..names.len()).map(|c| row.get(c)).collect())?;
        let rows = rows.collect::<rusqlite::Result<_>>()?;
        Ok(Columns { names, rows })
    })?;
    let bytes = format(&columns)
        .map_err(|reason| Error::Invalid(format!("{}: {reason}", path.display())))?;
    weights_tools::write_file(path, bytes)?;
    Ok(columns.rows.len())
}

fn csv_bytes(table: &Columns) -> std::result::Result<Vec<u8>, String> {
    let mut out = csv::Writer::from_writer(vec![]);
    let text = |value: &Value| match value {
        Value::Null | Value::Blob(_) => String::new(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => number.to_string(),
        Value::Text(text) => text.clone(),
    };
    out.write_record(&table.names).map_err(|e| e.to_string())?;
    for row in &table.rows {
        out.write_record(row.iter().map(text)).map_err(|e| e.to_string())?;
    }
    out.into_inner().map_err(|e| e.to_string())
}

fn jsonl_bytes(table: &Columns) -> std::result::Result<Vec<u8>, String> {
    let mut out = vec![];
    let json = |value: &Value| match value {
        Value::Null | Value::Blob(_) => Json::Null,
        Value::Integer(number) => (*number).into(),
        Value::Real(number) => Number::from_f64(*number).map_or(Json::Null, Json::Number),
        Value::Text(text) => text.clone().into(),
    };
    for row in &table.rows {
        let pairs = table.names.iter().cloned().zip(row.iter().map(json));
        let line = Json::Object(Map::from_iter(pairs));
        writeln!(out, "{line}").map_err(|e| e.to_string())?;
    }
    Ok(out)
}

/// What all values of a column are, where they are known.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Integer,
    Real,
    Text,
}

impl Kind {
    /// A column without values is of texts; whole numbers beside others are numbers.
    fn of<'a>(values: impl Iterator<Item = &'a Value>) -> Self {
        let mut kind = None;
        for value in values {
            kind = match (value, kind) {
                (Value::Integer(_), None | Some(Self::Integer)) => Some(Self::Integer),
                (Value::Integer(_) | Value::Real(_), None | Some(Self::Integer | Self::Real)) => {
                    Some(Self::Real)
                }
                (Value::Null | Value::Blob(_), kind) => kind,
                _ => return Self::Text,
            };
        }
        kind.unwrap_or(Self::Text)
    }

    fn physical(self) -> Physical {
        match self {
            Self::Integer => Physical::INT64,
            Self::Real => Physical::DOUBLE,
            Self::Text => Physical::BYTE_ARRAY,
        }
    }
}

fn parquet_bytes(table: &Columns) -> std::result::Result<Vec<u8>, String> {
    let column = |c: usize| table.rows.iter().map(move |row| &row[c]);
    let kinds: Vec<Kind> = (0..table.names.len()).map(|c| Kind::of(column(c))).collect();
    let field = |(name, kind): (&String, &Kind)| -> parquet::errors::Result<TypePtr> {
        let builder = Type::primitive_type_builder(name, kind.physical());
        let builder = builder.with_repetition(Repetition::OPTIONAL);
        let text = (*kind == Kind::Text).then_some(parquet::basic::LogicalType::String);
        Ok(Arc::new(builder.with_logical_type(text).build()?))
    };
    let write = || -> parquet::errors::Result<Vec<u8>> {
        let fields =
            table.names.iter().zip(&kinds).map(field).collect::<parquet::errors::Result<_>>()?;
        let schema = Type::group_type_builder("likenet").with_fields(fields).build()?;
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let mut out = SerializedFileWriter::new(vec![], Arc::new(schema), Arc::new(properties))?;
        let mut group = out.next_row_group()?;
        for (c, kind) in kinds.iter().enumerate() {
            write_column(&mut group, *kind, &column(c).collect::<Vec<_>>())?;
        }
        group.close()?;
        out.into_inner()
    };
    write().map_err(|e| e.to_string())
}

fn write_column(
    group: &mut SerializedRowGroupWriter<Vec<u8>>,
    kind: Kind,
    values: &[&Value],
) -> parquet::errors::Result<()> {
    let Some(mut column) = group.next_column()? else { return Ok(()) };
    let there = |value: &&Value| !matches!(value, Value::Null | Value::Blob(_));
    let levels: Vec<i16> = values.iter().map(|value| i16::from(there(value))).collect();
    let values = values.iter().copied().filter(|value| there(value));
    match kind {
        Kind::Integer => {
            let whole = |value: &Value| if let Value::Integer(n) = value { *n } else { 0 };
            let values: Vec<i64> = values.map(whole).collect();
            column.typed::<Int64Type>().write_batch(&values, Some(&levels), None)?;
        }
        Kind::Real => {
            let real = |value: &Value| match value {
                Value::Integer(n) => *n as f64,
                Value::Real(n) => *n,
                _ => f64::NAN,
            };
            let values: Vec<f64> = values.map(real).collect();
            column.typed::<DoubleType>().write_batch(&values, Some(&levels), None)?;
        }
        Kind::Text => {
            let text = |value: &Value| match value {
                Value::Text(text) => ByteArray::from(text.as_str()),
                Value::Integer(n) => ByteArray::from(n.to_string().as_str()),
                Value::Real(n) => ByteArray::from(n.to_string().as_str()),
                _ => ByteArray::from(""),
            };
            let values: Vec<ByteArray> = values.map(text).collect();
            column.typed::<ByteArrayType>().write_batch(&values, Some(&levels), None)?;
        }
    }
    column.close()
}

#[cfg(test)]
mod tests {
    use super::*;
    use parquet::file::reader::{FileReader, SerializedFileReader};

    fn store() -> Store {
        let mut store = Store::in_memory().expect("a store");
        let rows = "INSERT INTO users VALUES (1, 'n1', 'ann, \"the\" first', 10, NULL), (2, 'n2', 'bob', NULL, NULL)";
        store.change(|db| db.execute_batch(rows)).expect("rows");
        store
    }

    #[test]
    fn every_table_can_be_read() {
        let (store, folder) = (store(), tempfile::tempdir().expect("a folder"));
        for table in tables() {
            for ending in ["csv", "jsonl", "parquet"] {
                let path = folder.path().join(format!("{}.{ending}", table.name));
                let rows = export(&store, table, &path).expect("written");
                assert_eq!(rows, if table.name == "users" { 2 } else { 0 }, "{}", table.name);
            }
        }
        let said = export(&store, &tables()[0], Path::new("a.xls")).expect_err("no").to_string();
        assert!(said.contains(".parquet"), "{said}");
    }

    #[test]
    fn texts_and_missing_numbers_survive() {
        let (store, folder) = (store(), tempfile::tempdir().expect("a folder"));
        let path = |ending: &str| folder.path().join(format!("users.{ending}"));
        let users = tables().iter().find(|t| t.name == "users").expect("users");
        for ending in ["csv", "jsonl", "parquet"] {
            export(&store, users, &path(ending)).expect("written");
        }
        let read = |ending| std::fs::read_to_string(path(ending)).expect("text");
        assert_eq!(
            read("csv"),
            "user,native,name,followers,hidden\n1,n1,\"ann, \"\"the\"\" first\",10,\n2,n2,bob,,\n"
        );
        let second =
            "{\"user\":2,\"native\":\"n2\",\"name\":\"bob\",\"followers\":null,\"hidden\":null}";
        let line: Json =
            serde_json::from_str(read("jsonl").lines().nth(1).expect("a line")).expect("JSON");
        assert_eq!(line, serde_json::from_str::<Json>(second).expect("JSON"));
        let file = std::fs::File::open(path("parquet")).expect("a file");
        let reader = SerializedFileReader::new(file).expect("Parquet");
        let rows: Vec<String> = reader
            .get_row_iter(None)
            .expect("rows")
            .map(|r| r.expect("a row").to_string())
            .collect();
        assert!(
            rows[0].contains("ann, \\\"the\\\" first") || rows[0].contains("ann, \"the\" first"),
            "{rows:?}"
        );
        assert!(rows[1].contains("followers: null"), "{rows:?}");
    }
}
