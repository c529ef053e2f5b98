//! Tasks: what CS does in the background, and how it went.

use serde_json::{Value, json};

use super::cluster_of;
use crate::cloud::{
    answer::ApiError,
    clock,
    gateway::Call,
    state::{State, Task, random_id},
};

/// Starts a task and gives its id.
pub(crate) fn start(
    state: &mut State,
    cluster_id: &str,
    kind: &str,
    target: (&str, &str),
    stuck: bool,
) -> String {
    let now = clock::china();
    let task = Task {
        id: random_id("T-", 24),
        cluster_id: cluster_id.into(),
        kind: kind.into(),
        state: "running".into(),
        target: (target.0.into(), target.1.into()),
        created: now.clone(),
        updated: now,
        error: None,
        results: std::collections::BTreeMap::new(),
        stuck,
    };
    let id = task.id.clone();
    state.history.tasks.insert(id.clone(), task);
    id
}

/// Ends a task, unless a fault keeps it from ending.
pub(crate) fn end(state: &mut State, id: &str, result: Result<(), (String, String)>) {
    let Some(task) = state.history.tasks.get_mut(id).filter(|task| !task.stuck) else {
        return;
    };
    task.updated = clock::china();
    task.state = if result.is_ok() { "success" } else { "fail" }.into();
    task.error = result.err();
}

/// Notes how it went with one instance of a task; the last one ends the task.
pub(crate) fn report(state: &mut State, id: &str, instance: &str, failure: Option<&str>) {
    let Some(task) = state.history.tasks.get_mut(id) else {
        return;
    };
    let status = if failure.is_some() { "failed" } else { "success" };
    task.results.insert(instance.into(), status.into());
    if let Some(failure) = failure {
        task.error = Some(("NodeInitFailed".into(), format!("{instance}: {failure}")));
    }
    if task.results.values().all(|status| status != "initial") {
        let result = task.error.clone().map_or(Ok(()), Err);
        end(state, id, result);
    }
}

pub(super) fn info(state: &State, call: &Call) -> Result<Value, ApiError> {
    Ok(describe(find(state, call)?))
}

pub(super) fn list(state: &State, call: &Call) -> Result<Value, ApiError> {
    cluster_of(state, call)?;
    let of_cluster = state.history.tasks.values().filter(|it| it.cluster_id == call.path_id(0));
    let mut tasks: Vec<&Task> = of_cluster.collect();
    tasks.sort_by(|a, b| b.created.cmp(&a.created));
    let tasks: Vec<Value> = tasks.into_iter().map(describe).collect();
    let page = json!({"page_number": 1, "page_size": 100, "total_count": tasks.len()});
    Ok(json!({"requestId": call.request_id, "page_info": page, "tasks": tasks}))
}

pub(super) fn cancel(state: &State, call: &Call) -> Result<Value, ApiError> {
    let task = find(state, call)?;
    let message = format!("task {} ({}) can not be canceled", task.id, task.kind);
    Err(ApiError::new(400, "ErrorTaskNotCancelable", message))
}

fn find<'a>(state: &'a State, call: &Call) -> Result<&'a Task, ApiError> {
    let id = call.path_id(0);
    state
        .history
        .tasks
        .get(id)
        .ok_or_else(|| ApiError::new(404, "ErrorTaskNotFound", format!("task {id} not found")))
}

fn describe(task: &Task) -> Value {
    let results: Vec<Value> = task
        .results
        .iter()
        .map(|(instance, status)| json!({"data": instance, "status": status}))
        .collect();
    let mut answer = json!({
        "task_id": task.id, "cluster_id": task.cluster_id, "task_type": task.kind,
        "state": task.state, "created": task.created, "updated": task.updated,
        "current_stage": task.kind, "stages": [], "events": [], "task_result": results,
        "parameters": {}, "outputs": {}, "target": {"type": task.target.0, "id": task.target.1},
    });
    if let Some((code, message)) = &task.error {
        answer["error"] = json!({"code": code, "message": message});
    }
    answer
}
