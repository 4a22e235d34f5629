//! Networks whose blobs meet again: what the plan shares must not be seen.

use likenet::net::{Keep, Net, Options, architecture};
use likenet::rng::Rng;

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
fn a_blob_may_get_another_first_dimension() {
    let net = format!(
        "{INPUT}
        layer {{ name: 'r' type: 'Reshape' bottom: 'x' top: 'r'
                 reshape_param {{ shape {{ dim: -1 }} }} }}
        layer {{ name: 'a' type: 'AbsVal' bottom: 'r' top: 'a' }}
        layer {{ name: 's' type: 'Reshape' bottom: 'a' top: 's'
                 reshape_param {{ shape {{ dim: 2 dim: 2 }} }} }}
        layer {{ name: 'p' type: 'Power' bottom: 's' top: 'p' power_param {{ scale: 2 }} }}"
    );
    same(&net, &[("x", &X)], "p", &[2.0, 4.0, 6.0, 8.0]);
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

/// The output of a built-in network with random weights and pictures, and its numbers of pictures at a time.
fn output(model: &str, batch: usize, threads: usize, keep: Keep) -> (Vec<f32>, Vec<usize>) {
    let known = architecture(model).expect("built in");
    let options = Options { keep, threads, batch: Some(batch), ..Options::default() };
    let mut net = Net::parse(model, known.prototxt, options).expect("network");
    net.randomise(1);
    let mut rng = Rng::new(2);
    let count = net.input_shape("data").expect("data").count();
    let pictures: Vec<f32> = (0..count).map(|_| rng.gaussian(0.0, 60.0)).collect();
    net.set_input("data", &pictures).expect("pictures");
    net.forward().expect("first pass");
    net.forward().expect("second pass");
    let together = net.plan().sections.iter().filter_map(|s| s.pictures).collect();
    let output = net.output_names()[0].to_string();
    (net.blob(&output).expect("output").data().to_vec(), together)
}

#[test]
fn some_pictures_at_a_time_change_no_bit() {
    for (model, batch) in [("squeezenet10", 12), ("googlenet", 6)] {
        let (want, whole) = output(model, batch, 1, Keep::All);
        assert!(whole.is_empty(), "{model}: every blob of the batch is kept");
        for threads in [1, 2, 3] {
            let (got, together) = output(model, batch, threads, Keep::Outputs);
            println!("{model}, {threads} threads: {together:?} at a time");
            assert!(!together.is_empty(), "{model} on {threads} threads");
            assert!(got == want, "{model} on {threads} threads");
        }
    }
}

#[test]
fn a_kept_blob_inside_a_section_is_the_whole_batchs() {
    let known = architecture("squeezenet11").expect("built in");
    let blobs = ["fire2/concat", "fire5/expand1x1", "fire9/concat"].map(String::from);
    let values = |keep: Keep| {
        let options = Options { keep, threads: 2, batch: Some(4), ..Options::default() };
        let mut net = Net::parse("squeezenet11", known.prototxt, options).expect("network");
        net.randomise(3);
        let count = net.input_shape("data").expect("data").count();
        let mut rng = Rng::new(4);
        let pictures: Vec<f32> = (0..count).map(|_| rng.gaussian(0.0, 60.0)).collect();
        net.set_input("data", &pictures).expect("pictures");
        net.forward().expect("forward");
        blobs.clone().map(|b| net.blob(&b).expect("kept").data().to_vec())
    };
    assert!(values(Keep::Named(blobs.to_vec())) == values(Keep::All));
}
