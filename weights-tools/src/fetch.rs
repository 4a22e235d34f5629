//! Published models by name: a name in, verified files on the disk out.
//!
//! A download is kept as `NAME.part` until it is complete and verified; an interrupted one goes on
//! where it stopped. Nothing is fetched unless the caller asks for it.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::blocking::{Client, Response};
use reqwest::header::{CONTENT_RANGE, RANGE};
use sha1::Digest as _;

use crate::Error;

/// A checksum, in lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sum {
    /// SHA-1: what the model zoo publishes.
    Sha1(String),
    /// SHA-256.
    Sha256(String),
}

impl Sum {
    /// Reads a sum by its length: 40 digits are SHA-1, 64 are SHA-256.
    pub fn parse(digits: &str) -> Option<Sum> {
        let digits = digits.trim().to_ascii_lowercase();
        if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        match digits.len() {
            40 => Some(Sum::Sha1(digits)),
            64 => Some(Sum::Sha256(digits)),
            _ => None,
        }
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Sum::Sha1(digits) => write!(f, "SHA-1 {digits}"),
            Sum::Sha256(digits) => write!(f, "SHA-256 {digits}"),
        }
    }
}

/// A published model.
#[derive(Debug, Clone, PartialEq)]
pub struct KnownModel {
    /// The name to ask for.
    pub name: &'static str,
    /// What it is, in a sentence.
    pub about: &'static str,
    /// The weights.
    pub weights: &'static str,
    /// The weights' SHA-1; `None` where no published one was found.
    pub sha1: Option<&'static str>,
    /// Who published the sum.
    pub sha1_from: &'static str,
    /// The network's prototxt for classifying.
    pub prototxt: &'static str,
    /// What to subtract from each channel: blue, green, red.
    pub mean_bgr: [f32; 3],
    /// The 1000 class names, one a line.
    pub labels: &'static str,
}

impl KnownModel {
    /// The published sum.
    pub fn sum(&self) -> Option<Sum> {
        self.sha1.map(|digits| Sum::Sha1(digits.to_owned()))
    }
}

/// What the model zoo says to subtract for nets trained with its mean picture.
const ZOO_MEAN: [f32; 3] = [104.0, 117.0, 123.0];
/// What the VGG models' descriptions say.
const VGG_MEAN: [f32; 3] = [103.939, 116.779, 123.68];
/// A plain copy of the zoo's `synset_words.txt`, at a tag.
const LABELS: &str =
    "https://raw.githubusercontent.com/opencv/opencv/3.4.0/samples/data/dnn/synset_words.txt";
const ZOO_README: &str = "the model's readme in the Caffe model zoo";

const KNOWN: [KnownModel; 7] = [
    KnownModel {
        name: "caffenet",
        about: "BVLC reference CaffeNet: AlexNet with pooling before normalisation, 233 MiB",
        weights: "http://dl.caffe.berkeleyvision.org/bvlc_reference_caffenet.caffemodel",
        sha1: Some("4c8d77deb20ea792f84eb5e6d0a11ca0a8660a46"),
        sha1_from: ZOO_README,
        prototxt: "https://raw.githubusercontent.com/BVLC/caffe/master/models/bvlc_reference_caffenet/deploy.prototxt",
        mean_bgr: ZOO_MEAN,
        labels: LABELS,
    },
    KnownModel {
        name: "alexnet",
        about: "BVLC AlexNet, 233 MiB",
        weights: "http://dl.caffe.berkeleyvision.org/bvlc_alexnet.caffemodel",
        sha1: Some("9116a64c0fbe4459d18f4bb6b56d647b63920377"),
        sha1_from: ZOO_README,
        prototxt: "https://raw.githubusercontent.com/BVLC/caffe/master/models/bvlc_alexnet/deploy.prototxt",
        mean_bgr: ZOO_MEAN,
        labels: LABELS,
    },
    KnownModel {
        name: "googlenet",
        about: "BVLC GoogLeNet, 51 MiB",
        weights: "http://dl.caffe.berkeleyvision.org/bvlc_googlenet.caffemodel",
        sha1: Some("405fc5acd08a3bb12de8ee5e23a96bec22f08204"),
        sha1_from: ZOO_README,
        prototxt: "https://raw.githubusercontent.com/BVLC/caffe/master/models/bvlc_googlenet/deploy.prototxt",
        mean_bgr: ZOO_MEAN,
        labels: LABELS,
    },
    KnownModel {
        name: "vgg16",
        about: "VGG with 16 weight layers, 528 MiB",
        weights: "http://www.robots.ox.ac.uk/~vgg/software/very_deep/caffe/VGG_ILSVRC_16_layers.caffemodel",
        sha1: Some("9363e1f6d65f7dba68c4f27a1e62105cdf6c4e24"),
        sha1_from: "users of the file (mexopencv's samples); the authors publish none",
        prototxt: "https://gist.githubusercontent.com/ksimonyan/211839e770f7b538e2d8/raw/0067c9b32f60362c74f4c445a080beed06b07eb3/VGG_ILSVRC_16_layers_deploy.prototxt",
        mean_bgr: VGG_MEAN,
        labels: LABELS,
    },
    KnownModel {
        name: "vgg19",
        about: "VGG with 19 weight layers, 548 MiB",
        weights: "http://www.robots.ox.ac.uk/~vgg/software/very_deep/caffe/VGG_ILSVRC_19_layers.caffemodel",
        sha1: Some("239785e7862442717d831f682bb824055e51e9ba"),
        sha1_from: "users of the file (MXNet's converter); the authors publish none",
        prototxt: "https://gist.githubusercontent.com/ksimonyan/3785162f95cd2d5fee77/raw/bb2b4fe0a9bb0669211cf3d0bc949dfdda173e9e/VGG_ILSVRC_19_layers_deploy.prototxt",
        mean_bgr: VGG_MEAN,
        labels: LABELS,
    },
    KnownModel {
        name: "squeezenet1.0",
        about: "SqueezeNet 1.0, 5 MiB",
        weights: "https://raw.githubusercontent.com/forresti/SqueezeNet/master/SqueezeNet_v1.0/squeezenet_v1.0.caffemodel",
        // Copies with two different sums are in circulation, and the authors publish none.
        sha1: None,
        sha1_from: "",
        prototxt: "https://raw.githubusercontent.com/forresti/SqueezeNet/master/SqueezeNet_v1.0/deploy.prototxt",
        mean_bgr: ZOO_MEAN,
        labels: LABELS,
    },
    KnownModel {
        name: "squeezenet1.1",
        about: "SqueezeNet 1.1, 5 MiB; as good as 1.0 at less than half the work",
        weights: "https://raw.githubusercontent.com/forresti/SqueezeNet/b5c3f1a23713c8b3fd7b801d229f6b04c64374a5/SqueezeNet_v1.1/squeezenet_v1.1.caffemodel",
        sha1: Some("3397f026368a45ae236403ccc81cfcbe8ebe1bd0"),
        sha1_from: "OpenCV's test data; the authors publish none",
        prototxt: "https://raw.githubusercontent.com/forresti/SqueezeNet/b5c3f1a23713c8b3fd7b801d229f6b04c64374a5/SqueezeNet_v1.1/deploy.prototxt",
        mean_bgr: ZOO_MEAN,
        labels: LABELS,
    },
];

/// All models that can be fetched by name.
pub fn known() -> &'static [KnownModel] {
    &KNOWN
}

/// How far a download is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress<'a> {
    /// The file's name.
    pub file: &'a str,
    /// Bytes on the disk.
    pub done: u64,
    /// Bytes in all, if the server says.
    pub total: Option<u64>,
    /// Something worth a line, such as a retry or a sum being checked.
    pub note: Option<&'a str>,
}

/// A finished download.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Where it is.
    pub path: PathBuf,
    /// Where it came from.
    pub url: String,
    /// Its length.
    pub bytes: u64,
    /// Bytes that came over the network now; 0 if it was here already.
    pub transferred: u64,
    /// Its SHA-256.
    pub sha256: String,
    /// The sum that it was checked against; `None`: nothing to check against, show `sha256` instead.
    pub verified: Option<Sum>,
}

/// A model's finished downloads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchReport {
    /// The weights.
    pub weights: Fetched,
    /// The network. It has no published sum.
    pub prototxt: Fetched,
    /// The class names. They have no published sum.
    pub labels: Fetched,
}

/// How patient a download is.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For a connection.
    pub connect: Duration,
    /// For the next bytes.
    pub read: Duration,
    /// Attempts in a row that bring nothing new before giving up.
    pub attempts: u32,
    /// Before the second attempt; doubled for each further one.
    pub backoff: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Patience {
            connect: Duration::from_secs(15),
            read: Duration::from_secs(30),
            attempts: 4,
            backoff: Duration::from_secs(1),
        }
    }
}

/// Fetches a model into `dir`, as `NAME.caffemodel`, `NAME.prototxt` and `NAME.labels.txt`. A mirror
/// at `base_url_override` is asked for the same file names that the published addresses end in.
/// `expected` replaces the published sum of the weights.
pub fn fetch(
    model: &KnownModel,
    dir: &Path,
    base_url_override: Option<&str>,
    expected: Option<Sum>,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<FetchReport, Error> {
    let address = |url: &str| match base_url_override {
        Some(base) => {
            let name = url.rsplit('/').next().unwrap_or(url);
            format!("{}/{name}", base.trim_end_matches('/'))
        }
        None => url.to_owned(),
    };
    std::fs::create_dir_all(dir).map_err(Error::io(dir, "create"))?;
    let patience = Patience::default();
    let mut one = |url: &str, ending: &str, sum: Option<&Sum>| {
        let path = dir.join(format!("{}.{ending}", model.name));
        fetch_file(&address(url), &path, sum, patience, progress)
    };
    // The small files first: a wrong mirror shows at once.
    let prototxt = one(model.prototxt, "prototxt", None)?;
    let labels = one(model.labels, "labels.txt", None)?;
    let sum = expected.or_else(|| model.sum());
    let weights = one(model.weights, "caffemodel", sum.as_ref())?;
    Ok(FetchReport { weights, prototxt, labels })
}

/// Fetches one file to `path`, resuming `path` + `.part` if that is there. A file that is there already
/// is fetched again only if `expected` says that it is another.
pub fn fetch_file(
    url: &str,
    path: &Path,
    expected: Option<&Sum>,
    patience: Patience,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Fetched, Error> {
    if path.exists() {
        let sums = Sums::of(path)?;
        if expected.is_none_or(|sum| sums.matches(sum)) {
            return Ok(sums.report(url, path, 0, expected));
        }
    }
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let mut download = Download::new(url, path, &part, patience)?;
    download.run(progress)?;
    let sums = Sums::of(&part)?;
    if let Some(sum) = expected
        && !sums.matches(sum)
    {
        std::fs::remove_file(&part).map_err(Error::io(&part, "remove"))?;
        return Err(Error::Checksum {
            url: url.to_owned(),
            expected: sum.to_string(),
            got: sums.like(sum).to_string(),
        });
    }
    std::fs::rename(&part, path).map_err(Error::io(path, "rename into place"))?;
    Ok(sums.report(url, path, download.transferred, expected))
}

/// The outcome of one request.
enum Outcome {
    /// Everything is on the disk.
    Complete,
    /// Worth another attempt; the reason.
    Again(String),
}

struct Download<'a> {
    url: &'a str,
    name: String,
    part: &'a Path,
    client: Client,
    patience: Patience,
    transferred: u64,
}

impl<'a> Download<'a> {
    fn new(url: &'a str, path: &Path, part: &'a Path, patience: Patience) -> Result<Self, Error> {
        use_ring();
        let client = Client::builder()
            .connect_timeout(patience.connect)
            // For a blocking client this is the wait for the headers and then for each read.
            .timeout(patience.read)
            .user_agent(concat!("likenet/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|e| failed(url, e.to_string()))?;
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(Download { url, name, part, client, patience, transferred: 0 })
    }

    fn run(&mut self, progress: &mut dyn FnMut(Progress<'_>)) -> Result<(), Error> {
        let mut fruitless = 0;
        loop {
            let before = self.transferred;
            let reason = match self.attempt(progress)? {
                Outcome::Complete => return Ok(()),
                Outcome::Again(reason) => reason,
            };
            fruitless = if self.transferred > before { 1 } else { fruitless + 1 };
            if fruitless >= self.patience.attempts {
                let problem =
                    format!("{reason}; given up after {fruitless} attempts without progress");
                return Err(failed(self.url, problem));
            }
            let done = self.length();
            let note = format!("{reason}; trying again");
            progress(Progress { file: &self.name, done, total: None, note: Some(&note) });
            std::thread::sleep(self.patience.backoff * 2u32.pow((fruitless - 1).min(6)));
        }
    }

    fn length(&self) -> u64 {
        std::fs::metadata(self.part).map_or(0, |m| m.len())
    }

    fn attempt(&mut self, progress: &mut dyn FnMut(Progress<'_>)) -> Result<Outcome, Error> {
        let have = self.length();
        let mut request = self.client.get(self.url);
        if have > 0 {
            request = request.header(RANGE, format!("bytes={have}-"));
        }
        let response = match request.send() {
            Ok(response) => response,
            Err(e) if e.is_builder() => return Err(failed(self.url, causes(&e))),
            Err(e) => return Ok(Outcome::Again(causes(&e))),
        };
        let status = response.status();
        match status {
            StatusCode::PARTIAL_CONTENT => match content_range(&response) {
                Some((first, total)) if first == have => {
                    self.receive(response, have, total, progress)
                }
                _ => {
                    // Not the bytes that were asked for: what is here cannot be trusted to go on.
                    self.start_over()?;
                    Ok(Outcome::Again("the server sent another range than asked for".to_owned()))
                }
            },
            StatusCode::OK => {
                let total = response.content_length();
                self.receive(response, 0, total, progress)
            }
            StatusCode::RANGE_NOT_SATISFIABLE => {
                let total = range_total(&response);
                if total == Some(have) {
                    return Ok(Outcome::Complete);
                }
                self.start_over()?;
                Ok(Outcome::Again("the part here is longer than the file there".to_owned()))
            }
            s if s.is_server_error()
                || s == StatusCode::REQUEST_TIMEOUT
                || s == StatusCode::TOO_MANY_REQUESTS =>
            {
                Ok(Outcome::Again(format!("the server answered {status}")))
            }
            _ => Err(failed(self.url, format!("the server answered {status}"))),
        }
    }

    fn start_over(&self) -> Result<(), Error> {
        match std::fs::remove_file(self.part) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::io(self.part, "remove")(e))
            }
            _ => Ok(()),
        }
    }

    /// Writes a body behind the first `have` bytes.
    fn receive(
        &mut self,
        mut response: Response,
        have: u64,
        total: Option<u64>,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Outcome, Error> {
        let part = self.part;
        let mut file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(false)
            .open(part)
            .map_err(Error::io(part, "open"))?;
        file.set_len(have).map_err(Error::io(part, "shorten"))?;
        file.seek(SeekFrom::Start(have)).map_err(Error::io(part, "seek in"))?;
        let mut done = have;
        let mut buffer = vec![0; 1 << 16];
        let ended = loop {
            match response.read(&mut buffer) {
                Ok(0) => break None,
                Ok(n) => {
                    file.write_all(&buffer[..n]).map_err(Error::io(part, "write"))?;
                    done += n as u64;
                    self.transferred += n as u64;
                    progress(Progress { file: &self.name, done, total, note: None });
                }
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => break Some(causes(&e)),
            }
        };
        file.sync_all().map_err(Error::io(part, "write"))?;
        Ok(match (ended, total) {
            (Some(reason), _) => Outcome::Again(format!("the connection broke: {reason}")),
            (None, Some(total)) if done != total => {
                Outcome::Again(format!("{done} of {total} bytes came"))
            }
            (None, _) => Outcome::Complete,
        })
    }
}

/// Makes ring the process's cryptography for TLS, which every HTTP client here needs before it is made.
pub fn use_ring() {
    // A second call finds it there, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

fn failed(url: &str, problem: String) -> Error {
    Error::Download { url: url.to_owned(), problem }
}

/// An error with its causes: the outermost alone says little.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// `bytes FIRST-LAST/TOTAL`: the first byte, and the total if it is known.
fn content_range(response: &Response) -> Option<(u64, Option<u64>)> {
    let value = response.headers().get(CONTENT_RANGE)?.to_str().ok()?;
    let (range, total) = value.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last): (u64, u64) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    let total = total.trim().parse::<u64>().ok();
    // A range that ends before it begins, or beyond the file, is no range.
    (first <= last && total.is_none_or(|total| last < total)).then_some((first, total))
}

/// `bytes */TOTAL`, which comes with "range not satisfiable".
fn range_total(response: &Response) -> Option<u64> {
    let value = response.headers().get(CONTENT_RANGE)?.to_str().ok()?;
    value.strip_prefix("bytes */")?.trim().parse().ok()
}

/// Both sums of a file, read once.
struct Sums {
    bytes: u64,
    sha1: String,
    sha256: String,
}

impl Sums {
    fn of(path: &Path) -> Result<Sums, Error> {
        let mut file = File::open(path).map_err(Error::io(path, "open"))?;
        let (mut sha1, mut sha256) = (sha1::Sha1::new(), sha2::Sha256::new());
        let mut buffer = vec![0; 1 << 16];
        let mut bytes = 0;
        loop {
            let n = match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => n,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(Error::io(path, "read")(e)),
            };
            sha1.update(&buffer[..n]);
            sha256.update(&buffer[..n]);
            bytes += n as u64;
        }
        let hex = |digest: &[u8]| digest.iter().map(|b| format!("{b:02x}")).collect::<String>();
        Ok(Sums { bytes, sha1: hex(&sha1.finalize()), sha256: hex(&sha256.finalize()) })
    }

    /// This file's sum of the same kind.
    fn like(&self, sum: &Sum) -> Sum {
        match sum {
            Sum::Sha1(_) => Sum::Sha1(self.sha1.clone()),
            Sum::Sha256(_) => Sum::Sha256(self.sha256.clone()),
        }
    }

    fn matches(&self, sum: &Sum) -> bool {
        self.like(sum) == *sum
    }

    fn report(self, url: &str, path: &Path, transferred: u64, verified: Option<&Sum>) -> Fetched {
        Fetched {
            path: path.to_owned(),
            url: url.to_owned(),
            bytes: self.bytes,
            transferred,
            sha256: self.sha256,
            verified: verified.cloned(),
        }
    }
}
