//! The generated client, for review: a changed spec or generator shows here as a diff.

/// `EXPECTORATE=overwrite cargo test --test snapshot` accepts the change.
#[test]
fn the_generated_client_is_as_reviewed() {
    let generated = include_str!(concat!(env!("OUT_DIR"), "/client.rs"));
    expectorate::assert_contents("tests/snapshots/client.rs", generated);
}
