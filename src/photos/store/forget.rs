//! A person's right to be forgotten. Flows in: a user's name or id. Flows out: nothing of theirs is left.

use super::{Store, sha256};
use crate::error::{Error, Result};
use rusqlite::Connection;
use std::fs;
use std::path::Path;

/// What was deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forgotten {
    /// Users of that name; more than one where sources use it for several.
    pub users: usize,
    /// Their photos.
    pub photos: usize,
    /// Files of these photos.
    pub files: usize,
}

/// Deletes a user, by name or by the network's own id, with all photos, files, faces, labels and scores, and
/// remembers a SHA-256 of the id so that they are not collected again.
///
/// `folder` is where the files of photos lie. What was learnt from these photos (features, models, reports) is the
/// caller's to delete. Fails where nobody has that name, and leaves everything as it was where a file resists.
pub fn forget(store: &mut Store, folder: &Path, user: &str) -> Result<Forgotten> {
    let people: Vec<(i64, String)> = store.read(|db| {
        let query = "SELECT id, native FROM users WHERE name = ?1 OR native = ?1";
        let mut query = db.prepare(query)?;
        query.query_map([user], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
    })?;
    if people.is_empty() {
        let path = store.path().display();
        return Err(Error::Invalid(format!("{path}: there is no user '{user}'")));
    }
    let (mut photos, mut files) = (0, 0);
    for (id, native) in &people {
        for file in files_of(store, *id)? {
            let path = folder.join(file);
            match fs::remove_file(&path) {
                Ok(()) => files += 1,
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                Err(e) => return Err(Error::io(&path)(e)),
            }
        }
        photos += store.change(|db| {
            let count = "SELECT count(*) FROM photos WHERE user = ?1";
            let photos: usize = db.query_row(count, [id], |row| row.get(0))?;
            db.execute("INSERT OR IGNORE INTO forgotten VALUES (?1)", [sha256(native)])?;
            // Others' copies of their photos were told by them.
            db.execute(
                "UPDATE downloads SET duplicate_of = NULL
                 WHERE duplicate_of IN (SELECT id FROM photos WHERE user = ?1)",
                [id],
            )?;
            db.execute("DELETE FROM users WHERE id = ?1", [id])?;
            Ok(photos)
        })?;
    }
    // Deleted rows stay in the file's free pages until it is packed, and in its log until that is emptied.
    store.read(|db| db.execute_batch("VACUUM; PRAGMA wal_checkpoint(TRUNCATE);"))?;
    Ok(Forgotten { users: people.len(), photos, files })
}

fn files_of(store: &Store, user: i64) -> Result<Vec<String>> {
    store.read(|db| {
        let mut query = db.prepare(
            "SELECT file FROM downloads JOIN photos ON photos.id = photo
             WHERE user = ?1 AND file IS NOT NULL",
        )?;
        query.query_map([user], |row| row.get(0))?.collect()
    })
}

/// Whether a user of this native id was forgotten.
pub fn is_forgotten(db: &Connection, native: &str) -> rusqlite::Result<bool> {
    db.prepare_cached("SELECT 1 FROM forgotten WHERE hash = ?1")?.exists([sha256(native)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_user_is_left() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("likenet.db");
        let mut store = Store::open(&path).expect("a store");
        let rows = "INSERT INTO users VALUES (1, 'n1', 'ann-the-forgettable', 10, NULL), (2, 'n2', 'bob', 20, NULL);
            INSERT INTO photos VALUES (1, 'p1', 1, 'u', '', 5, 1), (2, 'p2', 2, 'u', '', 5, 1);
            INSERT INTO labels VALUES (1, NULL, 0.1, 1, 'train'), (2, NULL, 0.05, 0, 'train');
            INSERT INTO downloads VALUES (1, 'done', '1.jpg', 1, 'x', 1, 1, NULL, NULL, NULL),
                (2, 'done', '2.jpg', 1, 'x', 1, 1, NULL, 1, NULL);
            INSERT INTO scores VALUES (1, 'm', 0.5, 0.5)";
        store.change(|db| db.execute_batch(rows)).expect("rows");
        for name in ["1.jpg", "2.jpg"] {
            std::fs::write(folder.path().join(name), "x").expect("room");
        }
        let gone = forget(&mut store, folder.path(), "ann-the-forgettable").expect("forgotten");
        assert_eq!(gone, Forgotten { users: 1, photos: 1, files: 1 });
        for table in ["users", "photos", "labels", "downloads"] {
            let query = format!("SELECT count(*) FROM {table}");
            assert_eq!(store.number(&query).expect("a count"), 1, "{table}");
        }
        let left =
            "SELECT (SELECT count(*) FROM scores) + (SELECT count(duplicate_of) FROM downloads)";
        assert_eq!(store.number(left).expect("a count"), 0);
        assert!(!folder.path().join("1.jpg").exists() && folder.path().join("2.jpg").exists());
        assert!(store.read(|db| is_forgotten(db, "n1")).expect("known"));
        assert!(!store.read(|db| is_forgotten(db, "n2")).expect("known"));
        // Not even in the file's free pages.
        drop(store);
        for entry in std::fs::read_dir(folder.path()).expect("a folder") {
            let bytes = std::fs::read(entry.expect("an entry").path()).expect("a file");
            assert!(!bytes.windows(19).any(|part| part == b"ann-the-forgettable"));
        }
        let mut store = Store::open(&path).expect("a store");
        let said = forget(&mut store, folder.path(), "ann").expect_err("nobody").to_string();
        assert!(said.contains("no user 'ann'"), "{said}");
    }
}
