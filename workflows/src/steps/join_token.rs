//! Bootstrap tokens as kubeadm knows them: Secrets `kube-system/bootstrap-token-ID` of type
//! `bootstrap.kubernetes.io/token`. Shared by the check and by `mint-join-token`; it makes none.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use causeway_engine::{Failure, Time};
use secrecy::SecretString;
use serde_json::Value;

use crate::kubernetes::{Cluster, Resource};
use crate::sdk::Context;
use crate::spec::Document;

/// The namespace that bootstrap tokens live in.
pub(crate) const NAMESPACE: &str = "kube-system";
/// What their names begin with.
pub(crate) const NAME_PREFIX: &str = "bootstrap-token-";
/// Their type.
pub(crate) const TYPE: &str = "bootstrap.kubernetes.io/token";
/// What an existing token must still live for at the check: an hour is a build with slow instances.
pub(crate) const LIFE_MIN_MS: u64 = 60 * 60 * 1000;

/// A token that can be joined with.
pub(crate) struct JoinToken {
    /// `ID.SECRET`.
    pub(crate) token: SecretString,
    /// The bootstrap Secret's name.
    pub(crate) secret_name: String,
    /// When it ends, RFC 3339; empty: never.
    pub(crate) expires_at: String,
}

/// Why a token can't be used, in words without the token.
pub(crate) type Unfit = String;

/// Looks at the token that the input names, if it names one.
///
/// # Errors
/// As the calls failed.
pub(crate) async fn check(
    context: &Context,
    cluster: &Cluster,
    document: &Document,
    report: &mut (dyn FnMut(&str, &str, String, &str) + Send),
) -> Result<(), Failure> {
    let Some(reference) =
        document.spec.init_script.token.as_ref().and_then(|token| token.secret.as_ref())
    else {
        return Ok(());
    };
    if let Err(unfit) =
        existing(cluster, &reference.namespace, &reference.name, (context.now)()).await?
    {
        let remedy = "make a token with `kubeadm token create`, or let Causeway mint one (init_script.token.mint)";
        report("JOIN_TOKEN_UNFIT", "spec.init_script.token.secret", unfit, remedy);
    }
    Ok(())
}

/// The token in a Secret that the user names: a bootstrap token itself, or a Secret whose key `token` holds one.
///
/// # Errors
/// As the calls failed.
pub(crate) async fn existing(
    cluster: &Cluster,
    namespace: &str,
    name: &str,
    now: Time,
) -> Result<Result<JoinToken, Unfit>, Failure> {
    let Some(named) = cluster.get(&Resource::SECRETS.at(namespace, name)).await? else {
        return Ok(Err(format!("Secret {namespace}/{name} does not exist")));
    };
    if named["type"] == TYPE {
        return Ok(read(&named, now));
    }
    let Some(id) = field(&named, "token")
        .and_then(|token| token.split_once('.').map(|(id, _)| id.trim().to_owned()))
    else {
        return Ok(Err(format!(
            "Secret {namespace}/{name} is neither of type {TYPE}, nor has it a token under the key `token`"
        )));
    };
    let behind = format!("{NAME_PREFIX}{id}");
    let Some(bootstrap) = cluster.get(&Resource::SECRETS.at(NAMESPACE, &behind)).await? else {
        return Ok(Err(format!(
            "the token in Secret {namespace}/{name} is unknown to the cluster: there is no {NAMESPACE}/{behind}"
        )));
    };
    let token = read(&bootstrap, now);
    let same = |token: &JoinToken| {
        use secrecy::ExposeSecret;
        field(&named, "token").as_deref().map(str::trim) == Some(token.token.expose_secret())
    };
    Ok(token.and_then(|token| {
        if same(&token) {
            Ok(token)
        } else {
            Err(format!("the token in Secret {namespace}/{name} is not the cluster's"))
        }
    }))
}

/// Reads a bootstrap token's Secret, and judges whether nodes can join with it.
pub(crate) fn read(secret: &Value, now: Time) -> Result<JoinToken, Unfit> {
    let name = secret["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let (Some(id), Some(key)) = (field(secret, "token-id"), field(secret, "token-secret")) else {
        return Err(format!("Secret {name} has no token-id and token-secret"));
    };
    for usage in ["usage-bootstrap-authentication", "usage-bootstrap-signing"] {
        if field(secret, usage).as_deref() != Some("true") {
            return Err(format!(
                "the token of Secret {name} may not be used for joining: {usage} is not \"true\""
            ));
        }
    }
    let expires_at = field(secret, "expiration").unwrap_or_default();
    if !expires_at.is_empty() {
        let end: jiff::Timestamp = expires_at
            .parse()
            .map_err(|_| format!("the expiration of Secret {name} is no time"))?;
        let end = u64::try_from(end.as_millisecond()).unwrap_or(0);
        if end < now.plus_ms(LIFE_MIN_MS).0 {
            return Err(format!(
                "the token of Secret {name} ends at {expires_at}: nodes would come too late for it"
            ));
        }
    }
    Ok(JoinToken {
        token: SecretString::from(format!("{id}.{key}")),
        secret_name: name,
        expires_at,
    })
}

fn field(secret: &Value, key: &str) -> Option<String> {
    let bytes = STANDARD.decode(secret["data"][key].as_str()?).ok()?;
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn secret(expiration: &str, signing: &str) -> Value {
        let encode = |text: &str| STANDARD.encode(text);
        json!({"metadata": {"name": "bootstrap-token-abcdef"}, "type": TYPE, "data": {
            "token-id": encode("abcdef"), "token-secret": encode("0123456789abcdef"), "expiration": encode(expiration),
            "usage-bootstrap-authentication": encode("true"), "usage-bootstrap-signing": encode(signing)}})
    }

    const NOW: Time = Time(1_790_000_000_000); // 2026-09-21T14:13:20Z

    #[test]
    fn a_token_must_be_for_joining_and_live_long_enough() {
        assert!(read(&secret("2026-09-22T00:00:00Z", "true"), NOW).is_ok());
        assert!(
            read(&secret("2026-09-21T14:30:00Z", "true"), NOW)
                .is_err_and(|why| why.contains("too late"))
        );
        assert!(read(&secret("soon", "true"), NOW).is_err_and(|why| why.contains("no time")));
        assert!(
            read(&secret("2026-09-22T00:00:00Z", "false"), NOW)
                .is_err_and(|why| why.contains("usage-bootstrap-signing"))
        );
    }

    #[test]
    fn what_is_wrong_with_a_token_is_said_without_the_token() {
        let why = read(&secret("2026-01-01T00:00:00Z", "true"), NOW).err().unwrap();
        assert!(!why.contains("0123456789abcdef"), "{why}");
    }
}
