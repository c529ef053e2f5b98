//! `causewayd check`: one line per finding and an exit code, on good configurations and bad ones; and a daemon without
//! authentication listens for its own machine only.

use std::process::Output;
use std::time::Duration;

use causeway_sandbox::instances::companion;
use causeway_sandbox::world::Options;
use causeway_tests::Scene;
use tokio::process::Command;

/// How long a daemon that refuses to start may take for it.
const LIMIT: Duration = Duration::from_secs(60);

/// The output of a check, line by line.
struct Checked {
    code: Option<i32>,
    lines: Vec<String>,
    complaint: String,
}

impl Checked {
    fn of(output: &Output) -> Self {
        let lines = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        Self { code: output.status.code(), lines, complaint }
    }

    /// Subjects of all faults.
    fn faults(&self) -> Vec<&str> {
        let faults = self.lines.iter().filter_map(|line| line.strip_prefix("FAULT  "));
        faults.map(|fault| fault.split(": ").next().unwrap()).collect()
    }

    fn line(&self, subject: &str) -> &str {
        let wanted = format!("{subject}: ");
        let mut lines = self.lines.iter().filter(|line| line.contains(&wanted));
        let line =
            lines.next().unwrap_or_else(|| panic!("nothing about {subject}: {:#?}", self.lines));
        assert!(lines.next().is_none(), "{subject} is there twice: {:#?}", self.lines);
        line
    }
}

async fn daemon(scene: &Scene, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(companion::daemon_binary().await.unwrap());
    command.arg("--config").arg(scene.world.folder().file("causewayd.toml")).args(arguments);
    for variable in [
        "ALIBABA_CLOUD_ACCESS_KEY_ID",
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET",
        "ALIBABA_CLOUD_SECURITY_TOKEN",
    ] {
        command.env_remove(variable);
    }
    // Where the shared file would be looked for, if none is named.
    command.env("HOME", scene.world.folder().file("home")).envs(environment.iter().copied());
    let output = command.kill_on_drop(true).output();
    tokio::time::timeout(LIMIT, output).await.expect("it ends by itself").unwrap()
}

async fn check(scene: &Scene, environment: &[(&str, &str)]) -> Checked {
    let checked = Checked::of(&daemon(scene, &["check"], environment).await);
    let secrets = scene.world.secrets().await.unwrap();
    let said = checked.lines.join("\n") + &checked.complaint;
    assert!(!secrets.iter().any(|secret| said.contains(secret)), "a check shows a secret");
    let begins =
        |line: &String| ["ok  ", "note ", "FAULT"].iter().any(|word| line.starts_with(word));
    assert!(
        checked.lines.iter().all(begins),
        "more than one line for a finding: {:#?}",
        checked.lines
    );
    checked
}

/// A scene whose configuration was changed: each text is replaced by another.
async fn scene_with(changes: &[(&str, &str)]) -> Scene {
    let scene = Scene::without_daemon(Options::default()).await;
    let file = scene.world.folder().file("causewayd.toml");
    let mut text = std::fs::read_to_string(&file).unwrap();
    for (from, to) in changes {
        assert!(text.contains(from), "{from} is not in\n{text}");
        text = text.replace(from, to);
    }
    std::fs::write(&file, text).unwrap();
    scene
}

/// Requires exactly one fault, with these words.
async fn one_fault(scene: &Scene, subject: &str, words: &[&str]) {
    let checked = check(scene, &[]).await;
    assert_eq!(checked.code, Some(1), "{:#?}{}", checked.lines, checked.complaint);
    assert_eq!(checked.faults(), [subject], "{:#?}", checked.lines);
    for word in words {
        assert!(
            checked.line(subject).contains(word),
            "{word:?} is not in {}",
            checked.line(subject)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_configuration_has_a_line_for_everything_and_no_fault() {
    let mut scene = scene_with(&[]).await;
    let cluster = scene.world.seed().clusters[0].id.clone();
    let kubeconfig = format!("connections.sandbox.kubeconfigs.{cluster}");
    let before = check(&scene, &[]).await;
    assert_eq!((before.code, before.faults().len()), (Some(0), 0), "{:#?}", before.lines);
    assert!(before.line("connections.sandbox").contains("account 1234567890123456"));
    assert!(before.line(&kubeconfig).contains("Kubernetes"), "{}", before.line(&kubeconfig));
    assert!(before.line("store").starts_with("note"), "{}", before.line("store"));
    for subject in ["configuration", "sealing key"] {
        assert!(before.line(subject).starts_with("ok"), "{}", before.line(subject));
    }

    scene.start_daemon(&[]).await;
    let beside = check(&scene, &[]).await;
    assert_eq!(beside.code, Some(0), "{:#?}", beside.lines);
    assert!(beside.line("store").contains("in use"), "{}", beside.line("store"));
    assert!(scene.client().server_info().await.is_ok(), "the daemon was not disturbed");

    assert_eq!(scene.daemon().stop().await, Some(0));
    let after = check(&scene, &[]).await;
    assert!(after.line("store").starts_with("ok"), "{}", after.line("store"));
    assert_eq!(scene.world.boundaries().passed(), [], "a check changed something");
    scene.assert_as_before().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_come_from_the_environment_or_a_file() {
    let shared = ("credentials = \"shared-file\"\ncredentials_file = \"credentials.ini\"", "");
    let environment = "credentials = \"environment\"";
    let scene = scene_with(&[(shared.0, environment)]).await;
    one_fault(&scene, "connections.sandbox", &["ALIBABA_CLOUD_ACCESS_KEY_ID"]).await;
    let account = scene.world.seed().account.clone();
    let key = [
        ("ALIBABA_CLOUD_ACCESS_KEY_ID", account.access_key_id.as_str()),
        ("ALIBABA_CLOUD_ACCESS_KEY_SECRET", account.access_key_secret.as_str()),
    ];
    let checked = check(&scene, &key).await;
    assert_eq!((checked.code, checked.faults().len()), (Some(0), 0), "{:#?}", checked.lines);

    // The default chain: the environment, then the file in its usual place.
    let scene = scene_with(&[shared]).await;
    one_fault(&scene, "connections.sandbox", &["ALIBABA_CLOUD_ACCESS_KEY_ID", "credentials.ini"])
        .await;
    assert_eq!(check(&scene, &key).await.code, Some(0));
    let usual = scene.world.folder().file("home").join(".alibabacloud");
    std::fs::create_dir_all(&usual).unwrap();
    std::fs::copy(scene.world.folder().file("credentials.ini"), usual.join("credentials.ini"))
        .unwrap();
    let checked = check(&scene, &[]).await;
    assert_eq!(checked.code, Some(0), "{:#?}", checked.lines);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_credentials_are_told_from_a_wrong_account() {
    let scene =
        scene_with(&[("account_id = \"1234567890123456\"", "account_id = \"6543210987654321\"")])
            .await;
    one_fault(&scene, "connections.sandbox", &["1234567890123456", "6543210987654321"]).await;

    let scene = scene_with(&[]).await;
    let file = scene.world.folder().file("credentials.ini");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("SandboxDaemonSecret", "WrongWrongSecret")).unwrap();
    one_fault(&scene, "connections.sandbox", &["SignatureDoesNotMatch"]).await;
    std::fs::write(&file, text.replace("access_key_secret", "access_key_sercet")).unwrap();
    one_fault(&scene, "connections.sandbox", &["access_key_secret", "credentials.ini"]).await;
    std::fs::remove_file(&file).unwrap();
    one_fault(&scene, "connections.sandbox", &["credentials.ini"]).await;

    let scene = scene_with(&[("account_id", "profile = \"staging\"\naccount_id")]).await;
    one_fault(&scene, "connections.sandbox", &["[staging]", "credentials.ini"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clusters_and_the_cloud_that_do_not_answer_are_faults() {
    let scene = scene_with(&[]).await;
    let subject = format!("connections.sandbox.kubeconfigs.{}", scene.world.seed().clusters[0].id);
    let file = scene.world.folder().file("kubeconfig");
    let text = std::fs::read_to_string(&file).unwrap();
    let url = scene.world.endpoints().kubernetes[0].url.clone();
    std::fs::write(&file, text.replace(&url, "https://127.0.0.1:1")).unwrap();
    one_fault(&scene, &subject, &["kubeconfig does not lead to the cluster"]).await;
    std::fs::write(&file, "no kubeconfig").unwrap();
    one_fault(&scene, &subject, &["kubeconfig"]).await;
    std::fs::remove_file(&file).unwrap();
    one_fault(&scene, &subject, &["kubeconfig"]).await;

    let scene = scene_with(&[]).await;
    let config = scene.world.folder().file("causewayd.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace(&scene.world.endpoints().cloud, "http://127.0.0.1:1"))
        .unwrap();
    one_fault(&scene, "connections.sandbox", &["the account can't be asked"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_stores_that_can_not_be_used_are_faults_and_all_of_them_are_said() {
    let scene =
        scene_with(&[("account_id = \"1234567890123456\"", "account_id = \"6543210987654321\"")])
            .await;
    std::fs::write(scene.world.folder().file("sealing.key"), "short").unwrap();
    std::fs::write(scene.world.folder().daemon_data().join("store"), "no store").unwrap();
    std::fs::remove_file(scene.world.folder().file("kubeconfig")).unwrap();
    let checked = check(&scene, &[]).await;
    assert_eq!(checked.code, Some(1));
    let kubeconfig =
        format!("connections.sandbox.kubeconfigs.{}", scene.world.seed().clusters[0].id);
    let faults = ["sealing key", "store", "connections.sandbox", kubeconfig.as_str()];
    assert_eq!(checked.faults(), faults, "{:#?}", checked.lines);
    assert!(checked.line("sealing key").contains("sealing.key"), "{}", checked.line("sealing key"));
    let kept = std::fs::read_to_string(scene.world.folder().daemon_data().join("store")).unwrap();
    assert_eq!(kept, "no store", "what can't be opened is left alone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_can_not_be_read_is_refused_with_its_place() {
    let scene = scene_with(&[]).await;
    let config = scene.world.folder().file("causewayd.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let cases = [
        ("listen = \"127.0.0.1:7443\"\nlisten".to_owned(), vec!["line 2", "causewayd.toml"]),
        (text.replace("max_nodes", "max_node"), vec!["max_node", "max_nodes"]),
        (text.replace("max_nodes = 50", "max_nodes = \"many\""), vec!["max_nodes"]),
        (
            text.replace("regions", "# regions").replace("account_id", "# account_id"),
            vec!["connections.sandbox.regions", "connections.sandbox.account_id"],
        ),
        (
            text.replace("shared-file", "keychain"),
            vec!["connections.sandbox.credentials", "shared-file"],
        ),
        (text.replace("poll = \"", "poll = \"x"), vec!["timing.poll"]),
    ];
    for (text, words) in cases {
        std::fs::write(&config, &text).unwrap();
        for command in [&["check"][..], &[]] {
            let output = Checked::of(&daemon(&scene, command, &[]).await);
            assert_eq!(output.code, Some(1), "{words:?}");
            for word in &words {
                assert!(output.complaint.contains(word), "{word:?} is not in {}", output.complaint);
            }
        }
    }
    std::fs::remove_file(&config).unwrap();
    let output = Checked::of(&daemon(&scene, &["check"], &[]).await);
    assert!(
        output.code == Some(1) && output.complaint.contains("causewayd.toml"),
        "{}",
        output.complaint
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_authentication_only_this_machine_may_connect() {
    let scene = scene_with(&[]).await;
    let outside = ["0.0.0.0:0", "[::]:0", "192.168.7.1:7443", "[::ffff:0.0.0.0]:0"];
    for address in outside {
        for command in [&["check", "--listen", address][..], &["--listen", address]] {
            let output = Checked::of(&daemon(&scene, command, &[]).await);
            assert_eq!(output.code, Some(1), "{address} {command:?}");
            assert!(
                output.complaint.contains("no authentication is configured"),
                "{}",
                output.complaint
            );
        }
        let output = Checked::of(&daemon(&scene, &[], &[("CAUSEWAY_LISTEN", address)]).await);
        assert!(
            output.complaint.contains("no authentication is configured"),
            "{}",
            output.complaint
        );
    }
    let config = scene.world.folder().file("causewayd.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let listen = scene.world.endpoints().daemon.trim_start_matches("http://");
    std::fs::write(&config, text.replace(listen, "0.0.0.0:0")).unwrap();
    let output = Checked::of(&daemon(&scene, &["check"], &[]).await);
    assert!(output.code == Some(1) && output.complaint.contains("listen"), "{}", output.complaint);
    // A flag wins over the file.
    let output = Checked::of(&daemon(&scene, &["check", "--listen", "127.0.0.1:0"], &[]).await);
    assert_eq!(output.code, Some(0), "{:#?}{}", output.lines, output.complaint);
}
