//! Which detections belong to which labelled photo, whose paths may begin differently. Flows in: two lists
//! of paths. Flows out: for each of the first the one of the second with the longest common tail.

use std::iter::zip;

/// For each wanted path the number of the given one that has most last parts in common with it, the file's
/// name at least; `None` where there is none.
///
/// Fails where two are equally alike, and where one is the likest of two.
pub(super) fn pair(wanted: &[&str], given: &[&str]) -> Result<Vec<Option<usize>>, String> {
    let mut tails: Vec<(Vec<&str>, usize)> = zip(given.iter().map(|p| tail(p)), 0..).collect();
    tails.sort_unstable();
    let mut owners = vec![None; given.len()];
    let find = |path: &&str| {
        let Some(number) = likest(path, &tails, given)? else { return Ok(None) };
        match owners[number].replace(path.to_string()) {
            None => Ok(Some(number)),
            Some(other) => Err(format!(
                "'{}' could be '{other}' or '{path}': give more of its folders",
                given[number]
            )),
        }
    };
    wanted.iter().map(find).collect()
}

/// A path's parts, the last first, on whichever system it was written.
fn tail(path: &str) -> Vec<&str> {
    path.rsplit(['/', '\\']).collect()
}

/// In sorted tails those alike are neighbours.
fn likest(
    path: &str,
    tails: &[(Vec<&str>, usize)],
    given: &[&str],
) -> Result<Option<usize>, String> {
    let own = tail(path);
    let at = tails.partition_point(|(other, _)| *other < own);
    let common =
        |(other, _): &(Vec<&str>, usize)| zip(other, &own).take_while(|(a, b)| a == b).count();
    let around = &tails[at.saturating_sub(1)..tails.len().min(at + 1)];
    let own_start = match around.iter().map(common).max() {
        None | Some(0) => return Ok(None),
        Some(longest) => &own[..longest],
    };
    let first = tails.partition_point(|(other, _)| other[..] < *own_start);
    let alike = tails[first..].partition_point(|(other, _)| other.starts_with(own_start));
    match &tails[first..first + alike] {
        [(_, only)] => Ok(Some(*only)),
        [(same, number), ..] if *same == own => Ok(Some(*number)),
        several => {
            let [a, b] = [several[0].1, several[1].1].map(|i| given[i]);
            Err(format!("'{path}' could be '{a}' or '{b}': give more of their folders"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_common_tail_wins() {
        let given = ["run/a/1.jpg", "run/b/1.jpg", "2.jpg", "x\\3.jpg", "1.jpg"];
        let got = pair(&["b/1.jpg", "p/run/a/1.jpg", "c/2.jpg", "x/3.jpg", "4.jpg"], &given);
        assert_eq!(got, Ok(vec![Some(1), Some(0), Some(2), Some(3), None]));
        // As it is written, though others end like it.
        assert_eq!(pair(&["1.jpg"], &given), Ok(vec![Some(4)]));
        assert_eq!(pair(&["1.jpg"], &[]), Ok(vec![None]));
    }

    #[test]
    fn doubts_are_said() {
        let error = pair(&["c/1.jpg"], &["a/1.jpg", "b/1.jpg"]).expect_err("two");
        assert!(error.contains("'c/1.jpg' could be 'a/1.jpg' or 'b/1.jpg'"), "{error}");
        let error = pair(&["a/1.jpg", "b/1.jpg"], &["1.jpg"]).expect_err("one for two");
        assert!(error.contains("'1.jpg' could be 'a/1.jpg' or 'b/1.jpg'"), "{error}");
    }
}
