//! The tensor cores' kernels, emulated, against the plain loops: layers' way from the door inside and back.

use super::device::{Device, Memory};
use super::plan::{After, Launch, Number, Plan};
use super::play::Operands;
use super::tensor_plan::{self as tensor, Unit};
use crate::cpu::conv::plain;
use crate::ops::{ConvDims, LrnParams, PoolDims, Window};

fn numbers(n: usize, seed: usize) -> Vec<f32> {
    (0..n).map(|i| ((i * 7919 + seed * 104_729) % 1009) as f32 / 504.5 - 1.0).collect()
}

/// As the tensor cores see a number.
fn rounded(number: Number, x: f32) -> f32 {
    match number {
        Number::F16 => half::f16::from_f32(x).to_f32(),
        Number::Bf16 => half::bf16::from_f32(x).to_f32(),
        Number::Tf32 => f32::from_bits((x.to_bits() + 0x1000) & 0xffff_e000),
    }
}

fn dims(channels: usize, filters: usize, group: usize, input: [usize; 2], w: Window) -> ConvDims {
    let out = |a: usize| (input[a] + 2 * w.pad[a] - w.extent(a)) / w.stride[a] + 1;
    ConvDims { channels, input, filters, output: [out(0), out(1)], group, window: w }
}

fn window(kernel: [usize; 2], stride: usize, pad: usize) -> Window {
    Window { kernel, stride: [stride; 2], pad: [pad; 2], dilation: [1, 1] }
}

/// Memory with these numbers.
fn filled(device: &Device, values: &[f32]) -> Memory {
    let memory = device.alloc(4 * values.len());
    device.write(memory.span(0, values.len()), values);
    memory
}

fn one(launch: Launch) -> Plan {
    Plan { launches: vec![launch], scratch: 0 }
}

/// A convolution with bias and ReLU: inside, through the tensor cores, and back to the door.
fn by_tensor_cores(
    unit: Unit,
    number: Number,
    d: &ConvDims,
    batch: usize,
    data: [&[f32]; 3],
) -> Vec<f32> {
    let device = Device::emulated().expect("a C++ compiler");
    let gpu = device.gpu();
    let [x, weights, bias] = data.map(|values| filled(&device, values));
    let span = |memory: &Memory| Some(memory.span(0, memory.bytes() / 4));
    let seen = tensor::seen(d).expect("a layer for tensor cores");
    let pixels = seen.dims.input[0] * seen.dims.input[1];
    let inner = device.alloc(batch * pixels * tensor::row(seen.dims.channels) * number.bytes());
    let enter = tensor::fold(number, d, &seen, batch, d.input_len());
    let enter =
        enter.unwrap_or_else(|| tensor::inside(number, [batch, d.channels, pixels], d.input_len()));
    device.play(&one(enter), &Operands { x: span(&x), y: span(&inner), ..Operands::default() });
    let packed = device.pack(&tensor::conv_pack(number, d, &seen), weights.span(0, data[1].len()));
    let len = batch * d.output_len();
    let sums = device.alloc(len * number.bytes());
    let after = After { bias: true, relu: Some(0.25), add: false };
    let plan = match d.output {
        [1, 1] if d.input == d.window.kernel => {
            tensor::inner(&gpu, unit, number, &seen.dims, batch, after, false)
        }
        _ => tensor::conv(&gpu, unit, number, &seen.dims, batch, after, false),
    };
    let operands = Operands {
        x: span(&inner),
        packed: span(&packed),
        bias: span(&bias),
        y: span(&sums),
        ..Operands::default()
    };
    device.play(&plan, &operands);
    let y = device.alloc(4 * len);
    let leave = tensor::door(number, [batch, d.filters, d.positions()], d.output_len());
    device.play(&one(leave), &Operands { x: span(&sums), y: span(&y), ..Operands::default() });
    let mut out = vec![0.0; len];
    device.read(y.span(0, len), &mut out);
    assert_eq!(device.failure(), None);
    out
}

#[test]
fn tensor_cores_give_the_plain_loops_sums() {
    let cases = [
        (dims(16, 24, 1, [9, 7], window([3, 3], 1, 1)), 3),
        (dims(96, 160, 2, [6, 6], window([5, 5], 1, 2)), 2),
        (dims(72, 8, 1, [6, 9], Window { dilation: [1, 2], ..window([3, 2], 2, 1) }), 1),
        (dims(3, 16, 1, [11, 11], window([3, 3], 1, 1)), 1), // patches
        (dims(3, 24, 1, [19, 19], window([11, 11], 4, 0)), 2), // a stride folded
        (tensor::inner_dims([64, 3, 3], 24), 5),             // a few rows
        (tensor::inner_dims([128, 1, 1], 72), 130),          // many
    ];
    let units = [
        (Unit::Mma, Number::F16),
        (Unit::Wgmma, Number::F16),
        (Unit::Mma, Number::Tf32),
        (Unit::Wgmma, Number::Tf32),
        (Unit::Wgmma, Number::Bf16),
    ];
    for ((d, batch), (unit, number)) in cases.iter().flat_map(|c| units.map(|u| (c, u))) {
        let (x, w) = (numbers(batch * d.input_len(), 1), numbers(d.filters * d.patch_len(), 2));
        let bias = numbers(d.filters, 3);
        let got = by_tensor_cores(unit, number, d, *batch, [&x, &w, &bias]);
        let [x, w] =
            [x, w].map(|all| all.into_iter().map(|v| rounded(number, v)).collect::<Vec<_>>());
        let mut want = vec![0.0; batch * d.output_len()];
        for (x, y) in x.chunks_exact(d.input_len()).zip(want.chunks_exact_mut(d.output_len())) {
            plain(d, x, &w, Some(&bias), y);
        }
        want.iter_mut().filter(|v| **v < 0.0).for_each(|v| *v *= 0.25);
        // Products are exact; sums of f32 err little beside the rounding of the result.
        let ulp = if number == Number::Bf16 { 1.0 / 256.0 } else { 1.0 / 2048.0 };
        for (i, (want, got)) in want.iter().zip(&got).enumerate() {
            let most = 1.01 * ulp * want.abs() + 1e-4;
            assert!(
                (want - got).abs() <= most,
                "{unit:?} {number:?} {d:?}: {i}: {got}, {want} is right"
            );
        }
    }
}

#[test]
fn pools_and_normalises_inside() {
    let device = Device::emulated().expect("a C++ compiler");
    let (channels, batch, number) = (12, 2, Number::Tf32);
    let d = PoolDims { input: [6, 5], output: [3, 3], window: window([3, 3], 2, 0) };
    let x: Vec<f32> =
        numbers(batch * channels * 30, 5).into_iter().map(|v| rounded(number, v)).collect();
    let span = |memory: &Memory| Some(memory.span(0, memory.bytes() / 4));
    let play = |launch, x: &Memory, y: &Memory| {
        device.play(&one(launch), &Operands { x: span(x), y: span(y), ..Operands::default() });
    };
    let row = tensor::row(channels);
    let [door, inner] = [filled(&device, &x), device.alloc(4 * batch * 30 * row)];
    play(tensor::inside(number, [batch, channels, 30], channels * 30), &door, &inner);
    let pooled = device.alloc(4 * batch * 9 * row);
    play(tensor::pool(number, &d, channels, batch, false), &inner, &pooled);
    let normal = device.alloc(4 * batch * 9 * row);
    let p = LrnParams { size: 5, alpha: 0.5, beta: 0.75, k: 2.0 };
    play(tensor::lrn(number, &p, channels, batch * 9).expect("five channels"), &pooled, &normal);
    let out = device.alloc(4 * batch * channels * 9);
    play(tensor::door(number, [batch, channels, 9], channels * 9), &normal, &out);
    let mut got = vec![0.0; batch * channels * 9];
    device.read(out.span(0, got.len()), &mut got);
    assert_eq!(device.failure(), None);

    let largest = |picture: usize, c: usize, at: usize| {
        let (top, left) = (at / 3 * 2, at % 3 * 2);
        let inside =
            (top..(top + 3).min(6)).flat_map(|y| (left..(left + 3).min(5)).map(move |x| (y, x)));
        let plane = &x[(picture * channels + c) * 30..];
        inside.map(|(y, x)| plane[y * 5 + x]).fold(f32::MIN, f32::max)
    };
    for (i, got) in got.iter().enumerate() {
        let (picture, c, at) = (i / 9 / channels, i / 9 % channels, i % 9);
        let near = c.saturating_sub(2)..(c + 3).min(channels);
        let squares: f32 = near.map(|c| largest(picture, c, at).powi(2)).sum();
        let want = largest(picture, c, at) * (2.0 + 0.1 * squares).powf(-0.75);
        assert!((want - got).abs() <= want.abs() / 1024.0, "{i}: {got}, {want} is right");
    }
}
