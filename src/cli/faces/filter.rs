//! `likenet faces filter`

use super::super::Outcome;
use super::{Photo, SearchArgs, forget, journal};
use likenet::faces::bulk::Seen;
use likenet::{Error, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// Keeps the photos of people: those with at least one face go into a folder (or a list), under the paths that
/// they had. A file that is there already, with the same content, stays; another one is never overwritten.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    search: SearchArgs,
    /// Folder for the photos with a face
    #[arg(long, value_name = "DIR", required_unless_present = "list")]
    keep: Option<PathBuf>,
    /// Folder for the others
    #[arg(long, value_name = "DIR")]
    rest: Option<PathBuf>,
    /// Move photos instead of copying them
    #[arg(long = "move")]
    moves: bool,
    /// Write the paths of the photos with a face, one a line
    #[arg(long, value_name = "FILE")]
    list: Option<PathBuf>,
}

pub fn run(args: &Args) -> Result<Outcome> {
    let out = args.list.as_ref().or(args.keep.as_ref());
    let journal = journal(out.expect("clap asks for one of them"));
    if let Some(folder) = journal.parent() {
        fs::create_dir_all(folder).map_err(Error::io(folder))?;
    }
    let searched = args.search.search(Some(&journal))?;
    let mut kept = String::new();
    for (photo, seen) in searched.photos.iter().zip(&searched.seen) {
        let folder = match seen {
            Seen::Broken(_) => continue,
            Seen::Faces(faces) if faces.is_empty() => &args.rest,
            Seen::Faces(_) => {
                kept += &format!("{}\n", photo.path.display());
                &args.keep
            }
        };
        if let Some(folder) = folder {
            place(photo, folder, args.moves)?;
        }
    }
    if let Some(path) = &args.list {
        weights_tools::write_atomically(path, |out| {
            out.write_all(kept.as_bytes()).map_err(weights_tools::Error::io(path, "write"))
        })?;
    }
    forget(&journal)?;
    eprintln!("{}", searched.summary());
    Ok(searched.outcome())
}

/// Copies or moves a photo below a folder.
fn place(photo: &Photo, folder: &Path, moves: bool) -> Result<()> {
    let to = folder.join(&photo.below);
    let parent = to.parent().unwrap_or(folder);
    fs::create_dir_all(parent).map_err(Error::io(parent))?;
    if to.exists() {
        // An earlier part of this run may have copied it.
        let same = || Ok(fs::read(&photo.path)? == fs::read(&to)?);
        return match same().map_err(Error::io(&to))? {
            true => Ok(()),
            false => {
                let reason = "another file of that name is there already";
                Err(Error::Invalid(format!("{}: {reason}", to.display())))
            }
        };
    }
    if moves && fs::rename(&photo.path, &to).is_ok() {
        return Ok(());
    }
    // Another disk, or a copy: written beside its place, then renamed.
    let bytes = fs::read(&photo.path).map_err(Error::io(&photo.path))?;
    weights_tools::write_atomically(&to, |out| {
        out.write_all(&bytes).map_err(weights_tools::Error::io(&to, "write"))
    })?;
    match moves {
        true => fs::remove_file(&photo.path).map_err(Error::io(&photo.path)),
        false => Ok(()),
    }
}
