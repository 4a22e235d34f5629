//! One SQLite file that knows users, photos, downloads, faces, labels, scores and how far each stage is.
//!
//! Flows in: changes, each a transaction. Flows out: rows. `docs/formats.md` describes the tables for other
//! programs; older files are brought up to date when they are opened. Each room writes the SQL of its own tables.

mod export;
mod forget;

pub use export::{Table, export, tables};
pub use forget::{Forgotten, forget, is_forgotten};

use crate::error::{Error, Result};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What brings a file from each version to the next, the first from nothing.
const MIGRATIONS: [&str; 1] = [include_str!("schema.sql")];

/// The study's database.
pub struct Store {
    db: Connection,
    path: PathBuf,
}

impl Store {
    /// Opens the file, or makes it; older versions are brought up to date.
    ///
    /// Fails where the file is no database, is damaged, or was written by a later version of likenet.
    pub fn open(path: &Path) -> Result<Self> {
        let db = Connection::open(path).map_err(wrong(path))?;
        Self::ready(db, path)
    }

    /// A database in memory, for tests.
    pub fn in_memory() -> Result<Self> {
        let path = Path::new("memory");
        Self::ready(Connection::open_in_memory().map_err(wrong(path))?, path)
    }

    fn ready(mut db: Connection, path: &Path) -> Result<Self> {
        db.busy_timeout(Duration::from_secs(10)).map_err(wrong(path))?;
        db.pragma_update(None, "journal_mode", "wal").map_err(wrong(path))?;
        db.pragma_update(None, "synchronous", "normal").map_err(wrong(path))?;
        db.pragma_update(None, "foreign_keys", true).map_err(wrong(path))?;
        migrate(&mut db, path)?;
        Ok(Self { db, path: path.to_path_buf() })
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Changes rows: all of what `change` does, or nothing.
    pub fn change<T>(
        &mut self,
        change: impl FnOnce(&Transaction) -> rusqlite::Result<T>,
    ) -> Result<T> {
        let begun = self.db.transaction_with_behavior(TransactionBehavior::Immediate);
        let transaction = begun.map_err(wrong(&self.path))?;
        let changed = change(&transaction).map_err(wrong(&self.path))?;
        transaction.commit().map_err(wrong(&self.path))?;
        Ok(changed)
    }

    /// Reads rows.
    pub fn read<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        read(&self.db).map_err(wrong(&self.path))
    }

    /// The first column of the first row.
    pub fn number(&self, query: &str) -> Result<u64> {
        self.read(|db| db.query_row(query, [], |row| row.get(0)))
    }

    /// A fact by its name.
    pub fn fact(&self, name: &str) -> Result<Option<String>> {
        let query = "SELECT value FROM facts WHERE name = ?1";
        self.read(|db| db.query_row(query, [name], |row| row.get(0)).optional())
    }

    /// Writes a fact down unless it is there, and gives what is there.
    pub fn settle(&mut self, name: &str, value: &str) -> Result<String> {
        self.change(|db| {
            db.execute("INSERT OR IGNORE INTO facts VALUES (?1, ?2)", [name, value])?;
            db.query_row("SELECT value FROM facts WHERE name = ?1", [name], |row| row.get(0))
        })
    }

    /// A sum over the rows of some queries: equal rows in equal order have equal sums.
    pub fn digest(&self, queries: &[&str]) -> Result<String> {
        self.read(|db| {
            let mut sum = Sha256::new();
            for query in queries {
                let mut statement = db.prepare(query)?;
                let columns = statement.column_count();
                let mut rows = statement.query([])?;
                while let Some(row) = rows.next()? {
                    for column in 0..columns {
                        add(&mut sum, row.get_ref(column)?);
                    }
                }
            }
            Ok(hex(&sum.finalize()))
        })
    }
}

/// Adds a value to a sum, so that no two lists of values have the same bytes.
fn add(sum: &mut Sha256, value: ValueRef) {
    let (kind, bytes) = match value {
        ValueRef::Null => (0, vec![]),
        ValueRef::Integer(number) => (1, number.to_le_bytes().to_vec()),
        ValueRef::Real(number) => (2, number.to_bits().to_le_bytes().to_vec()),
        ValueRef::Text(text) => (3, text.to_vec()),
        ValueRef::Blob(bytes) => (4, bytes.to_vec()),
    };
    sum.update([kind]);
    sum.update((bytes.len() as u64).to_le_bytes());
    sum.update(bytes);
}

/// Bytes as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The SHA-256 of a text, in hexadecimal digits.
pub fn sha256(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

/// What SQLite says, and what can be done about it.
fn wrong(path: &Path) -> impl Fn(rusqlite::Error) -> Error {
    let path = path.display().to_string();
    move |error| {
        use rusqlite::ErrorCode::{DatabaseBusy, DatabaseCorrupt, DiskFull, NotADatabase};
        let advice = match error.sqlite_error_code() {
            Some(DiskFull) => ": make room and run again, nothing is lost",
            Some(DatabaseBusy) => ": another program holds it; run again when that is done",
            Some(DatabaseCorrupt) => ": bring back a copy of it, or remove it to begin anew",
            Some(NotADatabase) => ": the file is not likenet's",
            _ => "",
        };
        Error::Invalid(format!("{path}: {error}{advice}"))
    }
}

/// Brings a file from its version to this program's, in one transaction.
fn migrate(db: &mut Connection, path: &Path) -> Result<()> {
    let steps = |db: &mut Connection| -> rusqlite::Result<usize> {
        let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let version: usize = transaction.pragma_query_value(None, "user_version", |r| r.get(0))?;
        for step in MIGRATIONS.iter().skip(version) {
            transaction.execute_batch(step)?;
        }
        if version < MIGRATIONS.len() {
            transaction.pragma_update(None, "user_version", MIGRATIONS.len())?;
        }
        transaction.commit()?;
        Ok(version)
    };
    let version = steps(db).map_err(wrong(path))?;
    let known = MIGRATIONS.len();
    if version > known {
        return Err(Error::Invalid(format!(
            "{}: version {version} of the database, and this program knows {known}: use a later likenet",
            path.display()
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_made_once_and_opened_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("likenet.db");
        let mut store = Store::open(&path).expect("made");
        assert_eq!(store.settle("as_of", "1").expect("settled"), "1");
        drop(store);
        let mut store = Store::open(&path).expect("opened");
        assert_eq!(store.settle("as_of", "2").expect("there"), "1");
        let version = "SELECT user_version FROM pragma_user_version";
        assert_eq!(store.number(version).expect("a version"), MIGRATIONS.len() as u64);
    }

    #[test]
    fn files_of_others_and_of_later_versions_are_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("likenet.db");
        let said = |path: &Path| Store::open(path).err().expect("refused").to_string();
        std::fs::write(&path, "no database at all, but long enough to be read").expect("room");
        assert!(said(&path).contains("not likenet's"));
        std::fs::remove_file(&path).expect("it was there");
        let store = Store::open(&path).expect("made");
        store.db.pragma_update(None, "user_version", 99).expect("changed");
        drop(store);
        assert!(said(&path).contains("use a later likenet"));
    }

    #[test]
    fn a_change_is_whole_or_nothing() {
        let mut store = Store::in_memory().expect("a store");
        let failed = store.change(|db| {
            db.execute("INSERT INTO facts VALUES ('a', 'b')", [])?;
            db.execute("INSERT INTO no_such_table VALUES (1)", [])
        });
        assert!(failed.is_err());
        assert_eq!(store.number("SELECT count(*) FROM facts").expect("a count"), 0);
    }

    #[test]
    fn sums_tell_values_apart() {
        let store = Store::in_memory().expect("a store");
        let sum = |query: &str| store.digest(&[query]).expect("a sum");
        assert_eq!(sum("SELECT 'ab', 'c'"), sum("SELECT 'ab', 'c'"));
        assert_ne!(sum("SELECT 'ab', 'c'"), sum("SELECT 'a', 'bc'"));
        assert_ne!(sum("SELECT 1"), sum("SELECT '1'"));
        assert_ne!(sum("SELECT NULL"), sum("SELECT 0"));
    }
}
