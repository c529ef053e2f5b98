//! The shape of a workflow: what comes after what, and what goes on side by side. It knows names and prerequisites of steps only.

use causeway_proto::v1::Step;

/// Steps in the order in which they are shown, by their index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Tree {
    /// One step.
    Leaf(usize),
    /// One after the other.
    Series(Vec<Tree>),
    /// Side by side: no step of one waits for a step of another.
    Branches(Vec<Tree>),
    /// Several that are told of in one line.
    Fold(Vec<usize>),
}

impl Tree {
    /// The shape of these steps, which stand in an order that respects their prerequisites.
    pub(super) fn of(steps: &[Step]) -> Self {
        let before = Before::of(steps);
        before.split((0..steps.len()).collect())
    }

    /// All steps in it, in the order in which they are shown.
    pub(super) fn steps(&self) -> Vec<usize> {
        match self {
            Self::Leaf(step) => vec![*step],
            Self::Series(parts) | Self::Branches(parts) => {
                parts.iter().flat_map(Self::steps).collect()
            }
            Self::Fold(steps) => steps.clone(),
        }
    }

    /// The same, with what has the same kind told of in one line where it stands together. `None` is never folded.
    pub(super) fn fold<K: PartialEq + Copy>(self, kind: &impl Fn(usize) -> Option<K>) -> Self {
        let common = |part: &Self| {
            let steps = part.steps();
            let first = kind(*steps.first()?)?;
            steps.iter().all(|step| kind(*step) == Some(first)).then_some(first)
        };
        let (parts, wrap): (_, fn(Vec<Self>) -> Self) = match self {
            Self::Series(parts) => (parts, Self::Series),
            Self::Branches(parts) => (parts, Self::Branches),
            other => return other,
        };
        let mut folded: Vec<(Option<K>, Vec<Self>)> = Vec::new();
        for part in parts {
            let part = part.fold(kind);
            match (common(&part), folded.last_mut()) {
                (Some(kind), Some((last, run))) if *last == Some(kind) => run.push(part),
                (kind, _) => folded.push((kind, vec![part])),
            }
        }
        let together = folded.into_iter().map(|(kind, run)| {
            let steps: Vec<_> = run.iter().flat_map(Self::steps).collect();
            match (kind, <[Self; 1]>::try_from(run)) {
                (_, Ok([one])) if steps.len() == 1 => one,
                (None, Ok([one])) => one,
                (_, _) => Self::Fold(steps),
            }
        });
        let mut together: Vec<_> = together.collect();
        if together.len() == 1 { together.remove(0) } else { wrap(together) }
    }
}

/// Which step comes before which, also by way of others.
struct Before(Vec<Vec<bool>>);

impl Before {
    fn of(steps: &[Step]) -> Self {
        let mut before = vec![vec![false; steps.len()]; steps.len()];
        for (index, step) in steps.iter().enumerate() {
            for (earlier, other) in steps[..index].iter().enumerate() {
                if step.after.contains(&other.name) {
                    let behind = before[earlier].clone();
                    for (known, also) in before[index].iter_mut().zip(behind) {
                        *known |= also;
                    }
                    before[index][earlier] = true;
                }
            }
        }
        Self(before)
    }

    fn ordered(&self, one: usize, other: usize) -> bool {
        self.0[one][other] || self.0[other][one]
    }

    fn split(&self, steps: Vec<usize>) -> Tree {
        if let [only] = steps[..] {
            return Tree::Leaf(only);
        }
        let branches = components(&steps, |one, other| self.ordered(one, other));
        if branches.len() > 1 {
            return Tree::Branches(branches.into_iter().map(|part| self.split(part)).collect());
        }
        // What is in one part of these comes before all that is in the next.
        let parts = components(&steps, |one, other| !self.ordered(one, other));
        if parts.len() > 1 {
            return Tree::Series(parts.into_iter().map(|part| self.split(part)).collect());
        }
        // Neither: they are entangled, and stand in their own order.
        Tree::Series(steps.into_iter().map(Tree::Leaf).collect())
    }
}

/// The parts in which every two are linked, also by way of others; in the order of their first steps.
fn components(steps: &[usize], linked: impl Fn(usize, usize) -> bool) -> Vec<Vec<usize>> {
    let mut left: Vec<usize> = steps.to_vec();
    let mut parts = Vec::new();
    while !left.is_empty() {
        let mut part = vec![left.remove(0)];
        let mut next = 0;
        while let Some(&one) = part.get(next) {
            let (reached, others): (Vec<_>, Vec<_>) =
                left.into_iter().partition(|other| linked(one, *other));
            part.extend(reached);
            left = others;
            next += 1;
        }
        part.sort_unstable();
        parts.push(part);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(of: &[(&str, &[&str])]) -> Vec<Step> {
        let step = |(name, after): &(&str, &[&str])| Step {
            name: (*name).to_owned(),
            after: after.iter().map(|name| (*name).to_owned()).collect(),
            ..Step::default()
        };
        of.iter().map(step).collect()
    }

    #[test]
    fn what_goes_on_side_by_side_is_told_from_what_comes_after() {
        let steps = steps(&[
            ("check-a", &[]),
            ("check-b", &[]),
            ("gate", &["check-a", "check-b"]),
            ("fence", &["gate"]),
            ("mint", &["gate"]),
            ("publish", &["mint"]),
            ("pool[a]", &["fence", "publish"]),
            ("pool[b]", &["fence", "publish"]),
            ("scale[a]", &["pool[a]"]),
            ("scale[b]", &["pool[b]"]),
        ]);
        use Tree::{Branches, Leaf, Series};
        let expected = Series(vec![
            Branches(vec![Leaf(0), Leaf(1)]),
            Leaf(2),
            Branches(vec![Leaf(3), Series(vec![Leaf(4), Leaf(5)])]),
            Branches(vec![Series(vec![Leaf(6), Leaf(8)]), Series(vec![Leaf(7), Leaf(9)])]),
        ]);
        assert_eq!(Tree::of(&steps), expected);
    }

    #[test]
    fn what_is_entangled_stands_in_its_own_order() {
        let steps = steps(&[
            ("policy", &[]),
            ("user", &[]),
            ("attach", &["policy", "user"]),
            ("key", &["user"]),
        ]);
        assert_eq!(Tree::of(&steps), Tree::Series((0..4).map(Tree::Leaf).collect()));
        assert_eq!(Tree::of(&steps[..0]).steps(), [0; 0]);
    }

    #[test]
    fn what_is_alike_is_folded_where_it_stands_together() {
        let steps = steps(&[
            ("a", &[]),
            ("b", &[]),
            ("c", &["a", "b"]),
            ("d", &["c"]),
            ("e", &["c"]),
            ("f", &["e"]),
        ]);
        use Tree::{Branches, Fold, Leaf, Series};
        let done = |step: usize| (step < 4).then_some(());
        let expected = Series(vec![
            Fold(vec![0, 1, 2]),
            Branches(vec![Leaf(3), Series(vec![Leaf(4), Leaf(5)])]),
        ]);
        assert_eq!(Tree::of(&steps).fold(&done), expected);
        assert_eq!(Tree::of(&steps).fold(&|_| Some(())), Fold(vec![0, 1, 2, 3, 4, 5]));
        assert_eq!(Tree::of(&steps).fold(&|_| None::<()>), Tree::of(&steps));
    }
}
