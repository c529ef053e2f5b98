//! Verification of ACS3-HMAC-SHA256 signatures, written from the published algorithm. It must not know the daemon's
//! signer, nor any product.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::incoming::{Incoming, encode, encode_path};

const ALGORITHM: &str = "ACS3-HMAC-SHA256";

/// What an `Authorization` header says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Authorization {
    pub(crate) access_key_id: String,
    /// Lower case, in the order given.
    pub(crate) signed_headers: Vec<String>,
    pub(crate) signature: String,
}

/// Why a signature does not hold.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The header can't be read, or a header that must be signed is not.
    Incomplete(String),
    /// It was made with another secret or over other text; this is what it should have been made over.
    Mismatch(String),
}

impl Authorization {
    /// Reads `ACS3-HMAC-SHA256 Credential=..,SignedHeaders=a;b,Signature=..`.
    pub(crate) fn parse(header: &str) -> Result<Self, Refusal> {
        let incomplete = |what: &str| Refusal::Incomplete(format!("Authorization: {what}"));
        let fields = header
            .strip_prefix(ALGORITHM)
            .ok_or_else(|| incomplete("the algorithm must be ACS3-HMAC-SHA256"))?;
        let mut parsed = Self {
            access_key_id: String::new(),
            signed_headers: Vec::new(),
            signature: String::new(),
        };
        for field in fields.split(',') {
            match field.trim().split_once('=') {
                Some(("Credential", value)) => value.clone_into(&mut parsed.access_key_id),
                Some(("SignedHeaders", value)) => {
                    parsed.signed_headers = value.split(';').map(str::to_lowercase).collect();
                }
                Some(("Signature", value)) => value.clone_into(&mut parsed.signature),
                _ => return Err(incomplete("an unknown field")),
            }
        }
        if parsed.access_key_id.is_empty()
            || parsed.signature.is_empty()
            || parsed.signed_headers.is_empty()
        {
            return Err(incomplete("Credential, SignedHeaders and Signature are needed"));
        }
        Ok(parsed)
    }
}

/// Checks the signature of a request against a secret: the headers that must be signed, the hash of the body, and the
/// signature itself. Date and nonce are the caller's matter.
pub(crate) fn verify(
    request: &Incoming,
    authorization: &Authorization,
    secret: &str,
    rpc: bool,
) -> Result<(), Refusal> {
    for name in request.headers.keys().map(http::HeaderName::as_str) {
        let needed = name == "host" || name.starts_with("x-acs-");
        if needed && !authorization.signed_headers.iter().any(|signed| signed == name) {
            return Err(Refusal::Incomplete(format!("header {name} must be signed")));
        }
    }
    let payload_hash = hex::encode(Sha256::digest(&request.body));
    if request.header("x-acs-content-sha256") != Some(&payload_hash) {
        return Err(Refusal::Mismatch("x-acs-content-sha256 is not the body's hash".into()));
    }
    let canonical = canonical_request(request, authorization, &payload_hash, rpc);
    let text = format!("{ALGORITHM}\n{}", hex::encode(Sha256::digest(canonical.as_bytes())));
    let given = hex::decode(&authorization.signature).unwrap_or_default();
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(text.as_bytes());
    mac.verify_slice(&given).map_err(|_| Refusal::Mismatch(canonical))
}

fn canonical_request(
    request: &Incoming,
    authorization: &Authorization,
    payload_hash: &str,
    rpc: bool,
) -> String {
    let uri =
        if rpc { "/".to_owned() } else { encode_path(&super::incoming::decode(&request.path)) };
    let mut query: Vec<String> = request
        .query
        .iter()
        .map(|(key, value)| {
            format!("{}={}", encode(key), encode(value.as_deref().unwrap_or_default()))
        })
        .collect();
    query.sort();
    let mut names = authorization.signed_headers.clone();
    names.sort();
    let headers: String = names
        .iter()
        .map(|name| format!("{name}:{}\n", request.header(name).unwrap_or_default()))
        .collect();
    [&request.method, &uri, &query.join("&"), &headers, &names.join(";"), payload_hash].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::incoming::parse_query;

    const KEY: &str = "LTAI5tDummyAccessKey0001";
    const SECRET: &str = "DummySecretForTestVectors00001";
    const DATE: &str = "2026-11-23T08:00:00Z";

    /// One published or official-client vector: what is sent, and the signature it must have.
    struct Vector {
        rpc: bool,
        method: &'static str,
        host: &'static str,
        path: &'static str,
        action: &'static str,
        version: &'static str,
        query: &'static str,
        extra: &'static [(&'static str, &'static str)],
        body: &'static str,
        signature: &'static str,
    }

    const PLAIN: Vector = Vector {
        rpc: true,
        method: "POST",
        host: "",
        path: "/",
        action: "",
        version: "",
        query: "",
        extra: &[],
        body: "",
        signature: "",
    };

    const SDK: [(&str, &str); 3] = [
        ("accept", "application/json"),
        ("user-agent", "saga-test/1.0"),
        ("x-acs-credentials-provider", "static_ak"),
    ];
    const JSON: [(&str, &str); 1] = [("content-type", "application/json; charset=utf-8")];
    const FORM: [(&str, &str); 1] = [("content-type", "application/x-www-form-urlencoded")];
    const TOKEN: [(&str, &str); 2] =
        [("x-acs-accesskey-id", KEY), ("x-acs-security-token", "STS.DummyToken")];

    const VECTORS: [Vector; 7] = [
        Vector {
            rpc: false,
            method: "GET",
            host: "cs.cn-hangzhou.aliyuncs.com",
            path: "/k8s/c106f377e16f34eb1808d6b9362c9abcd/external/agent/deployment",
            action: "DescribeExternalAgent",
            version: "2015-12-15",
            query: "PrivateIpAddress=true",
            signature: "2e429e02eaf0b22d4ea58b62278db83d901c920009fa0851ddd558ffcbeca896",
            ..PLAIN
        },
        Vector {
            rpc: false,
            host: "cs.cn-hangzhou.aliyuncs.com",
            path: "/clusters/c106f377e16f34eb1808d6b9362c9abcd/nodepools/np0001",
            action: "ScaleClusterNodePool",
            version: "2015-12-15",
            extra: &JSON,
            body: r#"{"count":2}"#,
            signature: "2ddf028deaf584cdfeec0d693e6b62d5d15743f4933d635b6db68d2c695bea88",
            ..PLAIN
        },
        Vector {
            host: "ram.aliyuncs.com",
            action: "CreateUser",
            version: "2015-05-01",
            query: "UserName=ack-one-user-ce313528c3&DisplayName=ack%20one%2Buser%20%2A\
                    &Comments=%E6%B7%B7%E5%90%88",
            signature: "75ab294b6a18d9a81daa1cc691073dbf695ee49c1c5ae3d7e6346d1ad4709739",
            ..PLAIN
        },
        Vector {
            host: "vpc.cn-hangzhou.aliyuncs.com",
            action: "DescribeVSwitches",
            version: "2016-04-28",
            query: "PageSize=50&RegionId=cn-hangzhou&VpcId=vpc-bp1aaaa",
            extra: &TOKEN,
            signature: "dfe889988a58219e9c2a6f37fbda2c5802f801c7657c06f60e0dc6d88afb9bde",
            ..PLAIN
        },
        Vector {
            host: "example.aliyuncs.com",
            action: "Demo",
            version: "2020-01-01",
            extra: &FORM,
            body: "A=x+y&B.1=1&B.2=2",
            signature: "736d88c8d68afa1f2c7246258e51f3914335ba99d0e7f3c347e7bd054758742f",
            ..PLAIN
        },
        Vector {
            rpc: false,
            method: "GET",
            host: "cs.cn-hangzhou.aliyuncs.com",
            path: "/k8s/c106f377e16f34eb1808d6b9362c9abcd/external/agent/deployment",
            action: "DescribeExternalAgent",
            version: "2015-12-15",
            query: "PrivateIpAddress=true",
            extra: &SDK,
            signature: "e2927eeb858d78f5a83b888de81a42e81cf5dd18d6693781c3d710dd0356078a",
            ..PLAIN
        },
        Vector {
            host: "ecs.cn-hangzhou.aliyuncs.com",
            action: "DescribeSecurityGroups",
            version: "2014-05-26",
            query: "RegionId=cn-hangzhou&Tag.1.Key=ack.aliyun.com&Tag.1.Value=c106\
                    &VpcId=vpc-bp1aaaa",
            extra: &SDK,
            signature: "49cfa3f9dd1887b39f9163264476b44ea673e810cf9a6e913b972518b9896d6f",
            ..PLAIN
        },
    ];

    fn request(vector: &Vector, date: &str) -> (Incoming, Authorization) {
        let hash = hex::encode(Sha256::digest(vector.body.as_bytes()));
        let mut request = Incoming {
            method: vector.method.into(),
            path: vector.path.into(),
            query: parse_query(vector.query),
            body: vector.body.into(),
            ..Incoming::default()
        };
        let fixed = [
            ("host", vector.host),
            ("x-acs-action", vector.action),
            ("x-acs-content-sha256", &hash),
            ("x-acs-date", date),
            ("x-acs-signature-nonce", "3156853299f313e23d1673dc12e1703d"),
            ("x-acs-version", vector.version),
        ];
        let mut signed_headers = Vec::new();
        for (name, value) in fixed.iter().chain(vector.extra) {
            let name: http::HeaderName = name.parse().unwrap();
            signed_headers.push(name.as_str().to_owned());
            request.headers.insert(name, value.parse().unwrap());
        }
        let authorization = Authorization {
            access_key_id: KEY.into(),
            signed_headers,
            signature: vector.signature.into(),
        };
        (request, authorization)
    }

    #[test]
    fn all_vectors_of_the_official_client_hold() {
        for vector in &VECTORS {
            let (request, authorization) = request(vector, DATE);
            assert_eq!(verify(&request, &authorization, SECRET, vector.rpc), Ok(()));
        }
    }

    #[test]
    fn the_published_example_holds() {
        let vector = Vector {
            host: "ecs.cn-shanghai.aliyuncs.com",
            action: "RunInstances",
            version: "2014-05-26",
            query: "ImageId=win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd\
                    &RegionId=cn-shanghai",
            signature: "06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0",
            ..PLAIN
        };
        let (request, authorization) = request(&vector, "2023-10-26T10:22:32Z");
        assert_eq!(verify(&request, &authorization, "YourAccessKeySecret", true), Ok(()));
    }

    #[test]
    fn anything_changed_after_signing_is_noticed() {
        let vector = &VECTORS[1];
        let (good, authorization) = request(vector, DATE);
        let refused = |request: &Incoming, secret: &str| {
            verify(request, &authorization, secret, vector.rpc).is_err()
        };
        assert!(refused(&good, "another secret"));
        let mut bad = good.clone();
        bad.body = r#"{"count":3}"#.into();
        assert!(refused(&bad, SECRET));
        let mut bad = good.clone();
        bad.path.push('2');
        assert!(refused(&bad, SECRET));
        let mut bad = good.clone();
        bad.query.push(("force".into(), Some("true".into())));
        assert!(refused(&bad, SECRET));
        let mut bad = good.clone();
        bad.headers.insert("x-acs-date", "2026-11-23T08:00:01Z".parse().unwrap());
        assert!(refused(&bad, SECRET));
        let mut bad = good;
        bad.headers.insert("x-acs-extra", "unsigned".parse().unwrap());
        assert!(refused(&bad, SECRET));
    }

    #[test]
    fn an_unreadable_authorization_is_incomplete() {
        for header in
            ["", "ACS3-HMAC-SHA256 ", "ACS3-HMAC-SHA256 Credential=a,Signature=b", "OSS a:b"]
        {
            assert!(
                matches!(Authorization::parse(header), Err(Refusal::Incomplete(_))),
                "{header}"
            );
        }
    }
}
