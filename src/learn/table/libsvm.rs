//! LIBSVM's text: paths in, rows and labels out.
//!
//! A line is a label and the values that are not zero: `+1 3:0.5 17:2`. Columns count from 1 and ascend;
//! what follows a `#` is a remark. Chang and Lin, LIBSVM: a library for support vector machines, 2011.

use super::{Loaded, Notes, at, check_sparse, invalid, memory, suits};
use crate::error::{Error, Result};
use crate::learn::{Layout, Matrix};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

/// Reads files one after the other as one table with as many columns as the last one named.
///
/// Reads them twice, because only at their end it is known how many that are. Fails when a line is not as
/// it should be, and names it.
pub(super) fn read(paths: &[PathBuf], layout: Option<Layout>) -> Result<Loaded> {
    let (mut rows, mut columns, mut stored) = (0, 0, 0);
    for path in paths {
        each_line(path, |_, values| {
            rows += 1;
            columns = columns.max(values.last().map_or(0, |v| v.0 + 1));
            stored += values.iter().filter(|v| v.1 != 0.0).count();
            Ok(())
        })?;
    }
    check_sparse(rows, columns, stored).map_err(at(paths[0].display()))?;
    let layout = layout.unwrap_or_else(|| suits(stored, rows * columns));
    memory::check(&paths[0], memory::needed(layout, rows * columns, stored))?;
    let mut matrix = Matrix::new(columns, layout);
    let mut labels = vec![];
    let mut row = vec![0.0; columns];
    for path in paths {
        each_line(path, |label, values| {
            row.fill(0.0);
            for &(column, value) in values {
                let changed = || Error::Invalid("the file changed while it was read".to_string());
                *row.get_mut(column).ok_or_else(changed)? = value;
            }
            labels.push(label.to_owned());
            matrix.push(&row)
        })?;
    }
    let notes = Notes { label: Some(labels), ..Notes::default() };
    Ok(Loaded { matrix, notes, about: String::new() })
}

/// Calls `f` with the label and the values of each line, columns from 0.
fn each_line(path: &Path, mut f: impl FnMut(&str, &[(usize, f32)]) -> Result<()>) -> Result<()> {
    if !path.is_file() {
        return Err(invalid(path.display(), "is not a file that can be read twice"));
    }
    let mut file = BufReader::new(File::open(path).map_err(Error::io(path))?);
    let (mut line, mut values) = (vec![], vec![]);
    for number in 1.. {
        line.clear();
        if file.read_until(b'\n', &mut line).map_err(Error::io(path))? == 0 {
            break;
        }
        let content = line.split(|&b| b == b'#').next().unwrap_or_default();
        let content = str::from_utf8(content).unwrap_or("\u{fffd}");
        let done = match parse(content, &mut values) {
            Ok(Some(label)) => f(label, &values),
            Ok(None) => Ok(()),
            Err(problem) => Err(Error::Invalid(problem)),
        };
        done.map_err(at(format_args!("{}:{number}", path.display())))?;
    }
    Ok(())
}

/// The label of a line, whose values go to `values`; `None` when nothing is there.
fn parse<'a>(
    line: &'a str,
    values: &mut Vec<(usize, f32)>,
) -> std::result::Result<Option<&'a str>, String> {
    values.clear();
    let mut words = line.split_ascii_whitespace();
    let Some(label) = words.next() else { return Ok(None) };
    if !label.parse().is_ok_and(f64::is_finite) {
        return Err(format!("'{label}' is not a number for a label, such as 0 or 1, -1 or +1"));
    }
    for word in words {
        let pair = word.split_once(':');
        let pair = pair.and_then(|(index, value)| {
            let column = index.parse::<u32>().ok()?.checked_sub(1)?;
            Some((column as usize, value.parse::<f32>().ok()?))
        });
        let (column, value) =
            pair.ok_or_else(|| format!("'{word}' is not a column from 1, ':' and a number"))?;
        if let Some(last) = values.last().filter(|last| last.0 >= column) {
            return Err(format!("column {} does not come after {}", column + 1, last.0 + 1));
        }
        values.push((column, value));
    }
    Ok(Some(label))
}
