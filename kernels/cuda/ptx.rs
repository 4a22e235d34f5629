//! The kernels as PTX, which the driver compiles for its device. `build.sh` makes these files from the sources.

/// The least compute capability that can run them, 70 for 7.0.
pub const LEAST: u32 = 70;

/// The PTX of a file that suits a device best.
pub fn best(file: &str, capability: u32) -> Option<&'static str> {
    let (_, variants) = FILES.iter().find(|(name, _)| *name == file)?;
    // What ends with an "a" uses one architecture's own instructions: that one alone can run it.
    let runs = |target: &str| {
        let own = target.strip_suffix('a');
        let number = own.unwrap_or(target).parse::<u32>().ok()?;
        let fits = if own.is_some() { number == capability } else { number <= capability };
        fits.then_some((number, own.is_some()))
    };
    let usable = variants.iter().filter_map(|(target, text)| Some((runs(target)?, *text)));
    usable.max_by_key(|(target, _)| *target).map(|(_, text)| text)
}

/// Files, and for each target its PTX.
type Files = [(&'static str, &'static [(&'static str, &'static str)])];

include!("ptx/files.rs");
