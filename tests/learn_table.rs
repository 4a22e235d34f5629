//! Tables to learn from: every format, labels and groups from every place, and files that are damaged.

mod common;

use common::golden;
use likenet::learn::table::{Source, Table};
use likenet::learn::{Layout, Matrix};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// A folder with these files in it.
fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        fs::write(folder.path().join(name), content).unwrap();
    }
    folder
}

fn source(features: &Path) -> Source<'_> {
    Source { features, blob: None, labels: None, group: None, positive: None, layout: None }
}

fn rows(matrix: &Matrix) -> Vec<Vec<f32>> {
    let row = |r| {
        let mut row = vec![0.0; matrix.columns()];
        matrix.read_row(r, &mut row);
        row
    };
    (0..matrix.rows()).map(row).collect()
}

fn packed(matrix: &Matrix) -> bool {
    matrix.layout() == Layout::Packed
}

/// The message of a failure; it begins with the file.
fn error(source: Source<'_>) -> String {
    let file = source.labels.unwrap_or(source.features);
    let error = source.read().unwrap_err().to_string();
    let in_file = error.contains(&file.display().to_string());
    assert!(in_file || error.contains(&source.features.display().to_string()), "{error}");
    error
}

fn npy(shape: &[usize], values: &[f32]) -> Vec<u8> {
    let file = tempfile::NamedTempFile::new().unwrap();
    weights_tools::npy::write_f32(file.path(), shape, values).unwrap();
    fs::read(file.path()).unwrap()
}

/// A file with these tensors: name, type, shape, bytes.
fn safetensors(tensors: &[(&str, &str, &[usize], Vec<u8>)]) -> Vec<u8> {
    let mut header = r#"{"__metadata__":{"settings":"centre crop"}"#.to_string();
    let mut at = 0;
    for (name, dtype, shape, bytes) in tensors {
        let end = at + bytes.len();
        let entry = format!(r#""dtype":"{dtype}","shape":{shape:?},"data_offsets":[{at},{end}]"#);
        write!(header, r#","{name}":{{{entry}}}"#).unwrap();
        at = end;
    }
    header.push('}');
    let values = tensors.iter().flat_map(|t| &t.3).copied();
    let length = (header.len() as u64).to_le_bytes();
    length.into_iter().chain(header.bytes()).chain(values).collect()
}

fn f32s(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

const VALUES: [f32; 8] = [0.0, 1.5, -2.0, 0.25, 3.0, 0.0, 0.0, 0.0];

/// Four rows of two columns, two photos and their mirror images, and what is in them.
fn mirrored_pair() -> TempDir {
    let rows = b"row,file,mirrored\n0,like/1.jpg,0\n1,like/1.jpg,1\n2,not/2.jpg,0\n3,not/2.jpg,1\n";
    folder(&[("x.npy", &npy(&[4, 2], &VALUES)), ("x.rows.csv", rows)])
}

#[test]
fn arrays_with_the_folders_of_their_photos_as_classes() {
    let folder = mirrored_pair();
    let table = source(&folder.path().join("x.npy")).read().unwrap();
    assert_eq!(rows(&table.matrix), [[0.0, 1.5], [-2.0, 0.25], [3.0, 0.0], [0.0, 0.0]]);
    assert_eq!(table.names.unwrap(), ["like/1.jpg", "like/1.jpg", "not/2.jpg", "not/2.jpg"]);
    assert_eq!(table.mirrored, [false, true, false, true]);
    assert_eq!(table.groups.unwrap(), [0, 0, 1, 1]);
    // By alphabet the later folder is positive, unless the other one is said to be.
    assert_eq!(table.class_names, ["like", "not"]);
    assert_eq!(table.labels.unwrap(), [false, false, true, true]);
    let path = folder.path().join("x.npy");
    let table = Source { positive: Some("like"), ..source(&path) }.read().unwrap();
    assert_eq!(table.class_names, ["not", "like"]);
    assert_eq!(table.labels.unwrap(), [true, true, false, false]);
    // One of several blobs: x.fc7.npy belongs to x.rows.csv too.
    let one = folder.path().join("x.fc7.npy");
    fs::rename(&path, &one).unwrap();
    assert_eq!(source(&one).read().unwrap().mirrored, [false, true, false, true]);
    fs::write(&one, npy(&[2, 4], &VALUES)).unwrap();
    assert!(error(source(&one)).contains("x.rows.csv: its 4 rows are not the rows 0 to 1"));
}

#[test]
fn a_matrix_is_packed_when_less_than_half_of_it_is_not_zero() {
    let half = [0.0, 1.0, 1.0, 0.0];
    let folder = folder(&[("a.npy", &npy(&[2, 2], &half)), ("b.npy", &npy(&[4, 2], &VALUES[..8]))]);
    let (a, b) = (folder.path().join("a.npy"), folder.path().join("b.npy"));
    assert!(!packed(&source(&a).read().unwrap().matrix));
    assert!(!packed(&source(&b).read().unwrap().matrix), "4 of 8");
    fs::write(&b, npy(&[4, 2], &[0.0, 0.0, -2.0, 0.25, 3.0, 0.0, 0.0, 0.0])).unwrap();
    assert!(packed(&source(&b).read().unwrap().matrix), "3 of 8");
    let dense = Source { layout: Some(Layout::Dense), ..source(&b) }.read().unwrap();
    assert!(!packed(&dense.matrix));
    // Of many rows some from all over count: 63 of these are at the end.
    let mut many = vec![0.0; 4096];
    many[64..].fill(1.0);
    fs::write(&b, npy(&[4096, 1], &many)).unwrap();
    assert!(!packed(&source(&b).read().unwrap().matrix));
}

#[test]
fn blobs_of_safetensors() {
    let half = [0x3c00u16, 0xc000, 0, 0].map(u16::to_le_bytes).concat(); // 1, -2, 0, 0
    let labels = [1i64, 0].map(i64::to_le_bytes).concat();
    let file = safetensors(&[
        ("fc7", "F32", &[2, 3, 1], f32s(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])),
        ("a.b", "F16", &[2, 2], half),
        ("label", "I64", &[2, 1], labels),
    ]);
    let folder = folder(&[("x.safetensors", &file)]);
    let path = folder.path().join("x.safetensors");
    assert_eq!(Source::blobs(&path).unwrap(), ["fc7 [2, 3, 1]", "a.b [2, 2]"]);
    assert!(error(source(&path)).contains("name one of its blobs: fc7 [2, 3, 1], a.b [2, 2]"));
    let table = Source { blob: Some("a.b"), ..source(&path) }.read().unwrap();
    assert_eq!(rows(&table.matrix), [[1.0, -2.0], [0.0, 0.0]]);
    assert_eq!(table.labels.unwrap(), [true, false]);
    assert_eq!(table.class_names, ["0", "1"]);
    assert_eq!(table.about, "a.b; centre crop");
    assert!(table.names.is_none() && table.groups.is_none());
    let table = Source { blob: Some("fc7"), ..source(&path) }.read().unwrap();
    assert_eq!(rows(&table.matrix), [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]);
    assert!(
        error(Source { blob: Some("fc8"), ..source(&path) }).contains("it has: fc7, a.b, label")
    );
    let none = safetensors(&[("x", "F32", &[2], f32s(&[1.0, 2.0]))]);
    fs::write(&path, none).unwrap();
    assert!(error(source(&path)).contains("has no tensor of shape (rows, …)"));
    let nan = safetensors(&[("x", "F32", &[2, 1], f32s(&[1.0, f32::NAN]))]);
    fs::write(&path, nan).unwrap();
    assert!(error(source(&path)).contains("row 1, column 0: NaN"));
}

#[test]
fn a_csv_of_features() {
    let text = "file,mirrored,fc7_0,fc7_1,prob_0\na/1.jpg,0,1,2.5,0\na/1.jpg,1,-1e-3,0,0\nb/2.jpg,0,0,7,1\n";
    let folder = folder(&[("x.csv", text.as_bytes())]);
    let path = folder.path().join("x.csv");
    let table = source(&path).read().unwrap();
    assert_eq!(rows(&table.matrix), [[1.0, 2.5, 0.0], [-0.001, 0.0, 0.0], [0.0, 7.0, 1.0]]);
    assert_eq!(table.about, "fc7, prob");
    assert_eq!(table.labels.unwrap(), [false, false, true]);
    assert_eq!(table.groups.unwrap(), [0, 0, 1]);
    assert_eq!(table.mirrored, [false, true, false]);
    let other = text.replace("-1e-3", "x");
    for (text, problem) in [
        (other.as_str(), "x.csv:3: column 'fc7_0': 'x' is not a number"),
        ("a,b\n1,2\n3\n", "line: 3"),
        ("a,b\n1,2\n3,inf\n", "x.csv:3: row 1, column 1: inf"),
        ("0.5,1\n0.25,2\n", "x.csv:1: '0.5' is no column's name"),
        (",a\n0,2\n", "x.csv:1: a column has no name"),
        ("a,file,file\n1,x,y\n", "two columns are called 'file'"),
        ("file,label\nx,1\n", "has no features"),
        ("a,b\n", "has no features"),
        ("", "has no features"),
    ] {
        fs::write(&path, text).unwrap();
        let error = error(source(&path));
        assert!(error.contains(problem), "{error}");
    }
    fs::write(&path, "label,group,0,1\nno,x,1,2\nyes,y,3,4\nno,x,5,6\n").unwrap();
    let table = source(&path).read().unwrap();
    assert_eq!(table.labels.unwrap(), [false, true, false]);
    assert_eq!(table.groups.unwrap(), [0, 1, 0]);
}

#[test]
fn libsvm_text() {
    let text = "# made by hand\n+1 1:0.5 3:-2 # remark\n\n-1\r\n-1 2:1e-1\t3:0\n";
    let folder = folder(&[("x.libsvm", text.as_bytes())]);
    let path = folder.path().join("x.libsvm");
    let table = source(&path).read().unwrap();
    assert_eq!(rows(&table.matrix), [[0.5, 0.0, -2.0], [0.0, 0.0, 0.0], [0.0, 0.1, 0.0]]);
    assert_eq!(table.labels.unwrap(), [true, false, false]);
    assert_eq!(table.class_names, ["-1", "1"]);
    assert!(packed(&table.matrix), "3 of 9 are not zero");
    for (line, problem) in [
        ("like 1:2", "x.libsvm:2: 'like' is not a number for a label"),
        ("1 0:2", "x.libsvm:2: '0:2' is not a column from 1"),
        ("1 2:1 2:1", "x.libsvm:2: column 2 does not come after 2"),
        ("1 9:1 3:1", "x.libsvm:2: column 3 does not come after 9"),
        ("1 3", "x.libsvm:2: '3' is not"),
        ("1 3:x", "x.libsvm:2: '3:x' is not"),
        ("1 qid:1 3:1", "x.libsvm:2: 'qid:1' is not"),
        ("1 1:nan", "x.libsvm:2: row 1, column 0: NaN"),
        ("1 4294967295:1", "4294967295 columns; at most"),
        ("1 4294967296:1", "x.libsvm:2: '4294967296:1' is not"),
        ("nan 1:1", "x.libsvm:2: 'nan' is not"),
    ] {
        fs::write(&path, format!("0 1:1\n{line}\n")).unwrap();
        let error = error(source(&path));
        assert!(error.contains(problem), "{error}");
    }
    // A short file that claims a matrix of 4 GB.
    fs::write(&path, "0\n".repeat(8192) + "1 4000000:1\n").unwrap();
    assert!(error(source(&path)).contains("8193 rows of 4000000 columns hold only 1 values"));
}

/// Writes a table of three rows and two columns and reads it with these labels.
fn labelled(labels: &str, group: Option<&str>, positive: Option<&str>) -> Result<Table, String> {
    let names = b"row,file,mirrored\n0,a/1.jpg,0\n1,b/1.jpg,0\n2,b/2.jpg,0\n";
    let folder = folder(&[
        ("x.npy", &npy(&[3, 2], &VALUES[..6])),
        ("x.rows.csv", names),
        ("labels.csv", labels.as_bytes()),
    ]);
    let (features, labels) = (folder.path().join("x.npy"), folder.path().join("labels.csv"));
    let source = Source { labels: Some(&labels), group, positive, ..source(&features) };
    source.read().map_err(|e| {
        let message = e.to_string();
        assert!(message.starts_with(&labels.display().to_string()), "{message}");
        message
    })
}

#[test]
fn labels_by_file_by_row_and_in_order() {
    let by_file = "file,label\nb/2.jpg,1\nelse/9.jpg,1\nb/1.jpg,0\na/1.jpg,1\n";
    let table = labelled(by_file, None, None).unwrap();
    assert_eq!(table.labels.unwrap(), [true, false, true]);
    assert_eq!(table.unused, 1);
    // Elsewhere the photos lay in another folder; two are called 1.jpg.
    let moved = "label,file\n1,/old/2.jpg\n0,b/1.jpg\n1,a/1.jpg\n";
    assert_eq!(labelled(moved, None, None).unwrap().labels.unwrap(), [true, false, true]);
    let unclear = "label,file\n1,2.jpg\n0,b/1.jpg\n1,1.jpg\n";
    let error = labelled(unclear, None, None).unwrap_err();
    assert!(error.contains("1 of 3 rows have no label; the first is row 0 (a/1.jpg)"), "{error}");
    let by_row = "row,label\n2,1\n0,0\n1,0\n";
    assert_eq!(labelled(by_row, None, None).unwrap().labels.unwrap(), [false, false, true]);
    for in_order in [
        "label\n1\n0\n0\n",
        "1\n0\n0\n",
        "+1\n-1\n-1",
        "\u{feff}label\r\ntrue\r\nFALSE\r\nfalse\r\n",
    ] {
        let table = labelled(in_order, None, None).unwrap();
        assert_eq!(table.labels.unwrap(), [true, false, false], "{in_order}");
        assert_eq!(table.groups.unwrap(), [0, 1, 2]);
    }
    assert!(labelled("1\n0\n", None, None).unwrap_err().contains("2 labels for 3 rows"));
    assert!(
        labelled("row,label\n3,1\n", None, None)
            .unwrap_err()
            .contains("'3' is not a row from 0 to 2")
    );
    let twice = labelled("row,label\n1,1\n1,1\n", None, None).unwrap_err();
    assert!(twice.contains("row 1 occurs twice"), "{twice}");
    let empty = labelled("row,label\n0,1\n1,\n2,0\n", None, None).unwrap_err();
    assert!(empty.contains("1 of 3 rows have no label; the first is row 1 (b/1.jpg)"), "{empty}");
    let conflict = labelled("file,label\nx,1\ny,1\nx,0\n", None, None).unwrap_err();
    assert!(conflict.contains("lines 2 and 4 say different things of x"), "{conflict}");
    let header = labelled("file,class\na/1.jpg,1\n", None, None).unwrap_err();
    assert!(header.contains("no column 'label'"), "{header}");
}

#[test]
fn classes_and_groups_of_a_labels_file() {
    let text = "file,label,album,group\na/1.jpg,cat,x,1\nb/1.jpg,dog,y,1\nb/2.jpg,cat,y,2\n";
    let table = labelled(text, None, None).unwrap();
    assert_eq!(table.class_names, ["cat", "dog"]);
    assert_eq!(table.labels.unwrap(), [false, true, false]);
    assert_eq!(table.groups.unwrap(), [0, 0, 1]);
    let table = labelled(text, Some("album"), Some("cat")).unwrap();
    assert_eq!(table.class_names, ["dog", "cat"]);
    assert_eq!(table.labels.unwrap(), [true, false, true]);
    assert_eq!(table.groups.unwrap(), [0, 1, 1]);
    let three = "label\ncat\ndog\neel\n";
    let table = labelled(three, None, Some("eel")).unwrap();
    assert_eq!(table.class_names, ["not eel", "eel"]);
    assert_eq!(table.labels.unwrap(), [false, false, true]);
    for (text, group, positive, problem) in [
        (three, None, None, "3 classes (cat, dog, eel): say which one is positive"),
        (three, None, Some("cow"), "no sample is of class 'cow'; the classes are cat, dog, eel"),
        ("1\n1\n1.0\n", None, None, "every sample is of class '1'"),
        (text, Some("trip"), None, "has no column 'trip'"),
        ("label,label\n1,0\n", None, None, "two columns are called 'label'"),
        ("", None, None, "0 labels for 3 rows"),
    ] {
        let error = labelled(text, group, positive).unwrap_err();
        assert!(error.contains(problem), "{error}");
    }
}

#[test]
fn what_is_missing_is_said() {
    let folder = folder(&[("x.npy", &npy(&[4, 2], &VALUES)), ("l.csv", b"file,label\na,1\n")]);
    let (path, labels) = (folder.path().join("x.npy"), folder.path().join("l.csv"));
    let table = source(&path).read().unwrap();
    assert!(table.labels.is_none() && table.names.is_none() && table.groups.is_none());
    assert_eq!(table.mirrored, [false; 4]);
    for (source, problem) in [
        (Source { labels: Some(&labels), ..source(&path) }, "labels need a column 'row'"),
        (Source { positive: Some("like"), ..source(&path) }, "no labels that could be 'like'"),
        (Source { group: Some("album"), ..source(&path) }, "no labels file is given"),
        (Source { blob: Some("fc7"), ..source(&path) }, "is no .safetensors file"),
        (source(folder.path()), "holds no files part-…"),
        (source(&folder.path().join("y.npy")), "y.npy"),
        (source(&labels.with_extension("doc")), "features are read from"),
    ] {
        let error = error(source);
        assert!(error.contains(problem), "{error}");
    }
}

/// Three rows that Spark wrote, one dense vector and two sparse ones.
const SPARK: [[f32; 4]; 3] = [[0.0, 1.5, -2.0, 0.25], [0.0, 3.0, 0.0, 0.5], [0.0; 4]];

#[test]
fn a_folder_of_libsvm_text_by_spark() {
    let table = source(&golden("learn/spark-libsvm")).read().unwrap();
    assert_eq!(rows(&table.matrix), SPARK);
    assert_eq!(table.labels.unwrap(), [true, false, false]);
    // Several parts, as MLUtils.saveAsLibSVMFile names them; the last one knows the most columns.
    let folder =
        folder(&[("part-00001", b"0 4:1\n"), ("part-00000", b"1 1:2\n"), ("_SUCCESS", b"")]);
    let table = source(folder.path()).read().unwrap();
    assert_eq!(rows(&table.matrix), [[2.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]]);
    assert_eq!(table.labels.unwrap(), [true, false]);
    fs::write(folder.path().join("part-00002.gz"), b"").unwrap();
    assert!(error(source(folder.path())).contains("parts of two kinds"));
}

#[cfg(feature = "parquet")]
mod parquets {
    use super::*;
    use parquet::data_type::{ByteArrayType, DoubleType, FloatType, Int32Type};
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;
    use std::sync::Arc;

    /// Values of one column, and where there are levels, those at which they are defined and repeated.
    enum Column {
        Float(Vec<f32>),
        Double(Vec<f64>),
        Int(Vec<i32>),
        Text(Vec<&'static str>),
    }

    /// The levels of a column whose values are all there, one a row.
    const PLAIN: [&[i16]; 2] = [&[], &[]];

    /// A file of as many groups of rows, all with the same in them.
    fn parquet(schema: &str, groups: usize, columns: &[(Column, [&[i16]; 2])]) -> Vec<u8> {
        let schema = Arc::new(parse_message_type(&format!("message m {{ {schema} }}")).unwrap());
        let mut out = vec![];
        let mut writer = SerializedFileWriter::new(&mut out, schema, Default::default()).unwrap();
        for _ in 0..groups {
            let mut group = writer.next_row_group().unwrap();
            for (column, levels) in columns {
                let [defined, repeated] =
                    levels.map(|levels| Some(levels).filter(|l| !l.is_empty()));
                let mut next = group.next_column().unwrap().unwrap();
                match column {
                    Column::Float(v) => next.typed::<FloatType>().write_batch(v, defined, repeated),
                    Column::Double(v) => {
                        next.typed::<DoubleType>().write_batch(v, defined, repeated)
                    }
                    Column::Int(v) => next.typed::<Int32Type>().write_batch(v, defined, repeated),
                    Column::Text(v) => {
                        let v: Vec<_> = v.iter().map(|&text| text.into()).collect();
                        next.typed::<ByteArrayType>().write_batch(&v, defined, repeated)
                    }
                }
                .unwrap();
                next.close().unwrap();
            }
            group.close().unwrap();
        }
        writer.close().unwrap();
        out
    }

    fn read(bytes: &[u8]) -> Result<Table, String> {
        let folder = folder(&[("x.parquet", bytes)]);
        let path = folder.path().join("x.parquet");
        source(&path).read().map_err(|e| {
            assert!(e.to_string().starts_with(&path.display().to_string()), "{e}");
            e.to_string()
        })
    }

    /// Two columns of features, a label and a file; two rows.
    fn columns(groups: usize) -> Vec<u8> {
        let schema = "required float a; required binary label (STRING); required binary file (STRING); \
                      required int32 b; required double c;";
        let columns = [
            Column::Float(vec![0.5, 0.0]),
            Column::Text(vec!["no", "yes"]),
            Column::Text(vec!["1.jpg", "2.jpg"]),
            Column::Int(vec![-3, 7]),
            Column::Double(vec![0.25, 0.0]),
        ];
        parquet(schema, groups, &columns.map(|column| (column, PLAIN)))
    }

    #[test]
    fn a_column_for_each_feature() {
        let table = read(&columns(2)).unwrap();
        let want = [[0.5, -3.0, 0.25], [0.0, 7.0, 0.0]];
        assert_eq!(rows(&table.matrix), [want, want].concat());
        assert_eq!(table.labels.unwrap(), [false, true, false, true]);
        assert_eq!(table.class_names, ["no", "yes"]);
        assert_eq!(table.names.unwrap(), ["1.jpg", "2.jpg", "1.jpg", "2.jpg"]);
        assert_eq!(table.groups.unwrap(), [0, 1, 0, 1]);
    }

    #[test]
    fn lists_of_features() {
        let schema =
            "optional group features (LIST) { repeated group list { optional float element; } }";
        let lists = |values: &[f32], defined: &[i16], repeated: &[i16]| {
            let column = (Column::Float(values.to_vec()), [defined, repeated]);
            read(&parquet(schema, 1, &[column]))
        };
        let table = lists(&[1.0, 2.0, 3.0, 4.0], &[3; 4], &[0, 1, 0, 1]).unwrap();
        assert_eq!(rows(&table.matrix), [[1.0, 2.0], [3.0, 4.0]]);
        assert!(table.labels.is_none());
        let narrow = lists(&[1.0, 2.0, 3.0], &[3; 3], &[0, 1, 0]).unwrap_err();
        assert!(narrow.contains("row 1 has 1 values, others 2"), "{narrow}");
        let missing = lists(&[1.0, 3.0, 4.0], &[3, 2, 3, 3], &[0, 1, 0, 1]).unwrap_err();
        assert!(missing.contains("a value is missing"), "{missing}");
        let none = lists(&[1.0], &[3, 0], &[0, 0]).unwrap_err();
        assert!(none.contains("a value is missing"), "{none}");
    }

    #[test]
    fn what_is_no_number_is_an_error() {
        let one = |schema, column| read(&parquet(schema, 1, &[(column, PLAIN)])).unwrap_err();
        let error = one("required binary x (STRING);", Column::Text(vec!["a"]));
        assert!(error.contains("column 'x': \"a\" is not a number"), "{error}");
        let missing = (Column::Float(vec![]), [&[0][..], &[]]);
        let error = read(&parquet("optional float x;", 1, &[missing])).unwrap_err();
        assert!(error.contains("column 'x': a value is missing"), "{error}");
        let error = one("required group x { required float y; }", Column::Float(vec![1.0]));
        assert!(error.contains("column 'x': is neither a number nor"), "{error}");
        let error = one("required int32 label;", Column::Int(vec![1]));
        assert!(error.contains("has no columns of features"), "{error}");
        let error = read(&parquet("required float x;", 0, &[])).unwrap_err();
        assert!(error.contains("has no features"), "{error}");
    }

    #[test]
    fn files_of_spark_and_pyarrow() {
        let table = source(&golden("learn/spark-vectors")).read().unwrap();
        assert_eq!(rows(&table.matrix), SPARK);
        assert_eq!(table.labels.unwrap(), [true, false, false]);
        assert_eq!(table.names.unwrap(), ["a/1.jpg", "b/2.jpg", "b/3.jpg"]);
        let table = source(&golden("learn/pyarrow-columns.parquet")).read().unwrap();
        assert_eq!(rows(&table.matrix), [[0.0, 2.0], [1.5, -1.0]]);
        assert_eq!(table.labels.unwrap(), [false, true]);
        let table = source(&golden("learn/pyarrow-list.parquet")).read().unwrap();
        assert_eq!(rows(&table.matrix), [[0.0, 1.5], [2.0, 0.0]]);
        assert_eq!(table.labels.unwrap(), [true, false]);
    }

    /// A sparse vector whose size and indices are these.
    fn vector(kind: i32, size: i32, indices: &[i32], values: &[f64]) -> Result<Table, String> {
        let list = |name: &str, kind: &str| {
            format!(
                "required group {name} (LIST) {{ repeated group list {{ required {kind} element; }} }}"
            )
        };
        let schema = format!(
            "required group features {{ required int32 type; required int32 size; {} {} }}",
            list("indices", "int32"),
            list("values", "double")
        );
        // Of n elements of one row's list, all but the first are repeated.
        let levels =
            |n: usize| (vec![1; n.max(1)], (0..n.max(1)).map(|i| (i > 0) as i16).collect());
        let [(in_defined, in_repeated), (va_defined, va_repeated)]: [(Vec<i16>, Vec<i16>); 2] =
            [levels(indices.len()), levels(values.len())];
        read(&parquet(
            &schema,
            1,
            &[
                (Column::Int(vec![kind]), PLAIN),
                (Column::Int(vec![size]), PLAIN),
                (Column::Int(indices.to_vec()), [&in_defined, &in_repeated]),
                (Column::Double(values.to_vec()), [&va_defined, &va_repeated]),
            ],
        ))
    }

    #[test]
    fn vectors_of_spark_that_are_wrong() {
        let right = vector(0, 3, &[0, 2], &[1.0, 2.0]).unwrap();
        assert_eq!(rows(&right.matrix), [[1.0, 0.0, 2.0]]);
        for (kind, size, indices, problem) in [
            (0, 3, [0, 3].as_slice(), "an index outside the vector"),
            (0, 3, &[-1, 2], "an index outside the vector"),
            (0, 3, &[0], "1 indices of 2 values"),
            (0, -3, &[0, 2], "neither dense nor sparse"),
            (2, 3, &[0, 2], "neither dense nor sparse"),
            (0, i32::MAX, &[0, 2], "2147483647 columns; at most"),
        ] {
            let error = vector(kind, size, indices, &[1.0, 2.0]).unwrap_err();
            assert!(error.contains(problem), "{error}");
        }
    }

    #[test]
    fn a_file_cut_anywhere_is_an_error() {
        let whole = columns(1);
        for end in 0..whole.len() {
            assert!(read(&whole[..end]).is_err(), "{end} of {} bytes", whole.len());
        }
    }
}

#[test]
fn arrays_of_f32_are_learnt_from_where_they_lie() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f.npy");
    weights_tools::npy::write_f32(&path, &[2, 3], &[0.0, 1.5, 2.0, 0.0, 0.0, -1.0]).unwrap();
    let mapped = |features| Source { layout: Some(Layout::Mapped), ..source(features) };
    let table = mapped(&path).read().unwrap();
    assert_eq!((table.matrix.layout(), table.matrix.bytes()), (Layout::Mapped, 0));
    let mut row = [9.0; 3];
    table.matrix.read_row(1, &mut row);
    assert_eq!(row, [0.0, 0.0, -1.0]);
    weights_tools::npy::write_f32(&path, &[2, 1], &[0.0, f32::NAN]).unwrap();
    let error = mapped(&path).read().unwrap_err().to_string();
    assert!(error.contains("f.npy") && error.contains("row 1, column 0"), "{error}");
    let text = dir.path().join("f.csv");
    std::fs::write(&text, "a\n1\n").unwrap();
    assert!(mapped(&text).read().is_err());
}

/// Each byte of each small Parquet file, changed in two ways: an error or a table, never a panic.
#[cfg(feature = "parquet")]
#[test]
fn a_damaged_parquet_file_is_an_error_or_a_table() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f.parquet");
    // The decoder's own panics are caught, and would fill the screen.
    std::panic::set_hook(Box::new(|_| ()));
    let mut errors = 0;
    for name in ["pyarrow-list.parquet", "pyarrow-columns.parquet"] {
        let whole = fs::read(golden("learn").join(name)).unwrap();
        for at in 0..whole.len() {
            for flip in [0x01, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] ^= flip;
                fs::write(&path, bytes).unwrap();
                errors += usize::from(source(&path).read().is_err());
            }
        }
    }
    drop(std::panic::take_hook());
    assert!(errors > 1000, "{errors}");
}
