//! The stages: what each is made from, what it does, what it leaves.

use super::config::Config;
use super::project::Project;
use super::{compare, faces, features, finetune, rank, report};
use crate::error::Result;
use crate::image::list_pictures;
use crate::photos::store::sha256;
use crate::photos::watch::Watch;
use crate::photos::{collect, download, prepare};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// A stage of the study.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Which photos there are.
    Collect,
    /// Which count, and which are good.
    Prepare,
    /// Their files.
    Download,
    /// Their faces.
    Faces,
    /// What a network makes of them.
    Features,
    /// Which classifier does best.
    Compare,
    /// The network itself learns.
    Finetune,
    /// The test photos, best first.
    Rank,
    /// What a person wants to look at.
    Report,
}

impl Stage {
    /// All, in their order.
    pub const ALL: [Self; 9] = [
        Self::Collect,
        Self::Prepare,
        Self::Download,
        Self::Faces,
        Self::Features,
        Self::Compare,
        Self::Finetune,
        Self::Rank,
        Self::Report,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Collect => "collect",
            Self::Prepare => "prepare",
            Self::Download => "download",
            Self::Faces => "faces",
            Self::Features => "features",
            Self::Compare => "compare",
            Self::Finetune => "finetune",
            Self::Rank => "rank",
            Self::Report => "report",
        }
    }

    /// The stage of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.name() == name)
    }

    /// The stages whose results it is made from.
    pub(super) fn after(self) -> &'static [Self] {
        match self {
            Self::Collect => &[],
            Self::Prepare => &[Self::Collect],
            Self::Download => &[Self::Prepare],
            Self::Faces | Self::Features => &[Self::Download],
            Self::Compare | Self::Finetune => &[Self::Prepare, Self::Faces, Self::Features],
            Self::Rank => &[Self::Prepare, Self::Faces, Self::Features, Self::Compare],
            Self::Report => &[
                Self::Collect,
                Self::Prepare,
                Self::Download,
                Self::Faces,
                Self::Features,
                Self::Compare,
                Self::Finetune,
                Self::Rank,
            ],
        }
    }

    /// The settings that its result depends on, and files that the user gave. How fast networks are asked is none of them.
    pub(super) fn settings(self, project: &Project) -> Value {
        let config = &project.config;
        let given = |path: &Path| stamp(path, &project.given(path));
        match self {
            Self::Collect => {
                let c = &config.collect;
                let files = if c.is_network() { Value::Null } else { given(&c.path) };
                json!([c.identity(), c.most, files])
            }
            Self::Prepare => json!(config.prepare),
            Self::Download => {
                let d = &config.download;
                json!([d.max_bytes, d.min_side, d.alike])
            }
            Self::Faces => {
                let f = &config.filter;
                json!([given(&f.cascade), f.confidence, f.min_size])
            }
            Self::Features => {
                let f = &config.features;
                json!([f, given(&f.weights), given(&f.net), given(&config.filter.classifier)])
            }
            Self::Compare => json!([config.compare, config.filter.by]),
            Self::Finetune => json!([config.finetune, config.filter.by, config.report.repeats]),
            Self::Rank => json!([config.compare, config.filter.by, config.report.repeats]),
            Self::Report => json!([config.report, given(&config.report.truth), config.filter.by]),
        }
    }

    /// What it leaves when it is cut off, for a later run with the same inputs.
    pub(super) fn unfinished(self, project: &Project) -> Vec<PathBuf> {
        match self {
            Self::Faces => vec![project.file(faces::JOURNAL)],
            Self::Features => vec![project.file(features::PART)],
            Self::Finetune => vec![project.file(finetune::FOLDER)],
            _ => vec![],
        }
    }

    /// Files without which its result is not there.
    pub(super) fn files(self, project: &Project) -> Vec<PathBuf> {
        match self {
            Self::Features => vec![project.file(features::FILE)],
            Self::Finetune if project.config.finetune.iterations > 0 => {
                vec![project.file(finetune::WEIGHTS)]
            }
            Self::Report => vec![project.file(report::FILE)],
            _ => vec![],
        }
    }

    /// Queries for everything that later stages read of it.
    pub(super) fn results(self) -> &'static [&'static str] {
        match self {
            Self::Collect => &[
                "SELECT id, native, name, followers, hidden FROM users ORDER BY id",
                "SELECT id, native, user, url, created, likes FROM photos ORDER BY id",
                "SELECT value FROM facts WHERE name = 'as_of'",
            ],
            Self::Prepare => &["SELECT photo, removed, rate, good, part FROM labels ORDER BY photo"],
            Self::Download => &[
                "SELECT photo, state, file, sha256, duplicate_of FROM downloads JOIN labels USING (photo)
                 WHERE removed IS NULL ORDER BY photo",
            ],
            Self::Faces => &[
                "SELECT photo, place, x, y, w, h, confidence FROM faces ORDER BY photo, place",
                "SELECT photo, keep FROM filters WHERE filter = 'faces' ORDER BY photo",
            ],
            Self::Features => &[
                "SELECT photo, sha256 FROM downloads WHERE state = 'done' AND duplicate_of IS NULL ORDER BY photo",
                "SELECT photo, keep FROM filters WHERE filter = 'classifier' ORDER BY photo",
            ],
            Self::Compare => {
                &["SELECT * FROM comparisons ORDER BY photos, features, mirrored, method"]
            }
            Self::Finetune => &["SELECT * FROM scores WHERE model = 'network' ORDER BY photo"],
            Self::Rank => &[
                "SELECT * FROM models ORDER BY name",
                "SELECT * FROM scores ORDER BY model, photo",
            ],
            Self::Report => &[],
        }
    }

    pub(super) fn work(self, project: &mut Project, watch: &dyn Watch) -> Result<String> {
        let base = project.base().to_path_buf();
        match self {
            Self::Collect => {
                collect::collect(&mut project.store, &project.config.collect, &base, watch)
            }
            Self::Prepare => prepare::prepare(&mut project.store, &project.config.prepare, watch),
            Self::Download => {
                let photos = project.photos();
                let Config { download, collect, .. } = &project.config;
                download::download(&mut project.store, download, &collect.contact, &photos, watch)
            }
            Self::Faces => faces::search(project, watch),
            Self::Features => features::extract(project, watch),
            Self::Compare => compare::compare(project, watch),
            Self::Finetune => finetune::finetune(project, watch),
            Self::Rank => rank::rank(project, watch),
            Self::Report => report::report(project, watch),
        }
    }
}

/// Size and time of a file that a user gave, or of all files in a folder: another one has others.
fn stamp(given: &Path, path: &Path) -> Value {
    if given.as_os_str().is_empty() {
        return Value::Null;
    }
    let of = |path: &Path| {
        let meta = std::fs::metadata(path).ok()?;
        let time = meta.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
        Some((meta.len(), time.as_nanos() as u64))
    };
    let mut stamps = vec![json!([given, of(path)])];
    if path.is_dir() {
        let listed = list_pictures(path).unwrap_or_default().into_iter().map(|p| p.path);
        for photo in listed {
            let mut beside = photo.clone().into_os_string();
            beside.push(".json");
            stamps.push(json!([
                photo,
                of(&photo),
                of(Path::new(&beside)),
                of(&photo.with_extension("json"))
            ]));
        }
    }
    json!(sha256(&Value::Array(stamps).to_string()))
}
