//! `likenet compare`

use super::super::{Outcome, print, write};
use super::{InputArgs, bar, validation};
use likenet::learn::forest::Settings;
use likenet::learn::linear::{Problem, Sgd};
use likenet::learn::validate::{self, Method, Sampled, Validation};
use likenet::report;
use likenet::{Error, Result};
use std::path::PathBuf;

/// Compares classifiers on the same folds: each blob, with and without mirrored copies, by a linear SVM, a random
/// forest and an SVM by gradient descent as in Spark's MLlib.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    input: InputArgs,
    /// Tensors of the features' file [default: all]
    #[arg(long, value_name = "BLOB,…", value_delimiter = ',')]
    blob: Vec<String>,
    /// Values of C for the linear SVM: the one with the best average precision is shown
    #[arg(
        long = "c",
        value_name = "C,…",
        value_delimiter = ',',
        default_value = "1e-6,1e-5,1e-4,1e-3,1e-2"
    )]
    c: Vec<f64>,
    /// Trees of the forest
    #[arg(long, value_name = "N", default_value_t = 500)]
    trees: usize,
    /// Iterations of the gradient descent
    #[arg(long, value_name = "N", default_value_t = 100)]
    iterations: usize,
    /// Length of its first step
    #[arg(long, value_name = "LENGTH", default_value_t = 1.0)]
    step: f64,
    /// What weights cost in it
    #[arg(long, value_name = "FACTOR", default_value_t = 0.01)]
    regularisation: f64,
    /// Folds
    #[arg(long, value_name = "N", default_value_t = 5)]
    folds: usize,
    /// Seed of the folds and of the classifiers
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u32,
    /// Report to write, .md or .html; may be given twice
    #[arg(long, value_name = "FILE")]
    out: Vec<PathBuf>,
}

pub fn run(args: &Args) -> Result<Outcome> {
    for path in &args.out {
        if !path.extension().is_some_and(|e| e == "md" || e == "html") {
            let path = path.display();
            return Err(Error::Invalid(format!("{path}: reports are written as .md or .html")));
        }
    }
    let methods = methods(args)?;
    let mut table =
        report::Table::new(&["features", "LinearSVC", "C", "random forest", "SVM by SGD"]);
    let mut about = String::new();
    let mut remarks = vec![];
    for blob in validation::blobs(&args.input.data, &args.blob)? {
        let features = args.input.data.read(blob.as_deref())?;
        let sampled = Sampled::of(&features)?;
        let own = sampled.rows(false);
        let positive = own.iter().filter(|&&r| sampled.labels[r as usize]).count();
        let [no, yes] = &features.class_names;
        about = format!(
            "{} samples, {positive} of them '{yes}', the others '{no}'; chance {:.4}; {} folds. \
             Average precision, mean ± standard deviation over the folds; mirrored copies are learnt from, never judged by.",
            own.len(),
            positive as f64 / own.len() as f64,
            args.folds
        );
        let kinds: &[bool] =
            if sampled.mirrored.contains(&true) { &[false, true] } else { &[false] };
        for &copies in kinds {
            let kind = if copies { "flipped + normal" } else { "normal" };
            let name = blob.as_ref().map_or_else(|| kind.into(), |b| format!("{b}, {kind}"));
            let how = Validation {
                folds: args.folds,
                seed: args.seed,
                copies,
                scaling: args.input.scaling.scaling(),
            };
            let bar = bar(methods.len() * args.folds, "trainings");
            let progress = |n: usize| bar.set_position(n as u64);
            let outcomes = args
                .input
                .data
                .on_threads(|| validate::validate(&sampled, &methods, &how, &progress))?;
            bar.finish_and_clear();
            let outcomes = outcomes?;
            let notes = outcomes.iter().flat_map(|o| &o.remarks);
            remarks.extend(notes.map(|remark| format!("{name}, {remark}")));
            table.rows.push(row(name, &outcomes, &args.c));
        }
    }
    print(&format!("{about}\n\n{}", table.text()))?;
    remarks.iter().for_each(|remark| eprintln!("{remark}"));
    for path in &args.out {
        write(path, page(path, &about, &table, &remarks))?;
        print(&format!("wrote {}", path.display()))?;
    }
    Ok(if remarks.is_empty() { Outcome::Done } else { Outcome::No })
}

/// Linear ones in the order of C, then the forest, then gradient descent.
fn methods(args: &Args) -> Result<Vec<Method>> {
    let seed = u64::from(args.seed);
    let mut methods = vec![];
    for &c in &args.c {
        let problem = Problem { c, seed, ..Problem::default() };
        problem.check()?;
        methods.push(Method::Linear(problem));
    }
    if methods.is_empty() {
        return Err(Error::Invalid("give a value of C at least".into()));
    }
    methods.push(Method::Forest(Settings { trees: args.trees, seed, ..Settings::default() }));
    methods.push(Method::Sgd(Sgd {
        step: args.step,
        iterations: args.iterations,
        regularisation: args.regularisation,
        intercept: true,
        seed,
        ..Sgd::default()
    }));
    Ok(methods)
}

fn row(name: String, outcomes: &[validate::Outcome], c: &[f64]) -> Vec<String> {
    let spread = |o: &validate::Outcome| o.spread(|s| s.average_precision);
    let cell = |o: &validate::Outcome| {
        let (mean, deviation) = spread(o);
        format!("{mean:.4} ± {deviation:.4}")
    };
    let better = |best: usize, m: usize| {
        if spread(&outcomes[m]).0 > spread(&outcomes[best]).0 { m } else { best }
    };
    let best = (0..c.len()).fold(0, better);
    let (forest, sgd) = (&outcomes[c.len()], &outcomes[c.len() + 1]);
    vec![name, cell(&outcomes[best]), format!("{:e}", c[best]), cell(forest), cell(sgd)]
}

/// The report as Markdown or HTML, by the file's ending.
fn page(path: &std::path::Path, about: &str, table: &report::Table, remarks: &[String]) -> String {
    if path.extension().is_some_and(|e| e == "md") {
        let remarks: String = remarks.iter().map(|r| format!("- {r}\n")).collect();
        return format!("# Classifiers compared\n\n{about}\n\n{}\n\n{remarks}", table.markdown());
    }
    let remarks: String =
        remarks.iter().map(|r| format!("<li>{}</li>\n", report::escape(r))).collect();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>Classifiers compared</title>\n\
         <style>body{{font:16px/1.5 sans-serif;max-width:60em;margin:2em auto;padding:0 1em}}\
         table{{border-collapse:collapse}}th,td{{padding:.3em .8em;border-bottom:1px solid #ddd;text-align:right}}\
         th:first-child,td:first-child{{text-align:left}}</style>\n</head>\n<body>\n\
         <h1>Classifiers compared</h1>\n<p>{}</p>\n{}<ul>\n{remarks}</ul>\n</body>\n</html>\n",
        report::escape(about),
        table.html()
    )
}
