//! What is generated, for review: a changed spec or generator shows here as a diff.

/// `EXPECTORATE=overwrite cargo test --test snapshot` accepts the change.
#[test]
fn what_is_generated_is_as_reviewed() {
    let types = include_str!(concat!(env!("OUT_DIR"), "/types.rs"));
    let client = include_str!(concat!(env!("OUT_DIR"), "/client.rs"));
    expectorate::assert_contents("tests/snapshots/types.rs", types);
    expectorate::assert_contents("tests/snapshots/client.rs", client);
}
