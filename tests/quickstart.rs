//! The quickstart as a program that calls an API configured by variables: it prints what to check.
#![cfg(unix)]

use std::process::Command;

use botpress_sandbox::{Fault, Sandbox};
use test_support::example;

struct Case {
    name: &'static str,
    /// A variable with a wrong value.
    variable: Option<(&'static str, &'static str)>,
    faults: Vec<Option<Fault>>,
    says: &'static str,
}

#[tokio::test(flavor = "multi_thread")]
async fn the_quickstart_prints_what_to_check() {
    let failing = |fault| vec![Some(fault); 3];
    let cases = [
        Case { name: "all is well", variable: None, faults: vec![], says: "found" },
        Case {
            name: "a wrong token",
            variable: Some(("BP_TOKEN", "wrong")),
            faults: vec![],
            says: "check BP_TOKEN;",
        },
        Case {
            name: "a wrong bot",
            variable: Some(("BP_BOT_ID", "wrong")),
            faults: vec![],
            says: "check BP_BOT_ID and BP_INTEGRATION_ID",
        },
        Case {
            name: "no integration",
            variable: Some(("BP_INTEGRATION_ID", "")),
            faults: vec![],
            says: "BP_INTEGRATION_ID is missing from the environment",
        },
        Case {
            name: "nothing is paid",
            variable: None,
            faults: failing(Fault::Error { status: 402, stored: false }),
            says: "check the plan and the quotas",
        },
        Case {
            name: "a gateway responds",
            variable: None,
            faults: failing(Fault::Page { status: 404, stored: false }),
            says: "check BP_API_URL",
        },
    ];
    for Case { name, variable, faults, says } in cases {
        let sandbox = Sandbox::start().await.unwrap();
        sandbox.fail_next(faults);
        assert_prints(name, &sandbox, variable, says);
    }
    let undeclared = Sandbox::builder().tags("message", ["ts"]).start().await.unwrap();
    assert_prints(
        "an undeclared tag",
        &undeclared,
        None,
        "declares the channel `channel` and the tag `id`",
    );
}

fn assert_prints(name: &str, sandbox: &Sandbox, variable: Option<(&str, &str)>, says: &str) {
    let mut quickstart = Command::new(example("quickstart"));
    quickstart.env_clear().env("BP_API_URL", sandbox.url()).env("BP_TOKEN", Sandbox::TOKEN);
    quickstart.env("BP_BOT_ID", Sandbox::BOT_ID).env("BP_INTEGRATION_ID", "slack");
    quickstart.envs(variable);
    let output = quickstart.output().unwrap();
    let shown =
        [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap()).concat();
    assert!(shown.contains(says), "{name}: {shown}");
    assert!(!shown.contains(Sandbox::TOKEN), "{name}: {shown}");
}
