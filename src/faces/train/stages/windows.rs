//! Windows as gray pixels. Flows in: crops; photos and the cascade so far. Flows out: [`Windows`].

use super::super::augment::{Canvas, Crop, render};
use super::super::backgrounds::turned;
use super::stage::Family;
use super::{StageOptions, Staged};
use crate::error::Result;
use crate::faces::soft::{BORDER, Pyramid, Settings};
use crate::image::{GrayPicture, Limits, decode_gray_file};
use crate::rng::Rng;
use likenet_kernels::cpu::resample::{self, Plane};
use likenet_kernels::cpu::table::Kernels;
use rayon::prelude::*;
use std::path::PathBuf;

/// What is kept of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Pixels along the window.
    pub side: usize,
    /// Pixels around it that its features read too.
    pub margin: usize,
}

impl Frame {
    /// Pixels along what is kept.
    pub const fn width(&self) -> usize {
        self.side + 2 * self.margin
    }
}

/// Windows with their margins, one after another.
#[derive(Clone, Debug)]
pub struct Windows {
    bytes: Vec<u8>,
    size: usize,
}

impl Windows {
    /// None yet.
    pub fn new(frame: Frame) -> Self {
        Self { bytes: Vec::new(), size: frame.width() * frame.width() }
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.bytes.len() / self.size
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Each window's pixels, row by row.
    pub fn iter(&self) -> std::slice::ChunksExact<'_, u8> {
        self.bytes.chunks_exact(self.size)
    }

    /// Adds a window.
    pub fn push(&mut self, window: &[u8]) {
        assert_eq!(window.len(), self.size);
        self.bytes.extend_from_slice(window);
    }

    /// These, then others.
    pub fn chain(&self, others: &Self) -> Self {
        Self { bytes: [&self.bytes[..], &others.bytes].concat(), size: self.size }
    }

    /// Leaves those that are marked.
    pub fn keep(&mut self, marked: &[bool]) {
        let kept = self.iter().zip(marked).filter(|(_, marked)| **marked);
        self.bytes = kept.flat_map(|(window, _)| window).copied().collect();
    }
}

/// Windows narrower than this are drawn twice as large and halved, so that no crop's pixels are skipped.
const NARROW: usize = 32;

/// Every crop in all its variations, less those that no cascade would look at.
pub fn positives<F: Family>(
    crops: &[PathBuf],
    options: &StageOptions,
    kernels: &'static Kernels,
) -> Result<Windows> {
    let enlarged = if F::FRAME.side < NARROW { 2 } else { 1 };
    let pixels = enlarged * F::FRAME.width();
    let canvas = Canvas { pixels, side: enlarged * F::FRAME.side, middle: pixels as f32 / 2.0 };
    let draw = |(i, path): (usize, &PathBuf)| -> Result<Vec<Plane>> {
        let crop = Crop::read(path, &options.framing, canvas.side, kernels)?;
        let copies = (0..options.copies).map(|copy| {
            let mut rng = Rng::new(options.seed ^ ((i * options.copies + copy) as u64) << 16);
            let view = options.augment.draw(&mut rng);
            let plane = render(&crop, &options.framing, &view, &canvas, &mut rng);
            if enlarged == 2 { resample::half(kernels, &plane) } else { plane }
        });
        Ok(copies.collect())
    };
    let drawn: Vec<Vec<Plane>> = crops.par_iter().enumerate().map(draw).collect::<Result<_>>()?;
    let mut windows = Windows::new(F::FRAME);
    let usable = drawn.iter().flatten().map(Plane::pixels).filter(|pixels| F::usable(pixels));
    usable.for_each(|pixels| windows.push(pixels));
    Ok(windows)
}

/// Photos without the object.
pub struct Negatives<'a> {
    /// Files.
    pub photos: &'a [PathBuf],
    /// Seed of everything random.
    pub seed: u64,
    /// Instruction set.
    pub kernels: &'static Kernels,
}

/// Views of each photo for a stage.
const VIEWS: usize = 8;
/// Photos that are searched side by side.
const TOGETHER: usize = 16;
/// Windows that a view may always give.
const FROM_A_VIEW: usize = 20;
/// Pixels along the smallest window, were it 40 pixels wide: scales differ from view to view.
const SMALLEST_SIDE: [f32; 2] = [37.0, 44.0];
/// Sizes of a view between one and its double.
const LEVELS_PER_OCTAVE: usize = 4;

impl Negatives<'_> {
    /// Adds windows that the cascade takes (without one, any), until there are `most` or no more are found.
    pub fn fill<F: Family>(
        &self,
        stage: usize,
        cascade: Option<&Staged>,
        most: usize,
        windows: &mut Windows,
    ) -> Result<()> {
        // From many photos, rather than many from one.
        let from_a_view = FROM_A_VIEW.max(4 * most / self.photos.len());
        let mut rng = Rng::new(self.seed ^ (stage as u64) << 40);
        for view in 0..VIEWS {
            let mut order: Vec<usize> = (0..self.photos.len()).collect();
            rng.shuffle(&mut order);
            for photos in order.chunks(TOGETHER) {
                if windows.len() >= most {
                    return Ok(());
                }
                let search = |&photo: &usize| {
                    let number = (photo * VIEWS + view) as u64;
                    let mut rng = Rng::new(self.seed ^ (stage as u64) << 40 ^ number << 8);
                    let picture = decode_gray_file(&self.photos[photo], &Limits::default())?;
                    self.view::<F>(turned(picture, stage + view), cascade, from_a_view, &mut rng)
                };
                let found = photos.par_iter().map(search).collect::<Result<Vec<_>>>()?;
                let room = most - windows.len();
                found.iter().flatten().take(room).for_each(|window| windows.push(window));
            }
        }
        Ok(())
    }

    /// Some of the windows of all sizes that the cascade takes.
    fn view<F: Family>(
        &self,
        picture: GrayPicture,
        cascade: Option<&Staged>,
        most: usize,
        rng: &mut Rng,
    ) -> Result<Vec<Vec<u8>>> {
        let min_size = rng.uniform(SMALLEST_SIDE[0], SMALLEST_SIDE[1]);
        let settings =
            Settings { min_size, levels_per_octave: LEVELS_PER_OCTAVE, kernels: self.kernels };
        let pyramid = Pyramid::new(&picture, &settings);
        let mut found = Vec::new();
        for level in (0..pyramid.len()).map(|i| inner(&pyramid.level(i).plane)) {
            if level.width.min(level.height) <= F::FRAME.width() {
                break;
            }
            let mut places = match cascade {
                Some(cascade) => cascade.passing(&level)?,
                None => (0..most).map(|_| anywhere(&level, F::FRAME, rng)).collect(),
            };
            rng.shuffle(&mut places);
            let windows = places.iter().filter_map(|&place| cut(&level, F::FRAME, place));
            found.extend(windows.filter(|window| F::usable(window)).take(most));
        }
        rng.shuffle(&mut found);
        found.truncate(most);
        Ok(found)
    }
}

/// A level without its border.
fn inner(plane: &Plane) -> GrayPicture {
    let [width, height] = [plane.width, plane.height].map(|n| n - 2 * BORDER);
    let rows = (0..height).flat_map(|y| &plane.row(y + BORDER)[BORDER..][..width]);
    GrayPicture { width, height, data: rows.copied().collect() }
}

fn anywhere(picture: &GrayPicture, frame: Frame, rng: &mut Rng) -> [usize; 2] {
    [picture.width, picture.height].map(|n| frame.margin + rng.below(n - frame.width() + 1))
}

/// A window's pixels and margin; `None` where the picture ends before the margin does.
fn cut(picture: &GrayPicture, frame: Frame, corner: [usize; 2]) -> Option<Vec<u8>> {
    let [x, y] = corner.map(|v| v.checked_sub(frame.margin));
    let (x, y, n) = (x?, y?, frame.width());
    let inside = x + n <= picture.width && y + n <= picture.height;
    let row = |y: usize| &picture.data[y * picture.width + x..][..n];
    inside.then(|| (y..y + n).flat_map(row).copied().collect())
}
