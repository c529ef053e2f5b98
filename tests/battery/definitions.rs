//! The registered definitions, and what the battery makes of them: in a line, so that nothing runs beside the step that is
//! looked at, and with other work in place of their own.

use std::collections::BTreeSet;

use causeway_workflows::{Definition, Template, registry};

/// Whether a definition needs a world.
pub(crate) fn needs_a_world(definition: &Definition) -> bool {
    definition.cluster_id.is_some()
}

/// The registered definitions without a world, each in a line.
pub(crate) fn worldless() -> Vec<Definition> {
    registry().into_iter().filter(|one| !needs_a_world(one)).map(in_a_line).collect()
}

/// The registered definitions that build in a world, each in a line.
pub(crate) fn worldly() -> Vec<Definition> {
    let builds = |one: &Definition| needs_a_world(one) && one.undoes.is_none();
    registry().into_iter().filter(builds).map(in_a_line).collect()
}

/// The registered definitions that take down what another has built, each with that one, in the same line.
pub(crate) fn teardowns() -> Vec<(Definition, Definition)> {
    let undoing = registry().into_iter().filter(|one| one.undoes.is_some()).map(in_a_line);
    let build = |undoing: &Definition| {
        worldly()
            .into_iter()
            .find(|one| undoing.undoes == Some(one.name))
            .expect("it is registered")
    };
    undoing.map(|undoing| (build(&undoing), undoing)).collect()
}

/// The same definition with one step after the other, in an order that its edges allow and that keeps undo groups together.
fn in_a_line(mut definition: Definition) -> Definition {
    let mut open: Vec<Template> = std::mem::take(&mut definition.templates);
    let mut done: BTreeSet<&'static str> = BTreeSet::new();
    while !open.is_empty() {
        let ready = |one: &Template| one.after.iter().all(|name| done.contains(name));
        let group = definition.templates.last().and_then(|last| last.undo_group);
        let in_group = |one: &Template| group.is_some() && one.undo_group == group;
        let next = open.iter().position(|one| ready(one) && in_group(one));
        let next = next.or_else(|| open.iter().position(ready)).expect("the graph is acyclic");
        let mut template = open.remove(next);
        if let Some(last) = definition.templates.last() {
            template.after.push(last.name);
        }
        done.insert(template.name);
        definition.templates.push(template);
    }
    definition
}

/// The definition with every template changed.
pub(crate) fn with(mut definition: Definition, change: impl FnMut(&mut Template)) -> Definition {
    definition.templates.iter_mut().for_each(change);
    definition
}
