//! A net of any generation in, the same net in the current one out, in Caffe's order of steps:
//! V0 → data transformations → V1 → inputs → batch normalisation.

mod v0;
mod v1;

pub(crate) use v0::layer_type as v0_layer_type;
pub(crate) use v1::layer_type as v1_layer_type;

use crate::Error;
use crate::schema::proto::{
    BlobShape, InputParameter, LayerParameter, NetParameter, SolverParameter, solver_parameter,
};

/// Brings a net to the current generation. Old parameters that mean nothing to their layer are left
/// out, as Caffe does; [`upgrade_with_warnings`] tells of them.
pub fn upgrade(net: NetParameter) -> Result<NetParameter, Error> {
    Ok(upgrade_with_warnings(net)?.0)
}

/// [`upgrade`], and a sentence for each old parameter that was left out.
pub fn upgrade_with_warnings(mut net: NetParameter) -> Result<(NetParameter, Vec<String>), Error> {
    if !net.layer.is_empty() && !net.layers.is_empty() {
        return Err(Error::Upgrade {
            layer: net.layers[0].name().to_owned(),
            problem: "the net mixes `layer` and `layers` blocks; use one of them, `layer` being \
                      the current form"
                .to_owned(),
        });
    }
    let mut warnings = vec![];
    if net.layers.iter().any(|layer| layer.layer.is_some()) {
        v0::upgrade(&mut net, &mut warnings)?;
    }
    v1::upgrade_data_transformations(&mut net);
    v1::upgrade(&mut net)?;
    upgrade_inputs(&mut net)?;
    upgrade_batch_norm(&mut net);
    Ok((net, warnings))
}

/// `input:` with its shapes becomes an Input layer at the front; without shapes it just goes.
fn upgrade_inputs(net: &mut NetParameter) -> Result<(), Error> {
    let tops = std::mem::take(&mut net.input);
    if tops.is_empty() {
        return Ok(());
    }
    let shapes = std::mem::take(&mut net.input_shape);
    let dims = std::mem::take(&mut net.input_dim);
    let shape: Vec<BlobShape> = if !shapes.is_empty() {
        shapes
    } else {
        let as_shape = |four: &[i32]| BlobShape { dim: four.iter().map(|&d| d.into()).collect() };
        if !dims.len().is_multiple_of(4) {
            return Err(bad_inputs(tops.len(), "input_dim numbers (four for each)", dims.len()));
        }
        dims.chunks(4).map(as_shape).collect()
    };
    if shape.is_empty() {
        return Ok(());
    }
    if shape.len() < tops.len() {
        return Err(bad_inputs(tops.len(), "shapes", shape.len()));
    }
    let shape = shape.into_iter().take(tops.len()).collect();
    let input = LayerParameter {
        name: Some("input".to_owned()),
        r#type: Some("Input".to_owned()),
        top: tops,
        input_param: Some(InputParameter { shape }),
        ..Default::default()
    };
    net.layer.insert(0, input);
    Ok(())
}

fn bad_inputs(inputs: usize, what: &str, found: usize) -> Error {
    Error::Upgrade {
        layer: String::new(),
        problem: format!("the net declares {inputs} inputs but {found} {what}"),
    }
}

/// Old files list rates for the three statistics of a BatchNorm layer; they are never learned.
fn upgrade_batch_norm(net: &mut NetParameter) {
    for layer in &mut net.layer {
        if layer.r#type() == "BatchNorm" && layer.param.len() == 3 {
            for param in &mut layer.param {
                param.lr_mult = Some(0.0);
                param.decay_mult = Some(0.0);
            }
        }
    }
}

/// Brings a solver to the current generation: the enum `solver_type` becomes the string `type`.
/// Nets written inside the solver are upgraded too.
pub fn upgrade_solver(mut solver: SolverParameter) -> Result<SolverParameter, Error> {
    use solver_parameter::SolverType;
    let problem = |problem: String| Error::Upgrade { layer: String::new(), problem };
    if let Some(old) = solver.solver_type.take() {
        if solver.r#type.is_some() {
            return Err(problem(
                "the solver has both `solver_type` and `type`; keep `type`".to_owned(),
            ));
        }
        let name = match SolverType::try_from(old) {
            Ok(SolverType::Sgd) => "SGD",
            Ok(SolverType::Nesterov) => "Nesterov",
            Ok(SolverType::Adagrad) => "AdaGrad",
            Ok(SolverType::Rmsprop) => "RMSProp",
            Ok(SolverType::Adadelta) => "AdaDelta",
            Ok(SolverType::Adam) => "Adam",
            Err(_) => return Err(problem(format!("solver_type {old} does not exist"))),
        };
        solver.r#type = Some(name.to_owned());
    }
    let inline = solver.net_param.iter_mut().chain(&mut solver.train_net_param);
    for net in inline.chain(&mut solver.test_net_param) {
        *net = upgrade(std::mem::take(net))?;
    }
    Ok(solver)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{parse_net_text, parse_solver_text};

    fn golden(name: &str) -> NetParameter {
        let path = format!("{}/../tests/golden/upgrade/{name}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).unwrap();
        parse_net_text(&path, &text).unwrap()
    }

    fn net(text: &str) -> NetParameter {
        upgrade(parse_net_text("test", text).unwrap()).unwrap()
    }

    /// V0 in, Caffe's own output; then the V1 form that Caffe's tests expect on the way.
    #[test]
    fn v0_as_caffe_does() {
        for (case, from, v1) in [
            ("TestSimple", "v0_proto", "expected_v1_proto"),
            ("TestImageNet", "v0_proto", "expected_v1_proto"),
            ("TestSimple", "input_proto", "expected_output_proto"),
            ("TestImageNet", "input_proto", "expected_output_proto"),
            ("TestTwoTops", "input_proto", "expected_output_proto"),
            ("TestAllParams", "input_proto", "expected_output_proto"),
        ] {
            let old = golden(&format!("{case}.{from}.prototxt"));
            let expected = golden(&format!("{case}.{from}.upgraded.txt"));
            assert_eq!(upgrade(old.clone()).unwrap(), expected, "{case}.{from}");

            let v1 = golden(&format!("{case}.{v1}.prototxt"));
            if v1.layers.iter().all(|layer| layer.layer.is_none()) {
                let mut half = old;
                v0::upgrade(&mut half, &mut vec![]).unwrap();
                assert_eq!(half, v1, "{case}.{from} to V1");
                assert_eq!(upgrade(v1).unwrap(), expected, "{case} from V1");
            } else {
                // The test of the padding layers alone: still V0, one step on.
                assert_eq!(v0::fold_padding(old).unwrap(), v1, "{case}.{from} padding");
                assert_eq!(upgrade(v1).unwrap(), expected, "{case} from V0 without padding");
            }
        }
    }

    #[test]
    fn v1_as_caffe_does() {
        for case in ["TestSimple", "TestImageNet"] {
            let upgraded = upgrade(golden(&format!("{case}.expected_v1_proto.prototxt"))).unwrap();
            assert_eq!(upgraded, golden(&format!("{case}.expected_v2_proto.prototxt")), "{case}");
        }
    }

    #[test]
    fn a_whole_v1_net_with_inputs() {
        let folder =
            concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/golden/caffe/caffenet-slim");
        if !std::path::Path::new(folder).exists() {
            println!("skipped: ../shared is absent");
            return;
        }
        let read = |name: &str| {
            let path = format!("{folder}/{name}");
            parse_net_text(&path, &std::fs::read_to_string(&path).unwrap()).unwrap()
        };
        let old = read("caffenet_deploy_v1.prototxt");
        assert_eq!(upgrade(old).unwrap(), read("caffenet_deploy_v1_upgraded.prototxt"));
    }

    #[test]
    fn inputs() {
        let with_shape = net("input: 'a' input: 'b' input_shape { dim: 1 } input_shape { dim: 2 }
            layer { name: 'x' }");
        assert_eq!(with_shape.layer.len(), 2);
        assert_eq!(with_shape.layer[0].top, ["a", "b"]);
        let input = with_shape.layer[0].input_param.as_ref().unwrap();
        assert_eq!(input.shape[1].dim, [2]);

        let stripped = net("input: 'a' layer { name: 'x' }");
        assert_eq!((stripped.layer.len(), stripped.input.len()), (1, 0));

        for text in ["input: 'a' input_dim: 1", "input: 'a' input: 'b' input_shape { dim: 1 }"] {
            let wrong = upgrade(parse_net_text("test", text).unwrap()).unwrap_err();
            assert!(wrong.to_string().contains("inputs but"), "{wrong}");
        }
    }

    #[test]
    fn batch_norm_is_never_learned() {
        let three = "param { lr_mult: 1 name: 'm' } param {} param { decay_mult: 2 }";
        let n =
            net(&format!("layer {{ type: 'BatchNorm' {three} }} layer {{ type: 'X' {three} }}"));
        assert!(n.layer[0].param.iter().all(|p| p.lr_mult == Some(0.0)));
        assert!(n.layer[0].param.iter().all(|p| p.decay_mult == Some(0.0)));
        assert_eq!(n.layer[0].param[0].name(), "m");
        assert_eq!(n.layer[1].param[0].lr_mult, Some(1.0));
    }

    #[test]
    fn mixed_generations_and_unknown_types_are_errors() {
        let fails =
            |text: &str| upgrade(parse_net_text("test", text).unwrap()).unwrap_err().to_string();
        assert!(fails("layer { name: 'a' } layers { name: 'b' }").contains("mixes"));
        assert!(fails("layers { layer { name: 'a' type: 'nonsense' } }").contains("nonsense"));
        assert!(fails("layers { name: 'a' type: 99 }").contains("99"));
        let unknown_bottom = "layers { layer { name: 'c' type: 'conv' } bottom: 'nowhere' }";
        assert!(fails(unknown_bottom).contains("nowhere"));
        let (_, warnings) = upgrade_with_warnings(
            parse_net_text("t", "layers { layer { name: 'r' type: 'relu' pad: 1 } }").unwrap(),
        )
        .unwrap();
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].contains("pad") && warnings[0].contains('r'), "{}", warnings[0]);
    }

    #[test]
    fn solver_types() {
        let solver = |text: &str| upgrade_solver(parse_solver_text("test", text).unwrap());
        for (old, new) in [
            ("SGD", "SGD"),
            ("NESTEROV", "Nesterov"),
            ("ADAGRAD", "AdaGrad"),
            ("RMSPROP", "RMSProp"),
            ("ADADELTA", "AdaDelta"),
            ("ADAM", "Adam"),
        ] {
            let upgraded = solver(&format!("solver_type: {old}")).unwrap();
            assert_eq!((upgraded.r#type(), upgraded.solver_type), (new, None));
        }
        assert_eq!(solver("solver_type: 3").unwrap().r#type(), "RMSProp");
        assert!(solver("solver_type: SGD type: 'Adam'").is_err());
        assert_eq!(solver("base_lr: 1").unwrap().r#type(), "SGD");
        let inline = solver("net_param { layers { name: 'a' type: RELU } }").unwrap();
        assert_eq!(inline.net_param.unwrap().layer[0].r#type(), "ReLU");
    }
}
