//! Instances run the registered script in walls: what a right script leads to, what wrong ones don't, and that none of
//! them reaches the host.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use axum::{Router, extract::State, http::HeaderMap, routing::get};
use causeway_sandbox::{
    hands::{Boot, BootReport},
    instances::{Discovery, Instances, Mode, Reach, Registrar, Registration},
    time::Pace,
};

const TOKEN: &str = "abcdef.0123456789abcdef";
const HASH: &str = "sha256:00ff";

/// A data center that remembers who joined.
#[derive(Default)]
struct DataCenter {
    nodes: Mutex<Vec<Registration>>,
}

#[async_trait]
impl Registrar for DataCenter {
    async fn discover(&self, discovery: &Discovery) -> Result<(), String> {
        if discovery.token == TOKEN && discovery.ca_cert_hashes == [HASH] {
            Ok(())
        } else {
            Err("could not find a JWS signature".into())
        }
    }

    async fn register(&self, _boot: &Boot, registration: &Registration) -> Result<(), String> {
        self.nodes.lock().expect("no test panics while it holds this").push(registration.clone());
        Ok(())
    }
}

/// A cloud that has this script in its bucket, and nothing else.
fn cloud(script: &str) -> Router {
    let serve = |State(script): State<String>, headers: HeaderMap| async move {
        assert_eq!(headers["host"], "kubelet-scripts.oss-cn-hangzhou-internal.aliyuncs.com");
        script
    };
    Router::new().route("/causeway/script", get(serve)).with_state(script.to_owned())
}

/// A script, run on a machine with `image_type`, and who joined.
async fn run_on(
    image_type: &str,
    script: &str,
    limit: Duration,
) -> (BootReport, Vec<Registration>) {
    let data_center = Arc::new(DataCenter::default());
    let reach = Reach {
        cloud: cloud(script),
        api_server: "192.168.0.10:6443".into(),
        registrar: data_center.clone(),
    };
    let instances = Instances::new(Mode::Scripted, Pace::new(1.0))
        .await
        .expect("this machine has namespaces")
        .with_limit(limit);
    let report = instances.boot(&boot(image_type), reach).await;
    let nodes = data_center.nodes.lock().expect("no test panics while it holds this").clone();
    (report, nodes)
}

async fn run(script: &str) -> (BootReport, Vec<Registration>) {
    run_on("AliyunLinux3", script, Duration::from_secs(30)).await
}

fn boot(image_type: &str) -> Boot {
    let variables = [
        ("ALIBABA_CLOUD_PROVIDER_ID", "cn-hangzhou.i-bp1test"),
        ("ALIBABA_CLOUD_NODE_NAME", "cn-hangzhou.10.10.24.5"),
        ("ALIBABA_CLOUD_LABELS", "alibabacloud.com/external=true,workload=cpu"),
        ("ALIBABA_CLOUD_TAINTS", "workload=ack:NoSchedule"),
    ];
    Boot {
        cluster_id: "c1".into(),
        instance_id: "i-bp1test".into(),
        vpc_id: "vpc-1".into(),
        region: "cn-hangzhou".into(),
        zone: "cn-hangzhou-h".into(),
        vswitch_id: "vsw-1".into(),
        private_ip: "10.10.24.5".into(),
        instance_type: "ecs.g7.xlarge".into(),
        image_type: image_type.into(),
        script_url: "https://kubelet-scripts.oss-cn-hangzhou-internal.aliyuncs.com/causeway/script"
            .into(),
        variables: variables
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into_iter()
            .collect::<BTreeMap<_, _>>(),
    }
}

/// A script that does all that is needed, with `file` as kubelet's file of flags and `flags` in it.
fn joining(file: &str, flags: &str) -> String {
    format!(
        "set -eu\nmodprobe overlay\nsysctl --system >/dev/null\nswapoff -a\nsed -i '/ swap / s/^/#/' /etc/fstab\n\
         \"$(command -v yum || command -v apt-get)\" install -y kubelet kubeadm containerd\n\
         echo 'KUBELET_EXTRA_ARGS=\"{flags}\"' > {file}\nsystemctl daemon-reload\nsystemctl enable --now containerd kubelet\n\
         kubeadm join 192.168.0.10:6443 --token {TOKEN} --discovery-token-ca-cert-hash {HASH} --node-name \"$ALIBABA_CLOUD_NODE_NAME\"\n"
    )
}

const FLAGS: &str = "--node-labels='\"$ALIBABA_CLOUD_LABELS\"' --register-with-taints='\"$ALIBABA_CLOUD_TAINTS\"' \
                     --hostname-override='\"$ALIBABA_CLOUD_NODE_NAME\"' --provider-id='\"$ALIBABA_CLOUD_PROVIDER_ID\"'";

#[tokio::test(flavor = "multi_thread")]
async fn a_right_script_makes_a_node_of_what_it_gave_kubelet() {
    let (report, nodes) = run(&joining("/etc/sysconfig/kubelet", FLAGS)).await;
    assert!(report.ok, "{}", report.log);
    let [node] = nodes.as_slice() else {
        panic!("one node should have joined: {nodes:?}\n{}", report.log)
    };
    assert_eq!(node.name, "cn-hangzhou.10.10.24.5");
    assert_eq!(node.provider_id.as_deref(), Some("cn-hangzhou.i-bp1test"));
    assert_eq!(
        node.labels.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>(),
        ["alibabacloud.com/external=true", "workload=cpu"]
    );
    assert_eq!((node.taints.len(), node.taints[0].effect.as_str()), (1, "NoSchedule"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_family_of_the_system_decides_which_file_kubelet_reads() {
    let minute = Duration::from_secs(30);
    let (_, nodes) = run_on("Ubuntu2204", &joining("/etc/default/kubelet", FLAGS), minute).await;
    assert_eq!(nodes[0].labels.len(), 2);
    let flags_lost = joining("/etc/default/kubelet", FLAGS)
        .replace("--node-name \"$ALIBABA_CLOUD_NODE_NAME\"", "");
    let (report, nodes) = run(&flags_lost).await;
    assert!(report.ok, "{}", report.log);
    assert!(
        nodes[0].labels.is_empty()
            && nodes[0].provider_id.is_none()
            && nodes[0].name.starts_with("izbp1"),
        "{nodes:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn systems_are_told_apart_by_their_package_managers() {
    let script = "for p in yum dnf apt-get apt; do command -v $p || echo no $p; done; . /etc/os-release; echo $ID; ls /etc/*/kubelet";
    let (yum, _) = run(script).await;
    assert_eq!(
        yum.log,
        "/usr/bin/yum\n/usr/bin/dnf\nno apt-get\nno apt\nalinux\n/etc/sysconfig/kubelet\n"
    );
    let (apt, _) = run_on("Ubuntu2204", script, Duration::from_secs(30)).await;
    assert_eq!(
        apt.log,
        "no yum\nno dnf\n/usr/bin/apt-get\n/usr/bin/apt\nubuntu\n/etc/default/kubelet\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_script_means_no_node_and_its_output_is_kept() {
    let right = joining("/etc/sysconfig/kubelet", FLAGS);
    let cases = [
        ("echo before; false".to_owned(), "before"),
        (
            right.replace("install -y kubelet kubeadm", "install -y"),
            "Unit kubelet.service not found",
        ),
        (
            right.replace("install -y kubelet kubeadm", "install -y kubelet"),
            "kubeadm: command not found",
        ),
        (
            right.replace("--now containerd kubelet", "--now kubelet"),
            "container runtime is not running",
        ),
        ("exit 3".to_owned(), ""),
        ("no-such-program".to_owned(), "command not found"),
        (
            right.replace(TOKEN, "aaaaaa.0123456789abcdef"),
            "couldn't validate the identity of the API Server: could not find a JWS signature",
        ),
        (right.replace(HASH, "sha256:11"), "couldn't validate the identity"),
        (right.replace("192.168.0.10", "192.168.0.99"), "dial tcp 192.168.0.99:6443: i/o timeout"),
        (
            right.replace("--node-name \"$ALIBABA_CLOUD_NODE_NAME\"", ""),
            "is not allowed to modify node \"cn-hangzhou.10.10.24.5\"",
        ),
        (
            joining("/etc/sysconfig/kubelet", "--node-labels=node-role.kubernetes.io/worker="),
            "unknown 'kubernetes.io'",
        ),
        (joining("/etc/sysconfig/kubelet", "--node-ip=cn-hangzhou.10.10.24.5"), "no IP address"),
        (
            "curl -fsS https://example.com/ -o /tmp/x".to_owned(),
            "Could not resolve host: example.com",
        ),
        (
            "curl -fsS https://kubelet-scripts.oss-cn-hangzhou-internal.aliyuncs.com/none"
                .to_owned(),
            "returned error: 404",
        ),
    ];
    for (script, complaint) in cases {
        let (report, nodes) = run(&script).await;
        assert!(!report.ok, "{script}\n{}", report.log);
        assert!(report.log.contains(complaint), "{script}\n{}", report.log);
        assert!(nodes.is_empty(), "{script}\n{nodes:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn running_the_join_twice_is_refused_as_kubeadm_does() {
    let right = joining("/etc/sysconfig/kubelet", FLAGS);
    let (report, nodes) = run(&format!("{right}\n{right}")).await;
    assert!(
        !report.ok && report.log.contains("/etc/kubernetes/kubelet.conf already exists"),
        "{}",
        report.log
    );
    assert_eq!(nodes.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_knows_its_metadata_and_has_ordinary_tools() {
    let (report, _) = run("m=http://100.100.100.200/latest/meta-data; curl -s $m/private-ipv4; echo; wget -qO- $m/instance-id; echo; echo a | awk '{print $1}' | sed s/a/b/; cat <(echo c); hostname").await;
    assert_eq!(report.log, "10.10.24.5\ni-bp1test\nb\nc\nizbp1testz\n");
    assert!(report.ok);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_host_is_out_of_reach() {
    let outside = tempfile::tempdir().expect("a folder on the host");
    let secret = outside.path().join("secret");
    std::fs::write(&secret, "untouched").expect("written");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port on the host");
    let port = listener.local_addr().expect("bound").port();
    let before = HOST_PATHS.map(host_state);
    let script = format!(
        r#"
        try() {{ if ("$@") >/dev/null 2>&1; then echo "DONE: $*"; fi; }}
        try touch /usr/x; try touch /usr/lib/x; try chmod 777 /usr/bin/bash; try bash -c 'echo x >> /usr/bin/env'; try rm -rf /usr/share; touch /usr/bin/harmless; rm -f /usr/bin/env; try chmod 000 /dev/null; try chown 1:1 /usr
        try mount -o remount,rw,bind /usr; try mount -t tmpfs none /usr; try umount /usr; try mount -o remount,rw,bind /proc
        try unshare -Urm true; try unshare -m true; try chroot /; try mknod /tmp/sda b 8 0
        try bash -c 'echo 1 > /proc/sys/kernel/sysrq'; try bash -c 'echo b > /proc/sysrq-trigger'; try bash -c 'echo x > /proc/sys/kernel/core_pattern'
        try cat '{secret}'; try cat /old-root/etc/passwd; try ls /host; try cat /etc/shadow
        try bash -c 'exec 3<>/dev/tcp/127.0.0.1/{port}'; try bash -c 'exec 3<>/dev/tcp/8.8.8.8/53'
        rm -rf /etc /root /home /opt 2>/dev/null; mkdir -p /etc /root; echo gone > /etc/passwd; echo gone > /root/x
        kill -9 1; kill -9 -1 2>/dev/null; kill 1
        for p in /proc/[0-9]*; do [ "$(readlink $p/ns/pid)" = "$(readlink /proc/self/ns/pid)" ] || echo "FOREIGN $p"; done
        grep Cap /proc/self/status | grep -v 0000000000000000
        echo end
        "#,
        secret = secret.display()
    );
    let (report, nodes) = run(&script).await;
    assert_eq!(report.log, "end\n");
    assert!(report.ok && nodes.is_empty());
    assert_eq!(std::fs::read_to_string(&secret).expect("still there"), "untouched");
    assert_eq!(HOST_PATHS.map(host_state), before);
    assert!(
        Path::new("/usr/bin/env").exists()
            && !Path::new("/usr/bin/harmless").exists()
            && !Path::new("/root/x").exists()
    );
}

/// What a script would like to change.
const HOST_PATHS: [&str; 8] = [
    "/etc/passwd",
    "/usr",
    "/usr/bin",
    "/usr/bin/bash",
    "/dev/null",
    "/root",
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/user/max_user_namespaces",
];

/// What a harmed host would show.
fn host_state(path: &str) -> String {
    let data = std::fs::metadata(path)
        .map(|data| format!("{:?} {}", data.permissions(), data.len()))
        .unwrap_or_default();
    format!("{data} {}", std::fs::read_to_string(path).unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_that_does_not_end_is_stopped_with_all_it_started() {
    let started = Instant::now();
    let (report, _) = run_on(
        "AliyunLinux3",
        "echo waiting; sleep 1013 & (setsid sleep 1013 &) ; sleep 1013",
        Duration::from_secs(1),
    )
    .await;
    assert!(
        !report.ok
            && report.log.starts_with("waiting\n")
            && report.log.contains("still running after 1s"),
        "{}",
        report.log
    );
    assert!(started.elapsed() < Duration::from_secs(15));
    assert!(!is_running("1013"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_waits_at_the_pace_of_the_world() {
    let reach = Reach {
        cloud: cloud("sleep 1m 30; echo waited"),
        api_server: String::new(),
        registrar: Arc::new(DataCenter::default()),
    };
    let instances = Instances::new(Mode::Scripted, Pace::new(200.0))
        .await
        .expect("this machine has namespaces");
    let started = Instant::now();
    let report = instances.boot(&boot("AliyunLinux3"), reach).await;
    assert_eq!(report.log, "waited\n");
    assert!((Duration::from_millis(450)..Duration::from_secs(15)).contains(&started.elapsed()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_that_prints_without_end_is_stopped() {
    let (report, _) = run("yes 'a line that is printed again and again'").await;
    assert!(
        !report.ok && report.log.contains("printed more than") && report.log.contains("left out")
    );
    assert!(report.log.len() < 200_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_dies_when_nobody_waits_for_it() {
    let waiting = tokio::time::timeout(Duration::from_millis(1500), run("sleep 1017")).await;
    assert!(waiting.is_err());
    for _ in 0..100 {
        if !is_running("1017") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the machine's processes are still there");
}

/// Whether `sleep SECONDS` runs anywhere on this host.
fn is_running(seconds: &str) -> bool {
    let processes = std::fs::read_dir("/proc").expect("/proc").flatten();
    processes
        .filter_map(|process| std::fs::read(process.path().join("cmdline")).ok())
        .any(|line| line == format!("sleep\0{seconds}\0").as_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unscripted_node_has_what_the_variables_say() {
    let data_center = Arc::new(DataCenter::default());
    let reach = Reach {
        cloud: Router::new(),
        api_server: "192.168.0.10:6443".into(),
        registrar: data_center.clone(),
    };
    let instances =
        Instances::new(Mode::Unscripted, Pace::new(1.0)).await.expect("nothing is needed");
    let report = instances.boot(&boot("AliyunLinux3"), reach).await;
    assert!(report.ok && report.log.starts_with("UNSCRIPTED"));
    assert_eq!(data_center.nodes.lock().expect("free")[0].labels.len(), 2);
}
