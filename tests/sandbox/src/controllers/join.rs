//! What `kubeadm join` and a kubelet do against the API server, with their own credentials: discovery and its trust,
//! the bootstrap token, and the Node that registers itself.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use kube::Client;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{
    DataCenter,
    objects::{Objects, is_ready, items, text},
};
use crate::kube::{kubelet_may_set, now, stamp};

/// What `kubeadm join` was given.
#[derive(Debug, Clone, Default)]
pub struct JoinRequest {
    /// `ID.SECRET`.
    pub token: String,
    /// `--discovery-token-ca-cert-hash`, any of which may fit: `sha256:HEX`.
    pub ca_hashes: Vec<String>,
    /// `--discovery-token-unsafe-skip-ca-verification`.
    pub skip_ca_verification: bool,
    /// `--node-name`: the name in the kubelet's certificate.
    pub node_name: String,
    /// What kubelet then registers.
    pub node: NodeRequest,
}

/// What a kubelet registers its Node with.
#[derive(Debug, Clone, Default)]
pub struct NodeRequest {
    /// `--hostname-override`, else the machine's name.
    pub name: String,
    /// `--provider-id`: `REGION.INSTANCE`.
    pub provider_id: String,
    /// `--node-labels`.
    pub labels: Vec<(String, String)>,
    /// `--register-with-taints`: (key, value, effect).
    pub taints: Vec<(String, String, String)>,
    /// The machine's private address.
    pub ip: String,
    /// Without the `v`; empty: the cluster's own.
    pub kubelet_version: String,
}

impl DataCenter {
    /// Joins a node as kubeadm and kubelet do. The error is the text that the one who failed would print.
    pub async fn join(&self, request: &JoinRequest) -> Result<(), String> {
        self.discover(&request.token, &request.ca_hashes, request.skip_ca_verification).await?;
        self.register(&request.node_name, &request.node).await
    }

    /// The discovery phase of `kubeadm join`: token, cluster-info, and whether its CA is the one that was pinned.
    pub async fn discover(
        &self,
        token: &str,
        ca_hashes: &[String],
        skip_ca_verification: bool,
    ) -> Result<(), String> {
        let invalid = || {
            format!(
                "discovery.bootstrapToken: Invalid value: {token:?}: the bootstrap token is invalid"
            )
        };
        let (id, secret) = token
            .split_once('.')
            .filter(|(id, secret)| is_token_part(id, 6) && is_token_part(secret, 16))
            .ok_or_else(invalid)?;
        let unsigned = || {
            format!(
                "could not find a JWS signature in the cluster-info ConfigMap for token ID \"{id}\""
            )
        };
        if !self.is_signing(id, secret).await? {
            return Err(unsigned());
        }
        let anonymous =
            Objects::new(self.client_as(|auth| *auth = kube::config::AuthInfo::default())?);
        let info = anonymous
            .get("/api/v1/namespaces/kube-public/configmaps/cluster-info")
            .await
            .map_err(|refused| refused.text())?;
        let info = info.ok_or("configmaps \"cluster-info\" not found in namespace kube-public")?;
        let ca = authority(text(&info["data"]["kubeconfig"]))
            .ok_or("cluster-info holds no certificate authority")?;
        let hash =
            public_key_hash(&ca).ok_or("cluster-info's certificate authority can't be read")?;
        if ca_hashes.is_empty() && !skip_ca_verification {
            return Err("using token-based discovery without caCertHashes can be unsafe: give --discovery-token-ca-cert-hash".into());
        }
        if !ca_hashes.is_empty() && !ca_hashes.iter().any(|given| given.eq_ignore_ascii_case(&hash))
        {
            return Err(format!(
                "cluster CA found in cluster-info ConfigMap is invalid: none of the public keys \"{hash}\" are pinned"
            ));
        }
        let bootstrap = Objects::new(self.client_as(|auth| {
            *auth = kube::config::AuthInfo {
                token: Some(token.to_owned().into()),
                ..kube::config::AuthInfo::default()
            };
        })?);
        let config =
            bootstrap.get("/api/v1/namespaces/kube-system/configmaps/kubeadm-config").await;
        let config =
            config.map_err(|refused| format!("failed to get config map: {}", refused.text()))?;
        config.map(|_| ()).ok_or_else(|| {
            "configmaps \"kubeadm-config\" not found in namespace kube-system".into()
        })
    }

    /// What the kubelet does once it has its certificate, made out to `certificate_name`.
    pub async fn register(&self, certificate_name: &str, node: &NodeRequest) -> Result<(), String> {
        if certificate_name != node.name {
            return Err(format!(
                "Unable to register node with API server: nodes \"{}\" is forbidden: node \"{certificate_name}\" is not allowed to modify node \"{}\"",
                node.name, node.name
            ));
        }
        let fine = node.provider_id.split_once('.').is_some_and(|(region, instance)| {
            !region.is_empty() && instance.starts_with("i-") && !instance.contains(['/', ',', ' '])
        });
        if !fine {
            return Err(format!(
                "provider ID {:?} is not REGION.INSTANCE: the registered cluster could not manage this node",
                node.provider_id
            ));
        }
        let refused: Vec<&str> = node
            .labels
            .iter()
            .map(|(key, _)| key.as_str())
            .filter(|key| !kubelet_may_set(key))
            .collect();
        if !refused.is_empty() {
            return Err(format!(
                "unknown 'kubernetes.io' or 'k8s.io' labels specified with --node-labels: {refused:?}"
            ));
        }
        // A machine that is switched off in the middle of its script registers nothing.
        let ended = self.kubelets.ended.lock().await;
        let instance = node.provider_id.rsplit_once('.').map_or("", |(_, instance)| instance);
        if ended.contains(instance) {
            return Err(format!("instance {instance} was terminated"));
        }
        let kubelet = Objects::new(self.client_as(|auth| {
            auth.impersonate = Some(format!("system:node:{certificate_name}"));
            auth.impersonate_groups = Some(vec!["system:nodes".into()]);
        })?);
        let at = format!("/api/v1/nodes/{}", node.name);
        let there = kubelet.get(&at).await.map_err(|refused| refused.text())?;
        let registered = match &there {
            Some(present) if is_ready(present) => {
                return Err(format!(
                    "a Node with name \"{}\" and status \"Ready\" already exists in the cluster",
                    node.name
                ));
            }
            // A kubelet that comes back keeps its Node and brings its labels up to date.
            Some(present) => rejoin(&kubelet, &at, present, node).await?,
            None => kubelet.create("/api/v1/nodes", &self.node_object(node)).await.map_err(
                |refused| format!("Unable to register node with API server: {}", refused.text()),
            )?,
        };
        self.kubelets.add(&node.name, &node.ip);
        let lease = lease(&registered);
        let created = kubelet
            .create("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases", &lease)
            .await;
        match created {
            Err(refused) if refused.code() != 409 => Err(refused.text()),
            _ => Ok(()),
        }
    }

    async fn is_signing(&self, id: &str, secret: &str) -> Result<bool, String> {
        let at = format!("/api/v1/namespaces/kube-system/secrets/bootstrap-token-{id}");
        let Some(object) =
            self.kubelets.objects.get(&at).await.map_err(|refused| refused.text())?
        else {
            return Ok(false);
        };
        let field = |key: &str| -> Option<String> {
            String::from_utf8(BASE64.decode(object["data"][key].as_str()?).ok()?).ok()
        };
        let alive = field("expiration")
            .is_none_or(|text| text.parse::<jiff::Timestamp>().is_ok_and(|end| end > now()));
        let signs = field("usage-bootstrap-signing").as_deref() == Some("true");
        Ok(alive && signs && field("token-secret").as_deref() == Some(secret))
    }

    pub(super) fn client_as(
        &self,
        change: impl FnOnce(&mut kube::config::AuthInfo),
    ) -> Result<Client, String> {
        let mut config = self.config.clone();
        change(&mut config.auth_info);
        Client::try_from(config).map_err(|error| error.to_string())
    }

    fn node_object(&self, node: &NodeRequest) -> Value {
        let mut labels = json!({"kubernetes.io/hostname": node.name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64", "beta.kubernetes.io/os": "linux", "beta.kubernetes.io/arch": "amd64"});
        for (key, value) in &node.labels {
            labels[key] = json!(value);
        }
        let mut taints: Vec<Value> = node
            .taints
            .iter()
            .map(|(key, value, effect)| json!({"key": key, "value": value, "effect": effect}))
            .collect();
        taints.push(json!({"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}));
        let version = if node.kubelet_version.is_empty() {
            &self.cluster.data_center.kubernetes_version
        } else {
            &node.kubelet_version
        };
        json!({
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": node.name, "labels": labels},
            "spec": {"providerID": node.provider_id, "taints": taints},
            "status": status(&node.name, &node.ip, version, false),
        })
    }
}

/// The status with which a kubelet registers.
pub(super) fn status(name: &str, ip: &str, version: &str, ready: bool) -> Value {
    let condition = |kind: &str, status: &str, reason: &str, message: &str| json!({"type": kind, "status": status, "reason": reason, "message": message, "lastHeartbeatTime": stamp(), "lastTransitionTime": stamp()});
    let network = "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:Network plugin returns error: cni plugin not initialized";
    let (readiness, reason, message) = if ready {
        ("True", "KubeletReady", "kubelet is posting ready status")
    } else {
        ("False", "KubeletNotReady", network)
    };
    json!({
        "addresses": [{"type": "InternalIP", "address": ip}, {"type": "Hostname", "address": name}],
        "capacity": {"cpu": "4", "memory": "16Gi", "pods": "110"}, "allocatable": {"cpu": "4", "memory": "15Gi", "pods": "110"},
        "conditions": [
            condition("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
            condition("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
            condition("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
            condition("Ready", readiness, reason, message),
        ],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
        "nodeInfo": {"kubeletVersion": format!("v{version}"), "kubeProxyVersion": format!("v{version}"), "containerRuntimeVersion": "containerd://1.7.20", "operatingSystem": "linux",
            "architecture": "amd64", "osImage": "Alibaba Cloud Linux 3", "kernelVersion": "5.10.134", "machineID": "", "systemUUID": "", "bootID": ""},
    })
}

async fn rejoin(
    kubelet: &Objects,
    at: &str,
    present: &Value,
    node: &NodeRequest,
) -> Result<Value, String> {
    let provider = text(&present["spec"]["providerID"]);
    if !provider.is_empty() && provider != node.provider_id {
        return Err(format!(
            "Node \"{}\" is another instance's: its provider ID is {provider}",
            node.name
        ));
    }
    let labels: serde_json::Map<String, Value> =
        node.labels.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
    let patch = json!({"metadata": {"labels": labels}, "spec": {"providerID": node.provider_id}});
    let patched = kubelet.merge(at, &patch).await.map_err(|refused| refused.text())?;
    patched.ok_or_else(|| format!("nodes \"{}\" not found", node.name))
}

fn lease(node: &Value) -> Value {
    let name = &node["metadata"]["name"];
    json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": name, "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": name, "uid": node["metadata"]["uid"]}]},
        "spec": {"holderIdentity": name, "leaseDurationSeconds": 40},
    })
}

fn is_token_part(text: &str, length: usize) -> bool {
    text.len() == length && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
}

/// The CA certificate (DER) in a kubeconfig text.
fn authority(kubeconfig: &str) -> Option<Vec<u8>> {
    let config: Value = serde_saphyr::from_str(kubeconfig).ok()?;
    let encoded =
        text(&items(&config["clusters"]).first()?["cluster"]["certificate-authority-data"]);
    let pem = String::from_utf8(BASE64.decode(encoded).ok()?).ok()?;
    let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    BASE64.decode(body).ok()
}

/// `sha256:HEX` of a certificate's public key, as kubeadm pins it.
pub(super) fn public_key_hash(certificate: &[u8]) -> Option<String> {
    let (_, certificate, _) = element(certificate)?;
    let (_, mut rest, _) = element(certificate)?;
    // version?, serial, signature algorithm, issuer, validity, subject, then the key.
    let (whole, _, after) = element(rest)?;
    if whole.first() == Some(&0xa0) {
        rest = after;
    }
    for _ in 0..5 {
        rest = element(rest)?.2;
    }
    let (key, _, _) = element(rest)?;
    Some(format!("sha256:{}", hex::encode(Sha256::digest(key))))
}

/// The first DER element: whole, content, and what follows.
fn element(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let first = usize::from(*bytes.get(1)?);
    let (header, length) = if first < 0x80 {
        (2, first)
    } else {
        let digits = bytes.get(2..2 + (first & 0x7f))?;
        (
            2 + digits.len(),
            digits.iter().try_fold(0_usize, |length, digit| {
                length.checked_mul(256)?.checked_add(usize::from(*digit))
            })?,
        )
    };
    let end = header.checked_add(length)?;
    Some((bytes.get(..end)?, bytes.get(header..end)?, bytes.get(end..)?))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, PublicKeyData as _};

    use super::*;

    #[test]
    fn the_hash_is_that_of_the_certificate_s_public_key() {
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(vec!["a".to_owned()]).unwrap().self_signed(&key).unwrap();
        let expected =
            format!("sha256:{}", hex::encode(Sha256::digest(key.subject_public_key_info())));
        assert_eq!(public_key_hash(certificate.der()).unwrap(), expected);
        assert_eq!(public_key_hash(&certificate.der()[..40]), None);
    }
}
