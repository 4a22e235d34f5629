//! Where photos came from, which rule removed how many, and how the filters do.

use super::Findings;
use crate::error::Result;
use crate::photos::prepare::{cuts, followers};
use crate::pipeline::config::Use;
use crate::pipeline::sets::{Set, photos};
use crate::report::page::{Block, Section};
use crate::report::{Followers, Table, followers_svg};

impl Findings<'_> {
    /// Where photos came from, and which rule removed how many.
    pub(super) fn photos(&self) -> Result<Section> {
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
    pub(super) fn filter(&self) -> Result<Section> {
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
}
