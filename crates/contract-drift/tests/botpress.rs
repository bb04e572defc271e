//! Does `spec/botpress.yaml` describe a client that works against the pinned versions of the vendor's
//! contract?

use std::fs;
use std::path::Path;

use contract_drift::{Client, Document, Pins, Spec, check_pin};

/// The places where a pinned version breaks the spec, which is written for later ones.
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
    for version in ["0.79.0", "1.14.0", "1.70.2", "1.82.0", "1.108.0"] {
        assert!(pins.iter().any(|pin| pin.version == version), "{version} is not pinned");
    }
}
