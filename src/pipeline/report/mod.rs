//! What a person wants to look at. Flows in: all that the stages before found. Flows out: one page with everything inside,
//! contact sheets, a gallery.

mod photos;
mod rankings;

use super::gallery::{self, Ranked, ranked};
use super::project::Project;
use super::truth::Truth;
use crate::error::Result;
use crate::learn::metrics::average_precision;
use crate::photos::watch::Watch;
use crate::report::Table;
use crate::report::page::{Block, Headline, Page, Section};

/// The report.
pub(super) const FILE: &str = "report.html";

/// What a reader of simulated photos must know.
pub(super) const SIMULATED: &str = "Drawn pictures, simulated likes: nobody on them exists, and a law that somebody made up decides \
    what is liked. Nothing here says anything about real people's taste.";

/// A model's row.
struct TestedModel {
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

/// All that the page is made from.
struct Findings<'a> {
    project: &'a Project,
    models: Vec<TestedModel>,
    rankings: Vec<(String, Vec<Ranked>)>,
    truth: Option<Truth>,
}

pub(super) fn report(project: &mut Project, watch: &dyn Watch) -> Result<String> {
    let models = tested(project)?;
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

fn tested(project: &Project) -> Result<Vec<TestedModel>> {
    project.store.read(|db| {
        let mut query = db.prepare(
            "SELECT name, features, method, learnt, judged, chance, ap, ap_low, ap_high, p, roc_auc, accuracy
             FROM models ORDER BY name = 'people' DESC, name = 'everything' DESC",
        )?;
        let model = |row: &rusqlite::Row| {
            Ok(TestedModel {
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
