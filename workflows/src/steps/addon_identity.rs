//! What the steps of the add-on's RAM identity share: its names, the Secret that holds its key, what hangs on its user, and
//! the one decision by which user, key and Secret are undone together (undo group [`UNDO_GROUP`]).

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use causeway_engine::{Failure, StepName};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::cloud::cloud_of;
use crate::alibaba::{Client, Credentials, ram};
use crate::kubernetes::{Cluster, ObjectRef, Resource, cluster_of};
use crate::sdk::{Context, GroupDecision};

/// The policy's name: onectl's own.
pub const POLICY_NAME: &str = "ack-one-registered-cluster-policy-terway-eniip";
/// The steps that one decision undoes: `create-ram-user`, `create-access-key`, `store-addon-secret`.
pub const UNDO_GROUP: &str = "addon-identity";
/// Namespace of the Secret that all add-ons of a registered cluster take their key from.
pub const SECRET_NAMESPACE: &str = "kube-system";
/// Its name.
pub const SECRET_NAME: &str = "alibaba-addon-secret";
/// Its entry with the AccessKey's id.
pub const SECRET_KEY_ID: &str = "access-key-id";
/// Its entry with the AccessKey's secret.
pub const SECRET_KEY_SECRET: &str = "access-key-secret";
/// AccessKeys that a user may have.
pub const KEYS_MAX: usize = 2;

/// The user's name where the cluster has none yet: onectl's prefix, and ten digits derived from the cluster's id.
#[must_use]
pub fn user_name(cluster_id: &str) -> String {
    let digest = hex::encode(Sha256::digest(cluster_id.as_bytes()));
    format!("ack-one-user-{}", &digest[..10])
}

/// The Secret as an object of the cluster; what errors say about it is never quoted.
#[must_use]
pub fn secret_ref() -> ObjectRef {
    Resource::SECRETS.at(SECRET_NAMESPACE, SECRET_NAME).with_secret()
}

/// Output of `create-ram-user`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddonUser {
    /// Name.
    pub user_name: String,
    /// Id, never used again after a deletion.
    pub user_id: String,
    /// Whether it was found as the owner of the key in the cluster's Secret.
    pub from_secret: bool,
    /// What hung on it before: others may rely on the user for that already.
    pub baseline: Holdings,
}

/// Output of `create-access-key`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddonKey {
    /// The user.
    pub user_name: String,
    /// Id; not secret.
    pub access_key_id: String,
    /// Reference to the sealed secret; null where the cluster's Secret has the key already.
    pub access_key_secret: Value,
}

/// What hangs on a user.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holdings {
    /// Attached policies.
    pub policies: BTreeSet<String>,
    /// Groups.
    pub groups: BTreeSet<String>,
    /// Ids of AccessKeys.
    pub keys: BTreeSet<String>,
}

impl Holdings {
    /// What is there and not in `other`, in words.
    fn beyond(&self, other: &Self) -> Vec<String> {
        let more = |what: &str, here: &BTreeSet<String>, there: &BTreeSet<String>| -> Vec<String> {
            here.difference(there).map(|name| format!("{what} {name}")).collect()
        };
        let mut words = more("policy", &self.policies, &other.policies);
        words.extend(more("group", &self.groups, &other.groups));
        words.extend(more("AccessKey", &self.keys, &other.keys));
        words
    }
}

/// What hangs on a user; `None` where there is no such user.
///
/// # Errors
/// As the calls failed.
pub async fn holdings(client: &Client, user: &str) -> Result<Option<Holdings>, Failure> {
    let Some(keys) = ram::list_access_keys(client, user).await? else { return Ok(None) };
    let Some(policies) = ram::list_policies_for_user(client, user).await? else { return Ok(None) };
    let Some(groups) = ram::list_groups_for_user(client, user).await? else { return Ok(None) };
    Ok(Some(Holdings {
        policies: policies.into_iter().map(|policy| policy.policy_name).collect(),
        groups: groups.into_iter().collect(),
        keys: keys.into_iter().map(|key| key.access_key_id).collect(),
    }))
}

/// The cluster's Secret.
#[derive(Debug)]
pub struct StoredKey {
    /// The AccessKey; empty parts where the Secret lacks them.
    pub credentials: Credentials,
    /// Entries beside the two that belong there.
    pub other_entries: Vec<String>,
    /// The object as read.
    pub object: Value,
}

impl StoredKey {
    /// Whether both parts of the key are there.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        !self.credentials.key_id.is_empty() && !self.credentials.secret.expose_secret().is_empty()
    }

    /// Whether it holds this key, and nothing else.
    #[must_use]
    pub fn is_just(&self, key_id: &str, secret: &SecretString) -> bool {
        self.credentials.key_id == key_id
            && self.credentials.secret.expose_secret() == secret.expose_secret()
            && self.other_entries.is_empty()
    }
}

/// Reads the cluster's Secret; `None` where there is none.
///
/// # Errors
/// As the call failed.
pub async fn read_secret(cluster: &Cluster) -> Result<Option<StoredKey>, Failure> {
    Ok(cluster.get(&secret_ref()).await?.map(stored_key))
}

fn stored_key(object: Value) -> StoredKey {
    let entry = |name: &str| {
        let bytes = object["data"][name]
            .as_str()
            .and_then(|text| STANDARD.decode(text).ok())
            .unwrap_or_default();
        String::from_utf8(bytes).unwrap_or_default().trim().to_owned()
    };
    let own = [SECRET_KEY_ID, SECRET_KEY_SECRET];
    let entries = object["data"].as_object().into_iter().flat_map(|data| data.keys());
    StoredKey {
        credentials: Credentials::new(entry(SECRET_KEY_ID), entry(SECRET_KEY_SECRET), None),
        other_entries: entries.filter(|name| !own.contains(&name.as_str())).cloned().collect(),
        object,
    }
}

/// What the decision about user, key and Secret looks at.
struct Evidence {
    now: Option<Holdings>,
    /// What was there before us, and the keys that are ours.
    accounted: Holdings,
    secret: SecretState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum SecretState {
    /// Not there.
    Absent,
    /// As we wrote it, or not ours and of another key.
    Unchanged,
    /// It holds our key and more, or another key where ours was.
    Changed,
}

/// The one decision by which user, key and Secret are undone: kept, all three, where anything else hangs on the user or the
/// Secret was changed, as other add-ons then rely on them.
///
/// # Errors
/// As the calls failed.
pub async fn decide_group(context: &Context) -> Result<GroupDecision, Failure> {
    let Some(user) = user_of(context) else {
        return Ok(GroupDecision { keep: None, evidence: json!({"user": null}) });
    };
    let client = cloud_of(context).await?;
    let now = holdings(&client, &user.user_name).await?;
    let mut accounted = user.baseline.clone();
    accounted.keys.extend(own_keys(context, now.as_ref()));
    let secret = secret_state(context).await?;
    Ok(decide(&user.user_name, &Evidence { now, accounted, secret }))
}

fn decide(user: &str, evidence: &Evidence) -> GroupDecision {
    let mut others =
        evidence.now.as_ref().map(|now| now.beyond(&evidence.accounted)).unwrap_or_default();
    if evidence.secret == SecretState::Changed {
        others
            .push(format!("Secret {SECRET_NAMESPACE}/{SECRET_NAME} was changed by somebody else"));
    }
    let keep = (!others.is_empty())
        .then(|| format!("shared: RAM user {user} is relied on by {}", others.join(", ")));
    GroupDecision {
        keep,
        evidence: json!({"user": user, "now": evidence.now, "secret": evidence.secret}),
    }
}

/// The user, from the output of its step, or from the step's own record where it is that very step.
fn user_of(context: &Context) -> Option<AddonUser> {
    let done = context.outputs.get(&StepName::from("create-ram-user"));
    let own = [&context.output, &context.before];
    let mut records = done
        .into_iter()
        .chain(own.into_iter().filter(|_| context.step.as_str() == "create-ram-user"));
    records.find_map(|record| AddonUser::deserialize(record).ok())
}

/// The output of `create-access-key`, wherever the decision is made.
fn key_of(context: &Context) -> Option<AddonKey> {
    let done = context.outputs.get(&StepName::from("create-access-key"));
    let own = (context.step.as_str() == "create-access-key").then_some(&context.output);
    done.into_iter().chain(own).find_map(|record| AddonKey::deserialize(record).ok())
}

/// The keys that this workflow made, orphans of lost answers included.
fn own_keys(context: &Context, now: Option<&Holdings>) -> Vec<String> {
    let mut keys: Vec<String> = key_of(context).into_iter().map(|key| key.access_key_id).collect();
    if let (true, Some(now)) = (context.step.as_str() == "create-access-key", now) {
        // A step that can't tell its orphan apart says so itself, when it is undone.
        keys.extend(super::create_access_key::orphans(context, &now.keys).unwrap_or_default());
    }
    keys
}

async fn secret_state(context: &Context) -> Result<SecretState, Failure> {
    let Some(stored) = read_secret(&cluster_of(context).await?).await? else {
        return Ok(SecretState::Absent);
    };
    let Some(key) = key_of(context) else { return Ok(SecretState::Unchanged) };
    let written = context.step.as_str() == "store-addon-secret"
        || context.outputs.contains_key(&StepName::from("store-addon-secret"));
    if stored.credentials.key_id != key.access_key_id && !written {
        return Ok(SecretState::Unchanged);
    }
    if key.access_key_secret.is_null() {
        return Ok(if stored.credentials.key_id == key.access_key_id {
            SecretState::Unchanged
        } else {
            SecretState::Changed
        });
    }
    let secret = context.open(&key.access_key_secret).await?;
    Ok(if stored.is_just(&key.access_key_id, &secret) {
        SecretState::Unchanged
    } else {
        SecretState::Changed
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holdings_of(policies: &[&str], groups: &[&str], keys: &[&str]) -> Holdings {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Holdings { policies: set(policies), groups: set(groups), keys: set(keys) }
    }

    fn decided(now: Holdings, secret: SecretState) -> Option<String> {
        let accounted = holdings_of(&["before"], &[], &["LTAIours"]);
        decide("u", &Evidence { now: Some(now), accounted, secret }).keep
    }

    #[test]
    fn the_users_name_is_derived_from_the_cluster() {
        let name = user_name("c106f377e16f34eb1808d6b9362c9abcd");
        assert_eq!(name.len(), "ack-one-user-".len() + 10);
        assert_eq!(name, user_name("c106f377e16f34eb1808d6b9362c9abcd"));
        assert_ne!(name, user_name("c206f377e16f34eb1808d6b9362c9abcd"));
    }

    #[test]
    fn the_group_goes_where_only_ours_and_what_was_there_hang_on_the_user() {
        assert_eq!(
            decided(holdings_of(&["before"], &[], &["LTAIours"]), SecretState::Unchanged),
            None
        );
        assert_eq!(decided(Holdings::default(), SecretState::Absent), None);
        let gone =
            Evidence { now: None, accounted: Holdings::default(), secret: SecretState::Absent };
        assert_eq!(decide("u", &gone).keep, None);
    }

    #[test]
    fn anything_else_on_the_user_or_a_changed_secret_keeps_all_three() {
        let other = "ack-one-registered-cluster-policy-logtail";
        let keep = decided(holdings_of(&[other], &[], &[]), SecretState::Absent).unwrap();
        assert_eq!(keep, format!("shared: RAM user u is relied on by policy {other}"));
        assert!(
            decided(holdings_of(&[], &["ops"], &[]), SecretState::Absent)
                .unwrap()
                .contains("group ops")
        );
        assert!(
            decided(holdings_of(&[], &[], &["LTAIother"]), SecretState::Absent)
                .unwrap()
                .contains("AccessKey LTAIother")
        );
        assert!(
            decided(Holdings::default(), SecretState::Changed).unwrap().contains("was changed")
        );
    }

    #[test]
    fn the_secret_is_read_and_compared_by_its_entries() {
        let stored = |data: Value| stored_key(json!({"data": data}));
        let (id, secret) = (STANDARD.encode("LTAI1"), STANDARD.encode("s1"));
        let whole = stored(json!({SECRET_KEY_ID: id, SECRET_KEY_SECRET: secret}));
        assert!(whole.is_whole() && whole.is_just("LTAI1", &"s1".to_owned().into()));
        assert!(!whole.is_just("LTAI1", &"s2".to_owned().into()));
        let more = stored(json!({SECRET_KEY_ID: id, SECRET_KEY_SECRET: secret, "region": "eA=="}));
        assert!(!more.is_just("LTAI1", &"s1".to_owned().into()));
        assert!(!stored(json!({SECRET_KEY_ID: id})).is_whole());
    }
}
