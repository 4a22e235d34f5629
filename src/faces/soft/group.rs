//! One hit for each object. Flows in: overlapping windows. Flows out: one for each group, best first.

use super::Window;

/// Windows that overlap by more (of their union) belong to one object. Two heads side by side overlap less.
const SAME_UNION: f32 = 0.3;
/// As much of the smaller window inside the other is one object too: an eye is no face.
const SAME_INSIDE: f32 = 0.7;
/// Windows that overlap the best one by more improve its place.
const AVERAGED: f32 = 0.5;

/// A group while it gathers: its best window, and the weighted sum of those close to it.
struct Group {
    best: Window,
    sum: [f32; 4],
    weight: f32,
}

/// Non-maximum suppression that averages: from the best window down, each joins the first group whose best
/// one it overlaps, or starts its own. A group lies at the mean of its windows, weighted by exp(score).
pub fn group(mut windows: Vec<Window>) -> Vec<Window> {
    windows.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut groups: Vec<Group> = Vec::new();
    for window in windows {
        let near = groups.iter_mut().find_map(|group| {
            let (union, inside) = overlap(&group.best.rect, &window.rect);
            (union > SAME_UNION || inside > SAME_INSIDE).then_some((group, union))
        });
        match near {
            Some((group, union)) if union > AVERAGED => group.add(&window),
            Some(_) => {}
            None => groups.push(Group { best: window, sum: window.rect, weight: 1.0 }),
        }
    }
    let place = |g: &Group| Window { rect: g.sum.map(|v| v / g.weight), ..g.best };
    groups.iter().map(place).collect()
}

impl Group {
    fn add(&mut self, window: &Window) {
        let weight = (window.score - self.best.score).exp().max(0.02);
        for (sum, v) in self.sum.iter_mut().zip(window.rect) {
            *sum += weight * v;
        }
        self.weight += weight;
    }
}

/// The intersection as a part of the union, and of the smaller window.
fn overlap(a: &[f32; 4], b: &[f32; 4]) -> (f32, f32) {
    let side = |i: usize| ((a[i] + a[i + 2]).min(b[i] + b[i + 2]) - a[i].max(b[i])).max(0.0);
    let common = side(0) * side(1);
    let (a, b) = (a[2] * a[3], b[2] * b[3]);
    (common / (a + b - common), common / a.min(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(x: f32, y: f32, side: f32, score: f32) -> Window {
        Window { rect: [x, y, side, side], score }
    }

    #[test]
    fn heads_side_by_side_stay_apart() {
        // Half a window apart: a third of the union is common to windows of one size 20 px apart.
        let found = group(vec![window(0.0, 0.0, 40.0, 3.0), window(22.0, 0.0, 40.0, 2.0)]);
        assert_eq!(found.len(), 2);
        let found = group(vec![window(0.0, 0.0, 40.0, 3.0), window(18.0, 0.0, 40.0, 2.0)]);
        assert_eq!(found.len(), 1);
    }

    #[test]
    fn an_eye_is_no_face() {
        let found = group(vec![window(5.0, 5.0, 10.0, 1.0), window(0.0, 0.0, 40.0, 2.0)]);
        assert_eq!(found, [window(0.0, 0.0, 40.0, 2.0)]);
    }

    #[test]
    fn a_group_lies_at_its_weighted_mean() {
        let found = group(vec![window(0.0, 0.0, 40.0, 2.0), window(4.0, 0.0, 40.0, 2.0)]);
        assert_eq!(found, [window(2.0, 0.0, 40.0, 2.0)]);
    }
}
