//! Tests of the whole account over its endpoint, with a small client and hands of their own.

mod faults;
mod fleet;
mod gateway;
mod ledger;
mod oss;
mod products;
mod ram;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::{Cloud, clock, incoming::encode};
use crate::{
    faults::Faults,
    hands::{AddonJob, Boot, BootReport, Hands},
    seed::Seed,
    time::Pace,
};

const CLUSTER: &str = "c106f377e16f34eb1808d6b9362c9abcd";
const USER: &str = "ack-one-user-ce313528c3";
const POLICY: &str = "ack-one-registered-cluster-policy-terway-eniip";
const GUIDE_DOCUMENT: &str = r#"{"Version":"1","Statement":[{"Effect":"Allow","Resource":["*"],"Action":[
    "ecs:CreateNetworkInterface","ecs:DescribeNetworkInterfaces","ecs:AttachNetworkInterface",
    "ecs:DetachNetworkInterface","ecs:DeleteNetworkInterface","ecs:DescribeInstanceAttribute",
    "ecs:AssignPrivateIpAddresses","ecs:UnassignPrivateIpAddresses","ecs:DescribeInstances",
    "ecs:ModifyNetworkInterfaceAttribute","vpc:DescribeVSwitches"]}]}"#;

/// A served account, its hands, and a client with the daemon's key.
struct World {
    cloud: Arc<Cloud>,
    hands: Arc<FakeHands>,
    faults: Arc<Faults>,
    daemon: Client,
    _server: tokio::task::JoinSet<()>,
}

impl World {
    async fn start() -> Self {
        Self::of(&Seed::guide()).await
    }

    async fn of(seed: &Seed) -> Self {
        Self::at(seed, 400.0).await
    }

    async fn at(seed: &Seed, speed: f64) -> Self {
        // Another test may have been first.
        drop(rustls::crypto::ring::default_provider().install_default());
        let faults = Faults::new();
        let cloud = Cloud::new(seed, Arc::clone(&faults), Pace::new(speed));
        let hands = Arc::new(FakeHands::default());
        cloud.set_hands(Arc::clone(&hands) as Arc<dyn Hands>);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let router = cloud.router();
        let mut server = tokio::task::JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.unwrap() });
        let account = &seed.account;
        let daemon = Client::new(&base, &account.access_key_id, &account.access_key_secret);
        Self { cloud, hands, faults, daemon, _server: server }
    }

    /// Waits until something holds.
    async fn until(&self, what: &str, mut holds: impl FnMut(&Cloud) -> bool) {
        for _ in 0..4000 {
            if holds(&self.cloud) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("never: {what}");
    }

    /// Waits until a task has ended; it.
    async fn ended(&self, task: &Value) -> Value {
        let path = format!("/tasks/{}", task["task_id"].as_str().unwrap());
        for _ in 0..2000 {
            let info = self.daemon.cs("DescribeTaskInfo", "GET", &path, None).await.good();
            if info["state"] != "running" {
                return info;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the task never ended: {task}");
    }

    /// Makes the user with its policy attached and a key; a client with that key, in effect.
    async fn addon_user(&self) -> Client {
        let daemon = &self.daemon;
        daemon.ram("CreateUser", &[("UserName", USER)]).await.good();
        let document = ("PolicyDocument", GUIDE_DOCUMENT);
        daemon.ram("CreatePolicy", &[("PolicyName", POLICY), document]).await.good();
        daemon.ram("AttachPolicyToUser", &attachment()).await.good();
        let key = daemon.ram("CreateAccessKey", &[("UserName", USER)]).await.good();
        let field = |name: &str| key["AccessKey"][name].as_str().unwrap().to_owned();
        let client = Client::new(&daemon.base, &field("AccessKeyId"), &field("AccessKeySecret"));
        let id = client.id.clone();
        self.until("the key is known", |cloud| super::iam::find_key(&cloud.state(), &id).is_ok())
            .await;
        client
    }

    /// Makes a pool; its id, when it is active.
    async fn pool(&self, name: &str) -> String {
        let created = self.daemon.create_pool(&pool_body(name)).await.good();
        assert_eq!(self.ended(&created).await["state"], "success");
        created["nodepool_id"].as_str().unwrap().to_owned()
    }

    async fn resize(&self, pool: &str, size: usize) -> Value {
        let path = format!("/clusters/{CLUSTER}/nodepools/{pool}");
        let body = json!({"scaling_group": {"desired_size": size}});
        self.daemon.cs("ModifyClusterNodePool", "PUT", &path, Some(body)).await.good()
    }

    async fn nodes(&self, pool: &str) -> Vec<Value> {
        let path = format!("/clusters/{CLUSTER}/nodes?nodepool_id={pool}");
        let nodes = self.daemon.cs("DescribeClusterNodes", "GET", &path, None).await.good();
        nodes["nodes"].as_array().unwrap().clone()
    }
}

fn attachment() -> [(&'static str, &'static str); 3] {
    [("UserName", USER), ("PolicyName", POLICY), ("PolicyType", "Custom")]
}

fn pool_body(name: &str) -> Value {
    json!({
        "nodepool_info": {"name": name, "type": "ess"},
        "scaling_group": {
            "vswitch_ids": ["vsw-bp1nodes"], "instance_types": ["ecs.g7.xlarge"],
            "instance_charge_type": "PostPaid", "key_pair": "kp", "desired_size": 0,
            "security_group_ids": ["sg-bp1guide"],
            "tags": [{"key": "causeway.workflow", "value": "w0k3j2h1g4f5d6s7"}],
        },
        "kubernetes_config": {
            "labels": [{"key": "workload", "value": "cpu"}],
            "taints": [{"key": "workload", "value": "ack", "effect": "NoSchedule"}],
        },
    })
}

/// What came back.
struct Got {
    status: u16,
    text: String,
    headers: http::HeaderMap,
}

impl Got {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {}", self.text))
    }

    fn good(self) -> Value {
        assert!(self.status < 300, "{} {}", self.status, self.text);
        self.json()
    }

    /// Status and code of a refusal, in either casing or in XML.
    fn refused(&self) -> (u16, String) {
        if let Ok(body) = serde_json::from_str::<Value>(&self.text) {
            let code = body.get("Code").or_else(|| body.get("code"));
            return (self.status, code.and_then(Value::as_str).unwrap_or_default().into());
        }
        let code = self.text.split("<Code>").nth(1).and_then(|rest| rest.split("</Code>").next());
        (self.status, code.unwrap_or_default().into())
    }
}

/// A client that signs, written for these tests.
#[derive(Clone)]
struct Client {
    http: reqwest::Client,
    base: String,
    id: String,
    secret: String,
    accept: &'static str,
}

impl Client {
    fn new(base: &str, id: &str, secret: &str) -> Self {
        Self {
            http: reqwest::Client::new(),
            base: base.into(),
            id: id.into(),
            secret: secret.into(),
            accept: "application/json",
        }
    }

    async fn ram(&self, action: &str, params: &[(&str, &str)]) -> Got {
        self.rpc("2015-05-01", action, params).await
    }

    async fn ecs(&self, action: &str, params: &[(&str, &str)]) -> Got {
        let params = [&[("RegionId", "cn-hangzhou")], params].concat();
        self.rpc("2014-05-26", action, &params).await
    }

    async fn rpc(&self, version: &str, action: &str, params: &[(&str, &str)]) -> Got {
        let query: Vec<String> = params
            .iter()
            .map(|(key, value)| format!("{}={}", encode(key), encode(value)))
            .collect();
        let target = format!("/?{}", query.join("&"));
        self.send(self.signed(version, action, "POST", &target, "")).await.unwrap()
    }

    async fn cs(&self, action: &str, method: &str, target: &str, body: Option<Value>) -> Got {
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        self.send(self.signed("2015-12-15", action, method, target, &body)).await.unwrap()
    }

    async fn create_pool(&self, body: &Value) -> Got {
        let path = format!("/clusters/{CLUSTER}/nodepools");
        self.cs("CreateClusterNodePool", "POST", &path, Some(body.clone())).await
    }

    async fn install(&self, name: &str, version: &str) -> Got {
        let path = format!("/clusters/{CLUSTER}/components/install");
        let body = json!([{"name": name, "version": version, "config": "{}"}]);
        self.cs("InstallClusterAddons", "POST", &path, Some(body)).await
    }

    /// A signed request; `target` is the path with its query.
    fn signed(
        &self,
        version: &str,
        action: &str,
        method: &str,
        target: &str,
        body: &str,
    ) -> reqwest::Request {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut pairs: Vec<&str> = query.split('&').filter(|pair| !pair.is_empty()).collect();
        pairs.sort_unstable();
        let nonce = uuid::Uuid::new_v4().simple().to_string();
        let headers = BTreeMap::from([
            ("accept", self.accept.to_owned()),
            ("host", self.base.trim_start_matches("http://").to_owned()),
            ("x-acs-action", action.to_owned()),
            ("x-acs-content-sha256", hex::encode(Sha256::digest(body))),
            ("x-acs-date", clock::utc()),
            ("x-acs-signature-nonce", nonce),
            ("x-acs-version", version.to_owned()),
        ]);
        let names = headers.keys().copied().collect::<Vec<_>>().join(";");
        let lines: String =
            headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let hash = &headers["x-acs-content-sha256"];
        let canonical = format!("{method}\n{path}\n{}\n{lines}\n{names}\n{hash}", pairs.join("&"));
        let text = format!("ACS3-HMAC-SHA256\n{}", hex::encode(Sha256::digest(canonical)));
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret.as_bytes()).unwrap();
        mac.update(text.as_bytes());
        let signature = hex::encode(mac.finalize().into_bytes());
        let credential = &self.id;
        let authorization = format!(
            "ACS3-HMAC-SHA256 Credential={credential},SignedHeaders={names},Signature={signature}"
        );
        let method: http::Method = method.parse().unwrap();
        let url = format!("{}{target}", self.base);
        let mut request = self.http.request(method, url).header("authorization", authorization);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        request.body(body.to_owned()).build().unwrap()
    }

    /// An OSS request with a V1 signature; `target` is `/BUCKET/KEY` with its sub-resource.
    async fn oss(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<Got, reqwest::Error> {
        let date = clock::http_date(clock::now());
        let header = |name: &str| {
            headers.iter().find(|(key, _)| *key == name).map_or("", |(_, value)| *value)
        };
        let mut lines: Vec<String> = headers
            .iter()
            .filter(|(name, _)| name.starts_with("x-oss-"))
            .map(|(name, value)| format!("{name}:{value}\n"))
            .collect();
        lines.sort();
        let text = format!(
            "{method}\n{}\n{}\n{date}\n{}{target}",
            header("content-md5"),
            header("content-type"),
            lines.concat()
        );
        let mut mac = Hmac::<Sha1>::new_from_slice(self.secret.as_bytes()).unwrap();
        mac.update(text.as_bytes());
        let signature = BASE64_STANDARD.encode(mac.finalize().into_bytes());
        let method: http::Method = method.parse().unwrap();
        let mut request = self
            .http
            .request(method, format!("{}{target}", self.base))
            .header("date", date)
            .header("authorization", format!("OSS {}:{signature}", self.id));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(body.to_owned()).build().unwrap()).await
    }

    async fn send(&self, request: reqwest::Request) -> Result<Got, reqwest::Error> {
        let response = self.http.execute(request).await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Got { status, headers, text: response.text().await? })
    }
}

/// Hands that remember what was asked of them.
#[derive(Default)]
struct FakeHands {
    script: Mutex<String>,
    boots: Mutex<Vec<Boot>>,
    failing: Mutex<bool>,
    joined: Mutex<BTreeSet<String>>,
    drained: Mutex<BTreeSet<String>>,
    installed: Mutex<Vec<AddonJob>>,
}

#[async_trait]
impl Hands for FakeHands {
    async fn install_addon(&self, job: AddonJob) -> Result<(), String> {
        self.installed.lock().unwrap().push(job);
        Ok(())
    }

    async fn uninstall_addon(&self, job: AddonJob) -> Result<(), String> {
        self.installed.lock().unwrap().retain(|it| it.name != job.name);
        Ok(())
    }

    async fn read_script_path(&self, _cluster_id: &str) -> Option<String> {
        Some(self.script.lock().unwrap().clone())
    }

    async fn boot(&self, boot: Boot) -> BootReport {
        let ok = !*self.failing.lock().unwrap();
        if ok {
            self.joined.lock().unwrap().insert(boot.instance_id.clone());
        }
        self.boots.lock().unwrap().push(boot);
        BootReport { ok, log: if ok { "joined".into() } else { "kubeadm: no such host".into() } }
    }

    async fn node_ready(&self, _cluster_id: &str, instance_id: &str) -> Option<bool> {
        self.joined.lock().unwrap().contains(instance_id).then_some(true)
    }

    async fn drain(&self, _cluster_id: &str, instance_id: &str) -> Result<(), String> {
        self.drained.lock().unwrap().insert(instance_id.into());
        Ok(())
    }

    async fn terminate(&self, _cluster_id: &str, instance_id: &str) {
        self.joined.lock().unwrap().remove(instance_id);
    }
}
