//! `likenet score`

use super::{Outcome, print, print_json};
use likenet::image::{Limits, Picture, decode_file, list_pictures};
use likenet::report::Table;
use likenet::score::{Judge, Likability, Verdict, built_in};
use likenet::{Error, Result};
use rayon::prelude::*;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Photos in memory at a time.
const AT_ONCE: usize = 64;

/// Says how likable photos are, best first: the probability that people like them, by what a study learned.
#[derive(clap::Args)]
pub struct Args {
    /// Photos, or folders of photos
    #[arg(required = true, value_name = "PHOTO")]
    photos: Vec<PathBuf>,
    /// What `likenet pack` wrote [default: the built-in model, which learned from drawn photos]
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// As JSON, with the faces
    #[arg(long)]
    json: bool,
}

/// The likability of a file, or the built-in one.
pub fn likability(model: Option<&Path>) -> Result<Likability> {
    model.map_or_else(|| Ok(built_in()), Likability::load)
}

pub fn run(args: &Args) -> Result<Outcome> {
    let mut files = vec![];
    for path in &args.photos {
        files.extend(list_pictures(path)?.into_iter().map(|p| p.path));
    }
    if files.is_empty() {
        return Err(Error::Invalid("no photos there".into()));
    }
    let mut judge = Judge::new(likability(args.model.as_deref())?)?;
    if !judge.about().caveat.is_empty() {
        eprintln!("note: {}", judge.about().caveat);
    }
    let (mut judged, mut broken) = (vec![], 0);
    for files in files.chunks(AT_ONCE) {
        let decoded: Vec<_> =
            files.par_iter().map(|file| decode_file(file, &Limits::default())).collect();
        let mut kept: (Vec<&PathBuf>, Vec<Picture>) = Default::default();
        for (file, decoded) in files.iter().zip(decoded) {
            match decoded {
                Ok(picture) => kept.extend([(file, picture)]),
                Err(e) => {
                    eprintln!("left out: {}: {e}", file.display());
                    broken += 1;
                }
            }
        }
        judged.extend(kept.0.into_iter().zip(judge.judge(&kept.1)?));
    }
    judged.sort_by(|(_, a), (_, b)| b.probability.total_cmp(&a.probability));
    if args.json {
        print_json(&judged.iter().map(|(file, v)| as_json(file, v)).collect::<Vec<_>>())?;
    } else {
        let mut table = Table::new(&["liked", "faces", "photo"]);
        for (file, v) in &judged {
            let (liked, faces) = (format!("{:.1} %", 100.0 * v.probability), v.faces.len());
            table.rows.push(vec![liked, faces.to_string(), file.display().to_string()]);
        }
        print(&table.text())?;
    }
    Ok(if broken > 0 { Outcome::No } else { Outcome::Done })
}

fn as_json(file: &Path, verdict: &Verdict) -> serde_json::Value {
    let faces = verdict.faces.iter().map(|face| {
        let r = face.rect;
        json!({"x": r.x, "y": r.y, "width": r.w, "height": r.h, "confidence": face.confidence})
    });
    json!({
        "photo": file.display().to_string(),
        "probability": verdict.probability,
        "score": verdict.score,
        "faces": faces.collect::<Vec<_>>(),
    })
}
