//! Verification of OSS signatures: V4 and V1, each in a header or in a presigned URL. It must not know the daemon's
//! signer, nor what the objects are.

use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::cloud::incoming::{Incoming, encode, encode_path};

const V4: &str = "OSS4-HMAC-SHA256";

/// Query keys that V1 counts among the resource.
const V1_SUBRESOURCES: [&str; 22] = [
    "acl",
    "bucketInfo",
    "cors",
    "delete",
    "encryption",
    "lifecycle",
    "location",
    "logging",
    "partNumber",
    "policy",
    "publicAccessBlock",
    "referer",
    "security-token",
    "tagging",
    "uploadId",
    "uploads",
    "versionId",
    "versioning",
    "versions",
    "website",
    "x-oss-process",
    "worm",
];

/// The claim that a request makes: who signed it, when, how.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) access_key_id: String,
    pub(crate) signature: String,
    scheme: Scheme,
    presigned: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Scheme {
    /// Day and region of the scope, names of the additional headers.
    V4 {
        scope: String,
        additional: Vec<String>,
    },
    V1,
}

/// When a signature may be used.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Validity {
    /// Within 15 minutes of this time, in the text form of the header that gives it.
    Around(String),
    /// `x-oss-date` and seconds.
    For(String, i64),
    /// Until this Unix time.
    Until(i64),
}

impl Claim {
    /// The claim of a request; `None` for an anonymous one; an error for one that can't be read.
    pub(crate) fn of(request: &Incoming) -> Result<Option<Self>, String> {
        if let Some(header) = request.header("authorization") {
            return match header.strip_prefix(V4) {
                Some(fields) => Self::v4_header(fields).map(Some),
                None => Self::v1_header(header).map(Some),
            };
        }
        if request.query_value("x-oss-signature-version") == Some(V4) {
            let value = |name: &str| request.query_value(name).unwrap_or_default();
            let (access_key_id, scope) = split_credential(value("x-oss-credential"))?;
            let additional = names(value("x-oss-additional-headers"));
            return Ok(Some(Self {
                access_key_id,
                signature: value("x-oss-signature").into(),
                scheme: Scheme::V4 { scope, additional },
                presigned: true,
            }));
        }
        let (id, signature) =
            (request.query_value("OSSAccessKeyId"), request.query_value("Signature"));
        let (Some(id), Some(signature)) = (id, signature) else {
            return Ok(None);
        };
        Ok(Some(Self {
            access_key_id: id.into(),
            signature: signature.into(),
            scheme: Scheme::V1,
            presigned: true,
        }))
    }

    fn v4_header(fields: &str) -> Result<Self, String> {
        let (mut credential, mut additional, mut signature) = ("", Vec::new(), "");
        for field in fields.split(',') {
            match field.trim().split_once('=') {
                Some(("Credential", value)) => credential = value,
                Some(("AdditionalHeaders", value)) => additional = names(value),
                Some(("Signature", value)) => signature = value,
                _ => return Err("Authorization: an unknown field".into()),
            }
        }
        let (access_key_id, scope) = split_credential(credential)?;
        Ok(Self {
            access_key_id,
            signature: signature.into(),
            scheme: Scheme::V4 { scope, additional },
            presigned: false,
        })
    }

    fn v1_header(header: &str) -> Result<Self, String> {
        let pair = header.strip_prefix("OSS ").and_then(|rest| rest.split_once(':'));
        let (id, signature) = pair.ok_or("Authorization: neither OSS V4 nor V1")?;
        Ok(Self {
            access_key_id: id.trim().into(),
            signature: signature.trim().into(),
            scheme: Scheme::V1,
            presigned: false,
        })
    }

    /// When the signature may be used, as the request says.
    pub(crate) fn validity(&self, request: &Incoming) -> Result<Validity, String> {
        let query = |name: &str| request.query_value(name).unwrap_or_default();
        let number = |name: &str| -> Result<i64, String> {
            query(name).parse().map_err(|_| format!("{name} is no number"))
        };
        Ok(match (&self.scheme, self.presigned) {
            (Scheme::V4 { .. }, true) => {
                Validity::For(query("x-oss-date").into(), number("x-oss-expires")?)
            }
            (Scheme::V1, true) => Validity::Until(number("Expires")?),
            (_, false) => {
                let date = request.header("x-oss-date").or_else(|| request.header("date"));
                Validity::Around(date.ok_or("x-oss-date or Date is needed")?.into())
            }
        })
    }

    /// Checks the signature against a secret; the error is the text it should have been made over.
    pub(crate) fn verify(
        &self,
        request: &Incoming,
        bucket: &str,
        key: &str,
        secret: &str,
    ) -> Result<(), String> {
        let (text, good) = match &self.scheme {
            Scheme::V4 { scope, additional } => {
                let text = self.v4_text(request, bucket, key, scope, additional);
                let signing_key = v4_key(secret, scope);
                let good = hmac256(&signing_key, &text);
                (text, hex::encode(good))
            }
            Scheme::V1 => {
                let text = self.v1_text(request, bucket, key);
                let mut mac = Hmac::<Sha1>::new_from_slice(secret.as_bytes())
                    .expect("HMAC takes a key of any length");
                mac.update(text.as_bytes());
                (text, BASE64_STANDARD.encode(mac.finalize().into_bytes()))
            }
        };
        if good == self.signature { Ok(()) } else { Err(text) }
    }

    fn v4_text(
        &self,
        request: &Incoming,
        bucket: &str,
        key: &str,
        scope: &str,
        additional: &[String],
    ) -> String {
        let mut query: Vec<String> = request
            .query
            .iter()
            .filter(|(key, _)| key != "x-oss-signature")
            .map(|(key, value)| match value.as_deref() {
                None | Some("") => encode(key),
                Some(value) => format!("{}={}", encode(key), encode(value)),
            })
            .collect();
        query.sort();
        let mut signed: Vec<&str> = request.headers.keys().map(http::HeaderName::as_str).collect();
        signed.retain(|name| {
            let always = ["content-type", "content-md5"].contains(name);
            always || name.starts_with("x-oss-") || additional.iter().any(|other| other == name)
        });
        signed.sort_unstable();
        let headers: String = signed
            .iter()
            .map(|name| format!("{name}:{}\n", request.header(name).unwrap_or_default()))
            .collect();
        let uri = encode_path(&resource(bucket, key));
        let payload = request.header("x-oss-content-sha256").unwrap_or("UNSIGNED-PAYLOAD");
        let canonical =
            [&request.method, &uri, &query.join("&"), &headers, &additional.join(";"), payload]
                .join("\n");
        let date = match self.presigned {
            true => request.query_value("x-oss-date"),
            false => request.header("x-oss-date"),
        };
        let hash = hex::encode(Sha256::digest(canonical.as_bytes()));
        format!("{V4}\n{}\n{scope}\n{hash}", date.unwrap_or_default())
    }

    fn v1_text(&self, request: &Incoming, bucket: &str, key: &str) -> String {
        let header = |name: &str| request.header(name).unwrap_or_default();
        let date = match self.presigned {
            true => request.query_value("Expires").unwrap_or_default(),
            false => header("date"),
        };
        let mut names: Vec<&str> = request.headers.keys().map(http::HeaderName::as_str).collect();
        names.retain(|name| name.starts_with("x-oss-"));
        names.sort_unstable();
        let headers: String =
            names.iter().map(|name| format!("{name}:{}\n", header(name))).collect();
        let mut sub: Vec<String> = request
            .query
            .iter()
            .filter(|(key, _)| {
                V1_SUBRESOURCES.contains(&key.as_str()) || key.starts_with("response-")
            })
            .map(|(key, value)| match value.as_deref() {
                None | Some("") => key.clone(),
                Some(value) => format!("{key}={value}"),
            })
            .collect();
        sub.sort();
        let mark = if sub.is_empty() { "" } else { "?" };
        format!(
            "{}\n{}\n{}\n{date}\n{headers}{}{mark}{}",
            request.method,
            header("content-md5"),
            header("content-type"),
            resource(bucket, key),
            sub.join("&"),
        )
    }
}

/// `/`, `/BUCKET/` or `/BUCKET/KEY`, not encoded.
fn resource(bucket: &str, key: &str) -> String {
    if bucket.is_empty() { "/".into() } else { format!("/{bucket}/{key}") }
}

fn names(list: &str) -> Vec<String> {
    let mut names: Vec<String> =
        list.split(';').filter(|name| !name.is_empty()).map(str::to_lowercase).collect();
    names.sort();
    names
}

fn split_credential(credential: &str) -> Result<(String, String), String> {
    let (id, scope) = credential.split_once('/').ok_or("the credential has no scope")?;
    let fits = scope.split('/').count() == 4 && scope.ends_with("/oss/aliyun_v4_request");
    if !fits {
        return Err("the credential's scope must be DATE/REGION/oss/aliyun_v4_request".into());
    }
    Ok((id.into(), scope.into()))
}

fn v4_key(secret: &str, scope: &str) -> Vec<u8> {
    let start = format!("aliyun_v4{secret}").into_bytes();
    scope.split('/').fold(start, |key, part| hmac256(&key, part))
}

fn hmac256(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::incoming::parse_query;

    const ID: &str = "LTAI5tDummyAccessKey0001";
    const SECRET: &str = "DummySecretForTestVectors00001";
    const KEY: &str = "hybrid/init-node-ecs.sh";
    const BUCKET: &str = "kubelet-demo";
    const PUT: [(&str, &str); 4] = [
        ("content-md5", "XaRKAZ35tzU0GGaFaNu5sg=="),
        ("content-type", "text/x-sh"),
        ("x-oss-forbid-overwrite", "true"),
        ("x-oss-object-acl", "private"),
    ];
    const V4_DATE: [(&str, &str); 2] =
        [("x-oss-content-sha256", "UNSIGNED-PAYLOAD"), ("x-oss-date", "20261123T080000Z")];
    const V1_DATE: [(&str, &str); 1] = [("date", "Mon, 23 Nov 2026 08:00:00 GMT")];
    const TOKEN: [(&str, &str); 1] = [("x-oss-security-token", "STS.DummyToken")];

    fn request(method: &str, query: &str, headers: &[&[(&str, &str)]]) -> Incoming {
        let mut request =
            Incoming { method: method.into(), query: parse_query(query), ..Incoming::default() };
        for (name, value) in headers.iter().copied().flatten() {
            let name: http::HeaderName = name.parse().unwrap();
            request.headers.insert(name, value.parse().unwrap());
        }
        request
    }

    fn with_v4(mut request: Incoming, signature: &str) -> Incoming {
        let header = format!(
            "{V4} Credential={ID}/20261123/cn-hangzhou/oss/aliyun_v4_request,Signature={signature}"
        );
        request.headers.insert("authorization", header.parse().unwrap());
        request
    }

    fn with_v1(mut request: Incoming, signature: &str) -> Incoming {
        request.headers.insert("authorization", format!("OSS {ID}:{signature}").parse().unwrap());
        request
    }

    fn check(request: &Incoming, key: &str) {
        let claim = Claim::of(request).unwrap().unwrap();
        assert_eq!(claim.access_key_id, ID);
        assert_eq!(claim.verify(request, BUCKET, key, SECRET), Ok(()));
        assert!(claim.verify(request, BUCKET, key, "another").is_err());
        assert!(claim.verify(request, BUCKET, "another", SECRET).is_err());
    }

    #[test]
    fn the_v4_header_vectors_hold() {
        let put = request("PUT", "", &[&PUT, &V4_DATE]);
        check(
            &with_v4(put, "68776c96fa73a3a0b35246cf53298b8138ec0c88cbc706bbabae0e76637c3893"),
            KEY,
        );
        let get = request("GET", "", &[&V4_DATE, &TOKEN]);
        check(
            &with_v4(get, "988bdd4faaaa27a9a4349aba6d1ec9250b11d107a608b0bd22955800ab426858"),
            KEY,
        );
        let acl = request("GET", "acl", &[&V4_DATE]);
        check(
            &with_v4(acl, "0838fd1c05d1efe94e88567d2af0e05abe5cf1c6405ff711aa59a4460b5169c6"),
            "a b+c.sh",
        );
    }

    #[test]
    fn the_v4_presigned_vectors_hold() {
        let query = format!(
            "x-oss-signature-version={V4}&x-oss-date=20261123T080000Z&x-oss-expires=3600\
             &x-oss-credential={ID}%2F20261123%2Fcn-hangzhou%2Foss%2Faliyun_v4_request"
        );
        let plain = "7458cd8d46cdc892783b40d9ef30cc8cf46d4de5b5da642915046db48e45f64a";
        let token = "5b88ecd2c30d7fe4895ec4bb7539adc0a961e072d359737a227e25e318cf76e5";
        let plain = request("GET", &format!("{query}&x-oss-signature={plain}"), &[]);
        check(&plain, KEY);
        let query = format!("{query}&x-oss-security-token=STS.DummyToken&x-oss-signature={token}");
        check(&request("GET", &query, &[]), KEY);
        let claim = Claim::of(&plain).unwrap().unwrap();
        let validity = Validity::For("20261123T080000Z".into(), 3600);
        assert_eq!(claim.validity(&plain), Ok(validity));
    }

    #[test]
    fn the_v1_vectors_hold() {
        check(&with_v1(request("PUT", "", &[&PUT, &V1_DATE]), "QYyVwYiu7/CNFvttrVLj228ka+s="), KEY);
        check(&with_v1(request("GET", "", &[&V1_DATE]), "CvNo5Ki1buY2yhpzePviBjZIjN8="), KEY);
        let token = request("GET", "", &[&V1_DATE, &TOKEN]);
        check(&with_v1(token, "sG85iG+aWvSGFGPZot6r1JgYoLs="), KEY);
        let query = format!(
            "OSSAccessKeyId={ID}&Expires=1795424400&Signature=LKxENdkmsorHbVHNlr9gtE0A1wE%3D"
        );
        check(&request("GET", &query, &[]), KEY);
    }

    #[test]
    fn a_request_without_signature_is_anonymous_and_a_broken_one_is_an_error() {
        assert_eq!(Claim::of(&request("GET", "", &[])), Ok(None));
        let broken = request("GET", "", &[&[("authorization", "Bearer x")]]);
        assert!(Claim::of(&broken).is_err());
    }
}
