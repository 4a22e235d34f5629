//! A trained network on real photos against an independent engine.

mod common;

use common::{cuda, npy, relative_error, shared};
use likenet::classify::{Head, Tally, Truth, scores};
use likenet::feed::{Preparation, Views, feed};
use likenet::image::{Classifier, ClassifierOptions, Limits, Mean, list_pictures};
use likenet::net::{Algorithm, Net, Options};

fn network(backend: &str, conv: Option<Algorithm>, batch: usize) -> Option<Net> {
    let net = shared("data/squeezenet/deploy.prototxt")?;
    let weights = shared("data/squeezenet/squeezenet_v1.0.caffemodel")?;
    let options =
        Options { backend: backend.into(), conv, batch: Some(batch), ..Options::default() };
    Some(Net::load(net, weights, options).expect("SqueezeNet"))
}

/// Probabilities are within 1e-5, scores within so much of their largest.
fn eight_inputs(backend: &str, conv: Option<Algorithm>, tolerance: f32) {
    let Some(mut net) = network(backend, conv, 8) else { return };
    let golden = |name: &str| npy(&shared("golden/squeezenet").expect("shared").join(name));
    let (input, want) = (golden("input8.npy"), golden("prob8.npy"));
    let mut head = Head::find(&net).expect("one output");
    assert!(head.softmax, "this description ends without a softmax");
    let got = scores(&mut net, "data", &head, &input, 1).expect("scores").concat();
    let worst = got.iter().zip(&want).map(|(g, w)| (g - w).abs()).fold(0.0, f32::max);
    assert!(worst < 1e-5, "{backend}: probabilities differ by {worst}");
    head.softmax = false;
    let got = scores(&mut net, "data", &head, &input, 1).expect("scores").concat();
    let error = relative_error(&got, &golden("pool_final8.npy"));
    let how = conv.map_or("the plan's choice", Algorithm::name);
    println!("{backend}: SqueezeNet, {how}: probabilities within {worst:.1e}, scores {error:.1e}");
    assert!(error < tolerance, "{backend}: scores differ by {error}");
}

#[test]
fn eight_inputs_on_the_reference_backend() {
    eight_inputs("reference", None, 1e-5);
}

#[test]
fn eight_inputs_on_the_cpu_backend() {
    eight_inputs("cpu", None, 5e-5);
    eight_inputs("cpu", Some(Algorithm::Direct), 1e-5);
    eight_inputs("cpu", Some(Algorithm::Winograd), 5e-5);
}

#[test]
fn eight_inputs_on_a_device() {
    // The emulator would take minutes.
    if cuda() == Some("cuda") {
        eight_inputs("cuda", None, 5e-5);
    } else {
        println!("skipped: SqueezeNet on cuda needs a device");
    }
}

#[test]
fn accuracy_on_four_hundred_photos() {
    accuracy("cpu");
    if cuda() == Some("cuda") {
        accuracy("cuda");
    } else {
        println!("skipped: SqueezeNet's accuracy on cuda needs a device");
    }
}

fn accuracy(backend: &str) {
    let Some(mut net) = network(backend, None, 16) else { return };
    let photos = shared("data/photos").expect("shared");
    let truth = Truth::read(&photos.join("labels.tsv")).expect("labels");
    let paths = list_pictures(&photos).expect("photos").into_iter().map(|p| p.path);
    let paths: Vec<_> = paths.collect();
    let classes = truth.classes(&paths).expect("a class for each photo");
    let classifier = Classifier::new(ClassifierOptions {
        mean: Mean::Channels([104.0, 117.0, 123.0]),
        ..ClassifierOptions::default()
    });
    let preparation = Preparation {
        classifier: classifier.expect("settings"),
        views: Views::Centre,
        limits: Limits::default(),
        spent: Default::default(),
    };
    let head = Head::find(&net).expect("one output");
    let mut tally = Tally::default();
    feed(&paths, 0, 16, 0, &preparation, |batch| {
        assert!(batch.failures.is_empty());
        let scored = scores(&mut net, "data", &head, &batch.input, 1)?;
        for (&i, s) in batch.photos.iter().zip(&scored) {
            tally.add(s, classes[i]);
        }
        Ok(())
    })
    .expect("all photos");
    let a = tally.accuracy();
    println!("SqueezeNet v1.0: top1 {:.2} %, top5 {:.2} %", 100.0 * a.top1, 100.0 * a.top5);
    assert_eq!(a.photos, 400);
    assert!((a.top1 - 0.63).abs() <= 0.01 && (a.top5 - 0.8475).abs() <= 0.01, "{a:?}");
}
