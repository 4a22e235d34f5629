//! Rows looked up in a table.
//!
//! Flows in: indices, as floats. Flows out: the table's row for each, `(indices, outputs)`.

/// `y[r] = weight[indices[r]] + bias`; `weight` is `(input_dim, outputs)`. An index outside the table finds a
/// row of zeros.
pub fn embed(
    input_dim: usize,
    outputs: usize,
    indices: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    y: &mut [f32],
) {
    for (y, index) in y.chunks_exact_mut(outputs).zip(indices) {
        match row(*index, input_dim) {
            Some(r) => y.copy_from_slice(&weight[r * outputs..][..outputs]),
            None => y.fill(0.0),
        }
        y.iter_mut().zip(bias.unwrap_or_default()).for_each(|(y, b)| *y += b);
    }
}

/// The gradient of the table: `dweight[indices[r]] += dy[r]`.
pub fn embed_back(outputs: usize, indices: &[f32], dy: &[f32], dweight: &mut [f32]) {
    let rows = dweight.len() / outputs;
    for (dy, index) in dy.chunks_exact(outputs).zip(indices) {
        if let Some(r) = row(*index, rows) {
            dweight[r * outputs..].iter_mut().zip(dy).for_each(|(dw, dy)| *dw += dy);
        }
    }
}

fn row(index: f32, rows: usize) -> Option<usize> {
    usize::try_from(index as i32).ok().filter(|r| *r < rows)
}
