//! stub
/// s
#[derive(Clone, Debug)]
pub struct SweepCurve {
    /// s
    pub name: String,
    /// s
    pub points: Vec<(f64, f64, f64)>,
}
/// s
pub fn draw_sweep(
    _c: &[SweepCurve],
    _chance: f64,
    _t: &str,
    p: &std::path::Path,
) -> crate::error::Result<()> {
    let _ = std::fs::write(p, "<svg");
    Ok(())
}
