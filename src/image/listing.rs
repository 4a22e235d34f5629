//! Which pictures a path stands for: a folder, a list or a single picture.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use super::ImageError;

/// File name extensions that a folder is searched for, in lower case; upper case counts, too.
const EXTENSIONS: [&str; 8] = ["jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff"];

/// The longest list that is read, in bytes: about a million lines.
const MAX_LIST_BYTES: u64 = 256 << 20;

/// One picture to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedPicture {
    /// Where it is.
    pub path: PathBuf,
    /// Its class, where a list says so.
    pub label: Option<i64>,
}

/// The pictures that `path` stands for.
///
/// - A folder: every file below it with a picture's extension, sorted by path. Names that begin
///   with a dot are skipped (`._*` are not pictures). Linked folders are followed, each once.
/// - A picture file: itself.
/// - A text file: a list, in its order. A line is a path, or a path, a space and a whole number
///   (the label), as Caffe's ImageData layer reads it. Empty lines and lines that begin with `#`
///   are skipped. A relative path counts from the current folder or, where nothing is there, from
///   the list's.
///
/// Whether the listed files exist or can be decoded is not checked. Fails when `path` cannot be
/// read or is none of the three.
pub fn list_pictures(path: &Path) -> Result<Vec<ListedPicture>, ImageError> {
    let meta = fs::metadata(path).map_err(|e| read_error(path, e))?;
    if meta.is_dir() {
        let paths = walk(path)?;
        return Ok(paths.into_iter().map(unlabelled).collect());
    }
    if !meta.is_file() {
        return Err(ImageError::NotAFile { path: path.to_owned() });
    }
    if has_picture_extension(path) || starts_like_a_picture(path)? {
        return Ok(vec![unlabelled(path.to_owned())]);
    }
    read_list(path)
}

/// FNV-1a over the paths: tells one list from another, nothing more.
pub fn fingerprint(photos: &[PathBuf]) -> u64 {
    let bytes = photos.iter().flat_map(|p| p.as_os_str().as_encoded_bytes().iter().chain(&[0u8]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |h, &b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3))
}

fn unlabelled(path: PathBuf) -> ListedPicture {
    ListedPicture { path, label: None }
}

fn read_error(path: &Path, source: std::io::Error) -> ImageError {
    ImageError::Read { path: path.to_owned(), source }
}

fn has_picture_extension(path: &Path) -> bool {
    path.extension()
        .and_then(|e| e.to_str())
        .is_some_and(|e| EXTENSIONS.contains(&e.to_ascii_lowercase().as_str()))
}

/// Whether the first bytes are those of a known picture format.
fn starts_like_a_picture(path: &Path) -> Result<bool, ImageError> {
    let mut start = Vec::new();
    let file = File::open(path).map_err(|e| read_error(path, e))?;
    file.take(16).read_to_end(&mut start).map_err(|e| read_error(path, e))?;
    Ok(::image::guess_format(&start).is_ok_and(|format| {
        let mut extensions = format.extensions_str().iter();
        extensions.any(|e| EXTENSIONS.contains(e))
    }))
}

/// The picture files below `root`, sorted.
///
/// Real folders come before linked ones, so that a file reachable by both keeps its real path, and
/// a folder is entered once, so that links in a circle end.
fn walk(root: &Path) -> Result<Vec<PathBuf>, ImageError> {
    let mut found = Vec::new();
    let mut entered = HashSet::new();
    let mut real = vec![root.to_owned()];
    let mut linked = Vec::new();
    while let Some(folder) = real.pop().or_else(|| linked.pop()) {
        let identity = fs::canonicalize(&folder).map_err(|e| read_error(&folder, e))?;
        if !entered.insert(identity) {
            continue;
        }
        for entry in fs::read_dir(&folder).map_err(|e| read_error(&folder, e))? {
            let entry = entry.map_err(|e| read_error(&folder, e))?;
            if entry.file_name().to_string_lossy().starts_with('.') {
                continue;
            }
            let path = entry.path();
            let is_link = entry.file_type().map_err(|e| read_error(&path, e))?.is_symlink();
            // A link that leads nowhere is not a picture.
            let Ok(meta) = fs::metadata(&path) else {
                continue;
            };
            match (meta.is_dir(), is_link) {
                (true, false) => real.push(path),
                (true, true) => linked.push(path),
                _ if meta.is_file() && has_picture_extension(&path) => found.push(path),
                _ => {}
            }
        }
        // The last is taken first.
        linked.sort_by(|a, b| b.cmp(a));
    }
    found.sort();
    Ok(found)
}

/// Reads a text list.
fn read_list(path: &Path) -> Result<Vec<ListedPicture>, ImageError> {
    let not_a_list =
        |reason: &str| ImageError::NotAList { path: path.to_owned(), reason: reason.to_owned() };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|e| read_error(path, e))?;
    file.take(MAX_LIST_BYTES + 1).read_to_end(&mut bytes).map_err(|e| read_error(path, e))?;
    if bytes.len() as u64 > MAX_LIST_BYTES {
        return Err(not_a_list("it is too long"));
    }
    if bytes.contains(&0) {
        return Err(not_a_list("it holds zero bytes"));
    }
    let text = String::from_utf8(bytes).map_err(|_| not_a_list("it is not UTF-8 text"))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let lines = text.trim_start_matches('\u{feff}').lines().map(str::trim);
    Ok(lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| parse_line(line, folder))
        .collect())
}

/// A line of a list that lies in `folder`.
fn parse_line(line: &str, folder: &Path) -> ListedPicture {
    let labelled = line
        .rsplit_once([' ', '\t'])
        .and_then(|(name, last)| Some((name.trim_end(), Some(last.parse().ok()?))));
    let (name, label) = labelled.unwrap_or((line, None));
    let written = PathBuf::from(name);
    let beside = folder.join(name);
    let path = match written.exists() || !beside.exists() {
        true => written,
        false => beside,
    };
    ListedPicture { path, label }
}

#[cfg(test)]
mod tests {
    use super::super::test_support::golden;
    use super::*;

    fn names(folder: &Path, listed: &[ListedPicture]) -> Vec<String> {
        let relative = |p: &ListedPicture| p.path.strip_prefix(folder).unwrap().to_owned();
        listed.iter().map(|p| relative(p).to_str().unwrap().replace('\\', "/")).collect()
    }

    #[test]
    fn a_folder_is_walked_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("b/deep")).unwrap();
        fs::create_dir_all(root.join(".hidden")).unwrap();
        for name in [
            "z.PNG",
            "a.jpg",
            "b/deep/c.JpEg",
            "b/x.tif",
            "._a.jpg",
            ".hidden/h.png",
            "note.txt",
            "b/.x.gif",
        ] {
            fs::write(root.join(name), b"").unwrap();
        }
        let listed = list_pictures(root).unwrap();
        assert_eq!(names(root, &listed), ["a.jpg", "b/deep/c.JpEg", "b/x.tif", "z.PNG"]);
        assert!(listed.iter().all(|p| p.label.is_none()));
    }

    #[cfg(unix)]
    #[test]
    fn links_in_a_circle_end() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir(root.join("z")).unwrap();
        fs::write(root.join("z/p.png"), b"").unwrap();
        symlink(root, root.join("z/up")).unwrap();
        symlink(root.join("z"), root.join("a")).unwrap();
        symlink(root.join("missing.png"), root.join("dangling.png")).unwrap();
        let listed = list_pictures(root).unwrap();
        assert_eq!(names(root, &listed), ["z/p.png"]);
    }

    #[test]
    fn a_list_gives_labels() {
        let listed = list_pictures(&golden("list.txt")).unwrap();
        let labels: Vec<_> = listed.iter().map(|p| p.label).collect();
        assert_eq!(labels, [Some(3), Some(0), Some(7), Some(2)]);
        assert_eq!(listed[1].path, golden("p1.png"));
    }

    #[test]
    fn lines_by_hand() {
        let nowhere = Path::new("");
        let parse = |line| parse_line(line, nowhere);
        let parsed = |path: &str, label| ListedPicture { path: path.into(), label };
        assert_eq!(parse("a b/c d.jpg -4"), parsed("a b/c d.jpg", Some(-4)));
        assert_eq!(parse("a b/c d.jpg"), parsed("a b/c d.jpg", None));
        assert_eq!(parse("x.png\t12"), parsed("x.png", Some(12)));
        assert_eq!(parse("7"), parsed("7", None));
    }

    #[test]
    fn comments_and_line_ends_do_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let list = folder.path().join("train");
        fs::write(&list, "\u{feff}# one\r\n\r\nq.png 1\r\n  r.png  \r\n").unwrap();
        let listed = list_pictures(&list).unwrap();
        assert_eq!(listed.len(), 2);
        assert_eq!(listed[0].label, Some(1));
        assert_eq!(listed[1].path, Path::new("r.png"));
    }

    #[test]
    fn pictures_and_junk() {
        let one = list_pictures(&golden("p0.png")).unwrap();
        assert_eq!(one[0].path, golden("p0.png"));
        let folder = tempfile::tempdir().unwrap();
        let unnamed = folder.path().join("photo");
        fs::copy(golden("p0.png"), &unnamed).unwrap();
        assert_eq!(list_pictures(&unnamed).unwrap()[0].path, unnamed);
        fs::write(&unnamed, b"\x00\x01\x02").unwrap();
        assert!(matches!(list_pictures(&unnamed), Err(ImageError::NotAList { .. })));
        fs::write(&unnamed, b"caf\xe9.jpg").unwrap();
        assert!(list_pictures(&unnamed).is_err());
        assert!(list_pictures(&folder.path().join("missing")).is_err());
    }
}
