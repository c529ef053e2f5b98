"""What an engineer of another platform does with Causeway, in the order of proto/README.md, against a real daemon.

Usage: client.py PROTO_FOLDER ADDRESS. Asserts all the way; ends with 0 when everything held. The daemon must be new, and
its first connection must know a registered cluster by kubeconfig, as the sandbox's does.
"""

import sys
import tempfile
import time
from grpc import StatusCode

import api as wire
from api import CALL_SECONDS, refused

ENDED = {"SUCCEEDED", "REJECTED", "COMPENSATED", "CANCELLED", "ABANDONED"}


class Program:
    """The steps of the program; each is told on a line with the time that it took."""

    def __init__(self, address):
        self.api, self.m = wire.Api(address), wire.Messages()
        self.workflows, self.clusters = self.api.workflow, self.api.hybrid_cluster

    # -- words ------------------------------------------------------------------------------------------------------------

    def state(self, workflow):
        """The state's name; a client must bear numbers that it does not know."""
        states = self.m.Workflow.State
        return states.Name(workflow.state) if workflow.state in states.values() else str(workflow.state)

    def get(self, name):
        return self.workflows.GetWorkflow(self.m.GetWorkflowRequest(name=name), timeout=CALL_SECONDS)

    def noop(self, **more):
        return self.m.StartWorkflowRequest(noop=self.m.NoopSpec(), **more)

    def cluster_spec(self):
        """The guide's cluster in the sandbox's world, in the account that the daemon is configured for."""
        m = self.m
        connection = self.clusters.ListConnections(m.ListConnectionsRequest(), timeout=CALL_SECONDS).connections[0]
        pool = m.NodePool(name="burst", size=1, instance_types=["ecs.g7.xlarge"])
        pool.login.key_pair.name = "kp"
        script = m.InitScript()
        script.render.SetInParent()
        script.publish.oss.bucket = "kubelet-scripts"
        return m.HybridClusterSpec(
            connection=connection.name,
            cluster_id=connection.kubeconfig_clusters[0],
            region=connection.regions[0],
            on_premises=m.OnPremises(
                node_cidrs=["192.168.0.0/24"],
                pod_cidrs=["10.100.0.0/16"],
                service_cidr="172.16.0.0/16",
                api_server="192.168.0.10:6443",
            ),
            vpc=m.Vpc(
                id="vpc-bp1guide",
                security_group_id="sg-bp1guide",
                node_vswitches=[m.VSwitch(id="vsw-bp1nodes")],
                pod_vswitches=[m.VSwitch(id="vsw-bp1pods")],
            ),
            init_script=script,
            node_pools=[pool],
        )

    def start(self, request):
        return self.workflows.StartWorkflow(request, timeout=CALL_SECONDS)

    def wait(self, name):
        """Waits for the end, or for a person, without a stream: a call answers after a minute at the latest."""
        until = time.monotonic() + CALL_SECONDS
        while time.monotonic() < until:
            request = self.m.WaitWorkflowRequest(name=name)
            workflow = self.workflows.WaitWorkflow(request, timeout=CALL_SECONDS)
            if self.state(workflow) in ENDED | {"AWAITING_APPROVAL", "PAUSED", "STUCK", "QUARANTINED"}:
                return workflow
        raise AssertionError(f"{name} neither ended nor asked for a person")

    def watch(self, name, cursor=""):
        request = self.m.WatchWorkflowRequest(name=name, cursor=cursor)
        return self.workflows.WatchWorkflow(request, timeout=CALL_SECONDS)

    def history(self, name):
        """The whole history, in pages."""
        events, token = [], ""
        while True:
            request = self.m.ListWorkflowEventsRequest(parent=name, page_size=7, page_token=token)
            page = self.workflows.ListWorkflowEvents(request, timeout=CALL_SECONDS)
            events.extend(page.events)
            token = page.next_page_token
            if not token:
                return events

    # -- what is done -----------------------------------------------------------------------------------------------------

    def looks_around(self):
        info = self.api.admin.GetServerInfo(self.m.GetServerInfoRequest(), timeout=CALL_SECONDS)
        assert info.version and info.store.id and {it.name for it in info.definitions} >= {"hybrid-cluster"}, info
        assert info.caller.principal == "loopback", info.caller

    def starts_once_however_often_it_asks(self):
        request = self.noop(request_id="python-1", labels={"team": "edge"})
        first, again = self.start(request), self.start(request)
        assert first.name == again.name and first.name.startswith("workflows/"), (first, again)
        other = self.noop(request_id="python-1", labels={"team": "core"})
        refusal = refused(self.workflows.StartWorkflow, other, StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")
        assert refusal.info.metadata["field"] == "labels", refusal.info
        ended = self.wait(first.name)
        assert self.state(ended) == "SUCCEEDED" and ended.result.noop.steps == 10, ended

    def reads_what_is_wrong_with_an_input(self):
        spec = self.cluster_spec()
        spec.cluster_id = "no cluster"
        spec.node_pools[0].name = ""
        bad = self.m.StartWorkflowRequest(metadata=self.m.Metadata(name="dc1"), hybrid_cluster=spec)
        refusal = refused(self.workflows.StartWorkflow, bad, StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
        assert {"spec.cluster_id", "spec.node_pools[0].name"} <= refusal.paths, refusal.fields

    def reads_why_a_call_is_refused(self):
        nobody = self.m.GetWorkflowRequest(name="workflows/nobody")
        refusal = refused(self.workflows.GetWorkflow, nobody, StatusCode.NOT_FOUND, "WORKFLOW_NOT_FOUND")
        assert refusal.resource.resource_name == "workflows/nobody", refusal.resource
        ended = self.start(self.noop(request_id="python-1", labels={"team": "edge"}))
        cancel = self.m.CancelWorkflowRequest(name=ended.name)
        refusal = refused(self.workflows.CancelWorkflow, cancel, StatusCode.FAILED_PRECONDITION, "WORKFLOW_ENDED")
        assert refusal.info.metadata["state"] == "SUCCEEDED", refusal.info
        delete = self.m.DeleteWorkflowRequest(name=ended.name, etag="1-old")
        refused(self.workflows.DeleteWorkflow, delete, StatusCode.ABORTED, "ETAG_MISMATCH")

    def cancels_and_everything_is_undone(self):
        request = self.m.StartWorkflowRequest(
            request_id="python-cancelled",
            metadata=self.m.Metadata(name="dc1"),
            hybrid_cluster=self.cluster_spec(),
        )
        name = self.start(request).name
        stream = self.watch(name)
        began = next(it for it in stream if it.WhichOneof("message") == "event" and it.event.type == "APPLYING")
        stream.cancel()
        assert began.event.step_state == self.m.Step.State.APPLYING, began
        cancel = self.m.CancelWorkflowRequest(name=name, reason="changed our mind", request_id="python-cancel")
        self.workflows.CancelWorkflow(cancel, timeout=CALL_SECONDS)
        ended = self.wait(name)
        assert self.state(ended) == "CANCELLED" and not ended.left, ended
        self.workflows.CancelWorkflow(cancel, timeout=CALL_SECONDS)  # the same call has the same answer, even now

    def builds_by_a_plan_with_an_approval(self):
        spec, metadata = self.cluster_spec(), self.m.Metadata(name="dc1", labels={"team": "edge"})
        run = self.m.RunOptions()
        run.gates.spend.required = True
        asked = self.m.PlanWorkflowRequest(metadata=metadata, run=run, hybrid_cluster=spec)
        plan = self.workflows.PlanWorkflow(asked, timeout=CALL_SECONDS)
        assert plan.digest and plan.changes and not plan.conflicts, plan
        request = self.m.StartWorkflowRequest(
            request_id="python-built",
            plan_digest=plan.digest,
            metadata=metadata,
            run=run,
            hybrid_cluster=spec,
        )
        name = self.start(request).name
        waiting = self.wait(name)
        assert self.state(waiting) == "AWAITING_APPROVAL", waiting
        assert waiting.waiting.reason == self.m.Waiting.Reason.APPROVAL, waiting.waiting
        approve = self.m.ApproveStepRequest(
            name=name,
            step=waiting.waiting.step,
            etag=waiting.etag,
            plan_digest=waiting.plan_digest,
            reason="within budget",
        )
        self.workflows.ApproveStep(approve, timeout=CALL_SECONDS)
        return name

    def follows_without_gap_or_repetition(self, name):
        """Hangs up every few messages, and goes on from the last cursor that it received."""
        cursor, snapshots, events, calls = "", [], [], 0
        while not events or events[-1].state not in {self.m.Workflow.State.Value(it) for it in ENDED}:
            calls, stream = calls + 1, self.watch(name, cursor)
            for count, message in enumerate(stream, 1):
                cursor, kind = message.cursor, message.WhichOneof("message")
                if kind == "snapshot":
                    snapshots.append(message.snapshot)
                elif kind == "event":
                    events.append(message.event)
                if count == 5:
                    stream.cancel()
                    break
        assert calls > 3 and len(snapshots) == 1, f"{calls} calls, {len(snapshots)} snapshots"
        history = self.history(name)
        assert [it.sequence for it in history] == list(range(1, len(history) + 1)), "the history has a gap"
        first = events[0].sequence
        assert first > 1, "the snapshot stands for the events before it"
        assert events == history[first - 1 :], "the watch tells something else than the history"
        ended = self.get(name)
        assert self.state(ended) == "SUCCEEDED" and ended.result.hybrid_cluster.node_pools[0].nodes[0].ready, ended
        foreign = self.m.WatchWorkflowRequest(name=name, cursor="another store's")
        refused(self.workflows.WatchWorkflow, foreign, StatusCode.OUT_OF_RANGE, "CURSOR_EXPIRED")

    def follows_many_and_sees_one_deleted(self):
        watched = self.m.WatchWorkflowsRequest(filter="labels.watch=python")
        first = self.workflows.WatchWorkflows(watched, timeout=CALL_SECONDS)
        name = self.start(self.noop(request_id="python-many", labels={"watch": "python"})).name
        message = next(it for it in first if it.WhichOneof("message") == "snapshot")
        assert message.snapshot.name == name, message
        first.cancel()
        self.wait(name)
        self.workflows.DeleteWorkflow(self.m.DeleteWorkflowRequest(name=name), timeout=CALL_SECONDS)
        watched.cursor = message.cursor
        resumed = self.workflows.WatchWorkflows(watched, timeout=CALL_SECONDS)
        for message in resumed:
            if message.WhichOneof("message") == "deleted" and message.deleted.name == name:
                resumed.cancel()
                return
        raise AssertionError("the stream ended by itself")

    def lists_by_a_filter_in_pages(self):
        wanted = 'state=SUCCEEDED AND (labels.team=edge OR type="hybrid-cluster")'
        names, token = [], ""
        while True:
            request = self.m.ListWorkflowsRequest(filter=wanted, page_size=1, page_token=token)
            page = self.workflows.ListWorkflows(request, timeout=CALL_SECONDS)
            names += [it.name for it in page.workflows]
            token = page.next_page_token
            if not token:
                break
        assert len(names) == len(set(names)) == 2, names
        bad = self.m.ListWorkflowsRequest(filter="colour=RED")
        refusal = refused(self.workflows.ListWorkflows, bad, StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
        assert refusal.paths == {"filter"}, refusal.fields

    def verifies_and_takes_down(self):
        record = self.m.GetHybridClusterRequest(name="hybridClusters/dc1")
        cluster = self.clusters.GetHybridCluster(record, timeout=CALL_SECONDS)
        assert cluster.complete and cluster.ledger, cluster
        look = self.m.VerifyHybridClusterRequest(name=cluster.name)
        found = self.clusters.VerifyHybridCluster(look, timeout=CALL_SECONDS)
        assert found.steps and (found.drifts, found.unread) == (0, 0), found
        down = self.m.TeardownSpec(hybrid_cluster=cluster.name)
        plan = self.workflows.PlanWorkflow(self.m.PlanWorkflowRequest(teardown=down), timeout=CALL_SECONDS)
        undone = {self.m.PlannedStep.State.Name(it.state) for it in plan.steps}
        assert "UNDO" in undone, undone
        request = self.m.StartWorkflowRequest(request_id="python-down", teardown=down)
        ended = self.wait(self.start(request).name)
        assert self.state(ended) == "SUCCEEDED" and not ended.left, ended
        refused(self.clusters.GetHybridCluster, record, StatusCode.NOT_FOUND, "HYBRID_CLUSTER_NOT_FOUND")

    # -- all of it --------------------------------------------------------------------------------------------------------

    def run(self):
        self.told(self.looks_around)
        self.told(self.starts_once_however_often_it_asks)
        self.told(self.reads_what_is_wrong_with_an_input)
        self.told(self.reads_why_a_call_is_refused)
        self.told(self.cancels_and_everything_is_undone)
        name = self.told(self.builds_by_a_plan_with_an_approval)
        self.told(self.follows_without_gap_or_repetition, name)
        self.told(self.follows_many_and_sees_one_deleted)
        self.told(self.lists_by_a_filter_in_pages)
        self.told(self.verifies_and_takes_down)
        self.api.close()

    @staticmethod
    def told(part, *arguments):
        began = time.monotonic()
        outcome = part(*arguments)
        print(f"ok {time.monotonic() - began:5.1f}s  {part.__name__.replace('_', ' ')}", flush=True)
        return outcome


def main():
    protos, address = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="causeway-stubs-") as stubs:
        wire.generate(protos, stubs)
        Program(address).run()


if __name__ == "__main__":
    main()
