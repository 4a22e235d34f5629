//! Who is told how far a long run is.

/// Hears what a run does. Calls come from any thread.
pub trait Watch: Sync {
    /// Something countable begins; how many there will be, where that is known.
    fn begin(&self, what: &str, total: Option<u64>);
    /// So many are done.
    fn at(&self, done: u64);
    /// Something that a person should know.
    fn note(&self, text: &str);
}

/// Tells nobody.
pub struct Silent;

impl Watch for Silent {
    fn begin(&self, _: &str, _: Option<u64>) {}
    fn at(&self, _: u64) {}
    fn note(&self, _: &str) {}
}
