//! Tables: rows of cells in, text for a terminal, Markdown or HTML out.

/// A table; all but its first column are numbers, flush right.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// Names of the columns.
    pub head: Vec<String>,
    /// The rows, each with a cell for every column.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub fn new(head: &[&str]) -> Self {
        Self { head: head.iter().map(|h| (*h).to_string()).collect(), rows: vec![] }
    }

    /// Columns as wide as their widest cell.
    pub fn text(&self) -> String {
        self.lines(|line| line.join("  ").trim_end().to_string()).join("\n")
    }

    /// As GitHub and others show it.
    pub fn markdown(&self) -> String {
        let mut lines = self.lines(|line| format!("| {} |", line.join(" | ")));
        let rule = (0..self.head.len()).map(|c| if c == 0 { "---" } else { "---:" });
        lines.insert(1, format!("| {} |", rule.collect::<Vec<_>>().join(" | ")));
        lines.join("\n")
    }

    /// A `<table>`; text in cells is only text.
    pub fn html(&self) -> String {
        let row = |cells: &[String], tag: &str| {
            let cell = |cell: &String| format!("<{tag}>{}</{tag}>", escape(cell));
            format!("<tr>{}</tr>\n", cells.iter().map(cell).collect::<String>())
        };
        let body: String = self.rows.iter().map(|cells| row(cells, "td")).collect();
        let head = row(&self.head, "th");
        format!("<table>\n<thead>\n{head}</thead>\n<tbody>\n{body}</tbody>\n</table>\n")
    }

    fn lines(&self, join: impl Fn(Vec<String>) -> String) -> Vec<String> {
        let all = || std::iter::once(&self.head).chain(&self.rows);
        let width = |c: usize| all().map(|row| row[c].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.head.len()).map(width).collect();
        let line = |row: &Vec<String>| {
            let cell = |(c, cell): (usize, &String)| match c {
                0 => format!("{cell:<0$}", widths[0]),
                _ => format!("{cell:>0$}", widths[c]),
            };
            join(row.iter().enumerate().map(cell).collect())
        };
        all().map(line).collect()
    }
}

/// Text as HTML shows it.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_table_three_ways() {
        let mut table = Table::new(&["C", "AP"]);
        table.rows.push(vec!["<b> & 1e-4".into(), "0.5".into()]);
        table.rows.push(vec!["1".into(), "0.625".into()]);
        assert_eq!(table.text(), "C              AP\n<b> & 1e-4    0.5\n1           0.625");
        let markdown = "| C          |    AP |\n| --- | ---: |\n| <b> & 1e-4 |   0.5 |\n\
                        | 1          | 0.625 |";
        assert_eq!(table.markdown(), markdown);
        let html = table.html();
        assert!(html.contains("<tr><td>&lt;b&gt; &amp; 1e-4</td><td>0.5</td></tr>"), "{html}");
    }
}
