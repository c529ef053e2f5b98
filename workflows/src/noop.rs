//! `saga-10` and `saga-10-undo`: ten steps in a row that touch nothing, to measure the engine and to try a daemon out.

use async_trait::async_trait;
use causeway_engine::event::{Resolution, Undone};
use causeway_engine::{Failure, LostCall};
use serde_json::{Value, json};

use crate::definition::{Definition, Template};
use crate::preview::Preview;
use crate::sdk::{Action, Check, Checked, Context, Observed, Revert};

const NAMES: [&str; 10] = [
    "step-01", "step-02", "step-03", "step-04", "step-05", "step-06", "step-07", "step-08",
    "step-09", "step-10",
];

/// Both definitions.
#[must_use]
pub fn definitions() -> Vec<Definition> {
    let chain = |make: fn(&'static str) -> Template| -> Vec<Template> {
        let mut templates: Vec<Template> = Vec::new();
        for name in NAMES {
            let before = templates.last().map(|last| last.name);
            templates.push(make(name).after(before.as_slice()));
        }
        templates
    };
    let saga = |name, templates| Definition {
        name,
        revision: 1,
        templates,
        cluster_id: None,
        undoes: None,
    };
    vec![
        saga("saga-10", chain(|name| Template::check(name, Noop))),
        saga(
            "saga-10-undo",
            chain(|name| Template::action(name, Noop).lost_call(LostCall::MustFail)),
        ),
    ]
}

/// Does nothing, and holds at once.
struct Noop;

#[async_trait]
impl Check for Noop {
    async fn check(&self, _context: &Context) -> Result<Checked, Failure> {
        Ok(Checked::Passed { output: Value::Null, warnings: Vec::new() })
    }

    fn ram_actions(&self) -> &'static [&'static str] {
        &[]
    }
}

#[async_trait]
impl Action for Noop {
    async fn observe(&self, _context: &Context) -> Result<Observed, Failure> {
        Ok(Observed::change(json!({ "there": false })))
    }

    async fn preview(&self, _context: &Context) -> Result<Preview, Failure> {
        Ok(Preview::undone_by("nothing to undo"))
    }

    fn ram_actions(&self) -> &'static [&'static str] {
        &[]
    }

    async fn apply(&self, _context: &Context) -> Result<Value, Failure> {
        Ok(Value::Null)
    }

    fn holds_at_once(&self) -> bool {
        true
    }

    async fn resolve(&self, _context: &Context) -> Result<(Resolution, Value), Failure> {
        Ok((Resolution::NoEffect, Value::Null))
    }

    async fn revert(&self, _context: &Context) -> Result<Revert, Failure> {
        Ok(Revert::Done(Undone::NothingThere))
    }
}
