//! A device that computes: NVIDIA's through its driver, or in tests the emulator.
//!
//! Flows in: memory to keep, kernels to launch. Flows out: memory's contents. Everything happens in the order in
//! which it was asked for, and later than that: only [`Device::read`] and [`Device::finish`] wait.
//!
//! What goes wrong is kept: from then on nothing is launched, and [`Device::failure`] tells.

use super::driver::Driver;
#[cfg(feature = "emulator")]
use super::emulator::Emulator;
use super::plan::TensorMap;
use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::{Mutex, MutexGuard};

/// What computes.
enum Machine {
    Driver(Driver),
    #[cfg(feature = "emulator")]
    Emulated(Emulator),
}

/// A device, its memory, and what is to be done on it, in order.
pub struct Device {
    machine: Machine,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Memory that was given back, by its size: it is handed out again.
    idle: HashMap<usize, Vec<u64>>,
    /// All memory that the device gave, with its size.
    taken: HashMap<u64, usize>,
    /// What a kernel may use while it runs.
    scratch: Memory,
    failure: Option<String>,
}

/// Memory of a device. It is given back by [`Device::free`], or with the device.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Memory {
    address: u64,
    bytes: usize,
}

impl Memory {
    /// All of it.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Numbers in it, `len` of them from number `at` on.
    ///
    /// # Panics
    /// When there are not so many.
    pub fn span(&self, at: usize, len: usize) -> Span {
        assert!(
            (at + len) * size_of::<f32>() <= self.bytes,
            "numbers {at}..{} of memory",
            at + len
        );
        Span { address: self.address + (at * size_of::<f32>()) as u64, len }
    }
}

/// Neighbouring numbers in a device's memory.
///
/// It does not keep the memory alive: who frees memory has launched before what reads it, and the device keeps
/// that order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub(super) address: u64,
    /// How many `f32`.
    pub len: usize,
}

impl Span {
    /// A part.
    ///
    /// # Panics
    /// When it is not inside.
    pub fn part(&self, at: usize, len: usize) -> Self {
        assert!(at + len <= self.len, "numbers {at}..{} of {}", at + len, self.len);
        Self { address: self.address + (at * size_of::<f32>()) as u64, len }
    }
}

/// A kernel to launch: its file, its name, how many blocks of how many threads, bytes of shared memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Launch<'a> {
    /// The file's name without its ending.
    pub file: &'a str,
    /// The kernel's name.
    pub kernel: &'a str,
    /// Blocks.
    pub grid: [u32; 3],
    /// Threads of a block.
    pub block: [u32; 3],
    /// Bytes of shared memory whose size the launch gives.
    pub shared: u32,
}

impl Device {
    /// The first device of NVIDIA's driver, or why there is none.
    pub fn driver() -> Result<Self, String> {
        Ok(Self::of(Machine::Driver(Driver::new()?)))
    }

    /// The CPU as a device, for tests.
    #[cfg(feature = "emulator")]
    pub fn emulated() -> Result<Self, String> {
        Ok(Self::of(Machine::Emulated(Emulator::new()?)))
    }

    fn of(machine: Machine) -> Self {
        Self { machine, state: Mutex::default() }
    }

    /// Its name, for people.
    pub fn name(&self) -> String {
        match &self.machine {
            Machine::Driver(driver) => driver.name().into(),
            #[cfg(feature = "emulator")]
            Machine::Emulated(_) => "emulated on the CPU".into(),
        }
    }

    /// Its multiprocessors.
    pub fn multiprocessors(&self) -> usize {
        match &self.machine {
            Machine::Driver(driver) => driver.multiprocessors(),
            #[cfg(feature = "emulator")]
            Machine::Emulated(_) => 8,
        }
    }

    /// Its compute capability, 90 for 9.0.
    pub fn capability(&self) -> u32 {
        match &self.machine {
            Machine::Driver(driver) => driver.capability(),
            #[cfg(feature = "emulator")]
            Machine::Emulated(_) => 90,
        }
    }

    /// What went wrong, if anything did.
    pub fn failure(&self) -> Option<String> {
        self.state().failure.clone()
    }

    /// Waits until all that was asked for is done.
    pub fn finish(&self) -> Result<(), String> {
        match &self.machine {
            Machine::Driver(driver) => {
                self.keep(driver.finish());
            }
            // Done before it returns.
            #[cfg(feature = "emulator")]
            Machine::Emulated(_) => {}
        }
        self.failure().map_or(Ok(()), Err)
    }

    /// Memory of at least one byte, with unknown contents; none after a failure.
    pub fn alloc(&self, bytes: usize) -> Memory {
        // A multiple of what transactions and vectors ask for.
        let bytes = bytes.max(1).next_multiple_of(512);
        let mut state = self.state();
        if let Some(address) = state.idle.get_mut(&bytes).and_then(Vec::pop) {
            return Memory { address, bytes };
        }
        let mut address = self.take(bytes);
        if address.is_err() {
            for address in state.idle.drain().flat_map(|(_, all)| all).collect::<Vec<_>>() {
                state.taken.remove(&address);
                self.give(address);
            }
            address = self.take(bytes);
        }
        match address {
            Ok(address) => {
                state.taken.insert(address, bytes);
                Memory { address, bytes }
            }
            Err(e) => {
                let already: usize = state.taken.values().sum();
                let mb = |bytes: usize| bytes >> 20;
                let [more, already] = [mb(bytes), mb(already)];
                state.failure.get_or_insert(format!(
                    "{more} MB more than {already} MB are not to be had on the device: {e}; use a smaller batch"
                ));
                Memory { address: 0, bytes }
            }
        }
    }

    /// Gives memory back. Kernels that were launched before may still use it.
    pub fn free(&self, memory: Memory) {
        if memory.address != 0 {
            self.state().idle.entry(memory.bytes).or_default().push(memory.address);
        }
    }

    /// Bytes in use and kept for later.
    pub fn bytes(&self) -> usize {
        self.state().taken.values().sum()
    }

    /// Memory that the next kernels may use until another operation asks for it, `len` numbers of 4 bytes.
    pub(super) fn scratch(&self, len: usize) -> Span {
        let bytes = len * size_of::<f32>();
        let enough = self.state().scratch.bytes >= bytes;
        if !enough {
            let old = std::mem::take(&mut self.state().scratch);
            self.free(old);
            let scratch = self.alloc(bytes);
            self.state().scratch = scratch;
        }
        self.state().scratch.span(0, len)
    }

    /// Copies numbers to the device.
    ///
    /// # Panics
    /// When the lengths differ.
    pub fn write(&self, to: Span, from: &[f32]) {
        assert_eq!(to.len, from.len(), "numbers to write");
        if from.is_empty() || self.failure().is_some() {
            return;
        }
        match &self.machine {
            Machine::Driver(driver) => self.keep(driver.write(to, from)),
            #[cfg(feature = "emulator")]
            Machine::Emulated(emulator) => emulator.write(to, from),
        }
    }

    /// Copies numbers from the device, when all that was asked for is done. After a failure they are zeros.
    ///
    /// # Panics
    /// When the lengths differ.
    pub fn read(&self, from: Span, to: &mut [f32]) {
        assert_eq!(from.len, to.len(), "numbers to read");
        to.fill(0.0);
        if to.is_empty() || self.failure().is_some() {
            return;
        }
        match &self.machine {
            Machine::Driver(driver) => self.keep(driver.read(from, to)),
            #[cfg(feature = "emulator")]
            Machine::Emulated(emulator) => emulator.read(from, to),
        }
    }

    /// Launches a kernel with these arguments.
    ///
    /// # Safety
    /// `arguments` must point to what the kernel's parameters are, in their order, and the kernel must stay
    /// within the memory that they name.
    pub(super) unsafe fn launch(&self, l: &Launch, arguments: &mut [*mut c_void]) {
        if self.failure().is_some() {
            return;
        }
        // SAFETY: the caller's promise.
        let done = unsafe {
            match &self.machine {
                Machine::Driver(driver) => driver.launch(l, arguments),
                #[cfg(feature = "emulator")]
                Machine::Emulated(emulator) => emulator.launch(l, arguments),
            }
        };
        self.keep(done.map_err(|e| format!("{}: {e}", l.kernel)));
    }

    /// A tensor map of what lies at an address.
    pub(super) fn map(&self, map: &TensorMap, address: u64) -> [u8; 128] {
        let encoded = match &self.machine {
            Machine::Driver(_) => map.encoded(address),
            #[cfg(feature = "emulator")]
            Machine::Emulated(_) => Ok(map.emulated(address)),
        };
        encoded.unwrap_or_else(|e| {
            self.keep(Err(e));
            [0; 128]
        })
    }

    fn keep(&self, result: Result<(), String>) {
        if let Err(e) = result {
            self.state().failure.get_or_insert(e);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn take(&self, bytes: usize) -> Result<u64, String> {
        match &self.machine {
            Machine::Driver(driver) => driver.alloc(bytes),
            #[cfg(feature = "emulator")]
            Machine::Emulated(emulator) => Ok(emulator.alloc(bytes)),
        }
    }

    fn give(&self, address: u64) {
        match &self.machine {
            Machine::Driver(driver) => driver.free(address),
            #[cfg(feature = "emulator")]
            Machine::Emulated(emulator) => emulator.free(address),
        }
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        for address in std::mem::take(&mut self.state().taken).into_keys() {
            self.give(address);
        }
    }
}
