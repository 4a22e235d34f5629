//! `likenet faces eval` and `likenet faces compare`

use super::super::{Outcome, print, write};
use super::progress_bar;
use likenet::faces::judge::{Detections, Judgement, Options, Truth, judge};
use likenet::faces::{Detector, Rect, Search};
use likenet::image::{GrayPicture, Limits, decode_gray_file};
use likenet::report;
use likenet::{Error, Result};
use rayon::prelude::*;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Labelled photos, and what becomes of the judgement.
#[derive(clap::Args)]
struct Judging {
    /// Labels, JSON: [{"image": "a.jpg", "faces": [{"x", "y", "w", "h"}]}], pixels of the upright photo;
    /// "ignore": true for a face that is neither missed nor found
    #[arg(long, value_name = "FILE")]
    truth: PathBuf,
    /// Where the labelled photos lie [default: the labels' folder]
    #[arg(long, value_name = "DIR")]
    photos: Option<PathBuf>,
    /// The smallest face, in pixels along its longer side
    #[arg(long, value_name = "PIXELS", default_value_t = 40.0)]
    min_size: f32,
    /// Overlap (intersection over union) from which a detection is right
    #[arg(long, value_name = "SHARE", default_value_t = 0.5)]
    iou: f64,
    /// Judge boxes as they are: don't fit a cascade's framing to the labels' first
    #[arg(long)]
    no_fit: bool,
    /// Folder to write a report into: a page with tables, and curves
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
}

/// Judges a cascade, or detections in a file, by labelled photos: average precision, recall at fixed false
/// positives an image, the photo filter's curve, recall by groups, how far confidences can be trusted.
#[derive(clap::Args)]
pub struct EvalArgs {
    #[command(flatten)]
    judging: Judging,
    /// A cascade of ours, OpenCV's (XML) or ccv's (sqlite3) [default: the built-in one]
    #[arg(long, value_name = "FILE")]
    cascade: Option<PathBuf>,
    /// Detections to judge instead, JSON as `faces detect --confidence 0 --json` writes it
    #[arg(long, value_name = "FILE", conflicts_with = "cascade")]
    detections: Option<PathBuf>,
}

/// Judges several cascades by the same labelled photos, side by side; the built-in one comes first.
#[derive(clap::Args)]
pub struct CompareArgs {
    #[command(flatten)]
    judging: Judging,
    /// Cascades of ours, OpenCV's (XML) or ccv's (sqlite3)
    #[arg(value_name = "CASCADE", required = true)]
    cascades: Vec<PathBuf>,
}

const BUILT_IN: &str = "built in";

pub fn eval(args: &EvalArgs) -> Result<Outcome> {
    let labelled = args.judging.labelled()?;
    let (name, detections) = match (&args.detections, &args.cascade) {
        (Some(path), _) => (stem(path), Detections::read(path)?),
        (None, Some(path)) => (stem(path), labelled.search(&Detector::read(path)?)?),
        (None, None) => (BUILT_IN.into(), labelled.search(&Detector::own())?),
    };
    labelled.tell(&[(name, labelled.judge(&detections)?)])
}

pub fn compare(args: &CompareArgs) -> Result<Outcome> {
    let labelled = args.judging.labelled()?;
    let mut detectors = vec![(BUILT_IN.to_string(), Detector::own())];
    for path in &args.cascades {
        detectors.push((stem(path), Detector::read(path)?));
    }
    let mut judged = vec![];
    for (name, detector) in detectors {
        judged.push((name, labelled.judge(&labelled.search(&detector)?)?));
    }
    labelled.tell(&judged)
}

/// A file's name without its ending.
fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// Labels, and where their photos lie.
struct Labelled<'a> {
    judging: &'a Judging,
    truth: Truth,
    photos: PathBuf,
}

impl Judging {
    fn labelled(&self) -> Result<Labelled<'_>> {
        let mut truth = Truth::read(&self.truth)?;
        let beside = || self.truth.parent().unwrap_or(Path::new("")).to_path_buf();
        let photos = self.photos.clone().unwrap_or_else(beside);
        let names = truth.photos.iter().map(|p| p.image.clone());
        // A photo that cannot be read fails when it is searched; detections from a file need none.
        let gray: HashMap<String, GrayPicture> = names
            .collect::<Vec<_>>()
            .into_par_iter()
            .filter_map(|name| {
                let gray = decode_gray_file(&photos.join(&name), &Limits::default()).ok()?;
                Some((name, gray))
            })
            .collect();
        truth.measure_brightness(|image, rect| mean_gray(gray.get(image)?, rect));
        Ok(Labelled { judging: self, truth, photos })
    }
}

impl Labelled<'_> {
    /// What a detector finds in the labelled photos, whatever its confidence.
    fn search(&self, detector: &Detector) -> Result<Detections> {
        let search = Search { min_size: self.judging.min_size, ..Search::new()? };
        let bar = progress_bar(self.truth.photos.len());
        let found = self.truth.photos.par_iter().map(|photo| {
            let faces = detector.detect_file(&self.photos.join(&photo.image), &search)?;
            bar.inc(1);
            Ok((photo.image.clone(), faces))
        });
        let found = found.collect::<Result<Vec<_>>>()?;
        bar.finish_and_clear();
        Ok(Detections::of(found))
    }

    fn judge(&self, detections: &Detections) -> Result<Judgement> {
        let options = Options { iou: self.judging.iou, fit: !self.judging.no_fit };
        judge(&self.truth, detections, &options)
    }

    /// Prints the tables, and writes the report that is asked for.
    fn tell(&self, judged: &[(String, Judgement)]) -> Result<Outcome> {
        let judged: Vec<report::faces::Judged> =
            judged.iter().map(|(name, judgement)| (name.as_str(), judgement)).collect();
        print(&report::faces::text(&judged))?;
        if let Some(folder) = &self.judging.report {
            write_report(&judged, folder)?;
        }
        Ok(Outcome::Done)
    }
}

/// The mean gray level of a rectangle, where it lies in the photo.
fn mean_gray(photo: &GrayPicture, rect: Rect) -> Option<f64> {
    let clamp = |v: f64, most: usize| v.clamp(0.0, most as f64) as usize;
    let columns = clamp(rect.x, photo.width)..clamp(rect.x + rect.w, photo.width);
    let rows = clamp(rect.y, photo.height)..clamp(rect.y + rect.h, photo.height);
    let count = columns.len() * rows.len();
    let row = |y: usize| &photo.data[y * photo.width..][columns.clone()];
    let sum: u64 = rows.flat_map(row).map(|&v| u64::from(v)).sum();
    (count > 0).then(|| sum as f64 / count as f64)
}

fn write_report(judged: &[report::faces::Judged], folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
    let body = format!(
        "<h1>Face detectors</h1>\n{}{}",
        report::faces::html(judged),
        curves(judged, folder)?
    );
    write_page("Face detectors", &body, folder)?;
    print(&format!("\nwritten: {}", folder.join("index.html").display()))
}

/// Writes `index.html` into a folder.
pub fn write_page(title: &str, body: &str, folder: &Path) -> Result<()> {
    let page = format!(
        "<!doctype html>\n<meta charset=\"utf-8\">\n<title>{title}</title>\n<style>body {{ font-family: \
         sans-serif; margin: 2em }} td, th {{ padding: 0.2em 0.8em; text-align: right }} \
         td:first-child {{ text-align: left }}</style>\n{body}"
    );
    write(&folder.join("index.html"), page)
}

/// Draws the curves into a folder, and gives the part of a page that shows them.
pub fn curves(judged: &[report::faces::Judged], folder: &Path) -> Result<String> {
    let figure = |(file, title): (&str, &str)| {
        format!("<figure><img src=\"{file}\" alt=\"{title}\"></figure>\n")
    };
    Ok(draw(judged, folder)?.into_iter().map(figure).collect())
}

/// Files and titles of the curves that have points.
#[cfg(feature = "plots")]
fn draw(
    judged: &[report::faces::Judged],
    folder: &Path,
) -> Result<Vec<(&'static str, &'static str)>> {
    use report::FaceCurve;
    let mut curves = vec![
        (FaceCurve::PrecisionRecall, "precision.svg", "Precision and recall"),
        (FaceCurve::FalsePositives, "false-positives.svg", "Recall by false positives an image"),
    ];
    if judged.iter().any(|(_, judgement)| judgement.filter.is_some()) {
        curves.push((FaceCurve::PhotoFilter, "filter.svg", "As a filter of photos"));
    }
    if judged.iter().all(|(_, judgement)| judgement.curve.is_empty()) {
        return Ok(vec![]);
    }
    let draw = |(curve, file, title)| {
        report::draw_faces(judged, curve, title, &folder.join(file))?;
        Ok((file, title))
    };
    curves.into_iter().map(draw).collect()
}

#[cfg(not(feature = "plots"))]
fn draw(_: &[report::faces::Judged], _: &Path) -> Result<Vec<(&'static str, &'static str)>> {
    Ok(vec![])
}
