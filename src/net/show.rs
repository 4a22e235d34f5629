//! A network as a table: what `likenet net show` prints.

use super::graph::{BlobId, Graph};
use super::plan::Plan;
use serde::Serialize;
use std::fmt;

/// Costs of a network, layer by layer.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// The network's name.
    pub name: String,
    /// Its layers.
    pub layers: Vec<Row>,
    /// Totals.
    pub total: Totals,
}

/// One layer of a [`Summary`].
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The layer's name.
    pub layer: String,
    /// Its type.
    pub kind: String,
    /// Shapes of its tops.
    pub tops: Vec<String>,
    /// Parameters that it owns.
    pub params: usize,
    /// Multiply-adds of a forward pass.
    pub macs: u64,
    /// Bytes of its tops.
    pub bytes: usize,
    /// How the plan computes it.
    pub plan: String,
}

/// Sums over a network.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Totals {
    /// Parameters.
    pub params: usize,
    /// Multiply-adds of a forward pass.
    pub macs: u64,
    /// Bytes of the parameters as f32.
    pub param_bytes: usize,
    /// Bytes of all blobs if none shared memory.
    pub blob_bytes: usize,
    /// Bytes of the plan's slots.
    pub slot_bytes: usize,
    /// Number of slots.
    pub slots: usize,
}

const FLOAT: usize = size_of::<f32>();

impl Summary {
    /// Sums up a planned network.
    pub fn new(graph: &Graph, plan: &Plan) -> Self {
        let notes = notes(graph, plan);
        let mut owned = vec![0; graph.nodes.len()];
        for param in &graph.params {
            let owner = graph.nodes.iter().position(|n| n.name == param.layer);
            owned[owner.unwrap_or(0)] += param.spec.shape.count();
        }
        let rows = graph.nodes.iter().enumerate().map(|(i, node)| Row {
            layer: node.name.clone(),
            kind: node.kind.clone(),
            tops: node.tops.iter().map(|&b| graph.blobs[b].shape.to_string()).collect(),
            params: owned[i],
            macs: node.macs,
            bytes: node.tops.iter().map(|&b| graph.blobs[b].shape.count() * FLOAT).sum(),
            plan: notes[i].clone(),
        });
        let layers: Vec<Row> = rows.collect();
        let params = owned.iter().sum();
        let total = Totals {
            params,
            macs: layers.iter().map(|r| r.macs).sum(),
            param_bytes: params * FLOAT,
            blob_bytes: layers.iter().map(|r| r.bytes).sum(),
            slot_bytes: plan.activation_count() * FLOAT,
            slots: plan.storage.slots.len(),
        };
        Self { name: graph.name.clone(), layers, total }
    }
}

/// For each node, in words, what the plan made of it.
fn notes(graph: &Graph, plan: &Plan) -> Vec<String> {
    let mut notes = vec![String::new(); graph.nodes.len()];
    for (number, section) in plan.sections.iter().enumerate() {
        for step in &plan.steps[section.steps.clone()] {
            let home = |b: &BlobId| plan.storage.home(*b, number);
            let private = |b: &BlobId| plan.storage.is_inside(*b, number);
            let mut note: Vec<String> = step.how.iter().map(|how| how.name().into()).collect();
            note.dedup();
            note.extend(section.pictures.map(|n| format!("{n} at a time")));
            note.extend(step.tops.iter().filter_map(|b| {
                let kind = if private(b) { "private" } else { "slot" };
                Some(format!("{kind} {}", home(b)?.slot))
            }));
            let slot = |b: &BlobId| home(b).map(|h| (private(b), h.slot));
            if let (Some(b), Some(t)) = (step.bottoms.first(), step.tops.first())
                && slot(b) == slot(t)
            {
                note.push("in place".into());
            }
            let mut note = note.join(", ");
            if let Some((relu, _)) = step.relu {
                note += " + ReLU";
                notes[relu] = format!("fused into {}", graph.nodes[step.node].name);
            }
            notes[step.node] = note;
        }
    }
    notes
}

/// 1234567 as "1.23 M".
fn short(n: u64) -> String {
    match n {
        0 => "-".into(),
        1..1_000 => n.to_string(),
        1_000..1_000_000 => format!("{:.1} k", n as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.2} M", n as f64 / 1e6),
        _ => format!("{:.3} G", n as f64 / 1e9),
    }
}

fn bytes(n: usize) -> String {
    match n {
        0 => "-".into(),
        1..1024 => format!("{n} B"),
        1024..1_048_576 => format!("{:.1} KiB", n as f64 / 1024.0),
        _ => format!("{:.2} MiB", n as f64 / 1_048_576.0),
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = ["layer", "type", "shape", "parameters", "multiply-adds", "bytes", "plan"]
            .map(String::from);
        let mut table = vec![header];
        for row in &self.layers {
            table.push([
                row.layer.clone(),
                row.kind.clone(),
                row.tops.join(" "),
                short(row.params as u64),
                short(row.macs),
                bytes(row.bytes),
                row.plan.clone(),
            ]);
        }
        let t = &self.total;
        table.push([
            "total".into(),
            String::new(),
            String::new(),
            short(t.params as u64),
            short(t.macs),
            bytes(t.blob_bytes),
            String::new(),
        ]);
        let width = |c: usize| table.iter().map(|r| r[c].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..7).map(width).collect();
        for row in &table {
            let mut line = String::new();
            for (c, cell) in row.iter().enumerate() {
                let w = widths[c];
                line += &match c {
                    3..=5 => format!("{cell:>w$}  "),
                    _ => format!("{cell:<w$}  "),
                };
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        write!(
            f,
            "memory of the plan: {} in {} slots (every blob on its own: {}), parameters {}",
            bytes(t.slot_bytes),
            t.slots,
            bytes(t.blob_bytes),
            bytes(t.param_bytes)
        )
    }
}
