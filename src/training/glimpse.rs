//! A look at a network while it learns. Flows in: the network after an iteration. Flows out: its first filters as a
//! picture, and the photos of the last batch that it gets most wrong.

use super::trainer::Trainer;
use crate::error::Result;
use crate::image::{Picture, Size};
use crate::layer::{DataLayer, Layer};
use crate::net::{Graph, Net, Node};

/// Photos that are shown.
const MOST_WRONG: usize = 12;

/// What a network looks like at a moment of its training.
#[derive(Clone, Debug, PartialEq)]
pub struct Glimpse {
    /// Updates so far.
    pub iter: usize,
    /// The filters of the first convolution on colours, side by side; none where the network has no such layer.
    pub filters: Option<Picture>,
    /// The photos of the last batch whose label it held for least likely, the worst first.
    pub wrong: Vec<Wrong>,
    /// Photos of that batch.
    pub batch: usize,
    /// How many of them it got wrong.
    pub errors: usize,
}

/// A photo with another label than the network gave it.
#[derive(Clone, Debug, PartialEq)]
pub struct Wrong {
    /// The photo, as the network saw it: cropped, perhaps mirrored.
    pub photo: Picture,
    /// Its label.
    pub label: usize,
    /// What the network held it for.
    pub guess: usize,
    /// The probability that the network gave its label.
    pub probability: f32,
}

impl Trainer {
    /// What the network looks like now. Empty, not an error, where it has no filters on colours or no photos with
    /// labels.
    pub fn glimpse(&self) -> Result<Glimpse> {
        let net = self.net();
        let mut glimpse = Glimpse {
            iter: self.iter(),
            filters: filters(net)?,
            wrong: vec![],
            batch: 0,
            errors: 0,
        };
        if let Some(judged) = Judged::find(net.graph()) {
            judged.worst(net, &mut glimpse)?;
        }
        Ok(glimpse)
    }
}

/// The first convolution with three inputs, as tiles with a line between them. All tiles share a scale.
fn filters(net: &Net) -> Result<Option<Picture>> {
    let of_colours = |node: &&Node| match &node.layer {
        Layer::Convolution(_) => net.graph().params[node.params[0].id].spec.shape.dims()[1] == 3,
        _ => false,
    };
    let Some(node) = net.graph().nodes.iter().find(of_colours) else { return Ok(None) };
    let weights = net.param(&node.name, 0)?;
    let &[count, _, height, width] = weights.shape().dims() else { return Ok(None) };
    let most = weights.data().iter().fold(f32::MIN_POSITIVE, |most, w| most.max(w.abs()));
    let across = (1..=count).find(|n| n * n >= count).unwrap_or(1);
    let size = Size::new(count.div_ceil(across) * (height + 1) - 1, across * (width + 1) - 1);
    let mut data = vec![255; size.height * size.width * 3];
    let plane = height * width;
    for (tile, filter) in weights.data().chunks_exact(3 * plane).enumerate() {
        let corner = [tile / across * (height + 1), tile % across * (width + 1)];
        for at in 0..plane {
            let pixel = (corner[0] + at / width) * size.width + corner[1] + at % width;
            // Blue, green, red in the network; red, green, blue on the screen.
            for (colour, value) in [2, 1, 0].map(|c| filter[c * plane + at]).iter().enumerate() {
                data[pixel * 3 + colour] = (127.5 + 127.5 * value / most).round() as u8;
            }
        }
    }
    Ok(Some(Picture::new(size, data)?))
}

/// Where photos, scores and labels are.
struct Judged<'a> {
    source: &'a DataLayer,
    photos: usize,
    scores: usize,
    labels: usize,
}

impl<'a> Judged<'a> {
    /// Of the first softmax loss with photos and labels of the same source.
    fn find(graph: &'a Graph) -> Option<Self> {
        graph.nodes.iter().filter(|n| matches!(n.layer, Layer::SoftmaxLoss(_))).find_map(|loss| {
            let [scores, labels] = loss.bottoms[..] else { return None };
            let node = &graph.nodes[graph.blobs[labels].producer];
            // A blob with several readers goes through a Split.
            let node = match node.layer {
                Layer::Split => &graph.nodes[graph.blobs[node.bottoms[0]].producer],
                _ => node,
            };
            let Layer::Source(source) = &node.layer else { return None };
            Some(Self { source: source.data.as_ref()?, photos: node.tops[0], scores, labels })
        })
    }

    fn worst(&self, net: &Net, glimpse: &mut Glimpse) -> Result<()> {
        let blob = |id: usize| net.blob(&net.graph().blobs[id].name);
        let (photos, scores, labels) = (blob(self.photos)?, blob(self.scores)?, blob(self.labels)?);
        let &[batch, 3, height, width] = photos.shape().dims() else { return Ok(()) };
        let classes = scores.data().len() / batch.max(1);
        if labels.data().len() != batch || classes < 2 {
            return Ok(());
        }
        let mut wrong: Vec<(usize, usize, usize, f32)> = vec![];
        for (at, (row, &label)) in
            scores.data().chunks_exact(classes).zip(labels.data()).enumerate()
        {
            let label = label as usize;
            let guess = (0..classes).fold(0, |best, c| if row[c] > row[best] { c } else { best });
            if label >= classes || guess == label {
                continue;
            }
            let sum: f32 = row.iter().map(|s| (s - row[guess]).exp()).sum();
            wrong.push((at, label, guess, (row[label] - row[guess]).exp() / sum));
        }
        (glimpse.batch, glimpse.errors) = (batch, wrong.len());
        wrong.sort_by(|a, b| a.3.total_cmp(&b.3));
        let (size, values) = (Size::new(height, width), photos.data());
        for (at, label, guess, probability) in wrong.into_iter().take(MOST_WRONG) {
            let planes = &values[at * 3 * height * width..][..3 * height * width];
            let photo = self.photo(size, planes)?;
            glimpse.wrong.push(Wrong { photo, label, guess, probability });
        }
        Ok(())
    }

    /// A photo of what the network saw: the mean back on, or, where that is a picture in a file, stretched to the
    /// full range of colours.
    fn photo(&self, size: Size, planes: &[f32]) -> Result<Picture> {
        let DataLayer { mean_value, mean_file, scale, .. } = self.source;
        let mean = |c: usize| mean_value.get(c).or(mean_value.first()).copied().unwrap_or(0.0);
        let (low, high) =
            planes.iter().fold((f32::MAX, f32::MIN), |(l, h), &x| (l.min(x), h.max(x)));
        let byte = |value: f32, c: usize| match mean_file.is_empty() {
            true => value / scale + mean(c),
            false => 255.0 * (value - low) / (high - low).max(f32::MIN_POSITIVE),
        };
        let plane = size.height * size.width;
        let pixels = (0..plane).flat_map(|at| {
            [2, 1, 0].map(|c| byte(planes[c * plane + at], c).round().clamp(0.0, 255.0) as u8)
        });
        Ok(Picture::new(size, pixels.collect())?)
    }
}
