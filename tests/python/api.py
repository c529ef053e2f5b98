"""The API of Causeway as a Python program sees it: stubs made of the .proto files alone, and errors with their details.

It knows nothing of the repository but the folder of the .proto files, which it is given.
"""

import pathlib
import sys
from importlib import import_module, resources

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from grpc_tools import protoc

# No call may hang for ever. Streams have a deadline too, as this program follows nothing for long.
CALL_SECONDS = 90


def generate(protos, into):
    """Makes the stubs of all .proto files below `protos` in the folder `into`, from where they can be imported afterwards."""
    files = [str(it.relative_to(protos)) for it in sorted(pathlib.Path(protos).rglob("*.proto"))]
    assert files, f"no .proto file below {protos}"
    well_known = resources.files("grpc_tools") / "_proto"
    out = [f"--python_out={into}", f"--grpc_python_out={into}"]
    failed = protoc.main(["protoc", f"-I{protos}", f"-I{well_known}", *out, *files])
    assert failed == 0, "protoc refused the .proto files"
    sys.path.insert(0, str(into))


class Messages:
    """All messages of the package in one place, whichever file they stand in."""

    def __init__(self):
        names = "admin_service hybrid_cluster_service hybrid_cluster_spec ledger plan run_options workflow workflow_service"
        self._modules = [import_module(f"causeway.v1.{name}_pb2") for name in names.split()]

    def __getattr__(self, name):
        for module in self._modules:
            if hasattr(module, name):
                return getattr(module, name)
        raise AttributeError(name)


class Api:
    """The three services at `address` (`http://HOST:PORT`)."""

    def __init__(self, address):
        self._channel = grpc.insecure_channel(address.removeprefix("http://"))
        for service in ("workflow", "hybrid_cluster", "admin"):
            stubs = import_module(f"causeway.v1.{service}_service_pb2_grpc")
            camel = "".join(word.capitalize() for word in service.split("_"))
            setattr(self, service, getattr(stubs, f"{camel}ServiceStub")(self._channel))

    def close(self):
        """Ends all calls."""
        self._channel.close()


class Refusal:
    """What an error says: the code, and the details that a program decides by."""

    def __init__(self, error):
        status = rpc_status.from_call(error)
        assert status is not None, f"an error without details: {error}"
        self.code, self.message = error.code(), status.message
        self.info = self._detail(status, error_details_pb2.ErrorInfo)
        self.fields = self._detail(status, error_details_pb2.BadRequest)
        self.resource = self._detail(status, error_details_pb2.ResourceInfo)
        assert self.info is not None, f"an error without ErrorInfo: {status}"
        assert self.info.domain == "causeway", self.info

    @staticmethod
    def _detail(status, kind):
        for packed in status.details:
            detail = kind()
            if packed.Unpack(detail):
                return detail
        return None

    @property
    def paths(self):
        """The paths of the fields that are wrong."""
        return {it.field for it in self.fields.field_violations} if self.fields else set()


def refused(call, request, code, reason):
    """Makes a call that must be refused with this code and reason, and tells what the refusal says."""
    try:
        answer = call(request, timeout=CALL_SECONDS)
        if hasattr(answer, "__next__"):
            answer = next(answer)
    except grpc.RpcError as error:
        refusal = Refusal(error)
        assert (refusal.code, refusal.info.reason) == (code, reason), f"{refusal.code} {refusal.info} {refusal.message}"
        return refusal
    raise AssertionError(f"{reason} was expected, and this came: {answer}")
