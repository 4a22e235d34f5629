//! The architectures of Caffe's zoo: loaded, filled at random, run; and equal to the published files.

mod common;

use common::shared;
use likenet::net::{
    Description, Graph, Keep, Net, NetState, Options, Plan, Summary, architectures,
};
use likenet::shape::Shape;

/// Side of the picture, parameters, and multiply-adds of one picture.
const KNOWN: [(&str, usize, usize, u64); 6] = [
    ("alexnet", 227, 60_965_224, 724_406_816),
    ("caffenet", 227, 60_965_224, 724_406_816),
    ("googlenet", 224, 6_998_552, 1_582_671_872),
    ("squeezenet10", 227, 1_248_424, 861_339_936),
    ("squeezenet11", 224, 1_235_496, 349_151_936),
    ("vgg16", 224, 138_357_544, 15_470_264_320),
];

fn summary(description: &Description, inputs: &[(String, Shape)]) -> Summary {
    let graph = Graph::new(description, inputs, Some(1)).expect("graph");
    Summary::new(&graph, &Plan::new(&graph, &Keep::Outputs))
}

#[test]
fn parameters_and_multiply_adds_are_the_published_ones() {
    for (a, (name, side, params, macs)) in architectures().iter().zip(KNOWN) {
        assert_eq!(a.name, name);
        let d = Description::parse(a.name, a.prototxt, &NetState::default()).expect("description");
        let picture = Shape::new([1, 3, side, side]).expect("shape");
        let total = summary(&d, &[("data".into(), picture)]).total;
        assert_eq!((total.params, total.macs), (params, macs), "{name}");
        assert!(total.slot_bytes * 2 < total.blob_bytes, "{name}: slots are reused");
    }
}

#[test]
fn random_networks_run_and_give_probabilities() {
    for a in architectures() {
        let options = Options { batch: Some(1), ..Options::default() };
        let mut net = Net::parse(a.name, a.prototxt, options).expect("network");
        net.randomise(7);
        let count = net.input_shape("data").expect("input").count();
        let picture: Vec<f32> = (0..count).map(|i| (i * 7919 % 255) as f32 - 127.0).collect();
        net.set_input("data", &picture).expect("input");
        net.forward().expect("forward");
        let prob = net.blob("prob").expect("prob");
        let sum: f32 = prob.data().iter().sum();
        assert_eq!(prob.data().len(), 1000, "{}", a.name);
        assert!((sum - 1.0).abs() < 1e-4, "{}: {sum}", a.name);
    }
}

#[test]
fn built_in_architectures_equal_the_published_files() {
    let pairs = [
        ("alexnet", "bvlc_alexnet"),
        ("caffenet", "bvlc_reference_caffenet"),
        ("googlenet", "bvlc_googlenet"),
    ];
    for (ours, theirs) in pairs {
        let Some(path) = shared(&format!("data/zoo/{theirs}/deploy.prototxt")) else { return };
        let a = architectures().iter().find(|a| a.name == ours).expect("built in");
        let ours = Description::parse(ours, a.prototxt, &NetState::default()).expect("ours");
        let theirs = Description::read(&path, &NetState::default()).expect("theirs");
        let rows = |d: &Description| {
            let rows = summary(d, &[]).layers.into_iter();
            rows.map(|r| (r.kind, r.tops, r.params, r.macs)).collect::<Vec<_>>()
        };
        // Branches may be listed in another order; what is computed is the same.
        let (mut ours, mut theirs) = (rows(&ours), rows(&theirs));
        ours.sort();
        theirs.sort();
        assert_eq!(ours, theirs);
    }
}

#[test]
fn published_training_descriptions_load_in_both_phases() {
    use likenet::layer::Phase;
    let Some(zoo) = shared("data/zoo") else { return };
    for folder in std::fs::read_dir(zoo).expect("zoo") {
        let path = folder.expect("folder").path().join("train_val.prototxt");
        for phase in [Phase::Train, Phase::Test] {
            let state = NetState { phase, ..NetState::default() };
            let d = Description::read(&path, &state).expect("description");
            let graph = Graph::new(&d, &[], Some(2)).expect("graph");
            let losses = graph.blobs.iter().filter(|b| b.loss_weight != 0.0).count();
            assert!(losses >= 1, "{}: a loss in {phase:?}", path.display());
        }
    }
}
