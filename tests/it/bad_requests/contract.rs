//! The contract as the tests walk it: every rpc, every field of its request at any depth, and a call of any of them by bytes.

use std::sync::LazyLock;
use std::time::Duration;

use causeway_proto::json::path;
use causeway_proto::v1::StartWorkflowRequest;
use prost_reflect::bytes::{Buf as _, BufMut as _};
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor,
    MethodDescriptor, ReflectMessage as _, Value,
};
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Request, Status};

/// How long an answer may take, however busy the machine.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);

/// All rpcs of the package.
pub(super) fn rpcs() -> Vec<MethodDescriptor> {
    // One pool: descriptors of two are never equal.
    static POOL: LazyLock<DescriptorPool> =
        LazyLock::new(|| DescriptorPool::decode(causeway_proto::v1::FILE_DESCRIPTOR_SET).unwrap());
    let ours = POOL.services().filter(|service| service.package_name() == "causeway.v1");
    ours.flat_map(|service| service.methods().collect::<Vec<_>>()).collect()
}

/// A request, open to reflection.
pub(super) fn message_of(request: &StartWorkflowRequest) -> DynamicMessage {
    let rpc = rpcs().into_iter().find(|rpc| rpc.name() == "StartWorkflow").unwrap();
    let mut message = DynamicMessage::new(rpc.input());
    message.transcode_from(request).unwrap();
    message
}

/// A field at any depth of a request.
#[derive(Debug, Clone)]
pub(super) struct Place(Vec<FieldDescriptor>);

/// The key under which a map's value is put.
pub(super) const KEY: &str = "key";

impl Place {
    /// All fields of a message, those of its messages included.
    pub(super) fn all(message: &MessageDescriptor) -> Vec<Self> {
        let mut places = Vec::new();
        for field in message.fields() {
            places.push(Self(vec![field.clone()]));
            let Kind::Message(inner) = field.kind() else { continue };
            if field.is_map() || inner.full_name().starts_with("google.") {
                continue;
            }
            let below = Self::all(&inner).into_iter();
            places.extend(below.map(|place| Self([vec![field.clone()], place.0].concat())));
        }
        places
    }

    /// The field itself.
    pub(super) fn field(&self) -> &FieldDescriptor {
        self.0.last().unwrap()
    }

    /// Its path, as errors name it.
    pub(super) fn path(&self) -> String {
        self.0.iter().enumerate().fold(String::new(), |at, (depth, field)| {
            let spec = field.containing_oneof().filter(|union| union.name() == "spec");
            let name = spec.map_or(field.name().to_owned(), |union| union.name().to_owned());
            let at = path::field(&at, &name);
            let inside = depth + 1 < self.0.len() && field.is_list();
            if inside { path::index(&at, 0) } else { at }
        })
    }

    /// The request with a value put there; in a list it is the first element's.
    pub(super) fn put(&self, request: &DynamicMessage, value: Value) -> DynamicMessage {
        let mut request = request.clone();
        let (field, above) = self.0.split_last().unwrap();
        self.inside(above, &mut request, |message| message.set_field(field, value));
        request
    }

    /// The request without it.
    pub(super) fn clear(&self, request: &DynamicMessage) -> DynamicMessage {
        let mut request = request.clone();
        let (field, above) = self.0.split_last().unwrap();
        self.inside(above, &mut request, |message| message.clear_field(field));
        request
    }

    /// Whether the request has it.
    pub(super) fn stands_in(&self, request: &DynamicMessage) -> bool {
        let mut request = request.clone();
        let (field, above) = self.0.split_last().unwrap();
        let mut stands = false;
        self.inside(above, &mut request, |message| stands = message.has_field(field));
        stands
    }

    fn inside(
        &self,
        above: &[FieldDescriptor],
        message: &mut DynamicMessage,
        act: impl FnOnce(&mut DynamicMessage),
    ) {
        let Some((field, rest)) = above.split_first() else { return act(message) };
        let Kind::Message(inner) = field.kind() else { unreachable!("only messages have fields") };
        let fresh = || Value::Message(DynamicMessage::new(inner.clone()));
        let value = message.get_field_mut(field);
        let inner = match value {
            Value::List(list) => {
                if list.is_empty() {
                    list.push(fresh());
                }
                &mut list[0]
            }
            value => value,
        };
        self.inside(rest, inner.as_message_mut().unwrap(), act);
    }

    /// Bytes of a request in which the field has another type than its own, or a text that is none.
    pub(super) fn mistyped(&self) -> Vec<Vec<u8>> {
        let number = |field: &FieldDescriptor| u64::from(field.number());
        let (field, above) = self.0.split_last().unwrap();
        let text = matches!(field.kind(), Kind::String | Kind::Bytes | Kind::Message(_));
        let mut wrong = Vec::new();
        if text {
            wrong.push([varint(number(field) << 3), varint(1)].concat());
        } else {
            wrong.push(delimited(number(field), b"two"));
        }
        if field.kind() == Kind::String {
            wrong.push(delimited(number(field), &[0xff, 0xfe]));
        }
        let wrap = |bytes: Vec<u8>| {
            above.iter().rfold(bytes, |bytes, field| delimited(number(field), &bytes))
        };
        wrong.into_iter().map(wrap).collect()
    }
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value > 0x7f {
        bytes.push(u8::try_from(value & 0x7f).unwrap() | 0x80);
        value >>= 7;
    }
    bytes.push(u8::try_from(value).unwrap());
    bytes
}

fn delimited(number: u64, bytes: &[u8]) -> Vec<u8> {
    let length = u64::try_from(bytes.len()).unwrap();
    [varint(number << 3 | 2), varint(length), bytes.to_vec()].concat()
}

/// As many values of a field's kind as wanted: a list, or a map.
pub(super) fn many(field: &FieldDescriptor, count: usize) -> Value {
    let one = |kind: &Kind| match kind {
        Kind::Message(message) => Value::Message(DynamicMessage::new(message.clone())),
        kind => Value::default_value(kind),
    };
    if let (true, Kind::Message(entry)) = (field.is_map(), field.kind()) {
        let value = one(&entry.map_entry_value_field().kind());
        let key = |n: usize| MapKey::String(n.to_string());
        return Value::Map((0..count).map(|n| (key(n), value.clone())).collect());
    }
    Value::List(vec![one(&field.kind()); count])
}

/// Sends bytes to an rpc; what comes back first, or its error.
pub(super) async fn call(
    channel: Channel,
    rpc: &str,
    body: Vec<u8>,
    token: &str,
) -> Result<Vec<u8>, Status> {
    let mut client = Grpc::new(channel);
    client.ready().await.map_err(|error| Status::unknown(error.to_string()))?;
    let mut request = Request::new(tokio_stream::once(body));
    let token: MetadataValue<_> = format!("Bearer {token}").parse().unwrap();
    request.metadata_mut().insert("authorization", token);
    let path = rpc.parse().unwrap();
    let answer = async {
        let mut stream = client.streaming(request, path, Raw).await?.into_inner();
        Ok(stream.message().await?.unwrap_or_default())
    };
    let late = || Status::unknown(format!("no answer from {rpc}"));
    tokio::time::timeout(ANSWER_LIMIT, answer).await.unwrap_or_else(|_| Err(late()))
}

/// Path of an rpc on the wire.
pub(super) fn route(rpc: &MethodDescriptor) -> String {
    format!("/{}/{}", rpc.parent_service().full_name(), rpc.name())
}

/// Bytes as they are.
#[derive(Debug, Clone, Copy)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining()).to_vec()))
    }
}

/// The field of a request by its name.
pub(super) fn named(message: &DynamicMessage, name: &str) -> Option<FieldDescriptor> {
    message.descriptor().get_field_by_name(name)
}
