//! Hits that mean the same face become one: OpenCV's `groupRectangles`.

use super::Hit;

/// How far sides of one group's rectangles may be apart, in their size.
const NEAR: f64 = 0.2;

/// Groups of more than `least` hits, each with its mean rectangle. A group within another is left out where it
/// is a weak one.
pub(super) fn group(raw: &[Hit], least: u32) -> Vec<Hit> {
    let mut groups: Vec<(Hit, [i64; 4])> = Vec::new();
    for (hit, class) in raw.iter().zip(classes(raw)) {
        if class == groups.len() {
            groups.push((Hit { neighbours: 0, ..*hit }, [0; 4]));
        }
        let (group, sums) = &mut groups[class];
        group.neighbours += 1;
        group.weight = group.weight.max(hit.weight);
        (0..4).for_each(|i| sums[i] += i64::from(hit.rect[i]));
    }
    groups.retain(|(group, _)| group.neighbours > least);
    let groups: Vec<Hit> =
        groups.iter().map(|(hit, sums)| Hit { rect: mean(sums, hit), ..*hit }).collect();
    let apart = |a: &&Hit| !groups.iter().any(|b| !std::ptr::eq(*a, b) && hides(b, a));
    groups.iter().filter(apart).copied().collect()
}

/// The mean of each coordinate, in OpenCV's single precision.
fn mean(sums: &[i64; 4], group: &Hit) -> [i32; 4] {
    let part = 1.0 / group.neighbours as f32;
    sums.map(|sum| (sum as f32 * part).round_ties_even() as i32)
}

/// Whether `b`, grown by a fifth on each side, holds `a` and has more to say.
fn hides(b: &Hit, a: &Hit) -> bool {
    let grown = |side: i32| (f64::from(side) * NEAR).round_ties_even() as i32;
    let within = |axis: usize| {
        let (start, end) = (a.rect[axis], a.rect[axis] + a.rect[axis + 2]);
        let (first, size) = (b.rect[axis], b.rect[axis + 2]);
        start >= first - grown(size) && end <= first + size + grown(size)
    };
    let stronger = b.neighbours > a.neighbours.max(3) || a.neighbours < 3;
    within(0) && within(1) && stronger
}

/// Whether two rectangles belong together.
fn similar(a: &Hit, b: &Hit) -> bool {
    let ([ax, ay, aw, ah], [bx, by, bw, bh]) = (a.rect, b.rect);
    let near = NEAR * f64::from(aw.min(bw) + ah.min(bh)) * 0.5;
    let sides = [ax - bx, ay - by, ax + aw - bx - bw, ay + ah - by - bh];
    sides.iter().all(|side| f64::from(side.abs()) <= near)
}

/// Each hit's class: the transitive closure of [`similar`], numbered by first members.
fn classes(hits: &[Hit]) -> Vec<usize> {
    let mut parents: Vec<usize> = (0..hits.len()).collect();
    fn root(parents: &mut [usize], mut i: usize) -> usize {
        while parents[i] != i {
            parents[i] = parents[parents[i]];
            i = parents[i];
        }
        i
    }
    for (i, hit) in hits.iter().enumerate() {
        for j in (0..i).filter(|&j| similar(hit, &hits[j])) {
            // The smaller index stays the root: a class is known by its first member.
            let [a, b] = [i, j].map(|i| root(&mut parents, i));
            parents[a.max(b)] = a.min(b);
        }
    }
    let (mut numbers, mut count) = (vec![0; hits.len()], 0);
    for i in 0..hits.len() {
        let first = root(&mut parents, i);
        if first == i {
            numbers[i] = count;
            count += 1;
        } else {
            numbers[i] = numbers[first];
        }
    }
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hits(rects: &[[i32; 4]]) -> Vec<Hit> {
        let hit = |(i, &rect)| Hit { rect, neighbours: 1, weight: -(i as f64) };
        rects.iter().enumerate().map(hit).collect()
    }

    #[test]
    fn neighbours_become_their_mean() {
        // A chain: sides may be 8 apart, so that the first and the last meet through the middle one.
        let raw = hits(&[[0, 0, 40, 40], [8, 0, 40, 40], [15, 1, 40, 40], [100, 0, 40, 40]]);
        let want = Hit { rect: [8, 0, 40, 40], neighbours: 3, weight: 0.0 };
        assert_eq!(group(&raw, 2), [want]);
        // More than that many are wanted.
        assert_eq!(group(&raw, 3), []);
        let raw = hits(&[[0, 0, 40, 40], [9, 0, 40, 40]]);
        assert_eq!(group(&raw, 1), []);
    }

    #[test]
    fn a_weak_group_within_another_goes() {
        let small = [20, 20, 20, 20];
        let mut rects = vec![[0, 0, 60, 60]; 4];
        rects.extend([small; 2]);
        assert_eq!(group(&hits(&rects), 1).len(), 1);
        // Three are no longer weak by themselves, but four are more than three.
        rects.push(small);
        assert_eq!(group(&hits(&rects), 1).len(), 1);
        rects.push(small);
        assert_eq!(group(&hits(&rects), 1).len(), 2);
        // Outside it stays.
        rects.truncate(4);
        rects.extend([[80, 20, 20, 20]; 2]);
        assert_eq!(group(&hits(&rects), 1).len(), 2);
    }
}
