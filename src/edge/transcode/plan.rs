//! Descriptors compiled to tables: what the JSON codec looks at instead of descriptors.

use std::collections::{BTreeMap, HashMap};

use prost_reflect::{Cardinality, DescriptorPool, FieldDescriptor, MessageDescriptor};

/// Every message and enum of a pool, by index.
#[derive(Debug)]
pub struct Plan {
    messages: Vec<Message>,
    enums: Vec<Enum>,
    by_name: HashMap<String, usize>,
}

/// One message.
#[derive(Debug)]
pub struct Message {
    /// Its fields in order of number.
    pub fields: Vec<Field>,
    /// Field index by JSON name and by proto name.
    pub names: HashMap<String, usize>,
    /// How JSON writes it.
    pub shape: Shape,
    /// How many real oneofs it has.
    pub oneofs: usize,
    /// The message as field 1 of an imaginary one: how to read it where no field holds it.
    pub itself: Field,
}

/// How ProtoJSON writes a message: as an object of its fields, as the value of its one field, or as the well-known type of that
/// name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// An object of its fields.
    Fields,
    /// The value of its field 1.
    Wrapper,
    Any,
    Duration,
    Empty,
    FieldMask,
    ListValue,
    Struct,
    Timestamp,
    Value,
}

/// One field.
#[derive(Debug)]
pub struct Field {
    /// Its number on the wire.
    pub number: u32,
    /// Its proto name.
    pub name: String,
    /// Its JSON name as a JSON string with the colon: `"displayName":`.
    pub key: String,
    /// Its type; for a map, the entry message.
    pub kind: Kind,
    /// How many values it has.
    pub form: Form,
    /// The index of its real oneof.
    pub oneof: Option<usize>,
}

/// How many values a field has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One; unset is its default.
    Implicit,
    /// One or none.
    Optional,
    /// A list.
    List,
    /// A map.
    Map,
}

/// A field's type. The numbers index the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Double,
    Float,
    Int32,
    Int64,
    Uint32,
    Uint64,
    Sint32,
    Sint64,
    Fixed32,
    Fixed64,
    Sfixed32,
    Sfixed64,
    Bool,
    String,
    Bytes,
    Enum(usize),
    Message(usize),
}

/// One enum.
#[derive(Debug)]
pub struct Enum {
    /// Number by name, aliases included.
    pub numbers: HashMap<String, i32>,
    /// First name by number.
    pub names: BTreeMap<i32, String>,
    /// True for `google.protobuf.NullValue`, which JSON writes as `null`.
    pub is_null: bool,
}

impl Plan {
    /// Compiles every message and enum of `pool`.
    pub fn new(pool: &DescriptorPool) -> Self {
        let by_name = pool.all_messages().enumerate().map(|(i, m)| (m.full_name().to_owned(), i)).collect();
        let enums_by_name =
            pool.all_enums().enumerate().map(|(i, e)| (e.full_name().to_owned(), i)).collect();
        let index = Index { messages: &by_name, enums: &enums_by_name };
        let messages = pool.all_messages().map(|message| index.message(&message)).collect();
        let enums = pool.all_enums().map(|descriptor| Enum {
            numbers: descriptor.values().map(|value| (value.name().to_owned(), value.number())).collect(),
            names: {
                let mut names = BTreeMap::new();
                for value in descriptor.values() {
                    names.entry(value.number()).or_insert_with(|| value.name().to_owned());
                }
                names
            },
            is_null: descriptor.full_name() == "google.protobuf.NullValue",
        });
        Self { messages, enums: enums.collect(), by_name }
    }

    /// The message called `name`.
    pub fn named(&self, name: &str) -> Option<&Message> {
        self.by_name.get(name).map(|index| &self.messages[*index])
    }

    /// A message by the index a [`Kind`] holds.
    pub fn message(&self, index: usize) -> &Message {
        &self.messages[index]
    }

    /// An enum by the index a [`Kind`] holds.
    pub fn enumeration(&self, index: usize) -> &Enum {
        &self.enums[index]
    }
}

impl Message {
    /// The field with this number.
    pub fn numbered(&self, number: u32) -> Option<usize> {
        self.fields.binary_search_by_key(&number, |field| field.number).ok()
    }
}

struct Index<'i> {
    messages: &'i HashMap<String, usize>,
    enums: &'i HashMap<String, usize>,
}

impl Index<'_> {
    fn message(&self, message: &MessageDescriptor) -> Message {
        let oneofs: Vec<String> = message
            .oneofs()
            .filter(|oneof| !oneof.is_synthetic())
            .map(|oneof| oneof.name().to_owned())
            .collect();
        let mut fields: Vec<Field> = message.fields().map(|field| self.field(&field, &oneofs)).collect();
        fields.sort_by_key(|field| field.number);
        let mut names = HashMap::new();
        for (index, field) in fields.iter().enumerate() {
            names.insert(field.name.clone(), index);
            if let Some(descriptor) = message.get_field(field.number) {
                names.insert(descriptor.json_name().to_owned(), index);
            }
        }
        let itself = Field {
            number: 1,
            name: String::new(),
            key: String::new(),
            kind: Kind::Message(self.messages[message.full_name()]),
            form: Form::Optional,
            oneof: None,
        };
        Message { fields, names, shape: shape(message.full_name()), oneofs: oneofs.len(), itself }
    }

    fn field(&self, field: &FieldDescriptor, oneofs: &[String]) -> Field {
        let oneof =
            field.containing_oneof().and_then(|oneof| oneofs.iter().position(|name| name == oneof.name()));
        let form = if field.is_map() {
            Form::Map
        } else if field.cardinality() == Cardinality::Repeated {
            Form::List
        } else if field.supports_presence() {
            Form::Optional
        } else {
            Form::Implicit
        };
        Field {
            number: field.number(),
            name: field.name().to_owned(),
            key: format!("\"{}\":", field.json_name()),
            kind: self.kind(&field.kind()),
            form,
            oneof,
        }
    }

    fn kind(&self, kind: &prost_reflect::Kind) -> Kind {
        use prost_reflect::Kind as K;
        match kind {
            K::Double => Kind::Double,
            K::Float => Kind::Float,
            K::Int32 => Kind::Int32,
            K::Int64 => Kind::Int64,
            K::Uint32 => Kind::Uint32,
            K::Uint64 => Kind::Uint64,
            K::Sint32 => Kind::Sint32,
            K::Sint64 => Kind::Sint64,
            K::Fixed32 => Kind::Fixed32,
            K::Fixed64 => Kind::Fixed64,
            K::Sfixed32 => Kind::Sfixed32,
            K::Sfixed64 => Kind::Sfixed64,
            K::Bool => Kind::Bool,
            K::String => Kind::String,
            K::Bytes => Kind::Bytes,
            K::Enum(descriptor) => Kind::Enum(self.enums[descriptor.full_name()]),
            K::Message(descriptor) => Kind::Message(self.messages[descriptor.full_name()]),
        }
    }
}

fn shape(name: &str) -> Shape {
    match name.strip_prefix("google.protobuf.").unwrap_or_default() {
        "Any" => Shape::Any,
        "Duration" => Shape::Duration,
        "Empty" => Shape::Empty,
        "FieldMask" => Shape::FieldMask,
        "ListValue" => Shape::ListValue,
        "Struct" => Shape::Struct,
        "Timestamp" => Shape::Timestamp,
        "Value" => Shape::Value,
        "DoubleValue" | "FloatValue" | "Int64Value" | "UInt64Value" | "Int32Value" | "UInt32Value"
        | "BoolValue" | "StringValue" | "BytesValue" => Shape::Wrapper,
        _ => Shape::Fields,
    }
}
