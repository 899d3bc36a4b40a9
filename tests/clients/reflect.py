"""A Python client with no generated code: everything it knows of the contract it asks the server for.

    reflect.py HOST:PORT

Exits 0 when a new customer of the API gets as far as a live stream of events and readable errors.
"""
import sys
import uuid

import grpc
from google.protobuf import descriptor_pool, json_format, message_factory
from google.rpc import error_details_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_status import rpc_status

TENANT = "switchboard.tenant.v1"
CONVERSATION = "switchboard.conversation.v1"


class Client:
    """Calls by name, with dictionaries for messages."""

    def __init__(self, address):
        self.channel = grpc.insecure_channel(address)
        self.database = ProtoReflectionDescriptorDatabase(self.channel)
        self.pool = descriptor_pool.DescriptorPool(self.database)
        self.token = None

    def services(self):
        return list(self.database.get_services())

    def unary(self, service, method, request=None):
        call, message, metadata = self._prepare(self.channel.unary_unary, service, method, request)
        return json_format.MessageToDict(call(message, metadata=metadata, timeout=30))

    def stream(self, service, method, request=None):
        call, message, metadata = self._prepare(self.channel.unary_stream, service, method, request)
        for answer in (stream := call(message, metadata=metadata, timeout=30)):
            yield json_format.MessageToDict(answer), stream

    def _prepare(self, multicallable, service, method, request):
        described = self.pool.FindServiceByName(service).methods_by_name[method]
        question = message_factory.GetMessageClass(described.input_type)
        answer = message_factory.GetMessageClass(described.output_type)
        call = multicallable(
            f"/{service}/{method}",
            request_serializer=question.SerializeToString,
            response_deserializer=answer.FromString,
        )
        metadata = [("authorization", f"Bearer {self.token}")] if self.token else []
        return call, json_format.ParseDict(request or {}, question()), metadata


def refused(code, call):
    """The error of a call that must fail with `code`."""
    try:
        call()
    except grpc.RpcError as error:
        assert error.code() == code, f"{error.code()}: {error.details()}"
        return error
    raise AssertionError(f"expected {code}")


def detail(error, kind):
    """The detail of that kind in the status of `error`."""
    status = rpc_status.from_call(error)
    assert status is not None, "no grpc-status-details-bin"
    found = kind()
    assert any(entry.Unpack(found) for entry in status.details), f"no {kind.DESCRIPTOR.name} in {status}"
    return found


def main(address):
    client = Client(address)
    services = client.services()
    for expected in ["AuthService", "TenantService", "EventService"]:
        assert f"{TENANT}.{expected}" in services, services

    error = refused(grpc.StatusCode.UNAUTHENTICATED, lambda: client.unary(f"{TENANT}.TenantService", "GetTenant"))
    assert detail(error, error_details_pb2.ErrorInfo).domain == "switchboard"

    account = {"email": f"py-{uuid.uuid4().hex}@example.com", "password": "Correct-horse-9", "tenantName": "Python shop"}
    signed_up = client.unary(f"{TENANT}.AuthService", "SignUp", account)
    assert signed_up["success"], signed_up
    client.token = signed_up["sessionToken"]
    tenant = client.unary(f"{TENANT}.TenantService", "GetTenant")
    assert tenant["name"] == "Python shop", tenant

    channel = {"name": "Till", "webhook": {"url": "https://shop.example/messages"}, "webhookSecrets": {}}
    created = client.unary(f"{CONVERSATION}.ChannelService", "CreateChannel", channel)["channel"]
    assert created["id"].startswith("chn_"), created
    listed = client.unary(f"{CONVERSATION}.ConversationService", "ListConversations", {"pageSize": 10})
    assert listed.get("conversations", []) == [], listed

    for step, stream in client.stream(f"{TENANT}.EventService", "Subscribe", {"afterSeq": 0}):
        event = step.get("event", {})
        if event.get("type", "").startswith("channel."):
            stream.cancel()
            break
    else:
        raise AssertionError("the stream ended without the channel's event")

    error = refused(
        grpc.StatusCode.INVALID_ARGUMENT,
        lambda: client.unary(f"{CONVERSATION}.ConversationService", "ListConversations", {"pageSize": -1}),
    )
    fields = [violation.field for violation in detail(error, error_details_pb2.BadRequest).field_violations]
    assert fields == ["page_size"], fields
    print(f"python: {len(services)} services by reflection; signed up, channel {created['id']}, stream, details")


if __name__ == "__main__":
    main(sys.argv[1])
