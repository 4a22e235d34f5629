//! Photos and numbers that somebody already has: a table, lines of JSON, or a folder with a JSON beside each photo.
//!
//! Flows in: files. Flows out: users and photos in the store. Columns (or fields): `photo` (a path, or an address),
//! `likes`, `followers`, `user`, and, if known, `created` (seconds since 1970, or a date as 2026-09-01T12:00:00Z).
//! Names that other programs write are understood too: `like_count`, `username`, `timestamp`, …

use super::{Found, Kind, Owner, Page, Settings, begin_again, keep};
use crate::error::{Error, Result};
use crate::image::list_pictures;
use crate::photos::http::date;
use crate::photos::store::Store;
use crate::photos::watch::Watch;
use serde_json::{Map, Value};
use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

/// Rows that are written at once.
const ROWS: usize = 1000;

/// What each thing may be called.
const PHOTO: [&str; 5] = ["photo", "file", "url", "path", "display_url"];
const LIKES: [&str; 5] =
    ["likes", "like_count", "favourites_count", "favorites", "edge_media_preview_like"];
const FOLLOWERS: [&str; 4] = ["followers", "followers_count", "follower_count", "followed_by"];
const USER: [&str; 5] = ["user", "username", "owner", "account", "author"];
const CREATED: [&str; 5] = ["created", "created_at", "timestamp", "date", "taken_at"];

pub(super) fn collect(
    store: &mut Store,
    settings: &Settings,
    path: &Path,
    watch: &dyn Watch,
) -> Result<()> {
    let base = path.parent().unwrap_or(Path::new("")).to_path_buf();
    let rows: Box<dyn Iterator<Item = Result<Row>>> = match settings.source {
        Kind::Csv => Box::new(csv_rows(path)?),
        Kind::Jsonl => Box::new(json_rows(path)?),
        _ => Box::new(folder_rows(path)?),
    };
    // Read from the beginning, they are counted from the beginning.
    begin_again(store)?;
    let (page, there) = (Page::default(), HashSet::new());
    let mut writer = Writer { store, settings, page, there, watch };
    for row in rows {
        if writer.is_full() {
            break;
        }
        writer.add(row?, &base)?;
    }
    writer.flush(true)?;
    writer.remove_others()
}

/// A photo's numbers, and where they stand.
struct Row {
    place: String,
    fields: Map<String, Value>,
}

struct Writer<'a> {
    store: &'a mut Store,
    settings: &'a Settings,
    page: Page,
    /// The network's names of all photos that the files have.
    there: HashSet<String>,
    watch: &'a dyn Watch,
}

impl Writer<'_> {
    fn is_full(&self) -> bool {
        self.there.len() as u64 >= self.settings.most
    }

    fn add(&mut self, row: Row, base: &Path) -> Result<()> {
        let found = row.found(base)?;
        match found {
            Some(found) => {
                self.there.insert(found.native.clone());
                self.page.found.push(found);
            }
            None => self.page.leave("without likes or followers"),
        }
        if self.page.found.len() >= ROWS { self.flush(false) } else { Ok(()) }
    }

    fn flush(&mut self, last: bool) -> Result<()> {
        let mut page = std::mem::take(&mut self.page);
        // Files are read whole each time: there is no place to go on from, and rows are told apart by their photo.
        page.next = (!last).then(String::new);
        self.watch.at(self.there.len() as u64);
        keep(self.store, &self.settings.identity(), page, self.settings.most)
    }
}

impl Writer<'_> {
    /// Removes photos that an earlier state of the files had, and users without photos.
    fn remove_others(&mut self) -> Result<()> {
        let there = &self.there;
        self.store.change(|db| {
            let mut query = db.prepare("SELECT id, native FROM photos")?;
            let known = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let known: Vec<(i64, String)> = known.collect::<rusqlite::Result<_>>()?;
            for (id, _) in known.iter().filter(|(_, native)| !there.contains(native)) {
                db.execute("DELETE FROM photos WHERE id = ?1", [id])?;
            }
            db.execute("DELETE FROM users WHERE id NOT IN (SELECT user FROM photos)", [])?;
            Ok(())
        })
    }
}

impl Row {
    fn get(&self, names: &[&str]) -> Option<&Value> {
        names.iter().find_map(|name| self.fields.get(*name)).filter(|value| !value.is_null())
    }

    fn text(&self, names: &[&str]) -> Option<String> {
        match self.get(names)? {
            Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
            Value::Number(number) => Some(number.to_string()),
            Value::Object(object) => {
                let name =
                    ["username", "acct", "name", "id"].iter().find_map(|n| object.get(*n))?;
                name.as_str().map(String::from).or_else(|| Some(name.to_string()))
            }
            _ => None,
        }
    }

    /// A whole number; also one that is written `12.0` or within an object that counts.
    fn number(&self, names: &[&str], what: &str) -> Result<Option<u64>> {
        let wrong = |value: &Value| {
            let place = &self.place;
            Error::Invalid(format!("{place}: {what} is {value}, which is no number of people"))
        };
        let Some(value) = self.get(names) else { return Ok(None) };
        let value = match value {
            Value::Object(object) => object.get("count").unwrap_or(value),
            value => value,
        };
        let number = match value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) if text.trim().is_empty() => return Ok(None),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        match number {
            Some(number) if number >= 0.0 && number.fract() == 0.0 && number < 9e15 => {
                Ok(Some(number as u64))
            }
            _ => Err(wrong(value)),
        }
    }

    fn created(&self) -> Result<Option<i64>> {
        let Some(text) = self.text(&CREATED).filter(|text| !text.trim().is_empty()) else {
            return Ok(None);
        };
        let day = |text: &str| date(&format!("{text}T00:00:00Z"));
        let spaced = |text: &str| date(&format!("{}Z", text.replacen(' ', "T", 1)));
        let seconds = text
            .trim()
            .parse()
            .ok()
            .or_else(|| date(&text))
            .or_else(|| day(&text))
            .or_else(|| spaced(&text));
        match seconds {
            Some(seconds) if f64::is_finite(seconds) && seconds.abs() < 1e11 => {
                Ok(Some(seconds.floor() as i64))
            }
            _ => Err(Error::Invalid(format!(
                "{}: created is '{text}', which is no time",
                self.place
            ))),
        }
    }

    fn found(&self, base: &Path) -> Result<Option<Found>> {
        let place = &self.place;
        let photo = self.text(&PHOTO).ok_or_else(|| {
            Error::Invalid(format!("{place}: names no photo (column photo: a path or an address)"))
        })?;
        let likes = self.number(&LIKES, "likes")?;
        let followers = self.number(&FOLLOWERS, "followers")?;
        let (Some(likes), Some(followers)) = (likes, followers) else { return Ok(None) };
        let user = self.text(&USER).unwrap_or_else(|| "unknown".into());
        let url = match photo.starts_with("http://") || photo.starts_with("https://") {
            true => photo.clone(),
            false => base.join(&photo).display().to_string(),
        };
        Ok(Some(Found {
            native: photo,
            owner: Owner { native: user.clone(), name: user, followers: Some(followers) },
            url,
            page: String::new(),
            created: self.created()?,
            likes,
        }))
    }
}

fn csv_rows(path: &Path) -> Result<impl Iterator<Item = Result<Row>> + use<>> {
    let file = File::open(path).map_err(Error::io(path))?;
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(file);
    let shown = path.display().to_string();
    let wrong = {
        let shown = shown.clone();
        move |e: csv::Error| Error::Invalid(format!("{shown}: {e}"))
    };
    let names: Vec<String> =
        reader.headers().map_err(&wrong)?.iter().map(str::to_lowercase).collect();
    if !names.iter().any(|name| PHOTO.contains(&name.as_str())) {
        let names = names.join(", ");
        return Err(Error::Invalid(format!(
            "{shown}: has no column 'photo'; its columns: {names}"
        )));
    }
    Ok(reader.into_records().map(move |record| {
        let record = record.map_err(&wrong)?;
        let line = record.position().map_or(0, csv::Position::line);
        let values = record.iter().map(|value| Value::String(value.to_string()));
        let fields = names.iter().cloned().zip(values).collect();
        Ok(Row { place: format!("{shown}:{line}"), fields })
    }))
}

fn json_rows(path: &Path) -> Result<impl Iterator<Item = Result<Row>> + use<>> {
    let path = path.to_path_buf();
    let file = File::open(&path).map_err(Error::io(&path))?;
    let lines = BufReader::new(file).lines().enumerate();
    let lines =
        lines.filter(|(_, line)| line.as_ref().map_or(true, |text| !text.trim().is_empty()));
    Ok(lines.map(move |(number, line)| {
        let line = line.map_err(Error::io(&path))?;
        let place = format!("{}:{}", path.display(), number + 1);
        let fields = serde_json::from_str(&line)
            .map_err(|e| Error::Invalid(format!("{place}: no object of JSON: {e}")))?;
        Ok(Row { place, fields })
    }))
}

/// Every photo below a folder with the JSON of its name (`a.jpg.json` or `a.json`), in the order of their paths.
fn folder_rows(path: &Path) -> Result<impl Iterator<Item = Result<Row>> + use<>> {
    let photos = list_pictures(path)?.into_iter().map(|listed| listed.path);
    Ok(photos.map(|photo| {
        let beside = |suffix: &str| {
            let mut name = photo.as_os_str().to_owned();
            name.push(suffix);
            PathBuf::from(name)
        };
        let candidates = [beside(".json"), photo.with_extension("json")];
        let mut fields = match candidates.iter().find(|path| path.is_file()) {
            Some(path) => {
                let bytes = std::fs::read(path).map_err(Error::io(path))?;
                let place = path.display();
                serde_json::from_slice(&bytes)
                    .map_err(|e| Error::Invalid(format!("{place}: no object of JSON: {e}")))?
            }
            None => Map::new(),
        };
        let whole = std::path::absolute(&photo).map_err(Error::io(&photo))?;
        fields.insert(PHOTO[0].into(), whole.display().to_string().into());
        Ok(Row { place: photo.display().to_string(), fields })
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::photos::watch::Silent;

    fn collected(kind: Kind, path: &Path) -> Result<Store> {
        let mut store = Store::in_memory()?;
        let settings = Settings { source: kind, path: path.into(), ..Settings::default() };
        collect(&mut store, &settings, path, &Silent)?;
        Ok(store)
    }

    fn rows(store: &Store) -> Vec<(String, i64, i64, Option<i64>)> {
        let query = "SELECT name, followers, likes, created FROM photos JOIN users ON users.id = user ORDER BY photos.id";
        store
            .read(|db| {
                let mut query = db.prepare(query)?;
                query.query_map([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?)))?.collect()
            })
            .expect("rows")
    }

    #[test]
    fn tables_and_lines_give_the_same_rows() {
        let folder = tempfile::tempdir().expect("a folder");
        let (csv, jsonl) = (folder.path().join("a.csv"), folder.path().join("a.jsonl"));
        let table = "photo,likes,followers,user,created\na.jpg,5,100,ann,2026-09-01\nhttp://h/b.jpg,7,200,bob,1788264000\nc.jpg,,1,eve,\n";
        std::fs::write(&csv, table).expect("room");
        let lines = "{\"photo\":\"a.jpg\",\"likes\":5,\"followers\":100,\"user\":\"ann\",\"created\":\"2026-09-01T00:00:00Z\"}\n\n\
            {\"url\":\"http://h/b.jpg\",\"like_count\":7,\"owner\":{\"username\":\"bob\",\"id\":3},\"followers_count\":200,\"timestamp\":1788264000}\n";
        std::fs::write(&jsonl, lines).expect("room");
        let want = [
            ("ann".to_string(), 100, 5, Some(1_788_220_800)),
            ("bob".to_string(), 200, 7, Some(1_788_264_000)),
        ];
        let store = collected(Kind::Csv, &csv).expect("rows");
        assert_eq!(rows(&store), want);
        assert_eq!(store.number("SELECT photos FROM counts").expect("one"), 1);
        assert_eq!(rows(&collected(Kind::Jsonl, &jsonl).expect("rows")), want);
    }

    #[test]
    fn errors_tell_the_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.csv");
        let said = |text: &str| {
            std::fs::write(&path, text).expect("room");
            collected(Kind::Csv, &path).err().expect("refused").to_string()
        };
        let error = said("photo,likes,followers\na.jpg,5,9\nb.jpg,many,9\n");
        assert!(error.contains("a.csv:3") && error.contains("many"), "{error}");
        assert!(said("name,likes\na,1\n").contains("no column 'photo'"));
        assert!(said("photo,likes,followers\na,-1,2\n").contains("no number of people"));
        let error = said("photo,likes,followers,created\na,1,2,yesterday\n");
        assert!(error.contains("yesterday"), "{error}");
    }

    #[test]
    fn a_folder_with_json_beside() {
        let folder = tempfile::tempdir().expect("a folder");
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("room");
        write("a.jpg", "x");
        write("a.jpg.json", "{\"likes\": 3, \"followers\": 50, \"username\": \"ann\"}");
        write("b.png", "x");
        write("b.json", "{\"likes\": 4, \"followers\": 60, \"username\": \"bob\"}");
        write("c.jpg", "x");
        let store = collected(Kind::Folder, folder.path()).expect("rows");
        assert_eq!(
            rows(&store),
            [("ann".to_string(), 50, 3, None), ("bob".to_string(), 60, 4, None)]
        );
    }
}
