//! `likenet explain`

use super::photos::NetArgs;
use super::{Outcome, print, write};
use likenet::classify::read_labels;
use likenet::feed::Views;
use likenet::image::decode_file;
use likenet::inside::Model;
use likenet::net::Keep;
use likenet::{Error, Result};
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Args {
    /// The photo
    photo: PathBuf,
    /// The page to write
    #[arg(long, value_name = "HTML")]
    out: PathBuf,
    /// The network; without one, the built-in compact
    #[command(flatten)]
    net: NetArgs,
    /// Names of the classes, one a line (Caffe's synset_words.txt)
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// How large the page may be, in MB. Of a network that does not fit, its strongest values are shown
    #[arg(long, value_name = "MB", default_value_t = 24, value_parser = clap::value_parser!(u16).range(2..=400))]
    size: u16,
}

pub fn run(mut args: Args) -> Result<Outcome> {
    if args.net.model.is_none() && args.net.net.is_none() && args.net.weights.is_none() {
        args.net.model = Some("compact".into());
    }
    let ready = args.net.ready(std::slice::from_ref(&args.photo), Keep::All, Views::Centre)?;
    let [photo] = ready.photos.as_slice() else {
        let (path, n) = (args.photo.display(), ready.photos.len());
        return Err(Error::Invalid(format!("{path}: explain takes one photo, not {n}")));
    };
    let labels = args.labels.as_ref().or(ready.labels.as_ref());
    let labels = labels.map(|p| read_labels(p)).transpose()?.unwrap_or_default();
    let picture = decode_file(photo, &ready.preparation.limits)?;
    let model = Model::new(ready.net, ready.preparation.classifier, labels)?;
    let caption = photo.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let page = model.page_bytes(usize::from(args.size) * 1_000_000).explain(&picture, &caption)?;
    write(&args.out, &page)?;
    print(&format!("{}: {:.1} MB", args.out.display(), page.len() as f64 / 1e6))?;
    Ok(Outcome::Done)
}
