//! Checks that `spec/botpress.yaml` describes a client that works against the pinned versions of the vendor's
//! contract.

use std::fs;
use std::path::Path;

use contract_drift::{Client, Document, Pins, Spec, check_pin, pin};
use serde_json::{Value, json};

/// The places where the spec does not agree with an old pinned version. The spec is for later ones.
struct Known {
    version: &'static str,
    breaks: &'static [&'static str],
}

const KNOWN: [Known; 2] = [
    Known {
        version: "0.79.0",
        breaks: &[
            "getOrCreateMessage request.origin",
            "getOrCreateMessage response.message.updatedAt",
        ],
    },
    Known { version: "1.14.0", breaks: &["getOrCreateMessage request.origin"] },
];

#[test]
fn the_spec_agrees_with_the_pinned_versions() {
    let spec = fs::read_to_string("../../spec/botpress.yaml").unwrap();
    let spec = Spec::new(Document::parse(&spec).unwrap()).unwrap();
    let client = fs::read_to_string("../../spec/botpress.drift.yaml").unwrap();
    let client = Client::parse(&client).unwrap();
    let pins = Pins::read(Path::new("../../spec/vendor")).unwrap();
    for pin in pins.iter() {
        let findings = check_pin(&spec, pin, &client);
        let places: Vec<_> =
            findings.iter().map(|f| format!("{} {}", f.operation, f.place)).collect();
        let known = KNOWN.iter().find(|known| known.version == pin.version);
        assert_eq!(places, known.map_or(&[][..], |known| known.breaks), "{}", pin.version);
    }
    for version in ["0.79.0", "1.14.0", "1.70.2", "1.80.0", "1.82.0", "1.86.0", "1.108.0"] {
        assert!(pins.iter().any(|pin| pin.version == version), "{version} is not pinned");
    }
}

#[test]
fn pinned_versions_are_in_normal_form() {
    for pinned in Pins::read(Path::new("../../spec/vendor")).unwrap().iter() {
        for (name, contract) in &pinned.contracts {
            let document = || Document::new(document(name, contract)).unwrap();
            let contracts = pin(&document(), &Spec::new(document()).unwrap()).unwrap();
            assert_eq!(contracts[name], *contract, "{} {name}", pinned.version);
        }
    }
}

/// A document with one operation, from its contract.
fn document(name: &str, contract: &Value) -> Value {
    let mut schemes = json!({});
    let mut security = Vec::new();
    for alternative in contract["security"].as_array().into_iter().flatten() {
        let mut kept = json!({});
        for scheme in alternative.as_array().unwrap() {
            let name = format!("scheme {}", schemes.as_object().unwrap().len());
            kept[&name] = scheme["scopes"].clone();
            schemes[&name] = scheme.clone();
        }
        security.push(kept);
    }
    let parameters = contract["parameters"].as_object().unwrap().iter().map(|(key, parameter)| {
        let (place, name) = key.split_once(' ').unwrap();
        let mut parameter = parameter.clone();
        parameter["in"] = place.into();
        parameter["name"] = name.into();
        parameter
    });
    let mut operation = contract.clone();
    operation["operationId"] = name.into();
    operation["parameters"] = parameters.collect();
    operation["security"] = security.into();
    operation["servers"] =
        contract["servers"].as_array().unwrap().iter().map(|url| json!({ "url": url })).collect();
    let keys = operation.as_object_mut().unwrap();
    let [path, method] = ["path", "method"].map(|key| keys.remove(key).unwrap());
    if contract["security"].is_null() {
        keys.remove("security");
    }
    json!({
        "openapi": "3.0.0",
        "paths": { path.as_str().unwrap(): { method.as_str().unwrap(): operation } },
        "components": { "securitySchemes": schemes },
    })
}
