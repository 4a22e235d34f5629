//! The kernels on the CPU: the same sources, compiled by the system's C++ compiler, for tests.
//!
//! Memory is the host's, with guards around each piece that are looked at after every launch: a kernel that
//! writes outside is named.

use super::device::{Launch, Span};
use libloading::{Library, Symbol};
use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::ffi::{CString, OsString, c_char, c_int, c_uint, c_void};
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock};

/// What lies on both sides of each piece of memory, in words of 8 bytes.
const GUARD: usize = 64;
const PATTERN: u64 = 0xa5a5_a5a5_dead_beef;

/// The compiled kernels, and memory.
pub(super) struct Emulator {
    compiled: &'static Library,
    /// By address: guard, contents, guard.
    memory: Mutex<HashMap<u64, Vec<u64>>>,
}

type Emulate = unsafe extern "C" fn(
    *const c_char,
    *const c_uint,
    *const c_uint,
    c_uint,
    *mut *mut c_void,
) -> c_int;

impl Emulator {
    pub fn new() -> Result<Self, String> {
        static LIBRARY: OnceLock<Result<Library, String>> = OnceLock::new();
        let compiled = LIBRARY.get_or_init(|| {
            let path = build()?;
            // SAFETY: its start only fills a table of kernels.
            unsafe { Library::new(&path) }.map_err(|e| format!("{}: {e}", path.display()))
        });
        let compiled = compiled.as_ref().map_err(Clone::clone)?;
        Ok(Self { compiled, memory: Mutex::default() })
    }

    pub fn alloc(&self, bytes: usize) -> u64 {
        let words = bytes.div_ceil(8);
        // What was never written is not a number.
        let mut memory = vec![u64::MAX; words + 2 * GUARD];
        memory[..GUARD].fill(PATTERN);
        memory[GUARD + words..].fill(PATTERN);
        let address = memory[GUARD..].as_ptr() as u64;
        self.memory().insert(address, memory);
        address
    }

    pub fn free(&self, address: u64) {
        self.memory().remove(&address);
    }

    pub fn write(&self, to: Span, from: &[f32]) {
        // SAFETY: a span lies in memory that is there, and kernels have ended when a launch returns.
        unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), to.address as *mut f32, from.len()) };
    }

    pub fn read(&self, from: Span, to: &mut [f32]) {
        // SAFETY: as above.
        unsafe {
            std::ptr::copy_nonoverlapping(from.address as *const f32, to.as_mut_ptr(), to.len())
        };
    }

    /// # Safety
    /// As for `Device::launch`.
    pub unsafe fn launch(&self, l: &Launch, arguments: &mut [*mut c_void]) -> Result<(), String> {
        let name = CString::new(l.kernel).map_err(|e| e.to_string())?;
        // SAFETY: the library has this function, with this type; the caller's promise for what it is given.
        let code = unsafe {
            let emulate: Symbol<Emulate> =
                self.compiled.get(b"likenet_emulate").map_err(|e| e.to_string())?;
            let (grid, block) = (l.grid.as_ptr(), l.block.as_ptr());
            emulate(name.as_ptr(), grid, block, l.shared, arguments.as_mut_ptr())
        };
        match code {
            0 => {}
            1 => return Err("no such kernel in the emulator".into()),
            _ => return Err(format!("no device takes such a launch: {l:?}")),
        }
        let memory = self.memory();
        let broken = memory.values().find(|m| {
            let (front, back) = (&m[..GUARD], &m[m.len() - GUARD..]);
            front.iter().chain(back).any(|word| *word != PATTERN)
        });
        match broken {
            Some(m) => Err(format!("wrote outside memory of {} bytes", 8 * (m.len() - 2 * GUARD))),
            None => Ok(()),
        }
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Vec<u64>>> {
        self.memory.lock().unwrap_or_else(|p| p.into_inner())
    }
}

/// Compiles the kernels beside this program, unless they lie there already, and says where.
pub fn build() -> Result<PathBuf, String> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("cuda");
    let own = std::env::current_exe().map_err(|e| e.to_string())?;
    let folder = own.parent().unwrap_or(Path::new(".")).join("cuda-emulator");
    build_into(&sources, &folder).map_err(|e| format!("the emulator of CUDA kernels: {e}"))
}

fn build_into(sources: &Path, folder: &Path) -> Result<PathBuf, String> {
    let read = |path: &Path| {
        std::fs::read(path).map_err(|e| format!("{} cannot be read: {e}", path.display()))
    };
    let mut files = vec![];
    for dir in [sources.to_path_buf(), sources.join("host")] {
        let entries = std::fs::read_dir(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        for entry in entries {
            files.push(entry.map_err(|e| e.to_string())?.path());
        }
    }
    files.sort();
    let ends = |path: &Path, all: &[&str]| {
        path.extension().is_some_and(|e| all.iter().any(|end| e == *end))
    };
    let mut common = DefaultHasher::new();
    FLAGS.hash(&mut common);
    for header in files.iter().filter(|f| ends(f, &["h", "cuh"])) {
        read(header)?.hash(&mut common);
    }
    std::fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut whole = DefaultHasher::new();
    let mut objects = vec![];
    for source in files.iter().filter(|f| ends(f, &["cu", "cpp"])) {
        let mut hash = common.clone();
        read(source)?.hash(&mut hash);
        let (name, hash) = (source.file_stem().unwrap_or_default(), hash.finish());
        hash.hash(&mut whole);
        objects.push((source, folder.join(format!("{}-{hash:016x}.o", name.to_string_lossy()))));
    }
    let library = folder.join(format!("likenet-kernels-{:016x}.so", whole.finish()));
    if library.exists() {
        return Ok(library);
    }
    let include = [sources.to_path_buf(), sources.join("host")];
    let missing: Vec<_> = objects.iter().filter(|(_, object)| !object.exists()).collect();
    let compile = |(source, object): &(&PathBuf, PathBuf)| {
        let mut arguments: Vec<OsString> = FLAGS.map(Into::into).to_vec();
        include.iter().for_each(|dir| arguments.extend(["-I".into(), dir.into()]));
        arguments.extend(["-c".into(), "-x".into(), "c++".into(), (*source).into()]);
        make(object, arguments)
    };
    // Each file by itself, on as many threads as there are cores.
    let workers = std::thread::available_parallelism().map_or(1, |n| n.get());
    let share = missing.len().div_ceil(workers).max(1);
    std::thread::scope(|scope| {
        let parts: Vec<_> = missing
            .chunks(share)
            .map(|part| scope.spawn(move || part.iter().try_for_each(|one| compile(one))))
            .collect();
        parts.into_iter().try_for_each(|p| p.join().map_err(|_| "a thread died".to_string())?)
    })?;
    let mut arguments: Vec<OsString> = vec!["-shared".into()];
    arguments.extend(objects.iter().map(|(_, object)| object.into()));
    make(&library, arguments)?;
    Ok(library)
}

const FLAGS: [&str; 4] = ["-std=c++17", "-O2", "-fPIC", "-ffp-contract=off"];

/// Runs the compiler. What it makes appears under its name when it is whole: another test may do the same.
fn make(to: &Path, arguments: Vec<OsString>) -> Result<(), String> {
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".into());
    let partial = to.with_extension(format!("{}.part", std::process::id()));
    let output = Command::new(&compiler).args(arguments).arg("-o").arg(&partial).output();
    let output = output.map_err(|e| format!("{compiler} does not start: {e}"))?;
    if !output.status.success() {
        return Err(format!("{compiler}: {}", String::from_utf8_lossy(&output.stderr)));
    }
    std::fs::rename(&partial, to).map_err(|e| format!("{}: {e}", to.display()))
}
