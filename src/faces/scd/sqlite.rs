//! Cascades in files: ccv's sqlite3 databases.
//!
//! Flows in: a file. Flows out: a [`Cascade`], checked; and the other way round. Three tables: one row of
//! `cascade_params`, a row of `classifier_params` for each stage, a row of `feature_params` for each weak
//! learner. Other tables, which ccv's training leaves there, are passed over.
//!
//! A file is read as bytes and opened in memory, so that SQLite touches no other file and a database never
//! has more than [`MAX_FILE`] bytes. Views and virtual tables, which could compute without end, are refused.

use super::{Cascade, MAX_STAGES, MAX_WEAK, Stage, Weak};
use crate::error::{Error, Result};
use crate::image::Size;
use likenet_kernels::cpu::surf::NUMBERS;
use rusqlite::limits::Limit;
use rusqlite::{Connection, MAIN_DB, Row, params_from_iter, types::Value};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Most bytes of a file: ccv's face cascade has 75 thousand, [`MAX_WEAK`] features have 20 million.
const MAX_FILE: u64 = 64 << 20;

/// Most bytes of a value, a row or a statement in it.
const MAX_VALUE: i32 = 1 << 16;

const SCHEMA: &str = "
    CREATE TABLE cascade_params (id INTEGER PRIMARY KEY ASC, count INTEGER,
        margin_left INTEGER, margin_top INTEGER, margin_right INTEGER, margin_bottom INTEGER,
        size_width INTEGER, size_height INTEGER);
    CREATE TABLE classifier_params (classifier INTEGER PRIMARY KEY ASC, count INTEGER,
        threshold DOUBLE);
    CREATE TABLE feature_params (classifier INTEGER, id INTEGER,
        sx_0 INTEGER, sy_0 INTEGER, dx_0 INTEGER, dy_0 INTEGER,
        sx_1 INTEGER, sy_1 INTEGER, dx_1 INTEGER, dy_1 INTEGER,
        sx_2 INTEGER, sy_2 INTEGER, dx_2 INTEGER, dy_2 INTEGER,
        sx_3 INTEGER, sy_3 INTEGER, dx_3 INTEGER, dy_3 INTEGER,
        bias DOUBLE, w BLOB, UNIQUE (classifier, id));";

const TABLES: [&str; 3] = ["cascade_params", "classifier_params", "feature_params"];

/// What is wrong, without the file's name.
type Checked<T> = std::result::Result<T, String>;

impl Cascade {
    /// Reads a cascade from ccv's sqlite3 file. Thresholds, biases and weights become `f32`, as in ccv.
    ///
    /// Fails when the file cannot be read, is no such database, or holds no cascade that could run: counts
    /// that do not fit, cells outside the window, weights that are no 32 numbers, sizes beyond reason.
    pub fn read(path: &Path) -> Result<Self> {
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(Error::io(path))?;
        file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(Error::io(path))?;
        let cascade = parse(&bytes);
        cascade.map_err(|reason| Error::Invalid(format!("{}: {reason}", path.display())))
    }

    /// Writes the cascade as ccv's sqlite3 file, atomically.
    ///
    /// Fails when the cascade could not be read again, or the file not be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let about = |reason: String| Error::Invalid(format!("{}: {reason}", path.display()));
        self.check().map_err(about)?;
        let bytes = database(self).map_err(|e| about(e.to_string()))?;
        Ok(weights_tools::write_file(path, bytes)?)
    }
}

/// A cascade from the bytes of its file.
fn parse(bytes: &[u8]) -> Checked<Cascade> {
    if bytes.len() as u64 > MAX_FILE {
        return Err(format!("a cascade has no more than {MAX_FILE} bytes"));
    }
    let damaged = |e: rusqlite::Error| format!("no cascade of ccv's, or a damaged one: {e}");
    let db = open(bytes).map_err(damaged)?;
    let ordinary = "SELECT count(*) FROM sqlite_master WHERE name IN (?, ?, ?)
        AND type = 'table' AND rootpage > 0";
    if db.query_row(ordinary, TABLES, |row| row.get::<_, usize>(0)).map_err(damaged)?
        != TABLES.len()
    {
        return Err(format!("it needs the tables {}", TABLES.join(", ")));
    }
    let (mut cascade, count) = header(&db).map_err(damaged)?;
    let counts = stages(&db, &mut cascade).map_err(damaged)?;
    if count != counts.len() {
        return Err(format!("{count} stages are announced, there are {}", counts.len()));
    }
    features(&db, &mut cascade)?;
    for (s, (stage, count)) in cascade.stages.iter().zip(counts).enumerate() {
        if stage.weak.len() != count {
            let found = stage.weak.len();
            return Err(format!("stage {s}: {count} features are announced, there are {found}"));
        }
    }
    cascade.check()?;
    Ok(cascade)
}

fn open(bytes: &[u8]) -> rusqlite::Result<Connection> {
    let mut db = Connection::open_in_memory()?;
    db.set_limit(Limit::SQLITE_LIMIT_LENGTH, MAX_VALUE)?;
    db.deserialize_read_exact(MAIN_DB, bytes, bytes.len(), true)?;
    db.execute_batch("PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;")?;
    Ok(db)
}

/// The cascade without stages, and how many there are to be.
fn header(db: &Connection) -> rusqlite::Result<(Cascade, usize)> {
    let query = "SELECT count, margin_left, margin_top, margin_right, margin_bottom,
        size_width, size_height FROM cascade_params WHERE id = 0";
    db.query_row(query, [], |row| {
        let size = Size::new(row.get("size_height")?, row.get("size_width")?);
        let margins = [row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?];
        Ok((Cascade { size, margins, stages: Vec::new() }, row.get(0)?))
    })
}

/// Adds the stages, without features, and returns how many of these each announces.
fn stages(db: &Connection, cascade: &mut Cascade) -> rusqlite::Result<Vec<usize>> {
    let query = format!(
        "SELECT count, threshold FROM classifier_params ORDER BY classifier LIMIT {}",
        MAX_STAGES + 1
    );
    let mut statement = db.prepare(&query)?;
    let mut rows = statement.query([])?;
    let mut counts = Vec::new();
    while let Some(row) = rows.next()? {
        counts.push(row.get(0)?);
        cascade.stages.push(Stage { threshold: row.get::<_, f64>(1)? as f32, weak: Vec::new() });
    }
    Ok(counts)
}

/// Adds the features to their stages.
fn features(db: &Connection, cascade: &mut Cascade) -> Checked<()> {
    let sql = |e: rusqlite::Error| format!("features: {e}");
    let query =
        format!("SELECT * FROM feature_params ORDER BY classifier, id LIMIT {}", MAX_WEAK + 1);
    let mut statement = db.prepare(&query).map_err(sql)?;
    let mut rows = statement.query([]).map_err(sql)?;
    while let Some(row) = rows.next().map_err(sql)? {
        let id = |name: &str| row.get::<_, usize>(name).map_err(sql);
        let (s, f) = (id("classifier")?, id("id")?);
        let about = |reason: String| format!("stage {s}, feature {f}: {reason}");
        let Some(stage) = cascade.stages.get_mut(s) else {
            return Err(about("there is no such stage".into()));
        };
        if stage.weak.len() != f {
            return Err(about(format!("feature {} comes before it", stage.weak.len())));
        }
        stage.weak.push(weak(row).map_err(|e| about(e.to_string()))?);
    }
    Ok(())
}

fn weak(row: &Row) -> rusqlite::Result<Weak> {
    let mut cells = [[0; 4]; 4];
    for (i, cell) in cells.iter_mut().enumerate() {
        for (side, value) in ["sx", "sy", "dx", "dy"].iter().zip(cell) {
            *value = row.get(format!("{side}_{i}").as_str())?;
        }
    }
    let blob: [u8; 4 * NUMBERS] = row.get("w")?;
    let mut weights = [0.0; NUMBERS];
    for (weight, bytes) in weights.iter_mut().zip(blob.as_chunks().0) {
        *weight = f32::from_le_bytes(*bytes);
    }
    Ok(Weak { cells, bias: row.get::<_, f64>("bias")? as f32, weights })
}

/// The bytes of a database of the cascade.
fn database(cascade: &Cascade) -> rusqlite::Result<Vec<u8>> {
    let mut db = Connection::open_in_memory()?;
    let transaction = db.transaction()?;
    transaction.execute_batch(SCHEMA)?;
    let insert = |table: &str, values: Vec<Value>| {
        let places = vec!["?"; values.len()].join(", ");
        let mut statement =
            transaction.prepare(&format!("INSERT INTO {table} VALUES ({places})"))?;
        statement.execute(params_from_iter(values))
    };
    let integer = |v: usize| Value::from(v as i64);
    let Size { height, width } = cascade.size;
    let mut header = vec![integer(0), integer(cascade.stages.len())];
    header.extend(cascade.margins.map(Value::from));
    header.extend([width, height].map(integer));
    insert(TABLES[0], header)?;
    for (s, stage) in cascade.stages.iter().enumerate() {
        let threshold = Value::from(f64::from(stage.threshold));
        insert(TABLES[1], vec![integer(s), integer(stage.weak.len()), threshold])?;
        for (f, weak) in stage.weak.iter().enumerate() {
            let mut values = vec![integer(s), integer(f)];
            values.extend(weak.cells.as_flattened().iter().map(|v| integer(usize::from(*v))));
            let weights = weak.weights.iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<u8>>();
            values.extend([Value::from(f64::from(weak.bias)), Value::from(weights)]);
            insert(TABLES[2], values)?;
        }
    }
    transaction.commit()?;
    Ok(db.serialize(MAIN_DB)?.to_vec())
}
