//! `likenet faces filter`

use super::super::{Outcome, write};
use super::{Photo, SearchArgs, Searched, forget, journal};
use likenet::faces::bulk::Seen;
use likenet::{Error, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// Keeps the photos of people: those with at least one face go into a folder (or a list), under the paths that
/// they had. A file that is there already is never overwritten: where it is another one, the photo is left, and the
/// exit status is 1. An interrupted run leaves LIST.part or DIR.part, from which the same command goes on.
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
    for folder in journal.parent().into_iter().chain(args.folders()) {
        fs::create_dir_all(folder).map_err(Error::io(folder))?;
    }
    args.check_folders()?;
    let searched = args.search.search(Some(&journal))?;
    if let Some(path) = &args.list {
        write(path, kept(&searched, args.moves))?;
    }
    let mut left = 0;
    for (photo, seen) in searched.photos.iter().zip(&searched.answers.seen) {
        let folder = match seen {
            Seen::Broken(_) => &None,
            Seen::Faces(faces) if faces.is_empty() => &args.rest,
            Seen::Faces(_) => &args.keep,
        };
        if let Some(folder) = folder
            && !place(photo, &folder.join(&photo.below), args.moves)?
        {
            left += 1;
        }
    }
    forget(&journal)?;
    eprintln!("{}", searched.summary());
    Ok(if left > 0 { Outcome::No } else { searched.outcome() })
}

impl Args {
    fn folders(&self) -> impl Iterator<Item = &Path> {
        self.keep.iter().chain(&self.rest).map(PathBuf::as_path)
    }

    /// Photos that were placed must not be found again by a run that goes on.
    fn check_folders(&self) -> Result<()> {
        let real = |path: &Path| path.canonicalize().map_err(Error::io(path));
        for folder in self.folders() {
            for given in self.search.photos.iter().filter(|given| given.is_dir()) {
                if real(folder)?.starts_with(real(given)?) {
                    let (folder, given) = (folder.display(), given.display());
                    let reason = "give a folder outside of the searched ones";
                    return Err(Error::Invalid(format!("{folder}: lies in {given}; {reason}")));
                }
            }
        }
        Ok(())
    }
}

/// The paths of photos with a face, a line each: first of those that an earlier part of this run has moved.
fn kept(searched: &Searched, moves: bool) -> String {
    let answers = &searched.answers;
    let gone = answers.gone.iter().filter(|_| moves).map(|(path, seen)| (path, seen));
    let here = searched.photos.iter().map(|photo| &photo.path).zip(&answers.seen);
    let face = |seen: &Seen| matches!(seen, Seen::Faces(faces) if !faces.is_empty());
    let with = gone.chain(here).filter(|(_, seen)| face(seen));
    with.map(|(path, _)| format!("{}\n", path.display())).collect()
}

/// Copies or moves a photo; false where another file is in its place, which is told.
fn place(photo: &Photo, to: &Path, moves: bool) -> Result<bool> {
    let from = &photo.path;
    if to.exists() {
        // An earlier part of this run may have moved it, or copied it.
        if moves && !from.exists() {
            return Ok(true);
        }
        let same = || Ok(fs::read(from)? == fs::read(to)?);
        if !same().map_err(Error::io(to))? {
            let (from, to) = (from.display(), to.display());
            eprintln!("left {from}: {to} is another file of that name");
            return Ok(false);
        }
        // The photo itself may lie there already.
        let other = from.canonicalize().ok() != to.canonicalize().ok();
        if moves && other {
            fs::remove_file(from).map_err(Error::io(from))?;
        }
        return Ok(true);
    }
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent).map_err(Error::io(parent))?;
    }
    if moves && fs::rename(from, to).is_ok() {
        return Ok(true);
    }
    // Another disk, or a copy: written beside its place, then renamed.
    let bytes = fs::read(from).map_err(Error::io(from))?;
    write(to, bytes)?;
    if moves {
        fs::remove_file(from).map_err(Error::io(from))?;
    }
    Ok(true)
}
