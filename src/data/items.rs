//! Labelled samples that can be read by number, from any thread.
//!
//! Flows in: where they are. Flows out: [`Sample`]s as they are stored, decoded but not yet prepared.

use crate::error::{Error, Result};
use crate::image::{GrayPicture, Limits, Picture, Size, decode_bytes, decode_file, list_pictures};
use ::image::{ImageDecoder, ImageReader};
use std::io::Cursor;
use std::path::{Path, PathBuf};
use weights_tools::{Lmdb, Rows, proto, read_text};

/// One sample as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub enum Sample {
    /// A picture.
    Color(Picture),
    /// A picture with one channel.
    Gray(GrayPicture),
    /// Any numbers.
    Planes {
        /// Channels, rows, columns.
        shape: [usize; 3],
        /// The numbers, (channels, rows, columns).
        data: Vec<f32>,
    },
}

impl Sample {
    /// Channels, rows and columns.
    pub fn shape(&self) -> [usize; 3] {
        match self {
            Self::Color(p) => [3, p.height, p.width],
            Self::Gray(p) => [1, p.height, p.width],
            Self::Planes { shape, .. } => *shape,
        }
    }

    /// Rows and columns.
    pub fn size(&self) -> Size {
        let [_, height, width] = self.shape();
        Size::new(height, width)
    }
}

/// How the encoded pictures of a database are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Encoded {
    /// Gray ones in gray, others in colour.
    #[default]
    AsStored,
    /// All in colour (`force_color`).
    Color,
    /// All in gray (`force_gray`).
    Gray,
}

/// Samples by number.
pub struct Items {
    kind: Kind,
    /// Names of the classes that labels count, where they are known.
    classes: Vec<String>,
    /// What a picture may cost.
    limits: Limits,
}

enum Kind {
    Files {
        /// Paths as they are written, and labels.
        files: Vec<(PathBuf, i64)>,
        /// Where relative paths are looked up after the current directory.
        bases: Vec<PathBuf>,
    },
    Lmdb {
        path: PathBuf,
        lmdb: Lmdb,
        encoded: Encoded,
    },
    Features {
        path: PathBuf,
        shape: [usize; 3],
        data: Rows,
        labels: Rows,
    },
}

impl Items {
    /// The pictures of an ImageData layer's list: lines of a path, a space and a whole number.
    ///
    /// Before each path stands `root_folder`, character by character. Relative paths count from the
    /// current directory or else from `base`, or else from the list's folder. Empty lines do not
    /// count. Whether the pictures exist turns out when they are read.
    pub fn list(list: &Path, root_folder: &str, base: &Path) -> Result<Self> {
        let line = |(number, line): (usize, &str)| {
            let split = line.rsplit_once([' ', '\t']);
            let file = split.and_then(|(name, label)| {
                Some((format!("{root_folder}{}", name.trim_end()).into(), label.parse().ok()?))
            });
            file.ok_or_else(|| {
                let place = format!("{}:{}", list.display(), number + 1);
                Error::Invalid(format!("{place}: '{line}' is not: path, space, whole number"))
            })
        };
        let text = read_text(list)?;
        let lines = text.trim_start_matches('\u{feff}').lines().map(str::trim).enumerate();
        let files: Vec<(PathBuf, i64)> =
            lines.filter(|(_, text)| !text.is_empty()).map(line).collect::<Result<_>>()?;
        let mut bases = vec![base.to_path_buf()];
        bases.extend(list.parent().filter(|folder| *folder != base).map(Path::to_path_buf));
        Self::new(Kind::Files { files, bases }, vec![], list)
    }

    /// The pictures below some folders, one class a folder: label 0 for the first, and so on, each
    /// class's pictures sorted by path. Of a single folder the folders in it are the classes, sorted
    /// by name.
    ///
    /// Fails when there are fewer than two classes or one has no pictures.
    pub fn folders(folders: &[PathBuf]) -> Result<Self> {
        let (mut files, mut names) = (vec![], vec![]);
        for (label, (name, folder)) in (0..).zip(Self::class_folders(folders)?) {
            let pictures = list_pictures(&folder)?;
            if pictures.is_empty() {
                return Err(Error::Invalid(format!("{}: has no pictures", folder.display())));
            }
            files.extend(pictures.into_iter().map(|picture| (picture.path, label)));
            names.push(name);
        }
        Self::new(Kind::Files { files, bases: vec![] }, names, Path::new(""))
    }

    /// The classes that some folders stand for, as [`Items::folders`] has it: names and folders.
    ///
    /// Fails when there are fewer than two.
    pub fn class_folders(folders: &[PathBuf]) -> Result<Vec<(String, PathBuf)>> {
        let classes = match folders {
            [parent] => folders_in(parent)?,
            _ => folders.to_vec(),
        };
        if classes.len() < 2 {
            let named: Vec<_> = folders.iter().map(|f| f.display().to_string()).collect();
            return Err(Error::Invalid(format!(
                "{}: {} classes; name two folders or more, or one that holds them",
                named.join(", "),
                classes.len()
            )));
        }
        let name = |f: &PathBuf| f.file_name().unwrap_or(f.as_os_str()).display().to_string();
        Ok(classes.into_iter().map(|folder| (name(&folder), folder)).collect())
    }

    /// The entries of Caffe's LMDB, in the order of their keys.
    pub fn lmdb(path: &Path, encoded: Encoded) -> Result<Self> {
        let lmdb = Lmdb::open(path)?;
        Self::new(Kind::Lmdb { path: path.to_path_buf(), lmdb, encoded }, vec![], path)
    }

    /// Rows of a safetensors file: tensor `data` of shape (n, …), at most four axes, and tensor
    /// `labels` of shape (n) or (n, 1), of F32, I64, I32 or U8.
    pub fn features(path: &Path, data: &str, labels: &str) -> Result<Self> {
        let (rows, classes) = (Rows::open(path, data)?, Rows::open(path, labels)?);
        let shape = match *rows.shape() {
            [_] => Some([1, 1, 1]),
            [_, c] => Some([c, 1, 1]),
            [_, c, h] => Some([c, h, 1]),
            [_, c, h, w] => Some([c, h, w]),
            _ => None,
        };
        match shape {
            Some(shape) if matches!(*classes.shape(), [n] | [n, 1] if n == rows.shape()[0]) => {
                let path = path.to_path_buf();
                let kind = Kind::Features { path, shape, data: rows, labels: classes };
                Self::new(kind, vec![], Path::new(""))
            }
            _ => Err(Error::Invalid(format!(
                "{}: '{data}' has shape {:?}, '{labels}' {:?}; wanted are (n, …) with at most four \
                 axes, and (n)",
                path.display(),
                rows.shape(),
                classes.shape()
            ))),
        }
    }

    fn new(kind: Kind, classes: Vec<String>, from: &Path) -> Result<Self> {
        let items = Self { kind, classes, limits: Limits::default() };
        match items.len() {
            0 => Err(Error::Invalid(format!("{}: is empty", from.display()))),
            _ => Ok(items),
        }
    }

    /// The same with other bounds on what a picture may cost.
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// How many there are; at least one.
    #[allow(clippy::len_without_is_empty, reason = "never empty")]
    pub fn len(&self) -> usize {
        match &self.kind {
            Kind::Files { files, .. } => files.len(),
            Kind::Lmdb { lmdb, .. } => lmdb.len(),
            Kind::Features { data, .. } => data.shape()[0],
        }
    }

    /// The folders' names, where labels count folders; else nothing.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// What errors call item `index`.
    pub fn name(&self, index: usize) -> String {
        match &self.kind {
            Kind::Files { files, .. } => {
                let file = files.get(index);
                file.map_or_else(|| format!("picture {index}"), |f| f.0.display().to_string())
            }
            Kind::Lmdb { path, lmdb, .. } => {
                let key = lmdb.key(index).unwrap_or_default();
                format!("{}: entry '{}'", path.display(), key.escape_ascii())
            }
            Kind::Features { path, .. } => format!("{}: row {index}", path.display()),
        }
    }

    /// Reads and decodes item `index`; gives it and its label.
    ///
    /// Fails when there is no such item, or it is missing or broken.
    pub fn load(&self, index: usize) -> Result<(Sample, f32)> {
        let absent = || Error::Invalid(format!("no item {index} of {}", self.len()));
        match &self.kind {
            Kind::Files { files, bases } => {
                let (path, label) = files.get(index).ok_or_else(absent)?;
                let picture = decode_file(&find(path, bases)?, &self.limits)?;
                Ok((Sample::Color(picture), *label as f32))
            }
            Kind::Lmdb { lmdb, encoded, .. } => {
                let datum = lmdb.datum(index)?;
                let label = datum.label() as f32;
                Ok((self.decode(index, datum, *encoded)?, label))
            }
            Kind::Features { shape, data, labels, .. } => {
                let (row, label) = (data.row(index), labels.row(index));
                let (data, label) = row.zip(label).ok_or_else(absent)?;
                Ok((Sample::Planes { shape: *shape, data }, label[0]))
            }
        }
    }

    /// A sample from Caffe's message: an encoded picture, or planes (blue, green, red) of bytes or
    /// of floats.
    fn decode(&self, index: usize, datum: proto::Datum, encoded: Encoded) -> Result<Sample> {
        if datum.encoded() {
            let picture = decode_bytes(&self.name(index), datum.data(), &self.limits)?;
            let gray = match encoded {
                Encoded::AsStored => is_gray(datum.data()),
                encoded => encoded == Encoded::Gray,
            };
            return Ok(match gray {
                true => Sample::Gray(picture.to_gray()),
                false => Sample::Color(picture),
            });
        }
        let stated = [datum.channels(), datum.height(), datum.width()];
        let shape = stated.map(|d| usize::try_from(d).unwrap_or(0));
        let stored = datum.data().len().max(datum.float_data.len());
        let count = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
        if stored == 0 || count != Some(stored) {
            let name = self.name(index);
            return Err(Error::Invalid(format!("{name}: {stored} values of shape {stated:?}")));
        }
        let [c, height, width] = shape;
        let size = Size::new(height, width);
        let bytes = datum.data();
        Ok(match (c, bytes.len()) {
            (_, 0) => Sample::Planes { shape, data: datum.float_data },
            (1, _) => Sample::Gray(GrayPicture::new(size, bytes.to_vec())?),
            (3, area) => {
                let [blue, green, red] = [0, 1, 2].map(|plane| &bytes[plane * (area / 3)..]);
                let pixels = red.iter().zip(green).zip(blue);
                let rgb = pixels.flat_map(|((&r, &g), &b)| [r, g, b]).collect();
                Sample::Color(Picture::new(size, rgb)?)
            }
            _ => {
                let data = bytes.iter().map(|&b| f32::from(b)).collect();
                Sample::Planes { shape, data }
            }
        })
    }
}

/// Whether an encoded picture has one channel.
fn is_gray(bytes: &[u8]) -> bool {
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().ok();
    let decoder = reader.and_then(|reader| reader.into_decoder().ok());
    decoder.is_some_and(|decoder| !decoder.color_type().has_color())
}

/// The folders in a folder, sorted; hidden ones do not count.
fn folders_in(parent: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(parent).map_err(Error::io(parent))?;
    let mut folders = vec![];
    for entry in entries {
        let entry = entry.map_err(Error::io(parent))?;
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        if !hidden && entry.path().is_dir() {
            folders.push(entry.path());
        }
    }
    folders.sort();
    Ok(folders)
}

/// `path` from the current directory, or else from the first of `bases` that has it.
pub(crate) fn find(path: &Path, bases: &[PathBuf]) -> Result<PathBuf> {
    let places = || std::iter::once(path.to_path_buf()).chain(bases.iter().map(|b| b.join(path)));
    places().find(|place| place.exists()).ok_or_else(|| {
        let mut looked: Vec<_> = places().map(|place| place.display().to_string()).collect();
        looked.dedup();
        Error::Invalid(format!("not found: {}", looked.join(", nor ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn golden(name: &str) -> PathBuf {
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/data")).join(name)
    }

    fn datum(shape: [i32; 3], data: &[u8], floats: &[f32]) -> proto::Datum {
        proto::Datum {
            channels: Some(shape[0]),
            height: Some(shape[1]),
            width: Some(shape[2]),
            data: Some(data.to_vec()),
            float_data: floats.to_vec(),
            ..Default::default()
        }
    }

    #[test]
    fn datums_by_hand() {
        let items = Items::list(&golden("list.txt"), "", &golden("")).unwrap();
        let decode = |datum| items.decode(0, datum, Encoded::AsStored);
        // Planes are blue, green, red.
        let color = Picture::new(Size::new(1, 2), vec![5, 3, 1, 6, 4, 2]).unwrap();
        let made = decode(datum([3, 1, 2], &[1, 2, 3, 4, 5, 6], &[])).unwrap();
        assert_eq!(made, Sample::Color(color));
        let gray = GrayPicture::new(Size::new(2, 1), vec![7, 8]).unwrap();
        assert_eq!(decode(datum([1, 2, 1], &[7, 8], &[])).unwrap(), Sample::Gray(gray));
        let planes = |shape, data: &[f32]| Sample::Planes { shape, data: data.to_vec() };
        let two = decode(datum([2, 1, 1], &[7, 8], &[])).unwrap();
        assert_eq!(two, planes([2, 1, 1], &[7.0, 8.0]));
        let floats = decode(datum([1, 1, 2], &[], &[0.5, -1.0])).unwrap();
        assert_eq!(floats, planes([1, 1, 2], &[0.5, -1.0]));
        for shape in [[3, 1, 1], [-1, -1, 2], [0, 1, 2], [i32::MAX, i32::MAX, 2]] {
            let error = decode(datum(shape, &[1, 2], &[])).unwrap_err().to_string();
            assert!(error.contains("2 values"), "{error}");
        }
    }

    #[test]
    fn encoded_pictures_keep_their_channels_unless_forced() {
        let items = Items::list(&golden("list.txt"), "", &golden("")).unwrap();
        let decode = |file: &str, encoded| {
            let data = Some(std::fs::read(golden(file)).unwrap());
            let datum = proto::Datum { data, encoded: Some(true), ..Default::default() };
            items.decode(0, datum, encoded).unwrap().shape()[0]
        };
        for (file, stored) in [("formats/gray.png", 1), ("formats/gray.jpg", 1), ("p0.png", 3)] {
            assert_eq!(decode(file, Encoded::AsStored), stored, "{file}");
            assert_eq!(decode(file, Encoded::Color), 3);
            assert_eq!(decode(file, Encoded::Gray), 1);
        }
    }
}
