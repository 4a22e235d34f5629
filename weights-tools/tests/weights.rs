//! Weights of all formats and generations, checked against files that Caffe itself wrote.

use std::path::{Path, PathBuf};

use prost::Message as _;
use weights_tools::proto::{
    BlobProto, LayerParameter, NetParameter, Phase, V0LayerParameter, V1LayerParameter,
};
use weights_tools::{
    Blob, Dtype, LayerWeights, MemoryWeights, WeightsFile, WeightsSource as _, convert, diff,
    inspect, npy, read_binaryproto, read_net_text, read_solverstate, upgrade, write_binaryproto,
    write_caffemodel, write_safetensors, write_solverstate, write_trained,
};

/// A file of the reference data; says so and gives nothing where the data is absent.
fn shared(path: &str) -> Option<PathBuf> {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared"));
    if !root.exists() {
        println!("skipped: ../shared is absent");
        return None;
    }
    Some(root.join(path))
}

fn blob(shape: &[usize], first: f32) -> Blob {
    let count: usize = shape.iter().product();
    Blob { shape: shape.to_vec(), data: (0..count).map(|i| first + i as f32 * 0.25).collect() }
}

fn small_net() -> MemoryWeights {
    let layer = |name: &str, kind: &str, blobs: Vec<Blob>| LayerWeights {
        name: name.to_owned(),
        kind: kind.to_owned(),
        blobs,
    };
    MemoryWeights::new(vec![
        layer("data", "Input", vec![]),
        layer("block.1/conv", "Convolution", vec![blob(&[2, 3, 1, 1], -1.0), blob(&[2], 5.0)]),
        layer("bn", "BatchNorm", vec![blob(&[2], 0.0), blob(&[2], 1.0), blob(&[1], 9.0)]),
        layer("lstm", "LSTM", vec![blob(&[2, 2], 0.0), blob(&[2], 1.0), blob(&[1, 3], 2.0)]),
        layer("empty", "Parameter", vec![blob(&[0, 4], 0.0)]),
    ])
}

fn assert_same(a: &WeightsFile, b: &WeightsFile) {
    let layers =
        |w: &WeightsFile| w.layers().map(|l| (l.name.clone(), l.kind.clone())).collect::<Vec<_>>();
    assert_eq!(layers(a), layers(b));
    for (i, layer) in a.layers().enumerate() {
        for t in 0..layer.tensors.len() {
            let (x, y) = (a.read_at(i, t).unwrap(), b.read_at(i, t).unwrap());
            assert_eq!(x.data, y.data, "{}.{t}", layer.name);
        }
    }
}

#[test]
fn round_trip_through_both_formats() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let net = small_net();
    write_caffemodel(&path("a.caffemodel"), "small", &net).unwrap();
    convert(&path("a.caffemodel"), &path("b.safetensors"), Dtype::F32).unwrap();
    convert(&path("b.safetensors"), &path("c.caffemodel"), Dtype::F32).unwrap();
    let opened = WeightsFile::open(&path("b.safetensors")).unwrap();
    assert_eq!(MemoryWeights::copy_of(&opened).unwrap().layers(), net.layers());
    let opened = WeightsFile::open(&path("c.caffemodel")).unwrap();
    assert_eq!(MemoryWeights::copy_of(&opened).unwrap().layers(), net.layers());
    let names: Vec<Vec<_>> =
        opened.layers().map(|l| l.tensors.iter().map(|t| t.name.as_str()).collect()).collect();
    assert_eq!(names[2], ["mean", "variance", "scale_factor"]);
    assert_eq!(names[3], ["weight", "bias", "blob2"]);
    assert!(diff(&path("a.caffemodel"), &path("b.safetensors")).unwrap().identical());

    // Caffe's own message reads it too.
    let bytes = std::fs::read(path("c.caffemodel")).unwrap();
    let message = NetParameter::decode(bytes.as_slice()).unwrap();
    assert_eq!(message.layer[1].blobs[0].shape.as_ref().unwrap().dim, [2, 3, 1, 1]);
    // And the reference implementation the other.
    let bytes = std::fs::read(path("b.safetensors")).unwrap();
    let reference = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let tensor = reference.tensor("block.1/conv.weight").unwrap();
    assert_eq!(tensor.shape(), [2, 3, 1, 1]);
    assert_eq!(tensor.data()[..4], (-1.0f32).to_le_bytes());

    // Nothing but the finished files is left behind.
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3);
}

#[test]
fn half_precision() {
    let folder = tempfile::tempdir().unwrap();
    for (dtype, tolerance) in [(Dtype::F16, 1e-3), (Dtype::Bf16, 8e-3), (Dtype::F64, 0.0)] {
        let path = folder.path().join("h.safetensors");
        write_safetensors(&path, &small_net(), dtype).unwrap();
        let weights = WeightsFile::open(&path).unwrap();
        let read = weights.read("block.1/conv", 0).unwrap();
        for (a, b) in read.data.iter().zip(&blob(&[2, 3, 1, 1], -1.0).data) {
            assert!((a - b).abs() <= tolerance * b.abs(), "{dtype}: {a} and {b}");
        }
        assert_eq!(weights.layer("bn").unwrap().tensors[0].dtype, dtype);
    }
    let to = folder.path().join("x.caffemodel");
    assert!(convert(&folder.path().join("h.safetensors"), &to, Dtype::F16).is_err());
    assert!(
        convert(&folder.path().join("h.safetensors"), &folder.path().join("x"), Dtype::F32)
            .is_err()
    );
}

#[test]
fn safetensors_of_other_programs() {
    use safetensors::tensor::TensorView;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("torch.safetensors");
    let f32s = |values: &[f32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let (weight, bias, count) = (f32s(&[1.0, 2.0]), f32s(&[3.0]), 7i64.to_le_bytes());
    let tensors = [
        ("features.0.bias", TensorView::new(safetensors::Dtype::F32, vec![1], &bias).unwrap()),
        (
            "features.0.weight",
            TensorView::new(safetensors::Dtype::F32, vec![1, 2], &weight).unwrap(),
        ),
        (
            "bn.num_batches_tracked",
            TensorView::new(safetensors::Dtype::I64, vec![], &count).unwrap(),
        ),
        ("lonely", TensorView::new(safetensors::Dtype::F32, vec![1], &bias).unwrap()),
    ];
    safetensors::serialize_to_file(tensors, None, &path).unwrap();
    let weights = WeightsFile::open(&path).unwrap();
    assert_eq!(weights.read("features.0", 0).unwrap().data, [1.0, 2.0]);
    assert_eq!(weights.read("features.0", 1).unwrap().data, [3.0]);
    assert_eq!(weights.read("lonely", 0).unwrap().data, [3.0]);
    let message = |e: weights_tools::Error| e.to_string();
    assert!(message(weights.read("bn", 0).unwrap_err()).contains("I64"));
    assert!(message(weights.read("features.0", 2).unwrap_err()).contains("has 2 tensors"));
    assert!(message(weights.read("nothing", 0).unwrap_err()).contains("no layer \"nothing\""));
    // It is listed all the same.
    let report = inspect(&path).unwrap();
    assert!(report.to_string().contains("num_batches_tracked"));
    assert!(serde_json::to_string(&report).unwrap().contains("\"type\":\"\""));
}

#[test]
fn safetensors_keys_that_end_in_a_dot() {
    use safetensors::tensor::TensorView;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dots.safetensors");
    let bytes: Vec<u8> = [1.0f32, 2.0].iter().flat_map(|v| v.to_le_bytes()).collect();
    let view = |at| TensorView::new(safetensors::Dtype::F32, vec![1], &bytes[at..at + 4]).unwrap();
    safetensors::serialize_to_file([("a", view(0)), ("a.", view(4))], None, &path).unwrap();
    let opened = WeightsFile::open(&path).unwrap();
    assert_eq!(opened.read("a", 0).unwrap().data, [1.0]);
    assert_eq!(opened.read("a.", 0).unwrap().data, [2.0]);
}

#[test]
fn three_generations_of_layers() {
    let legacy = |dims: [i32; 4], data: Vec<f32>| BlobProto {
        num: Some(dims[0]),
        channels: Some(dims[1]),
        height: Some(dims[2]),
        width: Some(dims[3]),
        data,
        ..Default::default()
    };
    let blobs = vec![legacy([1, 1, 2, 3], vec![0.5; 6]), legacy([1, 1, 1, 2], vec![1.0; 2])];
    let v1 = V1LayerParameter {
        name: Some("fc".into()),
        r#type: Some(14),
        blobs: blobs.clone(),
        ..Default::default()
    };
    let v0 = V1LayerParameter {
        layer: Some(V0LayerParameter {
            name: Some("fc".into()),
            r#type: Some("innerproduct".into()),
            blobs,
            ..Default::default()
        }),
        ..Default::default()
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("old.caffemodel");
    for layer in [v1, v0] {
        let net = NetParameter { layers: vec![layer], ..Default::default() };
        std::fs::write(&path, net.encode_to_vec()).unwrap();
        let weights = WeightsFile::open(&path).unwrap();
        let entry = weights.layer("fc").unwrap();
        assert_eq!(entry.kind, "InnerProduct");
        assert!(entry.tensors[0].legacy && entry.tensors[0].fits(&[2, 3]));
        assert!(!entry.tensors[0].fits(&[6]) && entry.tensors[1].fits(&[2]));
        assert_eq!(weights.read("fc", 0).unwrap().shape, [1, 1, 2, 3]);
        // Written again, the shapes are current.
        let new = folder.path().join("new.safetensors");
        convert(&path, &new, Dtype::F32).unwrap();
        let weights = WeightsFile::open(&new).unwrap();
        assert_eq!(weights.read("fc", 0).unwrap().shape, [2, 3]);
        assert_eq!(weights.read("fc", 1).unwrap().shape, [2]);
        assert!(diff(&path, &new).unwrap().identical());
    }
}

#[test]
fn errors_name_file_and_layer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bad.caffemodel");
    let wrong = BlobProto { num: Some(2), data: vec![1.0], ..Default::default() };
    let layer = LayerParameter {
        name: Some("conv9".into()),
        blobs: vec![Default::default(), wrong],
        ..Default::default()
    };
    let net = NetParameter { layer: vec![layer], ..Default::default() };
    let error = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        WeightsFile::open(&path).err().unwrap().to_string()
    };
    let text = error(&net.encode_to_vec());
    assert!(text.contains("bad.caffemodel") && text.contains("\"conv9\", blob 1"), "{text}");
    assert!(error(b"").contains("no layers"));
    assert!(error(b"name: 'a net in text'").contains("not a .caffemodel"));
    assert!(error(b"\x89HDF\r\n\x1a\n").contains("HDF5"));
    let empties = [18u8, 0].repeat(100_000);
    assert!(error(&empties).contains("100000 layers"));
    assert!(
        WeightsFile::open(&folder.path().join("none"))
            .err()
            .unwrap()
            .to_string()
            .contains("cannot open")
    );
    std::fs::write(folder.path().join("x.txt"), b"hello").unwrap();
    assert!(inspect(&folder.path().join("x.txt")).unwrap_err().to_string().contains("neither"));
}

#[test]
fn differences_are_measured() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let layer = |name: &str, blobs| LayerWeights { name: name.into(), kind: "".into(), blobs };
    let one = |values: &[f32]| Blob { shape: vec![values.len()], data: values.to_vec() };
    let a =
        vec![layer("x", vec![one(&[1.0, -4.0]), one(&[f32::NAN])]), layer("a", vec![one(&[0.0])])];
    let b = vec![
        layer("x", vec![one(&[1.0, -3.5]), one(&[f32::NAN])]),
        layer("b", vec![one(&[0.0])]),
        layer("a", vec![one(&[0.0, 0.0])]),
    ];
    write_caffemodel(&path("a"), "a", &MemoryWeights::new(a)).unwrap();
    write_caffemodel(&path("b"), "b", &MemoryWeights::new(b)).unwrap();
    let d = diff(&path("a"), &path("b")).unwrap();
    assert!(!d.identical());
    assert_eq!((d.tensors[0].max_difference, d.tensors[0].relative), (0.5, 0.125));
    assert_eq!((d.tensors[1].max_difference, d.worst()), (0.0, 0.125));
    assert_eq!(d.only_in_second, ["b.weight"]);
    assert_eq!(d.shapes[0].second, [2]);
    assert!(d.to_string().contains("x.weight: largest difference 5.000e-1"), "{d}");
    assert!(serde_json::to_string(&d).unwrap().contains("only_in_first"));
    assert!(diff(&path("a"), &path("a")).unwrap().identical());
}

#[test]
fn states_and_means_round_trip() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.solverstate");
    let state = weights_tools::SolverState {
        iter: 7,
        learned_net: "a_iter_7.caffemodel".into(),
        current_step: 2,
        history: vec![blob(&[2, 2], 0.0), blob(&[1], f32::NEG_INFINITY)],
        extra: Some("{\"at\": 3}".into()),
    };
    write_solverstate(&path, &state).unwrap();
    assert_eq!(read_solverstate(&path).unwrap(), state);
    let report = inspect(&path).unwrap();
    assert_eq!(report.layers[0].tensors[1].non_finite, 1);
    assert!(report.to_string().contains("after 7 updates"));

    let path = folder.path().join("m.binaryproto");
    for shape in [&[1usize, 3, 2, 2][..], &[3, 2], &[]] {
        let mean = blob(shape, 1.0);
        write_binaryproto(&path, &mean).unwrap();
        assert_eq!(read_binaryproto(&path).unwrap(), mean);
    }
}

#[test]
fn caffes_own_models() {
    let Some(folder) = shared("golden/caffe/caffenet-slim") else { return };
    let current = folder.join("caffenet_slim.caffemodel");
    let old = folder.join("caffenet_slim_v1.caffemodel");
    let (a, b) = (WeightsFile::open(&current).unwrap(), WeightsFile::open(&old).unwrap());
    let mut compared = 0;
    for layer in a.layers() {
        for (i, tensor) in layer.tensors.iter().enumerate() {
            let other = &b.layer(&layer.name).unwrap().tensors[i];
            assert!(!tensor.legacy && other.legacy && other.fits(&tensor.shape));
            let (x, y) = (a.read(&layer.name, i).unwrap(), b.read(&layer.name, i).unwrap());
            assert_eq!(x.data, y.data);
            assert!(y.matches_legacy(&x.shape));
            compared += 1;
        }
    }
    assert_eq!(compared, 16);
    let d = diff(&current, &old).unwrap();
    assert!(d.identical(), "{d}");

    let temp = tempfile::tempdir().unwrap();
    for from in [current, old, folder.join("alexnet_slim.caffemodel")] {
        let (st, back) = (temp.path().join("a.safetensors"), temp.path().join("b.caffemodel"));
        convert(&from, &st, Dtype::F32).unwrap();
        convert(&st, &back, Dtype::F32).unwrap();
        let open = |p: &Path| WeightsFile::open(p).unwrap();
        assert_same(&open(&from), &open(&st));
        assert_same(&open(&from), &open(&back));
        assert!(diff(&from, &back).unwrap().identical());
    }
}

#[test]
fn caffes_own_mean() {
    let Some(folder) = shared("golden/caffe/caffenet-slim") else { return };
    let mean = read_binaryproto(&folder.join("mean.binaryproto")).unwrap();
    assert_eq!(mean.shape, [1, 3, 256, 256]);
    let channels = npy::read_f32(&folder.join("mean_channels_bgr.npy")).unwrap();
    let report = inspect(&folder.join("mean.binaryproto")).unwrap();
    assert_eq!(report.channel_means.len(), 3);
    for (ours, theirs) in report.channel_means.iter().zip(&channels.data) {
        assert!((ours.mean - f64::from(*theirs)).abs() < 1e-3, "{} and {theirs}", ours.mean);
    }
}

#[test]
fn caffes_own_solver_state() {
    let Some(folder) = shared("golden/caffe/training") else { return };
    let state = read_solverstate(&folder.join("likes_iter_15.solverstate")).unwrap();
    assert_eq!(state.iter, 15);
    assert!(state.learned_net.ends_with("likes_iter_15.caffemodel"), "{}", state.learned_net);
    let weights = WeightsFile::open(&folder.join("likes_iter_15.caffemodel")).unwrap();
    let shapes: Vec<_> =
        weights.layers().flat_map(|l| &l.tensors).map(|t| t.shape.clone()).collect();
    let history: Vec<_> = state.history.iter().map(|b| b.shape.clone()).collect();
    assert_eq!(history, shapes);
}

#[test]
fn states_are_rewritten_byte_for_byte() {
    let Some(folder) = shared("golden/caffe/training") else { return };
    let copies = tempfile::tempdir().unwrap();
    let copy = copies.path().join("s.solverstate");
    for name in ["likes_iter_15", "tiny/sgd_step_iter_20", "tiny/adam_iter_20"] {
        let path = folder.join(format!("{name}.solverstate"));
        let mut state = read_solverstate(&path).unwrap();
        write_solverstate(&copy, &state).unwrap();
        let caffes = std::fs::read(&path).unwrap();
        assert_eq!(std::fs::read(&copy).unwrap(), caffes, "{name}");
        // A field of our own comes last: Caffe reads all before it and skips it.
        state.extra = Some("{}".into());
        write_solverstate(&copy, &state).unwrap();
        assert!(std::fs::read(&copy).unwrap().starts_with(&caffes));
        assert_eq!(read_solverstate(&copy).unwrap(), state);
    }
    let hdf5 = read_solverstate(&folder.join("tiny/sgd_hdf5_iter_20.solverstate.h5"));
    assert!(hdf5.unwrap_err().to_string().contains("HDF5"));
}

/// The weights of Caffe's snapshot and the prototxt of its training, written: Caffe's own bytes.
#[test]
fn trained_nets_are_written_as_caffe_does() {
    let Some(folder) = shared("golden/caffe/training") else { return };
    let copies = tempfile::tempdir().unwrap();
    let copy = copies.path().join("w.caffemodel");
    for (text, name) in [
        ("train_val.prototxt", "likes_iter_15"),
        ("tiny/net.prototxt", "tiny/sgd_iter_20"),
        ("tiny/net_bs4.prototxt", "tiny/sgd_iter_size2_iter_20"),
    ] {
        let (net, _) = read_net_text(&folder.join(text)).unwrap();
        let mut net = upgrade(net).unwrap();
        net.layer.retain(|l| l.include.iter().all(|rule| rule.phase() == Phase::Train));
        let path = folder.join(format!("{name}.caffemodel"));
        write_trained(&copy, &net, &WeightsFile::open(&path).unwrap()).unwrap();
        let [ours, caffes] = [&copy, &path].map(|path| std::fs::read(path).unwrap());
        let [our_net, caffes_net] =
            [&ours, &caffes].map(|bytes| NetParameter::decode(bytes.as_slice()).unwrap());
        assert_eq!(our_net.layer.len(), caffes_net.layer.len(), "{name}");
        for (our_layer, caffes_layer) in our_net.layer.iter().zip(&caffes_net.layer) {
            assert!(our_layer == caffes_layer, "{name}: {}", caffes_layer.name());
        }
        assert!(ours == caffes, "{name}");
    }
}

#[test]
fn weights_that_no_layer_takes_are_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.caffemodel");
    let error = write_trained(&path, &NetParameter::default(), &small_net()).unwrap_err();
    assert!(error.to_string().contains("which the net lacks"), "{error}");
    assert!(!path.exists());
}

#[test]
fn a_published_model() {
    let Some(path) = shared("data/squeezenet/squeezenet_v1.0.caffemodel") else { return };
    let weights = WeightsFile::open(&path).unwrap();
    let conv1 = weights.layer("conv1").unwrap();
    assert_eq!((conv1.kind.as_str(), &conv1.tensors[0].shape), ("Convolution", &vec![96, 3, 7, 7]));
    let report = inspect(&path).unwrap();
    // The paper's 1.25 million parameters.
    assert_eq!(report.values, 1_248_424);
    assert!(report.layers.iter().flat_map(|l| &l.tensors).all(|t| t.non_finite == 0));
}
