//! The study's recipe: a trained network learns to tell classes of photos apart.
//!
//! Flows in: folders of photos, a network with its weights. Flows out: Caffe's own files in one folder, for
//! [`Trainer`](super::Trainer) or for Caffe: lists of photos, `train_val.prototxt`, `solver.prototxt`, and
//! `deploy.prototxt` for the trained network.

use crate::data::Items;
use crate::error::{Error, Result};
use crate::image::list_pictures;
use crate::net::{Head, Net, Options, with_head};
use crate::rng::Rng;
use std::fs;
use std::path::{Path, PathBuf};
use weights_tools::proto::{
    BlobShape, ImageDataParameter, InputParameter, LayerParameter, NetParameter, NetStateRule,
    Phase, TransformationParameter,
};

/// What is learnt from what, and how.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// What is learnt from and tested with.
    pub photos: Photos,
    /// File name of the network's description, for errors, and its text.
    pub net: (String, String),
    /// The layer that is replaced, its new name and its rate; the classes follow from the photos.
    pub head: Head,
    /// Photos of an iteration.
    pub batch: usize,
    /// Photos are resized to squares of this side before the crop.
    pub side: usize,
    /// What is subtracted: blue, green, red; or a `.binaryproto`.
    pub mean: MeanOf,
    /// What pictures are multiplied by then.
    pub scale: f32,
    /// The first learning rate.
    pub base_lr: f32,
    /// It is multiplied by this …
    pub gamma: f32,
    /// … every so many iterations.
    pub step: usize,
    /// Iterations in all.
    pub max_iter: usize,
    /// Momentum.
    pub momentum: f32,
    /// Weight decay.
    pub weight_decay: f32,
    /// Iterations between two tests.
    pub test_interval: usize,
    /// Iterations between two snapshots.
    pub snapshot: usize,
    /// Seed of the split, and of everything random in the training.
    pub seed: u64,
}

/// Photos of classes.
#[derive(Clone, Debug)]
pub enum Photos {
    /// Folders, one for each class, or one that holds a folder for each class; one photo of so many is kept for
    /// tests.
    Folders(Vec<PathBuf>, usize),
    /// Photos that somebody has dealt already.
    Classes(Vec<Class>),
}

/// A class's photos.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class {
    /// Its name.
    pub name: String,
    /// Photos to learn from.
    pub train: Vec<PathBuf>,
    /// Photos to test with.
    pub test: Vec<PathBuf>,
}

/// What is subtracted from pictures.
#[derive(Clone, Debug, PartialEq)]
pub enum MeanOf {
    /// One value for each channel: blue, green, red.
    Values(Vec<f32>),
    /// A mean picture.
    File(PathBuf),
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The solver.
    pub solver: PathBuf,
    /// The network as it will be used.
    pub deploy: PathBuf,
    /// The layer that begins anew.
    pub head: String,
    /// For each class its name, and its photos to learn from and to test with.
    pub classes: Vec<(String, usize, usize)>,
}

impl Recipe {
    /// Writes all files into `folder`, each at once.
    ///
    /// Fails when there are fewer than two classes, a class has too few photos, or the network has no such
    /// layer.
    pub fn write(&self, folder: &Path) -> Result<Written> {
        fs::create_dir_all(folder).map_err(Error::io(folder))?;
        let classes = self.split()?;
        let file = |name: &str, text: String| -> Result<PathBuf> {
            let path = folder.join(name);
            weights_tools::write_file(&path, text)?;
            Ok(path)
        };
        let list = |of: fn(&Class) -> &[PathBuf]| {
            let lines = classes.iter().enumerate().flat_map(|(label, class)| {
                of(class).iter().map(move |photo| format!("{} {label}\n", photo.display()))
            });
            lines.collect::<String>()
        };
        file("train.txt", list(|c| &c.train))?;
        file("test.txt", list(|c| &c.test))?;
        let names = classes.iter().map(|c| format!("{}\n", c.name));
        file("classes.txt", names.collect())?;
        let tests: usize = classes.iter().map(|c| c.test.len()).sum();
        let (train_val, deploy, head) = self.networks(classes.len() as u32)?;
        file("train_val.prototxt", weights_tools::print_net_text(&train_val))?;
        let deploy = file("deploy.prototxt", weights_tools::print_net_text(&deploy))?;
        let solver = file("solver.prototxt", self.solver(folder, tests))?;
        let counts = classes.into_iter().map(|c| (c.name, c.train.len(), c.test.len()));
        Ok(Written { solver, deploy, head, classes: counts.collect() })
    }

    /// Each class's photos; those of a folder in a random order, cut in two.
    fn split(&self) -> Result<Vec<Class>> {
        let (folders, share) = match &self.photos {
            Photos::Folders(folders, share) => (folders, (*share).max(1)),
            Photos::Classes(classes) => return checked(classes),
        };
        let mut classes = vec![];
        for (label, (name, folder)) in Items::class_folders(folders)?.into_iter().enumerate() {
            let listed = list_pictures(&folder)?.into_iter();
            let mut photos: Vec<PathBuf> = listed
                .map(|p| p.path.canonicalize().map_err(Error::io(&p.path)))
                .collect::<Result<_>>()?;
            let mut rng = Rng::new(self.seed.wrapping_add((label as u64) << 32));
            rng.shuffle(&mut photos);
            let tests = photos.len() / share;
            if tests == 0 || tests == photos.len() {
                return Err(Error::Invalid(format!(
                    "{}: {} photos cannot be split {}:1 into some to learn from and some to test with",
                    folder.display(),
                    photos.len(),
                    share - 1
                )));
            }
            let train = photos.split_off(tests);
            classes.push(Class { name, train, test: photos });
        }
        Ok(classes)
    }

    /// The network that learns and is tested, the one that will be used, and the head's name.
    fn networks(&self, classes: u32) -> Result<(NetParameter, NetParameter, String)> {
        let (file, text) = &self.net;
        let net = weights_tools::upgrade(weights_tools::parse_net_text(file, text)?)?;
        let whole = Net::parse(file, text, Options { batch: Some(1), ..Options::default() })?;
        let inputs = whole.input_names().into_iter().map(|n| Ok((n, whole.input_shape(n)?.dims())));
        let inputs = inputs.collect::<Result<Vec<_>>>()?;
        let (input, crop) = match inputs.as_slice() {
            [(name, [_, 3, h, w])] if h == w => (name.to_string(), *h as u32),
            _ => {
                return Err(Error::Invalid(format!(
                    "{file}: needs one input of square pictures with three channels"
                )));
            }
        };
        if self.side < crop as usize {
            return Err(Error::Invalid(format!(
                "photos of {} pixels are too small for the network's {crop}",
                self.side
            )));
        }
        let head = Head { classes, ..self.head.clone() };
        let (mut train_val, name) =
            with_head(net, &head).map_err(|reason| Error::Invalid(format!("{file}: {reason}")))?;
        let mut deploy = train_val.clone();
        deploy.layer.retain(|l| !matches!(l.r#type(), "SoftmaxWithLoss" | "Accuracy"));
        let scores = deploy.layer.last().and_then(|l| l.top.first().cloned()).unwrap_or_default();
        deploy.layer.insert(0, input_layer(&input, crop));
        deploy.layer.push(LayerParameter {
            name: Some("prob".into()),
            r#type: Some("Softmax".into()),
            bottom: vec![scores],
            top: vec!["prob".into()],
            ..Default::default()
        });
        for (phase, list) in [(Phase::Test, "test.txt"), (Phase::Train, "train.txt")] {
            train_val.layer.insert(0, self.data_layer(&input, phase, list, crop));
        }
        Ok((train_val, deploy, name))
    }

    fn data_layer(&self, input: &str, phase: Phase, list: &str, crop: u32) -> LayerParameter {
        let train = phase == Phase::Train;
        let (mean_value, mean_file) = match &self.mean {
            MeanOf::Values(values) => (values.clone(), None),
            MeanOf::File(path) => (vec![], Some(path.display().to_string())),
        };
        LayerParameter {
            name: Some("data".into()),
            r#type: Some("ImageData".into()),
            top: vec![input.into(), "label".into()],
            include: vec![NetStateRule { phase: Some(phase.into()), ..Default::default() }],
            transform_param: Some(TransformationParameter {
                crop_size: Some(crop),
                mirror: Some(train),
                scale: Some(self.scale),
                mean_value,
                mean_file,
                ..Default::default()
            }),
            image_data_param: Some(ImageDataParameter {
                source: Some(list.into()),
                batch_size: Some(self.batch as u32),
                shuffle: Some(train),
                new_height: Some(self.side as u32),
                new_width: Some(self.side as u32),
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    fn solver(&self, folder: &Path, tests: usize) -> String {
        format!(
            "net: \"train_val.prototxt\"\ntest_iter: {}\ntest_interval: {}\nbase_lr: {}\nlr_policy: \"step\"\n\
             gamma: {}\nstepsize: {}\nmax_iter: {}\nmomentum: {}\nweight_decay: {}\ndisplay: 20\n\
             average_loss: 20\nsnapshot: {}\nsnapshot_prefix: \"{}\"\nrandom_seed: {}\n",
            tests.div_ceil(self.batch),
            self.test_interval,
            self.base_lr,
            self.gamma,
            self.step,
            self.max_iter,
            self.momentum,
            self.weight_decay,
            self.snapshot,
            folder.join("likes").display().to_string().replace('\\', "/"),
            self.seed
        )
    }
}

/// Classes whose photos were dealt, if there are some of each kind, under their whole paths.
fn checked(classes: &[Class]) -> Result<Vec<Class>> {
    let whole = |photos: &[PathBuf]| -> Result<Vec<PathBuf>> {
        photos.iter().map(|p| p.canonicalize().map_err(Error::io(p))).collect()
    };
    let class = |class: &Class| {
        if class.train.is_empty() || class.test.is_empty() {
            let name = &class.name;
            return Err(Error::Invalid(format!(
                "class {name}: no photos to learn from, or to test with"
            )));
        }
        Ok(Class {
            name: class.name.clone(),
            train: whole(&class.train)?,
            test: whole(&class.test)?,
        })
    };
    classes.iter().map(class).collect()
}

fn input_layer(name: &str, crop: u32) -> LayerParameter {
    let dim = vec![1, 3, i64::from(crop), i64::from(crop)];
    LayerParameter {
        name: Some("input".into()),
        r#type: Some("Input".into()),
        top: vec![name.into()],
        input_param: Some(InputParameter { shape: vec![BlobShape { dim }] }),
        ..Default::default()
    }
}
