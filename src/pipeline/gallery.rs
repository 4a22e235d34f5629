//! The ranked photos, to be looked at. Flows in: scores and files. Flows out: contact sheets (PNG) and a page of
//! thumbnails, best first.

use super::project::Project;
use crate::error::Result;
use crate::image::{Limits, decode_file};
use crate::report::page::{Block, EmbeddedPicture, Page, Section};
use crate::report::{Tile, contact_sheet, encode_jpeg, encode_png, square_thumbnail};
use rayon::prelude::*;

/// Photos on a contact sheet.
const SHEET: usize = 25;

/// Photos on the page, at most: the best and the worst halves of them.
const SHOWN: usize = 200;

/// A ranked photo.
#[derive(Clone, Debug)]
pub(super) struct Ranked {
    pub native: String,
    pub file: String,
    pub good: bool,
    pub score: f64,
    pub probability: f64,
}

/// The test photos of a model, best first.
pub(super) fn ranked(project: &Project, model: &str) -> Result<Vec<Ranked>> {
    project.store.read(|db| {
        let mut query = db.prepare(
            "SELECT native, file, good, score, probability FROM scores
             JOIN photos ON photos.id = scores.photo JOIN labels ON labels.photo = scores.photo
             JOIN downloads ON downloads.photo = scores.photo
             WHERE model = ?1 ORDER BY score DESC, scores.photo",
        )?;
        let photo = |row: &rusqlite::Row| {
            let (native, file, good) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(Ranked { native, file, good, score: row.get(3)?, probability: row.get(4)? })
        };
        query.query_map([model], photo)?.collect()
    })
}

fn caption(place: usize, photo: &Ranked) -> [String; 2] {
    let liked = if photo.good { "liked" } else { "not liked" };
    [format!("{}. p = {:.2}", place + 1, photo.probability), liked.to_string()]
}

/// The tiles of some places of a ranking.
fn tiles(project: &Project, all: &[Ranked], places: &[usize]) -> Result<Vec<Tile>> {
    let folder = project.photos();
    let tile = |&place: &usize| {
        let photo = &all[place];
        let picture = decode_file(&folder.join(&photo.file), &Limits::default()).ok();
        // Smaller at once: a sheet of large photos would not fit into memory.
        let picture = picture.map(|p| square_thumbnail(&p, 240)).transpose()?;
        Ok(Tile { picture, caption: caption(place, photo), good: Some(photo.good) })
    };
    places.par_iter().map(tile).collect()
}

/// Writes the best and the worst photos of a model as contact sheets, `MODEL-best.png` and `MODEL-worst.png`. Gives both
/// as JPEG, for the report; none where there is no photo.
pub(super) fn sheets(
    project: &Project,
    model: &str,
    all: &[Ranked],
) -> Result<Vec<EmbeddedPicture>> {
    if all.is_empty() {
        return Ok(vec![]);
    }
    let count = SHEET.min(all.len());
    let best: Vec<usize> = (0..count).collect();
    let worst: Vec<usize> = (all.len() - count..all.len()).rev().collect();
    let mut pictures = vec![];
    for (name, places) in [("best", best), ("worst", worst)] {
        let title = format!("{model}: the {count} {name} of {} test photos", all.len());
        let tiles = tiles(project, all, &places)?;
        let picture = contact_sheet(&tiles, &title)?;
        weights_tools::write_file(
            &project.file(&format!("{model}-{name}.png")),
            encode_png(&picture)?,
        )?;
        let liked = places.iter().filter(|&&place| all[place].good).count();
        pictures.push(EmbeddedPicture {
            file: encode_jpeg(&picture, 82)?,
            alternative: format!("Contact sheet: {title}"),
            caption: format!("{title}: {liked} of them are liked"),
        });
    }
    Ok(pictures)
}

/// Writes a page of thumbnails, best first, for each model.
pub(super) fn page(
    project: &Project,
    models: &[(String, Vec<Ranked>)],
    banner: &str,
) -> Result<()> {
    let folder = project.photos();
    let section = |(model, all): &(String, Vec<Ranked>)| {
        let shown: Vec<usize> = match all.len() {
            n if n <= SHOWN => (0..n).collect(),
            n => (0..SHOWN / 2).chain(n - SHOWN / 2..n).collect(),
        };
        let picture = |&place: &usize| {
            let picture = decode_file(&folder.join(&all[place].file), &Limits::default())?;
            let [first, second] = caption(place, &all[place]);
            Ok(EmbeddedPicture {
                file: encode_jpeg(&square_thumbnail(&picture, 120)?, 75)?,
                alternative: format!("photo {}, {second}", all[place].native),
                caption: format!("{first}, {second}"),
            })
        };
        let pictures: Vec<Result<EmbeddedPicture>> = shown.par_iter().map(picture).collect();
        // A photo whose file is damaged since has no thumbnail.
        let pictures = pictures.into_iter().flatten().collect();
        let about = match all.len() {
            n if n <= SHOWN => format!("All {n} test photos, best first."),
            n => format!("The {} best and worst of {n} test photos.", SHOWN / 2),
        };
        let heading = format!("Ranked by the model for {model}");
        Section { heading, blocks: vec![Block::Paragraph(about), Block::Thumbnails(pictures)] }
    };
    let page = Page {
        title: format!("{}: the gallery", project.config.report.title),
        subtitle: "Test photos, ranked by the probability that they are liked".into(),
        banner: banner.into(),
        sections: models.iter().map(section).collect(),
        ..Page::default()
    };
    page.write(&project.file("gallery.html"))
}
