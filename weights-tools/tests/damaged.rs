//! Damaged files end in errors: never in a panic, a hang or a huge allocation.

use std::path::Path;

use weights_tools::{
    Blob, Dtype, LayerWeights, MemoryWeights, TextIndex, WeightsFile, WeightsSource as _, inspect,
    npy, parse_net_text, read_binaryproto, read_solverstate, upgrade, write_caffemodel,
    write_safetensors, write_solverstate,
};

/// Calls `try_one` with every truncation (of a long file, some) and with `rounds` random changes. The
/// sequence is the same on every run.
fn damage(good: &[u8], rounds: usize, mut try_one: impl FnMut(&[u8])) {
    for end in (0..good.len()).step_by((good.len() / 1000).max(1)) {
        try_one(&good[..end]);
    }
    // xorshift64: small, seeded, good enough to choose bytes.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as usize % below.max(1)
    };
    const TELLING: [u8; 8] = [0, 1, 0xff, 0x7f, 0x80, b'{', b'"', b'9'];
    for _ in 0..rounds {
        let mut bytes = good.to_vec();
        for _ in 0..=random(4) {
            let at = random(bytes.len());
            match random(4) {
                0 if !bytes.is_empty() => bytes[at] ^= 1 << random(8),
                1 if !bytes.is_empty() => bytes[at] = TELLING[random(TELLING.len())],
                2 => bytes.insert(at, random(256) as u8),
                _ if !bytes.is_empty() => {
                    let end = (at + 1 + random(8)).min(bytes.len());
                    bytes.drain(at..end);
                }
                _ => {}
            }
        }
        try_one(&bytes);
    }
}

fn weights() -> MemoryWeights {
    let blob =
        |shape: &[usize]| Blob { shape: shape.to_vec(), data: vec![0.5; shape.iter().product()] };
    let layer = |name: &str, kind: &str, blobs| LayerWeights {
        name: name.into(),
        kind: kind.into(),
        blobs,
    };
    MemoryWeights::new(vec![
        layer("c", "Convolution", vec![blob(&[1, 2, 1, 1]), blob(&[1])]),
        layer("b", "BatchNorm", vec![blob(&[1]), blob(&[1]), blob(&[1])]),
    ])
}

fn try_weights(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap();
    if let Ok(opened) = WeightsFile::open(path) {
        for (i, layer) in opened.layers().enumerate() {
            for t in 0..layer.tensors.len() {
                if let Ok(blob) = opened.read_at(i, t) {
                    assert_eq!(blob.data.len(), blob.shape.iter().product::<usize>());
                    assert!(blob.data.len() <= bytes.len());
                }
            }
        }
    }
    let _ = inspect(path);
}

#[test]
fn weights_files() {
    let folder = tempfile::tempdir().unwrap();
    for (name, rounds) in [("w.caffemodel", 2000), ("w.safetensors", 2000)] {
        let path = folder.path().join(name);
        if name.ends_with("l") {
            write_caffemodel(&path, "net", &weights()).unwrap();
        } else {
            write_safetensors(&path, &weights(), Dtype::F32).unwrap();
        }
        let good = std::fs::read(&path).unwrap();
        damage(&good, rounds, |bytes| try_weights(&path, bytes));
    }
}

#[test]
fn old_weights_files() {
    let shared = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/golden/caffe/caffenet-slim");
    let Ok(good) = std::fs::read(Path::new(shared).join("caffenet_slim_v1.caffemodel")) else {
        println!("skipped: ../shared is absent");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.caffemodel");
    // The first layers' fields lie in the first kilobytes; the rest is values.
    damage(&good[..2000], 1000, |bytes| try_weights(&path, bytes));
}

#[test]
fn states_and_arrays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.solverstate");
    let blob = Blob { shape: vec![1, 1, 2, 2], data: vec![1.0; 4] };
    let state = weights_tools::SolverState {
        iter: 1,
        learned_net: "x".into(),
        current_step: 0,
        history: vec![blob.clone(), blob],
        extra: Some("{}".into()),
    };
    write_solverstate(&path, &state).unwrap();
    let good = std::fs::read(&path).unwrap();
    damage(&good, 3000, |bytes| {
        std::fs::write(&path, bytes).unwrap();
        let _ = read_solverstate(&path);
        let _ = read_binaryproto(&path);
        let _ = inspect(&path);
    });

    npy::write_f32(&path, &[2, 2], &[0.0; 4]).unwrap();
    let good = std::fs::read(&path).unwrap();
    damage(&good, 30_000, |bytes| {
        let _ = npy::read_f32_from_bytes("t", bytes);
    });
}

#[test]
fn texts() {
    let text =
        "name: 'n' # c\nlayers { layer { name: 'a' type: 'conv' pad: 1 } bottom: 'x' top: \"y\" }
        layer { type: \"Pooling\" pooling_param < pool: AVE > loss_weight: [1.5, -2e3f]
        input_param { shape [ { dim: 0x10 } ] } } input: 'd' input_dim: 1";
    damage(text.as_bytes(), 20_000, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        TextIndex::new(&text);
        if let Ok(net) = parse_net_text("t", &text) {
            let _ = upgrade(net);
        }
    });
}

#[test]
fn absurd_safetensors_headers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    let huge = usize::MAX;
    for header in [
        "{}".to_owned(),
        "[".repeat(100_000),
        "{\"a\":".repeat(100_000),
        format!("{{\"a\":{{\"dtype\":\"F32\",\"shape\":[{huge},{huge}],\"data_offsets\":[0,8]}}}}"),
        format!("{{\"a\":{{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[{huge},{huge}]}}}}"),
        "{\"a\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[8,0]}}".to_owned(),
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}".to_owned(),
        "{\"__metadata__\":{\"layers\":\"[{\\\"name\\\":\\\"x\\\",\\\"tensors\\\":[\\\"y\\\"]}]\"}}".to_owned(),
    ] {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.extend([0; 8]);
        try_weights(&path, &bytes);
        let mut bytes = u64::MAX.to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        try_weights(&path, &bytes);
    }
}
