//! What a layer's tensors are called: a Caffe type and an index in, a name out.

/// The name of a layer's `index`-th tensor.
pub(crate) fn tensor_name(kind: &str, index: usize) -> String {
    let known: &[&str] = match kind {
        "BatchNorm" => &["mean", "variance", "scale_factor"],
        "Bias" => &["bias"],
        _ => &["weight", "bias"],
    };
    known.get(index).map_or_else(|| format!("blob{index}"), |&name| name.to_owned())
}

/// Where a tensor stands in its layer by its name alone, for files that do not say.
pub(crate) fn rank(name: &str) -> usize {
    const ORDER: [&str; 8] = [
        "weight",
        "bias",
        "mean",
        "variance",
        "scale_factor",
        "running_mean",
        "running_var",
        "num_batches_tracked",
    ];
    if let Some(rank) = ORDER.iter().position(|&known| known == name) {
        return rank;
    }
    let number = name.strip_prefix("blob").and_then(|n| n.parse::<usize>().ok());
    number.map_or(usize::MAX, |n| n.saturating_add(ORDER.len()))
}

/// The shape in the current form of an array with the four dimensions of old files.
pub(crate) fn modern_shape(kind: &str, name: &str, legacy: &[usize]) -> Vec<usize> {
    let axes = match (kind, name) {
        (_, "bias") | ("BatchNorm" | "PReLU", _) => 1,
        ("InnerProduct" | "Embed", "weight") => 2,
        _ => 4,
    };
    let ones = legacy.len().saturating_sub(axes);
    // Only ones can be dropped without changing the array.
    let drop = legacy[..ones].iter().take_while(|&&d| d == 1).count();
    legacy[drop..].to_vec()
}
