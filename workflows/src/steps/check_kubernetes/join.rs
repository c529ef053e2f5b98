//! What a new node needs to join: the address of the API server, the hash of its CA, the CIDR of the services.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use causeway_engine::Failure;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::Findings;
use crate::kubernetes::{Cluster, Resource};
use crate::spec::Document;

/// The way in for new nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Join {
    /// `HOST:PORT`.
    pub(super) api_server: String,
    /// `sha256:…`.
    pub(super) ca_hash: String,
}

#[derive(Deserialize)]
struct ClusterInfo {
    clusters: Vec<NamedCluster>,
}

#[derive(Deserialize)]
struct NamedCluster {
    cluster: ClusterEntry,
}

#[derive(Deserialize)]
struct ClusterEntry {
    #[serde(default)]
    server: String,
    #[serde(default, rename = "certificate-authority-data")]
    authority: String,
}

#[derive(Deserialize)]
struct KubeadmConfig {
    #[serde(default)]
    networking: Networking,
}

#[derive(Default, Deserialize)]
struct Networking {
    #[serde(default, rename = "serviceSubnet")]
    service_subnet: String,
}

/// Reads `kube-public/cluster-info`, which `kubeadm join` reads as well.
pub(super) async fn look(
    cluster: &Cluster,
    document: &Document,
    findings: &mut Findings,
) -> Result<Option<Join>, Failure> {
    let subject = "configmaps kube-public/cluster-info";
    let remedy = "run `kubeadm init phase bootstrap-token` in the data center";
    let Some(object) =
        cluster.get(&Resource::CONFIG_MAPS.at("kube-public", "cluster-info")).await?
    else {
        findings.error(
            "CLUSTER_INFO_MISSING",
            subject,
            "it is missing, and kubeadm join finds the cluster by it",
            remedy,
        );
        return Ok(None);
    };
    let text = object["data"]["kubeconfig"].as_str().unwrap_or_default();
    let Some(entry) = serde_saphyr::from_str::<ClusterInfo>(text)
        .ok()
        .and_then(|info| info.clusters.into_iter().next())
    else {
        findings.error("CLUSTER_INFO_UNREADABLE", subject, "its kubeconfig can't be read", remedy);
        return Ok(None);
    };
    let Some(ca_hash) = ca_hash(&entry.cluster.authority) else {
        findings.error(
            "CLUSTER_INFO_UNREADABLE",
            subject,
            "it holds no CA certificate that can be read",
            remedy,
        );
        return Ok(None);
    };
    let told = entry.cluster.server.trim_start_matches("https://").trim_end_matches('/');
    let given = &document.spec.on_premises.api_server;
    let api_server = if given.is_empty() { told } else { given.as_str() };
    judge_endpoint(api_server, told, document, findings);
    Ok(Some(Join { api_server: api_server.to_owned(), ca_hash }))
}

fn judge_endpoint(api_server: &str, told: &str, document: &Document, findings: &mut Findings) {
    let Some((host, port)) = api_server
        .rsplit_once(':')
        .filter(|(_, port)| port.parse::<u16>().is_ok_and(|port| port > 0))
    else {
        findings.error(
            "JOIN_ENDPOINT",
            api_server,
            "the API server's address for new nodes has no port",
            "give spec.on_premises.api_server as HOST:PORT",
        );
        return;
    };
    if api_server != told {
        findings.warning(
            "JOIN_ENDPOINT_DIFFERS",
            told,
            format!("cluster-info names {told}, the input {api_server}; a joining node talks to the first as well"),
            "make sure that cloud nodes reach both, or change cluster-info",
        );
    }
    match host.parse::<std::net::Ipv4Addr>() {
        Ok(ip) if ip.is_loopback() || ip.is_unspecified() || ip.is_link_local() => findings.error(
            "JOIN_ENDPOINT",
            api_server,
            "no other machine reaches this address",
            "give the address that cloud nodes reach as spec.on_premises.api_server",
        ),
        Ok(ip) => {
            let cidrs = document.spec.on_premises.node_cidrs.iter().filter_map(|cidr| cidr.parse::<ipnet::Ipv4Net>().ok());
            if !cidrs.into_iter().any(|cidr| cidr.contains(&ip)) {
                findings.warning(
                    "JOIN_ENDPOINT_ROUTE",
                    api_server,
                    "the address lies in none of spec.on_premises.node_cidrs, so that no route to it was checked",
                    "make sure that cloud nodes reach it",
                );
            }
        }
        Err(_) => findings.warning(
            "JOIN_ENDPOINT_NAME",
            api_server,
            format!("{host} is a name: whether cloud nodes can resolve and reach it can't be seen from here (port {port})"),
            "make sure that they can, or give an address",
        ),
    }
}

/// kubeadm's pin: the hash of the CA's public key (SubjectPublicKeyInfo, DER).
fn ca_hash(encoded: &str) -> Option<String> {
    let bundle = STANDARD.decode(encoded.trim()).ok()?;
    let (_, pem) = x509_parser::pem::parse_x509_pem(&bundle).ok()?;
    let certificate = pem.parse_x509().ok()?;
    Some(format!("sha256:{}", hex::encode(Sha256::digest(certificate.public_key().raw))))
}

/// The CIDR of the services: the input's, compared with what the cluster says of itself.
pub(super) async fn service_cidr(
    cluster: &Cluster,
    document: &Document,
    findings: &mut Findings,
) -> Result<String, Failure> {
    let given = &document.spec.on_premises.service_cidr;
    let config = cluster
        .get(&Resource::CONFIG_MAPS.at("kube-system", "kubeadm-config"))
        .await?
        .unwrap_or_default();
    let text = config["data"]["ClusterConfiguration"].as_str().unwrap_or_default();
    let told = serde_saphyr::from_str::<KubeadmConfig>(text)
        .map(|config| config.networking.service_subnet)
        .unwrap_or_default();
    let remedy = "give the data center's own service CIDR: Terway routes by it";
    if !told.is_empty() && !told.split(',').any(|one| one.trim() == given) {
        let message = format!("the input says {given}, the cluster's kubeadm-config {told}");
        findings.error("SERVICE_CIDR_DIFFERS", "spec.on_premises.service_cidr", message, remedy);
    }
    let service =
        cluster.get(&Resource::SERVICES.at("default", "kubernetes")).await?.unwrap_or_default();
    if let (Ok(ip), Ok(cidr)) = (
        service["spec"]["clusterIP"].as_str().unwrap_or_default().parse(),
        given.parse::<ipnet::IpNet>(),
    ) && !cidr.contains::<&std::net::IpAddr>(&ip)
    {
        let message =
            format!("the input says {given}, but Service default/kubernetes has the address {ip}");
        findings.error("SERVICE_CIDR_DIFFERS", "spec.on_premises.service_cidr", message, remedy);
    }
    Ok(given.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A self-signed CA made for this test: `openssl req -x509 -newkey ed25519 -nodes -subj /CN=test -days 36500`, and
    /// its hash by `openssl x509 -pubkey | openssl pkey -pubin -outform der | sha256sum`.
    const CA: &str = include_str!("testdata/ca.pem");
    const CA_HASH: &str = include_str!("testdata/ca.hash");

    #[test]
    fn the_ca_is_pinned_as_kubeadm_pins_it() {
        assert_eq!(ca_hash(&STANDARD.encode(CA)).unwrap(), format!("sha256:{}", CA_HASH.trim()));
        assert_eq!(ca_hash("bm8gcGVt"), None);
    }

    fn findings_for(api_server: &str, told: &str) -> Vec<String> {
        let mut document = Document::default();
        document.spec.on_premises.node_cidrs = vec!["192.168.0.0/24".to_owned()];
        let mut findings = Findings::default();
        judge_endpoint(api_server, told, &document, &mut findings);
        findings.0.into_iter().map(|finding| finding.code).collect()
    }

    #[test]
    fn an_endpoint_is_judged_by_what_cloud_nodes_can_do_with_it() {
        assert_eq!(findings_for("192.168.0.10:6443", "192.168.0.10:6443"), [""; 0]);
        assert_eq!(findings_for("192.168.0.10:6443", "10.0.0.1:6443"), ["JOIN_ENDPOINT_DIFFERS"]);
        assert_eq!(findings_for("127.0.0.1:6443", "127.0.0.1:6443"), ["JOIN_ENDPOINT"]);
        assert_eq!(findings_for("172.20.0.1:6443", "172.20.0.1:6443"), ["JOIN_ENDPOINT_ROUTE"]);
        assert_eq!(findings_for("api.dc:6443", "api.dc:6443"), ["JOIN_ENDPOINT_NAME"]);
        assert_eq!(findings_for("192.168.0.10", "192.168.0.10"), ["JOIN_ENDPOINT"]);
    }
}
