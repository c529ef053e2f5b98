//! Every code that the daemon's own parts give, and every one of the cloud and of Kubernetes that they tell apart, is known to
//! `causeway explain`, with the class that it really has.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use causeway_engine::FailureClass;
use causeway_proto::codes::{self, Class, Kind};
use causeway_workflows::alibaba::{self, ErrorAnswer, Product};
use causeway_workflows::kubernetes;

/// For each code of the cloud an answer in which it comes: the code in full, and the HTTP status.
const CLOUD: &[(&str, u16)] = &[
    ("Throttling.User", 400),
    ("Rejected.Throttling", 400),
    ("ServiceUnavailable", 503),
    ("InternalError", 500),
    ("RequestTimeout", 400),
    ("SignatureNonceUsed", 400),
    ("InvalidTimeStamp.Expired", 400),
    ("RequestTimeTooSkewed", 403),
    ("SignatureDoesNotMatch", 400),
    ("IncompleteSignature", 400),
    ("MissingParameter", 400),
    ("InvalidParameter.PolicyName.Length", 400),
    ("MalformedPolicyDocument", 400),
    ("InvalidAccessKeyId.NotFound", 404),
    ("InvalidAccessKeyId.Inactive", 403),
    ("InvalidSecurityToken.Expired", 400),
    ("SecurityTokenExpired", 403),
    ("NoPermission", 403),
    ("Forbidden.RAM", 403),
    ("StatusForbidden", 403),
    ("ForbiddenGrantPermissions", 403),
    ("ErrorRamPolicyConfig", 403),
    ("AccessDenied", 403),
    ("UnauthorizedOperation", 403),
    ("Inactive", 403),
    ("InvalidApi.NotFound", 404),
    ("InvalidProduct.NotFound", 404),
    ("NoSuchVersion", 400),
    ("ErrorClusterNotFound", 404),
    ("ErrorNodePoolNotFound", 404),
    ("AddonNotFound", 404),
    ("EntityNotExist.User", 404),
    ("EntityAlreadyExists.User", 409),
    ("DeleteConflict.Policy.User", 409),
    ("LimitExceeded.User.AccessKey", 409),
    ("FileAlreadyExists", 409),
    ("PreconditionFailed", 412),
    ("NoSuchBucket", 404),
    ("NoSuchKey", 404),
    ("NoSuchBucketPolicy", 404),
    ("OperationDenied.NoStock", 403),
    ("InvalidOperation.InvalidEniState", 400),
    ("IdempotentParameterMismatch", 400),
];

/// The HTTP status that comes with each reason of Kubernetes.
const KUBERNETES: &[(&str, u16)] = &[
    ("BadRequest", 400),
    ("Unauthorized", 401),
    ("Forbidden", 403),
    ("NotFound", 404),
    ("MethodNotAllowed", 405),
    ("AlreadyExists", 409),
    ("Conflict", 409),
    ("Gone", 410),
    ("Expired", 410),
    ("RequestEntityTooLarge", 413),
    ("UnsupportedMediaType", 415),
    ("Invalid", 422),
    ("TooManyRequests", 429),
    ("InternalError", 500),
    ("ServiceUnavailable", 503),
    ("Timeout", 504),
    ("ServerTimeout", 500),
];

/// Whether a failure of this class, for a read and for a change, is what the table says.
fn fits(class: Class, read: FailureClass, change: FailureClass) -> bool {
    use FailureClass as F;
    let both = |class| read == class && change == class;
    match class {
        Class::Retryable => both(F::Retryable),
        Class::Throttled => both(F::Throttled),
        Class::Permanent => both(F::Permanent),
        Class::Gone => both(F::Gone),
        Class::Stale => both(F::Stale),
        Class::Unknown => both(F::Unknown),
        Class::Lost => read == F::Retryable && change == F::Unknown,
        Class::Warning | Class::Mixed | Class::ByStatus | Class::None => false,
    }
}

fn known(kind: Kind) -> BTreeSet<&'static str> {
    codes::all().filter(|code| code.kind == kind).map(|code| code.code).collect()
}

#[test]
fn the_clouds_codes_have_the_classes_that_are_told() {
    let mut sampled = BTreeSet::from(["HttpNNN"]);
    for (full, status) in CLOUD {
        let found = codes::lookup(full);
        let entry = found.iter().find(|code| code.kind == Kind::Cloud);
        let entry = entry.unwrap_or_else(|| panic!("proto/src/codes/cloud.rs misses {full}"));
        sampled.insert(entry.code);
        let class = |access| {
            let answer =
                ErrorAnswer { status: *status, code: (*full).to_owned(), ..ErrorAnswer::default() };
            let cause = alibaba::Cause::Answer(Box::new(answer));
            alibaba::Error { product: Product::Ram, action: "Test", access, cause }.class()
        };
        let (read, change) = (class(alibaba::Access::Read), class(alibaba::Access::Mutate));
        assert!(
            fits(entry.class, read, change),
            "{full} ({status}): {read:?}, {change:?}; {entry:?}"
        );
    }
    assert_eq!(sampled, known(Kind::Cloud), "each code of the table needs a sample here");
}

#[test]
fn the_reasons_of_kubernetes_have_the_classes_that_are_told() {
    let mut sampled = BTreeSet::new();
    for (reason, status) in KUBERNETES {
        let found = codes::lookup(reason);
        let entry = found.iter().find(|code| code.kind == Kind::Kubernetes);
        let entry =
            entry.unwrap_or_else(|| panic!("proto/src/codes/kubernetes.rs misses {reason}"));
        sampled.insert(entry.code);
        let class = |access| {
            let cause = kubernetes::Cause::Answer {
                status: *status,
                reason: (*reason).to_owned(),
                message: String::new(),
                retry_after: None,
            };
            kubernetes::Error { verb: "get", target: String::new(), access, cause }.class()
        };
        let (read, change) = (class(kubernetes::Access::Read), class(kubernetes::Access::Mutate));
        assert!(fits(entry.class, read, change), "{reason}: {read:?}, {change:?}; {entry:?}");
    }
    assert_eq!(sampled, known(Kind::Kubernetes), "each reason of the table needs its status here");
}

/// What looks like a code in the sources, and is none: variables of the environment, fields of the cloud's API, words of spec and
/// contract.
const NO_CODES: &[&str] =
    &["COST_OPTIMIZED", "INTERNAL_ENDPOINT", "SCREAMING_SNAKE_CASE", "UNDO_RETRYING"];

/// The folders whose code makes failures and findings.
const SOURCES: &[&str] = &[
    "workflows/src",
    "orchestrator/engine/src",
    "orchestrator/src/runtime",
    "orchestrator/src/api",
];

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_dir() {
            if name != "tests" {
                files(&path, found);
            }
        } else if name.ends_with(".rs") && !is_of_tests(&name) {
            found.push(path);
        }
    }
}

/// Files of a crate's own tests make up codes as they like.
fn is_of_tests(name: &str) -> bool {
    ["tests.rs", "testing.rs", "fake.rs", "fixture.rs"].iter().any(|end| name.ends_with(end))
        || name.ends_with("_world.rs")
}

/// The string literals of the part of a file that is no test.
fn literals(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap();
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    code.flat_map(|line| line.split('"').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

/// `UPPER_SNAKE` of two words at least.
fn is_upper_snake(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    text.contains('_')
        && text.bytes().all(plain)
        && text.bytes().next().is_some_and(|first| first.is_ascii_uppercase())
}

fn all_literals() -> BTreeSet<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned();
    let mut paths = Vec::new();
    for folder in SOURCES {
        files(&root.join(folder), &mut paths);
    }
    let of = |path: &PathBuf| {
        let name = path.strip_prefix(&root).unwrap().display().to_string();
        literals(path).into_iter().map(move |literal| (literal, name.clone()))
    };
    paths.iter().flat_map(of).collect()
}

#[test]
fn every_code_in_the_sources_is_known() {
    let is_none = |word: &str| {
        NO_CODES.contains(&word)
            || word.ends_with("_UNSPECIFIED")
            || ["ALIBABA_CLOUD_", "CARGO_", "CAUSEWAY_", "OTEL_", "UPDATE_"]
                .iter()
                .any(|begin| word.starts_with(begin))
    };
    let missing: Vec<_> = all_literals()
        .into_iter()
        .filter(|(word, _)| is_upper_snake(word) && !is_none(word))
        .filter(|(word, _)| !codes::all().any(|code| code.code == word))
        .collect();
    assert!(missing.is_empty(), "proto/src/codes misses these: {missing:#?}");
}

#[test]
fn every_code_that_the_cloud_client_tells_apart_is_known() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let words = literals(&root.join("workflows/src/alibaba/error.rs"));
    let is_code = |word: &&String| {
        word.len() > 6
            && word.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'.')
            && word.bytes().next().is_some_and(|first| first.is_ascii_uppercase())
            // Fields of an answer, and what stands somewhere within several codes.
            && !["RequestId", "Message", "SecurityToken"].contains(&word.as_str())
    };
    let told: Vec<_> = words.iter().filter(is_code).collect();
    assert!(told.len() > 20, "{told:?}");
    let missing: Vec<_> = told.into_iter().filter(|code| codes::lookup(code).is_empty()).collect();
    assert!(missing.is_empty(), "proto/src/codes/cloud.rs misses these: {missing:#?}");
}

#[test]
fn no_code_of_the_table_is_one_that_nobody_gives() {
    let given: BTreeSet<String> = all_literals().into_iter().map(|(word, _)| word).collect();
    let unused: Vec<_> = codes::all()
        .filter(|code| matches!(code.kind, Kind::Engine | Kind::Step | Kind::Input))
        .filter(|code| !given.contains(code.code))
        .map(|code| code.code)
        .collect();
    assert!(unused.is_empty(), "nobody gives these: {unused:?}");
}
