//! The guide followed by hand, with signed calls and a cluster-admin's client: the world alone, without any daemon,
//! gives two Ready cloud nodes that run Terway and not Calico, from a script that two instances really ran.

use std::{collections::BTreeMap, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use causeway_sandbox::world::{Options, World};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::Request;
use serde_json::{Value, json};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

const CLUSTER: &str = "c106f377e16f34eb1808d6b9362c9abcd";
const USER: &str = "ack-one-user-guide";
const POLICY: &str = "ack-one-registered-cluster-policy-terway-eniip";
const TOKEN: (&str, &str) = ("abcdef", "0123456789abcdef");

/// A person with the account's key and cluster-admin's kubeconfig.
struct Person {
    world: World,
    http: reqwest::Client,
}

impl Person {
    async fn signed(
        &self,
        version: &str,
        action: &str,
        method: &str,
        target: &str,
        body: &str,
    ) -> Value {
        let base = &self.world.endpoints().cloud;
        let account = &self.world.seed().account;
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut pairs: Vec<&str> = query.split('&').filter(|pair| !pair.is_empty()).collect();
        pairs.sort_unstable();
        let headers = BTreeMap::from([
            ("accept", "application/json".to_owned()),
            ("host", base.trim_start_matches("http://").to_owned()),
            ("x-acs-action", action.to_owned()),
            ("x-acs-content-sha256", hex::encode(Sha256::digest(body))),
            ("x-acs-date", causeway_sandbox::kube::stamp()),
            ("x-acs-signature-nonce", uuid::Uuid::new_v4().simple().to_string()),
            ("x-acs-version", version.to_owned()),
        ]);
        let names = headers.keys().copied().collect::<Vec<_>>().join(";");
        let lines: String =
            headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let canonical = format!(
            "{method}\n{path}\n{}\n{lines}\n{names}\n{}",
            pairs.join("&"),
            headers["x-acs-content-sha256"]
        );
        let mut mac = Hmac::<Sha256>::new_from_slice(account.access_key_secret.as_bytes())
            .expect("any length fits");
        mac.update(
            format!("ACS3-HMAC-SHA256\n{}", hex::encode(Sha256::digest(canonical))).as_bytes(),
        );
        let signature = hex::encode(mac.finalize().into_bytes());
        let authorization = format!(
            "ACS3-HMAC-SHA256 Credential={},SignedHeaders={names},Signature={signature}",
            account.access_key_id
        );
        let method = method.parse().expect("a method");
        let mut request = self
            .http
            .request(method, format!("{base}{target}"))
            .header("authorization", authorization);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let answer = request.body(body.to_owned()).send().await.expect("the cloud answers");
        let (status, text) = (answer.status(), answer.text().await.expect("text"));
        assert!(status.is_success(), "{action}: {status} {text}");
        serde_json::from_str(&text).expect("JSON")
    }

    async fn ram(&self, action: &str, params: &[(&str, &str)]) -> Value {
        let encode = |text: &str| {
            percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC)
                .to_string()
        };
        let plain = |text: &str| {
            encode(text)
                .replace("%2D", "-")
                .replace("%5F", "_")
                .replace("%2E", ".")
                .replace("%7E", "~")
        };
        let query: Vec<String> =
            params.iter().map(|(key, value)| format!("{key}={}", plain(value))).collect();
        self.signed("2015-05-01", action, "POST", &format!("/?{}", query.join("&")), "").await
    }

    async fn cs(&self, action: &str, method: &str, target: &str, body: Value) -> Value {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.signed("2015-12-15", action, method, target, &body).await
    }

    /// A call that makes a task, and the task's end.
    async fn task(&self, action: &str, method: &str, target: &str, body: Value) -> Value {
        let made = self.cs(action, method, target, body).await;
        let path = format!("/tasks/{}", made["task_id"].as_str().expect("a task"));
        for _ in 0..2_000 {
            let task = self.cs("DescribeTaskInfo", "GET", &path, Value::Null).await;
            if task["state"] != "running" {
                assert_eq!(task["state"], "success", "{task}");
                return made;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{action} never ends");
    }

    async fn put_to_oss(&self, target: &str, body: &str) {
        let account = &self.world.seed().account;
        let date = causeway_sandbox::kube::now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let mut mac = Hmac::<Sha1>::new_from_slice(account.access_key_secret.as_bytes())
            .expect("any length fits");
        mac.update(format!("PUT\n\n\n{date}\n{target}").as_bytes());
        let authorization =
            format!("OSS {}:{}", account.access_key_id, BASE64.encode(mac.finalize().into_bytes()));
        let request = self.http.put(format!("{}{target}", self.world.endpoints().cloud));
        let request = request.header("date", date).header("authorization", authorization);
        let answer = request.body(body.to_owned()).send().await.expect("OSS answers");
        assert!(answer.status().is_success(), "{target}: {}", answer.text().await.expect("text"));
    }

    async fn kubernetes(&self, method: &str, path: &str, body: Value) -> Value {
        let kind =
            if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", kind)
            .body(body)
            .expect("a request");
        let client = self.world.client(CLUSTER).expect("the guide's cluster");
        client.request(request).await.unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// Calico stays on-premises.
    async fn fence_calico(&self) {
        let term =
            json!([{"key": "alibabacloud.com/external", "operator": "NotIn", "values": ["true"]}]);
        let affinity = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": term}]}}});
        let patch = json!({"spec": {"template": {"spec": {"affinity": affinity}}}});
        self.kubernetes(
            "PATCH",
            "/apis/apps/v1/namespaces/kube-system/daemonsets/calico-node",
            patch,
        )
        .await;
    }

    /// A RAM user with the grants that Terway needs, its key in the cluster's Secret.
    async fn grant(&self) {
        let document = json!({"Version": "1", "Statement": [{"Effect": "Allow", "Resource": ["*"], "Action": ["ecs:*", "vpc:DescribeVSwitches"]}]});
        self.ram("CreateUser", &[("UserName", USER)]).await;
        self.ram(
            "CreatePolicy",
            &[("PolicyName", POLICY), ("PolicyDocument", &document.to_string())],
        )
        .await;
        self.ram(
            "AttachPolicyToUser",
            &[("UserName", USER), ("PolicyName", POLICY), ("PolicyType", "Custom")],
        )
        .await;
        let key = self.ram("CreateAccessKey", &[("UserName", USER)]).await;
        let data = json!({"access-key-id": key["AccessKey"]["AccessKeyId"], "access-key-secret": key["AccessKey"]["AccessKeySecret"]});
        let secret = json!({"metadata": {"name": "alibaba-addon-secret"}, "stringData": data});
        self.kubernetes("POST", "/api/v1/namespaces/kube-system/secrets", secret).await;
    }

    async fn install_terway(&self) {
        let path = format!("/clusters/{CLUSTER}/components/install");
        self.task(
            "InstallClusterAddons",
            "POST",
            &path,
            json!([{"name": "terway-eniip", "version": "v1.9.14", "config": "{}"}]),
        )
        .await;
        let eni_conf = json!({"version": "1", "max_pool_size": 5, "min_pool_size": 0, "vswitches": {"cn-hangzhou-h": ["vsw-bp1pods"]},
            "eni_tags": {"ack.aliyun.com": CLUSTER}, "service_cidr": "172.16.0.0/16", "security_group": "sg-bp1guide", "vswitch_selection_policy": "ordered"});
        let patch = json!({"data": {"eni_conf": eni_conf.to_string()}});
        self.kubernetes("PATCH", "/api/v1/namespaces/kube-system/configmaps/eni-config", patch)
            .await;
    }

    /// A join token, the script with it in the bucket for the VPC alone, and its URL in the agent's configuration.
    async fn publish_script(&self, script: &str) {
        let token = json!({"token-id": TOKEN.0, "token-secret": TOKEN.1, "usage-bootstrap-authentication": "true", "usage-bootstrap-signing": "true"});
        let name = format!("bootstrap-token-{}", TOKEN.0);
        let secret = json!({"metadata": {"name": name}, "type": "bootstrap.kubernetes.io/token", "stringData": token});
        self.kubernetes("POST", "/api/v1/namespaces/kube-system/secrets", secret).await;
        self.put_to_oss("/kubelet-scripts/init-node-ecs.sh", script).await;
        let statement = json!({"Effect": "Allow", "Principal": ["*"], "Action": ["oss:GetObject"],
            "Resource": [format!("acs:oss:*:{}:kubelet-scripts/init-node-ecs.sh", self.world.seed().account.id)],
            "Condition": {"StringEquals": {"acs:SourceVpc": ["vpc-bp1guide"]}}});
        self.put_to_oss(
            "/kubelet-scripts/?policy",
            &json!({"Version": "1", "Statement": [statement]}).to_string(),
        )
        .await;
        let url = "https://kubelet-scripts.oss-cn-hangzhou-internal.aliyuncs.com/init-node-ecs.sh";
        self.kubernetes(
            "PATCH",
            "/api/v1/namespaces/kube-system/configmaps/ack-agent-config",
            json!({"data": {"addNodeScriptPath": url}}),
        )
        .await;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }

    /// A pool of two, and the task of its scale-out.
    async fn scale_out(&self) {
        let pools = format!("/clusters/{CLUSTER}/nodepools");
        let body = json!({"nodepool_info": {"name": "burst", "type": "ess"},
            "scaling_group": {"vswitch_ids": ["vsw-bp1nodes"], "instance_types": ["ecs.g7.xlarge"], "instance_charge_type": "PostPaid",
                "image_type": "AliyunLinux3", "key_pair": "kp", "desired_size": 0, "security_group_ids": ["sg-bp1guide"]},
            "kubernetes_config": {"labels": [{"key": "workload", "value": "cpu"}], "taints": [{"key": "workload", "value": "ack", "effect": "NoSchedule"}]}});
        let made = self.task("CreateClusterNodePool", "POST", &pools, body).await;
        let pool = format!("{pools}/{}", made["nodepool_id"].as_str().expect("a pool"));
        self.task(
            "ModifyClusterNodePool",
            "PUT",
            &pool,
            json!({"scaling_group": {"desired_size": 2}}),
        )
        .await;
    }

    async fn ca_hash(&self) -> String {
        let info = self
            .kubernetes(
                "GET",
                "/api/v1/namespaces/kube-public/configmaps/cluster-info",
                Value::Null,
            )
            .await;
        let kubeconfig: Value =
            serde_saphyr::from_str(info["data"]["kubeconfig"].as_str().expect("a kubeconfig"))
                .expect("YAML");
        let encoded = kubeconfig["clusters"][0]["cluster"]["certificate-authority-data"]
            .as_str()
            .expect("a CA")
            .to_owned();
        let pem = String::from_utf8(BASE64.decode(encoded).expect("base64")).expect("text");
        let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let der = BASE64.decode(body).expect("base64");
        // An EC key of the curve that the sandbox uses: its SubjectPublicKeyInfo begins thus and is 91 bytes long.
        let head = hex::decode("3059301306072a8648ce3d020106082a8648ce3d030107").expect("hex");
        let at = der.windows(head.len()).position(|window| window == head).expect("a P-256 key");
        format!("sha256:{}", hex::encode(Sha256::digest(&der[at..at + 91])))
    }
}

fn script(ca_hash: &str) -> String {
    format!(
        "set -eu\nyum install -y kubelet-1.30.4 kubeadm-1.30.4 containerd.io\nsystemctl enable --now containerd\n\
         echo \"KUBELET_EXTRA_ARGS=\\\"--node-labels=$ALIBABA_CLOUD_LABELS --register-with-taints=$ALIBABA_CLOUD_TAINTS \
         --hostname-override=$ALIBABA_CLOUD_NODE_NAME --provider-id=$ALIBABA_CLOUD_PROVIDER_ID\\\"\" > /etc/sysconfig/kubelet\n\
         kubeadm join 192.168.0.10:6443 --token {}.{} --discovery-token-ca-cert-hash {ca_hash} --node-name $ALIBABA_CLOUD_NODE_NAME\n\
         systemctl enable --now kubelet\n",
        TOKEN.0, TOKEN.1
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guide_followed_by_hand_gives_a_hybrid_cluster() {
    let world = World::start(Options::default()).await.expect("it starts");
    let person =
        Person { world, http: reqwest::Client::builder().no_proxy().build().expect("a client") };
    person.fence_calico().await;
    person.grant().await;
    person.install_terway().await;
    person.publish_script(&script(&person.ca_hash().await)).await;
    person.scale_out().await;
    let mut nodes = Vec::new();
    for _ in 0..1_000 {
        nodes = person.world.nodes(CLUSTER).await.expect("nodes");
        if nodes.len() == 5 && nodes.iter().all(|node| node.ready) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let plugins: Vec<String> = nodes
        .iter()
        .map(|node| {
            let pods: Vec<&str> =
                node.network_pods.iter().map(|pod| &pod[..pod.len().min(6)]).collect();
            format!(
                "{} {} {}",
                if node.in_cloud { "cloud" } else { "premises" },
                if node.ready { "ready" } else { "not ready" },
                pods.join(" ")
            )
        })
        .collect();
    assert_eq!(
        plugins,
        ["premises ready calico"; 3]
            .into_iter()
            .chain(["cloud ready terway"; 2])
            .collect::<Vec<_>>(),
        "{nodes:#?}"
    );
    person.world.shutdown().await;
}
