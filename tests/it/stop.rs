//! SIGTERM in the middle of a build: the daemon stops in order, in bounded time, and the next one finishes the build.

use std::time::{Duration, Instant};

use causeway_client::Patience;
use causeway_proto::v1::workflow::State;
use causeway_proto::v1::{DrainRequest, DrainResponse};
use causeway_sandbox::faults::{At, Side};
use causeway_tests::Scene;
use tonic::Code;

/// What a stopping daemon may take: it waits for calls in flight, and none here takes long.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// Stops the daemon while the call is under way, which ends a moment later; how long that took.
async fn stopped_at(scene: &mut Scene, call: &str) -> Duration {
    let boundaries = scene.world.boundaries();
    boundaries.arm(At::call(call, Side::After));
    boundaries.reached().await;
    let began = Instant::now();
    let answered = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        boundaries.release();
    };
    let (code, ()) = tokio::join!(scene.daemon().stop(), answered);
    assert_eq!(code, Some(0), "{call}: {}", scene.daemon().log());
    began.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_is_told_to_stop_exits_soon_and_the_next_one_finishes() {
    let mut scene = Scene::guide().await;
    let id = scene.build().await;
    for call in ["ram:CreateAccessKey", "cs:InstallClusterAddons", "cs:ModifyClusterNodePool"] {
        let took = stopped_at(&mut scene, call).await;
        assert!(took < STOP_LIMIT, "{call}: {took:?}");
        // What was answered while it stopped is on record: nothing of it is in doubt, or done again.
        scene.start_daemon(&[]).await;
    }
    let workflow = scene.rested(&id).await;
    assert_eq!(workflow.state(), State::Succeeded, "{workflow:#?}");
    let made = |call: &str| {
        let passed = scene.world.boundaries().passed();
        passed.iter().filter(|one| one.action == call && one.side == Side::Before).count()
    };
    for call in [
        "CreateAccessKey",
        "InstallClusterAddons",
        "CreateClusterNodePool",
        "ModifyClusterNodePool",
    ] {
        assert_eq!(made(call), 1, "{call}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_does_not_end_is_not_waited_for_for_ever() {
    let mut scene = Scene::guide().await;
    let id = scene.build().await;
    let boundaries = scene.world.boundaries();
    boundaries.arm(At::call("cs:CreateClusterNodePool", Side::After));
    boundaries.reached().await;
    let began = Instant::now();
    assert_eq!(scene.daemon().stop().await, Some(0), "{}", scene.daemon().log());
    assert!(began.elapsed() < 3 * STOP_LIMIT, "{:?}", began.elapsed());
    boundaries.drop_call();
    scene.start_daemon(&[]).await;
    let workflow = scene.rested(&id).await;
    assert_eq!(workflow.state(), State::Succeeded, "{workflow:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_daemon_finishes_what_is_in_flight_and_the_next_one_finishes_the_build() {
    let mut scene = Scene::guide().await;
    let id = scene.build().await;
    let boundaries = scene.world.boundaries();
    boundaries.arm(At::call("cs:InstallClusterAddons", Side::After));
    boundaries.reached().await;
    let client = scene.client();
    let answered = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        boundaries.release();
    };
    let request = DrainRequest { reason: "a new kernel".into(), ..DrainRequest::default() };
    let (drained, ()) = tokio::join!(client.drain(request), answered);
    assert_eq!(drained.unwrap(), DrainResponse { parked: 1, in_flight: 0 });
    let rests = client.get(&id).await.unwrap();
    assert_eq!(rests.state(), State::Running, "{rests:#?}");
    assert!(client.server_info().await.unwrap().draining);
    let impatient = client.clone().with_patience(Patience::NONE);
    let refused = impatient.start(Scene::request(&scene.document(1))).await.unwrap_err();
    assert_eq!((refused.code(), refused.reason()), (Some(Code::Unavailable), "DRAINING"));
    // Nothing more is called, however long one looks.
    let calls = scene.world.boundaries().passed().len();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(scene.world.boundaries().passed().len(), calls);
    assert_eq!(scene.daemon().stop().await, Some(0));
    scene.start_daemon(&[]).await;
    assert_eq!(scene.rested(&id).await.state(), State::Succeeded);
}
