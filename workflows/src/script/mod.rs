//! The init script that makes an instance a node of the data center's cluster: text made of facts, the same for the same
//! facts. It knows no step, no bucket and no cloud call. The result holds a join token, so it is a secret.

use causeway_engine::Failure;
use md5::{Digest as _, Md5};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

/// The script with places for the facts.
const TEMPLATE: &str = include_str!("init-node-ecs.sh");
/// Hex digits of the hash in an object's key: enough that no two scripts ever meet.
const KEY_DIGITS: usize = 20;

/// What the script must know of the cluster.
pub struct Facts<'a> {
    /// The registered cluster, for whoever reads the script.
    pub cluster_id: &'a str,
    /// `HOST:PORT` as cloud nodes reach it.
    pub api_server: &'a str,
    /// The bootstrap token, `ID.SECRET`.
    pub token: &'a SecretString,
    /// `sha256:` and the hash of the cluster CA's public key.
    pub ca_hash: &'a str,
    /// `1.30.4`, also as `v1.30.4` or with a vendor's suffix.
    pub kubernetes_version: &'a str,
    /// A version of the package; empty: the newest there.
    pub containerd_version: &'a str,
}

/// A rendered script.
pub struct Script {
    text: SecretString,
}

impl Script {
    /// The bytes to publish. They hold the join token.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.text.expose_secret().as_bytes()
    }

    /// SHA-256 of the bytes, in hex.
    #[must_use]
    pub fn sha256(&self) -> String {
        hex::encode(Sha256::digest(self.bytes()))
    }

    /// MD5 of the bytes in upper-case hex, as OSS puts it in ETags.
    #[must_use]
    pub fn etag(&self) -> String {
        hex::encode_upper(Md5::digest(self.bytes()))
    }

    /// The object's key: other bytes have another key, so that no running scale-out ever sees its script change.
    #[must_use]
    pub fn key(&self, prefix: &str) -> String {
        format!("{prefix}init-node-ecs-{}.sh", &self.sha256()[..KEY_DIGITS])
    }
}

/// Writes the script.
///
/// # Errors
/// Permanent with code `SCRIPT_FACTS` where a fact has not the form that it must have; the token is never repeated.
pub fn render(facts: &Facts<'_>) -> Result<Script, Failure> {
    let version = plain_version(facts.kubernetes_version).ok_or_else(|| {
        refused(
            "the Kubernetes version",
            facts.kubernetes_version,
            "spec.init_script.render.kubernetes_version",
        )
    })?;
    let token = facts.token.expose_secret();
    if !is_token(token) {
        return Err(refused("the join token", "(not shown)", "spec.init_script.token"));
    }
    if !is_server(facts.api_server) {
        return Err(refused(
            "the API server's address",
            facts.api_server,
            "spec.on_premises.api_server",
        ));
    }
    if !is_ca_hash(facts.ca_hash) {
        return Err(refused(
            "the hash of the cluster's CA",
            facts.ca_hash,
            "the cluster's cluster-info",
        ));
    }
    if !is_word(facts.containerd_version, b".-+~:") {
        return Err(refused(
            "containerd's version",
            facts.containerd_version,
            "spec.init_script.render.runtime.containerd.version",
        ));
    }
    if !is_word(facts.cluster_id, b"-") {
        return Err(refused("the cluster's id", facts.cluster_id, "spec.cluster_id"));
    }
    let text = TEMPLATE
        .replace("@CLUSTER_ID@", facts.cluster_id)
        .replace("@API_SERVER@", &quoted(facts.api_server))
        .replace("@CA_HASH@", &quoted(facts.ca_hash))
        .replace("@KUBERNETES_VERSION@", &quoted(&version))
        .replace("@CONTAINERD_VERSION@", &quoted(facts.containerd_version))
        .replace("@JOIN_TOKEN@", &quoted(token));
    Ok(Script { text: text.into() })
}

fn refused(what: &str, value: &str, place: &str) -> Failure {
    Failure::permanent(format!("the init script can't be written: {what} is `{value}`, which has not the right form; look at {place}"))
        .with_code("SCRIPT_FACTS")
}

/// A word of the shell. What is quoted was checked to hold no quote.
fn quoted(word: &str) -> String {
    format!("'{word}'")
}

fn is_word(text: &str, more: &[u8]) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || more.contains(&byte))
}

fn is_token(text: &str) -> bool {
    let part = |text: &str, length| {
        text.len() == length
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    text.split_once('.').is_some_and(|(id, secret)| part(id, 6) && part(secret, 16))
}

fn is_server(text: &str) -> bool {
    let parts = text.rsplit_once(':');
    parts.is_some_and(|(host, port)| {
        !host.is_empty() && is_word(host, b".-") && port.parse::<u16>().is_ok_and(|port| port > 0)
    })
}

fn is_ca_hash(text: &str) -> bool {
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.strip_prefix("sha256:").is_some_and(|digits| digits.len() == 64 && digits.bytes().all(hex))
}

/// The three numbers, without a `v` before and a vendor's suffix behind: what packages are named by.
fn plain_version(text: &str) -> Option<String> {
    let text = text.strip_prefix('v').unwrap_or(text);
    let text = text.split(['-', '+']).next().unwrap_or_default();
    let number = |part: &str| {
        !part.is_empty() && part.len() <= 4 && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    (text.split('.').count() == 3 && text.split('.').all(number)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn token() -> SecretString {
        "abcdef.0123456789abcdef".into()
    }

    fn facts(token: &SecretString) -> Facts<'_> {
        Facts {
            cluster_id: "c106f377e16f34eb1808d6b9362c9abcd",
            api_server: "192.168.0.10:6443",
            token,
            ca_hash: HASH,
            kubernetes_version: "v1.30.4",
            containerd_version: "",
        }
    }

    #[test]
    fn the_rendered_script_is_the_golden_one() {
        let script = render(&facts(&token())).unwrap();
        let text = std::str::from_utf8(script.bytes()).unwrap();
        // After a change on purpose: UPDATE_GOLDEN=1 cargo test, then read the diff.
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/script/golden.sh");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(path, text).unwrap();
        }
        assert_eq!(text, std::fs::read_to_string(path).unwrap());
    }

    #[test]
    fn no_place_is_left_open() {
        let script = render(&facts(&token())).unwrap();
        let text = std::str::from_utf8(script.bytes()).unwrap();
        assert!(
            !text.lines().any(|line| line.contains("=@") || line.contains("@CLUSTER")),
            "{text}"
        );
        assert!(!text.contains("eval "));
        assert!(text.starts_with("#!/usr/bin/env bash\n") && text.ends_with("main \"$@\"\n"));
    }

    #[test]
    fn the_same_facts_make_the_same_bytes_and_others_another_key() {
        let one = render(&facts(&token())).unwrap();
        assert_eq!(one.key("causeway/"), render(&facts(&token())).unwrap().key("causeway/"));
        let other: SecretString = "abcdef.0123456789abcdee".into();
        assert_ne!(one.key("causeway/"), render(&facts(&other)).unwrap().key("causeway/"));
        assert!(one.key("causeway/").starts_with("causeway/init-node-ecs-"));
    }

    #[test]
    fn facts_that_could_break_out_of_their_quotes_are_refused() {
        let good = token();
        type Change = fn(&mut Facts<'_>);
        let bad: [(&str, Change); 5] = [
            ("API server", |facts| facts.api_server = "a'; reboot; ':1"),
            ("CA", |facts| facts.ca_hash = "sha256:x"),
            ("Kubernetes version", |facts| facts.kubernetes_version = "1.30"),
            ("containerd", |facts| facts.containerd_version = "1'"),
            ("cluster's id", |facts| facts.cluster_id = "c\n"),
        ];
        for (what, change) in bad {
            let mut facts = facts(&good);
            change(&mut facts);
            let failure = render(&facts).err().unwrap();
            assert!(failure.message.contains(what), "{what}: {}", failure.message);
            assert_eq!(failure.code.as_deref(), Some("SCRIPT_FACTS"));
        }
        let bad: SecretString = "abcdef.0123456789abcde'".into();
        let failure = render(&facts(&bad)).err().unwrap();
        assert!(!failure.message.contains("0123456789"), "{}", failure.message);
    }

    #[test]
    fn versions_lose_prefix_and_suffix() {
        assert_eq!(plain_version("v1.28.3-aliyun.1").as_deref(), Some("1.28.3"));
        assert_eq!(plain_version("1.31.0+k3s1").as_deref(), Some("1.31.0"));
        assert_eq!(plain_version("1.31"), None);
    }
}
