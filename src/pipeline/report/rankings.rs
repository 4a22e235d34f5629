//! Which classifier did how well, and how good the rankings are.

use super::{Findings, about};
use crate::error::Result;
use crate::learn::metrics::reliability;
use crate::report::page::{Block, Section};
use crate::report::{CalibrationCurve, Ranking, Table, calibration_svg, precision_recall_svg};

/// A row of the comparison.
struct Compared {
    set: String,
    blob: String,
    copies: bool,
    way: String,
    c: Option<f64>,
    ap: f64,
    spread: f64,
}

impl Findings<'_> {
    /// The comparison: sets, blobs and copies down, ways to learn across.
    pub(super) fn compared(&self) -> Result<Section> {
        let rows: Vec<Compared> = self.project.store.read(|db| {
            let mut query = db.prepare(
                "SELECT photos, features, mirrored, method, c, ap, ap_spread FROM comparisons
                     ORDER BY photos = 'people' DESC, features, mirrored, ap DESC",
            )?;
            let row = |r: &rusqlite::Row| {
                let (set, blob, copies, way) = (r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?);
                let (c, ap, spread) = (r.get(4)?, r.get(5)?, r.get(6)?);
                Ok(Compared { set, blob, copies, way, c, ap, spread })
            };
            query.query_map([], row)?.collect()
        })?;
        let mut table = Table::new(&["features", "linear SVM", "C", "random forest", "SVM by SGD"]);
        // Rows come best first.
        let alike =
            |a: &Compared, b: &Compared| a.set == b.set && a.blob == b.blob && a.copies == b.copies;
        for own in rows.chunk_by(alike) {
            let cell = |r: &Compared| format!("{:.3} ± {:.3}", r.ap, r.spread);
            let linear = own.iter().find(|r| r.c.is_some());
            let named = |name: &str| own.iter().find(|r| r.way == name).map_or(String::new(), cell);
            let Compared { set, blob, copies, .. } = &own[0];
            table.rows.push(vec![
                format!("{set}: {blob}, {}", if *copies { "flipped + normal" } else { "normal" }),
                linear.map_or(String::new(), cell),
                linear.and_then(|r| r.c).map_or(String::new(), |c| format!("{c:e}")),
                named("random forest"),
                named("SVM by SGD"),
            ]);
        }
        let folds = self.project.config.compare.folds;
        let caption = format!(
            "Average precision, mean and standard deviation over {folds} folds of whole users; mirrored copies are learnt \
             from, never judged by"
        );
        let blocks = vec![Block::Table { table, caption }];
        Ok(Section { heading: "Classifiers compared".into(), blocks })
    }

    /// How good the rankings of the test photos are.
    pub(super) fn ranked(&self) -> Result<Section> {
        let mut head = vec![
            "model",
            "method",
            "test photos",
            "AP",
            "95 %",
            "chance",
            "p",
            "ROC AUC",
            "accuracy",
        ];
        if self.truth.is_some() {
            head.insert(5, "attainable AP");
        }
        let mut table = Table::new(&head);
        for (model, (_, all)) in self.models.iter().zip(&self.rankings) {
            let [ap, low, high] = model.ap;
            let mut cells = vec![
                about(&model.name).to_string(),
                format!("{}, {}", model.method, model.features),
                model.judged.to_string(),
                format!("{ap:.3}"),
                format!("{low:.3} to {high:.3}"),
                format!("{:.3}", model.chance),
                format!("{:.4}", model.p),
                format!("{:.3}", model.roc_auc),
                format!("{:.3}", model.accuracy),
            ];
            if self.truth.is_some() {
                let best = self.attainable(all)?.map_or(String::new(), |ap| format!("{ap:.3}"));
                cells.insert(5, best);
            }
            table.rows.push(cells);
        }
        let columns: Vec<(Vec<f64>, Vec<f64>, Vec<bool>)> = self
            .rankings
            .iter()
            .map(|(_, all)| {
                let scores = all.iter().map(|p| p.score).collect();
                let probabilities = all.iter().map(|p| p.probability).collect();
                (scores, probabilities, all.iter().map(|p| p.good).collect())
            })
            .collect();
        let named = || self.rankings.iter().zip(&columns);
        let rankings: Vec<Ranking> = named()
            .map(|((name, _), (scores, _, labels))| Ranking { name, scores, labels })
            .collect();
        let curve =
            |((name, _), (_, probabilities, labels)): (&(String, _), &(_, Vec<f64>, Vec<bool>))| {
                let bins = reliability(probabilities, labels, 10)?;
                Ok(CalibrationCurve { name: name.clone(), bins })
            };
        let curves: Vec<CalibrationCurve> = named().map(curve).collect::<Result<_>>()?;
        let mut blocks = vec![Block::Table {
            table,
            caption: "Rankings of test photos, of users of whom nothing was learnt".into(),
        }];
        blocks.push(Block::Drawing {
            svg: precision_recall_svg(&rankings, "Ranked test photos")?,
            alternative: "Precision over recall of each ranking".into(),
            caption: "Of the photos that are ranked highest, the share that is liked".into(),
        });
        blocks.push(Block::Drawing {
            svg: calibration_svg(&curves, "Are probabilities what they say?")?,
            alternative: "Observed share of liked photos over predicted probability".into(),
            caption: "On the diagonal, of photos with probability p a share p is liked".into(),
        });
        if let Some(truth) = &self.truth {
            let law = format!("The law of the likes: {}", truth.law);
            blocks.push(Block::Paragraph(law));
        }
        Ok(Section { heading: "Ranking".into(), blocks })
    }
}
