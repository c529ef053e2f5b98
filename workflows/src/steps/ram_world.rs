//! A RAM and STS of a few lines, with a cluster beside it, to try the identity's steps on: names, limits, delete conflicts,
//! and answers that get lost. The operations are called as the daemon would, with what it would have written down between.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use causeway_engine::event::{Claim, Object, Resolution, Undone, Verdict};
use causeway_engine::{Failure, StepName, Time, WorkflowId};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::addon_identity::{SECRET_KEY_ID, SECRET_KEY_SECRET, secret_ref};
use crate::alibaba::fake::{FakeCloud, Reply, Seen};
use crate::alibaba::{Client, Credentials, Endpoints, Options, Sources};
use crate::kubernetes::fake::FakeKube;
use crate::kubernetes::{Clusters, KubeconfigSource};
use crate::sdk::{
    Action, ClaimRow, Confirm, Context, Effects, GroupDecision, Revert, Vault, value,
};
use crate::spec::document::Document;
use crate::{Connection, Timing};

pub(super) const ACCOUNT: &str = "1234567890123456";
pub(super) const CLUSTER: &str = "c106f377e16f34eb1808d6b9362c9abcd";
const DAEMON_KEY: &str = "LTAIdaemon";

/// What becomes of the next call of an action.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    CutBefore,
    CutAfter,
}

#[derive(Clone, Default)]
pub(super) struct Policy {
    pub(super) description: String,
    pub(super) versions: BTreeMap<u32, String>,
    pub(super) default: u32,
}

#[derive(Clone, Default)]
pub(super) struct User {
    pub(super) comments: String,
    pub(super) policies: BTreeSet<String>,
    pub(super) groups: BTreeSet<String>,
    pub(super) keys: BTreeMap<String, String>,
}

pub(super) struct Ram {
    pub(super) account: String,
    pub(super) policies: BTreeMap<String, Policy>,
    pub(super) users: BTreeMap<String, User>,
    pub(super) faults: VecDeque<(&'static str, Fault)>,
    /// Actions that are refused, and how.
    pub(super) refused: BTreeMap<&'static str, (u16, &'static str)>,
    /// How often a user's key is still unknown to STS.
    pub(super) unknown_keys: u32,
    /// Actions called, in order.
    pub(super) calls: Vec<String>,
    made: u32,
}

impl Default for Ram {
    fn default() -> Self {
        Self {
            account: ACCOUNT.to_owned(),
            policies: BTreeMap::new(),
            users: BTreeMap::new(),
            faults: VecDeque::new(),
            refused: BTreeMap::new(),
            unknown_keys: 0,
            calls: vec![],
            made: 0,
        }
    }
}

type Answer = Result<Value, (u16, &'static str)>;

impl Ram {
    /// All there is, for comparison.
    pub(super) fn dump(&self) -> Value {
        let policies: BTreeMap<_, _> = self
            .policies
            .iter()
            .map(|(name, policy)| {
                (name, json!([policy.description, policy.versions, policy.default]))
            })
            .collect();
        let users: BTreeMap<_, _> = self
            .users
            .iter()
            .map(|(name, user)| {
                (name, json!([user.comments, user.policies, user.groups, user.keys]))
            })
            .collect();
        json!({"policies": policies, "users": users})
    }

    fn reply(&mut self, seen: &Seen) -> Reply {
        let action = seen.action().to_owned();
        self.calls.push(action.clone());
        let fault = match self.faults.front() {
            Some((wanted, fault)) if *wanted == action => Some(*fault),
            _ => None,
        };
        if fault.is_some() {
            self.faults.pop_front();
        }
        if let Some(Fault::CutBefore) = fault {
            return Reply::Cut;
        }
        let answer = self.act(&action, &seen.query(), seen.key_id());
        match (fault, answer) {
            (Some(_), _) => Reply::Cut,
            (None, Ok(body)) => Reply::of("200 OK", "", &body.to_string()),
            (None, Err((status, code))) => {
                let body = json!({"RequestId": "R", "Code": code, "Message": "m"});
                Reply::of(&format!("{status} X"), "", &body.to_string())
            }
        }
    }

    fn act(&mut self, action: &str, query: &BTreeMap<String, String>, key: &str) -> Answer {
        let text = |name: &str| query.get(name).cloned().unwrap_or_default();
        if let Some(refusal) = self.refused.get(action) {
            return Err(*refusal);
        }
        if action == "GetCallerIdentity" {
            return self.identity(key);
        }
        if action.contains("Policy") && !action.ends_with("ToUser") && !action.ends_with("FromUser")
        {
            return self.policy(action, &text);
        }
        self.user(action, &text)
    }

    fn identity(&mut self, key: &str) -> Answer {
        let owner = self
            .users
            .iter()
            .find(|(_, user)| user.keys.contains_key(key))
            .map(|(name, _)| name.clone());
        let name = match owner {
            Some(_) if self.unknown_keys > 0 => {
                self.unknown_keys -= 1;
                return Err((404, "InvalidAccessKeyId.NotFound"));
            }
            Some(name) => name,
            None if key == DAEMON_KEY => "causewayd".to_owned(),
            None => return Err((404, "InvalidAccessKeyId.NotFound")),
        };
        let account = &self.account;
        Ok(
            json!({"AccountId": account, "IdentityType": "RAMUser", "Arn": format!("acs:ram::{account}:user/{name}")}),
        )
    }

    fn policy(&mut self, action: &str, text: &dyn Fn(&str) -> String) -> Answer {
        let name = text("PolicyName");
        let number = text("VersionId").trim_start_matches('v').parse().unwrap_or(0);
        let holders: Vec<Value> = self
            .users
            .iter()
            .filter(|(_, user)| user.policies.contains(&name))
            .map(|(user, _)| json!({"UserName": user}))
            .collect();
        if action == "CreatePolicy" {
            if self.policies.contains_key(&name) {
                return Err((409, "EntityAlreadyExists.Policy"));
            }
            let versions = [(1, text("PolicyDocument"))].into();
            self.policies
                .insert(name, Policy { description: text("Description"), versions, default: 1 });
            return Ok(json!({"Policy": {}}));
        }
        let Some(policy) = self.policies.get_mut(&name) else {
            return Err((404, "EntityNotExist.Policy"));
        };
        match action {
            "GetPolicy" => Ok(json!({
                "Policy": {"PolicyName": name, "Description": policy.description, "DefaultVersion": format!("v{}", policy.default)},
                "DefaultPolicyVersion": {"VersionId": format!("v{}", policy.default), "IsDefaultVersion": true,
                    "PolicyDocument": policy.versions[&policy.default]},
            })),
            "ListPolicyVersions" => {
                let versions: Vec<Value> = policy.versions.iter().map(|(number, document)| json!({
                    "VersionId": format!("v{number}"), "IsDefaultVersion": *number == policy.default, "PolicyDocument": document})).collect();
                Ok(json!({"PolicyVersions": {"PolicyVersion": versions}}))
            }
            "CreatePolicyVersion" => {
                let number = policy.versions.keys().max().unwrap() + 1;
                policy.versions.insert(number, text("PolicyDocument"));
                policy.default = number;
                Ok(
                    json!({"PolicyVersion": {"VersionId": format!("v{number}"), "IsDefaultVersion": true}}),
                )
            }
            "SetDefaultPolicyVersion" => {
                policy.default = number;
                Ok(json!({}))
            }
            "DeletePolicyVersion" if number == policy.default => {
                Err((409, "DeleteConflict.Policy.Version.Default"))
            }
            "DeletePolicyVersion" => policy
                .versions
                .remove(&number)
                .map(|_| json!({}))
                .ok_or((404, "EntityNotExist.Policy.Version")),
            "ListEntitiesForPolicy" => {
                Ok(json!({"Users": {"User": holders}, "Groups": {}, "Roles": {}}))
            }
            "DeletePolicy" if !holders.is_empty() => Err((409, "DeleteConflict.Policy.User")),
            "DeletePolicy" if policy.versions.len() > 1 => {
                Err((409, "DeleteConflict.Policy.Version"))
            }
            "DeletePolicy" => {
                self.policies.remove(&name);
                Ok(json!({}))
            }
            _ => Err((404, "InvalidApi.NotFound")),
        }
    }

    fn user(&mut self, action: &str, text: &dyn Fn(&str) -> String) -> Answer {
        let name = text("UserName");
        let described = |name: &str, user: &User| json!({"User": {"UserId": format!("id-{name}"), "UserName": name, "Comments": user.comments}});
        if action == "CreateUser" {
            if self.users.contains_key(&name) {
                return Err((409, "EntityAlreadyExists.User"));
            }
            let user = User { comments: text("Comments"), ..User::default() };
            let answer = described(&name, &user);
            self.users.insert(name, user);
            return Ok(answer);
        }
        self.made += 1;
        let made = self.made;
        let Some(user) = self.users.get_mut(&name) else {
            return Err((404, "EntityNotExist.User"));
        };
        let list = |names: &BTreeSet<String>, field: &str| {
            names.iter().map(|name| json!({field: name})).collect::<Vec<_>>()
        };
        match action {
            "GetUser" => Ok(described(&name, user)),
            "ListAccessKeys" => {
                let keys: Vec<Value> = user
                    .keys
                    .keys()
                    .map(|id| json!({"AccessKeyId": id, "Status": "Active"}))
                    .collect();
                Ok(json!({"AccessKeys": {"AccessKey": keys}}))
            }
            "ListPoliciesForUser" => {
                Ok(json!({"Policies": {"Policy": list(&user.policies, "PolicyName")}}))
            }
            "ListGroupsForUser" => {
                Ok(json!({"Groups": {"Group": list(&user.groups, "GroupName")}}))
            }
            "CreateAccessKey" if user.keys.len() >= 2 => Err((409, "LimitExceeded.User.AccessKey")),
            "CreateAccessKey" => {
                let (id, secret) = (format!("LTAI{made}"), format!("hidden-{made}"));
                user.keys.insert(id.clone(), secret.clone());
                Ok(json!({"AccessKey": {"AccessKeyId": id, "AccessKeySecret": secret}}))
            }
            "DeleteAccessKey" => user
                .keys
                .remove(&text("UserAccessKeyId"))
                .map(|_| json!({}))
                .ok_or((404, "EntityNotExist.User.AccessKey")),
            "AttachPolicyToUser" if !user.policies.insert(text("PolicyName")) => {
                Err((409, "EntityAlreadyExists.User.Policy"))
            }
            "AttachPolicyToUser" => Ok(json!({})),
            "DetachPolicyFromUser" if !user.policies.remove(&text("PolicyName")) => {
                Err((404, "EntityNotExist.User.Policy"))
            }
            "DetachPolicyFromUser" => Ok(json!({})),
            "DeleteUser" if !user.policies.is_empty() => Err((409, "DeleteConflict.User.Policy")),
            "DeleteUser" if !user.keys.is_empty() => Err((409, "DeleteConflict.User.AccessKey")),
            "DeleteUser" => {
                self.users.remove(&name);
                Ok(json!({}))
            }
            _ => Err((404, "InvalidApi.NotFound")),
        }
    }
}

#[derive(Default)]
struct Memory {
    objects: Mutex<Vec<Object>>,
    sealed: Mutex<BTreeMap<String, SecretString>>,
}

#[async_trait]
impl Vault for Memory {
    async fn open(&self, id: &str) -> Result<SecretString, Failure> {
        let sealed = self.sealed.lock().unwrap().get(id).cloned();
        sealed.ok_or_else(|| Failure::permanent(format!("nothing is sealed as {id}")))
    }
}

#[async_trait]
impl Effects for Memory {
    async fn seen(&self, object: Object) -> Result<(), Failure> {
        let mut objects = self.objects.lock().unwrap();
        objects.retain(|known| (&known.kind, &known.id) != (&object.kind, &object.id));
        objects.push(object);
        Ok(())
    }
}

#[async_trait]
impl KubeconfigSource for Memory {
    async fn kubeconfig(&self, _cluster_id: &str) -> Result<SecretString, Failure> {
        Err(Failure::permanent("there is but the fake"))
    }
}

/// The account and the cluster.
pub(super) struct World {
    ram: Arc<Mutex<Ram>>,
    pub(super) kube: FakeKube,
    connection: Arc<Connection>,
    vault: Arc<Memory>,
    _cloud: FakeCloud,
}

impl World {
    pub(super) async fn new() -> Self {
        let ram = Arc::new(Mutex::new(Ram::default()));
        let handler = Arc::clone(&ram);
        let cloud = FakeCloud::start(move |seen| handler.lock().unwrap().reply(seen)).await;
        let kube = FakeKube::new();
        let mut connection = Connection::none(&Timing::default()).unwrap();
        let options = Options {
            region: "cn-hangzhou".into(),
            endpoints: Endpoints::from_table([("all", &cloud.url)]).unwrap(),
            call_timeout: Duration::from_secs(20),
            max_concurrent_calls: 4,
            sources: Sources::system(),
        };
        connection.cloud = Client::new(options, Credentials::new(DAEMON_KEY, "s", None)).unwrap();
        connection.clusters = Clusters::with(kube.cluster(CLUSTER), Arc::new(Memory::default()));
        connection.config.account_id = ACCOUNT.to_owned();
        Self { ram, kube, connection: Arc::new(connection), vault: Arc::default(), _cloud: cloud }
    }

    pub(super) fn ram(&self) -> MutexGuard<'_, Ram> {
        self.ram.lock().unwrap()
    }

    /// Puts the add-ons' Secret there, with this workflow's marker or none.
    pub(super) fn put_secret(&self, id: &str, secret: &str, workflow: Option<&str>) {
        let data =
            json!({SECRET_KEY_ID: STANDARD.encode(id), SECRET_KEY_SECRET: STANDARD.encode(secret)});
        let annotations = workflow.map(|workflow| json!({"causeway.io/workflow": workflow}));
        self.kube
            .put(&secret_ref(), json!({"metadata": {"annotations": annotations}, "data": data}));
    }

    /// A step of workflow `w1`.
    pub(super) fn step(&self, name: &str) -> Bench<'_> {
        self.step_of("w1", name)
    }

    pub(super) fn step_of(&self, workflow: &str, name: &str) -> Bench<'_> {
        let mut document = Document::default();
        document.spec.cluster_id = CLUSTER.to_owned();
        document.spec.region = "cn-hangzhou".to_owned();
        let ledger = Arc::new(Memory::default());
        let context = Context {
            workflow: WorkflowId::from(workflow),
            step: StepName::from(name),
            key: None,
            input: Arc::new(value(&document)),
            outputs: Arc::default(),
            before: Value::Null,
            verdict: None,
            output: Value::Null,
            effects: vec![],
            claim: None,
            attempt: 1,
            token: "0123456789abcdef0123456789abcdef01234567".to_owned(),
            deadline: None,
            since: Time(0),
            connection: Arc::clone(&self.connection),
            timing: Timing::default(),
            now: Arc::new(|| Time(10_000)),
            vault: Arc::clone(&self.vault) as Arc<dyn Vault>,
            recorder: Arc::clone(&ledger) as Arc<dyn Effects>,
            sealed: Mutex::default(),
        };
        Bench { world: self, context, ledger, claim: None }
    }
}

/// One step at work.
pub(super) struct Bench<'a> {
    world: &'a World,
    pub(super) context: Context,
    ledger: Arc<Memory>,
    pub(super) claim: Option<Claim>,
}

impl Bench<'_> {
    pub(super) fn with(mut self, step: &str, output: &Value) -> Self {
        Arc::make_mut(&mut self.context.outputs).insert(StepName::from(step), output.clone());
        self
    }

    /// The row of the shareable object, with others that rely on it.
    pub(super) fn row(&mut self, claim: &Claim, others: &[&str]) {
        let others = others.iter().map(|other| (*other).to_owned()).collect();
        self.context.claim = Some(ClaimRow { claim: claim.clone(), others });
    }

    /// What the daemon writes down after an operation.
    fn record(&mut self) {
        self.context.effects = self.ledger.objects.lock().unwrap().clone();
        let sealed = std::mem::take(&mut *self.context.sealed.lock().unwrap());
        self.world.vault.sealed.lock().unwrap().extend(sealed);
    }

    pub(super) async fn observe(&mut self, action: &dyn Action) -> Result<Verdict, Failure> {
        let observed = action.observe(&self.context).await?;
        self.record();
        self.context.before = observed.before;
        self.context.output = observed.output;
        self.claim = observed.claim;
        Ok(observed.verdict)
    }

    pub(super) async fn apply(&mut self, action: &dyn Action) -> Result<Value, Failure> {
        let answered = action.apply(&self.context).await;
        self.record();
        self.context.output = answered?;
        Ok(self.context.output.clone())
    }

    pub(super) async fn resolve(&mut self, action: &dyn Action) -> Result<Resolution, Failure> {
        let (resolution, output) = action.resolve(&self.context).await?;
        self.record();
        if resolution == Resolution::Done {
            self.context.output = output;
        }
        Ok(resolution)
    }

    pub(super) async fn confirm(&mut self, action: &dyn Action) -> Result<Confirm, Failure> {
        action.confirm(&self.context).await
    }

    pub(super) async fn revert(&mut self, action: &dyn Action) -> Result<Undone, Failure> {
        let answered = crate::dispatch::revert(action, &self.context).await;
        self.record();
        match answered? {
            Revert::Done(undone) => Ok(undone),
            Revert::NotYet(what) => panic!("the undo waits for {what}"),
        }
    }

    pub(super) async fn decide(&mut self, action: &dyn Action) -> Result<GroupDecision, Failure> {
        action.decide_group(&self.context).await
    }
}

/// The reason why an undo kept something.
pub(super) fn kept(undone: Undone) -> String {
    match undone {
        Undone::Kept { reason, .. } => reason,
        other => panic!("not kept: {other:?}"),
    }
}
