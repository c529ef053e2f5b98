//! One statement in a bucket's policy: put in, found, taken out. Pure; everything else in the document stays as it is.

use causeway_engine::Failure;
use serde_json::{Value, json};

/// What taking the statement out comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Removal {
    /// It is not there.
    NotThere,
    /// Nothing else is left: remove the policy whole.
    DeletePolicy,
    /// Write this.
    Write(String),
    /// Another statement speaks of our object, in other words: somebody changed ours.
    Changed,
}

/// Lets the instances of one VPC read one private object without credentials.
pub(super) fn statement(account_id: &str, bucket: &str, key: &str, vpc_id: &str) -> Value {
    json!({
        "Effect": "Allow",
        "Principal": ["*"],
        "Action": ["oss:GetObject"],
        "Resource": [format!("acs:oss:*:{account_id}:{bucket}/{key}")],
        "Condition": {"StringEquals": {"acs:SourceVpc": [vpc_id]}},
    })
}

/// Whether the statement is in the policy.
///
/// # Errors
/// Permanent with code `CONFLICT` where the policy can't be read.
pub(super) fn has(policy: Option<&str>, statement: &Value) -> Result<bool, Failure> {
    Ok(statements(&parse(policy)?)?.contains(statement))
}

/// The policy with the statement; `None`: it is there already.
///
/// # Errors
/// Permanent with code `CONFLICT` where the policy can't be read.
pub(super) fn with(policy: Option<&str>, statement: &Value) -> Result<Option<String>, Failure> {
    let mut document = parse(policy)?;
    let mut list = statements(&document)?;
    if list.contains(statement) {
        return Ok(None);
    }
    list.push(statement.clone());
    document["Statement"] = Value::Array(list);
    Ok(Some(document.to_string()))
}

/// The policy without the statement. Where that is what stood there before, it gets its very bytes back.
///
/// # Errors
/// Permanent with code `CONFLICT` where the policy can't be read.
pub(super) fn without(
    policy: Option<&str>,
    statement: &Value,
    before: Option<&str>,
) -> Result<Removal, Failure> {
    let Some(present) = policy else { return Ok(Removal::NotThere) };
    let mut document = parse(Some(present))?;
    let list = statements(&document)?;
    let rest: Vec<Value> = list.iter().filter(|one| *one != statement).cloned().collect();
    if rest.len() == list.len() {
        let ours = &statement["Resource"];
        return Ok(if list.iter().any(|one| one["Resource"] == *ours) {
            Removal::Changed
        } else {
            Removal::NotThere
        });
    }
    // What stood there before may have been another workflow's statement only, which is gone by now: then nothing was there.
    let was_empty = match before {
        Some(text) => statements(&parse(Some(text))?)?.is_empty(),
        None => false,
    };
    if rest.is_empty() && !was_empty {
        return Ok(Removal::DeletePolicy);
    }
    document["Statement"] = Value::Array(rest);
    match before {
        Some(text) if parse(Some(text)).is_ok_and(|original| same(&original, &document)) => {
            Ok(Removal::Write(text.to_owned()))
        }
        _ => Ok(Removal::Write(document.to_string())),
    }
}

/// Equal, where one statement alone may stand without its list.
fn same(a: &Value, b: &Value) -> bool {
    let normal = |document: &Value| {
        let mut document = document.clone();
        if let Ok(list) = statements(&document) {
            document["Statement"] = Value::Array(list);
        }
        document
    };
    normal(a) == normal(b)
}

fn parse(policy: Option<&str>) -> Result<Value, Failure> {
    let Some(text) = policy else { return Ok(json!({"Version": "1", "Statement": []})) };
    let document: Value = serde_json::from_str(text).map_err(|_| unreadable("it is no JSON"))?;
    if document.is_object() { Ok(document) } else { Err(unreadable("it is no JSON object")) }
}

fn statements(document: &Value) -> Result<Vec<Value>, Failure> {
    match &document["Statement"] {
        Value::Null => Ok(Vec::new()),
        Value::Array(list) => Ok(list.clone()),
        Value::Object(_) => Ok(vec![document["Statement"].clone()]),
        _ => Err(unreadable("its `Statement` is no list")),
    }
}

fn unreadable(why: &str) -> Failure {
    Failure::permanent(format!("the bucket's policy can't be changed, as it can't be read: {why}; mend or remove it, then start again"))
        .with_code("CONFLICT")
}

#[cfg(test)]
mod tests {
    use super::*;

    const OTHER: &str = r#"{ "Version":"1",  "Statement":[{"Effect":"Deny","Principal":["*"],"Action":["oss:*"],"Resource":["x"]}] }"#;

    fn ours() -> Value {
        statement("123", "bucket", "causeway/k.sh", "vpc-1")
    }

    #[test]
    fn put_in_and_taken_out_leaves_the_very_bytes() {
        let merged = with(Some(OTHER), &ours()).unwrap().unwrap();
        assert!(has(Some(&merged), &ours()).unwrap());
        assert_eq!(with(Some(&merged), &ours()).unwrap(), None);
        assert_eq!(
            without(Some(&merged), &ours(), Some(OTHER)).unwrap(),
            Removal::Write(OTHER.to_owned())
        );
    }

    #[test]
    fn a_policy_that_we_made_goes_whole() {
        let merged = with(None, &ours()).unwrap().unwrap();
        assert_eq!(without(Some(&merged), &ours(), None).unwrap(), Removal::DeletePolicy);
    }

    #[test]
    fn an_empty_policy_that_was_there_stays() {
        let empty = r#"{"Version":"1","Statement":[]}"#;
        let merged = with(Some(empty), &ours()).unwrap().unwrap();
        assert_eq!(
            without(Some(&merged), &ours(), Some(empty)).unwrap(),
            Removal::Write(empty.to_owned())
        );
    }

    #[test]
    fn two_workflows_that_leave_in_any_order_leave_nothing() {
        let second = statement("123", "bucket", "causeway/other.sh", "vpc-1");
        let one = with(None, &ours()).unwrap().unwrap();
        let both = with(Some(&one), &second).unwrap().unwrap();
        let Removal::Write(rest) = without(Some(&both), &ours(), None).unwrap() else {
            panic!("something else")
        };
        assert_eq!(without(Some(&rest), &second, Some(&one)).unwrap(), Removal::DeletePolicy);
    }

    #[test]
    fn what_others_added_meanwhile_stays() {
        let merged = with(None, &ours()).unwrap().unwrap();
        let another = statement("123", "bucket", "other", "vpc-2");
        let merged = with(Some(&merged), &another).unwrap().unwrap();
        let Removal::Write(rest) = without(Some(&merged), &ours(), None).unwrap() else {
            panic!("something else")
        };
        assert!(has(Some(&rest), &another).unwrap() && !has(Some(&rest), &ours()).unwrap());
    }

    #[test]
    fn a_single_statement_without_a_list_is_understood_and_restored() {
        let single = r#"{"Version":"1","Statement":{"Effect":"Deny","Resource":["x"]}}"#;
        let merged = with(Some(single), &ours()).unwrap().unwrap();
        assert_eq!(
            without(Some(&merged), &ours(), Some(single)).unwrap(),
            Removal::Write(single.to_owned())
        );
    }

    #[test]
    fn ours_in_other_words_is_not_taken_for_gone() {
        let mut changed = ours();
        changed["Condition"] = json!({});
        let policy = with(None, &changed).unwrap().unwrap();
        assert_eq!(without(Some(&policy), &ours(), None).unwrap(), Removal::Changed);
        assert_eq!(without(Some(OTHER), &ours(), None).unwrap(), Removal::NotThere);
        assert_eq!(without(None, &ours(), None).unwrap(), Removal::NotThere);
    }

    #[test]
    fn a_policy_that_can_not_be_read_is_a_conflict() {
        for text in ["", "[]", r#"{"Statement":1}"#] {
            assert_eq!(
                with(Some(text), &ours()).unwrap_err().code.as_deref(),
                Some("CONFLICT"),
                "{text}"
            );
        }
    }
}
