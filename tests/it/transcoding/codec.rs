//! The codec against prost-reflect, an independent reading of the same specification.

use std::sync::LazyLock;

use proptest::prelude::*;
use prost::Message as _;
use prost_reflect::{
    DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, SerializeOptions, Value as Proto,
};
use serde_json::{Value, json};
use switchboard::edge::transcode::{Codec, Refusal, TableCodec};

use super::pool;

/// Random decisions, from the bytes of a property test.
struct Dice<'b>(std::slice::Iter<'b, u8>);

impl Dice<'_> {
    fn byte(&mut self) -> u8 {
        self.0.next().copied().unwrap_or(0)
    }

    fn long(&mut self) -> u64 {
        let bytes = [0; 8].map(|_: u8| self.byte());
        u64::from_le_bytes(bytes) >> (self.byte() % 64)
    }
}

static EVERYTHING: LazyLock<MessageDescriptor> =
    LazyLock::new(|| pool().get_message_by_name("acme.gadgets.v1.Everything").unwrap());
static CODEC: LazyLock<TableCodec> = LazyLock::new(|| TableCodec::new(EVERYTHING.parent_pool()));

fn everything() -> MessageDescriptor {
    EVERYTHING.clone()
}

fn message(descriptor: &MessageDescriptor, dice: &mut Dice<'_>, depth: u32) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor.clone());
    for field in descriptor.fields() {
        if dice.byte() % 4 == 1 {
            let value = field_value(&field, dice, depth);
            if let Some(value) = value {
                message.set_field(&field, value);
            }
        }
    }
    message
}

fn field_value(field: &FieldDescriptor, dice: &mut Dice<'_>, depth: u32) -> Option<Proto> {
    let count = dice.byte() % 4;
    if let (true, Kind::Message(entry)) = (field.is_map(), field.kind()) {
        let (keys, values) = (entry.map_entry_key_field(), entry.map_entry_value_field());
        let entries = (0..count).filter_map(|_| {
            let key = match value(&keys.kind(), dice, depth)? {
                Proto::Bool(key) => MapKey::Bool(key),
                Proto::I32(key) => MapKey::I32(key),
                Proto::String(key) => MapKey::String(key),
                _ => return None,
            };
            Some((key, value(&values.kind(), dice, depth)?))
        });
        return Some(Proto::Map(entries.collect()));
    }
    if field.is_list() {
        return Some(Proto::List((0..count).filter_map(|_| value(&field.kind(), dice, depth)).collect()));
    }
    value(&field.kind(), dice, depth)
}

#[expect(clippy::cast_possible_truncation, reason = "any bits will do")]
fn value(kind: &Kind, dice: &mut Dice<'_>, depth: u32) -> Option<Proto> {
    let bits = dice.long();
    Some(match kind {
        Kind::Double => Proto::F64(f64::from_bits(bits.rotate_left(7))),
        Kind::Float => Proto::F32(f32::from_bits(bits as u32)),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Proto::I32(bits as i32),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Proto::I64(bits.cast_signed()),
        Kind::Uint32 | Kind::Fixed32 => Proto::U32(bits as u32),
        Kind::Uint64 | Kind::Fixed64 => Proto::U64(bits),
        Kind::Bool => Proto::Bool(bits % 2 == 1),
        Kind::String => Proto::String(text(dice)),
        Kind::Bytes => Proto::Bytes((0..dice.byte() % 9).map(|_| dice.byte()).collect::<Vec<_>>().into()),
        Kind::Enum(descriptor) if descriptor.full_name() == "google.protobuf.NullValue" => {
            Proto::EnumNumber(0)
        }
        Kind::Enum(_) => Proto::EnumNumber((bits % 5) as i32),
        Kind::Message(descriptor) => Proto::Message(nested(descriptor, dice, depth)?),
    })
}

fn nested(descriptor: &MessageDescriptor, dice: &mut Dice<'_>, depth: u32) -> Option<DynamicMessage> {
    let json = match descriptor.full_name() {
        "google.protobuf.Timestamp" => {
            json!(format!("{:04}-02-03T04:05:06.{:09}Z", 1 + dice.long() % 9999, dice.long() % 1_000_000_000))
        }
        "google.protobuf.Duration" => {
            json!(format!("{}.{:09}s", dice.long() % 315_576_000_000, dice.long() % 1_000_000_000))
        }
        "google.protobuf.FieldMask" => json!("aDouble,inner.anInt32"),
        "google.protobuf.Struct" => json!({ text(dice): free(dice, 3), text(dice): free(dice, 3) }),
        "google.protobuf.ListValue" => json!([free(dice, 3), free(dice, 3)]),
        "google.protobuf.Value" => free(dice, 3),
        "google.protobuf.Any" => match dice.byte() % 3 {
            0 => json!({"@type": "type.googleapis.com/google.protobuf.Duration", "value": "1.5s"}),
            1 => {
                json!({"@type": "type.googleapis.com/acme.gadgets.v1.Gadget", "name": text(dice), "displayName": "", "stock": "0", "size": 0, "tags": []})
            }
            _ => json!({"@type": "type.googleapis.com/google.protobuf.Struct", "value": {"a": 1}}),
        },
        name if name.starts_with("google.protobuf.") => {
            let mut wrapper = DynamicMessage::new(descriptor.clone());
            let field = descriptor.get_field(1)?;
            // prost-reflect writes a wrapped NaN as null.
            let inner = match value(&field.kind(), dice, depth)? {
                Proto::F64(real) if !real.is_finite() => Proto::F64(0.5),
                other => other,
            };
            wrapper.set_field(&field, inner);
            return Some(wrapper);
        }
        _ if depth == 0 => return None,
        _ => return Some(message(descriptor, dice, depth - 1)),
    };
    Some(DynamicMessage::deserialize(descriptor.clone(), json).unwrap())
}

fn text(dice: &mut Dice<'_>) -> String {
    let letters = ['a', '"', '\\', '\n', '\u{1}', 'é', '✓', '🦀', '\u{2028}', '/', '<', ' '];
    (0..dice.byte() % 6).map(|_| letters[usize::from(dice.byte()) % letters.len()]).collect()
}

fn free(dice: &mut Dice<'_>, depth: u8) -> Value {
    match dice.byte() % if depth == 0 { 4 } else { 6 } {
        0 => Value::Null,
        1 => json!(dice.byte().is_multiple_of(2)),
        2 => json!(dice.long() as f64 / 8.0),
        3 => json!(text(dice)),
        4 => json!([free(dice, depth - 1)]),
        _ => json!({ text(dice): free(dice, depth - 1) }),
    }
}

/// Numbers as doubles: `1` and `1.0` are one JSON number.
fn normal(value: Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(items) => items.into_iter().map(normal).collect(),
        Value::Object(members) => members.into_iter().map(|(key, value)| (key, normal(value))).collect(),
        other => other,
    }
}

fn encode(message: &DynamicMessage) -> Vec<u8> {
    let mut json = Vec::new();
    CODEC.encode(&everything(), None, &message.encode_to_vec(), &mut json).unwrap();
    json
}

fn decode(json: &[u8]) -> Result<DynamicMessage, Refusal> {
    let mut wire = Vec::new();
    CODEC.decode(&everything(), None, json, &mut wire)?;
    Ok(DynamicMessage::decode(everything(), wire.as_slice()).expect("what the codec writes is protobuf"))
}

fn reference(message: &DynamicMessage) -> Value {
    let options = SerializeOptions::new().skip_default_fields(false);
    let mut json = Vec::new();
    // As text first: a float has other digits as a double.
    message.serialize_with_options(&mut serde_json::Serializer::new(&mut json), &options).unwrap();
    serde_json::from_slice(&json).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    /// Both write the same JSON, and what we write we read back as the same message.
    #[test]
    fn random_messages_read_and_write_like_prost_reflect(bytes in proptest::collection::vec(any::<u8>(), 0..1500)) {
        let message = message(&everything(), &mut Dice(bytes.iter()), 3);
        let json = encode(&message);
        let ours: Value = serde_json::from_slice(&json).unwrap();
        prop_assert_eq!(normal(ours), normal(reference(&message)));
        let back = decode(&json).unwrap();
        prop_assert_eq!(normal(reference(&back)), normal(reference(&message)));
    }

    /// No input panics; what is accepted can be written again.
    #[test]
    fn random_text_never_panics(text in r#"[{}\[\]",:a-zA-Z0-9@ \\.-]{0,60}"#, cut in 0_usize..400, bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let mut json = encode(&message(&everything(), &mut Dice(bytes.iter()), 2));
        let at = cut.min(json.len());
        json.splice(at..(at + cut / 100).min(json.len()), text.bytes());
        for json in [json.as_slice(), text.as_bytes()] {
            if let Ok(message) = decode(json) {
                encode(&message);
            }
        }
    }

    /// No wire bytes panic.
    #[test]
    fn random_wire_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = CODEC.encode(&everything(), None, &bytes, &mut Vec::new());
    }
}

#[track_caller]
fn check_reads(json: &str, want: &Value) {
    let message = decode(json.as_bytes()).unwrap_or_else(|refusal| panic!("{json}: {refusal:?}"));
    let got = reference(&message);
    for (key, want) in want.as_object().unwrap() {
        assert_eq!(normal(got[key].clone()), normal(want.clone()), "{json}");
    }
}

/// What prost-reflect reads otherwise than the specification says, and corners of it.
#[test]
fn the_gaps_of_the_reference_are_closed() {
    check_reads(
        r#"{"anInt32":"1e5","anInt64":"-2.0E3","aUint64":1e2}"#,
        &json!({"anInt32": 100_000, "anInt64": "-2000", "aUint64": "100"}),
    );
    check_reads(
        r#"{"aUint64":"18446744073709551615","aSint64":-9223372036854775808}"#,
        &json!({"aUint64": "18446744073709551615", "aSint64": "-9223372036854775808"}),
    );
    assert!(decode(br#"{"any":{}}"#).is_ok());
    check_reads(
        r#"{"any":{"value":"1.5s","@type":"type.googleapis.com/google.protobuf.Duration"}}"#,
        &json!({"any": {"@type": "type.googleapis.com/google.protobuf.Duration", "value": "1.500s"}}),
    );
    check_reads(
        r#"{"value":null,"nothing":null,"levels":["LEVEL_LOW",2,77]}"#,
        &json!({"value": null, "nothing": null, "levels": ["LEVEL_LOW", "LEVEL_HIGH", 77]}),
    );
    check_reads(
        r#"{"aFloat":3.4028235e38,"aDouble":"NaN","doubles":["Infinity",-0.0]}"#,
        &json!({"aDouble": "NaN"}),
    );
    for json in [
        r#"{"aString":"a","aString":"a"}"#,
        r#"{"aString":"a","a_string":"a"}"#,
        r#"{"byName":{"a":1,"a":2}}"#,
        r#"{"object":{"a":1,"a":2}}"#,
        r#"{"any":{"@type":"x/acme.gadgets.v1.Gadget","name":"a","name":"b"}}"#,
        r#"{"any":{"name":"x"}}"#,
        r#"{"any":{"@type":1}}"#,
        r#"{"anInt32":"1e400"}"#,
        r#"{"anInt32":" 1"}"#,
        r#"{"anInt32":"1 "}"#,
        r#"{"anInt32":"+1"}"#,
        r#"{"anInt32":"01"}"#,
        r#"{"anInt32":""}"#,
        r#"{"anInt64":9223372036854775808}"#,
        r#"{"aUint32":-1}"#,
        r#"{"aFloat":3.5e38}"#,
        r#"{"aDouble":"inf"}"#,
        r#"{"aBool":"true"}"#,
        r#"{"byNumber":{"x":"y"}}"#,
        r#"{"byTruth":{"yes":{}}}"#,
        r#"{"took":"315576000001s"}"#,
        r#"{"at":"2026-02-30T00:00:00Z"}"#,
        r#"{"mask":"snake_case"}"#,
        r#"{"left":"x","right":1}"#,
        r#"{"inner":[]}"#,
        r#"{"strings":{}}"#,
        r#"{"strings":"a"}"#,
        r#"{"list":{}}"#,
        r#"{"blob":"*"}"#,
        r#"{"levels":["LEVEL_NONE"]}"#,
        r#"{"aString":"\ud800"}"#,
        "{} {}",
        "",
        "[]",
        "null",
    ] {
        assert!(decode(json.as_bytes()).is_err(), "{json} was accepted");
    }
}

/// A handler's odd values never become a failed response.
#[test]
fn values_that_json_cannot_hold_become_null() {
    let mut message = DynamicMessage::new(everything());
    for (field, seconds) in [("at", i64::MAX), ("took", i64::MIN)] {
        let field = everything().get_field_by_name(field).unwrap();
        let mut time = DynamicMessage::new(field.kind().as_message().unwrap().clone());
        time.set_field_by_number(1, Proto::I64(seconds));
        message.set_field(&field, Proto::Message(time));
    }
    let value = everything().get_field_by_name("value").unwrap();
    let mut number = DynamicMessage::new(value.kind().as_message().unwrap().clone());
    number.set_field_by_number(2, Proto::F64(f64::NAN));
    message.set_field(&value, Proto::Message(number));
    let json: Value = serde_json::from_slice(&encode(&message)).unwrap();
    assert_eq!((&json["at"], &json["took"], &json["value"]), (&Value::Null, &Value::Null, &Value::Null));
}

/// Fields out of order, a message in pieces, packed and unpacked lists, a oneof sent twice: all legal on the wire.
#[test]
fn unusual_wire_is_read_like_prost_reads_it() {
    let mut wire = vec![0xa2, 0x01, 2, 5, 6, 0xa0, 0x01, 7];
    wire.extend([0x8a, 0x01, 2, 0x18, 1]);
    wire.extend([0x72, 1, b'x']);
    wire.extend([0x8a, 0x01, 2, 0x20, 2]);
    wire.extend([0xc2, 0x02, 1, b'l', 0xc8, 0x02, 9]);
    let message = DynamicMessage::decode(everything(), wire.as_slice()).unwrap();
    let mut json = Vec::new();
    CODEC.encode(&everything(), None, &wire, &mut json).unwrap();
    let json: Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(normal(json.clone()), normal(reference(&message)));
    assert_eq!((&json["longs"], &json["right"]), (&json!(["5", "6", "7"]), &json!(9)));
}
