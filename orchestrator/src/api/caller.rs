//! What a call brings beside its message: who calls, and the trace that it belongs to.

use causeway_engine::event::By;
use causeway_proto::form;
use prost::{Message, Name};
use tonic::{Request, metadata::MetadataMap};

use super::status::Error;
use crate::{
    auth::{Authenticator, Principal},
    config::Role,
};

/// Recognises the caller, who must have at least `role`, and looks at the form of the request: the one way in, so that no call
/// is answered without.
pub(super) fn admit<T: Message + Name>(
    authenticator: &Authenticator,
    request: &Request<T>,
    role: Role,
) -> Result<Principal, Error> {
    let principal = recognise(authenticator, request, role)?;
    let violations = form::check(request.get_ref());
    if violations.is_empty() { Ok(principal) } else { Err(Error::Invalid(violations)) }
}

/// Recognises the caller only: for requests whose form is looked at with all else that may be wrong with them.
pub(super) fn recognise<T>(
    authenticator: &Authenticator,
    request: &Request<T>,
    role: Role,
) -> Result<Principal, Error> {
    let header = request.metadata().get("authorization").and_then(|value| value.to_str().ok());
    let principal = authenticator.recognise(header).map_err(|error| {
        tracing::warn!(remote = ?request.remote_addr(), %error, "A caller was not recognised");
        Error::Unauthenticated(error.to_string())
    })?;
    if principal.role < role {
        tracing::warn!(principal = %principal.name, needs = ?role, "A caller was refused");
        return Err(Error::Denied(format!(
            "{} has the role {}, and this call needs {}",
            principal.name,
            word(principal.role),
            word(role)
        )));
    }
    Ok(principal)
}

/// Who did something, for the journal.
pub(super) fn by(principal: &Principal, reason: &str) -> By {
    By { principal: principal.name.clone(), reason: reason.to_owned() }
}

/// The W3C trace context of the call; empty where it brings none that is well formed.
pub(super) fn traceparent(metadata: &MetadataMap) -> String {
    let text =
        metadata.get("traceparent").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let lengths: Vec<_> = text.split('-').map(str::len).collect();
    let hex = text
        .bytes()
        .all(|byte| byte == b'-' || byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    if lengths == [2, 32, 16, 2] && hex { text.to_owned() } else { String::new() }
}

fn word(role: Role) -> &'static str {
    match role {
        Role::Viewer => "viewer",
        Role::Operator => "operator",
        Role::Approver => "approver",
        Role::Admin => "admin",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_well_formed_trace_context_is_taken() {
        let parse = |text: &str| {
            let mut metadata = MetadataMap::new();
            metadata.insert("traceparent", text.parse().unwrap());
            traceparent(&metadata)
        };
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(parse(good), good);
        assert_eq!(parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331"), "");
        assert_eq!(parse(&good.to_uppercase().replace("00-0AF", "00-0AX")), "");
        assert_eq!(traceparent(&MetadataMap::new()), "");
    }
}
