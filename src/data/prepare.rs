//! One sample of a batch: read, or taken from the cache; then cropped, centred, scaled and mirrored.
//!
//! Flows in: an item's number and the sample's draws. Flows out: (c, h, w) numbers and the label.

use super::items::{Items, Sample};
use super::stream::Rules;
use crate::error::{Error, Result};
use crate::image::resize::{opencv, opencv_gray};
use crate::image::{DataTransform, Mean, Placement, Size};
use crate::rng::Rng;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

/// A sample at its size before the crop, and its label.
type Labelled = (Sample, f32);

/// How items become samples of a batch.
pub(super) struct Preparation {
    pub(super) items: Items,
    transform: DataTransform,
    train: bool,
    mirror: bool,
    skip_broken: bool,
    /// Channels, rows and columns of every sample, and the item that they are known from.
    shape: [usize; 3],
    known_from: usize,
    cache: Cache,
    /// Items that cannot be read, with the reason.
    broken: Mutex<BTreeMap<usize, String>>,
}

impl Preparation {
    /// Reads the first item to know the shape, and prepares it once so that what cannot work fails
    /// now.
    pub(super) fn new(items: Items, transform: DataTransform, rules: &Rules) -> Result<Self> {
        let mut p = Self {
            items,
            transform,
            train: rules.train,
            mirror: rules.mirror,
            skip_broken: rules.skip_broken,
            shape: [0; 3],
            known_from: 0,
            cache: Cache::default(),
            broken: Mutex::default(),
        };
        let (first, labelled) = p.readable(0)?;
        let (sample, _) = labelled.into_owned();
        // A gray database makes a gray blob.
        p.transform.is_color &= !matches!(sample, Sample::Gray(_));
        p.shape = p.output_shape(&sample).map_err(about(&p.items.name(first)))?;
        p.known_from = first;
        p.cache = Cache::new(p.items.len(), &sample, rules.cache_bytes);
        let mut out = vec![0.0; p.len()];
        p.write(first, Rng::new(rules.seed), &mut out)?;
        Ok(p)
    }

    /// Channels, rows, columns.
    pub(super) fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// Numbers of a sample.
    pub(super) fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// The items that could not be read so far, in their order, with the reason.
    pub(super) fn broken(&self) -> Vec<(usize, String)> {
        let broken = self.broken.lock().unwrap_or_else(PoisonError::into_inner);
        broken.iter().map(|(&item, reason)| (item, reason.clone())).collect()
    }

    /// How many items the cache holds.
    #[cfg(test)]
    pub(super) fn cached(&self) -> usize {
        self.cache.slots.iter().filter(|slot| slot.get().is_some()).count()
    }

    /// Writes the sample that item `item` makes into `out`, (c, h, w); gives its label.
    pub(super) fn write(&self, item: usize, mut rng: Rng, out: &mut [f32]) -> Result<f32> {
        let (item, labelled) = self.readable(item)?;
        let (sample, label) = labelled.as_ref();
        let done = self.output_shape(sample).and_then(|shape| match shape == self.shape {
            true => self.transformed(sample, &mut rng, out),
            false => {
                let [[c, h, w], [first_c, first_h, first_w]] = [shape, self.shape];
                Err(Error::Invalid(format!(
                    "makes {c} x {h} x {w}, but {} makes {first_c} x {first_h} x {first_w}: all must \
                     be equal; set crop_size, or new_height and new_width",
                    self.items.name(self.known_from)
                )))
            }
        });
        done.map_err(|e| about(&self.items.name(item))(e)).map(|()| *label)
    }

    /// Item `item`, or, where broken ones are skipped, the next in the list that can be read.
    fn readable(&self, item: usize) -> Result<(usize, Cow<'_, Labelled>)> {
        let n = self.items.len();
        for i in (item..n).chain(0..item) {
            if self.skip_broken && self.lock_broken().contains_key(&i) {
                continue;
            }
            match self.sample(i) {
                Err(e) if self.skip_broken => self.lock_broken().insert(i, e.to_string()),
                result => return Ok((i, result?)),
            };
        }
        let broken = self.broken();
        let reason = broken.first().map_or("", |(_, reason)| reason);
        Err(Error::Invalid(format!("none of {n} samples can be read; the first: {reason}")))
    }

    fn lock_broken(&self) -> std::sync::MutexGuard<'_, BTreeMap<usize, String>> {
        self.broken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Item `item` at its size before the crop, in gray where the blob is gray.
    fn sample(&self, item: usize) -> Result<Cow<'_, Labelled>> {
        if let Some(kept) = self.cache.get(item) {
            return Ok(Cow::Borrowed(kept));
        }
        let (mut sample, label) = self.items.load(item)?;
        if let (Sample::Color(picture), false) = (&sample, self.transform.is_color) {
            sample = Sample::Gray(picture.to_gray());
        }
        let to = self.transform.resized(sample.size())?;
        if to != sample.size() {
            sample = match sample {
                Sample::Color(picture) => Sample::Color(opencv(&picture, to)?),
                Sample::Gray(picture) => Sample::Gray(opencv_gray(&picture, to)?),
                Sample::Planes { .. } => {
                    let name = self.items.name(item);
                    return Err(Error::Invalid(format!("{name}: only pictures are resized")));
                }
            };
        }
        Ok(self.cache.keep(item, (sample, label)))
    }

    /// Channels, rows and columns after the crop.
    fn output_shape(&self, sample: &Sample) -> Result<[usize; 3]> {
        let [c, ..] = sample.shape();
        let [_, h, w] = self.transform.output_shape(sample.size())?;
        Ok([c, h, w])
    }

    /// Draws the crop's place and the mirroring; crops, centres, scales, mirrors.
    fn transformed(&self, sample: &Sample, rng: &mut Rng, out: &mut [f32]) -> Result<()> {
        let offsets = self.transform.offsets(sample.size())?;
        let placement = Placement {
            offset: self.train.then(|| (rng.below(offsets.height), rng.below(offsets.width))),
            mirror: self.mirror && rng.below(2) == 1,
        };
        match sample {
            Sample::Color(picture) => Ok(self.transform.apply(picture, placement, out)?),
            Sample::Gray(picture) => Ok(self.transform.apply_gray(picture, placement, out)?),
            Sample::Planes { shape, data } => self.planes(*shape, data, placement, out),
        }
    }

    /// What [`DataTransform::apply`] does, for numbers that are no picture.
    fn planes(
        &self,
        [c, h, w]: [usize; 3],
        data: &[f32],
        placement: Placement,
        out: &mut [f32],
    ) -> Result<()> {
        let [_, rows, columns] = self.shape;
        let (top, left) = placement.offset.unwrap_or(((h - rows) / 2, (w - columns) / 2));
        let of_channel = |channel: usize| match &self.transform.mean {
            Mean::Channels([b, g, r]) if c == 3 || (b == g && g == r) => {
                Some([*b, *g, *r][channel % 3])
            }
            Mean::Image(mean) if (mean.channels(), mean.size()) == (c, Size::new(h, w)) => {
                Some(0.0)
            }
            Mean::None => Some(0.0),
            _ => None,
        };
        for (plane, out) in out.chunks_exact_mut(rows * columns).enumerate() {
            let constant = of_channel(plane).ok_or_else(|| {
                Error::Invalid(format!("the mean does not fit samples of {c} x {h} x {w}"))
            })?;
            for (y, out_row) in out.chunks_exact_mut(columns).enumerate() {
                let start = (plane * h + top + y) * w + left;
                let row = start..start + columns;
                out_row.copy_from_slice(&data[row.clone()]);
                match &self.transform.mean {
                    Mean::Image(mean) => {
                        out_row.iter_mut().zip(&mean.data()[row]).for_each(|(v, m)| *v -= m);
                    }
                    _ => out_row.iter_mut().for_each(|v| *v -= constant),
                }
                out_row.iter_mut().for_each(|v| *v *= self.transform.scale);
                if placement.mirror {
                    out_row.reverse();
                }
            }
        }
        Ok(())
    }
}

/// Puts a sample's name before an error.
fn about(name: &str) -> impl Fn(Error) -> Error {
    move |e| Error::Invalid(format!("{name}: {e}"))
}

/// Decoded pictures by item, while they fit.
#[derive(Default)]
struct Cache {
    /// Empty where nothing is kept.
    slots: Vec<OnceLock<Labelled>>,
    /// Bytes that are free.
    room: AtomicUsize,
}

impl Cache {
    /// Keeps all of `items` pictures if, judged by the first, they take at most `bytes`; else none:
    /// an epoch in another order would find little in a cache that holds a part.
    fn new(items: usize, first: &Sample, bytes: usize) -> Self {
        let all = pixels(first).and_then(|each| each.checked_mul(items));
        let fits = all.is_some_and(|all| all <= bytes);
        let slots = if fits { items } else { 0 };
        Self { slots: (0..slots).map(|_| OnceLock::new()).collect(), room: bytes.into() }
    }

    fn get(&self, item: usize) -> Option<&Labelled> {
        self.slots.get(item)?.get()
    }

    /// Keeps the sample if there is room.
    fn keep(&self, item: usize, labelled: Labelled) -> Cow<'_, Labelled> {
        let (Some(slot), Some(bytes)) = (self.slots.get(item), pixels(&labelled.0)) else {
            return Cow::Owned(labelled);
        };
        let order = Ordering::Relaxed;
        match self.room.fetch_update(order, order, |room| room.checked_sub(bytes)) {
            Ok(_) => Cow::Borrowed(slot.get_or_init(|| labelled)),
            Err(_) => Cow::Owned(labelled),
        }
    }
}

/// Bytes of a picture's pixels; nothing for what is no picture.
fn pixels(sample: &Sample) -> Option<usize> {
    match sample {
        Sample::Color(picture) => Some(picture.data.len()),
        Sample::Gray(picture) => Some(picture.data.len()),
        Sample::Planes { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::MeanImage;
    use std::path::Path;

    #[test]
    fn numbers_are_prepared_as_pictures_are() {
        let golden = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/data"));
        let (h, w) = (31, 37); // p1.png
        let mean: Vec<f32> = (0..3 * h * w).map(|i| (i % 251) as f32 / 3.0).collect();
        let image = Mean::Image(MeanImage::new(&[3, h, w], mean).unwrap());
        for mean in [Mean::None, Mean::Channels([1.5, 2.5, 3.5]), image] {
            let items = Items::list(&golden.join("list.txt"), "", golden).unwrap();
            let transform = DataTransform {
                new_height: h,
                new_width: w,
                crop_size: 11,
                mean,
                scale: 0.3,
                ..Default::default()
            };
            let rules = Rules { train: true, mirror: true, ..Rules::default() };
            let p = Preparation::new(items, transform, &rules).unwrap();
            let labelled = p.sample(1).unwrap().into_owned();
            let Sample::Color(picture) = &labelled.0 else { panic!("a colour picture") };
            let plane = |c: usize| picture.data.iter().skip(c).step_by(3).map(|&v| f32::from(v));
            let data = [2, 1, 0].into_iter().flat_map(plane).collect();
            let planes = Sample::Planes { shape: [3, h, w], data };
            for seed in 0..8 {
                let made = |sample: &Sample| {
                    let mut out = vec![0.0; p.len()];
                    p.transformed(sample, &mut Rng::new(seed), &mut out).unwrap();
                    out
                };
                assert!(made(&labelled.0) == made(&planes), "seed {seed}");
            }
        }
    }

    #[test]
    fn the_cache_keeps_all_or_nothing_and_no_more_than_its_bytes() {
        let picture = |side: usize| {
            let data = vec![0; side * side];
            Sample::Gray(crate::image::GrayPicture { width: side, height: side, data })
        };
        assert!(Cache::new(10, &picture(4), 159).slots.is_empty());
        let cache = Cache::new(10, &picture(4), 160);
        cache.keep(0, (picture(12), 0.0));
        cache.keep(1, (picture(5), 1.0)); // 144 + 25 bytes
        cache.keep(2, (picture(4), 2.0));
        assert_eq!([0, 1, 2].map(|i| cache.get(i).is_some()), [true, false, true]);
    }
}
