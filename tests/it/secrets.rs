//! Secrets stay secret (P6): over a whole build and a failed one, whatever the daemon and the command line wrote, sent and printed
//! is searched for every secret of the world in every form.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use causeway_proto::json;
use causeway_proto::v1::watch_workflow_response::Message;
use causeway_proto::v1::workflow::State;
use causeway_proto::v1::{ListWorkflowsRequest, Workflow};
use causeway_sandbox::seed::Seed;
use causeway_sandbox::world::Options;
use causeway_tests::Scene;
use causeway_tests::leaks::{Place, Search, forms};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

/// The password of the nodes, with characters that every escaping changes.
const PASSWORD: &str = "Gu1de<&%+/=pass'word~0123";
/// An id that goes wherever a secret could go: where it is not found, nothing was collected.
const CANARY: &str = "canary-7f3k9q2m5x8w";

/// Keeps what is exported to it.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<String>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.0.lock().unwrap().push_str(&format!("{:?}\n", request.into_inner()));
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

/// A scene whose daemon exports its spans, and all secrets that its world ever had.
struct Watched {
    scene: Scene,
    spans: Collector,
    secrets: BTreeSet<String>,
    tasks: JoinSet<()>,
}

impl Watched {
    async fn start(options: Options) -> Self {
        let spans = Collector::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let mut tasks = JoinSet::new();
        let server = tonic::transport::Server::builder()
            .add_service(TraceServiceServer::new(spans.clone()))
            .serve_with_incoming(TcpListenerStream::new(listener));
        tasks.spawn(async move { server.await.unwrap() });
        let mut scene = Scene::without_daemon(options).await;
        scene.start_daemon(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)]).await;
        Self { scene, spans, secrets: BTreeSet::from([PASSWORD.to_owned()]), tasks }
    }

    /// Runs the build to its end, and keeps every secret that there is meanwhile: a token that was minted goes with the undo.
    async fn build(&mut self) -> Workflow {
        self.build_with(|_| {}).await
    }

    /// The same with a change of the document.
    async fn build_with(&mut self, edit: impl FnOnce(&mut serde_json::Value)) -> Workflow {
        self.make_password().await;
        let mut document = self.scene.document(1);
        edit(&mut document);
        let login = serde_json::json!({"password": {"secret": {"namespace": "kube-system", "name": "node-login"}}});
        document["spec"]["node_pools"][0]["login"] = login;
        let mut request = Scene::request(&document);
        request.workflow_id = CANARY.to_owned();
        let started = self.scene.client().start(request).await.unwrap();
        let (scene, secrets) = (&self.scene, &mut self.secrets);
        let keep = async {
            loop {
                secrets.extend(scene.world.secrets().await.unwrap());
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let workflow = tokio::select! {
            workflow = scene.rested(&started.id) => workflow,
            () = keep => unreachable!("it keeps looking"),
        };
        self.secrets.extend(self.scene.world.secrets().await.unwrap());
        let minted = self.secrets.iter().filter(|secret| is_join_token(secret)).count();
        let passed = self.scene.world.boundaries().passed();
        assert!(passed.iter().any(|it| it.action == "CreateAccessKey"), "no key was made");
        assert!(minted > 0 && self.secrets.len() >= 6, "{} secrets", self.secrets.len());
        workflow
    }

    async fn make_password(&self) {
        let password = base64::engine::general_purpose::STANDARD.encode(PASSWORD);
        let secret = serde_json::json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "node-login"},
            "data": {"password": password}});
        self.make_secret(&secret).await;
    }

    async fn make_secret(&self, secret: &serde_json::Value) {
        let client = self.scene.world.client(&self.scene.world.seed().clusters[0].id).unwrap();
        let request = http::Request::post("/api/v1/namespaces/kube-system/secrets")
            .header("content-type", "application/json")
            .body(secret.to_string().into_bytes())
            .unwrap();
        client.request_text(request).await.unwrap();
    }

    /// Everything that the daemon answers and the command line prints, and then all that the daemon has written and exported.
    async fn places(mut self) -> Vec<Place> {
        let mut places = self.answers().await;
        places.extend(self.printed().await);
        assert_eq!(self.scene.daemon().stop().await, Some(0));
        places.push(Place::text("log", self.scene.daemon().log()));
        read_all(&self.scene.world.folder().daemon_data(), &mut places);
        places.push(Place::text("spans", self.spans.0.lock().unwrap().clone()));
        self.tasks.shutdown().await;
        places
    }

    async fn answers(&self) -> Vec<Place> {
        let client = self.scene.client();
        let mut places = Vec::new();
        let mut answer = |name: &str, answer: String| places.push(Place::text(name, answer));
        answer("get", json::encode(&client.get(CANARY).await.unwrap()).to_string());
        answer(
            "wait",
            json::encode(&client.wait(CANARY, "", Duration::ZERO).await.unwrap()).to_string(),
        );
        let list = client.list(ListWorkflowsRequest::default()).await.unwrap();
        answer("list", json::encode(&list).to_string());
        let events = client.events(CANARY, 1000, "").await.unwrap();
        answer("events", json::encode(&events).to_string());
        let mut watch = client.watch(CANARY, "");
        let mut seen = String::new();
        while let Some(message) = watch.next().await.unwrap() {
            if let Message::Snapshot(workflow) = message {
                seen.push_str(&json::encode(&workflow).to_string());
            }
        }
        answer("watch", seen);
        for cluster in client.list_clusters().await.unwrap() {
            answer("clusters", json::encode(&cluster).to_string());
        }
        for connection in client.connections().await.unwrap() {
            answer("connections", json::encode(&connection).to_string());
        }
        answer("server info", json::encode(&client.server_info().await.unwrap()).to_string());
        places
    }

    async fn printed(&self) -> Vec<Place> {
        let commands: [&[&str]; 9] = [
            &["get", CANARY],
            &["describe", CANARY],
            &["history", CANARY],
            &["watch", CANARY],
            &["list"],
            &["clusters", "list"],
            &["clusters", "get", "dc1"],
            &["connections"],
            &["server", "info"],
        ];
        let mut places = Vec::new();
        for command in commands {
            for format in ["table", "wide", "json", "jsonl", "yaml", "name"] {
                let output = self.scene.cli(&[command, &["-o", format]].concat()).await;
                let name = format!("causeway {} -o {format}", command.join(" "));
                places.push(Place { name, bytes: [output.stdout, output.stderr].concat() });
            }
        }
        places
    }
}

fn is_join_token(text: &str) -> bool {
    text.split_once('.').is_some_and(|(id, secret)| id.len() == 6 && secret.len() == 16)
}

/// Every file below a folder.
fn read_all(folder: &Path, places: &mut Vec<Place>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_all(&path, places);
        } else {
            let name = format!("data {}", path.file_name().unwrap().to_string_lossy());
            places.push(Place { name, bytes: std::fs::read(&path).unwrap() });
        }
    }
}

/// Requires that the places are the real ones, that a secret in any of them would be found, and that none is there.
fn assert_clean(places: &[Place], secrets: &BTreeSet<String>) {
    let canary = Search::new([("canary", CANARY)]);
    for prefix in [
        "get",
        "wait",
        "list",
        "events",
        "watch",
        "log",
        "data",
        "spans",
        "causeway get",
        "causeway describe",
        "causeway history",
    ] {
        let of_kind = places.iter().filter(|place| place.name.starts_with(prefix));
        assert!(
            of_kind.into_iter().any(|place| !canary.find(place).is_empty()),
            "nothing was collected of {prefix}"
        );
    }
    // Named by number: a report of a leak must not leak.
    let names: Vec<String> = (0..secrets.len()).map(|index| format!("secret {index}")).collect();
    let search =
        Search::new(names.iter().map(String::as_str).zip(secrets.iter().map(String::as_str)));
    let planted = secrets.first().unwrap();
    for place in places {
        for (form, bytes) in forms(planted) {
            // Small places in whole; of large ones the end, which is as good as any other.
            let tail = &place.bytes[place.bytes.len().saturating_sub(1000)..];
            let bytes = [tail, &bytes, b"\n"].concat();
            let found = search.find(&Place { name: place.name.clone(), bytes });
            assert!(!found.is_empty(), "{form} planted in {} was not found", place.name);
        }
    }
    let found: Vec<String> = places.iter().flat_map(|place| search.find(place)).collect();
    assert!(found.is_empty(), "{} leaks: {:#?}", found.len(), &found[..found.len().min(20)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_build_shows_no_secret_anywhere() {
    let mut watched = Watched::start(Options::default()).await;
    let workflow = watched.build().await;
    assert_eq!(workflow.state(), State::Succeeded, "{workflow:#?}");
    let secrets = watched.secrets.clone();
    let places = watched.places().await;
    assert!(places.iter().any(|place| place.name == "clusters"), "no record");
    assert_clean(&places, &secrets);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_build_shows_no_secret_anywhere() {
    let faults = vec!["cs:ModifyClusterNodePool:error=403/Forbidden".to_owned()];
    let mut watched = Watched::start(Options { faults, ..Options::default() }).await;
    let workflow = watched.build().await;
    assert_eq!(workflow.state(), State::Compensated, "{workflow:#?}");
    let secrets = watched.secrets.clone();
    assert_clean(&watched.places().await, &secrets);
}

/// What the API server or the cloud refuses is told with its words, and those may repeat what was sent.
#[tokio::test(flavor = "multi_thread")]
async fn refused_and_lost_calls_show_no_secret_anywhere() {
    let faults = [
        "ram:CreateAccessKey:cut-after",
        "k8s:write-secrets@kube-system/alibaba-addon-secret:error=422",
        "k8s:write-configmaps@kube-system/eni-config:cut-before",
        "cs:CreateClusterNodePool:error=400/InvalidParameter",
    ];
    let options = Options { faults: faults.map(str::to_owned).into(), ..Options::default() };
    let mut watched = Watched::start(options).await;
    let workflow = watched.build().await;
    assert_eq!(workflow.state(), State::Compensated, "{workflow:#?}");
    let secrets = watched.secrets.clone();
    assert_clean(&watched.places().await, &secrets);
}

/// What a script prints on its instance comes back as the reason of a scaling activity: a failing join names its token easily.
#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_do_not_join_show_no_secret_anywhere() {
    let mut watched = Watched::start(Options::default()).await;
    let build = watched.build_with(|document| {
        document["spec"]["on_premises"]["api_server"] = "192.168.0.99:6443".into();
    });
    let workflow = build.await;
    assert_eq!(workflow.state(), State::Compensated, "{workflow:#?}");
    let failure = workflow.failure.expect("it says why");
    assert!(failure.step.starts_with("scale-out"), "{failure:#?}");
    let secrets = watched.secrets.clone();
    assert_clean(&watched.places().await, &secrets);
}

/// A token that the user made goes the same ways as one of ours.
#[tokio::test(flavor = "multi_thread")]
async fn a_join_token_that_is_given_by_reference_shows_nowhere() {
    const TOKEN: (&str, &str) = ("own123", "0123456789abcdef");
    let mut watched = Watched::start(Options::default()).await;
    let data = serde_json::json!({"token-id": TOKEN.0, "token-secret": TOKEN.1, "expiration": "2036-01-01T00:00:00Z",
        "usage-bootstrap-authentication": "true", "usage-bootstrap-signing": "true",
        "auth-extra-groups": "system:bootstrappers:kubeadm:default-node-token"});
    let secret = serde_json::json!({"apiVersion": "v1", "kind": "Secret", "type": "bootstrap.kubernetes.io/token",
        "metadata": {"name": "bootstrap-token-own123"}, "stringData": data});
    watched.make_secret(&secret).await;
    watched.secrets.extend([TOKEN.1.to_owned(), format!("{}.{}", TOKEN.0, TOKEN.1)]);
    let build = watched.build_with(|document| {
        document["spec"]["init_script"]["token"] =
            serde_json::json!({"secret": {"namespace": "kube-system", "name": "bootstrap-token-own123"}});
    });
    let workflow = build.await;
    assert_eq!(workflow.state(), State::Succeeded, "{workflow:#?}");
    let secrets = watched.secrets.clone();
    assert_clean(&watched.places().await, &secrets);
}

/// Terway before 1.8 reads its key from the ConfigMap, whose before-image is kept.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_in_the_configuration_of_terway_is_kept_sealed() {
    let mut seed = Seed::guide();
    seed.clusters[0].data_center.kubernetes_version = "1.24.6".into();
    let mut watched = Watched::start(Options { seed, ..Options::default() }).await;
    let build = watched.build_with(|document| {
        document["spec"]["terway"] = serde_json::json!({"credentials": "ENI_CONFIG"});
    });
    let workflow = build.await;
    assert_eq!(workflow.state(), State::Succeeded, "{workflow:#?}");
    let secrets = watched.secrets.clone();
    assert_clean(&watched.places().await, &secrets);
}
