//! Prints how a GPU's kernels compute CaffeNet's and VGG-16's layers, a JSON object a line, for `layers.py` to play:
//! `cargo run -p likenet-kernels --features cuda --example cuda_plans -- 1,64,256 > target/plans.json`.

use likenet_kernels::cuda::plan::{self, After, Arg, Gpu, Launch, Number, Operand, Pack, Plan};
use likenet_kernels::cuda::tensor_plan::{self as tensor, Unit};
use likenet_kernels::ops::{ConvDims, InnerDims, Window};

const H200: Gpu = Gpu { multiprocessors: 132, capability: (9, 0) };
const AFTER: After = After { bias: true, relu: None, add: false };

/// An operand's name; `inner` is the input as the tensor cores see it.
fn operand(o: Operand, [x, y]: [&str; 2]) -> String {
    let (name, at) = match o {
        Operand::X => (x, 0),
        Operand::Y => (y, 0),
        Operand::Dy => ("dy", 0),
        Operand::Weight => ("weight", 0),
        Operand::Bias => ("bias", 0),
        Operand::Packed(at) => ("packed", at),
        Operand::Scratch(at) => ("scratch", at),
    };
    format!("\"{name}\",{at}")
}

fn argument(a: &Arg, names: [&str; 2]) -> String {
    match a {
        Arg::Ptr(o) => format!("[\"pointer\",{}]", operand(*o, names)),
        Arg::Bytes(b) => {
            let hex: String = b.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("[\"bytes\",\"{hex}\"]")
        }
        Arg::Map(m) => {
            let corners = m
                .patches
                .map_or("null".into(), |c| format!("[{:?},{:?},{:?}]", c.lower, c.upper, c.stride));
            let (number, of) = (m.number.name(), operand(m.of, names));
            format!("[\"map\",{of},\"{number}\",{:?},{},{corners}]", m.dims, m.box_rows)
        }
    }
}

fn launches(all: &[Launch], names: [&str; 2]) -> String {
    let one = |l: &Launch| {
        let args: Vec<String> = l.args.iter().map(|a| argument(a, names)).collect();
        format!(
            "{{\"file\":\"{}\",\"kernel\":\"{}\",\"grid\":{:?},\"block\":{},\"shared\":{},\"args\":[{}]}}",
            l.file,
            l.kernel,
            l.grid,
            l.block,
            l.shared,
            args.join(",")
        )
    };
    format!("[{}]", all.iter().map(one).collect::<Vec<_>>().join(","))
}

/// One way to compute a layer.
struct Way<'a> {
    layer: &'a str,
    name: String,
    number: &'a str,
    d: ConvDims,
    batch: usize,
    /// Bytes of the input as the tensor cores see it, and what makes it.
    inner: usize,
    enter: Option<Launch>,
    pack: Pack,
    plan: Plan,
}

impl Way<'_> {
    fn print(&self) {
        let (d, w) = (&self.d, &self.d.window);
        let sizes = format!(
            "\"c\":{},\"h\":{},\"w\":{},\"f\":{},\"oh\":{},\"ow\":{},\"groups\":{},\"kernel\":{:?},\"stride\":{:?},\"pad\":{:?}",
            d.channels,
            d.input[0],
            d.input[1],
            d.filters,
            d.output[0],
            d.output[1],
            d.group,
            w.kernel,
            w.stride,
            w.pad
        );
        let inside = if self.inner > 0 { ["inner", "y"] } else { ["x", "y"] };
        println!(
            "{{\"layer\":\"{}\",\"way\":\"{}\",\"number\":\"{}\",\"batch\":{},{sizes},\"inner\":{},\"enter\":{},\"packed\":{},\"pack\":{},\"scratch\":{},\"plan\":{}}}",
            self.layer,
            self.name,
            self.number,
            self.batch,
            self.inner,
            launches(self.enter.as_slice(), ["x", "inner"]),
            self.pack.bytes,
            launches(&self.pack.launches, ["x", "y"]),
            self.plan.scratch,
            launches(&self.plan.launches, inside)
        );
    }
}

fn square(channels: usize, filters: usize, group: usize, side: usize, w: [usize; 3]) -> ConvDims {
    let [kernel, stride, pad] = w.map(|n| [n, n]);
    let window = Window { kernel, stride, pad, dilation: [1, 1] };
    let out = (side + 2 * pad[0] - kernel[0]) / stride[0] + 1;
    ConvDims { channels, input: [side, side], filters, output: [out, out], group, window }
}

fn layers() -> Vec<(&'static str, ConvDims)> {
    vec![
        ("caffenet conv1", square(3, 96, 1, 227, [11, 4, 0])),
        ("caffenet conv2", square(96, 256, 2, 27, [5, 1, 2])),
        ("caffenet conv3", square(256, 384, 1, 13, [3, 1, 1])),
        ("caffenet conv4", square(384, 384, 2, 13, [3, 1, 1])),
        ("caffenet conv5", square(384, 256, 2, 13, [3, 1, 1])),
        ("caffenet fc6", tensor::inner_dims([256, 6, 6], 4096)),
        ("fc7", tensor::inner_dims([4096, 1, 1], 4096)),
        ("fc8", tensor::inner_dims([4096, 1, 1], 1000)),
        ("vgg conv1_1", square(3, 64, 1, 224, [3, 1, 1])),
        ("vgg conv1_2", square(64, 64, 1, 224, [3, 1, 1])),
        ("vgg conv2_1", square(64, 128, 1, 112, [3, 1, 1])),
        ("vgg conv2_2", square(128, 128, 1, 112, [3, 1, 1])),
        ("vgg conv3_1", square(128, 256, 1, 56, [3, 1, 1])),
        ("vgg conv3_2", square(256, 256, 1, 56, [3, 1, 1])),
        ("vgg conv4_1", square(256, 512, 1, 28, [3, 1, 1])),
        ("vgg conv4_2", square(512, 512, 1, 28, [3, 1, 1])),
        ("vgg conv5", square(512, 512, 1, 14, [3, 1, 1])),
        ("vgg fc6", tensor::inner_dims([512, 7, 7], 4096)),
    ]
}

fn exact(layer: &str, d: ConvDims, batch: usize) {
    let way = |name: &str, pack, plan| {
        let name = name.into();
        Way { layer, name, number: "f32", d, batch, inner: 0, enter: None, pack, plan }.print();
    };
    if d.output == [1, 1] {
        let inner =
            InnerDims { rows: batch, inputs: d.input_len(), outputs: d.filters, transpose: false };
        way("product", Pack { bytes: 0, launches: vec![] }, plan::inner(&H200, &inner, AFTER));
        return;
    }
    way("product", plan::conv_pack(&d), plan::conv(&H200, &d, batch, d.output_len(), AFTER));
    if plan::winograd_fits(&d) {
        let plan = plan::winograd(&H200, &d, batch, d.output_len(), AFTER);
        way("winograd", plan::winograd_pack(&d, false), plan);
    }
}

fn tensor_cores(layer: &str, d: ConvDims, batch: usize, unit: Unit, number: Number) {
    let Some(seen) = tensor::seen(&d) else { return };
    let pixels = seen.dims.input[0] * seen.dims.input[1];
    let enter = tensor::fold(number, &d, &seen, batch, d.input_len());
    let enter =
        enter.unwrap_or_else(|| tensor::inside(number, [batch, d.channels, pixels], d.input_len()));
    let plan = match d.output {
        [1, 1] => tensor::inner(&H200, unit, number, &seen.dims, batch, AFTER, false),
        _ => tensor::conv(&H200, unit, number, &seen.dims, batch, AFTER, false),
    };
    let inner = batch * pixels * tensor::row(seen.dims.channels) * number.bytes();
    let (name, pack) = (format!("{unit:?}").to_lowercase(), tensor::conv_pack(number, &d, &seen));
    let number = number.name();
    Way { layer, name, number, d, batch, inner, enter: Some(enter), pack, plan }.print();
}

fn main() {
    let batches = std::env::args().nth(1).unwrap_or_else(|| "64".into());
    for batch in batches.split(',') {
        let batch = batch.parse().expect("batches, like 1,64,256");
        for (layer, d) in layers() {
            exact(layer, d, batch);
            for number in [Number::Tf32, Number::F16] {
                tensor_cores(layer, d, batch, Unit::Mma, number);
                tensor_cores(layer, d, batch, Unit::Wgmma, number);
            }
        }
    }
}
