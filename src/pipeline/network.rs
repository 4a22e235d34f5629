//! A study's network. Flows in: settings. Flows out: its files, and how photos become its input.

use super::config::Features;
use super::project::Project;
use crate::error::{Error, Result};
use crate::net::{architecture, architectures, trained};
use crate::score::Network;

/// Photos of a batch.
pub(super) const BATCH: usize = 32;

/// The network of the settings; a built-in one is written into the study's folder.
pub(super) fn of(project: &Project) -> Result<Network> {
    let Features { model, weights, net, mean, .. } = &project.config.features;
    let own = trained(model).filter(|_| weights.as_os_str().is_empty());
    if let Some(own) = own {
        let path = own.unpack(&project.file("models"))?.weights;
        let text = architecture(model).map_or("", |a| a.prototxt).to_string();
        let (mean, scale, side) = (own.mean, own.scale, own.side);
        return Ok(Network { name: model.clone(), text, weights: path, mean, scale, side });
    }
    if weights.as_os_str().is_empty() {
        return Err(Error::Invalid(format!(
            "[features] weights: name those of {model} (`likenet weights fetch {model}` fetches known ones)"
        )));
    }
    let text = match net.as_os_str().is_empty() {
        false => weights_tools::read_text(&project.given(net))?,
        true => architecture(model)
            .ok_or_else(|| {
                let known: Vec<&str> = architectures().iter().map(|a| a.name).collect();
                let known = known.join(", ");
                Error::Invalid(format!(
                    "[features] model: no '{model}' is built in, but {known}; or name a net"
                ))
            })?
            .prototxt
            .to_string(),
    };
    let weights = project.given(weights);
    let (mean, scale, side) = (*mean, 1.0, 256);
    Ok(Network { name: model.clone(), text, weights, mean, scale, side })
}
