//! Builds a hybrid cluster and follows it to its end, as another platform's service would: to be copied.
//!
//! `cargo run -p causeway-client --example build_and_watch -- http://127.0.0.1:7443 hybrid-cluster.yaml order-4711`
//!
//! The third argument is the `request_id`: give one that belongs to what you are doing, such as your order's number. Run again
//! with the same one, after a crash or a lost connection, the program finds the workflow that it has started before.
//! Ctrl-C cancels the build, which then undoes what it did.

use std::future::Future;
use std::pin::pin;
use std::process::ExitCode;

use causeway_client::proto::v1::watch_workflow_response::Message;
use causeway_client::proto::v1::workflow::State;
use causeway_client::proto::v1::{StartWorkflowRequest, Workflow};
use causeway_client::proto::{input, reasons};
use causeway_client::{Ask, Client, Error, Options};

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, file, request_id] = arguments.as_slice() else {
        eprintln!("usage: build_and_watch ADDRESS FILE REQUEST_ID");
        return ExitCode::from(2);
    };
    let request = match read(file, request_id) {
        Ok(request) => request,
        Err(why) => {
            eprintln!("{file}: {why}");
            return ExitCode::from(2);
        }
    };
    let interrupted = async {
        tokio::signal::ctrl_c().await.ok();
    };
    match Box::pin(run(address, request, interrupted)).await {
        Ok(workflow) if workflow.state() == State::Succeeded => ExitCode::SUCCESS,
        Ok(workflow) => {
            report(&workflow);
            ExitCode::FAILURE
        }
        Err(error) => {
            explain(&error);
            ExitCode::FAILURE
        }
    }
}

/// An input file as a request.
fn read(file: &str, request_id: &str) -> Result<StartWorkflowRequest, String> {
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
    let document: serde_json::Value =
        serde_saphyr::from_str(&text).map_err(|error| error.to_string())?;
    let request = input::decode(&document).map_err(|violations| {
        violations.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    })?;
    Ok(StartWorkflowRequest { request_id: request_id.to_owned(), ..request })
}

async fn run(
    address: &str,
    request: StartWorkflowRequest,
    stop: impl Future<Output = ()>,
) -> Result<Workflow, Error> {
    let client = Client::new(&Options::new(address.parse()?))?;
    build(&client, request, stop).await
}

/// Starts a build, or finds the one that the same request has started before, and follows it until it has ended or waits for a
/// person. Once `stop` is ready it is cancelled, and followed on until everything is undone.
pub async fn build(
    client: &Client,
    request: StartWorkflowRequest,
    stop: impl Future<Output = ()>,
) -> Result<Workflow, Error> {
    let started = client.start(request).await?;
    println!("{} is {}", started.name, started.state().as_str_name());
    let (mut watch, mut stop, mut stopped) = (client.watch(&started.id, ""), pin!(stop), false);
    loop {
        let message = tokio::select! {
            message = watch.next() => message?,
            () = &mut stop, if !stopped => {
                stopped = true;
                cancel(client, &started.id).await?;
                continue;
            }
        };
        let state = match message {
            Some(Message::Snapshot(workflow)) => workflow.state(),
            Some(Message::Event(event)) => {
                println!("{:>4} {} {}", event.sequence, event.step, event.text);
                event.state()
            }
            Some(Message::Heartbeat(_)) => continue,
            // The end was told by the message before.
            Some(Message::Deleted(_)) | None => break,
        };
        // Nothing more comes until somebody decides: what to decide stands in `waiting`.
        if matches!(
            state,
            State::AwaitingApproval | State::Paused | State::Stuck | State::Quarantined
        ) {
            break;
        }
    }
    client.get(&started.id).await
}

/// Asks for the undo. That it is too late is no error: the watch tells how it ended.
async fn cancel(client: &Client, id: &str) -> Result<(), Error> {
    let ask = Ask {
        reason: "the order was withdrawn".to_owned(),
        // The same for the same purpose: asked twice, it is cancelled once.
        request_id: format!("cancel-{id}"),
        ..Ask::default()
    };
    match client.cancel(id, ask).await {
        Ok(_) => Ok(()),
        Err(error) if error.reason() == reasons::WORKFLOW_ENDED => Ok(()),
        Err(error) if error.reason() == reasons::PAST_PIVOT => {
            println!("it is too late to cancel: {error}");
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// What a workflow that did not succeed says to whoever has to help.
fn report(workflow: &Workflow) {
    println!("{} is {}", workflow.name, workflow.state().as_str_name());
    if let Some(failure) = &workflow.failure {
        println!("failed at {}: {}", failure.step, failure.message);
    }
    for left in &workflow.left {
        println!("left behind: {} {}; {}", left.kind, left.identity, left.removal);
    }
    if let Some(waiting) = &workflow.waiting {
        println!("it waits: {}", waiting.on);
        waiting.next_commands.iter().for_each(|command| println!("  {command}"));
    }
}

/// What went wrong, by its kind: reasons are part of the contract, messages are for people.
fn explain(error: &Error) {
    match (error.reason(), error) {
        (reasons::INVALID_FIELD | reasons::NOT_SUPPORTED_YET, error) => {
            eprintln!("the input is wrong, and nothing was started:");
            error.violations().iter().for_each(|violation| eprintln!("  {violation}"));
        }
        (reasons::REQUEST_ID_REUSED, error) => {
            eprintln!("this request id belongs to another build: {error}");
        }
        (reasons::CLUSTER_EXISTS, error) => eprintln!("there is nothing to build: {error}"),
        (_, Error::Unreachable { .. }) => {
            eprintln!("{error}; run this again with the same request id");
        }
        (_, error) => eprintln!("{error}"),
    }
}
