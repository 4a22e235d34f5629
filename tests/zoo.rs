//! The architectures of Caffe's zoo: loaded, filled at random, run; and equal to the published files.

mod common;

use common::{relative_error, shared};
use likenet::backend::Reference;
use likenet::net::{
    Architecture, Description, Graph, Keep, Net, NetState, Options, Plan, Summary, architectures,
};
use likenet::shape::Shape;

/// Side of the picture, parameters, and multiply-adds of one picture.
const KNOWN: [(&str, usize, usize, u64); 7] = [
    ("alexnet", 227, 60_965_224, 724_406_816),
    ("caffenet", 227, 60_965_224, 724_406_816),
    ("compact", 28, 406_330, 47_226_368),
    ("googlenet", 224, 6_998_552, 1_582_671_872),
    ("squeezenet10", 227, 1_248_424, 861_339_936),
    ("squeezenet11", 224, 1_235_496, 349_151_936),
    ("vgg16", 224, 138_357_544, 15_470_264_320),
];

fn summary(description: &Description, inputs: &[(String, Shape)]) -> Summary {
    let graph = Graph::new(description, inputs, Some(1)).expect("graph");
    Summary::new(&graph, &Plan::new(&graph, &Keep::Outputs, &Reference::new(), None, 1))
}

#[test]
fn parameters_and_multiply_adds_are_the_published_ones() {
    assert_eq!(architectures().len(), KNOWN.len());
    for (a, (name, side, params, macs)) in architectures().iter().zip(KNOWN) {
        assert_eq!(a.name, name);
        let d = Description::parse(a.name, a.prototxt, &NetState::default()).expect("description");
        let picture = Shape::new([1, 3, side, side]).expect("shape");
        let total = summary(&d, &[("data".into(), picture)]).total;
        assert_eq!((total.params, total.macs), (params, macs), "{name}");
        assert!(total.slot_bytes * 2 < total.blob_bytes, "{name}: slots are reused");
    }
}

/// What a network with random weights says of a picture made of numbers.
fn probabilities(a: &Architecture, backend: &str, keep: Keep) -> Vec<f32> {
    let options = Options { backend: backend.into(), batch: Some(1), keep, ..Options::default() };
    let mut net = Net::parse(a.name, a.prototxt, options).expect("network");
    net.randomise(7);
    let count = net.input_shape("data").expect("input").count();
    let picture: Vec<f32> = (0..count).map(|i| (i * 7919 % 255) as f32 / 64.0 - 2.0).collect();
    net.set_input("data", &picture).expect("input");
    net.forward().expect("forward");
    net.blob("prob").expect("prob").data().to_vec()
}

#[test]
fn reused_slots_and_fusions_give_the_same_bits_in_every_network() {
    for a in architectures() {
        let few = probabilities(a, "cpu", Keep::Outputs);
        assert_eq!(few, probabilities(a, "cpu", Keep::All), "{}", a.name);
        let spread = few.iter().fold(0f32, |m, p| m.max(*p));
        assert!(spread > 1.5e-3 && spread < 1.0, "{}: a telling output, {spread}", a.name);
    }
}

#[test]
fn a_network_with_branches_is_the_same_on_both_backends() {
    let a = architectures().iter().find(|a| a.name == "squeezenet11").expect("built in");
    let cpu = probabilities(a, "cpu", Keep::Outputs);
    let error = relative_error(&cpu, &probabilities(a, "reference", Keep::Outputs));
    assert!(error < 1e-4, "{error:e}");
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
