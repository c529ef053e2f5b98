//! How a Terway pod starts: it reads its configuration and credentials once, and asks the cloud for an interface.
//! Facts: reference, sections 5.1 to 5.4.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde_json::Value;

use super::{
    kubelet::Kubelets,
    objects::{Objects, items, path, text},
};

/// The add-on, its DaemonSet, and the value of its pods' label `app`.
pub(super) const NAME: &str = "terway-eniip";

/// Starts the pod's processes; the error is what the container's log would say.
pub(super) async fn start(kubelets: &Kubelets, pod: &Value) -> Result<(), String> {
    let conf = configuration(&kubelets.objects).await?;
    let node = format!("/api/v1/nodes/{}", text(&pod["spec"]["nodeName"]));
    let node =
        kubelets.objects.get(&node).await.map_err(|refused| refused.text())?.unwrap_or_default();
    let provider_id = text(&node["spec"]["providerID"]);
    let zone = kubelets
        .eni
        .zone(provider_id)
        .await
        .ok_or_else(|| format!("metadata service: no zone for {provider_id:?}"))?;
    // The real one would silently take the node's own vSwitch; here that is an error, as it is never wanted.
    let vswitch = conf["vswitches"][&zone].get(0).and_then(Value::as_str).ok_or_else(|| {
        let keys: Vec<&str> = conf["vswitches"]
            .as_object()
            .into_iter()
            .flat_map(|map| map.keys())
            .map(String::as_str)
            .collect();
        format!("no pod vSwitch for zone {zone} in eni_conf.vswitches, whose keys are {keys:?}")
    })?;
    let (id, secret) = credentials(&kubelets.objects, &conf, pod).await?;
    kubelets.eni.attach(&kubelets.cluster_id, provider_id, &id, &secret, vswitch).await
}

async fn configuration(objects: &Objects) -> Result<Value, String> {
    let at = format!("{}/eni-config", path("v1", "kube-system", "configmaps"));
    let map = objects
        .get(&at)
        .await
        .map_err(|refused| refused.text())?
        .ok_or("MountVolume.SetUp failed: configmap \"eni-config\" not found")?;
    let conf: Value = serde_json::from_str(text(&map["data"]["eni_conf"]))
        .map_err(|error| format!("failed process input: eni_conf is not JSON: {error}"))?;
    let services = text(&conf["service_cidr"]);
    if !services.split(',').all(is_cidr) {
        return Err(format!("invalid service_cidr {services:?} in eni_conf: invalid CIDR address"));
    }
    for field in ["security_group", "security_groups"] {
        if conf[field].to_string().contains("{{") {
            return Err(format!("{field} {} in eni_conf is still a placeholder", conf[field]));
        }
    }
    Ok(conf)
}

fn is_cidr(text: &str) -> bool {
    text.split_once('/').is_some_and(|(base, length)| {
        base.parse::<std::net::IpAddr>().is_ok()
            && length.parse::<u8>().is_ok_and(|length| length <= 128)
    })
}

/// From 1.8 on the Secret wins when both its values are there; else what `eni_conf` says.
async fn credentials(
    objects: &Objects,
    conf: &Value,
    pod: &Value,
) -> Result<(String, String), String> {
    if reads_secret(pod) {
        let at = format!("{}/alibaba-addon-secret", path("v1", "kube-system", "secrets"));
        let secret = objects.get(&at).await.map_err(|refused| refused.text())?.unwrap_or_default();
        let value = |key: &str| {
            BASE64
                .decode(text(&secret["data"][key]))
                .ok()
                .and_then(|bytes| String::from_utf8(bytes).ok())
                .unwrap_or_default()
        };
        let (id, key) = (value("access-key-id"), value("access-key-secret"));
        if !id.is_empty() && !key.is_empty() {
            return Ok((id, key));
        }
    }
    let (id, key) = (text(&conf["access_key"]).to_owned(), text(&conf["access_secret"]).to_owned());
    if id.is_empty() || key.is_empty() {
        return Err("unable to get credentials: neither Secret alibaba-addon-secret nor access_key and access_secret of eni_conf, and the instance has no RAM role".into());
    }
    Ok((id, key))
}

fn reads_secret(pod: &Value) -> bool {
    let images =
        items(&pod["spec"]["containers"]).iter().map(|container| text(&container["image"]));
    let version = images
        .filter_map(|image| image.rsplit_once(":v"))
        .map(|(_, version)| version.to_owned())
        .next()
        .unwrap_or_default();
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) >= (1, 8)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_secret_is_read_from_1_8_on() {
        for (image, reads) in [
            ("r/acs/terway:v1.8.0", true),
            ("r/acs/terway:v1.13.2", true),
            ("r/acs/terway:v1.7.9", false),
            ("r/acs/terway", false),
        ] {
            assert_eq!(
                reads_secret(&json!({"spec": {"containers": [{"image": image}]}})),
                reads,
                "{image}"
            );
        }
    }

    #[test]
    fn a_placeholder_is_no_cidr() {
        assert!(is_cidr("172.16.0.0/16"));
        assert!(!is_cidr("{{.ServiceCIDR}}"));
        assert!(!is_cidr("172.16.0.0"));
    }
}
