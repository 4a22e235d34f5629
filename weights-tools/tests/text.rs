//! Every legal form of the text format is read, and every mistake is placed.

use weights_tools::{Error, parse_net_text, parse_solver_text, print_net_text, read_net_text};

fn layer(text: &str) -> weights_tools::proto::LayerParameter {
    let mut net = parse_net_text("test", &format!("layer {{ {text} }}")).unwrap();
    net.layer.remove(0)
}

#[test]
fn all_forms_of_numbers() {
    let floats = "1. .5 1e-3 0.5f 1f 3 -2 -.25 1.5E+2F inf -inf infinity INF 0f 1e1";
    let text: String = floats.split(' ').map(|f| format!("loss_weight: {f} ")).collect();
    let inf = f32::INFINITY;
    let expected =
        [1.0, 0.5, 1e-3, 0.5, 1.0, 3.0, -2.0, -0.25, 150.0, inf, -inf, inf, inf, 0.0, 10.0];
    assert_eq!(layer(&text).loss_weight, expected);
    assert!(layer("loss_weight: nan").loss_weight[0].is_nan());
    assert!(layer("loss_weight: - nan").loss_weight[0].is_nan());

    let ints = layer("convolution_param { pad: 0x1F pad: 017 pad: 0 pad: 0XaB axis: -1 }");
    let param = ints.convolution_param.unwrap();
    assert_eq!((param.pad, param.axis), (vec![31, 15, 0, 171], Some(-1)));
    let rounded = layer("loss_weight: 0.1 loss_weight: 16777217 loss_weight: 1e39").loss_weight;
    assert_eq!(rounded, [0.1, 16_777_216.0, inf]);
}

#[test]
fn all_forms_of_strings() {
    let same = r#"name: 'a' "b" 'c' # concatenated"#;
    assert_eq!(layer(&format!("{same}\n")).name(), "abc");
    assert_eq!(layer(r#"name: "it's\t\"x\" \x41\101\\ \u00e9 é""#).name(), "it's\t\"x\" AA\\ é é");
    assert_eq!(layer("name: '' top: ['a', \"b\" 'c']").top, ["a", "bc"]);
    assert_eq!(layer("name: '# no { comment'").name(), "# no { comment");
}

#[test]
fn all_forms_of_messages_and_lists() {
    let angle = layer("pooling_param < pool: AVE kernel_size: 3 > name: 'p'");
    assert_eq!(angle.pooling_param.unwrap().kernel_size(), 3);
    let colon = layer("pooling_param: { pool: 1, stride: 2; } , name: 'p';");
    let colon = colon.pooling_param.unwrap();
    assert_eq!((colon.pool, colon.stride()), (Some(1), 2));
    assert_eq!(
        layer("convolution_param { pad: [1, 2] pad: [] pad: 3 }").convolution_param.unwrap().pad,
        [1, 2, 3]
    );
    let lists = "layer: [ { name: 'a' }, < name: 'b' > ] layer [{name:'c' top:['x']}] layer{}";
    let net = parse_net_text("test", lists).unwrap();
    let names: Vec<_> = net.layer.iter().map(|l| l.name()).collect();
    assert_eq!(names, ["a", "b", "c", ""]);
    for (word, value) in [
        ("true", true),
        ("t", true),
        ("True", true),
        ("1", true),
        ("false", false),
        ("f", false),
        ("False", false),
        ("0", false),
    ] {
        assert_eq!(layer(&format!("propagate_down: {word}")).propagate_down, [value], "{word}");
    }
    let net = parse_net_text("test", "\u{feff}# comment\r\nname: 'n'\r\n#last").unwrap();
    assert_eq!(net.name(), "n");
    assert_eq!(parse_net_text("test", "").unwrap(), Default::default());
}

#[test]
fn defaults_come_from_the_schema() {
    let l = layer("lrn_param {} pooling_param {} batch_norm_param {} inner_product_param {}");
    assert_eq!(l.lrn_param.as_ref().unwrap().local_size(), 5);
    assert_eq!(l.lrn_param.unwrap().beta(), 0.75);
    assert_eq!(l.pooling_param.unwrap().stride(), 1);
    assert_eq!(l.batch_norm_param.as_ref().unwrap().eps(), 1e-5);
    assert_eq!(l.batch_norm_param.unwrap().moving_average_fraction(), 0.999);
    assert!(l.inner_product_param.unwrap().bias_term());
    let solver = parse_solver_text("test", "").unwrap();
    assert_eq!((solver.r#type(), solver.delta(), solver.momentum2()), ("SGD", 1e-8, 0.999));
    assert_eq!((solver.clip_gradients(), solver.random_seed()), (-1.0, -1));
    assert_eq!(solver.snapshot_format() as i32, 1);
}

#[test]
fn mistakes_are_placed() {
    let mistakes = [
        ("name: 'n'\nlayer {\n  nmae: 'x'\n}", 3, "layer.nmae", "nmae"),
        (
            "layer {\n  convolution_param {\n    pad: -1\n  }\n}",
            3,
            "layer.convolution_param.pad",
            "-1",
        ),
        (
            "layer {\n  convolution_param {\n    pad: 99999999999\n  }\n}",
            3,
            "layer.convolution_param.pad",
            "out of range",
        ),
        ("layer {\n\n pooling_param { pool: MAXIMUM } }", 3, "layer.pooling_param.pool", "MAXIMUM"),
        ("layer {\n  name: 'a'\n  name: 'b'\n}", 3, "layer.name", "already set"),
        ("layer {\n  name: 'a\n}", 2, "layer.name", "invalid string"),
        ("layer {\n  name 'a'\n}", 2, "", "expected ':'"),
        ("layer {\n  name: 'a'\n\n", 2, "", "reached end"),
        ("name: @", 1, "name", "invalid token"),
        ("}\n", 1, "", "field name"),
        ("layer { top: 'a' loss_weight: x }", 1, "layer.loss_weight", "number"),
        ("layer { name: '\\q' }", 1, "layer.name", "escape"),
        ("layer { name: '\\xff' }", 1, "layer.name", "utf-8"),
        ("layers {\n type: CONVOLUTIONS }", 2, "layers.type", "CONVOLUTIONS"),
    ];
    for (text, line, field, says) in mistakes {
        let error = parse_net_text("net.prototxt", text).unwrap_err();
        let shown = error.to_string();
        assert!(shown.starts_with(&format!("net.prototxt:{line}: ")), "{text:?}: {shown}");
        assert!(shown.contains(says), "{text:?}: {shown}");
        let Error::Text { field: found, .. } = error else { panic!("{shown}") };
        if !field.is_empty() {
            assert_eq!(found, field, "{text:?}: {shown}");
        }
    }
}

#[test]
fn deep_nesting_is_an_error() {
    for open in ["layer { ", "a { ", "a <", "a: [", "convolution_param { weight_filler { "] {
        let text = open.repeat(100_000);
        let error = parse_net_text("deep", &text).unwrap_err().to_string();
        assert!(error.contains("nested more than 64 deep"), "{error}");
    }
    // Solvers contain nets: a legal depth still parses.
    let text = "net_param { layer { convolution_param { weight_filler { type: 'x' } } } }";
    assert!(parse_solver_text("ok", text).is_ok());
}

#[test]
fn binary_files_and_missing_files_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.prototxt");
    std::fs::write(&path, b"name: 'a'\nx: \xff\xfe").unwrap();
    let error = read_net_text(&path).unwrap_err().to_string();
    assert!(error.contains("a.prototxt:2: not UTF-8"), "{error}");
    let error = read_net_text(&folder.path().join("none")).unwrap_err().to_string();
    assert!(error.contains("cannot read"), "{error}");
}

#[test]
fn printed_nets_read_back() {
    let text = "name: 'n' state { phase: TRAIN stage: 'a' } layer { name: 'x' loss_weight: 0.1
        loss_weight: 1e-30 convolution_param { pad: 1 pad: 2 weight_filler { std: 0.3333333 } }
        input_param { shape { dim: -1 dim: 9223372036854775807 } } }";
    let net = parse_net_text("t", text).unwrap();
    assert_eq!(parse_net_text("t", &print_net_text(&net)).unwrap(), net);
}

/// Every net in the reference data parses, upgrades, and reads back after printing.
#[test]
fn all_reference_nets() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared");
    if !std::path::Path::new(root).exists() {
        println!("skipped: ../shared is absent");
        return;
    }
    let mut folders = vec![std::path::PathBuf::from(root)];
    let mut count = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                folders.push(path);
            } else if name.ends_with(".prototxt") {
                let text = std::fs::read_to_string(&path).unwrap();
                let file = path.display().to_string();
                if name.contains("solver") {
                    parse_solver_text(&file, &text).unwrap();
                } else {
                    let net =
                        weights_tools::upgrade(parse_net_text(&file, &text).unwrap()).unwrap();
                    assert_eq!(
                        parse_net_text(&file, &print_net_text(&net)).unwrap(),
                        net,
                        "{file}"
                    );
                }
                count += 1;
            }
        }
    }
    assert!(count > 100, "{count} prototxt files");
}
