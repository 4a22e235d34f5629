//! Networks whose blobs meet again: what the plan shares must not be seen.

use likenet::net::{Keep, Net, Options};

/// Runs a network under a way to keep blobs; the values of `output`.
fn run(prototxt: &str, inputs: &[(&str, &[f32])], output: &str, keep: Keep) -> Vec<f32> {
    let options = Options { keep, threads: 1, ..Options::default() };
    let mut net = Net::parse("plan.prototxt", prototxt, options).expect("network");
    for (name, data) in inputs {
        net.set_input(name, data).expect("input");
    }
    net.forward().expect("forward");
    net.blob(output).expect("output").data().to_vec()
}

fn same(prototxt: &str, inputs: &[(&str, &[f32])], output: &str, want: &[f32]) {
    for keep in [Keep::All, Keep::Outputs] {
        assert_eq!(run(prototxt, inputs, output, keep.clone()), want, "{keep:?}");
    }
}

const INPUT: &str = r#"
layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 1 dim: 1 dim: 2 dim: 2 } } }
"#;
const X: [f32; 4] = [-1.0, 2.0, -3.0, 4.0];

#[test]
fn an_input_declared_late_is_not_overwritten() {
    let net = format!(
        "{INPUT}
        layer {{ name: 'a' type: 'AbsVal' bottom: 'x' top: 'a' }}
        layer {{ name: 'p' type: 'Pooling' bottom: 'a' top: 'p'
                 pooling_param {{ kernel_size: 1 stride: 1 }} }}
        layer {{ name: 'q' type: 'Pooling' bottom: 'p' top: 'q'
                 pooling_param {{ kernel_size: 1 stride: 1 }} }}
        layer {{ name: 'late' type: 'Input' top: 'y'
                 input_param {{ shape {{ dim: 1 dim: 1 dim: 2 dim: 2 }} }} }}
        layer {{ name: 'sum' type: 'Eltwise' bottom: 'q' bottom: 'y' top: 'sum' }}"
    );
    let y = [10.0, 20.0, 30.0, 40.0];
    same(&net, &[("x", &X), ("y", &y)], "sum", &[11.0, 22.0, 33.0, 44.0]);
}

#[test]
fn a_blob_multiplied_by_itself_is_squared() {
    let net = format!(
        "{INPUT}
        layer {{ name: 'p' type: 'Power' bottom: 'x' top: 'p' power_param {{ scale: 2 }} }}
        layer {{ name: 'sq' type: 'Scale' bottom: 'p' bottom: 'p' top: 'sq'
                 scale_param {{ axis: 0 }} }}"
    );
    same(&net, &[("x", &X)], "sq", &[4.0, 16.0, 36.0, 64.0]);
}

#[test]
fn a_split_blob_changed_in_place_keeps_its_other_copy() {
    let net = format!(
        "{INPUT}
        layer {{ name: 'p' type: 'Power' bottom: 'x' top: 'p' power_param {{ scale: 1 }} }}
        layer {{ name: 's' type: 'Split' bottom: 'p' top: 'a' top: 'b' }}
        layer {{ name: 'f' type: 'Flatten' bottom: 'a' top: 'f' }}
        layer {{ name: 'r' type: 'ReLU' bottom: 'b' top: 'b' }}
        layer {{ name: 'g' type: 'Flatten' bottom: 'b' top: 'g' }}
        layer {{ name: 'j' type: 'Concat' bottom: 'f' bottom: 'g' top: 'j' }}"
    );
    same(&net, &[("x", &X)], "j", &[-1.0, 2.0, -3.0, 4.0, 0.0, 2.0, 0.0, 4.0]);
}

#[test]
fn a_relu_that_disappears_into_pooling_changes_nothing() {
    let net = format!(
        "{INPUT}
        layer {{ name: 'p' type: 'Power' bottom: 'x' top: 'p' power_param {{ scale: -1 }} }}
        layer {{ name: 'r' type: 'ReLU' bottom: 'p' top: 'r' }}
        layer {{ name: 'm' type: 'Pooling' bottom: 'r' top: 'm'
                 pooling_param {{ kernel_h: 1 kernel_w: 2 stride: 1 }} }}"
    );
    same(&net, &[("x", &X)], "m", &[1.0, 3.0]);
    let net = Net::parse("plan.prototxt", &net, Options::default()).expect("network");
    assert!(net.summary().to_string().contains("fused into m"));
}

#[test]
fn tied_weights_may_be_used_both_ways() {
    let net = r#"
        layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 dim: 2 } } }
        layer { name: "f1" type: "InnerProduct" bottom: "x" top: "h" param { name: "w" }
                inner_product_param { num_output: 2 bias_term: false } }
        layer { name: "f2" type: "InnerProduct" bottom: "h" top: "y" param { name: "w" }
                inner_product_param { num_output: 2 bias_term: false transpose: true } }
    "#;
    for backend in ["cpu", "reference"] {
        let options = Options { backend: backend.into(), keep: Keep::All, ..Options::default() };
        let mut net = Net::parse("tied.prototxt", net, options).expect("network");
        net.set_param("f1", 0, &[1.0, 2.0, 3.0, 4.0]).expect("weights");
        net.set_input("x", &[1.0, 0.0, 0.0, 1.0]).expect("input");
        net.forward().expect("forward");
        // h = x·Wᵀ, y = h·W.
        assert_eq!(net.blob("h").expect("h").data(), [1.0, 3.0, 2.0, 4.0], "{backend}");
        assert_eq!(net.blob("y").expect("y").data(), [10.0, 14.0, 14.0, 20.0], "{backend}");
    }
}

#[test]
fn a_batch_that_cannot_be_is_refused_each_time() {
    let net = format!(
        "{INPUT}
        layer {{ name: 's' type: 'Scale' bottom: 'x' top: 'y' scale_param {{ axis: 0 num_axes: -1 }} }}"
    );
    let mut net = Net::parse("batch.prototxt", &net, Options::default()).expect("network");
    for _ in 0..2 {
        assert!(net.set_batch(0).is_err());
        let error = net.set_batch(3).unwrap_err().to_string();
        assert!(error.contains("parameters"), "{error}");
    }
    net.set_input("x", &X).expect("input");
    net.forward().expect("forward");
}
