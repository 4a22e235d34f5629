//! What several tests share: golden files, and how far a result may be from them.

// Each test file compiles this module for itself and uses its own part of it.
#![allow(dead_code)]

use likenet::backend::{Settings, by_name};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// A file below `tests/golden`.
pub fn golden(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(path)
}

/// A file of the developers' shared folder, or `None` (printed and counted as skipped) without one.
pub fn shared(path: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    if root.is_dir() {
        return Some(root.join(path));
    }
    println!("skipped: {path} needs ../shared, which is absent");
    None
}

/// The CUDA backend: on a device if there is one, else its kernels on the CPU; or `None` (printed and counted as
/// skipped) where they cannot be compiled.
pub fn cuda() -> Option<&'static str> {
    static FOUND: OnceLock<Option<&str>> = OnceLock::new();
    *FOUND.get_or_init(|| {
        let tried = ["cuda", "cuda-emulated"].map(|name| {
            by_name(name, Settings::default()).map(|backend| (name, backend.describe()))
        });
        match tried {
            [Ok(found), _] | [_, Ok(found)] => {
                println!("cuda: {}", found.1);
                Some(found.0)
            }
            [Err(no_device), Err(no_emulator)] => {
                println!("skipped: cuda: {no_device}; {no_emulator}");
                None
            }
        }
    })
}

/// An array of floats.
pub fn npy(path: &Path) -> Vec<f32> {
    weights_tools::npy::read_f32(path).unwrap_or_else(|e| panic!("{e}")).data
}

/// Largest difference over the largest magnitude of `want`. NaN matches NaN only.
pub fn relative_error(got: &[f32], want: &[f32]) -> f32 {
    assert_eq!(got.len(), want.len(), "number of elements");
    let largest = want.iter().filter(|w| w.is_finite()).fold(0f32, |m, w| m.max(w.abs()));
    let difference = |(g, w): (&f32, &f32)| match (g.is_nan(), w.is_nan()) {
        (true, true) => 0.0,
        (false, false) if g == w => 0.0,
        (false, false) => (g - w).abs(),
        _ => f32::INFINITY,
    };
    let worst = got.iter().zip(want).map(difference).fold(0.0, f32::max);
    if worst == 0.0 { 0.0 } else { worst / largest }
}

/// A number as C99 writes it: sign, 0x, one digit, a point, hexadecimal digits, p, power of two.
pub fn hex(text: impl AsRef<str>) -> f64 {
    let text = text.as_ref();
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1.0, digits),
        None => (1.0, text),
    };
    let (digits, power) = digits.strip_prefix("0x").and_then(|d| d.split_once('p')).expect(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let significand = u64::from_str_radix(&format!("{whole}{fraction}"), 16).expect(text);
    let power: i32 = power.parse().expect(text);
    sign * significand as f64 * 2f64.powi(power - 4 * fraction.len() as i32)
}

/// Some of them.
pub fn hexes(texts: &[String]) -> Vec<f64> {
    texts.iter().map(hex).collect()
}
