//! Which photos count, and which are good. Flows in: photos with likes and followers. Flows out: a label and a part
//! (train or test) for each photo that stays, and for each that does not, the rule that removed it.
//!
//! Rules, in this order: photos old enough to have all their likes; users whose followers are known; users not too
//! far from the median, in median absolute deviations (a few celebrities make the standard deviation a multiple of
//! the mean, and no cut at all); perhaps the middle. What is left is ranked by likes ÷ followers: above the
//! median good (1), the others bad (0). All photos of a user are in one part.

mod cuts;

pub use cuts::{Cuts, Scale};

use super::store::Store;
use super::watch::Watch;
use crate::error::{Error, Result};
use rusqlite::params;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// The rules.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Days that a photo must have been there when collecting began.
    pub min_age: f64,
    /// Followers that a user must have.
    pub min_followers: u64,
    /// How followers are compared.
    pub scale: Scale,
    /// Deviations from the median that are too many, each the size of a standard deviation where followers are
    /// normally distributed (1.4826 median absolute deviations).
    pub deviations: f64,
    /// Share of the photos in the middle that are dropped.
    pub drop_middle: f64,
    /// Share of the users whose photos are for tests.
    pub test: f64,
    /// Seed of which users these are.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            min_age: 30.0,
            min_followers: 10,
            scale: Scale::Log,
            deviations: 2.0,
            drop_middle: 0.0,
            test: 0.25,
            seed: 1,
        }
    }
}

impl Settings {
    fn check(&self) -> Result<()> {
        let wrong = |what: &str| Err(Error::Invalid(format!("[prepare] {what}")));
        match () {
            () if !(self.min_age >= 0.0 && self.min_age < 1e6) => wrong("min_age: days, from 0 on"),
            () if self.deviations.is_nan() || self.deviations <= 0.0 => {
                wrong("deviations: above 0")
            }
            () if !(0.0..1.0).contains(&self.drop_middle) => wrong("drop_middle: a share, below 1"),
            () if !(self.test > 0.0 && self.test < 1.0) => wrong("test: a share, between 0 and 1"),
            () => Ok(()),
        }
    }
}

const AGE: &str = "younger than the least age";
const HIDDEN: &str = "of users whose followers are not known";
const NOBODY: &str = "of users with hardly any followers";
const FEW: &str = "of users with too few followers";
const MANY: &str = "of users with too many followers";
const MIDDLE: &str = "in the middle";

/// The rules in their order.
const RULES: [&str; 6] = [AGE, HIDDEN, NOBODY, FEW, MANY, MIDDLE];

/// A photo's numbers.
struct Photo {
    id: i64,
    owner: String,
    followers: Option<u64>,
    likes: u64,
    created: Option<i64>,
}

/// A photo that stays.
struct Rated {
    id: i64,
    rate: f64,
    test: bool,
}

/// Labels the photos. Gives a line that sums it up.
///
/// Fails where a rule's number makes no sense, or fewer than two photos of either label stay.
pub fn prepare(store: &mut Store, settings: &Settings, watch: &dyn Watch) -> Result<String> {
    settings.check()?;
    let photos = photos(store)?;
    watch.begin("photos", Some(photos.len() as u64));
    let as_of = store.fact("as_of")?.and_then(|text| text.parse::<i64>().ok());
    let newest = as_of.map(|now| now as f64 - settings.min_age * 86_400.0);
    let mut owners = BTreeMap::new();
    for photo in &photos {
        let known = photo.followers.filter(|&f| f >= settings.min_followers);
        known.map(|followers| owners.insert(photo.owner.as_str(), followers));
    }
    let followers: Vec<u64> = owners.values().copied().collect();
    let cuts = Cuts::of(&followers, settings.scale, settings.deviations);
    let (mut removed, mut kept) = (vec![], vec![]);
    for photo in &photos {
        let young = || Some(photo.created? as f64 > newest?);
        let rule = match photo.followers {
            _ if young() == Some(true) => Some(AGE),
            None => Some(HIDDEN),
            Some(followers) if followers < settings.min_followers.max(1) => Some(NOBODY),
            Some(followers) => match cuts.verdict(followers) {
                Ordering::Less => Some(FEW),
                Ordering::Equal => None,
                Ordering::Greater => Some(MANY),
            },
        };
        match (rule, photo.followers) {
            (None, Some(followers)) => kept.push(Rated {
                id: photo.id,
                rate: photo.likes as f64 / followers as f64,
                test: is_test(&photo.owner, settings),
            }),
            (rule, _) => removed.push((photo.id, rule.unwrap_or(HIDDEN))),
        }
    }
    drop_middle(&mut kept, settings.drop_middle, &mut removed);
    let rates: Vec<f64> = kept.iter().map(|p| p.rate).collect();
    let good = good_above(&rates);
    let [bad, liked] = [false, true].map(|g| kept.iter().filter(|p| (p.rate > good) == g).count());
    if bad < 2 || liked < 2 {
        return Err(Error::Invalid(format!(
            "of {} photos {} stay, {liked} of them better than the others: too few to learn from",
            photos.len(),
            kept.len()
        )));
    }
    write(store, &kept, &removed, good, &cuts)?;
    let tests = kept.iter().filter(|p| p.test).count();
    watch.at(photos.len() as u64);
    Ok(format!(
        "{} of {} photos stay: {liked} good, {bad} bad; {tests} for tests",
        kept.len(),
        photos.len()
    ))
}

fn photos(store: &Store) -> Result<Vec<Photo>> {
    store.read(|db| {
        let mut query = db.prepare(
            "SELECT photos.id, users.native, followers, likes, created FROM photos
             JOIN users ON users.id = user ORDER BY photos.id",
        )?;
        let photo = |row: &rusqlite::Row| {
            let (id, owner, followers) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(Photo { id, owner, followers, likes: row.get(3)?, created: row.get(4)? })
        };
        query.query_map([], photo)?.collect()
    })
}

/// Whether a user's photos are for tests: follows from the seed and the user alone, whoever else is there.
fn is_test(owner: &str, settings: &Settings) -> bool {
    let mut sum = Sha256::new();
    sum.update(settings.seed.to_le_bytes());
    sum.update(owner.as_bytes());
    let sum = sum.finalize();
    let number = sum.iter().take(6).fold(0u64, |n, &byte| (n << 8) | u64::from(byte));
    (number as f64) < settings.test * (1u64 << 48) as f64
}

/// Drops a share of the photos, those nearest to the middle of the rates.
fn drop_middle(kept: &mut Vec<Rated>, share: f64, removed: &mut Vec<(i64, &'static str)>) {
    let dropped = (share * kept.len() as f64).round() as usize;
    if dropped == 0 {
        return;
    }
    kept.sort_by(|a, b| a.rate.total_cmp(&b.rate).then(a.id.cmp(&b.id)));
    let first = (kept.len() - dropped) / 2;
    removed.extend(kept.drain(first..first + dropped).map(|photo| (photo.id, MIDDLE)));
    kept.sort_by_key(|photo| photo.id);
}

/// The rate above which photos are good: the median; where more than half of the rates are the lowest one, that.
fn good_above(rates: &[f64]) -> f64 {
    let mut rates = rates.to_vec();
    rates.sort_by(f64::total_cmp);
    match rates.len() {
        0 => f64::NAN,
        n => rates[(n - 1) / 2],
    }
}

fn write(
    store: &mut Store,
    kept: &[Rated],
    removed: &[(i64, &'static str)],
    good: f64,
    cuts: &Cuts,
) -> Result<()> {
    let cuts = serde_json::to_string(cuts).map_err(|e| Error::Invalid(e.to_string()))?;
    store.change(|db| {
        db.execute("DELETE FROM labels", [])?;
        db.execute("DELETE FROM counts WHERE stage = 'prepare'", [])?;
        let mut insert = db.prepare("INSERT INTO labels VALUES (?1, ?2, ?3, ?4, ?5)")?;
        for photo in kept {
            let part = if photo.test { "test" } else { "train" };
            insert.execute(params![photo.id, None::<&str>, photo.rate, photo.rate > good, part])?;
        }
        for (id, rule) in removed {
            insert.execute(params![id, rule, None::<f64>, None::<bool>, None::<&str>])?;
        }
        for (place, rule) in RULES.iter().enumerate() {
            let photos = removed.iter().filter(|(_, why)| why == rule).count();
            db.execute(
                "INSERT INTO counts VALUES ('prepare', ?1, ?2, ?3)",
                params![place, rule, photos],
            )?;
        }
        db.execute("INSERT OR REPLACE INTO facts VALUES ('cuts', ?1)", [&cuts])?;
        Ok(())
    })
}

/// The cuts that the last preparation made.
pub fn cuts(store: &Store) -> Result<Option<Cuts>> {
    let text = store.fact("cuts")?;
    let read = text.map(|text| serde_json::from_str(&text));
    read.transpose().map_err(|e| Error::Invalid(format!("{}: {e}", store.path().display())))
}

/// Followers of every user whose photos were collected, where they are known.
pub fn followers(store: &Store) -> Result<Vec<u64>> {
    store.read(|db| {
        let mut query =
            db.prepare("SELECT followers FROM users WHERE followers NOT NULL ORDER BY id")?;
        query.query_map([], |row| row.get(0))?.collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::photos::watch::Silent;

    /// Photos of users 0, 1, 2, … each with its followers, likes and day of 100.
    fn store(rows: &[(u64, u64, i64)]) -> Store {
        let mut store = Store::in_memory().expect("a store");
        store.settle("as_of", &(100 * 86_400).to_string()).expect("settled");
        store
            .change(|db| {
                for (i, (followers, likes, day)) in rows.iter().enumerate() {
                    let (id, created) = (i as i64 + 1, day * 86_400);
                    db.execute(
                        "INSERT INTO users VALUES (?1, ?1, ?1, ?2, NULL)",
                        params![id, followers],
                    )?;
                    let photo = "INSERT INTO photos VALUES (?1, ?1, ?1, '', '', ?2, ?3)";
                    db.execute(photo, params![id, created, likes])?;
                }
                Ok(())
            })
            .expect("rows");
        store
    }

    fn labels(store: &Store) -> Vec<(Option<String>, Option<bool>)> {
        store
            .read(|db| {
                let mut query = db.prepare("SELECT removed, good FROM labels ORDER BY photo")?;
                query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
            })
            .expect("labels")
    }

    #[test]
    fn rules_by_hand() {
        let rows = [
            (100, 10, 1),
            (110, 33, 2),
            (90, 18, 3),
            (105, 42, 4),
            (100, 50, 99),
            (0, 3, 1),
            (1_000_000, 9, 1),
        ];
        let mut store = store(&rows);
        let said = prepare(&mut store, &Settings::default(), &Silent).expect("prepared");
        assert!(said.starts_with("4 of 7 photos stay: 2 good, 2 bad"), "{said}");
        let labels = labels(&store);
        let good: Vec<Option<bool>> = labels.iter().map(|l| l.1).collect();
        assert_eq!(good, [Some(false), Some(true), Some(false), Some(true), None, None, None]);
        let why: Vec<&str> = labels[4..].iter().filter_map(|l| l.0.as_deref()).collect();
        assert_eq!(why, [AGE, NOBODY, MANY]);
    }

    #[test]
    fn the_middle_goes_and_ties_stay_together() {
        let rows = [(100, 1, 1), (100, 2, 1), (100, 3, 1), (100, 4, 1), (100, 5, 1), (100, 6, 1)];
        let mut store = store(&rows);
        let settings = Settings { drop_middle: 0.34, ..Settings::default() };
        prepare(&mut store, &settings, &Silent).expect("prepared");
        let removed: Vec<bool> = labels(&store).iter().map(|l| l.0.is_some()).collect();
        assert_eq!(removed, [false, false, true, true, false, false]);
        assert_eq!(good_above(&[0.0, 0.0, 0.0, 1.0]), 0.0);
        assert_eq!(good_above(&[3.0, 1.0, 2.0]), 2.0);
    }

    #[test]
    fn parts_follow_from_the_user() {
        let settings = Settings::default();
        let tests = (0..4000).filter(|i| is_test(&i.to_string(), &settings)).count();
        assert!((900..1100).contains(&tests), "{tests}");
        let other = Settings { seed: 2, ..Settings::default() };
        assert!(
            (0..99).any(|i| is_test(&i.to_string(), &settings) != is_test(&i.to_string(), &other))
        );
    }

    #[test]
    fn too_few_photos_are_no_study() {
        let said = |rows: &[(u64, u64, i64)], settings: &Settings| {
            prepare(&mut store(rows), settings, &Silent).expect_err("refused").to_string()
        };
        assert!(said(&[(100, 1, 1), (100, 2, 1)], &Settings::default()).contains("too few"));
        assert!(said(&[], &Settings { test: 1.0, ..Settings::default() }).contains("test"));
    }
}
