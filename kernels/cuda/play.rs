//! Plays a plan: launches whose arguments name operands, with their addresses put in.

use super::device::{Device, Launch, Memory, Span};
use super::plan::{Arg, Operand, Pack, Plan};
use std::ffi::c_void;

/// The operands of a plan; what it does not name may be missing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Operands {
    /// Input.
    pub x: Option<Span>,
    /// Gradients of the output.
    pub dy: Option<Span>,
    /// Weights as they are.
    pub weight: Option<Span>,
    /// Packed weights.
    pub packed: Option<Span>,
    /// Bias.
    pub bias: Option<Span>,
    /// Result.
    pub y: Option<Span>,
}

/// An argument's bytes, as aligned as any kernel's parameter.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Aligned([u8; 256]);

impl Device {
    /// What plans must know of the device.
    pub fn gpu(&self) -> super::plan::Gpu {
        let capability = self.capability();
        super::plan::Gpu {
            multiprocessors: self.multiprocessors(),
            capability: (capability / 10, capability % 10),
        }
    }

    /// Launches all of it. The operands must be those that the plan was made for.
    ///
    /// # Panics
    /// When an operand that the plan names is missing.
    pub fn play(&self, plan: &Plan, operands: &Operands) {
        let scratch = self.scratch(plan.scratch.div_ceil(size_of::<f32>()));
        for launch in &plan.launches {
            self.play_one(launch, operands, scratch);
        }
    }

    /// Packs weights, in memory of their own.
    pub fn pack(&self, pack: &Pack, weight: Span) -> Memory {
        let memory = self.alloc(pack.bytes);
        let packed = Some(memory.span(0, pack.bytes / size_of::<f32>()));
        let operands = Operands { weight: Some(weight), packed, ..Operands::default() };
        let scratch = self.scratch(0);
        pack.launches.iter().for_each(|launch| self.play_one(launch, &operands, scratch));
        memory
    }

    fn play_one(&self, l: &super::plan::Launch, operands: &Operands, scratch: Span) {
        let at = |span: Option<Span>, byte: usize| {
            span.expect("an operand that the plan names").address + byte as u64
        };
        let address = |operand: Operand| match operand {
            Operand::X => at(operands.x, 0),
            Operand::Dy => at(operands.dy, 0),
            Operand::Weight => at(operands.weight, 0),
            Operand::Packed(byte) => at(operands.packed, byte),
            Operand::Bias => operands.bias.map_or(0, |b| b.address),
            Operand::Y => at(operands.y, 0),
            Operand::Scratch(byte) => at(Some(scratch), byte),
        };
        let mut values: Vec<Aligned> = l.args.iter().map(|_| Aligned([0; 256])).collect();
        for (value, arg) in values.iter_mut().zip(&l.args) {
            match arg {
                Arg::Bytes(bytes) => value.0[..bytes.len()].copy_from_slice(bytes),
                Arg::Ptr(operand) => {
                    value.0[..8].copy_from_slice(&address(*operand).to_ne_bytes());
                }
                Arg::Map(map) => {
                    value.0[..128].copy_from_slice(&self.map(map, address(map.of)));
                }
            }
        }
        let mut pointers: Vec<*mut c_void> =
            values.iter_mut().map(|value| std::ptr::from_mut(value).cast()).collect();
        let block = [l.block, 1, 1];
        let launch =
            Launch { file: l.file, kernel: &l.kernel, grid: l.grid, block, shared: l.shared };
        // SAFETY: plans are made by the functions of `plan`, which know their kernels' parameters; they stay within
        // operands of the sizes that they were made for, which the doors of each operation have checked.
        unsafe { self.launch(&launch, &mut pointers) };
    }
}
