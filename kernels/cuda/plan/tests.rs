//! Plans without a device: what launches cover, what structures hold, what is chosen.

use super::product::{STEP, Size, cut};
use super::*;
use crate::ops::{ConvDims, InnerDims, Window};

const H200: Gpu = Gpu { multiprocessors: 132, capability: (9, 0) };
const SMALL: Gpu = Gpu { multiprocessors: 2, capability: (7, 0) };

fn square(channels: usize, filters: usize, group: usize, side: usize, w: [usize; 3]) -> ConvDims {
    let [kernel, stride, pad] = w.map(|n| [n, n]);
    let window = Window { kernel, stride, pad, dilation: [1, 1] };
    let out = (side + 2 * pad[0] - kernel[0]) / stride[0] + 1;
    ConvDims { channels, input: [side, side], filters, output: [out, out], group, window }
}

fn layers() -> Vec<ConvDims> {
    vec![
        square(3, 96, 1, 227, [11, 4, 0]),
        square(96, 256, 2, 27, [5, 1, 2]),
        square(384, 384, 2, 13, [3, 1, 1]),
        square(3, 64, 1, 224, [3, 1, 1]),
        square(64, 64, 1, 224, [3, 1, 1]),
        square(512, 512, 1, 14, [3, 1, 1]),
        square(5, 7, 1, 9, [3, 2, 1]),
        square(1, 1, 1, 1, [1, 1, 0]),
    ]
}

/// What every device takes, and scratch memory that is announced.
fn assert_sound(plan: &Plan) {
    assert!(!plan.launches.is_empty());
    for l in &plan.launches {
        assert!(l.grid.iter().all(|n| *n > 0) && l.grid[1] <= 65535 && l.grid[2] <= 65535, "{l:?}");
        assert!(l.block.is_multiple_of(32) && l.block <= 1024, "{l:?}");
        assert!(l.shared <= 64 << 10, "the tiles' stages fit any device from 7.0 on: {l:?}");
        for arg in &l.args {
            if let Arg::Ptr(Operand::Scratch(at)) = arg {
                assert!(*at < plan.scratch && at % 16 == 0, "{at} of {}: {l:?}", plan.scratch);
            }
        }
    }
}

#[test]
fn plans_are_what_devices_take() {
    for gpu in [H200, SMALL] {
        for (d, batch) in layers().iter().flat_map(|d| [1, 3, 64].map(|b| (d, b))) {
            let after = After { bias: true, relu: Some(0.0), add: false };
            assert_sound(&conv(&gpu, d, batch, d.output_len(), after));
            assert_sound(&conv_back(&gpu, d, batch, After::default()));
            assert_sound(&conv_weights_back(&gpu, d, batch, true));
            if winograd_fits(d) {
                assert_sound(&winograd(&gpu, d, batch, d.output_len(), after));
            }
        }
        for (rows, inputs, outputs) in
            [(1, 9216, 4096), (1, 5, 3), (64, 4096, 1000), (1024, 9216, 4096)]
        {
            for transpose in [false, true] {
                let d = InnerDims { rows, inputs, outputs, transpose };
                assert_sound(&inner(&gpu, &d, After::default()));
                assert_sound(&inner_back(&gpu, &d));
                assert_sound(&inner_weights_back(&gpu, &d, false));
            }
        }
    }
}

#[test]
fn ranges_cover_k_once() {
    for gpu in [H200, SMALL] {
        for m in [1, 64, 65, 384, 4096] {
            for (n, k) in [(1, 1), (129, 15), (169, 3456), (50176, 576), (4096, 9216)] {
                let s = Size { m, n, k, count: 2 };
                let c = cut(&gpu, &s);
                assert!(c.per_split.is_multiple_of(STEP));
                assert!(
                    (c.splits - 1) * c.per_split < k && k <= c.splits * c.per_split,
                    "{s:?} {c:?}"
                );
                assert!(c.tile.blocks(&s) >= 2 * m.div_ceil(c.tile.m) * n.div_ceil(c.tile.n));
            }
        }
    }
}

/// The sizes of the structures in the sources, counted by hand: a field more or less moves all behind it.
#[test]
fn structures_are_as_long_as_the_kernels() {
    let bytes = |l: &Launch| match &l.args[0] {
        Arg::Bytes(b) => b.len(),
        other => panic!("{other:?}"),
    };
    let d = square(96, 256, 2, 27, [5, 1, 2]);
    let one = conv(&SMALL, &d, 1, d.output_len(), After::default());
    assert_eq!(bytes(&one.launches[0]), 24 * 4 + 3 * 8);
    assert_eq!(bytes(&conv_pack(&d).launches[0]), 8 * 4);
    let d = InnerDims { rows: 20, inputs: 4096, outputs: 10, transpose: false };
    let split = inner(&H200, &d, After::default());
    assert_eq!(split.launches.len(), 2, "one tile for 132 multiprocessors: k is cut");
    assert_eq!(bytes(&split.launches[0]), 10 * 4 + 7 * 8);
    assert_eq!(bytes(&split.launches[1]), 2 * 8 + 4 * 4 + 4 * 8);
    let d = square(64, 64, 1, 8, [3, 1, 1]);
    let w = winograd(&SMALL, &d, 1, d.output_len(), After::default());
    assert_eq!(bytes(&w.launches[0]), 16 * 4 + 2 * 8);
}

#[test]
fn a_few_choices() {
    // A row: as fast as the weights can be read.
    let d = InnerDims { rows: 1, inputs: 9216, outputs: 4096, transpose: false };
    assert_eq!(inner(&H200, &d, After::default()).launches[0].kernel, "gemv_rows_1");
    // Many positions: tiles enough without cutting k. Few: k is cut until all multiprocessors have work.
    let d = square(384, 384, 2, 13, [3, 1, 1]);
    assert_eq!(conv(&H200, &d, 1024, d.output_len(), After::default()).launches.len(), 1);
    let one = &conv(&H200, &d, 1, d.output_len(), After::default()).launches[0];
    assert!(one.grid.iter().product::<u32>() >= 132, "{one:?}");
    assert!(winograd_wins(&H200, &square(512, 512, 1, 14, [3, 1, 1]), 64));
    assert!(!winograd_wins(&H200, &square(3, 64, 1, 224, [3, 1, 1]), 64), "three channels");
    assert!(!winograd_fits(&square(96, 256, 2, 27, [3, 1, 1])), "groups");
}

#[test]
fn winograds_pictures_are_each_computed_once() {
    let d = square(64, 64, 1, 56, [3, 1, 1]);
    let plan = winograd(&H200, &d, 37, d.output_len(), After::default());
    let mut next = 0;
    for l in plan.launches.iter().filter(|l| l.kernel == "winograd_output") {
        let Arg::Bytes(b) = &l.args[0] else { panic!("{l:?}") };
        let int = |i: usize| i32::from_ne_bytes(b[4 * i..][..4].try_into().unwrap());
        assert_eq!(int(11), next, "first picture");
        next += int(12);
    }
    assert_eq!(next, 37);
}
