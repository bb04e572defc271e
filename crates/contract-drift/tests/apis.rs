//! Hand-written specs of public APIs, which the README reports on. The vendors' documents are not here.

use std::fs;

use contract_drift::{Document, Options, Spec, check};

#[test]
fn spec_agrees_with_itself() {
    let mut specs = vec!["../../spec/botpress.yaml".into()];
    specs.extend(fs::read_dir("tests/apis").unwrap().map(|entry| entry.unwrap().path()));
    assert_eq!(specs.len(), 4);
    for path in specs {
        let document = || Document::parse(&fs::read_to_string(&path).unwrap()).unwrap();
        let spec = Spec::new(document()).unwrap();
        let findings = check(&spec, &document(), &Options::default());
        assert_eq!(findings, [], "{}", path.display());
    }
}
