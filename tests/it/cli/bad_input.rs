//! Bad input on the command line: clear words, code 2, and nothing sent. There is no daemon here: what is sent ends with code 7.

use std::path::Path;
use std::process::Output;

use causeway_tests::shell;

/// Nobody listens there.
const NOWHERE: &str = "http://127.0.0.1:1";
/// What an error may say at most, in bytes.
const SAID_MAX: usize = 6000;

/// Lines of the shell, and what has to be said about them.
const LINES: &[(&str, &str)] = &[
    // Missing.
    ("causeway", "Usage"),
    ("causeway workflows", "Usage"),
    ("causeway clusters", "Usage"),
    ("causeway server", "Usage"),
    ("causeway plan", "--file"),
    ("causeway start", "--file"),
    ("causeway validate", "--file"),
    ("causeway get", "ID"),
    ("causeway describe", "ID"),
    ("causeway watch", "ID"),
    ("causeway history", "ID"),
    ("causeway cancel", "ID"),
    ("causeway abandon", "ID"),
    ("causeway pause", "ID"),
    ("causeway resume", "ID"),
    ("causeway retry", "ID"),
    ("causeway delete", "ID"),
    ("causeway skip w1", "STEP"),
    ("causeway approve w1", "STEP"),
    ("causeway deny w1", "STEP"),
    ("causeway clusters get", "CLUSTER"),
    ("causeway clusters verify", "CLUSTER"),
    ("causeway clusters teardown", "CLUSTER"),
    ("causeway teardown", "CLUSTER"),
    ("causeway completion", "SHELL"),
    ("causeway start -f", "value is required"),
    // Unknown, with what was probably meant.
    ("causeway strat", "start"),
    ("causeway workflows cancle w1", "cancel"),
    ("causeway list --fliter x", "--filter"),
    ("causeway list -o jsn", "json"),
    ("causeway completion bsh", "bash"),
    ("causeway get w1 more", "unexpected argument"),
    ("causeway whoami now", "unexpected argument"),
    // Malformed.
    ("causeway get 'Not An Id'", "is no workflow"),
    ("causeway get ''", "is no workflow"),
    ("causeway describe ../../etc/passwd", "is no workflow"),
    ("causeway watch w1 --timeout soon", "expected a duration"),
    ("causeway watch w1 --timeout -5s", "unexpected argument"),
    ("causeway watch w1 --timeout 1e999s", "duration"),
    ("causeway list --limit many", "invalid digit"),
    ("causeway list --limit -1", "unexpected argument"),
    ("causeway history w1 --limit 1.5", "invalid digit"),
    ("causeway start -f in.yaml --workflow-id 'A B'", "is no id"),
    ("causeway start -f in.yaml -l team", "KEY=VALUE"),
    ("causeway start -f in.yaml -l =x", "it is empty"),
    ("causeway start -f in.yaml --plan ''", "it is empty"),
    ("causeway start -f in.yaml --request-id 'a b'", "printable ASCII"),
    ("causeway start -f in.yaml --timeout 5m", "need --wait"),
    ("causeway cancel w1 --wait-through", "need --wait"),
    ("causeway approve w1 ''", "it is empty"),
    ("causeway teardown 'No Name'", "is no name of a cluster"),
    ("causeway teardown dc1 --plan ''", "it is empty"),
    ("causeway teardown dc1 --timeout 5m", "need --wait"),
    ("causeway teardown dc1 --dry-run --wait", "cannot be used with"),
    ("causeway skip w1 step --etag ''", "it is empty"),
    ("causeway server drain --timeout x", "expected a duration"),
    ("causeway --address ftp://x:1 list", "neither http nor https"),
    ("causeway --address nowhere list", "has no port"),
    ("causeway --address http://127.0.0.1:99999 list", "65535"),
    ("CAUSEWAY_ADDRESS='http://a b:1' causeway list", "has no host"),
    ("CAUSEWAY_TOKEN=$(printf 'a\\nb') causeway list", "the token"),
    ("CAUSEWAY_TOKEN=x causeway --address http://10.1.2.3:7443 list", "neither encrypted"),
    ("causeway --address https://127.0.0.1:1 list", "ca_file"),
    // Oversized.
    ("causeway get $LONG", "is no workflow"),
    ("causeway start -f in.yaml --workflow-id $LONG", "is no id"),
    ("causeway cancel w1 --reason $LONG", "at most 1024"),
    ("causeway list --filter $LONG", "at most 1000"),
    ("causeway stuck --filter $LONG", "at most 1000"),
    ("causeway cancel w1 --request-id $LONG", "at most 128"),
    ("causeway skip w1 $LONG --reason x", "at most"),
    ("causeway cancel w1 --etag $LONG", "at most"),
    ("causeway teardown $LONG", "is no name of a cluster"),
    ("causeway $LONG", "unrecognized subcommand"),
    ("causeway watch w1 --timeout=$LONG", "expected a duration"),
    ("causeway --address $LONG list", "has no port"),
    ("causeway start -f $LONG", "too long"),
    // Bytes that are no text.
    ("causeway get $(printf '\\377')", "UTF-8"),
    ("causeway list --filter $(printf '\\377')", "UTF-8"),
];

/// Files that are no input, and what has to be said about them.
fn files() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let example = include_str!("../../../deploy/examples/hybrid-cluster.yaml");
    let changed = |from: &str, to: &str| {
        assert!(example.contains(from), "{from}");
        example.replacen(from, to, 1).into_bytes()
    };
    let long = "x".repeat(500_000);
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    vec![
        ("empty.yaml", Vec::new(), "kind"),
        ("blank.yaml", b"\n\n# nothing\n".to_vec(), "kind"),
        ("binary.yaml", vec![0, 159, 146, 150, 255, 0, 1], "UTF-8"),
        ("nul.yaml", b"kind: \0\0".to_vec(), ""),
        ("latin.yaml", b"kind: caf\xe9\n".to_vec(), "UTF-8"),
        ("huge.yaml", vec![b'x'; 10 * 1024 * 1024], "1048576 bytes"),
        ("bomb.yaml", bomb.into_bytes(), ""),
        ("deep.yaml", "[".repeat(100_000).into_bytes(), ""),
        ("open.yaml", b"a: [".to_vec(), ""),
        ("tabs.yaml", b"kind: HybridCluster\n\tspec: {}\n".to_vec(), ""),
        ("list.yaml", b"- 1\n- 2\n".to_vec(), "kind"),
        ("word.yaml", b"hello".to_vec(), "kind"),
        ("two.yaml", b"kind: Noop\n---\nkind: Noop\n".to_vec(), ""),
        ("kind.yaml", changed("kind: HybridCluster", "kind: HybridClustre"), "HybridCluster"),
        ("version.yaml", changed("apiVersion: causeway/v1", "apiVersion: v2"), "causeway/v1"),
        ("twice.yaml", changed("  region:", "  region: a\n  region:"), "duplicate"),
        ("unknown.yaml", changed("region:", "regoin:"), "did you mean region?"),
        ("mistyped.yaml", changed("size: 2", "size: two"), "whole number"),
        ("negative.yaml", changed("size: 2", "size: -2"), "whole number"),
        ("number.yaml", changed("name: dc1", "name: 7"), "put it in quotes"),
        ("mapping.yaml", changed("region: cn-hangzhou", "region: {a: 1}"), "found a mapping"),
        ("long.yaml", changed("name: dc1", &format!("name: {long}")), "metadata.name"),
        (
            "longkey.yaml",
            changed("name: dc1", &format!("name: dc1\n  {}: 1", &long[..1000])),
            "unknown field",
        ),
        ("longkind.yaml", changed("kind: HybridCluster", &format!("kind: {long}")), "unknown kind"),
    ]
}

async fn typed(line: &str, home: &Path) -> Output {
    let line = format!("LONG=$(head -c 100000 /dev/zero | tr '\\0' x); {line}");
    shell::run(&line, NOWHERE, home).await
}

fn assert_refused(line: &str, ran: &Output, words: &str) {
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    let short: String = said.chars().take(2000).collect();
    assert_eq!(ran.status.code(), Some(2), "{line}: {short}");
    assert!(said.contains(words), "{line} does not say {words:?}: {short}");
    assert!(!said.contains("panicked"), "{line}: {short}");
    assert!((10..SAID_MAX).contains(&said.len()), "{line}: {} bytes: {short}", said.len());
    assert!(ran.stdout.is_empty(), "{line} printed a result");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_refuses_what_it_can_not_use_and_sends_nothing() {
    let home = tempfile::tempdir().unwrap();
    let example = include_str!("../../../deploy/examples/hybrid-cluster.yaml");
    std::fs::write(home.path().join("in.yaml"), example).unwrap();
    for (line, words) in LINES {
        assert_refused(line, &typed(line, home.path()).await, words);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_that_takes_a_file_refuses_a_bad_one() {
    let home = tempfile::tempdir().unwrap();
    for (name, bytes, words) in files() {
        std::fs::write(home.path().join(name), bytes).unwrap();
        for verb in ["validate", "plan", "start"] {
            let line = format!("causeway {verb} -f {name}");
            assert_refused(&line, &typed(&line, home.path()).await, words);
        }
        let line = format!("causeway validate -f - < {name}");
        assert_refused(&line, &typed(&line, home.path()).await, words);
    }
    for (line, words) in [
        ("causeway start -f missing.yaml", "missing.yaml"),
        ("causeway start -f .", "directory"),
        ("causeway start -f - < /dev/null", "kind"),
    ] {
        assert_refused(line, &typed(line, home.path()).await, words);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_contexts_file_is_named_with_what_is_wrong_with_it() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join(".config/causeway");
    let line = "env -u CAUSEWAY_ADDRESS causeway --context prod list";
    assert_refused(line, &typed(line, home.path()).await, "contexts.toml");
    std::fs::create_dir_all(&folder).unwrap();
    let secret = "s3cret-token";
    for (text, words) in [
        (String::new(), "there is no context"),
        ("[prod".to_owned(), "line 1"),
        (format!("[prod]\ntoken = \"{secret}\"\n"), "unknown field `token`"),
        ("[prod]\naddress = 7\n".to_owned(), "line 2"),
        ("[prod]\naddress = \"ftp://x:1\"\n".to_owned(), "neither http nor https"),
        ("[prod]\naddress = \"https://x:1\"\n".to_owned(), "ca_file"),
        ("[prod]\naddress = \"https://x:1\"\nca_file = \"ca.pem\"\n".to_owned(), "ca.pem"),
        (
            "[prod]\naddress = \"https://127.0.0.1:1\"\nca_file = \"contexts.toml\"\n".to_owned(),
            "certificate",
        ),
        ("[prod]\ncert_file = \"c.pem\"\n".to_owned(), "together"),
        ("[prod]\ntoken_file = \"none\"\n".to_owned(), "token_file"),
        ("[prod]\ntoken_command = \"exit 3\"\n".to_owned(), "token_command ended"),
        ("[prod]\ntoken_command = \"true\"\n".to_owned(), "empty token"),
        ("[prod]\ntoken_file = \"a\"\ntoken_command = \"b\"\n".to_owned(), "one of them"),
        ("[dev]\n[test]\n".to_owned(), "it has: dev, test"),
    ] {
        std::fs::write(folder.join("contexts.toml"), &text).unwrap();
        let ran = typed(line, home.path()).await;
        assert_refused(line, &ran, words);
        assert!(!String::from_utf8_lossy(&ran.stderr).contains(secret), "{text}");
    }
    std::fs::write(folder.join("contexts.toml"), [0xff, 0xfe, b'a']).unwrap();
    assert_refused(line, &typed(line, home.path()).await, "contexts.toml");
    let line = "CAUSEWAY_CONTEXT=prod causeway list";
    assert_refused(line, &typed(line, home.path()).await, "contexts.toml");
}
