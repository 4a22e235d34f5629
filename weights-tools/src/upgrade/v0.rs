//! The first generation: one message with every parameter of every kind, its type a lower-case word,
//! and padding a layer of its own.

use std::collections::HashMap;

use crate::Error;
use crate::schema::proto::v1_layer_parameter::LayerType;
use crate::schema::proto::{NetParameter, V0LayerParameter, V1LayerParameter};

/// The V1 type of a V0 type.
pub(crate) fn layer_type(word: &str) -> Option<LayerType> {
    Some(match word {
        "accuracy" => LayerType::Accuracy,
        "bnll" => LayerType::Bnll,
        "concat" => LayerType::Concat,
        "conv" => LayerType::Convolution,
        "data" => LayerType::Data,
        "dropout" => LayerType::Dropout,
        "euclidean_loss" => LayerType::EuclideanLoss,
        "flatten" => LayerType::Flatten,
        "hdf5_data" => LayerType::Hdf5Data,
        "hdf5_output" => LayerType::Hdf5Output,
        "im2col" => LayerType::Im2col,
        "images" => LayerType::ImageData,
        "infogain_loss" => LayerType::InfogainLoss,
        "innerproduct" => LayerType::InnerProduct,
        "lrn" => LayerType::Lrn,
        "multinomial_logistic_loss" => LayerType::MultinomialLogisticLoss,
        "pool" => LayerType::Pooling,
        "relu" => LayerType::Relu,
        "sigmoid" => LayerType::Sigmoid,
        "softmax" => LayerType::Softmax,
        "softmax_loss" => LayerType::SoftmaxLoss,
        "split" => LayerType::Split,
        "tanh" => LayerType::Tanh,
        "window_data" => LayerType::WindowData,
        _ => return None,
    })
}

/// Turns every V0 layer of a net into a V1 layer.
pub(super) fn upgrade(net: &mut NetParameter, warnings: &mut Vec<String>) -> Result<(), Error> {
    *net = fold_padding(std::mem::take(net))?;
    for layer in &mut net.layers {
        *layer = upgrade_layer(std::mem::take(layer), warnings)?;
    }
    Ok(())
}

/// Drops the padding layers: the convolution or pooling that follows takes over the padding and reads
/// what the padding layer read.
pub(super) fn fold_padding(mut net: NetParameter) -> Result<NetParameter, Error> {
    // The layer that last wrote each blob; `None` for the net's own inputs.
    let mut writer: HashMap<String, Option<usize>> =
        net.input.iter().map(|name| (name.clone(), None)).collect();
    let old = std::mem::take(&mut net.layers);
    for (i, connection) in old.iter().enumerate() {
        let mut kept = connection.clone();
        for (j, bottom) in connection.bottom.iter().enumerate() {
            let source = match writer.get(bottom) {
                Some(source) => source.map(|index| &old[index]),
                None => return Err(error(connection, format!("unknown bottom \"{bottom}\""))),
            };
            if let Some(padding) = source.filter(|source| kind(source) == "padding") {
                check_padding(connection, padding)?;
                kept.layer.get_or_insert_default().pad =
                    Some(padding.layer.as_ref().map_or(0, V0LayerParameter::pad));
                kept.bottom[j].clone_from(&padding.bottom[0]);
            }
        }
        for top in &connection.top {
            writer.insert(top.clone(), Some(i));
        }
        if kind(connection) != "padding" {
            net.layers.push(kept);
        }
    }
    Ok(net)
}

fn check_padding(reader: &V1LayerParameter, padding: &V1LayerParameter) -> Result<(), Error> {
    if !matches!(kind(reader), "conv" | "pool") {
        let problem = format!("a padding layer feeds a layer of type \"{}\"", kind(reader));
        return Err(error(reader, problem));
    }
    if reader.bottom.len() != 1 || padding.bottom.len() != 1 || padding.top.len() != 1 {
        let problem = "a padding layer and its reader must have one input, and the padding layer one \
                       output";
        return Err(error(reader, problem.to_owned()));
    }
    Ok(())
}

fn kind(connection: &V1LayerParameter) -> &str {
    connection.layer.as_ref().map_or("", V0LayerParameter::r#type)
}

fn error(connection: &V1LayerParameter, problem: String) -> Error {
    let name = connection.layer.as_ref().map_or("", V0LayerParameter::name);
    Error::Upgrade { layer: name.to_owned(), problem }
}

fn upgrade_layer(
    mut connection: V1LayerParameter,
    warnings: &mut Vec<String>,
) -> Result<V1LayerParameter, Error> {
    let Some(mut old) = connection.layer.take() else {
        // Beside V0 layers Caffe keeps only the connections of a V1 layer; better to say so.
        return Err(Error::Upgrade {
            layer: connection.name().to_owned(),
            problem: "the net mixes layers of the first generation with later ones".to_owned(),
        });
    };
    let mut new = V1LayerParameter {
        bottom: connection.bottom,
        top: connection.top,
        name: old.name.take(),
        blobs: std::mem::take(&mut old.blobs),
        blobs_lr: std::mem::take(&mut old.blobs_lr),
        weight_decay: std::mem::take(&mut old.weight_decay),
        ..Default::default()
    };
    let word = old.r#type.take();
    if let Some(word) = &word {
        let Some(layer_type) = layer_type(word) else {
            let problem = format!("layer type \"{word}\" does not exist");
            return Err(Error::Upgrade { layer: new.name().to_owned(), problem });
        };
        new.set_type(layer_type);
    }
    let word = word.unwrap_or_default();
    move_transformation(&mut old, &mut new);
    match word.as_str() {
        "conv" => move_convolution(&mut old, &mut new),
        "pool" => move_pooling(&mut old, &mut new),
        "innerproduct" => move_inner_product(&mut old, &mut new),
        "lrn" => move_lrn(&mut old, &mut new),
        "data" | "hdf5_data" | "images" => move_data(&word, &mut old, &mut new),
        "window_data" => move_window_data(&mut old, &mut new),
        _ => move_single(&word, &mut old, &mut new),
    }
    for field in left_over(&old) {
        let name = new.name();
        warnings.push(format!(
            "layer \"{name}\": {field} means nothing to type \"{word}\" and was left out"
        ));
    }
    Ok(new)
}

/// Fields that any type may have: they all went to `transform_param`.
fn move_transformation(old: &mut V0LayerParameter, new: &mut V1LayerParameter) {
    if old.scale.is_some()
        || old.meanfile.is_some()
        || old.cropsize.is_some()
        || old.mirror.is_some()
    {
        let param = new.transform_param.get_or_insert_default();
        param.scale = old.scale.take();
        param.mean_file = old.meanfile.take();
        param.crop_size = old.cropsize.take();
        param.mirror = old.mirror.take();
    }
}

/// Sets a parameter message only if something in it was given.
fn keep<M: Default + PartialEq>(message: M) -> Option<M> {
    (message != M::default()).then_some(message)
}

fn move_convolution(old: &mut V0LayerParameter, new: &mut V1LayerParameter) {
    let mut param = new.convolution_param.take().unwrap_or_default();
    param.num_output = old.num_output.take();
    param.bias_term = old.biasterm.take();
    param.weight_filler = old.weight_filler.take();
    param.bias_filler = old.bias_filler.take();
    param.pad = old.pad.take().into_iter().collect();
    param.kernel_size = old.kernelsize.take().into_iter().collect();
    param.group = old.group.take();
    param.stride = old.stride.take().into_iter().collect();
    new.convolution_param = keep(param);
}

fn move_pooling(old: &mut V0LayerParameter, new: &mut V1LayerParameter) {
    let mut param = new.pooling_param.take().unwrap_or_default();
    param.pad = old.pad.take();
    param.kernel_size = old.kernelsize.take();
    param.stride = old.stride.take();
    // Both enums say 0 for the maximum, 1 for the average and 2 for a random pick.
    param.pool = old.pool.take();
    new.pooling_param = keep(param);
}

fn move_inner_product(old: &mut V0LayerParameter, new: &mut V1LayerParameter) {
    let mut param = new.inner_product_param.take().unwrap_or_default();
    param.num_output = old.num_output.take();
    param.bias_term = old.biasterm.take();
    param.weight_filler = old.weight_filler.take();
    param.bias_filler = old.bias_filler.take();
    new.inner_product_param = keep(param);
}

fn move_lrn(old: &mut V0LayerParameter, new: &mut V1LayerParameter) {
    let mut param = new.lrn_param.take().unwrap_or_default();
    param.local_size = old.local_size.take();
    param.alpha = old.alpha.take();
    param.beta = old.beta.take();
    param.k = old.k.take();
    new.lrn_param = keep(param);
}

fn move_data(word: &str, old: &mut V0LayerParameter, new: &mut V1LayerParameter) {
    match word {
        "data" => {
            let mut param = new.data_param.take().unwrap_or_default();
            param.source = old.source.take();
            param.batch_size = old.batchsize.take();
            param.rand_skip = old.rand_skip.take();
            new.data_param = keep(param);
        }
        "hdf5_data" => {
            let mut param = new.hdf5_data_param.take().unwrap_or_default();
            param.source = old.source.take();
            param.batch_size = old.batchsize.take();
            new.hdf5_data_param = keep(param);
        }
        _ => {
            let mut param = new.image_data_param.take().unwrap_or_default();
            param.source = old.source.take();
            param.batch_size = old.batchsize.take();
            param.rand_skip = old.rand_skip.take();
            param.shuffle = old.shuffle_images.take();
            // Signed in the old message; a negative size was never meaningful.
            param.new_height = old.new_height.take().map(|v| v.max(0).unsigned_abs());
            param.new_width = old.new_width.take().map(|v| v.max(0).unsigned_abs());
            new.image_data_param = keep(param);
        }
    }
}

fn move_window_data(old: &mut V0LayerParameter, new: &mut V1LayerParameter) {
    let mut param = new.window_data_param.take().unwrap_or_default();
    param.source = old.source.take();
    param.batch_size = old.batchsize.take();
    param.fg_threshold = old.det_fg_threshold.take();
    param.bg_threshold = old.det_bg_threshold.take();
    param.fg_fraction = old.det_fg_fraction.take();
    param.context_pad = old.det_context_pad.take();
    param.crop_mode = old.det_crop_mode.take();
    new.window_data_param = keep(param);
}

/// The types with a single parameter.
fn move_single(word: &str, old: &mut V0LayerParameter, new: &mut V1LayerParameter) {
    match word {
        "dropout" if old.dropout_ratio.is_some() => {
            new.dropout_param.get_or_insert_default().dropout_ratio = old.dropout_ratio.take();
        }
        "concat" if old.concat_dim.is_some() => {
            new.concat_param.get_or_insert_default().concat_dim = old.concat_dim.take();
        }
        "infogain_loss" if old.source.is_some() => {
            new.infogain_loss_param.get_or_insert_default().source = old.source.take();
        }
        "hdf5_output" => new.hdf5_output_param = old.hdf5_output_param.take(),
        _ => {}
    }
}

/// The names of the fields that no step has taken.
fn left_over(old: &V0LayerParameter) -> Vec<&'static str> {
    let given = [
        ("num_output", old.num_output.is_some()),
        ("biasterm", old.biasterm.is_some()),
        ("weight_filler", old.weight_filler.is_some()),
        ("bias_filler", old.bias_filler.is_some()),
        ("pad", old.pad.is_some()),
        ("kernelsize", old.kernelsize.is_some()),
        ("group", old.group.is_some()),
        ("stride", old.stride.is_some()),
        ("pool", old.pool.is_some()),
        ("dropout_ratio", old.dropout_ratio.is_some()),
        ("local_size", old.local_size.is_some()),
        ("alpha", old.alpha.is_some()),
        ("beta", old.beta.is_some()),
        ("k", old.k.is_some()),
        ("source", old.source.is_some()),
        ("batchsize", old.batchsize.is_some()),
        ("rand_skip", old.rand_skip.is_some()),
        ("det_fg_threshold", old.det_fg_threshold.is_some()),
        ("det_bg_threshold", old.det_bg_threshold.is_some()),
        ("det_fg_fraction", old.det_fg_fraction.is_some()),
        ("det_context_pad", old.det_context_pad.is_some()),
        ("det_crop_mode", old.det_crop_mode.is_some()),
        ("new_num", old.new_num.is_some()),
        ("new_channels", old.new_channels.is_some()),
        ("new_height", old.new_height.is_some()),
        ("new_width", old.new_width.is_some()),
        ("shuffle_images", old.shuffle_images.is_some()),
        ("concat_dim", old.concat_dim.is_some()),
        ("hdf5_output_param", old.hdf5_output_param.is_some()),
    ];
    given.into_iter().filter_map(|(name, given)| given.then_some(name)).collect()
}
