//! What `classify`, `explain` and `features` share: which network, which weights, how photos become its input.

use super::compute::ComputeArgs;
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use likenet::feed::{Preparation, Views};
use likenet::image::{
    ChannelOrder, Classifier, ClassifierOptions, Limits, Mean, MeanImage, Resize, Size,
    fingerprint, list_pictures,
};
use likenet::net::{Keep, Net, Options, Trained, trained};
use likenet::shape::Shape;
use likenet::{Error, Result};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A network, its weights and its inputs.
#[derive(Args)]
pub struct NetArgs {
    /// Network description (Caffe's deploy.prototxt, of any age)
    #[arg(long, value_name = "PROTOTXT")]
    pub net: Option<PathBuf>,
    /// Weights: .caffemodel or .safetensors
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,
    /// A known network by name: compact is built in, others are fetched on first use: see `likenet weights fetch --list`
    #[arg(long, value_name = "NAME", conflicts_with_all = ["net", "weights"])]
    pub model: Option<String>,
    /// Where fetched networks are kept
    #[arg(long, value_name = "DIR", default_value = "models")]
    pub models: PathBuf,
    /// Fetch the known network from a mirror with this address instead of the public ones
    #[arg(long, value_name = "URL", requires = "model")]
    pub base_url: Option<String>,
    /// Mean to subtract: B,G,R values, a .binaryproto or a .npy
    #[arg(long, value_name = "MEAN")]
    pub mean: Option<String>,
    /// How photos are resized
    #[arg(long, value_enum, default_value_t = ResizeArg::Antialias)]
    pub resize: ResizeArg,
    /// Photos are resized to this before the crop: SIDE or HEIGHT,WIDTH [default: 256, or the
    /// input's size if that is larger]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub image_dims: Option<Size>,
    /// Order of the network's colour planes
    #[arg(long, value_enum, default_value_t = OrderArg::Bgr)]
    pub channels: OrderArg,
    /// Photos' values (0 to 1) are multiplied by this before the mean is subtracted
    #[arg(long, value_name = "X", default_value_t = 255.0)]
    pub raw_scale: f32,
    /// …and by this after [default: 1, or what the known network wants]
    #[arg(long, value_name = "X")]
    pub input_scale: Option<f32>,
    #[command(flatten)]
    pub compute: ComputeArgs,
    /// Crops in a batch; a photo has one, two with --flip, ten with --oversample
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub batch: u16,
    /// Shape of an input that the description leaves open, as in data=1,3,227,227
    #[arg(long, value_name = "NAME=SHAPE", value_parser = parse_input)]
    pub input: Vec<(String, Shape)>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ResizeArg {
    /// Bilinear over the whole area that a pixel covers, as Pillow does
    Antialias,
    /// Nearly the same, faster: JPEGs are decoded at a part of their size, SIMD kernels do the rest
    Fast,
    /// As pycaffe's Classifier: bilinear without anti-aliasing
    Pycaffe,
    /// As Caffe's data layers: OpenCV's bilinear
    Opencv,
    /// Not at all: photos are cropped as they are
    None,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OrderArg {
    Bgr,
    Rgb,
}

fn parse_size(text: &str) -> std::result::Result<Size, String> {
    let sides: Option<Vec<usize>> = text.split([',', 'x']).map(|s| s.trim().parse().ok()).collect();
    match sides.as_deref() {
        Some([side]) if *side > 0 => Ok(Size::square(*side)),
        Some([h, w]) if *h > 0 && *w > 0 => Ok(Size::new(*h, *w)),
        _ => Err("needs SIDE or HEIGHT,WIDTH".into()),
    }
}

pub fn parse_input(text: &str) -> std::result::Result<(String, Shape), String> {
    let wrong = "needs NAME=N,C,H,W, as in data=1,3,227,227";
    let (name, dims) = text.split_once('=').ok_or(wrong)?;
    let dims: Option<Vec<usize>> = dims.split(',').map(|d| d.trim().parse().ok()).collect();
    Ok((name.to_string(), Shape::new(dims.ok_or(wrong)?)?))
}

/// Everything that a command needs before the first photo.
pub struct Ready {
    pub net: Net,
    /// The input blob.
    pub input: String,
    pub preparation: Preparation,
    pub photos: Vec<PathBuf>,
    /// Names of the classes, where the model brings them.
    pub labels: Option<PathBuf>,
    /// Photos in a batch.
    pub batch: usize,
    /// Everything that a result depends on, in words.
    pub settings: String,
}

impl NetArgs {
    /// Reads the network and lists the photos.
    pub fn ready(&self, paths: &[PathBuf], keep: Keep, views: Views) -> Result<Ready> {
        let files = self.files()?;
        let mut photos = Vec::new();
        for path in paths {
            photos.extend(list_pictures(path)?.into_iter().map(|p| p.path));
        }
        if photos.is_empty() {
            let names: Vec<String> = paths.iter().map(|p| p.display().to_string()).collect();
            return Err(Error::Invalid(format!("no pictures in {}", names.join(", "))));
        }
        let batch = (self.batch as usize / views.count()).clamp(1, photos.len());
        let options = Options {
            keep,
            batch: Some(batch * views.count()),
            inputs: self.input.clone(),
            ..self.compute.options()
        };
        let net = Net::load(&files.net, &files.weights, options)?;
        let input = net.picture_input()?.to_string();
        let classifier = self.classifier(&files, net.input_shape(&input)?)?;
        let settings = self.settings(&files, &classifier, &photos, views)?;
        let preparation =
            Preparation { classifier, views, limits: Limits::default(), spent: Default::default() };
        Ok(Ready { net, input, preparation, photos, labels: files.labels, batch, settings })
    }

    fn files(&self) -> Result<Files> {
        if let Some(built_in) = self.model.as_deref().and_then(trained) {
            return unpack(&built_in, &self.models);
        }
        if let Some(model) = &self.model {
            return super::weights::ensure(model, &self.models, self.base_url.as_deref());
        }
        match (&self.net, &self.weights) {
            (Some(net), Some(weights)) => Ok(Files::new(net.clone(), weights.clone())),
            _ => Err(Error::Invalid("needs --net and --weights, or --model".into())),
        }
    }

    fn classifier(&self, files: &Files, input: &Shape) -> Result<Classifier> {
        let [_, channels, height, width] = input.nchw().map_err(Error::Invalid)?;
        if channels != 3 {
            return Err(Error::Invalid(format!(
                "the network's input has {channels} channels; photos have 3"
            )));
        }
        let crop = Size::new(height, width);
        let side = files.side.unwrap_or(256);
        let default_dims = Size::new(height.max(side), width.max(side));
        let mean = match (&self.mean, files.mean) {
            (Some(text), _) => read_mean(text)?,
            (None, Some(known)) => Mean::Channels(known),
            (None, None) => {
                eprintln!(
                    "note: no --mean given, so none is subtracted; networks of Caffe's zoo want \
                     --mean 104,117,123 (or --mean none to say that this is meant)"
                );
                Mean::None
            }
        };
        Ok(Classifier::new(ClassifierOptions {
            image_dims: self.image_dims.unwrap_or(default_dims),
            crop,
            channel_order: match self.channels {
                OrderArg::Bgr => ChannelOrder::Bgr,
                OrderArg::Rgb => ChannelOrder::Rgb,
            },
            mean,
            raw_scale: self.raw_scale,
            input_scale: self.input_scale.or(files.scale).unwrap_or(1.0),
            resize: match self.resize {
                ResizeArg::Antialias => Resize::Antialias,
                ResizeArg::Fast => Resize::Fast,
                ResizeArg::Pycaffe => Resize::Pycaffe,
                ResizeArg::Opencv => Resize::OpenCv,
                ResizeArg::None => Resize::None,
            },
        })?)
    }

    /// In words: files with their sizes and times, preparation, and a fingerprint of the photos' list.
    fn settings(
        &self,
        files: &Files,
        classifier: &Classifier,
        photos: &[PathBuf],
        views: Views,
    ) -> Result<String> {
        let stamp = |path: &Path| -> Result<String> {
            let meta = std::fs::metadata(path).map_err(Error::io(path))?;
            Ok(format!("{} ({} bytes, {:?})", path.display(), meta.len(), meta.modified().ok()))
        };
        let o = classifier.options();
        let mean = match &o.mean {
            Mean::Image(image) => {
                format!("an image with channel means {:?}", image.channel_means())
            }
            mean => format!("{mean:?}"),
        };
        let mean = match self.mean.as_deref().map(Path::new).filter(|p| p.is_file()) {
            Some(file) => format!("{mean} from {}", stamp(file)?),
            None => mean,
        };
        Ok(format!(
            "net {}; weights {}; backend {}; {views:?}; resize {:?} to {:?}, crop {:?}, {:?}, scales \
             {} {}, mean {mean}; {} photos, list {:016x}",
            stamp(&files.net)?,
            stamp(&files.weights)?,
            self.compute.words(),
            o.resize,
            o.image_dims,
            o.crop,
            o.channel_order,
            o.raw_scale,
            o.input_scale,
            photos.len(),
            fingerprint(photos),
        ))
    }
}

/// The files of a network.
pub struct Files {
    pub net: PathBuf,
    pub weights: PathBuf,
    /// The mean that a known model wants.
    pub mean: Option<[f32; 3]>,
    /// Names of its classes.
    pub labels: Option<PathBuf>,
    /// The side that it wants photos resized to, and the factor after the mean.
    pub side: Option<usize>,
    pub scale: Option<f32>,
}

impl Files {
    /// A network of which nothing else is known.
    pub fn new(net: PathBuf, weights: PathBuf) -> Self {
        Self { net, weights, mean: None, labels: None, side: None, scale: None }
    }
}

/// A built-in network's files below `folder`.
fn unpack(model: &Trained, folder: &Path) -> Result<Files> {
    let files = model.unpack(folder)?;
    Ok(Files {
        mean: Some(model.mean),
        labels: Some(files.labels),
        side: Some(model.side),
        scale: Some(model.scale),
        ..Files::new(files.net, files.weights)
    })
}

fn read_mean(text: &str) -> Result<Mean> {
    let path = Path::new(text);
    let blob = match path.extension().and_then(|e| e.to_str()) {
        Some("npy") => weights_tools::npy::read_f32(path)?,
        Some("binaryproto") => weights_tools::read_binaryproto(path)?,
        _ => return Ok(text.parse::<Mean>()?),
    };
    // A .npy may hold the three channel means instead of a picture.
    if let [b, g, r] = blob.data[..] {
        return Ok(Mean::Channels([b, g, r]));
    }
    Ok(Mean::Image(MeanImage::new(&blob.shape, blob.data)?))
}

/// A bar with photos a second and the time left, on a terminal; nothing elsewhere.
pub fn progress_bar(photos: usize) -> ProgressBar {
    let style =
        ProgressStyle::with_template("{wide_bar} {pos}/{len} photos  {per_sec}  {eta} left");
    let bar = ProgressBar::new(photos as u64);
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
