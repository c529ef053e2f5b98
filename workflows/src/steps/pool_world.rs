//! A small cloud for the tests of publishing and of node pools: one bucket, one node pool, its instances and their network
//! interfaces. It judges no signature and shares nothing with the sandbox, which does.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::node_pools::WORKFLOW_TAG;
use super::testing::{Bench, kubernetes_facts};
use crate::alibaba::fake::{FakeCloud, Reply, Seen};
use crate::alibaba::{Client, Credentials, Endpoints, Options, Sources};
use crate::kubernetes::Resource;
use crate::spec::{EXAMPLE, normalize_and_validate};

/// The instance that somebody attached to the pool by hand.
pub(super) const STRANGER: &str = "i-stranger";

/// What is there.
#[derive(Default)]
pub(super) struct World {
    /// The pool as it was asked for, with its id.
    pub(super) pool: Option<Value>,
    /// Instances by id: state and tags.
    pub(super) instances: BTreeMap<String, (String, Value)>,
    /// Network interfaces: the instance that each is attached to, or nothing.
    pub(super) interfaces: BTreeMap<String, String>,
    /// Objects of the bucket: workflow, ETag.
    pub(super) objects: BTreeMap<String, (String, String)>,
    /// The bucket's policy.
    pub(super) policy: Option<String>,
    /// The next mutating call has its effect, and its answer is lost.
    pub(super) cut: bool,
    /// Mutating calls, in order.
    pub(super) calls: Vec<String>,
    made: usize,
}

/// The world, and a bench in it.
pub(super) struct PoolWorld {
    pub(super) world: Arc<Mutex<World>>,
    client: Client,
    _server: FakeCloud,
}

impl PoolWorld {
    pub(super) async fn new() -> Self {
        let world = Arc::new(Mutex::new(World::default()));
        let shared = Arc::clone(&world);
        let server = FakeCloud::start(move |seen| shared.lock().unwrap().serve(seen)).await;
        let options = Options {
            region: "cn-hangzhou".into(),
            endpoints: Endpoints::from_table([
                ("all", server.url.as_str()),
                ("oss_node", "http://oss-cn-hangzhou-internal.aliyuncs.com"),
            ])
            .unwrap(),
            call_timeout: Duration::from_secs(20),
            max_concurrent_calls: 4,
            // Before every bench's clock, so that no deadline is over.
            sources: Sources {
                now: Arc::new(|| Timestamp::from_second(1_790_000_000).unwrap()),
                nonce: Arc::new(|| "nonce".into()),
            },
        };
        let client = Client::new(options, Credentials::new("LTAI", "secret", None)).unwrap();
        Self { world, client, _server: server }
    }

    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    /// A bench for a step of pool `burst`, in this world, on the guide's example.
    pub(super) fn bench(&self, template: &str) -> Bench {
        let mut bench = Bench::new(&format!("{template}[burst]"));
        let document: Value = serde_saphyr::from_str(EXAMPLE).unwrap();
        let mut input = normalize_and_validate(&document, None).unwrap();
        input["spec"]["cluster_id"] = super::testing::CLUSTER.into();
        let context = bench.context_mut();
        context.input = Arc::new(input);
        context.key = Some("burst".into());
        let connection = Arc::get_mut(&mut context.connection).unwrap();
        connection.cloud = self.client.clone();
        connection.config.account_id = "123".into();
        let token = bench.seal("join-token", "abcdef.0123456789abcdef");
        let mut facts = kubernetes_facts();
        facts["ca_hash"] = format!("sha256:{}", "0".repeat(64)).into();
        bench.output("check-kubernetes", facts);
        bench.output(
            "mint-join-token",
            json!({"token": token, "secret_name": "bootstrap-token-abcdef", "expires_at": ""}),
        );
        bench.output("create-node-pool[burst]", json!({"nodepool_id": "np1", "name": "burst"}));
        bench
    }

    /// A pool as this workflow makes it.
    pub(super) fn with_pool(&self, bench: &Bench) {
        let tags = json!([
            {"key": WORKFLOW_TAG, "value": bench.context().workflow},
            {"key": "causeway.step", "value": "create-node-pool[burst]"},
        ]);
        self.world().pool = Some(json!({
            "nodepool_info": {"nodepool_id": "np1", "name": "burst"}, "scaling_group": {"desired_size": 0, "tags": tags},
        }));
    }

    /// The instances' scripts have run: their Nodes are there, Ready, and Terway has put an interface on each.
    pub(super) fn join(&self, bench: &Bench) {
        let mut world = self.world();
        let ids: Vec<String> = world.instances.keys().cloned().collect();
        for (index, id) in ids.iter().enumerate() {
            world.instances.get_mut(id).unwrap().0 = "running".into();
            world.interfaces.insert(format!("eni-of-{id}"), id.clone());
            let name = format!("cn-hangzhou.10.10.24.{index}");
            let node = json!({"metadata": {"uid": format!("uid-{id}")}, "spec": {"providerID": format!("cn-hangzhou.{id}")}});
            bench.kube.put(&Resource::NODES.named(&name), node);
        }
    }

    /// What leaves has left; its added interfaces stay behind.
    pub(super) fn release(&self) {
        let mut world = self.world();
        world.instances.retain(|_, (state, _)| state != "removing");
        let World { instances, interfaces, .. } = &mut *world;
        for at in interfaces.values_mut().filter(|at| !instances.contains_key(*at)) {
            at.clear();
        }
    }
}

impl World {
    fn serve(&mut self, seen: &Seen) -> Reply {
        let (head, body) = seen.text.split_once("\r\n\r\n").unwrap_or_default();
        let mut words = head.split(' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let action = seen.action().to_owned();
        let answer = if action.is_empty() {
            return self.oss(method, target, seen, body);
        } else {
            self.gateway(&action, seen, &serde_json::from_str(body).unwrap_or_default())
        };
        let mutates = !action.starts_with("Describe") && !action.starts_with("Get");
        if mutates {
            self.calls.push(action);
            if std::mem::take(&mut self.cut) {
                return Reply::Cut;
            }
        }
        match answer {
            Ok(value) => Reply::of("200 OK", "", &value.to_string()),
            Err((status, code)) => {
                Reply::of(status, "", &json!({"code": code, "message": "no"}).to_string())
            }
        }
    }

    fn gateway(
        &mut self,
        action: &str,
        seen: &Seen,
        body: &Value,
    ) -> Result<Value, (&'static str, &'static str)> {
        let query = seen.query();
        let missing = ("404 Not Found", "ErrorNodePoolNotFound");
        Ok(match action {
            "GetCallerIdentity" => {
                json!({"AccountId": "123", "Arn": "acs:ram::123:user/causewayd"})
            }
            "DescribeClusterNodePools" => {
                json!({"nodepools": self.described().into_iter().collect::<Vec<_>>()})
            }
            "DescribeClusterNodePoolDetail" => self.described().ok_or(missing)?,
            "CreateClusterNodePool" => {
                if self.pool.is_some() {
                    return Err(("400 Bad Request", "InvalidParameter.Name"));
                }
                let mut pool = body.clone();
                pool["nodepool_info"]["nodepool_id"] = "np1".into();
                self.pool = Some(pool);
                json!({"nodepool_id": "np1", "task_id": ""})
            }
            "ModifyClusterNodePool" => {
                self.resize(
                    usize::try_from(body["scaling_group"]["desired_size"].as_u64().unwrap())
                        .unwrap(),
                );
                json!({"task_id": ""})
            }
            "DescribeClusterNodes" => {
                let nodes: Vec<Value> = self
                    .instances
                    .iter()
                    .map(|(id, (state, _))| json!({"instance_id": id, "state": state}))
                    .collect();
                json!({"nodes": nodes, "page": {"total_count": nodes.len()}})
            }
            "RemoveNodePoolNodes" => {
                assert_eq!(
                    (query["release_node"].as_str(), query["drain_node"].as_str()),
                    ("true", "true")
                );
                for id in serde_json::from_str::<Vec<String>>(&query["instance_ids"]).unwrap() {
                    self.instances.get_mut(&id).unwrap().0 = "removing".into();
                    self.set_desired(self.desired() - 1);
                }
                json!({"task_id": ""})
            }
            "DeleteClusterNodepool" => {
                assert_eq!(query["force"], "false");
                self.pool = None;
                json!({"task_id": ""})
            }
            "DescribeInstances" => {
                let list: Vec<Value> = self
                    .instances
                    .iter()
                    .map(|(id, (_, tags))| json!({"InstanceId": id, "Status": "Running", "Tags": {"Tag": tags}}))
                    .collect();
                json!({"Instances": {"Instance": list}})
            }
            "DescribeNetworkInterfaces" => self.describe_interfaces(&query),
            "DeleteNetworkInterface" => {
                self.interfaces.remove(&query["NetworkInterfaceId"]);
                json!({})
            }
            other => panic!("the test's cloud knows no {other}"),
        })
    }

    fn describe_interfaces(&self, query: &BTreeMap<String, String>) -> Value {
        let ids: Vec<&String> = query
            .iter()
            .filter(|(key, _)| key.starts_with("NetworkInterfaceId."))
            .map(|(_, id)| id)
            .collect();
        let fits = |id: &String, at: &String| {
            (ids.is_empty() || ids.contains(&id))
                && query.get("InstanceId").is_none_or(|instance| instance == at)
        };
        let list: Vec<Value> = self
            .interfaces
            .iter()
            .filter(|(id, at)| fits(id, at))
            .map(|(id, at)| {
                let status = if at.is_empty() { "Available" } else { "InUse" };
                json!({"NetworkInterfaceId": id, "Status": status, "Type": "Secondary", "InstanceId": at})
            })
            .collect();
        json!({"NetworkInterfaceSets": {"NetworkInterfaceSet": list}})
    }

    fn described(&self) -> Option<Value> {
        let mut pool = self.pool.clone()?;
        let removing = self.instances.values().filter(|(state, _)| state == "removing").count();
        pool["status"] = json!({"state": "active", "total_nodes": self.instances.len(), "removing_nodes": removing});
        Some(pool)
    }

    fn desired(&self) -> usize {
        self.pool.as_ref().and_then(|pool| pool["scaling_group"]["desired_size"].as_u64()).unwrap()
            as usize
    }

    fn set_desired(&mut self, size: usize) {
        self.pool.as_mut().unwrap()["scaling_group"]["desired_size"] = size.into();
    }

    fn resize(&mut self, size: usize) {
        self.set_desired(size);
        let tags = self.pool.as_ref().unwrap()["scaling_group"]["tags"].clone();
        let tags: Vec<Value> = tags
            .as_array()
            .into_iter()
            .flatten()
            .map(|tag| json!({"TagKey": tag["key"], "TagValue": tag["value"]}))
            .collect();
        while self.instances.len() < size {
            self.made += 1;
            self.instances.insert(format!("i-{}", self.made), ("initial".into(), json!(tags)));
        }
    }

    fn oss(&mut self, method: &str, target: &str, seen: &Seen, body: &str) -> Reply {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let key = path
            .trim_start_matches('/')
            .split_once('/')
            .map(|(_, key)| key.to_owned())
            .unwrap_or_default();
        let missing = |code: &str| {
            Reply::of(
                "404 Not Found",
                "",
                &format!("<Error><Code>{code}</Code><Message>no</Message></Error>"),
            )
        };
        let cut = method != "GET" && method != "HEAD" && std::mem::take(&mut self.cut);
        if method == "PUT" || method == "DELETE" {
            self.calls.push(format!("{method} {query}"));
        }
        let reply = match (method, query) {
            ("GET", "bucketInfo") => Reply::of(
                "200 OK",
                "",
                "<BucketInfo><Bucket><Location>oss-cn-hangzhou</Location><BlockPublicAccess>false</BlockPublicAccess></Bucket></BucketInfo>",
            ),
            ("GET", "acl") => Reply::of(
                "200 OK",
                "",
                "<AccessControlPolicy><AccessControlList><Grant>private</Grant></AccessControlList></AccessControlPolicy>",
            ),
            ("GET", "policy") => match &self.policy {
                Some(policy) => Reply::of("200 OK", "", policy),
                None => missing("NoSuchBucketPolicy"),
            },
            ("PUT", "policy") => {
                self.policy = Some(body.to_owned());
                Reply::of("200 OK", "", "")
            }
            ("DELETE", "policy") => {
                self.policy = None;
                Reply::of("204 No Content", "", "")
            }
            ("HEAD", _) => match self.objects.get(&key) {
                Some((workflow, etag)) => Reply::of(
                    "200 OK",
                    &format!("etag: \"{etag}\"\r\nx-oss-meta-causeway-workflow: {workflow}\r\n"),
                    "",
                ),
                None => Reply::of("404 Not Found", "", ""),
            },
            ("PUT", _) => {
                use md5::Digest as _;
                assert_eq!(seen.header("x-oss-object-acl"), "private");
                let etag = hex::encode_upper(md5::Md5::digest(body.as_bytes()));
                self.objects
                    .insert(key, (seen.header("x-oss-meta-causeway-workflow").to_owned(), etag));
                Reply::of("200 OK", "", "")
            }
            ("DELETE", _) => {
                self.objects.remove(&key);
                Reply::of("204 No Content", "", "")
            }
            other => panic!("the test's bucket knows no {other:?}"),
        };
        if cut { Reply::Cut } else { reply }
    }
}
