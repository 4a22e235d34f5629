//! The second generation: an enum names the type, and lists of numbers hold each blob's rates.

use crate::Error;
use crate::schema::proto::v1_layer_parameter::LayerType;
use crate::schema::proto::{
    LayerParameter, NetParameter, ParamSpec, TransformationParameter, V1LayerParameter,
};

/// The current name of a V1 type; `None` for a number that the enum does not have.
pub(crate) fn layer_type(number: i32) -> Option<&'static str> {
    use LayerType as T;
    Some(match T::try_from(number).ok()? {
        T::None => "",
        T::Absval => "AbsVal",
        T::Accuracy => "Accuracy",
        T::Argmax => "ArgMax",
        T::Bnll => "BNLL",
        T::Concat => "Concat",
        T::ContrastiveLoss => "ContrastiveLoss",
        T::Convolution => "Convolution",
        T::Data => "Data",
        T::Deconvolution => "Deconvolution",
        T::Dropout => "Dropout",
        T::DummyData => "DummyData",
        T::EuclideanLoss => "EuclideanLoss",
        T::Eltwise => "Eltwise",
        T::Exp => "Exp",
        T::Flatten => "Flatten",
        T::Hdf5Data => "HDF5Data",
        T::Hdf5Output => "HDF5Output",
        T::HingeLoss => "HingeLoss",
        T::Im2col => "Im2col",
        T::ImageData => "ImageData",
        T::InfogainLoss => "InfogainLoss",
        T::InnerProduct => "InnerProduct",
        T::Lrn => "LRN",
        T::MemoryData => "MemoryData",
        T::MultinomialLogisticLoss => "MultinomialLogisticLoss",
        T::Mvn => "MVN",
        T::Pooling => "Pooling",
        T::Power => "Power",
        T::Relu => "ReLU",
        T::Sigmoid => "Sigmoid",
        T::SigmoidCrossEntropyLoss => "SigmoidCrossEntropyLoss",
        T::Silence => "Silence",
        T::Softmax => "Softmax",
        T::SoftmaxLoss => "SoftmaxWithLoss",
        T::Split => "Split",
        T::Slice => "Slice",
        T::Tanh => "TanH",
        T::WindowData => "WindowData",
        T::Threshold => "Threshold",
    })
}

/// The four old fields of a data layer's own parameters, in their order of moving.
macro_rules! take_transformation {
    ($param:expr, $into:expr) => {
        if let Some(scale) = $param.scale.take() {
            $into.scale = Some(scale);
        }
        if let Some(mean_file) = $param.mean_file.take() {
            $into.mean_file = Some(mean_file);
        }
        if let Some(crop_size) = $param.crop_size.take() {
            $into.crop_size = Some(crop_size);
        }
        if let Some(mirror) = $param.mirror.take() {
            $into.mirror = Some(mirror);
        }
    };
}

/// Moves scale, mean file, crop and mirror from the data layers' own parameters to `transform_param`.
pub(super) fn upgrade_data_transformations(net: &mut NetParameter) {
    for layer in &mut net.layers {
        let mut moved = TransformationParameter::default();
        match layer.r#type() {
            LayerType::Data => {
                if let Some(param) = &mut layer.data_param {
                    take_transformation!(param, moved);
                }
            }
            LayerType::ImageData => {
                if let Some(param) = &mut layer.image_data_param {
                    take_transformation!(param, moved);
                }
            }
            LayerType::WindowData => {
                if let Some(param) = &mut layer.window_data_param {
                    take_transformation!(param, moved);
                }
            }
            _ => {}
        }
        if moved != TransformationParameter::default() {
            let param = layer.transform_param.get_or_insert_default();
            take_transformation!(moved, param);
        }
    }
}

/// Turns every `layers` block into a `layer` block.
pub(super) fn upgrade(net: &mut NetParameter) -> Result<(), Error> {
    for old in std::mem::take(&mut net.layers) {
        net.layer.push(upgrade_layer(old)?);
    }
    Ok(())
}

fn upgrade_layer(old: V1LayerParameter) -> Result<LayerParameter, Error> {
    let r#type = match old.r#type {
        None => None,
        Some(number) => {
            Some(layer_type(number).map(str::to_owned).ok_or_else(|| Error::Upgrade {
                layer: old.name().to_owned(),
                problem: format!("layer type {number} does not exist"),
            })?)
        }
    };
    Ok(LayerParameter {
        param: param_specs(&old),
        r#type,
        name: old.name,
        bottom: old.bottom,
        top: old.top,
        include: old.include,
        exclude: old.exclude,
        blobs: old.blobs,
        loss_weight: old.loss_weight,
        accuracy_param: old.accuracy_param,
        argmax_param: old.argmax_param,
        concat_param: old.concat_param,
        contrastive_loss_param: old.contrastive_loss_param,
        convolution_param: old.convolution_param,
        data_param: old.data_param,
        dropout_param: old.dropout_param,
        dummy_data_param: old.dummy_data_param,
        eltwise_param: old.eltwise_param,
        exp_param: old.exp_param,
        hdf5_data_param: old.hdf5_data_param,
        hdf5_output_param: old.hdf5_output_param,
        hinge_loss_param: old.hinge_loss_param,
        image_data_param: old.image_data_param,
        infogain_loss_param: old.infogain_loss_param,
        inner_product_param: old.inner_product_param,
        lrn_param: old.lrn_param,
        memory_data_param: old.memory_data_param,
        mvn_param: old.mvn_param,
        pooling_param: old.pooling_param,
        power_param: old.power_param,
        relu_param: old.relu_param,
        sigmoid_param: old.sigmoid_param,
        softmax_param: old.softmax_param,
        slice_param: old.slice_param,
        tanh_param: old.tanh_param,
        threshold_param: old.threshold_param,
        window_data_param: old.window_data_param,
        transform_param: old.transform_param,
        loss_param: old.loss_param,
        ..Default::default()
    })
}

/// Four parallel lists (names, sharing, learning rates, decay rates) become one list of messages, as
/// long as the longest of them.
fn param_specs(old: &V1LayerParameter) -> Vec<ParamSpec> {
    let lengths =
        [old.param.len(), old.blob_share_mode.len(), old.blobs_lr.len(), old.weight_decay.len()];
    let longest = lengths.into_iter().max().unwrap_or(0);
    (0..longest)
        .map(|i| ParamSpec {
            name: old.param.get(i).cloned(),
            // Both enums say 0 for strict and 1 for permissive.
            share_mode: old.blob_share_mode.get(i).copied(),
            lr_mult: old.blobs_lr.get(i).copied(),
            decay_mult: old.weight_decay.get(i).copied(),
        })
        .collect()
}
