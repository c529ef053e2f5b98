//! What may be typed, and input files.

use clap::{CommandFactory as _, Parser as _};

use super::run_at;
use crate::cli::commands::example;
use crate::cli::{Cli, Command, Exit, Format, Verb, input};

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(std::iter::once("causeway").chain(line.split_whitespace()))
}

#[test]
fn the_definition_of_the_command_line_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn verbs_are_shortcuts_for_workflows() {
    for line in [
        "get w1",
        "list",
        "watch w1",
        "history w1",
        "describe w1",
        "cancel w1 --reason x",
        "approve w1 approve-spend --reason x",
        "deny w1 approve-spend --yes",
        "skip w1 make[a] --reason x --etag 7-a",
        "abandon w1 --reason x --request-id r --yes --wait",
        "pause w1",
        "resume w1 --wait",
        "retry w1 --wait --timeout 5m",
        "delete w1 --yes",
        "stuck --filter labels.team=edge",
        "start -f -",
    ] {
        assert!(matches!(parse(line).unwrap().command, Command::Shortcut(_)), "{line}");
        assert!(
            matches!(parse(&format!("workflows {line}")).unwrap().command, Command::Workflows(_)),
            "{line}"
        );
    }
    let Command::Shortcut(Verb::Get(named)) = parse("get @last").unwrap().command else {
        panic!("a verb")
    };
    assert_eq!(named.id, "@last");
}

#[test]
fn global_flags_go_anywhere() {
    for line in ["-o yaml --address http://a:1 get w1", "get w1 -o yaml --address http://a:1"] {
        let global = parse(line).unwrap().global;
        assert_eq!((global.output, global.address.as_deref()), (Format::Yaml, Some("http://a:1")));
    }
}

#[test]
fn wrong_usage_is_code_two() {
    for line in [
        "",
        "fly",
        "get",
        "get w1 -o xml",
        "start",
        "approve w1",
        "skip w1",
        "pause",
        "pause w1 --yes",
        "watch w1 --timeout soon",
        "start -f x -l team",
    ] {
        assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
    }
}

#[test]
fn both_examples_are_accepted_by_the_mapping() {
    for text in [example::SHORT, example::FULL] {
        let request = input::decode(text).unwrap();
        assert_eq!(request.metadata.unwrap().name, "dc1");
    }
}

#[tokio::test]
async fn validate_names_every_wrong_field() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("input.yaml");
    let wrong = example::SHORT.replace("region:", "regoin:").replace("size: 2", "size: two");
    std::fs::write(&path, wrong).unwrap();
    let path = path.to_str().unwrap();
    let ran = run_at("http://127.0.0.1:1", folder.path(), &["validate", "-f", path]).await;
    assert_eq!(ran.exit, Exit::Input);
    assert!(
        ran.err.contains("spec.regoin") && ran.err.contains("spec.node_pools[0].size"),
        "{}",
        ran.err
    );
    std::fs::write(path, "a: [").unwrap();
    assert_eq!(run_at("", folder.path(), &["validate", "-f", path]).await.exit, Exit::Input);
    std::fs::write(path, example::FULL).unwrap();
    assert_eq!(run_at("", folder.path(), &["validate", "-f", path]).await.exit, Exit::Done);
    assert_eq!(run_at("", folder.path(), &["validate", "-f", "/nowhere"]).await.exit, Exit::Input);
}

#[tokio::test]
async fn example_prints_what_start_takes() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, text) in
        [(&["example"][..], example::SHORT), (&["example", "--full"], example::FULL)]
    {
        let ran = run_at("", folder.path(), arguments).await;
        assert_eq!((ran.exit, ran.out.as_str()), (Exit::Done, text));
    }
}
