//! The port between JSON and protobuf, and its one implementation over compiled tables.

use std::sync::Arc;

use prost_reflect::{DescriptorPool, FieldDescriptor, MessageDescriptor};

use super::json_in::Reader;
use super::json_out::Writer;
use super::plan::{Message, Plan};

/// Why a request cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The path of the field at fault in proto names, such as `widget.tags[1]`; empty for the whole.
    pub field: String,
    /// What is wrong with it, for the caller's eyes.
    pub problem: String,
}

/// Why a response cannot be written: it is not what its descriptor says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Undecodable(pub &'static str);

/// Turns ProtoJSON into protobuf and back.
pub trait Codec: Send + Sync + 'static {
    /// Appends to `wire` what `json` says: a whole `message`, or the value of one `field` of it.
    fn decode(
        &self,
        message: &MessageDescriptor,
        field: Option<&FieldDescriptor>,
        json: &[u8],
        wire: &mut Vec<u8>,
    ) -> Result<(), Refusal>;

    /// Appends to `json` a `message` given on the wire, or the value of one `field` of it.
    fn encode(
        &self,
        message: &MessageDescriptor,
        field: Option<&FieldDescriptor>,
        wire: &[u8],
        json: &mut Vec<u8>,
    ) -> Result<(), Undecodable>;
}

/// A [`Codec`] that streams between the two forms along tables made from the descriptors.
#[derive(Debug)]
pub struct TableCodec {
    pub(super) plan: Arc<Plan>,
}

impl TableCodec {
    /// Compiles every message of `pool`.
    pub fn new(pool: &DescriptorPool) -> Self {
        Self { plan: Arc::new(Plan::new(pool)) }
    }

    fn table(&self, message: &MessageDescriptor) -> Option<&Message> {
        self.plan.named(message.full_name())
    }
}

impl Codec for TableCodec {
    fn decode(
        &self,
        message: &MessageDescriptor,
        field: Option<&FieldDescriptor>,
        json: &[u8],
        wire: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        let table = self.table(message).ok_or_else(|| Refusal {
            field: String::new(),
            problem: format!("{} is unknown here", message.full_name()),
        })?;
        let field = field.and_then(|field| table.numbered(field.number())).map(|index| &table.fields[index]);
        Reader::new(&self.plan, wire).read(table, field, json)
    }

    fn encode(
        &self,
        message: &MessageDescriptor,
        field: Option<&FieldDescriptor>,
        wire: &[u8],
        json: &mut Vec<u8>,
    ) -> Result<(), Undecodable> {
        let table = self.table(message).ok_or(Undecodable("a message of another pool"))?;
        let field = field.and_then(|field| table.numbered(field.number()));
        let mut writer = Writer::new(&self.plan, json);
        match field {
            None => writer.message(table, wire),
            Some(index) => writer.only(table, index, wire),
        }
    }
}
