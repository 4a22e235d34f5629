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

#[cfg(test)]
mod tests {
    use super::super::gradient_check::{check, numbers};
    use super::*;

    #[test]
    fn rows_are_found_and_gradients_equal_differences() {
        let (indices, weight) = ([2.0, 0.0, 2.0, 7.0, -1.0], numbers(3 * 4));
        let f = |weight: &[f32], bias: Option<&[f32]>| {
            let mut y = vec![9.0; 5 * 4];
            embed(3, 4, &indices, weight, bias, &mut y);
            y
        };
        let y = f(&weight, Some(&[1.0; 4]));
        assert_eq!(y[4..8], [0, 1, 2, 3].map(|i| weight[i] + 1.0));
        assert_eq!(y[12..], [1.0; 8]);
        check(
            &weight,
            |weight| f(weight, None),
            |dy| {
                let mut dweight = vec![1.0; 12];
                embed_back(4, &indices, dy, &mut dweight);
                dweight.iter().map(|d| d - 1.0).collect()
            },
        );
    }
}
