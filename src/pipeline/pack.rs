//! What a study learned, in one file. Flows in: a study whose stages up to `rank` are done. Flows out: a likability.

use super::network;
use super::project::Project;
use super::report::SIMULATED;
use super::sets::{Features, Photo, Set, paths, photos};
use crate::error::{Error, Result};
use crate::image::{Limits, decode_file};
use crate::learn::model::Model;
use crate::net::trained;
use crate::report::{encode_jpeg, square_thumbnail};
use crate::score::{About, Gallery, Likability, Specimen, scale};
use rayon::prelude::*;
use rusqlite::OptionalExtension;

/// Side of the photos in the gallery, in pixels, and their JPEG quality.
const SIDE: usize = 96;
const QUALITY: u8 = 75;

/// Packs the classifier that ranked best, the network with its weights, and up to `most` photos that were learnt from,
/// spread evenly over them.
///
/// Fails where the study has not ranked photos yet.
pub fn pack(project: &Project, most: usize) -> Result<Likability> {
    let set = Set::all(project.config.filter.by)[0];
    let about = about(project, set)?;
    let path = project.file("models").join(format!("{}.safetensors", set.name()));
    let classifier = Model::load(&path)?;
    let blob = classifier.blob().map(String::from).unwrap_or_default();
    let network = network::of(project)?;
    let file = |path: &std::path::Path| std::fs::read(path).map_err(Error::io(path));
    let own =
        trained(&network.name).filter(|_| project.config.features.weights.as_os_str().is_empty());
    let weights = if own.is_some() { None } else { Some(file(&network.weights)?) };
    let cascade = &project.config.filter.cascade;
    let cascade = match cascade.as_os_str().is_empty() {
        true => None,
        false => Some(file(&project.given(cascade))?),
    };
    Ok(Likability {
        network,
        weights,
        cascade,
        confidence: project.config.filter.confidence,
        min_size: project.config.filter.min_size,
        gallery: gallery(project, set, &blob, &classifier, most)?,
        classifier,
        about,
    })
}

fn about(project: &Project, set: Set) -> Result<About> {
    let row = project.store.read(|db| {
        let query = "SELECT method, features, learnt, judged, ap, ap_low, ap_high, chance FROM models WHERE name = ?1";
        let row = db.query_row(query, [set.name()], |row| {
            let text = |at| row.get::<_, String>(at);
            let number = |at| row.get::<_, f64>(at);
            let quality = format!(
                "average precision {:.3} ({:.3} to {:.3}) on {} photos of people of whom nothing was learnt; chance {:.3}",
                number(4)?, number(5)?, number(6)?, row.get::<_, i64>(3)?, number(7)?
            );
            Ok((text(0)?, text(1)?, row.get::<_, i64>(2)? as usize, quality))
        });
        row.optional()
    })?;
    let (method, features, photos, quality) = row.ok_or_else(|| {
        Error::Invalid("the study has not ranked photos yet: `likenet run` does".into())
    })?;
    let config = &project.config;
    let simulated = !config.report.truth.as_os_str().is_empty();
    let network = &config.features.model;
    Ok(About {
        title: config.report.title.clone(),
        caveat: if simulated { SIMULATED.into() } else { String::new() },
        method: format!("{method} on {features} of {network}"),
        photos,
        people: set == Set::People,
        quality,
    })
}

fn gallery(
    project: &Project,
    set: Set,
    blob: &str,
    classifier: &Model,
    most: usize,
) -> Result<Gallery> {
    let learnt: Vec<Photo> = photos(project, set)?.into_iter().filter(|p| !p.test).collect();
    let step = learnt.len().div_ceil(most.max(1)).max(1);
    let chosen: Vec<Photo> = learnt.into_iter().step_by(step).take(most).collect();
    let mut gallery = Gallery::new(classifier.columns());
    if chosen.is_empty() {
        return Ok(gallery);
    }
    let (table, of) = Features::read(project, blob)?.of(&chosen, false)?;
    let files = paths(project, &chosen);
    let thumbnails: Vec<Vec<u8>> = of
        .par_iter()
        .map(|&place| {
            let picture = decode_file(&files[place], &Limits::default())?;
            encode_jpeg(&square_thumbnail(&picture, SIDE)?, QUALITY)
        })
        .collect::<Result<_>>()?;
    let mut row = vec![0.0; classifier.columns()];
    for (at, (&place, thumbnail)) in of.iter().zip(thumbnails).enumerate() {
        table.matrix.read_row(at, &mut row);
        scale(classifier, &mut row);
        gallery.push(&row, Specimen { thumbnail, good: chosen[place].good })?;
    }
    Ok(gallery)
}
