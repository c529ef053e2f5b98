//! The signature `OSS4-HMAC-SHA256` of OSS, in a header or in a URL. Pure: no clock, no transport.

use jiff::Timestamp;
use secrecy::ExposeSecret;

use super::acs3::{hmac_sha256, sha256_hex};
use super::credentials::Credentials;
use super::params::Params;

const ALGORITHM: &str = "OSS4-HMAC-SHA256";
/// OSS never signs the body; its integrity is `Content-MD5`'s.
pub(super) const PAYLOAD: &str = "UNSIGNED-PAYLOAD";

/// What is signed of a request.
pub(super) struct Signable<'a> {
    pub(super) method: &'a str,
    /// `/bucket/key`, percent-encoded; also where the bucket is in the host name.
    pub(super) path: &'a str,
    /// Sorted and encoded.
    pub(super) query: &'a str,
    /// All headers of the request; those that OSS signs are picked from them.
    pub(super) headers: &'a [(&'static str, String)],
}

/// When and where a signature holds.
pub(super) struct Scope<'a> {
    pub(super) now: Timestamp,
    pub(super) region: &'a str,
}

impl Scope<'_> {
    /// `yyyymmddThhmmssZ`.
    pub(super) fn date_time(&self) -> String {
        self.now.strftime("%Y%m%dT%H%M%SZ").to_string()
    }

    fn date(&self) -> String {
        self.now.strftime("%Y%m%d").to_string()
    }

    fn text(&self) -> String {
        format!("{}/{}/oss/aliyun_v4_request", self.date(), self.region)
    }
}

fn canonical(request: &Signable<'_>) -> String {
    let mut headers: Vec<(&str, &str)> = request
        .headers
        .iter()
        .filter(|(name, _)| {
            name.starts_with("x-oss-") || matches!(*name, "content-type" | "content-md5")
        })
        .map(|(name, value)| (*name, value.trim()))
        .collect();
    headers.sort_unstable();
    let block: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    // The empty part is the list of additional headers.
    format!("{}\n{}\n{}\n{block}\n\n{PAYLOAD}", request.method, request.path, request.query)
}

fn signature(request: &Signable<'_>, scope: &Scope<'_>, credentials: &Credentials) -> String {
    let hash = sha256_hex(canonical(request).as_bytes());
    let to_sign = format!("{ALGORITHM}\n{}\n{}\n{hash}", scope.date_time(), scope.text());
    let first = zeroize::Zeroizing::new(format!("aliyun_v4{}", credentials.secret.expose_secret()));
    let mut key = hmac_sha256(first.as_bytes(), scope.date().as_bytes());
    for part in [scope.region, "oss", "aliyun_v4_request"] {
        key = hmac_sha256(&key, part.as_bytes());
    }
    hex::encode(hmac_sha256(&key, to_sign.as_bytes()))
}

/// The value of the `Authorization` header.
pub(super) fn authorization(
    request: &Signable<'_>,
    scope: &Scope<'_>,
    credentials: &Credentials,
) -> String {
    let signature = signature(request, scope, credentials);
    format!("{ALGORITHM} Credential={}/{},Signature={signature}", credentials.key_id, scope.text())
}

/// The query of a presigned GET of `path` (`/bucket/key`, encoded) that holds for `seconds`.
pub(super) fn presigned_query(
    path: &str,
    seconds: u32,
    scope: &Scope<'_>,
    credentials: &Credentials,
) -> String {
    let token = credentials.token.as_ref().map(|token| token.expose_secret());
    let query = Params::new()
        .with("x-oss-signature-version", ALGORITHM)
        .with("x-oss-date", scope.date_time())
        .with("x-oss-expires", seconds)
        .with("x-oss-credential", format!("{}/{}", credentials.key_id, scope.text()))
        .with_some("x-oss-security-token", token)
        .canonical();
    let request = Signable { method: "GET", path, query: &query, headers: &[] };
    format!("{query}&x-oss-signature={}", signature(&request, scope, credentials))
}

#[cfg(test)]
mod tests {
    use super::super::params::encode_path;
    use super::*;

    fn dummy(token: Option<&str>) -> Credentials {
        Credentials::new(
            "LTAI5tDummyAccessKey0001",
            "DummySecretForTestVectors00001",
            token.map(str::to_owned),
        )
    }

    fn scope() -> Scope<'static> {
        Scope { now: "2026-11-23T08:00:00Z".parse().unwrap(), region: "cn-hangzhou" }
    }

    fn check(request: &Signable<'_>, hash: &str, signature: &str) {
        let text = canonical(request);
        assert_eq!(sha256_hex(text.as_bytes()), hash, "canonical request:\n{text}");
        assert_eq!(
            authorization(request, &scope(), &dummy(None)),
            format!(
                "OSS4-HMAC-SHA256 Credential=LTAI5tDummyAccessKey0001/20261123/cn-hangzhou/oss/aliyun_v4_request,\
                 Signature={signature}"
            )
        );
    }

    fn headers(more: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
        [("x-oss-content-sha256", PAYLOAD), ("x-oss-date", "20261123T080000Z")]
            .iter()
            .chain(more)
            .map(|(name, value)| (*name, (*value).to_owned()))
            .collect()
    }

    #[test]
    fn vector_1_put_object() {
        let headers = headers(&[
            ("content-type", "text/x-sh"),
            ("content-md5", "XaRKAZ35tzU0GGaFaNu5sg=="),
            ("x-oss-forbid-overwrite", "true"),
            ("x-oss-object-acl", "private"),
            ("date", "Mon, 23 Nov 2026 08:00:00 GMT"),
        ]);
        let request = Signable {
            method: "PUT",
            path: "/kubelet-demo/hybrid/init-node-ecs.sh",
            query: "",
            headers: &headers,
        };
        check(
            &request,
            "2a9ad2fdac700519382cb61621327335347fe8c33cb9ca5cbd66f7b5febd94f3",
            "68776c96fa73a3a0b35246cf53298b8138ec0c88cbc706bbabae0e76637c3893",
        );
    }

    #[test]
    fn vector_2_get_object_with_a_security_token() {
        let headers = headers(&[("x-oss-security-token", "STS.DummyToken")]);
        let request = Signable {
            method: "GET",
            path: "/kubelet-demo/hybrid/init-node-ecs.sh",
            query: "",
            headers: &headers,
        };
        check(
            &request,
            "ed50089ec23c1d4ffdea373c243ea1843b829c9f1e61bac2012ca1d80465df08",
            "988bdd4faaaa27a9a4349aba6d1ec9250b11d107a608b0bd22955800ab426858",
        );
    }

    #[test]
    fn vector_3_sub_resource_of_an_awkward_key() {
        let headers = headers(&[]);
        let path = encode_path("/kubelet-demo/a b+c.sh");
        assert_eq!(path, "/kubelet-demo/a%20b%2Bc.sh");
        let query = Params::new().with_flag("acl").canonical();
        let request = Signable { method: "GET", path: &path, query: &query, headers: &headers };
        check(
            &request,
            "24cd586066aeca776e8aec3424e94c1356a37057832e19acb6d08b25e181c54f",
            "0838fd1c05d1efe94e88567d2af0e05abe5cf1c6405ff711aa59a4460b5169c6",
        );
    }

    #[test]
    fn vectors_4_and_5_presigned_urls() {
        let path = "/kubelet-demo/hybrid/init-node-ecs.sh";
        assert_eq!(
            presigned_query(path, 3600, &scope(), &dummy(None)),
            "x-oss-credential=LTAI5tDummyAccessKey0001%2F20261123%2Fcn-hangzhou%2Foss%2Faliyun_v4_request\
             &x-oss-date=20261123T080000Z&x-oss-expires=3600&x-oss-signature-version=OSS4-HMAC-SHA256\
             &x-oss-signature=7458cd8d46cdc892783b40d9ef30cc8cf46d4de5b5da642915046db48e45f64a"
        );
        let temporary = presigned_query(path, 3600, &scope(), &dummy(Some("STS.DummyToken")));
        assert!(temporary.contains("&x-oss-security-token=STS.DummyToken&"));
        assert!(
            temporary
                .ends_with("=5b88ecd2c30d7fe4895ec4bb7539adc0a961e072d359737a227e25e318cf76e5")
        );
    }
}
