//! Which photos there are. Flows in: a network's pages, or files. Flows out: users and photos in the store.
//!
//! ```text
//! mastodon, instagram_v1, instagram_graph ┐
//! files (csv, jsonl, folder) ─────────────┴ Page → store, with the cursor of the next page
//! ```
//!
//! A page and the cursor behind it are written together: a run that was cut off goes on with the page that it
//! did not write. Only what is needed is kept: no captions, no comments, no places.

mod files;
mod instagram_graph;
mod instagram_v1;
mod mastodon;
mod settings;

pub use settings::{Kind, Settings};

use super::http::{Failure, Note, Rotation, Web, parse_url, tokens};
use super::store::{Store, is_forgotten};
use super::watch::Watch;
use crate::error::{Error, Result};
use reqwest::Url;
use rusqlite::{OptionalExtension, Transaction, params};
use std::collections::BTreeMap;
use std::path::Path;

/// Who made a photo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The network's own name for the account.
    pub native: String,
    /// The name that people see.
    pub name: String,
    /// Followers, where they are known already.
    pub followers: Option<u64>,
}

/// A photo as a network tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The network's own name for it.
    pub native: String,
    /// Who made it.
    pub owner: Owner,
    /// Where its file is.
    pub url: String,
    /// Where people see it; empty where that is not known.
    pub page: String,
    /// Seconds since 1970, where that is known.
    pub created: Option<i64>,
    /// Likes.
    pub likes: u64,
}

/// Some photos, and where the next ones are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Photos in the network's order.
    pub found: Vec<Found>,
    /// How many were left out, by reason.
    pub left_out: BTreeMap<&'static str, u64>,
    /// The next page; None after the last.
    pub next: Option<String>,
}

impl Page {
    /// Counts one that is left out.
    fn leave(&mut self, reason: &'static str) {
        *self.left_out.entry(reason).or_default() += 1;
    }
}

/// A network, ready to be asked.
struct Asker<'a> {
    web: Web,
    base: Url,
    rotation: Rotation,
    settings: &'a Settings,
    note: Note<'a>,
}

impl Asker<'_> {
    /// The address of a path below the server's.
    fn address(&self, path: &[&str]) -> Result<Url> {
        let mut url = self.base.clone();
        let mut segments = url.path_segments_mut().map_err(|()| {
            Error::Invalid(format!("[collect] url: {} has no paths", self.settings.url))
        })?;
        segments.pop_if_empty().extend(path);
        drop(segments);
        Ok(url)
    }

    /// The next page's address as the server gave it: of the same server, or it gets no token.
    fn follow(&self, next: &str) -> Result<Url> {
        let url = parse_url(next)?;
        let same = |a: &Url, b: &Url| a.origin() == b.origin();
        match same(&url, &self.base) {
            true => Ok(url),
            false => Err(Error::Invalid(format!(
                "the server names {} as its next page, which is another server",
                super::http::plain(&url)
            ))),
        }
    }
}

/// Why a call failed, as an error of the program.
fn failed(failure: Failure) -> Error {
    match failure {
        Failure::Unreachable(reason) => {
            Error::Invalid(format!("{reason}; run again to go on when the server is there"))
        }
        failure => Error::Invalid(failure.reason().to_string()),
    }
}

/// Collects until there are enough photos or no more. Gives a line that sums it up.
///
/// Relative paths count from `base`. Fails where the network refuses, after all tries.
pub fn collect(
    store: &mut Store,
    settings: &Settings,
    base: &Path,
    watch: &dyn Watch,
) -> Result<String> {
    settings.check()?;
    watch.begin("photos", Some(settings.most));
    if settings.is_network() {
        let runtime = super::runtime()?;
        let token_file = settings.token_file.as_ref().map(|path| base.join(path));
        let tokens = tokens(settings.token_variable.as_deref(), token_file.as_deref())?;
        let note = |text: &str| watch.note(text);
        let asker = Asker {
            web: Web::new(settings.manners())?,
            base: parse_url(&settings.url)?,
            rotation: Rotation::new(tokens),
            settings,
            note: &note,
        };
        runtime.block_on(pages(store, &asker, watch))?;
        if settings.source == Kind::InstagramV1 {
            runtime.block_on(instagram_v1::followers(store, &asker, watch))?;
        }
    } else {
        files::collect(store, settings, &base.join(&settings.path), watch)?;
    }
    summary(store)
}

fn summary(store: &Store) -> Result<String> {
    let photos = store.number("SELECT count(*) FROM photos")?;
    let users = store.number("SELECT count(*) FROM users")?;
    let left =
        store.number("SELECT coalesce(sum(photos), 0) FROM counts WHERE stage = 'collect'")?;
    Ok(format!("{photos} photos of {users} users; {left} left out"))
}

async fn pages(store: &mut Store, asker: &Asker<'_>, watch: &dyn Watch) -> Result<()> {
    let source = asker.settings.identity();
    loop {
        let have = store.number("SELECT count(*) FROM photos")?;
        watch.at(have.min(asker.settings.most));
        let (cursor, ended) = cursor(store, &source)?;
        if ended || have >= asker.settings.most {
            return Ok(());
        }
        let page = match asker.settings.source {
            Kind::Mastodon | Kind::Pixelfed => mastodon::page(asker, cursor.as_deref()).await?,
            Kind::InstagramV1 => instagram_v1::page(asker, cursor.as_deref()).await?,
            _ => instagram_graph::page(asker, cursor.as_deref()).await?,
        };
        if page.next.is_some() && page.next == cursor {
            return Err(Error::Invalid("the server gives the same page again and again".into()));
        }
        keep(store, &source, page, asker.settings.most)?;
    }
}

fn cursor(store: &Store, source: &str) -> Result<(Option<String>, bool)> {
    let row = store.read(|db| {
        let query = "SELECT next, ended FROM cursors WHERE source = ?1";
        db.query_row(query, [source], |row| Ok((row.get(0)?, row.get(1)?))).optional()
    })?;
    Ok(row.unwrap_or((None, false)))
}

/// Writes a page and where the next one is, up to `most` photos in all.
fn keep(store: &mut Store, source: &str, page: Page, most: u64) -> Result<()> {
    store.change(|db| {
        let mut left_out = page.left_out;
        let mut have: u64 = db.query_row("SELECT count(*) FROM photos", [], |row| row.get(0))?;
        for found in &page.found {
            // The rest of the page is there when more are asked for: the cursor stays before it.
            if have >= most {
                return Ok(());
            }
            if is_forgotten(db, &found.owner.native)? {
                *left_out.entry("asked to be forgotten").or_default() += 1;
                continue;
            }
            have += u64::from(insert(db, found)?);
        }
        count(db, "collect", 0, left_out)?;
        let ended = page.next.is_none();
        db.execute(
            "INSERT INTO cursors VALUES (?1, ?2, ?3)
             ON CONFLICT (source) DO UPDATE SET next = ?2, ended = ?3",
            params![source, page.next, ended],
        )?;
        Ok(())
    })
}

/// Adds to how many photos a stage left out.
pub(super) fn count<'a>(
    db: &Transaction,
    stage: &str,
    place: u64,
    reasons: impl IntoIterator<Item = (&'a str, u64)>,
) -> rusqlite::Result<()> {
    for (reason, photos) in reasons {
        db.execute(
            "INSERT INTO counts VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (stage, reason) DO UPDATE SET photos = photos + excluded.photos",
            params![stage, place, reason, photos],
        )?;
    }
    Ok(())
}

/// Writes a photo and its owner; whether it is a new one. What is there already gets today's numbers.
fn insert(db: &Transaction, found: &Found) -> rusqlite::Result<bool> {
    let owner = &found.owner;
    let mut user = db.prepare_cached(
        "INSERT INTO users (native, name, followers) VALUES (?1, ?2, ?3) ON CONFLICT (native)
         DO UPDATE SET name = ?2, followers = coalesce(?3, followers) RETURNING id",
    )?;
    let user: i64 =
        user.query_row(params![owner.native, owner.name, owner.followers], |row| row.get(0))?;
    let known = "SELECT 1 FROM photos WHERE native = ?1";
    let known = db.prepare_cached(known)?.exists([&found.native])?;
    let mut photo = db.prepare_cached(
        "INSERT INTO photos (native, user, url, page, created, likes) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (native) DO UPDATE SET url = ?3, likes = ?6",
    )?;
    photo.execute(params![
        found.native,
        user,
        found.url,
        found.page,
        found.created,
        found.likes
    ])?;
    Ok(!known)
}

/// Forgets how far collecting came, so that it begins with the newest photos again. Photos stay.
pub fn begin_again(store: &mut Store) -> Result<()> {
    store.change(|db| {
        db.execute("DELETE FROM cursors", [])?;
        db.execute("DELETE FROM counts WHERE stage = 'collect'", [])?;
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(native: &str, likes: u64) -> Found {
        let owner = Owner { native: "o".into(), name: "ann".into(), followers: Some(7) };
        let (url, page) = ("http://a/b".into(), String::new());
        Found { native: native.into(), owner, url, page, created: Some(5), likes }
    }

    #[test]
    fn pages_are_kept_once_and_up_to_the_bound() {
        let mut store = Store::in_memory().expect("a store");
        let page = |natives: &[&str], next: Option<&str>| Page {
            found: natives.iter().map(|n| found(n, 1)).collect(),
            left_out: [("a bot", 2)].into(),
            next: next.map(String::from),
        };
        keep(&mut store, "s", page(&["1", "2"], Some("x")), 4).expect("kept");
        assert_eq!(cursor(&store, "s").expect("one"), (Some("x".into()), false));
        keep(&mut store, "s", page(&["2", "3", "4", "5"], None), 4).expect("kept");
        assert_eq!(cursor(&store, "s").expect("one"), (Some("x".into()), false));
        assert_eq!(store.number("SELECT count(*) FROM photos").expect("four"), 4);
        assert_eq!(store.number("SELECT photos FROM counts").expect("two"), 2);
        keep(&mut store, "s", page(&["2", "3", "4", "5"], None), 5).expect("kept");
        assert_eq!(cursor(&store, "s").expect("one"), (None, true));
        assert_eq!(store.number("SELECT count(*) FROM photos").expect("five"), 5);
        assert_eq!(store.number("SELECT photos FROM counts").expect("four"), 4);
        assert_eq!(cursor(&store, "other").expect("none"), (None, false));
    }

    #[test]
    fn who_was_forgotten_is_not_collected() {
        let mut store = Store::in_memory().expect("a store");
        let hash = super::super::store::sha256("o");
        store.change(|db| db.execute("INSERT INTO forgotten VALUES (?1)", [hash])).expect("a row");
        let page = Page { found: vec![found("1", 1)], ..Page::default() };
        keep(&mut store, "s", page, 9).expect("kept");
        assert_eq!(store.number("SELECT count(*) FROM users").expect("none"), 0);
        assert_eq!(store.number("SELECT photos FROM counts").expect("one"), 1);
    }
}
