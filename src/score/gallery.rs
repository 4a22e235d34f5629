//! The photos that a classifier learned from, small. Flows in: features, thumbnails. Flows out: the most alike ones.
//!
//! Rows have length 1 and are kept in eight bits: a cosine is off by less than one in a hundred, which a list of alike
//! photos does not show.

use crate::error::{Error, Result};

/// Photos with their features.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gallery {
    columns: usize,
    /// Directions, (photos, columns), and what each row was multiplied by.
    rows: Vec<i8>,
    scales: Vec<f32>,
    specimens: Vec<Specimen>,
}

/// A photo that was learnt from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Specimen {
    /// A JPEG file.
    pub thumbnail: Vec<u8>,
    /// Whether it is one of the liked ones.
    pub good: bool,
}

/// A photo that looks alike to the network.
#[derive(Clone, Debug, PartialEq)]
pub struct Alike<'a> {
    /// The photo.
    pub specimen: &'a Specimen,
    /// The cosine of the angle between the features, centred: 1 is the same direction.
    pub similarity: f32,
}

impl Gallery {
    /// No photos, whose features have so many columns.
    pub fn new(columns: usize) -> Self {
        Self { columns, ..Self::default() }
    }

    /// Adds a photo with its scaled features. Fails on another width and on values that are not finite.
    pub fn push(&mut self, features: &[f32], specimen: Specimen) -> Result<()> {
        let length = length(features);
        if features.len() != self.columns || !length.is_finite() {
            let (got, want) = (features.len(), self.columns);
            return Err(Error::Invalid(format!(
                "a gallery of {want} finite features got {got}, of length {length}"
            )));
        }
        let largest = features.iter().fold(0f32, |most, x| most.max(x.abs()));
        let scale = if largest > 0.0 { 127.0 / largest } else { 0.0 };
        self.rows.extend(features.iter().map(|x| (x * scale).round() as i8));
        // A row of zeros is alike to nothing.
        self.scales.push(if length > 0.0 { largest / 127.0 / length } else { 0.0 });
        self.specimens.push(specimen);
        Ok(())
    }

    /// The `count` most alike photos, the most alike first.
    pub fn alike(&self, features: &[f32], count: usize) -> Vec<Alike<'_>> {
        let length = length(features);
        if self.columns == 0 || length == 0.0 {
            return vec![];
        }
        let rows = self.rows.chunks_exact(self.columns).zip(&self.scales);
        let mut alike: Vec<Alike> = rows
            .zip(&self.specimens)
            .map(|((row, scale), specimen)| {
                let product: f32 = row.iter().zip(features).map(|(&r, f)| f32::from(r) * f).sum();
                Alike { specimen, similarity: product * scale / length }
            })
            .collect();
        alike.sort_by(|a, b| b.similarity.total_cmp(&a.similarity));
        alike.truncate(count);
        alike
    }

    /// How many photos.
    pub fn len(&self) -> usize {
        self.specimens.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.specimens.is_empty()
    }

    /// Features of a photo.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Rows, scales and photos, for a file.
    pub(super) fn parts(&self) -> (&[i8], &[f32], &[Specimen]) {
        (&self.rows, &self.scales, &self.specimens)
    }

    /// A gallery of a file's parts, or what is wrong with them.
    pub(super) fn from_parts(
        columns: usize,
        rows: Vec<i8>,
        scales: Vec<f32>,
        specimens: Vec<Specimen>,
    ) -> std::result::Result<Self, String> {
        let photos = specimens.len();
        if Some(rows.len()) != photos.checked_mul(columns) || scales.len() != photos {
            let (rows, scales) = (rows.len(), scales.len());
            return Err(format!(
                "its gallery of {photos} photos has {rows} values of {columns} columns and {scales} scales"
            ));
        }
        Ok(Self { columns, rows, scales, specimens })
    }
}

fn length(row: &[f32]) -> f32 {
    row.iter().map(|x| x * x).sum::<f32>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gallery() -> Gallery {
        let mut gallery = Gallery::new(3);
        for (row, good) in [([3.0, 0.0, 4.0], true), ([0.0, -2.0, 0.0], false), ([0.0; 3], true)] {
            gallery.push(&row, Specimen { thumbnail: vec![], good }).expect("finite");
        }
        gallery
    }

    #[test]
    fn cosines_by_hand() {
        let gallery = gallery();
        let alike = gallery.alike(&[0.0, 1.0, 1.0], 3);
        // 4 / (5 · √2), nothing, −1 / √2.
        let want = [0.566, 0.0, -0.707];
        for (alike, want) in alike.iter().zip(want) {
            assert!((alike.similarity - want).abs() < 0.01, "{} {want}", alike.similarity);
        }
        assert_eq!(alike.iter().map(|a| a.specimen.good).collect::<Vec<_>>(), [true, true, false]);
        assert_eq!(gallery.alike(&[0.0, 1.0, 1.0], 1).len(), 1);
        assert!(gallery.alike(&[0.0; 3], 3).is_empty());
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let mut gallery = gallery();
        assert!(gallery.push(&[1.0], Specimen::default()).is_err());
        assert!(gallery.push(&[1.0, f32::NAN, 0.0], Specimen::default()).is_err());
        assert_eq!(gallery.len(), 3);
        assert!(
            Gallery::from_parts(3, vec![0; 5], vec![0.0; 2], vec![Specimen::default(); 2]).is_err()
        );
    }
}
