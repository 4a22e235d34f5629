//! What a person wants to look at. Flows in: all that the stages before found. Flows out: one page with everything inside,
//! contact sheets, a gallery.

use super::config::Use;
use super::gallery::{self, Ranked, ranked};
use super::project::Project;
use super::sets::{Set, photos};
use super::truth::Truth;
use crate::error::Result;
use crate::learn::metrics::{average_precision, reliability};
use crate::photos::prepare::{cuts, followers};
use crate::photos::watch::Watch;
use crate::report::page::{Block, Headline, Page, Section};
use crate::report::{
    CalibrationCurve, Followers, Ranking, Table, calibration_svg, followers_svg,
    precision_recall_svg,
};

/// The report.
pub(super) const FILE: &str = "report.html";

/// What a reader of simulated photos must know.
const SIMULATED: &str = "Drawn pictures, simulated likes: nobody on them exists, and a law that somebody made up decides \
    what is liked. Nothing here says anything about real people's taste.";

/// A model's row.
struct Judged {
    name: String,
    features: String,
    method: String,
    learnt: u64,
    judged: u64,
    chance: f64,
    /// Average precision, and the interval around it.
    ap: [f64; 3],
    p: f64,
    roc_auc: f64,
    accuracy: f64,
}

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

/// All that the page is made from.
struct Findings<'a> {
    project: &'a Project,
    models: Vec<Judged>,
    rankings: Vec<(String, Vec<Ranked>)>,
    truth: Option<Truth>,
}

pub(super) fn report(project: &mut Project, watch: &dyn Watch) -> Result<String> {
    let models = judged(project)?;
    watch.begin("models", Some(models.len() as u64));
    let mut rankings = vec![];
    for model in &models {
        rankings.push((model.name.clone(), ranked(project, &model.name)?));
    }
    let findings = Findings { project, models, rankings, truth: Truth::of(project)? };
    let banner = if findings.truth.is_some() { SIMULATED } else { "" };
    let mut sections = vec![findings.photos()?, findings.filter()?, findings.compared()?];
    sections.push(findings.ranked()?);
    for (done, (name, all)) in findings.rankings.iter().enumerate() {
        let pictures = gallery::sheets(project, name, all)?;
        let heading = format!("Best and worst: {}", about(name));
        let blocks = pictures.into_iter().map(Block::Picture).collect();
        sections.push(Section { heading, blocks });
        watch.at(done as u64 + 1);
    }
    sections.push(findings.study()?);
    sections.push(findings.files());
    gallery::page(project, &findings.rankings, banner)?;
    let page = Page {
        title: project.config.report.title.clone(),
        subtitle: project.config.collect.identity(),
        banner: banner.into(),
        figures: findings.headlines()?,
        sections,
        footer: format!("Made by likenet {}.", env!("CARGO_PKG_VERSION")),
    };
    page.write(&project.file(FILE))?;
    let best = findings.headlines()?;
    let best: Vec<String> =
        best.iter().take(2).map(|h| format!("{} {}", h.label, h.value)).collect();
    Ok(format!("{}: {}", project.file(FILE).display(), best.join(", ")))
}

/// What a model is called where there is room.
fn about(name: &str) -> &'static str {
    match name {
        "people" => "photos of people, by the best classifier",
        "network" => "the same photos, by the fine-tuned network",
        _ => "all photos, by the best classifier",
    }
}

fn judged(project: &Project) -> Result<Vec<Judged>> {
    project.store.read(|db| {
        let mut query = db.prepare(
            "SELECT name, features, method, learnt, judged, chance, ap, ap_low, ap_high, p, roc_auc, accuracy
             FROM models ORDER BY name = 'people' DESC, name = 'everything' DESC",
        )?;
        let model = |row: &rusqlite::Row| {
            Ok(Judged {
                name: row.get(0)?,
                features: row.get(1)?,
                method: row.get(2)?,
                learnt: row.get(3)?,
                judged: row.get(4)?,
                chance: row.get(5)?,
                ap: [row.get(6)?, row.get(7)?, row.get(8)?],
                p: row.get(9)?,
                roc_auc: row.get(10)?,
                accuracy: row.get(11)?,
            })
        };
        query.query_map([], model)?.collect()
    })
}

impl Findings<'_> {
    /// The average precision of the best ranking that there can be: by what can be seen of the law.
    fn attainable(&self, all: &[Ranked]) -> Result<Option<f64>> {
        let Some(truth) = &self.truth else { return Ok(None) };
        let appeals: Option<Vec<f64>> =
            all.iter().map(|photo| truth.get(&photo.native).map(|fact| fact.appeal)).collect();
        let labels: Vec<bool> = all.iter().map(|photo| photo.good).collect();
        appeals.map(|appeals| average_precision(&appeals, &labels)).transpose()
    }

    fn headlines(&self) -> Result<Vec<Headline>> {
        let Some(first) = self.models.first() else { return Ok(vec![]) };
        let [ap, low, high] = first.ap;
        let mut cards = vec![Headline {
            value: format!("{ap:.3}"),
            label: "average precision".into(),
            note: format!("95 % from {low:.3} to {high:.3}; {}", about(&first.name)),
        }];
        if let Some(best) = self.attainable(&self.rankings[0].1)? {
            cards.push(Headline {
                value: format!("{best:.3}"),
                label: "attainable".into(),
                note: "ranked by the law itself, without what nobody can see".into(),
            });
        }
        cards.push(Headline {
            value: format!("{:.3}", first.chance),
            label: "chance".into(),
            note: format!("a ranking that good by chance: p = {:.4}", first.p),
        });
        cards.push(Headline {
            value: first.judged.to_string(),
            label: "test photos".into(),
            note: format!("learnt from {} of other users", first.learnt),
        });
        Ok(cards)
    }

    /// Where photos came from, and which rule removed how many.
    fn photos(&self) -> Result<Section> {
        let store = &self.project.store;
        let mut table = Table::new(&["", "photos"]);
        let mut row =
            |what: &str, photos: u64| table.rows.push(vec![what.into(), photos.to_string()]);
        let rules: Vec<(String, String, u64)> = store.read(|db| {
            let mut query = db.prepare(
                "SELECT stage, reason, photos FROM counts ORDER BY stage, place, reason",
            )?;
            query.query_map([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?.collect()
        })?;
        let of = |stage: &str| {
            let rules = rules.iter().filter(move |(s, ..)| s == stage);
            rules.map(|(_, reason, photos)| (format!("− {reason}"), *photos)).collect::<Vec<_>>()
        };
        let collected = store.number("SELECT count(*) FROM photos")?;
        let left: u64 =
            of("collect").iter().filter(|(r, _)| !r.contains("hide")).map(|(_, n)| n).sum();
        row("told of by the network", collected + left);
        of("collect").iter().filter(|(r, _)| !r.contains("hide")).for_each(|(r, n)| row(r, *n));
        row("collected", collected);
        of("prepare").iter().for_each(|(r, n)| row(r, *n));
        row("labelled", store.number("SELECT count(*) FROM labels WHERE removed IS NULL")?);
        let labelled = "FROM downloads JOIN labels USING (photo) WHERE removed IS NULL";
        let failed: Vec<(String, u64)> = store.read(|db| {
            let mut query = db.prepare(&format!(
                "SELECT CASE WHEN reason LIKE '%404%' OR reason LIKE '%410%' THEN 'files that are gone'
                     WHEN reason LIKE 'smaller%' THEN reason ELSE 'files that could not be fetched' END AS why,
                     count(*) {labelled} AND state = 'failed' GROUP BY why ORDER BY why"
            ))?;
            query.query_map([], |r| Ok((r.get(0)?, r.get(1)?)))?.collect()
        })?;
        failed.iter().for_each(|(why, n)| row(&format!("− {why}"), *n));
        let copies = format!("SELECT count(*) {labelled} AND duplicate_of NOT NULL");
        row("− the same picture as another", store.number(&copies)?);
        row("everything", photos(self.project, Set::Everything)?.len() as u64);
        if self.project.config.filter.by != Use::None {
            row("people", photos(self.project, Set::People)?.len() as u64);
        }
        let mut blocks =
            vec![Block::Table { table, caption: "Which rule removed how many photos".into() }];
        let counts = followers(store)?;
        if let Some(cuts) = cuts(store)?
            && !counts.is_empty()
        {
            let most = counts.iter().copied().max().unwrap_or(0) as f64;
            let drawing = Followers {
                counts: &counts,
                cuts: [cuts.low, cuts.high.min(most)],
                median: cuts.median,
            };
            blocks.push(Block::Drawing {
                svg: followers_svg(&drawing, "Followers of the users")?,
                alternative: "A histogram of followers with two cuts".into(),
                caption: format!(
                    "Users outside of the cuts are left out: fewer than {:.0} followers, or more than {:.0}",
                    cuts.low.max(self.project.config.prepare.min_followers as f64),
                    cuts.high
                ),
            });
        }
        Ok(Section { heading: "Photos".into(), blocks })
    }

    /// How the filters do; against the truth where it is known.
    fn filter(&self) -> Result<Section> {
        let store = &self.project.store;
        let rows: Vec<(String, String, bool)> = store.read(|db| {
            let mut query = db.prepare(
                "SELECT filter, native, keep FROM filters JOIN photos ON photos.id = photo ORDER BY filter, photo",
            )?;
            query.query_map([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?.collect()
        })?;
        let mut table = match self.truth {
            Some(_) => {
                Table::new(&["filter", "kept", "dropped", "recall", "precision", "false positives"])
            }
            None => Table::new(&["filter", "kept", "dropped"]),
        };
        for name in ["faces", "classifier"] {
            let own: Vec<_> = rows.iter().filter(|(filter, ..)| filter == name).collect();
            if own.is_empty() {
                continue;
            }
            let kept = own.iter().filter(|(.., keep)| *keep).count();
            let mut cells =
                vec![name.to_string(), kept.to_string(), (own.len() - kept).to_string()];
            if let Some(truth) = &self.truth {
                let count = |portrait: bool| {
                    let of = own.iter().filter(|(_, native, _)| {
                        truth.get(native).is_some_and(|fact| fact.portrait == portrait)
                    });
                    of.fold([0, 0], |[kept, all], (.., keep)| [kept + usize::from(*keep), all + 1])
                };
                let ([right, people], [wrong, others]) = (count(true), count(false));
                let share =
                    |a: usize, b: usize| format!("{:.3} ({a} of {b})", a as f64 / b.max(1) as f64);
                cells.extend([share(right, people), share(right, kept), share(wrong, others)]);
            }
            table.rows.push(cells);
        }
        let caption = match self.truth {
            Some(_) => {
                "Recall: portraits that are kept. False positives: other pictures that are kept"
            }
            None => "Photos that each filter keeps",
        };
        let by = match self.project.config.filter.by {
            Use::Faces => "Photos of people are those with a face.",
            Use::Classifier => "Photos of people are those that the classifier keeps.",
            Use::Both => "Photos of people are those with a face that the classifier keeps.",
            Use::None => "No filter is used: all photos are looked at.",
        };
        let blocks =
            vec![Block::Paragraph(by.into()), Block::Table { table, caption: caption.into() }];
        Ok(Section { heading: "People".into(), blocks })
    }

    /// The comparison: sets, blobs and copies down, ways to learn across.
    fn compared(&self) -> Result<Section> {
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
    fn ranked(&self) -> Result<Section> {
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

    /// The study's published figures beside these.
    fn study(&self) -> Result<Section> {
        let mut table = Table::new(&["", "accuracy, cross-validation", "accuracy, test photos"]);
        let cross = |set: &str| {
            let query = format!("SELECT max(accuracy) FROM comparisons WHERE photos = '{set}'");
            self.project.store.read(|db| db.query_row(&query, [], |r| r.get::<_, Option<f64>>(0)))
        };
        table.rows.push(vec!["the study, photos tagged #me".into(), "0.60".into(), "0.57".into()]);
        for model in &self.models {
            let cross = match model.name.as_str() {
                "network" => None,
                set => cross(set)?,
            };
            table.rows.push(vec![
                about(&model.name).into(),
                cross.map_or(String::new(), |accuracy| format!("{accuracy:.2}")),
                format!("{:.2}", model.accuracy),
            ]);
        }
        let caption = "The study: J. Bhaskar and A. Patel, Image Classification using Convolutional Neural Network (2015), as \
            its abstract has it: other photos, other people, an AlexNet. Only the way is the same";
        let blocks = vec![Block::Table { table, caption: caption.into() }];
        Ok(Section { heading: "Beside the study".into(), blocks })
    }

    fn files(&self) -> Section {
        let folder = self.project.folder().display();
        let items = [
            "likenet.db: users, photos, labels, faces, scores (SQLite; docs/formats.md)",
            "photos/: the files",
            "gallery.html: the ranking as thumbnails",
            "people-best.png, people-worst.png, everything-…, network-…: the contact sheets",
            "models/: classifiers for `likenet predict`, and the fine-tuned network",
            "finetune/: the recipe as Caffe's files, the log, the curves",
        ];
        let blocks = vec![
            Block::Paragraph(format!("In {folder}:")),
            Block::List(items.iter().map(|item| item.to_string()).collect()),
        ];
        Section { heading: "Files".into(), blocks }
    }
}
