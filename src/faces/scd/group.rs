//! Hits of one face become one.
//!
//! Flows in: hits. Flows out: of each group the most confident hit, with the size of the group.

use super::Hit;

/// Share of the smaller rectangle that another must cover for both to be of one face.
const OVERLAP: f64 = 0.3;

/// Groups of hits that overlap, directly or by way of others, in the order of their first hits; those with
/// fewer than `least` are dropped.
pub(super) fn group(hits: &[Hit], least: u32) -> Vec<Hit> {
    let mut parent: Vec<usize> = (0..hits.len()).collect();
    for i in 0..hits.len() {
        for j in 0..i {
            if overlap(&hits[i].rect, &hits[j].rect) {
                // The earlier root stays one, so that a group's root is its first hit.
                let (a, b) = (root(&mut parent, i), root(&mut parent, j));
                parent[a.max(b)] = a.min(b);
            }
        }
    }
    let mut groups: Vec<Option<Hit>> = vec![None; hits.len()];
    for (i, hit) in hits.iter().enumerate() {
        let group = groups[root(&mut parent, i)].get_or_insert(Hit { neighbours: 0, ..*hit });
        let best = if hit.confidence > group.confidence { *hit } else { *group };
        *group = Hit { neighbours: group.neighbours + 1, ..best };
    }
    groups.into_iter().flatten().filter(|hit| hit.neighbours >= least).collect()
}

/// The first hit of a group; paths are halved on the way.
fn root(parent: &mut [usize], mut i: usize) -> usize {
    while parent[i] != i {
        parent[i] = parent[parent[i]];
        i = parent[i];
    }
    i
}

/// Whether what two rectangles share is a good part of the smaller one.
fn overlap(a: &[i32; 4], b: &[i32; 4]) -> bool {
    let shared = |axis: usize| {
        let end = |r: &[i32; 4]| i64::from(r[axis]) + i64::from(r[axis + 2]);
        (end(a).min(end(b)) - i64::from(a[axis].max(b[axis]))).max(0) as f64
    };
    let area = |r: &[i32; 4]| f64::from(r[2]) * f64::from(r[3]);
    shared(0) * shared(1) >= OVERLAP * area(a).min(area(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_by_hand() {
        let hit = |rect, confidence| Hit { rect, confidence, neighbours: 1 };
        let hits = [
            hit([0, 0, 10, 10], 5.0),
            // Far from all others.
            hit([50, 50, 10, 10], 9.0),
            // 3 of 10 columns of the first: just enough. The third one's neighbour, not the first one's.
            hit([7, 0, 10, 10], 6.0),
            hit([14, 0, 10, 10], 6.0),
            // A quarter of the first's area, but wholly inside: the smaller one counts.
            hit([0, 0, 5, 5], 4.0),
            // 2 of 10 columns.
            hit([22, 0, 10, 10], 4.0),
        ];
        let best = Hit { neighbours: 4, ..hits[2] };
        assert_eq!(group(&hits, 1), [best, hits[1], hits[5]]);
        assert_eq!(group(&hits, 2), [best]);
        assert_eq!(group(&[], 1), []);
    }
}
