//! Vectors computed with other implementations, and everything that must not pass.

use super::*;

const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NEXT_KEY: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
const AT: i64 = 1_614_265_330;
const BODY: &[u8] = br#"{"test": 2432232314}"#;
const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

fn time(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap()
}

fn key(text: &str) -> StandardKey {
    StandardKey::parse(text).unwrap()
}

fn check(
    keys: &[&str],
    id: &str,
    timestamp: &str,
    signature: &str,
    body: &[u8],
) -> Result<(), SignatureError> {
    let keys: Vec<_> = keys.iter().copied().map(key).collect();
    let headers = StandardHeaders { id: Some(id), timestamp: Some(timestamp), signature: Some(signature) };
    check_standard(&keys, headers, body, time(AT))
}

#[test]
fn standard_webhooks_vector() {
    assert_eq!(hex::encode(&key(KEY).0), "31f290f6bf06298aab4f08d43c3f082cf648a362da2da4b0");
    assert_eq!(key(KEY).sign(ID, time(AT), BODY), SIGNATURE);
    assert_eq!(check(&[KEY], ID, "1614265330", SIGNATURE, BODY), Ok(()));
}

#[test]
fn standard_webhooks_vector_with_rotated_keys() {
    let both = format!("{} {}", key(NEXT_KEY).sign(ID, time(AT), BODY), key(KEY).sign(ID, time(AT), BODY));
    assert_eq!(both, format!("v1,O4Gjv1HqPqsMrjmczoggs/sWA8gZD0VyHG+fLh4+ktI= {SIGNATURE}"));
    for keys in [&[KEY][..], &[NEXT_KEY], &[KEY, NEXT_KEY]] {
        assert_eq!(check(keys, ID, "1614265330", &both, BODY), Ok(()));
    }
}

#[test]
fn standard_webhooks_vector_in_utf8() {
    let body = r#"{"type":"message.created","data":{"text":"Привет 👋"}}"#.as_bytes();
    assert_eq!(body.len(), 62);
    let signed = key(KEY).sign("msg_2KWPBgLlAfxdpx2AI54pPJ85f4W", time(1_674_087_231), body);
    assert_eq!(signed, "v1,t7x2/PBJ/ZA96XgESkHarJPXwCjNb/Po1MMknDwDYm8=");
}

#[test]
fn standard_webhooks_refuses_what_is_off_by_anything() {
    let invalid = Err(SignatureError::Invalid("signature"));
    let body = br#"{"test": 2432232315}"#;
    let bare = SIGNATURE.trim_start_matches("v1,");
    for (what, result, expected) in [
        ("body", check(&[KEY], ID, "1614265330", SIGNATURE, body), invalid),
        (
            "body re-serialised",
            check(&[KEY], ID, "1614265330", SIGNATURE, br#"{"test":2432232314}"#),
            invalid,
        ),
        ("id", check(&[KEY], "msg_q5jXN8AQM9LWM0D4loKWxJek", "1614265330", SIGNATURE, BODY), invalid),
        ("time by a second", check(&[KEY], ID, "1614265331", SIGNATURE, BODY), invalid),
        ("key", check(&[NEXT_KEY], ID, "1614265330", SIGNATURE, BODY), invalid),
        ("empty header", check(&[KEY], ID, "1614265330", "", BODY), invalid),
        ("empty value", check(&[KEY], ID, "1614265330", "v1,", BODY), invalid),
        ("version", check(&[KEY], ID, "1614265330", &format!("v2,{bare}"), BODY), invalid),
        ("no version", check(&[KEY], ID, "1614265330", bare, BODY), invalid),
        ("cut short", check(&[KEY], ID, "1614265330", "v1,g0hM9SsE", BODY), invalid),
        (
            "id with a dot",
            check(&[KEY], "a.b", "1614265330", SIGNATURE, BODY),
            Err(SignatureError::Invalid("webhook-id")),
        ),
        (
            "a signed time",
            check(&[KEY], ID, "+1614265330", SIGNATURE, BODY),
            Err(SignatureError::Invalid("webhook-timestamp")),
        ),
        ("no key", check(&[], ID, "1614265330", SIGNATURE, BODY), Err(SignatureError::NotConfigured)),
    ] {
        assert_eq!(result, expected, "{what}");
    }
    let missing = check_standard(&[key(KEY)], StandardHeaders::default(), BODY, time(AT));
    assert_eq!(missing, Err(SignatureError::Missing("webhook-id")));
}

#[test]
fn standard_webhooks_refuses_a_replay() {
    for (seconds, expected) in
        [(-300, Ok(())), (300, Ok(())), (-301, Err(SignatureError::Stale)), (301, Err(SignatureError::Stale))]
    {
        let signed = key(KEY).sign(ID, time(AT + seconds), BODY);
        assert_eq!(check(&[KEY], ID, &(AT + seconds).to_string(), &signed, BODY), expected, "{seconds}");
    }
}

/// Acceptance case 71.
#[test]
fn a_time_may_be_five_minutes_off() {
    let now = time(1_789_990_000);
    let off = |seconds| check_time(now.timestamp() + seconds, now);
    assert_eq!((off(0), off(-60)), (Ok(()), Ok(())));
    assert_eq!((off(-600), off(600)), (Err(SignatureError::Stale), Err(SignatureError::Stale)));
    assert_eq!(SignatureError::Stale.to_string(), "Timestamp outside tolerance");
    assert_eq!(check_time(i64::MIN, now), Err(SignatureError::Stale));
}

#[test]
fn standard_keys_are_what_they_claim() {
    assert!(StandardKey::parse("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").is_none(), "no prefix");
    assert!(StandardKey::parse("whpk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").is_none(), "wrong prefix");
    assert!(StandardKey::parse("whsec_AAECAwQF").is_none(), "too short");
    assert!(StandardKey::parse("whsec_***").is_none(), "not base64");
    assert!(StandardKey::parse(&StandardKey::text([7; 32])).is_some());
}

const META_SECRET: &str = "0123456789abcdef0123456789abcdef";
const META_BODY: &str = concat!(
    r#"{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[{"value":{"messages":["#,
    r#"{"id":"wamid.X","text":{"body":"\u041f\u0440\u0438\u0432\u0435\u0442"}}]}}]}]}"#
);

#[test]
fn meta_vector_over_raw_bytes_only() {
    assert_eq!(META_BODY.len(), 168);
    let signed = "sha256=d04d285da47810cd60af4c0822467d50721aa86e8663a3c90759451e71d63224";
    assert_eq!(meta(META_SECRET, META_BODY.as_bytes()), signed);
    assert_eq!(check_meta(&[META_SECRET], Some(signed), META_BODY.as_bytes()), Ok(()));

    let parsed: serde_json::Value = serde_json::from_str(META_BODY).unwrap();
    let again = META_BODY.replace(r"\u041f\u0440\u0438\u0432\u0435\u0442", "Привет");
    assert_eq!(serde_json::from_str::<serde_json::Value>(&again).unwrap(), parsed);
    let reencoded = "sha256=2ed93ea1148cc9dcb9b637c65f163f37a8f5ef30d60a4512cdaa75779a5afd26";
    assert_eq!(meta(META_SECRET, again.as_bytes()), reencoded);
    let refused = check_meta(&[META_SECRET], Some(signed), again.as_bytes());
    assert_eq!(refused, Err(SignatureError::Invalid("signature")));
}

/// Acceptance cases 68 and 72.
#[test]
fn meta_refuses_anything_else() {
    let body = br#"{"test":"data"}"#;
    let secret = "test-app-secret";
    let signed = "sha256=2757904f8dc8cca803cd1a5bf9007fa4442ad295745b5f52464e1a4c95526f30";
    let said = |secrets: &[&str], header: Option<&str>| {
        check_meta(secrets, header, body).err().map(|error| error.to_string())
    };
    assert_eq!(said(&[secret], Some(signed)), None);
    assert_eq!(said(&["the next secret", secret], Some(signed)), None);
    let invalid = Some("Invalid signature".to_owned());
    assert_eq!(said(&["another"], Some(signed)), invalid);
    assert_eq!(said(&[secret], Some(&signed[..40])), invalid);
    assert_eq!(said(&[secret], Some("")), invalid);
    assert_eq!(said(&[secret], Some("sha256=")), invalid);
    assert_eq!(said(&[secret], Some("sha256=zz")), invalid);
    assert_eq!(said(&[secret], Some("sha1=f79b86f07d9034ad4f0c055283ea7213dda9aaa6")), invalid);
    let missing = Some("Missing X-Hub-Signature-256 header".to_owned());
    assert_eq!(said(&[secret], None), missing);
    assert_eq!(said(&[], None), missing);
    let unset = Some("Webhook secret not configured".to_owned());
    assert_eq!(said(&[], Some(signed)), unset);
    assert_eq!(said(&[""], Some(&meta("", body))), unset);
}

#[test]
fn telegram_vectors() {
    let token = b"110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw";
    let login = b"auth_date=1700000000\nfirst_name=Ann\nid=42\nusername=ann";
    assert_eq!(
        hex::encode(hmac_sha256(&Sha256::digest(token), login)),
        "8d97962d52daae2727c01b8acd4dfcbbbd652b93e43ac17d31e55fc99de33887"
    );
    let app = b"auth_date=1700000000\nquery_id=AAF\nuser={\"id\":42,\"first_name\":\"Ann\"}";
    assert_eq!(
        hex::encode(hmac_sha256(&hmac_sha256(b"WebAppData", token), app)),
        "8ba7b8060691822d4100d79736767a58fd85725f7c0bbf7a2c6c5e45e08787aa"
    );
    assert_eq!(
        hex::encode(Sha256::digest("tg-secret_42")),
        "a9055bafb128432fabc7fac5fa07fda3e79a2eb460cc2749c77ba930969854e1"
    );
    assert_eq!(check_token(&["tg-secret_42"], Some("tg-secret_42")), Ok(()));
}

/// Acceptance cases 70 and 72: one shared secret in a header, and a keyed hash in another.
#[test]
fn a_shared_secret_must_be_equal() {
    let said = |secrets: &[&str], given: Option<&str>| {
        check_token(secrets, given).err().map(|error| error.to_string())
    };
    assert_eq!(said(&["s3cret"], Some("s3cret")), None);
    assert_eq!(said(&["next", "s3cret"], Some("s3cret")), None);
    for given in ["", "s3cre", "s3cret2", "S3CRET"] {
        assert_eq!(said(&["s3cret"], Some(given)).as_deref(), Some("Invalid secret"), "{given}");
    }
    assert_eq!(said(&["s3cret"], None).as_deref(), Some("Missing secret header"));
    assert_eq!(said(&[], Some("s3cret")).as_deref(), Some("Webhook secret not configured"));
    assert_eq!(said(&[""], Some("")).as_deref(), Some("Webhook secret not configured"));
    assert_eq!(
        hex::encode(hmac_sha256(b"max-secret", br#"{"update_type":"message_created"}"#)),
        "e696723ceb85b424f6dfb9ec2bec66a641b530003b10bb587ff56e2d579de63d"
    );
}
