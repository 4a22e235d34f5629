//! Which class each row is of: a CSV of labels, or names of folders, in; labels of the rows out.

use super::csv_file::Sheet;
use super::invalid;
use crate::error::{Error, Result};
use csv::StringRecord;
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// What a labels file says of each row, as it is written.
pub(super) struct Aligned {
    pub(super) labels: Vec<String>,
    pub(super) groups: Option<Vec<String>>,
    /// Files in it that have no row.
    pub(super) unused: usize,
}

/// Reads a labels file and finds the entry of each row: by `file` where the rows' `names` are known, or
/// else by `row`, or else in order.
///
/// Fails when a row has no label, or a file two different ones.
pub(super) fn align(
    path: &Path,
    group: Option<&str>,
    names: Option<&[String]>,
    rows: usize,
) -> Result<Aligned> {
    let sheet = Sheet::read(path, |first| first.len() == 1 && is_label(&first[0]))?;
    let wrong = |problem: String| invalid(path.display(), problem);
    let column = |name| sheet.column(name);
    // Without a header the only column is that of the labels.
    let label = column("label").or(sheet.header.is_empty().then_some(0));
    let label = label.ok_or_else(|| wrong("has no column 'label' in its first line".into()))?;
    let by = match (column(group.unwrap_or("group")), group) {
        (None, Some(group)) => return Err(wrong(format!("has no column '{group}'"))),
        (by, _) => by,
    };
    let (entries, unused) = match (column("file"), column("row"), names) {
        (Some(file), _, Some(names)) => by_file(&sheet, [file, label, by.unwrap_or(label)], names),
        (_, Some(row), _) => by_row(&sheet, row, rows).map(|entries| (entries, 0)),
        (Some(_), None, None) => Err(Error::Invalid(
            "it is not known which files the rows are of (no OUT.rows.csv beside the features): \
             labels need a column 'row', which counts from 0"
                .into(),
        )),
        (None, None, _) if sheet.records.len() == rows => Ok(((0..rows).map(Some).collect(), 0)),
        (None, None, _) => {
            let problem = format!("{} labels for {rows} rows", sheet.records.len());
            Err(Error::Invalid(problem))
        }
    }
    .map_err(super::at(path.display()))?;
    let entries = entries.iter().map(|entry| {
        let record = &sheet.records[(*entry)?];
        Some(record).filter(|record| !record[label].is_empty())
    });
    let entries: Vec<Option<&StringRecord>> = entries.collect();
    if let Some(first) = entries.iter().position(Option::is_none) {
        let missing = entries.iter().filter(|entry| entry.is_none()).count();
        let name = names.map_or_else(String::new, |names| format!(" ({})", names[first]));
        let problem =
            format!("{missing} of {rows} rows have no label; the first is row {first}{name}");
        return Err(wrong(problem));
    }
    let texts = |column: usize| entries.iter().flatten().map(|r| r[column].to_owned()).collect();
    Ok(Aligned { labels: texts(label), groups: by.map(texts), unused })
}

/// Whether a line that is only this holds a label and no header.
fn is_label(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    text == "true" || text == "false" || text.parse::<f64>().is_ok()
}

/// The entry of each row's file: of its path as it is written, or else of its name where neither the
/// labels nor the rows have two files of that name. And how many files have no row.
fn by_file(
    sheet: &Sheet,
    [file, label, group]: [usize; 3],
    names: &[String],
) -> Result<(Vec<Option<usize>>, usize)> {
    let mut paths: HashMap<&str, usize> = HashMap::new();
    for (entry, record) in sheet.records.iter().enumerate() {
        let first = &sheet.records[*paths.entry(&record[file]).or_insert(entry)];
        if first[label] != record[label] || first[group] != record[group] {
            let line = |r: &StringRecord| r.position().map_or(0, |p| p.line());
            return Err(Error::Invalid(format!(
                "lines {} and {} say different things of {}",
                line(first),
                line(record),
                &record[file]
            )));
        }
    }
    let (by_name, distinct) = (by_name(paths.keys().copied()), by_name(names.iter().map(|n| &**n)));
    let entry = |path: &String| {
        let name = file_name(path);
        let alone = || distinct.get(name)?.and(*by_name.get(name)?);
        paths.get(path.as_str()).or_else(|| paths.get(alone()?)).copied()
    };
    let entries: Vec<Option<usize>> = names.iter().map(entry).collect();
    let used: HashSet<usize> = entries.iter().flatten().copied().collect();
    Ok((entries, paths.len() - used.len()))
}

/// Paths by their last part; `None` where several end with it.
fn by_name<'a>(paths: impl Iterator<Item = &'a str>) -> HashMap<&'a str, Option<&'a str>> {
    let mut names = HashMap::new();
    for path in paths {
        let only = names.entry(file_name(path)).or_insert(Some(path));
        *only = only.filter(|&other| other == path);
    }
    names
}

/// What follows the last separator, on whichever system the path was written.
fn file_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

fn by_row(sheet: &Sheet, row: usize, rows: usize) -> Result<Vec<Option<usize>>> {
    let mut entries = vec![None; rows];
    for (entry, record) in sheet.records.iter().enumerate() {
        let place = record[row].parse().ok().and_then(|r: usize| entries.get_mut(r));
        let place = place.ok_or_else(|| {
            let problem = format!("'{}' is not a row from 0 to {}", &record[row], rows - 1);
            Error::Invalid(problem)
        })?;
        if place.replace(entry).is_some() {
            return Err(Error::Invalid(format!("row {} occurs twice", &record[row])));
        }
    }
    Ok(entries)
}

/// The names of the folders that files lie in: classes if there are two, or if `positive` is one of them.
pub(super) fn folders(files: &[String], positive: Option<&str>) -> Option<Vec<String>> {
    let folder = |file: &String| {
        let (folder, _) = file.rsplit_once(['/', '\\'])?;
        Some(file_name(folder).to_owned()).filter(|name| !name.is_empty())
    };
    let folders: Vec<String> = files.iter().map(folder).collect::<Option<_>>()?;
    let names: HashSet<&str> = folders.iter().map(|f| &**f).collect();
    (names.len() == 2 || positive.is_some_and(|p| names.contains(p))).then_some(folders)
}

/// Which rows are of the positive class, and the names of the negative and the positive class.
///
/// Fails when there is one class only, or more than two without one that is said to be positive.
pub(super) fn classes(
    texts: &[String],
    positive: Option<&str>,
) -> Result<(Vec<bool>, [String; 2])> {
    let mut classes: Vec<Class> = vec![];
    for text in texts {
        let class = Class::of(text);
        if !classes.contains(&class) {
            classes.push(class);
        }
    }
    classes.sort_by(Class::cmp);
    let known = || {
        let names: Vec<&str> = classes.iter().take(8).map(|c| &*c.name).collect();
        names.join(", ") + if classes.len() > names.len() { ", …" } else { "" }
    };
    let positive = positive.map(Class::of);
    let found = match (classes.as_slice(), &positive) {
        ([only], _) => Err(format!("every sample is of class '{}': two are needed", only.name)),
        (all, Some(positive)) if !all.contains(positive) => {
            Err(format!("no sample is of class '{}'; the classes are {}", positive.name, known()))
        }
        ([one, other], Some(positive)) if one == positive => Ok((&other.name, one)),
        ([negative, positive], _) => Ok((&negative.name, positive)),
        (_, Some(positive)) => Ok((&format!("not {}", positive.name), positive)),
        (all, None) => {
            let count = all.len();
            Err(format!("{count} classes ({}): say which one is positive", known()))
        }
    };
    let (negative, positive) = found.map_err(Error::Invalid)?;
    let labels = texts.iter().map(|text| Class::of(text) == *positive).collect();
    Ok((labels, [negative.clone(), positive.name.clone()]))
}

/// A class as it is written, numbers and truth values in one way: `+1` and `1.0` are `1`.
struct Class {
    name: String,
    number: Option<f64>,
}

impl Class {
    fn of(text: &str) -> Self {
        let text = text.trim();
        // Adding zero leaves no -0.
        let number = text.parse().ok().filter(|n: &f64| n.is_finite()).map(|n| n + 0.0);
        let truth = ["true", "false"].into_iter().find(|truth| truth.eq_ignore_ascii_case(text));
        let name = number.map_or_else(|| truth.unwrap_or(text).to_owned(), |n| n.to_string());
        Self { name, number }
    }

    /// Numbers by size, before names by alphabet.
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        match (self.number, other.number) {
            (Some(a), Some(b)) => a.total_cmp(&b),
            (a, b) => b.is_some().cmp(&a.is_some()).then_with(|| self.name.cmp(&other.name)),
        }
    }
}

impl PartialEq for Class {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}
