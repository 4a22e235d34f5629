//! `likenet faces detect`

use super::super::{Outcome, print, write};
use super::{SearchArgs, Searched, draw, forget, journal};
use likenet::faces::Face;
use likenet::report::Table;
use likenet::{Error, Result};
use rayon::prelude::*;
use serde::Serialize;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    search: SearchArgs,
    /// Write JSON: [{"image", "faces": [{"x", "y", "w", "h", "confidence"}]}], pixels of the upright photo;
    /// - for standard output. An interrupted run leaves FILE.part, from which the same command goes on
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write a line for each face: image,x,y,w,h,confidence; - for standard output
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Write copies of the photos with the faces' boxes into this folder
    #[arg(long, value_name = "DIR")]
    draw: Option<PathBuf>,
}

pub fn run(args: &Args) -> Result<Outcome> {
    let file = |out: &&PathBuf| out.as_os_str() != "-";
    let out = args.json.iter().chain(&args.csv).find(file).or(args.draw.as_ref());
    let journal = out.map(|out| journal(out));
    if let Some(folder) = journal.as_ref().and_then(|journal| journal.parent()) {
        std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
    }
    let searched = args.search.search(journal.as_deref())?;
    if let Some(path) = &args.json {
        put(path, json(&searched)?)?;
    }
    if let Some(path) = &args.csv {
        put(path, csv(&searched)?)?;
    }
    if let Some(folder) = &args.draw {
        draw_all(&searched, folder)?;
    }
    if args.json.is_none() && args.csv.is_none() && args.draw.is_none() {
        print(&table(&searched).text())?;
    }
    if let Some(journal) = &journal {
        forget(journal)?;
    }
    eprintln!("{}", searched.summary());
    Ok(searched.outcome())
}

#[derive(Serialize)]
struct Entry {
    image: String,
    faces: Vec<Found>,
}

#[derive(Serialize)]
struct Found {
    x: f64,
    y: f64,
    w: f64,
    h: f64,
    confidence: f64,
}

impl Found {
    fn new(face: &Face) -> Self {
        let (tenth, fine) = (|v: f64| (10.0 * v).round() / 10.0, |v: f64| (1e4 * v).round() / 1e4);
        let [x, y, w, h] = [face.rect.x, face.rect.y, face.rect.w, face.rect.h].map(tenth);
        Self { x, y, w, h, confidence: fine(face.confidence.into()) }
    }
}

/// A photo to a line.
fn json(searched: &Searched) -> Result<Vec<u8>> {
    let mut lines = Vec::new();
    for (photo, faces) in searched.faces() {
        let image = photo.path.display().to_string();
        let entry = Entry { image, faces: faces.iter().map(Found::new).collect() };
        lines.push(serde_json::to_string(&entry).map_err(|e| Error::Invalid(e.to_string()))?);
    }
    Ok(format!("[{}]\n", lines.join(",\n")).into_bytes())
}

fn csv(searched: &Searched) -> Result<Vec<u8>> {
    let mut out = csv::Writer::from_writer(vec![]);
    let wrong = |e: csv::Error| Error::Invalid(e.to_string());
    out.write_record(["image", "x", "y", "w", "h", "confidence"]).map_err(wrong)?;
    for (photo, faces) in searched.faces() {
        let image = photo.path.display().to_string();
        for Found { x, y, w, h, confidence } in faces.iter().map(Found::new) {
            out.serialize((&image, x, y, w, h, confidence)).map_err(wrong)?;
        }
    }
    out.into_inner().map_err(|e| Error::Invalid(e.to_string()))
}

fn table(searched: &Searched) -> Table {
    let mut table = Table::new(&["photo", "x", "y", "w", "h", "confidence"]);
    for (photo, faces) in searched.faces() {
        for face in faces {
            let rect = [face.rect.x, face.rect.y, face.rect.w, face.rect.h];
            let mut row = vec![photo.path.display().to_string()];
            row.extend(rect.map(|v| format!("{v:.0}")));
            row.push(format!("{:.3}", face.confidence));
            table.rows.push(row);
        }
    }
    table
}

/// Draws the photos with faces, none of them over a photo or over another drawing.
fn draw_all(searched: &Searched, folder: &Path) -> Result<()> {
    let real = |path: &Path| path.canonicalize().ok();
    let mut taken: HashSet<PathBuf> =
        searched.photos.iter().filter_map(|p| real(&p.path)).collect();
    let mut drawings = Vec::new();
    for (photo, faces) in searched.faces().filter(|(_, faces)| !faces.is_empty()) {
        let out = draw::name(&folder.join(&photo.below));
        if !taken.insert(real(&out).unwrap_or_else(|| out.clone())) {
            let (photo, out) = (photo.path.display(), out.display());
            let reason = "is a photo or another one's drawing: give --draw another folder";
            return Err(Error::Invalid(format!("{photo}: not drawn: {out} {reason}")));
        }
        drawings.push((photo, faces, out));
    }
    drawings.par_iter().try_for_each(|(photo, faces, out)| draw::boxes(&photo.path, faces, out))
}

/// Writes a file, or to standard output.
fn put(path: &Path, bytes: Vec<u8>) -> Result<()> {
    if path.as_os_str() == "-" {
        let text = String::from_utf8_lossy(&bytes);
        return print(text.trim_end());
    }
    write(path, bytes)
}
