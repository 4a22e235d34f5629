//! Messages in, prototxt out, in the form that Caffe's own tools print: one field a line, one line
//! for each value of a repeated field, fields in the order of their numbers.

use std::fmt::Write as _;

use prost::Message;
use prost_reflect::{DynamicMessage, Kind, Value};

use crate::schema::{descriptor, proto};

/// A net as prototxt.
pub fn print_net_text(net: &proto::NetParameter) -> String {
    print(net, "NetParameter")
}

/// A solver as prototxt.
pub fn print_solver_text(solver: &proto::SolverParameter) -> String {
    print(solver, "SolverParameter")
}

fn print(message: &impl Message, name: &str) -> String {
    let mut out = String::new();
    // Both steps hold by construction: the message was generated from the schema that describes it.
    if let Ok(descriptor) = descriptor(name) {
        let mut dynamic = DynamicMessage::new(descriptor);
        if dynamic.transcode_from(message).is_ok() {
            print_fields(&dynamic, 0, &mut out);
        }
    }
    out
}

fn print_fields(message: &DynamicMessage, indent: usize, out: &mut String) {
    let mut fields: Vec<_> = message.fields().collect();
    fields.sort_by_key(|(field, _)| field.number());
    for (field, value) in fields {
        match value {
            Value::List(values) => {
                for value in values {
                    print_field(field.name(), &field.kind(), value, indent, out);
                }
            }
            value => print_field(field.name(), &field.kind(), value, indent, out),
        }
    }
}

fn print_field(name: &str, kind: &Kind, value: &Value, indent: usize, out: &mut String) {
    let pad = "  ".repeat(indent);
    if let Value::Message(message) = value {
        let _ = writeln!(out, "{pad}{name} {{");
        print_fields(message, indent + 1, out);
        let _ = writeln!(out, "{pad}}}");
        return;
    }
    let text = match value {
        Value::Bool(v) => v.to_string(),
        Value::I32(v) => v.to_string(),
        Value::I64(v) => v.to_string(),
        Value::U32(v) => v.to_string(),
        Value::U64(v) => v.to_string(),
        Value::F32(v) => float(f64::from(*v), |text| text.parse() == Ok(*v), 6, 9),
        Value::F64(v) => float(*v, |text| text.parse() == Ok(*v), 15, 17),
        Value::String(v) => quoted(v.as_bytes()),
        Value::Bytes(v) => quoted(v),
        Value::EnumNumber(number) => match kind {
            Kind::Enum(described) => described
                .get_value(*number)
                .map_or_else(|| number.to_string(), |value| value.name().to_owned()),
            _ => number.to_string(),
        },
        // Handled by the callers, and maps are not in this schema.
        Value::Message(_) | Value::List(_) | Value::Map(_) => return,
    };
    let _ = writeln!(out, "{pad}{name}: {text}");
}

/// As few digits as Caffe prints: `short` if they read back equal, else `long`.
fn float(value: f64, reads_back: impl Fn(&str) -> bool, short: usize, long: usize) -> String {
    if value.is_nan() {
        return "nan".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let text = significant(value, short);
    if reads_back(&text) { text } else { significant(value, long) }
}

/// C's `%.{digits}g`: a plain number where that is short, else one with an exponent of two digits or
/// more; no trailing zeros.
fn significant(value: f64, digits: usize) -> String {
    let scientific = format!("{value:.*e}", digits - 1);
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..digits as i32).contains(&exponent) {
        let decimals = usize::try_from(digits as i32 - 1 - exponent).unwrap_or(0);
        return trimmed(&format!("{value:.decimals$}")).to_owned();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", trimmed(mantissa), exponent.abs())
}

fn trimmed(number: &str) -> &str {
    if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number }
}

/// A string in double quotes. Bytes outside ASCII are written in octal, as Caffe's printer does.
fn quoted(bytes: &[u8]) -> String {
    let mut out = String::from('"');
    for &byte in bytes {
        match byte {
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            b'"' => out.push_str("\\\""),
            b'\'' => out.push_str("\\'"),
            b'\\' => out.push_str("\\\\"),
            0x20..=0x7e => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "\\{byte:03o}");
            }
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{parse_net_text, upgrade};

    #[test]
    fn the_very_text_that_caffe_prints() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/upgrade");
        for case in [
            "TestSimple.v0_proto",
            "TestImageNet.v0_proto",
            "TestAllParams.input_proto",
            "TestTwoTops.input_proto",
        ] {
            let read =
                |end: &str| std::fs::read_to_string(format!("{folder}/{case}.{end}")).unwrap();
            let net = upgrade(parse_net_text(case, &read("prototxt")).unwrap()).unwrap();
            assert_eq!(print_net_text(&net), read("upgraded.txt"), "{case}");
        }
    }

    #[test]
    fn numbers_and_strings() {
        let short = |v: f32| float(v.into(), |t| t.parse() == Ok(v), 6, 9);
        assert_eq!(short(1e-5), "1e-05");
        assert_eq!(short(0.0001), "0.0001");
        assert_eq!(short(250_000.0), "250000");
        assert_eq!(short(1e10), "1e+10");
        assert_eq!(short(-0.0), "-0");
        assert_eq!(short(0.1), "0.1");
        assert_eq!(short(16_777_216.0), "16777216");
        assert_eq!(short(f32::NEG_INFINITY), "-inf");
        assert_eq!(short(f32::MAX), "3.40282347e+38");
        let text = "name: \"a\\\"b\\n\\303\\251\"\nlayer {\n  loss_weight: nan\n  phase: TEST\n}\n";
        let net =
            parse_net_text("t", "name: 'a\"b\\né' layer { phase: 1 loss_weight: nan }").unwrap();
        assert_eq!(print_net_text(&net), text);
        assert_eq!(parse_net_text("t", text).unwrap().name(), "a\"b\né");
    }
}
