//! The network itself learns. Flows in: photos with their labels. Flows out: a network with a new last layer, and what
//! it says of the test photos.

use super::features::of_photos;
use super::network;
use super::project::Project;
use super::rank::{About, Scored, write};
use super::sets::{Photo, Set, paths, photos};
use crate::error::{Error, Result};
use crate::feed::Views;
use crate::learn::Source;
use crate::net::Head;
use crate::photos::watch::Watch;
use crate::report::{Record, Writer};
use crate::score::Network;
use crate::solver::{Settings, snapshot};
use crate::training::{Class, Event, MeanOf, Options, Photos, Plan, Recipe, Trainer, live};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The weights of the network that learned.
pub(super) const WEIGHTS: &str = "models/network.caffemodel";

/// Its name among the models.
const NAME: &str = "network";

/// The recipe, the snapshots, the log and the curves.
pub(super) const FOLDER: &str = "finetune";

/// What the network says of the test photos, until it is in the store.
const SCORES: &str = "finetune/scores.safetensors";

/// The log of a study's training.
pub fn training_log(project: &Project) -> PathBuf {
    project.file(FOLDER).join("log.jsonl")
}

pub(super) fn finetune(project: &mut Project, watch: &dyn Watch) -> Result<String> {
    project.store.change(|db| {
        db.execute("DELETE FROM scores WHERE model = ?1", [NAME])?;
        db.execute("DELETE FROM models WHERE name = ?1", [NAME])
    })?;
    if project.config.finetune.iterations == 0 {
        return Ok("not asked for".into());
    }
    let set = Set::all(project.config.filter.by)[0];
    let all = photos(project, set)?;
    let network = network::of(project)?;
    let folder = project.file(FOLDER);
    std::fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
    let head = write_recipe(project, &network, &all, &folder)?;
    let state = train(project, &network, &head, &folder, watch)?;
    let weights = project.file(WEIGHTS);
    let learnt = state.with_extension("caffemodel");
    weights_tools::write_file(&weights, std::fs::read(&learnt).map_err(Error::io(&learnt))?)?;
    let tests: Vec<Photo> = all.iter().filter(|photo| photo.test).cloned().collect();
    let scored = score(project, &network, &weights, &tests, watch)?;
    let about = About {
        name: NAME,
        set,
        features: "photos".into(),
        method: format!("fine-tuned {}", network.name),
        learnt: all.len() - tests.len(),
    };
    write(project, &about, &scored)
}

fn prefix(folder: &Path) -> String {
    folder.join("likes").display().to_string()
}

/// Writes the recipe. Gives the new layer's name.
fn write_recipe(
    project: &Project,
    network: &Network,
    all: &[Photo],
    folder: &Path,
) -> Result<String> {
    let config = &project.config.finetune;
    let class = |good: bool, name: &str| {
        let part = |test: bool| {
            let chosen = all.iter().filter(|p| p.good == good && p.test == test).cloned();
            paths(project, &chosen.collect::<Vec<_>>())
        };
        Class { name: name.into(), train: part(false), test: part(true) }
    };
    let recipe = Recipe {
        photos: Photos::Classes(vec![class(false, "bad"), class(true, "good")]),
        net: (network.name.clone(), network.text.clone()),
        head: Head {
            layer: None,
            name: None,
            suffix: "_likes".into(),
            classes: 2,
            rate: 10.0,
            learn_from: None,
        },
        batch: config.batch,
        side: network.side,
        mean: MeanOf::Values(network.mean.to_vec()),
        scale: network.scale,
        base_lr: config.rate,
        gamma: config.gamma,
        step: config.step,
        max_iter: config.iterations,
        momentum: 0.9,
        weight_decay: 0.0005,
        test_interval: config.iterations,
        snapshot: config.snapshot.max(1),
        seed: config.seed,
    };
    Ok(recipe.write(folder)?.head)
}

/// Trains to the end, from the newest snapshot if there is one. Gives the last state's path.
fn train(
    project: &Project,
    network: &Network,
    head: &str,
    folder: &Path,
    watch: &dyn Watch,
) -> Result<PathBuf> {
    let mut settings = Settings::read(&folder.join("solver.prototxt"))?;
    settings.random_seed = Some(project.config.finetune.seed);
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    let options = Options {
        weights: vec![network.weights.clone()],
        base: folder.to_path_buf(),
        data_threads: cores,
        skip_broken: true,
        ..Options::default()
    };
    let iterations = settings.max_iter;
    let mut trainer = Trainer::new(settings, options)?;
    if let Some(other) = trainer.untrained().iter().find(|name| *name != head) {
        return Err(Error::Invalid(format!(
            "[features] weights: they lack layer {other} of {}: another network's",
            network.name
        )));
    }
    let state = snapshot::latest(&prefix(folder));
    if let Some(state) = &state {
        trainer.resume(state)?;
    }
    watch.begin("iterations", Some(iterations as u64));
    let log = training_log(project);
    let (mut writer, mut records) = Writer::open(&log, trainer.iter())?;
    let mut last = state;
    let live = live::beside(&log);
    let plan = Plan { look: Some(Duration::from_secs(live::OFTEN)), ..Plan::default() };
    trainer.run(plan, &mut |event| {
        let record = match event {
            Event::Stepped(step) => {
                watch.at(step.iter as u64 + 1);
                Record::Iteration(step)
            }
            Event::Tested(test) => Record::Test(test),
            Event::Saved(state) => {
                last = Some(state);
                return Ok(());
            }
            Event::Seen(glimpse) => return glimpse.write(&live),
            Event::Testing => return Ok(()),
        };
        writer.write(&record)?;
        records.push(record);
        Ok(())
    })?;
    if !records.is_empty() {
        crate::report::draw(&records, &network.name, &folder.join("curves.svg"))?;
    }
    last.ok_or_else(|| Error::Invalid("the training left no weights".into()))
}

/// What the network says of photos: the probability that they are good.
fn score<'a>(
    project: &Project,
    network: &Network,
    weights: &Path,
    tests: &'a [Photo],
    watch: &dyn Watch,
) -> Result<Vec<Scored<'a>>> {
    let text = weights_tools::read_text(&project.file(FOLDER).join("deploy.prototxt"))?;
    let learned = Network {
        name: "network".into(),
        text,
        weights: weights.to_path_buf(),
        mean: network.mean,
        scale: network.scale,
        side: network.side,
    };
    let files = paths(project, tests);
    let out = project.file(SCORES);
    let layers = ["prob".to_string()];
    let written = of_photos(&learned, &files, &layers, Views::Centre, &out, watch)?.files;
    let source = Source {
        features: &out,
        blob: Some("prob"),
        labels: None,
        group: None,
        positive: None,
        layout: None,
    };
    let table = source.read()?;
    let names = table.names.unwrap_or_default();
    let mut values = vec![0.0; table.matrix.columns()];
    let places: HashMap<&Path, usize> = files.iter().map(PathBuf::as_path).zip(0..).collect();
    let mut scored = vec![];
    for (row, name) in names.iter().enumerate() {
        let Some(&place) = places.get(Path::new(name)) else { continue };
        table.matrix.read_row(row, &mut values);
        let probability = f64::from(values[1]);
        scored.push(Scored { photo: &tests[place], score: probability, probability });
    }
    written.iter().try_for_each(|file| std::fs::remove_file(file).map_err(Error::io(file)))?;
    Ok(scored)
}
