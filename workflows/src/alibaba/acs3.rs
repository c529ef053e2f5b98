//! The signature `ACS3-HMAC-SHA256` of Alibaba Cloud's RPC and ROA gateways. Pure: no clock, no nonce, no transport.

use hmac::{Hmac, KeyInit, Mac};
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};

use super::credentials::Credentials;

/// Name of the algorithm, as it stands in the header and in the string to sign.
const ALGORITHM: &str = "ACS3-HMAC-SHA256";

/// What is signed of a request. `headers` are exactly those that go on the wire and are signed, in any order.
pub(crate) struct Signable<'a> {
    pub(crate) method: &'a str,
    /// Percent-encoded path; `/` for RPC.
    pub(crate) path: &'a str,
    /// The sorted, encoded query, without `?`.
    pub(crate) query: &'a str,
    pub(crate) headers: &'a [(&'static str, String)],
    /// Lower-case hex of the body's SHA-256.
    pub(crate) payload_hash: &'a str,
}

/// Lower-case hex of the SHA-256 of `bytes`.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// HMAC-SHA256.
pub(crate) fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

/// The canonical request, and the list of signed headers.
fn canonical(request: &Signable<'_>) -> (String, String) {
    let mut headers: Vec<(&str, &str)> =
        request.headers.iter().map(|(name, value)| (*name, value.trim())).collect();
    headers.sort_unstable();
    let names = headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
    let block: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let Signable { method, path, query, payload_hash, .. } = request;
    (format!("{method}\n{path}\n{query}\n{block}\n{names}\n{payload_hash}"), names)
}

/// The value of the `Authorization` header.
pub(crate) fn authorization(request: &Signable<'_>, credentials: &Credentials) -> String {
    let (canonical, names) = canonical(request);
    let to_sign = format!("{ALGORITHM}\n{}", sha256_hex(canonical.as_bytes()));
    let key = credentials.secret.expose_secret();
    let signature = hex::encode(hmac_sha256(key.as_bytes(), to_sign.as_bytes()));
    format!(
        "{ALGORITHM} Credential={},SignedHeaders={names},Signature={signature}",
        credentials.key_id
    )
}

#[cfg(test)]
mod tests {
    use super::super::params::Params;
    use super::*;

    const NONCE: &str = "3156853299f313e23d1673dc12e1703d";
    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn dummy() -> Credentials {
        Credentials::new("LTAI5tDummyAccessKey0001", "DummySecretForTestVectors00001", None)
    }

    struct Vector {
        method: &'static str,
        path: &'static str,
        query: Params,
        host: &'static str,
        action: &'static str,
        version: &'static str,
        date: &'static str,
        body: &'static str,
        more: Vec<(&'static str, &'static str)>,
    }

    impl Vector {
        fn new(host: &'static str, action: &'static str, version: &'static str) -> Self {
            Self {
                method: "POST",
                path: "/",
                query: Params::new(),
                host,
                action,
                version,
                date: "2026-11-23T08:00:00Z",
                body: "",
                more: vec![],
            }
        }

        /// Checks the hash of the canonical request and the signature; gives the list of signed headers.
        fn check(&self, credentials: &Credentials, hash: &str, signature: &str) -> String {
            let payload_hash = sha256_hex(self.body.as_bytes());
            let mut headers: Vec<(&'static str, String)> = vec![
                ("host", self.host.to_owned()),
                ("x-acs-action", self.action.to_owned()),
                ("x-acs-content-sha256", payload_hash.clone()),
                ("x-acs-date", self.date.to_owned()),
                ("x-acs-signature-nonce", NONCE.to_owned()),
                ("x-acs-version", self.version.to_owned()),
            ];
            headers.extend(self.more.iter().map(|(name, value)| (*name, (*value).to_owned())));
            let query = self.query.canonical();
            let request = Signable {
                method: self.method,
                path: self.path,
                query: &query,
                headers: &headers,
                payload_hash: &payload_hash,
            };
            let (text, names) = canonical(&request);
            assert_eq!(sha256_hex(text.as_bytes()), hash, "canonical request:\n{text}");
            let expected = format!(
                "ACS3-HMAC-SHA256 Credential={},SignedHeaders={names},Signature={signature}",
                credentials.key_id
            );
            assert_eq!(authorization(&request, credentials), expected);
            names
        }
    }

    #[test]
    fn vector_0_the_published_example() {
        let mut vector = Vector::new("ecs.cn-shanghai.aliyuncs.com", "RunInstances", "2014-05-26");
        vector.date = "2023-10-26T10:22:32Z";
        vector.query = Params::new()
            .with("ImageId", "win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd")
            .with("RegionId", "cn-shanghai");
        let names = vector.check(
            &Credentials::new("YourAccessKeyId", "YourAccessKeySecret", None),
            "7ea06492da5221eba5297e897ce16e55f964061054b7695beedaac1145b1e259",
            "06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0",
        );
        assert_eq!(
            names,
            "host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version"
        );
    }

    fn vector_1() -> Vector {
        let mut vector =
            Vector::new("cs.cn-hangzhou.aliyuncs.com", "DescribeExternalAgent", "2015-12-15");
        vector.method = "GET";
        vector.path = "/k8s/c106f377e16f34eb1808d6b9362c9abcd/external/agent/deployment";
        vector.query = Params::new().with("PrivateIpAddress", true);
        vector
    }

    #[test]
    fn vector_1_roa_get() {
        assert_eq!(sha256_hex(b""), EMPTY);
        vector_1().check(
            &dummy(),
            "c1d03ab21a97a5b01bc5954d31c89190edfa4cab286fda542c251061e696bdf3",
            "2e429e02eaf0b22d4ea58b62278db83d901c920009fa0851ddd558ffcbeca896",
        );
    }

    #[test]
    fn vector_2_roa_post_with_a_json_body() {
        let mut vector =
            Vector::new("cs.cn-hangzhou.aliyuncs.com", "ScaleClusterNodePool", "2015-12-15");
        vector.path = "/clusters/c106f377e16f34eb1808d6b9362c9abcd/nodepools/np0001";
        vector.body = r#"{"count":2}"#;
        vector.more = vec![("content-type", "application/json; charset=utf-8")];
        assert_eq!(
            sha256_hex(vector.body.as_bytes()),
            "57413ce83ee1d989e384dfd3a82c6e2d9052a23c4204706bd2d7df11aa4c2d7c"
        );
        vector.check(
            &dummy(),
            "250206fd6efbe6b789df43f8e335dad952554268a3720b473e59c9112bf6ce80",
            "2ddf028deaf584cdfeec0d693e6b62d5d15743f4933d635b6db68d2c695bea88",
        );
    }

    #[test]
    fn vector_3_rpc_with_awkward_characters() {
        let mut vector = Vector::new("ram.aliyuncs.com", "CreateUser", "2015-05-01");
        vector.query = Params::new()
            .with("UserName", "ack-one-user-ce313528c3")
            .with("DisplayName", "ack one+user *")
            .with("Comments", "混合");
        vector.check(
            &dummy(),
            "adf87a05d127cf1cd96f5d1f381f2818ab47a924b2c95fc0f23db8f7382756e1",
            "75ab294b6a18d9a81daa1cc691073dbf695ee49c1c5ae3d7e6346d1ad4709739",
        );
    }

    #[test]
    fn vector_4_rpc_with_a_security_token() {
        let mut vector =
            Vector::new("vpc.cn-hangzhou.aliyuncs.com", "DescribeVSwitches", "2016-04-28");
        vector.query = Params::new()
            .with("RegionId", "cn-hangzhou")
            .with("VpcId", "vpc-bp1aaaa")
            .with("PageSize", 50);
        vector.more = vec![
            ("x-acs-accesskey-id", "LTAI5tDummyAccessKey0001"),
            ("x-acs-security-token", "STS.DummyToken"),
        ];
        let names = vector.check(
            &dummy(),
            "4a4daf6bd238e4ac59c32b8e2fd068dbc91553ad80d21594825daf12a283fccf",
            "dfe889988a58219e9c2a6f37fbda2c5802f801c7657c06f60e0dc6d88afb9bde",
        );
        assert!(names.starts_with("host;x-acs-accesskey-id;x-acs-action;"));
    }

    #[test]
    fn vector_5_form_body() {
        let mut vector = Vector::new("example.aliyuncs.com", "Demo", "2020-01-01");
        vector.body = "A=x+y&B.1=1&B.2=2";
        vector.more = vec![("content-type", "application/x-www-form-urlencoded")];
        vector.check(
            &dummy(),
            "0f19654d2557d2727576ec73bd4d27c0a04ecbe8163baeb89b3d64fd7fc830e7",
            "736d88c8d68afa1f2c7246258e51f3914335ba99d0e7f3c347e7bd054758742f",
        );
    }

    fn as_the_sdk_sends() -> Vec<(&'static str, &'static str)> {
        vec![
            ("accept", "application/json"),
            ("user-agent", "saga-test/1.0"),
            ("x-acs-credentials-provider", "static_ak"),
        ]
    }

    #[test]
    fn vector_6_all_headers_signed() {
        let mut vector = vector_1();
        vector.more = as_the_sdk_sends();
        vector.check(
            &dummy(),
            "6ce11f9cc476c4ad3b3808cb9850eb61c6c04fd64aec314dabbfe9fd6e2bddc0",
            "e2927eeb858d78f5a83b888de81a42e81cf5dd18d6693781c3d710dd0356078a",
        );
    }

    #[test]
    fn vector_7_nested_list_parameter() {
        let mut vector =
            Vector::new("ecs.cn-hangzhou.aliyuncs.com", "DescribeSecurityGroups", "2014-05-26");
        vector.query = Params::new()
            .with("VpcId", "vpc-bp1aaaa")
            .with("RegionId", "cn-hangzhou")
            .with("Tag.1.Key", "ack.aliyun.com")
            .with("Tag.1.Value", "c106");
        vector.more = as_the_sdk_sends();
        vector.check(
            &dummy(),
            "cbe14a3b29f9556fe7b1bae8fa2789f676f0337443b8f7b4a8203baf5c73456a",
            "49cfa3f9dd1887b39f9163264476b44ea673e810cf9a6e913b972518b9896d6f",
        );
    }
}
