//! Batches: Caffe's data layers, order and state, what is broken, and where samples come from.

mod common;

use common::{golden, npy, shared};
use likenet::data::{Batch, Encoded, Items, Rules, Stream, open};
use likenet::image::{DataTransform, Mean};
use likenet::layer::{Layer, Phase, Source};
use likenet::net::{Description, NetState};
use std::fs;
use std::path::{Path, PathBuf};

fn state(phase: Phase) -> NetState {
    NetState { phase, ..NetState::default() }
}

/// The data layer of a prototxt.
fn data_layer(text: &str, phase: Phase) -> Source {
    let description = Description::parse("test.prototxt", text, &state(phase)).unwrap();
    match &description.layers[0].layer {
        Layer::Source(source) => source.clone(),
        other => panic!("{other:?}"),
    }
}

fn read_layer(prototxt: &Path) -> Source {
    data_layer(&fs::read_to_string(prototxt).unwrap(), Phase::Test)
}

fn rules(batch: usize) -> Rules {
    Rules { batch, threads: 2, ..Rules::default() }
}

/// Streams `folder/name.prototxt` and compares as many batches as Caffe's outputs hold.
fn agrees_with_caffe(folder: &Path, name: &str) {
    let source = read_layer(&folder.join(format!("{name}.prototxt")));
    let mut stream = open(&source, folder, rules(99)).unwrap_or_else(|e| panic!("{name}: {e}"));
    let data = npy(&folder.join(format!("{name}_data.npy")));
    let labels = npy(&folder.join(format!("{name}_label.npy")));
    let (mut got, mut got_labels) = (vec![], vec![]);
    while got.len() < data.len() {
        let batch = stream.next().unwrap();
        assert_eq!(batch.first as usize, got_labels.len());
        assert_eq!(batch.data.len(), stream.output_shape().iter().product::<usize>());
        got.extend_from_slice(&batch.data);
        got_labels.extend_from_slice(&batch.labels);
        stream.give_back(batch);
    }
    assert!(got == data, "{name}: data");
    assert_eq!(got_labels, labels, "{name}: labels");
}

#[test]
fn image_data_layers_agree_bit_for_bit_with_caffe() {
    for name in [
        "imagedata_resize_up",
        "imagedata_resize_down",
        "imagedata_noresize_b1",
        "imagedata_gray",
        "imagedata_crop_scale_meanvalue",
        "imagedata_wrap",
    ] {
        agrees_with_caffe(&golden("data"), name);
    }
}

#[test]
fn data_layers_agree_bit_for_bit_with_caffe() {
    let Some(folder) = shared("golden/caffe/data") else { return };
    for name in ["lmdb_plain", "lmdb_encoded_b1", "lmdb_mean_crop"] {
        agrees_with_caffe(&folder, name);
    }
    let gray = Items::lmdb(&folder.join("lmdb_encoded"), Encoded::Gray).unwrap();
    let stream = Stream::new(gray, DataTransform::default(), rules(1)).unwrap();
    assert_eq!(stream.output_shape()[1], 1);
}

#[test]
fn a_damaged_lmdb_is_an_error() {
    let Some(whole) = shared("golden/caffe/data/lmdb/data.mdb") else { return };
    let whole = fs::read(whole).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("data.mdb");
    let read_all = |bytes: &[u8]| {
        fs::write(&file, bytes).unwrap();
        let items = Items::lmdb(folder.path(), Encoded::AsStored)?;
        (0..items.len()).try_for_each(|i| items.load(i).map(drop))
    };
    read_all(&whole).unwrap();
    assert!(read_all(&[]).is_err());
    assert!(read_all(&whole[..12288]).unwrap_err().to_string().contains("data.mdb"));
    let mut errors = 0;
    for at in (0..whole.len()).step_by(97) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0xff;
        errors += usize::from(read_all(&bytes).is_err());
    }
    assert!(errors > 0, "{errors}");
}

#[test]
fn a_training_run_reads_its_list_in_order() {
    let Some(folder) = shared("golden/caffe/training") else { return };
    let net = fs::read_to_string(folder.join("train_val.prototxt")).unwrap();
    let source = data_layer(&net, Phase::Train);
    // The layer's own phase is TEST.
    assert!(!source.data.as_ref().unwrap().train);
    let mut stream = open(&source, &folder, rules(1)).unwrap();
    assert_eq!(stream.output_shape(), [8, 3, 227, 227]);
    let list = fs::read_to_string(folder.join("train.txt")).unwrap();
    let labels: Vec<f32> =
        list.lines().map(|line| line.rsplit_once(' ').unwrap().1.parse().unwrap()).collect();
    let mut first = None;
    for start in [0, 8, 16, 24, 32, 0] {
        let batch = stream.next().unwrap();
        assert_eq!(batch.labels, labels[start..start + 8]);
        match &first {
            None => first = Some(batch.data),
            Some(first) => assert_eq!(*first == batch.data, start == 0),
        }
    }
    assert_eq!(stream.position(), 48);
}

const RANDOM: &str = r#"layer { name: "data" type: "ImageData" top: "data" top: "label"
    transform_param { crop_size: 9 mirror: true mean_value: 100 }
    image_data_param { source: "list.txt" batch_size: 3 shuffle: true rand_skip: 3
        new_height: 16 new_width: 14 } }"#;

fn batches(stream: &mut Stream, count: usize) -> Vec<Batch> {
    (0..count).map(|_| stream.next().unwrap()).collect()
}

#[test]
fn the_position_is_the_whole_state() {
    let source = data_layer(RANDOM, Phase::Train);
    let stream = |threads, seed, cache_bytes| {
        let rules = Rules { threads, seed, cache_bytes, ..Rules::default() };
        open(&source, &golden("data"), rules).unwrap()
    };
    let want = batches(&mut stream(1, 5, 0), 20);
    assert_eq!(want[7].first, 21);
    for (threads, cache) in [(1, 1 << 20), (2, 0), (5, 1 << 20)] {
        let mut other = stream(threads, 5, cache);
        assert!(batches(&mut other, 20) == want, "{threads} threads");
        for start in [9, 0, 16] {
            other.seek(3 * start as u64);
            assert!(batches(&mut other, 4) == want[start..start + 4]);
            assert_eq!(other.position(), 3 * (start as u64 + 4));
        }
    }
    assert!(batches(&mut stream(1, 6, 0), 20) != want);
}

#[test]
fn crops_are_random_only_in_training_and_mirroring_always() {
    // Four pictures, five batches of four: how many ways each picture looks.
    let looks = |phase, crop: usize, mirror: bool| {
        let text = format!(
            r#"layer {{ name: "d" type: "ImageData" top: "d" top: "l"
               transform_param {{ crop_size: {crop} mirror: {mirror} }}
               image_data_param {{ source: "list.txt" batch_size: 4 new_height: 16 new_width: 16 }} }}"#
        );
        let mut stream = open(&data_layer(&text, phase), &golden("data"), rules(1)).unwrap();
        let all = batches(&mut stream, 5);
        let len = all[0].data.len() / 4;
        let mut looks: Vec<Vec<u32>> =
            all.iter().map(|b| b.data[..len].iter().map(|v| v.to_bits()).collect()).collect();
        looks.sort();
        looks.dedup();
        looks.len()
    };
    assert_eq!(looks(Phase::Test, 9, false), 1);
    assert_eq!(looks(Phase::Train, 16, false), 1);
    assert!(looks(Phase::Train, 9, false) > 2);
    assert_eq!(looks(Phase::Test, 9, true), 2);
}

/// A folder with five copies of pictures; the one in the middle is not a picture.
fn with_a_broken_picture() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut list = String::new();
    for i in 0..5 {
        let file = folder.path().join(format!("{i}.png"));
        match i {
            2 => fs::write(file, b"\x89PNG\r\n\x1a\nnothing").unwrap(),
            _ => fs::write(file, fs::read(golden("data/p0.png")).unwrap()).unwrap(),
        }
        list += &format!("{i}.png {i}\n");
    }
    fs::write(folder.path().join("list.txt"), list).unwrap();
    folder
}

#[test]
fn a_broken_picture_stops_the_stream_or_is_skipped() {
    let folder = with_a_broken_picture();
    let stream = |skip_broken, threads| {
        let items = Items::list(&folder.path().join("list.txt"), "", folder.path()).unwrap();
        let rules = Rules { skip_broken, threads, ..rules(4) };
        Stream::new(items, DataTransform::default(), rules).unwrap()
    };
    let mut strict = stream(false, 2);
    for _ in 0..2 {
        let error = strict.next().unwrap_err().to_string();
        assert!(error.contains("2.png"), "{error}");
        assert_eq!(strict.position(), 0);
    }
    let want: [&[f32]; 3] = [&[0., 1., 3., 3.], &[4., 0., 1., 3.], &[3., 4., 0., 1.]];
    for threads in [1, 3] {
        let mut lenient = stream(true, threads);
        for labels in want {
            assert_eq!(lenient.next().unwrap().labels, labels);
        }
        let skipped = lenient.skipped();
        assert_eq!(skipped.len(), 1);
        assert!(skipped[0].0.contains("2.png") && skipped[0].1.contains("PNG"), "{skipped:?}");
    }
}

#[test]
fn where_nothing_can_be_read_nothing_is_handed_out() {
    let folder = with_a_broken_picture();
    let list = folder.path().join("broken.txt");
    fs::write(&list, "2.png 0\nmissing.png 1\n").unwrap();
    for skip_broken in [false, true] {
        let items = Items::list(&list, "", folder.path()).unwrap();
        let rules = Rules { skip_broken, ..rules(2) };
        let error = Stream::new(items, DataTransform::default(), rules).err().unwrap();
        assert!(error.to_string().contains("2.png"), "{error}");
    }
}

#[test]
fn pictures_of_two_sizes_are_an_error_that_names_both() {
    let items = || Items::list(&golden("data/list.txt"), "", &golden("data")).unwrap();
    let mut stream = Stream::new(items(), DataTransform::default(), rules(4)).unwrap();
    let error = stream.next().unwrap_err().to_string();
    for part in ["p1.png", "p0.png", "crop_size"] {
        assert!(error.contains(part), "{error}");
    }
    let cropped = DataTransform { crop_size: 20, ..Default::default() };
    let mut stream = Stream::new(items(), cropped, rules(4)).unwrap();
    assert_eq!(stream.next().unwrap().labels, [3.0, 0.0, 7.0, 2.0]);
    let too_large = DataTransform { crop_size: 200, ..Default::default() };
    let error = Stream::new(items(), too_large, rules(4)).err().unwrap().to_string();
    assert!(error.contains("p0.png") && error.contains("200"), "{error}");
}

#[test]
fn lists_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("list.txt");
    fs::write(&list, "p0.png 3\n\na b.png -1\r\n").unwrap();
    let items = Items::list(&list, "some/pre", &golden("data")).unwrap();
    assert_eq!(items.len(), 2);
    assert_eq!(items.name(1), "some/prea b.png");
    let error = items.load(0).unwrap_err().to_string();
    assert!(error.contains("some/prep0.png") && error.contains("golden"), "{error}");
    let prefix = golden("data").display().to_string() + "/";
    let items = Items::list(&list, &prefix, Path::new("")).unwrap();
    assert_eq!(items.load(0).unwrap().1, 3.0);
    for (text, part) in
        [("p0.png 1\np0.png\n", ":2"), ("p0.png one", "whole number"), ("", "empty")]
    {
        fs::write(&list, text).unwrap();
        let error = Items::list(&list, "", Path::new("")).err().unwrap().to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn folders_are_classes() {
    let folder = tempfile::tempdir().unwrap();
    let class = |name: &str| -> PathBuf { folder.path().join(name) };
    for (name, pictures) in [("zebra", 2), ("ant", 3)] {
        fs::create_dir(class(name)).unwrap();
        for i in 0..pictures {
            let from = golden(&format!("data/p{}.png", 2 * i % 4));
            fs::write(class(name).join(format!("{i}.png")), fs::read(from).unwrap()).unwrap();
        }
    }
    let labels = |items: &Items| -> Vec<f32> {
        (0..items.len()).map(|i| items.load(i).unwrap().1).collect()
    };
    let sorted = Items::folders(&[folder.path().to_path_buf()]).unwrap();
    assert_eq!(sorted.classes(), ["ant", "zebra"]);
    assert_eq!(labels(&sorted), [0.0, 0.0, 0.0, 1.0, 1.0]);
    let given = Items::folders(&[class("zebra"), class("ant")]).unwrap();
    assert_eq!(given.classes(), ["zebra", "ant"]);
    assert_eq!(labels(&given), [0.0, 0.0, 1.0, 1.0, 1.0]);
    assert!(Items::folders(&[class("ant")]).is_err());
    fs::create_dir(class("empty")).unwrap();
    let error = Items::folders(&[folder.path().to_path_buf()]).err().unwrap().to_string();
    assert!(error.contains("empty: has no pictures"), "{error}");
}

/// A safetensors file of these tensors: name, type, shape, bytes.
fn safetensors(path: &Path, tensors: &[(&str, &str, &str, Vec<u8>)]) {
    let (mut header, mut values) = (vec![], vec![]);
    for (name, dtype, shape, bytes) in tensors {
        let (start, end) = (values.len(), values.len() + bytes.len());
        header.push(format!(
            r#""{name}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{start},{end}]}}"#
        ));
        values.extend_from_slice(bytes);
    }
    let header = format!("{{{}}}", header.join(","));
    let file = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &values].concat();
    fs::write(path, file).unwrap();
}

#[test]
fn features_with_labels_of_any_kind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f.safetensors");
    let floats = |n: u8| (0..n).flat_map(|v| f32::from(v).to_le_bytes()).collect::<Vec<u8>>();
    safetensors(
        &path,
        &[
            ("fc7", "F32", "[3,4]", floats(12)),
            ("pool.data", "F32", "[3,2,1,2]", floats(12)),
            ("i64", "I64", "[3]", [7i64, -1, 2].iter().flat_map(|v| v.to_le_bytes()).collect()),
            ("i32", "I32", "[3,1]", [7i32, -1, 2].iter().flat_map(|v| v.to_le_bytes()).collect()),
            ("f32", "F32", "[3]", [7f32, -1., 2.].iter().flat_map(|v| v.to_le_bytes()).collect()),
            ("u8", "U8", "[3]", vec![7, 255, 2]),
            ("u16", "U16", "[3]", vec![0; 6]),
            ("short", "U8", "[2]", vec![0; 2]),
        ],
    );
    for (labels, second) in [("i64", -1.0), ("i32", -1.0), ("f32", -1.0), ("u8", 255.0)] {
        let items = Items::features(&path, "fc7", labels).unwrap();
        let mut stream = Stream::new(items, DataTransform::default(), rules(3)).unwrap();
        assert_eq!(stream.output_shape(), [3, 4, 1, 1]);
        let batch = stream.next().unwrap();
        assert_eq!(batch.labels, [7.0, second, 2.0], "{labels}");
        assert_eq!(batch.data, (0..12u8).map(f32::from).collect::<Vec<_>>());
    }
    let pool = Items::features(&path, "pool.data", "u8").unwrap();
    let scaled = DataTransform { mean: Mean::Channels([1.0; 3]), scale: 2.0, ..Default::default() };
    let mirrored = Rules { mirror: true, ..rules(16) };
    let batch = Stream::new(pool, scaled, mirrored).unwrap().next().unwrap();
    // Sample 0 is row 0: (0, 1 | 2, 3) − 1, doubled, each pair mirrored or not.
    let plain = [-2.0, 0.0, 2.0, 4.0];
    let turned = [0.0, -2.0, 4.0, 2.0];
    let rows: Vec<&[f32]> = batch.data.chunks(4).step_by(3).collect();
    assert!(rows.iter().all(|row| *row == plain || *row == turned), "{rows:?}");
    assert!(rows.contains(&&plain[..]) && rows.contains(&&turned[..]));
    for (data, labels) in [("fc7", "u16"), ("fc7", "short"), ("fc8", "u8"), ("fc7", "none")] {
        assert!(Items::features(&path, data, labels).is_err(), "{data} {labels}");
    }
}

#[test]
fn layers_that_cannot_be_opened_say_why() {
    let refuse = |text: &str, part: &str| {
        let source = data_layer(text, Phase::Train);
        let error = open(&source, &golden("data"), rules(1)).err().unwrap().to_string();
        assert!(error.contains(part), "{error}");
    };
    let data = |params: &str| {
        format!(r#"layer {{ name: "data" type: "Data" top: "data" top: "label" {params} }}"#)
    };
    let list = |params: &str| {
        format!(
            r#"layer {{ name: "data" type: "ImageData" top: "data" top: "label" {params}
               image_data_param {{ source: "list.txt" }} }}"#
        )
    };
    refuse(&data(r#"data_param { source: "formats" batch_size: 1 }"#), "LevelDB");
    refuse(
        &data(r#"data_param { source: "absent" batch_size: 1 backend: LMDB }"#),
        "absent, nor /",
    );
    refuse(&data(r#"data_param { source: "p0.png" batch_size: 1 backend: LMDB }"#), "not an LMDB");
    refuse(
        &data(
            r#"transform_param { force_gray: true force_color: true }
               data_param { source: "p0.png" batch_size: 1 backend: LMDB }"#,
        ),
        "force_gray",
    );
    refuse(&list(r#"transform_param { mean_value: 1 mean_value: 2 }"#), "mean_value");
    refuse(&list(r#"transform_param { mean_value: 1 mean_file: "x" }"#), "both");
    refuse(&list(r#"transform_param { mean_file: "x.binaryproto" }"#), "x.binaryproto");
    let input = r#"layer { name: "i" type: "Input" top: "i" input_param { shape { dim: 1 } } }"#;
    refuse(input, "Input");
}
