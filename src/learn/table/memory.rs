//! Whether features fit into memory, before they are read.

use crate::error::{Error, Result};
use crate::learn::Layout;
use std::path::Path;

/// Bytes that `count` rows take which are like some of them.
pub(super) fn needed_like(layout: Layout, count: usize, some: &[Vec<f32>]) -> u64 {
    let all = some.iter().map(Vec::len).sum::<usize>();
    let filled = some.iter().flatten().filter(|&&v| v != 0.0).count();
    let bytes = needed(layout, all, filled) as f64;
    (bytes / some.len().max(1) as f64 * count as f64) as u64
}

/// Bytes that so many values take of which `filled` are not zero.
pub(super) fn needed(layout: Layout, all: usize, filled: usize) -> u64 {
    let (all, filled, value) = (all as u64, filled as u64, size_of::<f32>() as u64);
    match layout {
        Layout::Packed => filled * value + all / 8,
        Layout::Dense | Layout::Mapped => all * value,
    }
}

/// Fails when the machine has less memory to give than is needed, where that can be known.
pub(super) fn check(path: &Path, needed: u64) -> Result<()> {
    match available() {
        Some(available) if needed > available => Err(Error::Invalid(format!(
            "{}: its features need {:.1} GB of memory and {:.1} GB are free: as f32 in .safetensors or .npy they \
             can be left in the file (--mapped)",
            path.display(),
            needed as f64 * 1e-9,
            available as f64 * 1e-9
        ))),
        _ => Ok(()),
    }
}

/// Bytes that can be had without others being pushed out, as Linux tells.
fn available() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_said_before_it_is_read() {
        let some = vec![vec![0.0, 1.0, 0.0, 0.0], vec![2.0, 3.0, 0.0, 0.0]];
        assert_eq!(needed_like(Layout::Dense, 100, &some), 1600);
        assert_eq!(needed_like(Layout::Packed, 100, &some), 650);
        assert!(check("x.npy".as_ref(), 1000).is_ok());
        if available().is_some() {
            let error = check("x.npy".as_ref(), u64::MAX).unwrap_err().to_string();
            assert!(error.contains("x.npy") && error.contains("--mapped"), "{error}");
        }
    }
}
