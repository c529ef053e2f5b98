//! Each step, and each undo, done twice; and each step failing in turn.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use causeway_engine::event::{Cause, RunOptions};
use causeway_engine::{PublicState, Workflow};
use causeway_sandbox::world::World;
use causeway_tests::scene::assert_same;
use causeway_workflows::{Definition, Work};
use futures::StreamExt;

use crate::definitions::{teardowns, with, worldless, worldly};
use crate::host::{Home, Host, story};
use crate::probe::{Findings, INJECTED, Place, failing, twice};
use crate::stage;

/// Worlds at a time.
const AT_A_TIME: usize = 3;

/// The name of a step without its key.
fn template_of(step: &str) -> &str {
    step.split('[').next().unwrap_or(step)
}

fn actions(definition: &Definition) -> BTreeSet<&'static str> {
    let actions = definition.templates.iter().filter(|one| matches!(one.work, Work::Action(_)));
    actions.map(|one| one.name).collect()
}

fn templates_in(steps: &Mutex<Vec<String>>) -> BTreeSet<String> {
    steps.lock().unwrap().iter().map(|step| template_of(step).to_owned()).collect()
}

fn home(place: &Place, definition: Definition) -> Home {
    match place {
        Some(world) => Home::in_world(world, vec![definition]),
        None => Home::empty(vec![definition]),
    }
}

/// Runs the definition once, to its rest.
async fn run(place: &Place, definition: Definition) -> Arc<Workflow> {
    let request = stage::request(&definition, place.as_deref());
    let host = Host::start(&home(place, definition)).await;
    let id = host.build("battery", request).await.expect("it can be started");
    host.rested(&id).await
}

async fn looked_at(definition: Definition, place: Place, before: &str) {
    let name = definition.name;
    let expected = actions(&definition);
    let findings = Arc::new(Findings::default());
    let last = definition.templates.last().unwrap().name;
    // The last step fails, so that everything is undone.
    let probed = with(definition, |template| {
        template.work = twice(&template.work, &place, &findings);
        if template.name == last {
            template.work = failing(&template.work);
        }
    });
    let state = run(&place, probed).await;
    let amiss = findings.amiss.lock().unwrap().join("\n");
    assert!(amiss.is_empty(), "{name}: {amiss}");
    let undone = [PublicState::Compensated, PublicState::Rejected];
    assert!(undone.contains(&state.public_state()), "{name}: {}", story(&state));
    let expected_twice: BTreeSet<String> =
        expected.iter().filter(|one| **one != last).map(|one| (*one).to_owned()).collect();
    assert_eq!(templates_in(&findings.applied_twice), expected_twice, "{name}: done twice");
    let expected: BTreeSet<String> = expected.iter().map(|one| (*one).to_owned()).collect();
    assert_eq!(templates_in(&findings.reverted_twice), expected, "{name}: undone twice");
    if let Some(world) = &place {
        assert_same(before, &stage::ledger(world).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_step_and_every_undo_can_be_done_twice() {
    for definition in worldless() {
        looked_at(definition, None, "").await;
    }
    for definition in worldly() {
        let world = stage::world(&[]).await;
        let before = stage::ledger(&world).await;
        looked_at(definition, Some(world), &before).await;
    }
}

/// Lets a template fail once it has done its work, or a gate lapse, and requires that just that failed and all is undone.
async fn fails_at(definition: &Definition, template: &'static str, place: &Place) {
    let name = definition.name;
    let gate =
        definition.template(template).is_some_and(|template| matches!(template.work, Work::Gate));
    let broken = with(definition.clone(), |one| {
        if one.name == template {
            one.work = failing(&one.work);
        }
    });
    let mut request = stage::request(&broken, place.as_deref());
    if gate {
        let gates = [(template.to_owned(), 1)].into();
        request.options = RunOptions { gates, ..RunOptions::default() };
    }
    let host = Host::start(&home(place, broken)).await;
    let id = host.build("battery", request).await.expect("it can be started");
    let state = host.rested(&id).await;
    let (step, failure) = state.failure().expect("a failed workflow says why");
    assert_eq!(template_of(step.as_str()), template, "{name}: {}", story(&state));
    let code = failure.code.as_deref();
    assert_eq!(code, Some(if gate { "GATE_LAPSED" } else { INJECTED }), "{name}: {failure}");
    let cause = if gate { Cause::Denied } else { Cause::Failure };
    assert_eq!(state.cause, Some(cause), "{name}, {template}");
    let end = if state.ever_applied() { PublicState::Compensated } else { PublicState::Rejected };
    assert_eq!(state.public_state(), end, "{name}, {template}: {}", story(&state));
    assert!(state.left().is_empty(), "{name}, {template}: left {:?}", state.left());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_step_can_fail_and_leaves_nothing() {
    for definition in worldless() {
        for template in &definition.templates {
            fails_at(&definition, template.name, &None).await;
        }
    }
    for definition in worldly() {
        let names: Vec<&'static str> = definition.templates.iter().map(|one| one.name).collect();
        let shares = (0..AT_A_TIME).map(|share| {
            // The later a step, the longer its run: each world has its part of the late ones.
            let names: Vec<_> = names.iter().skip(share).step_by(AT_A_TIME).copied().collect();
            fail_in_turn(&definition, names)
        });
        futures::stream::iter(shares).buffer_unordered(AT_A_TIME).collect::<Vec<()>>().await;
    }
}

/// One after the other in one world, which must be as before each time.
async fn fail_in_turn(definition: &Definition, templates: Vec<&'static str>) {
    let world: Arc<World> = stage::world(&[]).await;
    let before = stage::ledger(&world).await;
    let place = Some(Arc::clone(&world));
    for template in templates {
        fails_at(definition, template, &place).await;
        println!("{template}: comparing");
        assert_same(&before, &stage::ledger(&world).await);
    }
}

/// A definition in a line is the same work: it succeeds.
#[tokio::test(flavor = "multi_thread")]
async fn every_definition_succeeds() {
    for definition in worldless() {
        let state = run(&None, definition).await;
        assert_eq!(state.public_state(), PublicState::Succeeded, "{}", story(&state));
    }
    for definition in worldly() {
        let place = Some(stage::world(&[]).await);
        let state = run(&place, definition).await;
        assert_eq!(state.public_state(), PublicState::Succeeded, "{}", story(&state));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_undo_of_a_teardown_can_be_done_twice() {
    for (build, teardown) in teardowns() {
        let world = stage::world(&[]).await;
        let before = stage::ledger(&world).await;
        let expected: BTreeSet<String> =
            actions(&teardown).into_iter().map(str::to_owned).collect();
        let (place, findings) = (Some(Arc::clone(&world)), Arc::new(Findings::default()));
        let probed = with(teardown, |template| {
            template.work = twice(&template.work, &place, &findings);
        });
        let requests = [("built", &build), ("torn", &probed)];
        let requests = requests.map(|(id, one)| (id, stage::request(one, Some(&world))));
        let host = Host::start(&Home::in_world(&world, vec![build, probed])).await;
        for (id, request) in requests {
            let id = host.build(id, request).await.expect("it can be started");
            let state = host.rested(&id).await;
            assert_eq!(state.public_state(), PublicState::Succeeded, "{}", story(&state));
        }
        let amiss = findings.amiss.lock().unwrap().join("\n");
        assert!(amiss.is_empty(), "{amiss}");
        assert_eq!(templates_in(&findings.reverted_twice), expected);
        assert_same(&before, &stage::ledger(&world).await);
    }
}
