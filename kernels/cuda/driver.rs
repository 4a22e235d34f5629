//! NVIDIA's driver: one device, one stream of work, kernels compiled when they are first launched.

use super::device::{Launch, Span};
use super::ptx;
use cudarc::driver::result::{self, DriverError};
use cudarc::driver::sys;
use std::collections::HashMap;
use std::ffi::{CString, c_void};
use std::sync::{Mutex, OnceLock};

/// Bytes of each of the two pieces of memory that copies from the host go through.
const STAGE: usize = 16 << 20;

/// What is made once in a process: the device's context, and what was compiled for it.
struct Context {
    context: sys::CUcontext,
    name: String,
    capability: u32,
    multiprocessors: usize,
    modules: Mutex<HashMap<String, Module>>,
}

struct Module {
    handle: sys::CUmodule,
    functions: HashMap<String, Function>,
}

#[derive(Clone, Copy)]
struct Function {
    handle: sys::CUfunction,
    /// Shared memory that it may ask for.
    shared: u32,
}

// SAFETY: the driver's handles may be used on any thread; what changes lies behind a mutex.
unsafe impl Send for Context {}
// SAFETY: as above.
unsafe impl Sync for Context {}

/// The device, and a stream of its own.
pub struct Driver {
    shared: &'static Context,
    stream: sys::CUstream,
    stages: Mutex<Stages>,
}

/// Memory of the host that the device reads by itself, and when it has.
struct Stages {
    memory: [*mut c_void; 2],
    done: [sys::CUevent; 2],
    next: usize,
}

// SAFETY: as for `Context`; a stage is used by who holds the mutex.
unsafe impl Send for Driver {}
// SAFETY: as above.
unsafe impl Sync for Driver {}

fn words(e: DriverError) -> String {
    let text = e.error_string().map(|t| t.to_string_lossy().into_owned());
    format!("the CUDA driver says: {}", text.unwrap_or_else(|_| "an unknown error".into()))
}

fn context() -> Result<&'static Context, String> {
    static CONTEXT: OnceLock<Result<Context, String>> = OnceLock::new();
    CONTEXT.get_or_init(make_context).as_ref().map_err(Clone::clone)
}

fn make_context() -> Result<Context, String> {
    // SAFETY: it only looks for a library.
    if !unsafe { sys::is_culib_present() } {
        return Err("no NVIDIA driver was found (libcuda)".into());
    }
    result::init().map_err(words)?;
    if result::device::get_count().map_err(words)? == 0 {
        return Err("NVIDIA's driver has no device".into());
    }
    use sys::CUdevice_attribute_enum as Attribute;
    let device = result::device::get(0).map_err(words)?;
    // SAFETY: the device is one that the driver named.
    let attribute = |a| unsafe { result::device::get_attribute(device, a) }.map_err(words);
    let major = attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?;
    let minor = attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?;
    let name = result::device::get_name(device).map_err(words)?;
    let capability = (10 * major + minor) as u32;
    if capability < ptx::LEAST {
        let least = ptx::LEAST as f64 / 10.0;
        return Err(format!("{name} has compute capability {major}.{minor}; {least:.1} is needed"));
    }
    let multiprocessors = attribute(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)? as usize;
    // SAFETY: as above. The primary context is kept until the process ends.
    let context = unsafe { result::primary_ctx::retain(device) }.map_err(words)?;
    Ok(Context { context, name, capability, multiprocessors, modules: Mutex::default() })
}

impl Context {
    /// Every thread that talks to the driver says first which context it means.
    fn enter(&self) -> Result<(), String> {
        // SAFETY: the context lives as long as the process.
        unsafe { result::ctx::set_current(self.context) }.map_err(words)
    }

    fn function(&self, l: &Launch) -> Result<sys::CUfunction, String> {
        let mut modules = self.modules.lock().unwrap_or_else(|p| p.into_inner());
        if !modules.contains_key(l.file) {
            let text = ptx::best(l.file, self.capability)
                .ok_or_else(|| format!("there is no {}.ptx for this device", l.file))?;
            let text = CString::new(text).map_err(|e| e.to_string())?;
            // SAFETY: it is a text that ends with a zero byte.
            let handle = unsafe { result::module::load_data(text.as_ptr().cast()) }
                .map_err(|e| format!("{}.ptx: {}", l.file, words(e)))?;
            modules.insert(l.file.into(), Module { handle, functions: HashMap::new() });
        }
        let module = modules.get_mut(l.file).ok_or("a module is lost")?;
        if !module.functions.contains_key(l.kernel) {
            let name = CString::new(l.kernel).map_err(|e| e.to_string())?;
            // SAFETY: modules are never unloaded.
            let handle =
                unsafe { result::module::get_function(module.handle, name) }.map_err(words)?;
            module.functions.insert(l.kernel.into(), Function { handle, shared: 48 << 10 });
        }
        let function = module.functions.get_mut(l.kernel).ok_or("a function is lost")?;
        if l.shared > function.shared {
            let most =
                sys::CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
            // SAFETY: the function is one of a module that is loaded.
            unsafe {
                result::function::set_function_attribute(function.handle, most, l.shared as i32)
            }
            .map_err(words)?;
            function.shared = l.shared;
        }
        Ok(function.handle)
    }
}

impl Driver {
    /// The first device, with a stream of its own.
    pub fn new() -> Result<Self, String> {
        let shared = context()?;
        shared.enter()?;
        let stream = result::stream::create(result::stream::StreamKind::NonBlocking);
        let stream = stream.map_err(words)?;
        // SAFETY: both pieces are used through this driver's stages only, and freed with it.
        let memory = || unsafe { result::malloc_host(STAGE, 0) }.map_err(words);
        let event = || {
            let flags = sys::CUevent_flags_enum::CU_EVENT_DISABLE_TIMING;
            result::event::create(flags).map_err(words)
        };
        let stages = Stages { memory: [memory()?, memory()?], done: [event()?, event()?], next: 0 };
        Ok(Self { shared, stream, stages: Mutex::new(stages) })
    }

    /// The device's name.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// 90 for 9.0.
    pub fn capability(&self) -> u32 {
        self.shared.capability
    }

    /// How many there are.
    pub fn multiprocessors(&self) -> usize {
        self.shared.multiprocessors
    }

    pub fn alloc(&self, bytes: usize) -> Result<u64, String> {
        self.shared.enter()?;
        // SAFETY: nobody reads memory before it was written.
        unsafe { result::malloc_sync(bytes) }.map_err(words)
    }

    pub fn free(&self, address: u64) {
        // When a process ends, its context may be gone before its memory.
        let _ = self.shared.enter().map(|()| {
            // SAFETY: it came from `alloc`; the driver waits for kernels that use it.
            unsafe { result::free_sync(address) }
        });
    }

    /// Copies by way of memory that the device reads by itself: while it reads one piece, the next is filled, and
    /// the last one is read after this has returned.
    pub fn write(&self, to: Span, from: &[f32]) -> Result<(), String> {
        self.shared.enter()?;
        let mut stages = self.stages.lock().unwrap_or_else(|p| p.into_inner());
        let mut address = to.address;
        for piece in from.chunks(STAGE / size_of::<f32>()) {
            let i = stages.next;
            stages.next = 1 - i;
            // SAFETY: the piece is not longer than the stage, which nobody reads once its event has happened; the
            // caller's span holds all pieces.
            unsafe {
                result::event::synchronize(stages.done[i]).map_err(words)?;
                let stage =
                    std::slice::from_raw_parts_mut(stages.memory[i].cast::<f32>(), piece.len());
                stage.copy_from_slice(piece);
                result::memcpy_htod_async(address, stage, self.stream).map_err(words)?;
                result::event::record(stages.done[i], self.stream).map_err(words)?;
            }
            address += size_of_val(piece) as u64;
        }
        Ok(())
    }

    pub fn read(&self, from: Span, to: &mut [f32]) -> Result<(), String> {
        self.shared.enter()?;
        let stages = self.stages.lock().unwrap_or_else(|p| p.into_inner());
        let mut address = from.address;
        for piece in to.chunks_mut(STAGE / size_of::<f32>()) {
            // SAFETY: as in `write`; the copy is over before the stage is read.
            unsafe {
                result::event::synchronize(stages.done[0]).map_err(words)?;
                let stage =
                    std::slice::from_raw_parts_mut(stages.memory[0].cast::<f32>(), piece.len());
                result::memcpy_dtoh_async(stage, address, self.stream).map_err(words)?;
                result::stream::synchronize(self.stream).map_err(words)?;
                piece.copy_from_slice(stage);
            }
            address += size_of_val(piece) as u64;
        }
        Ok(())
    }

    pub fn finish(&self) -> Result<(), String> {
        self.shared.enter()?;
        // SAFETY: the stream lives as long as this.
        unsafe { result::stream::synchronize(self.stream) }.map_err(words)
    }

    /// # Safety
    /// As for `Device::launch`.
    pub unsafe fn launch(&self, l: &Launch, arguments: &mut [*mut c_void]) -> Result<(), String> {
        self.shared.enter()?;
        let function = self.shared.function(l)?;
        let [grid, block] = [l.grid, l.block].map(|[x, y, z]| (x, y, z));
        // SAFETY: the caller's promise.
        unsafe {
            result::launch_kernel(function, grid, block, l.shared, self.stream, arguments)
                .map_err(words)
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if self.finish().is_err() {
            // The device is lost; so is what lies on it.
            return;
        }
        let stages = self.stages.get_mut().unwrap_or_else(|p| p.into_inner());
        // SAFETY: nothing is under way, and nobody else knows these.
        unsafe {
            for i in [0, 1] {
                let _ = result::event::destroy(stages.done[i]);
                let _ = result::free_host(stages.memory[i]);
            }
            let _ = result::stream::destroy(self.stream);
        }
    }
}
