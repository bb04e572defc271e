//! Code generated for awkward names and types compiles and works: `tests/specs/shapes.yaml`.
#![allow(dead_code)]

use serde_json::json;

/// The parts of the library that generated code uses.
mod attempt {
    #[derive(Clone, Debug)]
    pub struct Hooks;

    impl progenitor_client::ClientHooks<Hooks> for crate::api::Client {}
}

mod decode {
    use chrono::{DateTime, Utc};
    use serde::de::{Deserialize, DeserializeOwned, Deserializer};

    pub fn date<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DateTime<Utc>, D::Error> {
        DateTime::deserialize(deserializer)
    }

    pub fn open_enum<'de, T: for<'a> From<&'a str>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<T, D::Error> {
        String::deserialize(deserializer).map(|text| text.as_str().into())
    }

    pub fn or_default<'de, T: DeserializeOwned, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<T, D::Error> {
        T::deserialize(deserializer)
    }
}

#[allow(clippy::all)]
mod api {
    // `tests/build_script.rs` compares it with what is generated.
    include!("snapshots/shapes.rs");
}

use api::types::{Choice, Default, From, Option, Result, Thing, Vec};

const DATE: &str = "2027-01-01T00:00:00Z";

#[test]
fn private_values_are_never_shown() {
    let thing: Thing = serde_json::from_value(json!({
        "id": "1", "due": DATE, "type": "secret", "2fa": "secret", "crate": "self",
    }))
    .unwrap();
    assert_eq!(thing.x2fa.as_deref(), Some("secret"));
    assert_eq!(thing.crate_, Some(Default::Self_));
    let shown = format!("{thing:?}");
    assert!(!shown.contains("secret") && !shown.contains("Self_"), "{shown}");
}

#[test]
fn nullable_properties_can_be_null_or_missing() {
    let null = json!({ "id": "1", "due": DATE, "none": null, "list": null, "other": null });
    let missing = json!({ "id": "1", "due": DATE });
    let [null, missing] =
        [null, missing].map(|json| serde_json::from_value::<Thing>(json).unwrap());
    assert_eq!(null, missing);
    let counts = json!({ "id": "1", "due": DATE, "list": [0.5], "counts": { "a": null, "b": 2 } });
    let thing: Thing = serde_json::from_value(counts).unwrap();
    assert_eq!(thing.list, Some(vec![0.5]));
    assert_eq!(thing.counts["b"], Some(2));
}

#[test]
fn a_constructor_takes_every_type() {
    let date = DATE.parse().unwrap();
    let inner = Result::new("inner", ["a"], date);
    let made = Result::new("outer", [""; 0], date)
        .next(inner)
        .from("3d")
        .more([Vec(serde_json::Map::new())])
        .half(0.5)
        .flag(true)
        .names([("a".to_owned(), "b".to_owned())].into())
        .amount(7.into())
        .free(json!([1]))
        .extra("key", 1);
    let json = json!({
        "self": "outer", "items": [], "when": DATE,
        "next": { "self": "inner", "items": ["a"], "when": DATE },
        "from": "3d", "more": [{}], "half": 0.5, "flag": true, "names": { "a": "b" },
        "amount": 7, "free": [1], "key": 1,
    });
    assert_eq!(serde_json::to_value(&made).unwrap(), json);
    assert_eq!(serde_json::from_value::<Result>(json).unwrap(), made);
}

#[test]
fn alternatives_and_enumerations_keep_their_names() {
    let choice = Choice::Vec(Vec(serde_json::Map::new()));
    assert_eq!(serde_json::to_value(choice).unwrap(), json!({ "type": "vec", "payload": {} }));
    let cases =
        [(From::Self_, "self"), (From::X3d, "3d"), (From::X, ""), (From::PostBack, "post-back")];
    for (value, name) in cases {
        assert_eq!(serde_json::to_value(&value).unwrap(), json!(name));
        assert_eq!(serde_json::from_value::<From>(json!(name)).unwrap(), value);
    }
    assert_eq!(serde_json::from_value::<From>(json!("new")).unwrap().as_str(), "new");
    assert_eq!(serde_json::to_value(Option(vec![1])).unwrap(), json!([1]));
}
