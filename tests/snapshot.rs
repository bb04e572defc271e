//! The generated code, for review: a changed spec or generator shows here as a diff.

use std::{env, fs};

#[test]
fn generated_code_is_as_reviewed() {
    for (file, generated) in [
        ("tests/snapshots/api.rs", include_str!(concat!(env!("OUT_DIR"), "/api.rs"))),
        ("tests/snapshots/rules.rs", include_str!(concat!(env!("OUT_DIR"), "/rules.rs"))),
        ("tests/snapshots/records.rs", include_str!(concat!(env!("OUT_DIR"), "/records.rs"))),
        ("tests/snapshots/content.rs", include_str!(concat!(env!("OUT_DIR"), "/content.rs"))),
    ] {
        if env::var_os("UPDATE_SNAPSHOTS").is_some() {
            fs::write(file, generated).unwrap();
        }
        let reviewed = fs::read_to_string(file).unwrap().replace("\r\n", "\n");
        let line = reviewed.lines().zip(generated.lines()).position(|(old, new)| old != new);
        assert!(
            reviewed == generated,
            "{file} differs from line {} on; `UPDATE_SNAPSHOTS=1 cargo test --test snapshot` \
             accepts what is generated, and `git diff` shows it",
            line.unwrap_or(reviewed.lines().count().min(generated.lines().count())) + 1,
        );
    }
}
