//! What passes a filter, and what is said of one that can't be understood.

use super::*;

/// The contract's own words on the fields.
const CONTRACT: &str = include_str!("../../../../proto/proto/causeway/v1/workflow_service.proto");

fn workflow() -> Workflow {
    let reason = waiting::Reason::Retrying.into();
    Workflow {
        name: "workflows/w1".into(),
        state: workflow::State::AwaitingApproval.into(),
        definition: "hybrid-cluster".into(),
        hybrid_cluster: "hybridClusters/dc1".into(),
        cluster_id: "c1234".into(),
        connection: "prod".into(),
        waiting: Some(causeway_proto::v1::Waiting { reason, ..Default::default() }),
        labels: [("team", "edge AND core"), ("app.kubernetes.io/name", "a*"), ("odd key", "")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        create_time: Some(prost_types::Timestamp { seconds: 1_000, nanos: 0 }),
        ..Default::default()
    }
}

#[test]
fn what_a_filter_says_is_what_passes() {
    for (filter, expected) in [
        ("", true),
        ("  ", true),
        ("state=awaiting-approval", true),
        ("state = AWAITING_APPROVAL", true),
        ("state:RUNNING", false),
        ("state!=RUNNING", true),
        ("type=hybrid-cluster AND definition=hybrid-cluster", true),
        ("type=hybrid-cluster definition=saga-10", false),
        ("cluster=dc1 AND cluster=c1234 AND cluster=hybridClusters/dc1", true),
        ("cluster=dc2 OR cluster!=c1234", false),
        ("cluster_id=dc1", false),
        ("hybrid_cluster=dc1 AND hybrid_cluster=hybridClusters/dc1", true),
        ("id=w1 id=workflows/w1", true),
        ("connection=prod", true),
        ("connection=\"prod\" connection='prod'", true),
        ("labels.team=\"edge AND core\"", true),
        (r#"labels.team="edge \"AND\" core""#, false),
        ("labels.app.kubernetes.io/name=\"a*\"", true),
        ("labels.\"odd key\":* AND labels:\"odd key\"", true),
        ("labels:team AND NOT labels:other", true),
        ("labels.other=x", false),
        ("labels.other!=x", true),
        ("labels.other:* OR -labels.team:*", false),
        ("create_time>=1970-01-01T00:16:40Z", true),
        ("create_time<1970-01-01T00:16:40Z", false),
        ("create_time:* AND NOT end_time:*", true),
        ("end_time<2030-01-01T00:00:00Z OR end_time>2030-01-01T00:00:00Z", false),
        ("end_time!=2030-01-01T00:00:00Z", true),
        ("waiting.reason=retrying", true),
        ("waiting.reason=LOCK", false),
        ("waiting.reason:*", true),
        // OR binds tighter.
        ("connection=prod OR connection=prod AND id=w2", false),
        ("connection=prod OR (connection=prod AND id=w2)", true),
        ("NOT (id=w2 OR id=w3)", true),
        ("-(id=w1)", false),
    ] {
        let parsed = Filter::parse(filter).unwrap();
        assert_eq!(parsed.matches(&workflow()), expected, "{filter}");
    }
}

#[test]
fn what_is_not_understood_is_said_with_its_place() {
    for (filter, expected) in [
        (
            "state",
            "at character 6: expected an operator (=, !=, <, <=, >, >= or :) and a value, found the end",
        ),
        ("state=", "at character 7: expected a value, found the end"),
        (
            "stat=RUNNING",
            "at character 1: there is no field \"stat\" (did you mean state?); known: id, type,",
        ),
        (
            "id=w1 AND state=RUNING",
            "at character 17: \"RUNING\" is no state (did you mean RUNNING?); known: QUEUED,",
        ),
        ("state=STATE_UNSPECIFIED", "is no state"),
        ("waiting.reason=x", "at character 16: \"x\" is no reason to wait; known: OPERATOR,"),
        ("ü=1", "at character 1: there is no field \"ü\""),
        ("labels.ü=1 id", "at character 14: expected an operator"),
        ("state<RUNNING", "at character 1: only times are before or after one another"),
        ("create_time>noon", "at character 13: \"noon\" is no time; expected one such as"),
        ("labels.=x", "there is no field \"labels.\""),
        ("labels=x", "at character 7: expected a colon and the key of a label"),
        ("(id=w1", "at character 7: expected AND, OR or ), found the end"),
        ("id=w1)", "at character 6: expected AND, OR or the end of the filter, found \")\""),
        ("()", "at character 2: expected a field, found \")\""),
        ("id=w1 AND", "at character 10: expected a field, found the end"),
        ("id=w1 OR OR id=w2", "at character 10"),
        ("id=w1 and id=w2", "at character 7: expected a field; write AND in capitals"),
        ("id=\"w1", "at character 4: this quote is not closed"),
        ("labels.team=e*", "at character 13: * stands for any value only alone"),
        ("id=*", "at character 4: * stands for any value only alone"),
        ("NOT -id=w1", "at character 5: there is no field \"-id\""),
        ("RUNNING", "at character 1: there is no field \"RUNNING\""),
    ] {
        let error = Filter::parse(filter).unwrap_err();
        assert!(error.contains(expected), "{filter}: {error}");
    }
}

#[test]
fn a_filter_is_bounded_in_length_terms_and_depth_and_so_is_what_is_said_of_it() {
    let long = Filter::parse(&"x".repeat(1001)).unwrap_err();
    assert_eq!(long, "has 1001 bytes; at most 1000 are allowed");
    let many = Filter::parse(&"id=a ".repeat(51)).unwrap_err();
    assert!(many.contains("more than 50 terms"), "{many}");
    Filter::parse(&"id=a ".repeat(50)).unwrap();
    let nested = |depth: usize| format!("{}id=a{}", "(".repeat(depth), ")".repeat(depth));
    Filter::parse(&nested(16)).unwrap();
    assert!(Filter::parse(&nested(17)).unwrap_err().contains("at character 18: more than 16"));
    assert!(Filter::parse(&format!("{}=1", "x".repeat(900))).unwrap_err().len() < 400);
}

#[test]
fn the_contract_names_every_field() {
    for name in FIELDS {
        assert!(CONTRACT.contains(&format!("`{name}`")), "{name} is not in the contract");
        let known = field(name).is_some() || name == "labels.KEY";
        assert!(known, "{name} is not understood");
    }
}
