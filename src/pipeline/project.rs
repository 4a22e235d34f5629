//! A study on the disk. Flows in: a `likenet.toml`. Flows out: its folder, its store, and the certainty that nobody
//! else is at work there.

use super::config::Config;
use crate::error::{Error, Result};
use crate::photos::store::Store;
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

/// The database.
const STORE: &str = "likenet.db";

/// The folder of the photos.
pub(super) const PHOTOS: &str = "photos";

/// An open study.
pub struct Project {
    /// What it is to be.
    pub config: Config,
    /// What is known.
    pub store: Store,
    /// Where everything lies.
    folder: PathBuf,
    /// The folder of the `likenet.toml`, from which its paths count.
    base: PathBuf,
    /// Held as long as somebody is at work.
    _lock: Option<File>,
}

impl Project {
    /// Opens the study of a `likenet.toml`; its folder is made.
    ///
    /// Fails where the file is wrong, or another likenet is at work in the folder.
    pub fn open(path: &Path) -> Result<Self> {
        let config = Config::read(path)?;
        let base = path.parent().unwrap_or(Path::new("")).to_path_buf();
        Self::new(config, base)
    }

    /// Opens a study to look at it, also while somebody is at work there.
    pub fn look(path: &Path) -> Result<Self> {
        let config = Config::read(path)?;
        let base = path.parent().unwrap_or(Path::new("")).to_path_buf();
        let folder = made(&base, &config)?;
        let store = Store::open(&folder.join(STORE))?;
        Ok(Self { config, store, folder, base, _lock: None })
    }

    /// Opens a study with these settings, whose paths count from `base`.
    pub fn new(config: Config, base: PathBuf) -> Result<Self> {
        let folder = made(&base, &config)?;
        let path = folder.join("likenet.lock");
        let lock = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
        let lock = lock.map_err(Error::io(&path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let folder = folder.display();
                return Err(Error::Invalid(format!(
                    "another likenet is at work in {folder}: wait until it is done, or stop it"
                )));
            }
            Err(TryLockError::Error(e)) => return Err(Error::io(&path)(e)),
        }
        let store = Store::open(&folder.join(STORE))?;
        Ok(Self { config, store, folder, base, _lock: Some(lock) })
    }

    /// A file or folder of the study.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A path as the `likenet.toml` has it.
    pub fn given(&self, path: &Path) -> PathBuf {
        self.base.join(path)
    }

    /// Where everything lies.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where paths count from.
    pub fn base(&self) -> &Path {
        &self.base
    }

    /// The folder of the photos.
    pub fn photos(&self) -> PathBuf {
        self.file(PHOTOS)
    }
}

/// The study's folder, which is made unless it is there.
fn made(base: &Path, config: &Config) -> Result<PathBuf> {
    let folder = base.join(&config.folder);
    std::fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_one_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let open = || Project::new(Config::default(), folder.path().to_path_buf());
        let first = open().expect("open");
        let said = open().err().expect("refused").to_string();
        assert!(said.contains("another likenet is at work"), "{said}");
        std::fs::write(folder.path().join("likenet.toml"), "").expect("room");
        Project::look(&folder.path().join("likenet.toml")).expect("looking is free");
        drop(first);
        open().expect("free again");
        std::fs::remove_file(folder.path().join("likenet.toml")).expect("it was there");
        let missing = Project::open(&folder.path().join("likenet.toml")).err().expect("none");
        assert!(missing.to_string().contains("likenet init"));
    }
}
