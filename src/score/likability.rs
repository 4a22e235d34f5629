//! What a study learned, in one file. Flows in: a network, a classifier, how faces are found, photos that were learnt
//! from. Flows out: a file that needs no other; and back, whatever the file holds, all of it or an error.

use super::gallery::{Gallery, Specimen};
use super::network::{Loaded, Network, Purpose};
use crate::error::{Error, Result};
use crate::learn::model::Model;
use crate::net::trained;
use serde::{Deserialize, Serialize};
use std::path::Path;
use weights_tools::Archive;

/// What was read, or what is wrong with it.
type Read<T> = std::result::Result<T, String>;

const FORMAT: &str = "likenet-likability";
const VERSION: &str = "1";

/// What judges photos.
#[derive(Clone, Debug, PartialEq)]
pub struct Likability {
    /// The network that looks at photos; its weights are in `weights`.
    pub network: Network,
    /// Its weights, a file; none: those that are built in under its name.
    pub weights: Option<Vec<u8>>,
    /// What makes a score of features.
    pub classifier: Model,
    /// A cascade, a file; none: the built-in one.
    pub cascade: Option<Vec<u8>>,
    /// The least confidence of a face.
    pub confidence: f32,
    /// The smallest face, in pixels.
    pub min_size: f32,
    /// Photos that were learnt from.
    pub gallery: Gallery,
    /// What a reader should know.
    pub about: About,
}

/// What a reader should know of a model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// What it is called.
    pub title: String,
    /// What must be known before all else, such as that it learned from drawn photos; empty: nothing.
    pub caveat: String,
    /// The network, its blob and the classifier, in words.
    pub method: String,
    /// Photos that were learnt from.
    pub photos: usize,
    /// Whether all of them are of people: the probability of another photo says little.
    #[serde(default)]
    pub people: bool,
    /// How well it ranked photos that it had not seen, in words.
    pub quality: String,
}

impl Likability {
    /// Writes a safetensors file, atomically.
    pub fn save(&self, path: &Path) -> Result<()> {
        let bytes = self.encode().map_err(|problem| damaged(path, &problem))?;
        Ok(weights_tools::write_file(path, bytes)?)
    }

    /// Reads a file that [`Likability::save`] wrote.
    ///
    /// Fails, whatever the file holds, when it is not one, damaged, or of another version.
    pub fn load(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(Error::io(path))?;
        Self::decode(&bytes).map_err(|problem| damaged(path, &problem))
    }

    /// Loads its network, for batches of that many rows; `blobs` can be read after a pass.
    pub fn load_network(
        &self,
        blobs: Vec<String>,
        batch: usize,
        purpose: Purpose,
    ) -> Result<Loaded> {
        let own = || trained(&self.network.name).map(|own| own.weights);
        let weights = self.weights.as_deref().or_else(own).unwrap_or_default();
        with_file(weights, |path| {
            Network { weights: path.into(), ..self.network.clone() }.load(blobs, batch, purpose)
        })
    }

    /// Its bytes.
    pub fn encode(&self) -> Read<Vec<u8>> {
        let mut archive = Archive::default();
        let Network { name, text, mean, scale, side, .. } = &self.network;
        let texts = [
            ("format", FORMAT.to_string()),
            ("version", VERSION.to_string()),
            ("network", name.clone()),
            ("prototxt", text.clone()),
            ("side", side.to_string()),
            ("about", serde_json::to_string(&self.about).map_err(|e| e.to_string())?),
        ];
        archive.texts.extend(texts.map(|(name, text)| (name.into(), text)));
        archive.put("preparation", 1, &[mean[0], mean[1], mean[2], *scale]);
        archive.put("faces", 1, &[self.confidence, self.min_size]);
        archive.put("classifier", 1, &self.classifier.to_bytes()?);
        for (name, file) in [("weights", &self.weights), ("cascade", &self.cascade)] {
            if let Some(file) = file {
                archive.put(name, 1, file);
            }
        }
        let (rows, scales, specimens) = self.gallery.parts();
        archive.put("gallery.rows", 1, rows);
        archive.put("gallery.scales", 1, scales);
        let good: Vec<u8> = specimens.iter().map(|s| u8::from(s.good)).collect();
        archive.put("gallery.good", 1, &good);
        let thumbnails: Vec<u8> = specimens.iter().flat_map(|s| s.thumbnail.clone()).collect();
        let lengths: Vec<u32> = specimens.iter().map(|s| s.thumbnail.len() as u32).collect();
        archive.put("gallery.thumbnails", 1, &thumbnails);
        archive.put("gallery.lengths", 1, &lengths);
        archive.encode()
    }

    /// What bytes hold, or what is wrong with them.
    pub fn decode(bytes: &[u8]) -> Read<Self> {
        let archive = Archive::decode(bytes)?;
        match (archive.text("format"), archive.text("version")) {
            (Ok(FORMAT), Ok(VERSION)) => {}
            (Ok(FORMAT), Ok(other)) => {
                return Err(format!("it is of version {other:?}; this program reads {VERSION}"));
            }
            _ => return Err("it is no model that `likenet pack` wrote".into()),
        }
        let classifier = Model::from_bytes(&archive.get::<u8>("classifier")?)?;
        let [blue, green, red, scale] = numbers(&archive, "preparation")?;
        let [confidence, min_size] = numbers(&archive, "faces")?;
        let side = archive.text("side")?;
        let side = side.parse::<u16>().map_err(|_| format!("photos have a side of {side}"))?;
        let file = |name: &str| archive.has(name).then(|| archive.get(name)).transpose();
        let name = archive.text("network")?.to_string();
        let weights = file("weights")?;
        if weights.is_none() && trained(&name).is_none() {
            return Err(format!("it has no weights, and no {name:?} is built in"));
        }
        let gallery = gallery(&archive, classifier.columns())?;
        let about = serde_json::from_str(archive.text("about")?).map_err(|e| e.to_string())?;
        let network = Network {
            name,
            text: archive.text("prototxt")?.into(),
            weights: Default::default(),
            mean: [blue, green, red],
            scale,
            side: side.into(),
        };
        Ok(Self {
            network,
            weights,
            classifier,
            cascade: file("cascade")?,
            confidence,
            min_size,
            gallery,
            about,
        })
    }
}

/// Lends bytes as a file, which is gone afterwards: what is read of it is mapped or copied by then.
pub(super) fn with_file<T>(bytes: &[u8], read: impl FnOnce(&Path) -> Result<T>) -> Result<T> {
    let folder = tempfile::tempdir().map_err(Error::io(&std::env::temp_dir()))?;
    // The ending tells which kind of weights it is; cascades are told apart by their first bytes.
    let path = folder.path().join("likability.safetensors");
    std::fs::write(&path, bytes).map_err(Error::io(&path))?;
    read(&path)
}

/// So many finite numbers.
fn numbers<const N: usize>(archive: &Archive, name: &str) -> Read<[f32; N]> {
    let numbers = archive.get::<f32>(name)?;
    match <[f32; N]>::try_from(numbers) {
        Ok(numbers) if numbers.iter().all(|x| x.is_finite()) => Ok(numbers),
        _ => Err(format!("its {name:?} are not {N} finite numbers")),
    }
}

fn gallery(archive: &Archive, columns: usize) -> Read<Gallery> {
    let thumbnails = archive.get::<u8>("gallery.thumbnails")?;
    let (lengths, good) =
        (archive.get::<u32>("gallery.lengths")?, archive.get::<u8>("gallery.good")?);
    let whole: u64 = lengths.iter().map(|&l| u64::from(l)).sum();
    if whole != thumbnails.len() as u64 || lengths.len() != good.len() {
        return Err("its gallery's pictures are not as long as it says".into());
    }
    let mut rest = thumbnails.as_slice();
    let specimens = lengths.iter().zip(good).map(|(&length, good)| {
        let (thumbnail, after) = rest.split_at(length as usize);
        rest = after;
        Specimen { thumbnail: thumbnail.to_vec(), good: good != 0 }
    });
    let specimens = specimens.collect();
    let rows = archive.get("gallery.rows")?;
    Gallery::from_parts(columns, rows, archive.get("gallery.scales")?, specimens)
}

fn damaged(path: &Path, problem: &str) -> Error {
    Error::Invalid(format!("{}: {problem}", path.display()))
}
