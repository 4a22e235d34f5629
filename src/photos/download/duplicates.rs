//! Photos that are there twice. Flows in: sums and likenesses. Flows out: which photo is another's copy.
//!
//! The first of equal photos stays, whoever shows it again: otherwise one picture could be learnt from and judged.

use super::check::LIKENESS;
use crate::error::Result;
use crate::photos::store::Store;
use rayon::prelude::*;
use rusqlite::params;
use std::collections::HashMap;

/// A photo's sum and likeness, the likeness as four words.
struct Look {
    id: i64,
    sha256: String,
    likeness: [u64; LIKENESS / 8],
}

/// Marks copies, and fails photos that are too small: all follow from what is on the disk, not from the order in which
/// it came.
pub(super) fn mark(store: &mut Store, alike: i32, min_side: usize) -> Result<()> {
    let looks = looks(store, min_side)?;
    let copies = copies(&looks, alike);
    store.change(|db| {
        db.execute("UPDATE downloads SET duplicate_of = NULL", [])?;
        db.execute(
            "UPDATE downloads SET state = 'failed', reason = 'smaller than ' || ?1 || ' pixels'
             WHERE state = 'done' AND min(width, height) < ?1",
            [min_side],
        )?;
        let mut update = db.prepare("UPDATE downloads SET duplicate_of = ?2 WHERE photo = ?1")?;
        for (copy, original) in &copies {
            update.execute(params![copy, original])?;
        }
        Ok(())
    })
}

fn looks(store: &Store, min_side: usize) -> Result<Vec<Look>> {
    store.read(|db| {
        let mut query = db.prepare(
            "SELECT photo, sha256, likeness FROM downloads JOIN labels USING (photo)
             WHERE state = 'done' AND removed IS NULL AND min(width, height) >= ?1 ORDER BY photo",
        )?;
        let look = |row: &rusqlite::Row| {
            let bytes: [u8; LIKENESS] = row.get(2)?;
            let word = |i: usize| u64::from_le_bytes(std::array::from_fn(|b| bytes[8 * i + b]));
            Ok(Look { id: row.get(0)?, sha256: row.get(1)?, likeness: std::array::from_fn(word) })
        };
        query.query_map([min_side], look)?.collect()
    })
}

/// Each copy and its original: the first photo that it is equal to, or looks like.
fn copies(looks: &[Look], alike: i32) -> Vec<(i64, i64)> {
    let mut first: HashMap<&str, usize> = HashMap::new();
    for (i, look) in looks.iter().enumerate() {
        first.entry(&look.sha256).or_insert(i);
    }
    let like = |i: usize| {
        let equal = first[looks[i].sha256.as_str()];
        let near = |j: &usize| distance(&looks[*j].likeness, &looks[i].likeness) as i32 <= alike;
        let alike = (0..equal).find(|j| near(j));
        Some(alike.unwrap_or(equal)).filter(|&original| original < i)
    };
    let pairs = (0..looks.len()).into_par_iter().map(like);
    let pairs: Vec<Option<usize>> = pairs.collect();
    // A copy of a copy is one of the original.
    let mut root: Vec<usize> = (0..looks.len()).collect();
    for i in 0..looks.len() {
        root[i] = pairs[i].map_or(i, |original| root[original]);
    }
    let copy = |(i, &original): (usize, &usize)| {
        (original != i).then(|| (looks[i].id, looks[original].id))
    };
    root.iter().enumerate().filter_map(copy).collect()
}

fn distance(a: &[u64; LIKENESS / 8], b: &[u64; LIKENESS / 8]) -> u32 {
    a.iter().zip(b).map(|(a, b)| (a ^ b).count_ones()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(id: i64, sha256: &str, word: u64) -> Look {
        Look { id, sha256: sha256.into(), likeness: [word, 0, 0, 0] }
    }

    #[test]
    fn copies_by_hand() {
        // 2 equals 1; 3 looks like 1; 4 looks like 3 but not like 1, which 3 is a copy of.
        let looks = [
            look(1, "a", 0b0),
            look(2, "a", 0b0),
            look(3, "b", 0b11),
            look(4, "c", 0b1111),
            look(5, "d", u64::MAX),
        ];
        assert_eq!(copies(&looks, 2), [(2, 1), (3, 1), (4, 1)]);
        assert_eq!(copies(&looks, 0), [(2, 1)]);
        assert_eq!(copies(&looks, -1), [(2, 1)]);
        assert_eq!(copies(&[], 2), []);
    }
}
