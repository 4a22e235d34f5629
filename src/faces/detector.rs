//! One detector for every kind of cascade. Flows in: a cascade file, pictures. Flows out: [`Face`]s.

use super::rect::{Face, Rect};
#[cfg(feature = "sqlite")]
use super::scd;
use super::{opencv, soft};
use crate::error::{Error, Result};
use crate::image::{GrayPicture, Limits, Picture, decode_file, decode_gray_file};
use likenet_kernels::cpu::table::{self, Kernels};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Our own cascade, as it was trained from public faces with the defaults of `likenet faces train`.
const OWN: &str = include_str!("own.cascade");

/// A cascade of any kind, ready to search.
pub enum Detector {
    /// Ours: confidences are probabilities.
    Soft(soft::Cascade),
    /// OpenCV's: confidences count windows.
    OpenCv(opencv::Cascade),
    /// ccv's: confidences count stages.
    #[cfg(feature = "sqlite")]
    Scd(scd::Cascade),
}

/// How pictures are searched.
#[derive(Clone, Copy, Debug)]
pub struct Search {
    /// The smallest face, in pixels along its longer side.
    pub min_size: f32,
    /// The least confidence, in the cascade's own measure ([`Detector::measure`]).
    pub confidence: f32,
    /// Instruction set.
    pub kernels: &'static Kernels,
}

/// What a cascade's confidences are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// The probability that the box holds a face.
    Probability,
    /// How many windows found it (OpenCV).
    Windows,
    /// Passed stages, and how clearly the last one was (ccv).
    Stages,
}

impl Search {
    /// Faces from 40 pixels, whatever their confidence, with the fastest kernels.
    pub fn new() -> Result<Self> {
        let kernels = table::best().map_err(Error::Invalid)?;
        Ok(Self { min_size: 40.0, confidence: f32::NEG_INFINITY, kernels })
    }
}

impl Detector {
    /// The cascade that this program carries.
    pub fn own() -> Self {
        Self::Soft(soft::Cascade::parse(OWN).expect("the cascade that a test reads"))
    }

    /// Reads a cascade of any kind; its first bytes tell which.
    pub fn read(path: &Path) -> Result<Self> {
        let mut start = Vec::new();
        let file = File::open(path).map_err(Error::io(path))?;
        file.take(16).read_to_end(&mut start).map_err(Error::io(path))?;
        let first = start.trim_ascii_start().first();
        match first {
            _ if start.starts_with(b"SQLite format 3") => scd(path),
            // A mark of Unicode, or XML at once.
            Some(b'<' | 0xef) => opencv::Cascade::read(path).map(Self::OpenCv),
            Some(b'{') => soft::Cascade::read(path).map(Self::Soft),
            _ => {
                let known = "ours (JSON), OpenCV's (XML) or ccv's (sqlite3)";
                Err(Error::Invalid(format!(
                    "{}: no cascade: it is none of {known}",
                    path.display()
                )))
            }
        }
    }

    /// What its confidences are.
    pub fn measure(&self) -> Measure {
        match self {
            Self::Soft(_) => Measure::Probability,
            Self::OpenCv(_) => Measure::Windows,
            #[cfg(feature = "sqlite")]
            Self::Scd(_) => Measure::Stages,
        }
    }

    /// Whether it wants the colours of a picture: ccv's sees more in them, OpenCV's has a gray of its own.
    pub fn needs_colour(&self) -> bool {
        self.measure() != Measure::Probability
    }

    /// The faces in a photo's file, surest first.
    ///
    /// Fails where the file is no picture, or as [`detect`](Self::detect).
    pub fn detect_file(&self, photo: &Path, search: &Search) -> Result<Vec<Face>> {
        let limits = Limits::default();
        if self.needs_colour() {
            self.detect(&decode_file(photo, &limits)?, search)
        } else {
            self.detect_gray(&decode_gray_file(photo, &limits)?, search)
        }
    }

    /// The faces in a picture, surest first.
    ///
    /// Fails where a cascade from elsewhere cannot search a picture of that size.
    pub fn detect(&self, picture: &Picture, search: &Search) -> Result<Vec<Face>> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Scd(cascade) => {
                scd_faces(cascade, scd::Image::Colour(picture), search).map(|f| sure(f, search))
            }
            Self::OpenCv(_) => self.detect_gray(&picture.to_luma(), search),
            Self::Soft(_) => self.detect_gray(&picture.to_gray(), search),
        }
    }

    /// The faces in a gray picture, surest first.
    ///
    /// Fails where a cascade from elsewhere cannot search a picture of that size.
    pub fn detect_gray(&self, picture: &GrayPicture, search: &Search) -> Result<Vec<Face>> {
        let faces = match self {
            Self::Soft(cascade) => soft_faces(cascade, picture, search),
            Self::OpenCv(cascade) => opencv_faces(cascade, picture, search)?,
            #[cfg(feature = "sqlite")]
            Self::Scd(cascade) => scd_faces(cascade, scd::Image::Gray(picture), search)?,
        };
        Ok(sure(faces, search))
    }
}

/// The faces that are sure enough, surest first.
fn sure(mut faces: Vec<Face>, search: &Search) -> Vec<Face> {
    faces.retain(|face| face.confidence >= search.confidence);
    faces.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
    faces
}

fn soft_faces(cascade: &soft::Cascade, picture: &GrayPicture, search: &Search) -> Vec<Face> {
    let longer = cascade.object[2].max(cascade.object[3]);
    let settings = soft::Settings {
        min_size: search.min_size / longer,
        levels_per_octave: soft::LEVELS_PER_OCTAVE,
        kernels: search.kernels,
    };
    let face = |hit: &soft::Hit| {
        let confidence = cascade.probability(hit.score);
        Face { rect: inside(hit.rect(), picture), confidence }
    };
    cascade.detect(picture, &settings).iter().map(face).collect()
}

fn opencv_faces(
    cascade: &opencv::Cascade,
    picture: &GrayPicture,
    search: &Search,
) -> Result<Vec<Face>> {
    let settings = opencv::Settings {
        min_size: search.min_size as u32,
        kernels: Some(search.kernels),
        ..opencv::Settings::default()
    };
    let face =
        |hit: &opencv::Hit| Face { rect: whole(hit.rect), confidence: hit.neighbours as f32 };
    Ok(cascade.detect(picture, &settings)?.iter().map(face).collect())
}

#[cfg(feature = "sqlite")]
fn scd(path: &Path) -> Result<Detector> {
    scd::Cascade::read(path).map(Detector::Scd)
}

#[cfg(not(feature = "sqlite"))]
fn scd(path: &Path) -> Result<Detector> {
    let reason = "a cascade of ccv's: this program was built without the feature 'sqlite'";
    Err(Error::Invalid(format!("{}: {reason}", path.display())))
}

#[cfg(feature = "sqlite")]
fn scd_faces(cascade: &scd::Cascade, image: scd::Image, search: &Search) -> Result<Vec<Face>> {
    let min_size = (search.min_size as u32).max(1);
    let settings = scd::Settings { min_size, ..scd::Settings::default() };
    let face = |hit: &scd::Hit| Face { rect: whole(hit.rect), confidence: hit.confidence };
    Ok(cascade.detect(image, &settings)?.iter().map(face).collect())
}

fn whole(rect: [i32; 4]) -> Rect {
    let [x, y, w, h] = rect.map(f64::from);
    Rect { x, y, w, h }
}

/// The part of a rectangle that lies in the picture.
fn inside(rect: Rect, picture: &GrayPicture) -> Rect {
    let (right, bottom) = (picture.width as f64, picture.height as f64);
    let (x, y) = (rect.x.clamp(0.0, right), rect.y.clamp(0.0, bottom));
    let (w, h) = ((rect.x + rect.w).min(right) - x, (rect.y + rect.h).min(bottom) - y);
    Rect { x, y, w: w.max(0.0), h: h.max(0.0) }
}
