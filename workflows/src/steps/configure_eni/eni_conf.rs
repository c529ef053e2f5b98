//! Terway's `eni_conf`: JSON inside a ConfigMap. Fields are set and put back one by one, and what is not known stays.
//! Pure; the text may hold an AccessKey secret, so that no message quotes it.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};

/// The tag by which ACK knows a registered cluster's interfaces.
const CLUSTER_TAG: &str = "ack.aliyun.com";
/// Values that the template is left with where nobody filled it in.
const PLACEHOLDERS: [&str; 2] = ["AZoneID", "VswitchId"];

/// What is to be set.
#[derive(Debug)]
pub(super) struct Wanted {
    /// Id of the registered cluster.
    pub(super) cluster_id: String,
    /// vSwitches of the pods, by zone id.
    pub(super) vswitches: BTreeMap<String, Vec<String>>,
    /// CIDR of the services.
    pub(super) service_cidr: String,
    /// Security group of the interfaces.
    pub(super) security_group: String,
    /// Warm addresses per node.
    pub(super) pool: (u32, u32),
    /// `ordered` or `random`.
    pub(super) selection: &'static str,
    /// Further tags of the interfaces.
    pub(super) tags: BTreeMap<String, String>,
    /// The AccessKey; none: Terway takes it from the Secret.
    pub(super) access: Option<(String, SecretString)>,
}

/// Why a configuration can't be written; in words without its content.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unfit {
    /// It is no JSON object.
    #[error("eni_conf is no JSON object (line {line}, column {column})")]
    NotJson {
        /// Where it stops being JSON.
        line: usize,
        /// The column there.
        column: usize,
    },
    /// A field that we do not set is still a placeholder.
    #[error("field {0} of eni_conf is still the template's placeholder; fill it in")]
    Placeholder(String),
}

/// The text with everything wanted in it.
pub(super) fn merge(text: &str, wanted: &Wanted) -> Result<String, Unfit> {
    let mut conf = parse(text)?;
    let (access_key, access_secret) = match &wanted.access {
        Some((id, secret)) => (id.as_str(), secret.expose_secret()),
        None => ("", ""),
    };
    let mut tags: Map<String, Value> =
        conf.get("eni_tags").and_then(Value::as_object).cloned().unwrap_or_default();
    tags.retain(|key, value| !is_placeholder(key) && !value.as_str().is_some_and(is_placeholder));
    tags.extend(wanted.tags.iter().map(|(key, value)| (key.clone(), value.clone().into())));
    tags.insert(CLUSTER_TAG.to_owned(), wanted.cluster_id.clone().into());
    let (min, max) = wanted.pool;
    let fields = [
        ("vswitches", json!(wanted.vswitches)),
        ("eni_tags", tags.into()),
        ("service_cidr", wanted.service_cidr.clone().into()),
        ("security_group", wanted.security_group.clone().into()),
        ("min_pool_size", min.into()),
        ("max_pool_size", max.into()),
        ("vswitch_selection_policy", wanted.selection.into()),
        ("access_key", access_key.into()),
        ("access_secret", access_secret.into()),
    ];
    conf.extend(fields.into_iter().map(|(name, value)| (name.to_owned(), value)));
    if let Some((field, _)) = conf.iter().find(|(_, value)| holds_placeholder(value)) {
        return Err(Unfit::Placeholder(field.clone()));
    }
    Ok(render(&conf.into(), text))
}

/// Whether two texts say the same.
pub(super) fn same(one: &str, other: &str) -> bool {
    parse(one).is_ok_and(|one| parse(other).is_ok_and(|other| one == other))
}

/// Takes back what was made of `before` (it became `ours`), three-way: the text, and the fields that others have changed
/// since and that stay.
pub(super) fn unmerge(current: &str, before: &str, ours: &str) -> (String, Vec<String>) {
    if current == ours || current == before {
        return (before.to_owned(), Vec::new());
    }
    let (Ok(current_conf), Ok(ours)) = (parse(current), parse(ours)) else {
        return (current.to_owned(), vec!["eni_conf".to_owned()]);
    };
    let before_conf = parse(before).unwrap_or_default();
    let mut kept = Vec::new();
    let restored = take_back(&current_conf, &before_conf, &ours, "", &mut kept);
    if restored == before_conf {
        return (before.to_owned(), kept);
    }
    (render(&restored.into(), current), kept)
}

fn take_back(
    current: &Map<String, Value>,
    before: &Map<String, Value>,
    ours: &Map<String, Value>,
    path: &str,
    kept: &mut Vec<String>,
) -> Map<String, Value> {
    let mut restored = Map::new();
    for (name, present) in current {
        let (old, made) = (before.get(name), ours.get(name));
        if made == Some(present) {
            restored.extend(old.map(|old| (name.clone(), old.clone())));
        } else if old == Some(present) || made.is_none() {
            restored.insert(name.clone(), present.clone());
        } else if let (
            Value::Object(present),
            Some(Value::Object(old)),
            Some(Value::Object(made)),
        ) = (present, old, made)
        {
            let inner = take_back(present, old, made, &format!("{path}{name}."), kept);
            restored.insert(name.clone(), inner.into());
        } else {
            kept.push(format!("{path}{name}"));
            restored.insert(name.clone(), present.clone());
        }
    }
    // What we took out (placeholders among the tags) comes back; what others took out stays out.
    for (name, old) in
        before.iter().filter(|(name, _)| !ours.contains_key(*name) && !current.contains_key(*name))
    {
        restored.insert(name.clone(), old.clone());
    }
    restored
}

/// A template that was never rendered may be no JSON at all; then nothing of it can be kept.
fn parse(text: &str) -> Result<Map<String, Value>, Unfit> {
    match serde_json::from_str(text) {
        Ok(Value::Object(conf)) => Ok(conf),
        Err(_) if text.contains("{{") || text.trim().is_empty() => {
            Ok(Map::from_iter([("version".to_owned(), json!("1"))]))
        }
        Ok(_) => Err(Unfit::NotJson { line: 1, column: 1 }),
        Err(error) => Err(Unfit::NotJson { line: error.line(), column: error.column() }),
    }
}

/// As the text before was written: on lines or in one.
fn render(conf: &Value, like: &str) -> String {
    if like.trim_end().contains('\n') {
        let mut text = format!("{conf:#}");
        if like.ends_with('\n') {
            text.push('\n');
        }
        text
    } else {
        conf.to_string()
    }
}

fn is_placeholder(text: &str) -> bool {
    text.contains("{{") || PLACEHOLDERS.contains(&text)
}

fn holds_placeholder(value: &Value) -> bool {
    match value {
        Value::String(text) => is_placeholder(text),
        Value::Array(items) => items.iter().any(holds_placeholder),
        Value::Object(fields) => {
            fields.iter().any(|(name, value)| is_placeholder(name) || holds_placeholder(value))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wanted() -> Wanted {
        Wanted {
            cluster_id: "c1".to_owned(),
            vswitches: BTreeMap::from([(
                "cn-hangzhou-h".to_owned(),
                vec!["vsw-bp1pods".to_owned()],
            )]),
            service_cidr: "172.16.0.0/16".to_owned(),
            security_group: "sg-1".to_owned(),
            pool: (0, 5),
            selection: "ordered",
            tags: BTreeMap::from([("team".to_owned(), "edge".to_owned())]),
            access: None,
        }
    }

    /// As the add-on leaves it (reference, 3.11), with a field that we do not know.
    const TEMPLATE: &str = r#"{
  "version": "1", "vswitches": {"AZoneID":["VswitchId"]}, "eni_tags": {"ack.aliyun.com":"{{.ClusterID}}"}, "mystery": [1],
  "service_cidr": "{{.ServiceCIDR}}", "security_group": "{{.SecurityGroupId}}", "access_key": "", "access_secret": ""
}
"#;

    #[test]
    fn the_template_is_filled_in_and_keeps_what_is_not_known() {
        let text = merge(TEMPLATE, &wanted()).unwrap();
        let conf: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(conf["vswitches"], json!({"cn-hangzhou-h": ["vsw-bp1pods"]}));
        assert_eq!(conf["eni_tags"], json!({"ack.aliyun.com": "c1", "team": "edge"}));
        assert_eq!(conf["mystery"], json!([1]));
        assert_eq!(conf["version"], "1");
        assert!(text.ends_with("}\n"));
        assert!(same(&merge(&text, &wanted()).unwrap(), &text), "set twice");
    }

    #[test]
    fn a_template_that_is_no_json_is_replaced_and_put_back_whole() {
        let raw = r#"{"version":"1","vswitches":{{.PodVswitchId}}}"#;
        let ours = merge(raw, &wanted()).unwrap();
        assert_eq!(unmerge(&ours, raw, &ours), (raw.to_owned(), vec![]));
        assert_eq!(
            merge("{\"a\": nonsense}", &wanted()),
            Err(Unfit::NotJson { line: 1, column: 8 })
        );
    }

    #[test]
    fn a_placeholder_in_a_field_that_is_not_set_is_named() {
        assert_eq!(
            merge(r#"{"resource_group_id": "{{.Group}}"}"#, &wanted()),
            Err(Unfit::Placeholder("resource_group_id".to_owned()))
        );
    }

    #[test]
    fn the_access_key_is_in_it_only_when_asked_for() {
        let access = Some(("LTAI1".to_owned(), SecretString::from("hunter2")));
        let conf: Value =
            serde_json::from_str(&merge(TEMPLATE, &Wanted { access, ..wanted() }).unwrap())
                .unwrap();
        assert_eq!(
            (&conf["access_key"], &conf["access_secret"]),
            (&json!("LTAI1"), &json!("hunter2"))
        );
        let conf: Value =
            serde_json::from_str(&merge(r#"{"access_key": "old"}"#, &wanted()).unwrap()).unwrap();
        assert_eq!((&conf["access_key"], &conf["access_secret"]), (&json!(""), &json!("")));
    }

    #[test]
    fn what_others_changed_since_stays_and_is_named() {
        let ours = merge(TEMPLATE, &wanted()).unwrap();
        let mut edited: Value = serde_json::from_str(&ours).unwrap();
        edited["max_pool_size"] = json!(9);
        edited["eni_tags"]["more"] = json!("x");
        edited["added"] = json!(true);
        let (text, kept) = unmerge(&edited.to_string(), TEMPLATE, &ours);
        let mut expected: Value = serde_json::from_str(TEMPLATE).unwrap();
        expected["max_pool_size"] = json!(9);
        expected["eni_tags"]["more"] = json!("x");
        expected["added"] = json!(true);
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected);
        assert_eq!(kept, ["max_pool_size"]);
    }

    fn a_conf() -> impl Strategy<Value = String> {
        let field = prop_oneof![
            Just(("eni_tags", json!({"{{x}}": "y", "a": "b"}))),
            Just(("eni_tags", json!({}))),
            Just(("vswitches", json!({"AZoneID": ["VswitchId"]}))),
            Just(("max_pool_size", json!(7))),
            Just(("access_key", json!("LTAI0"))),
            Just(("unknown", json!({"a": [1, 2]}))),
        ];
        (prop::collection::vec(field, 0..5), any::<bool>()).prop_map(|(fields, lines)| {
            let conf = Value::Object(
                fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            );
            if lines { format!("{conf:#}\n") } else { conf.to_string() }
        })
    }

    proptest! {
        #[test]
        fn taking_back_is_the_inverse_of_setting(before in a_conf()) {
            let ours = merge(&before, &wanted()).unwrap();
            prop_assert_eq!(unmerge(&ours, &before, &ours), (before.clone(), vec![]));
            prop_assert_eq!(unmerge(&before, &before, &ours), (before, vec![]), "undone twice");
        }

        #[test]
        fn a_field_that_others_add_survives_the_undo(before in a_conf()) {
            let with_more = |text: &str| {
                let mut conf: Value = serde_json::from_str(text).unwrap();
                conf["more"] = json!("x");
                conf
            };
            let ours = merge(&before, &wanted()).unwrap();
            let (text, kept) = unmerge(&with_more(&ours).to_string(), &before, &ours);
            prop_assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), with_more(&before));
            prop_assert!(kept.is_empty());
        }
    }
}
