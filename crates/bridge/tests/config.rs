//! Settings in a file, and their checks.

use std::fs;
use std::process::Command;

use tempfile::TempDir;

/// Runs the program in a folder with this file `bridge.toml`. Returns its exit code, output and errors.
fn run(
    file: &str,
    variables: &[(&str, &str)],
    arguments: &[&str],
) -> (Option<i32>, String, String) {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("bridge.toml"), file).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_botpress-bridge"));
    command.args(arguments).current_dir(folder.path());
    let output = command.env_clear().envs(variables.iter().copied()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

const FILE: &str = "
[common]
nats_url = 'nats://10.0.0.1'
nats_user = 'bridge'
nats_password = { env = 'BRIDGE_OWN_PASSWORD' }

[deliver]
deadline = 30

[[bots]]
id = 'support'
token = 'hunter2'
integration_id = 'intver_1'
slack_signing_secrets = ['hunter2new', 'hunter2old']
telegram_secret_token = 'hunter2'
whatsapp_app_secret = { env = 'BRIDGE_SALES_TOKEN' }
whatsapp_verify_token = 'hunter2'
keys = ['hunter2key']
max_messages = 1000

[[bots]]
id = 'sales'
token = { env = 'BRIDGE_SALES_TOKEN' }
integration_alias = 'slack'
api_url = 'http://127.0.0.1:8081'
keys = ['hunter2a', 'hunter2b', 'hunter2c']
paused = true
";
const VARIABLES: [(&str, &str); 2] =
    [("BRIDGE_SALES_TOKEN", "hunter2"), ("BRIDGE_OWN_PASSWORD", "hunter2")];

#[test]
fn valid_settings_are_shown_without_secrets() {
    let (code, output, errors) =
        run(FILE, &VARIABLES, &["--config", "bridge.toml", "--check-config"]);
    let expected = "\
bot support: receives; Slack secrets: 2, telegram: open, whatsapp: open, keys: 1, messages that may wait: 1000
bot sales: receives; Slack secrets: 0, keys: 3, messages that may wait: no limit
bot support: delivers
bot sales: delivers, paused
the settings are valid
";
    assert_eq!((code, output.as_str()), (Some(0), expected), "{errors}");
    assert!(!errors.contains("hunter2"), "{errors}");
    // `run` checks both parts.
    let (code, output, errors) =
        run(FILE, &VARIABLES, &["run", "--config", "bridge.toml", "--check-config"]);
    assert_eq!((code, output.as_str()), (Some(0), expected), "{errors}");

    let variables = [
        ("BRIDGE_BOTS", "a,b"),
        ("BRIDGE_KEY", "hunter2"),
        ("BRIDGE_CONFIG", ""),
        ("BRIDGE_X", ""),
    ];
    let (code, output, errors) = run("", &variables, &["receive", "--check-config"]);
    assert_eq!(code, Some(0), "{errors}");
    assert!(output.starts_with("bot a: receives; Slack secrets: 0, keys: 1,"), "{output}");
}

#[test]
fn options_and_variables_win_over_the_file() {
    struct Case {
        variables: &'static [(&'static str, &'static str)],
        arguments: &'static [&'static str],
        code: i32,
    }
    let file = "[deliver]\nbot_id = 'x'";
    let (code, _, errors) = run(file, &[], &["deliver", "--config", "bridge.toml"]);
    assert_eq!(code, Some(2), "{errors}");
    assert!(errors.contains("bridge.toml:2: bot_id: unknown setting"), "{errors}");
    let file =
        "[common]\nnats_url = 'nats://me:hunter2@host'\n[[bots]]\nid = 'a'\nkeys = ['hunter2']";
    for Case { variables, arguments, code } in [
        Case { variables: &[], arguments: &[], code: 2 },
        Case { variables: &[("NATS_URL", "nats://host")], arguments: &[], code: 0 },
        Case { variables: &[], arguments: &["--nats-url", "nats://host"], code: 0 },
        Case {
            variables: &[("NATS_URL", "nats://host")],
            arguments: &["--nats-url", "nats://me:hunter2@host"],
            code: 2,
        },
    ] {
        let all = [&["receive", "--config", "bridge.toml", "--check-config"], arguments].concat();
        let (seen, _, errors) = run(file, variables, &all);
        assert_eq!(seen, Some(code), "{variables:?} {arguments:?}: {errors}");
    }
}

#[test]
fn wrong_settings_end_with_code_2_and_one_line() {
    struct Case {
        file: &'static str,
        variables: &'static [(&'static str, &'static str)],
        command: &'static str,
        error: &'static str,
    }
    let bot = "[[bots]]\nid = 'a'\nkeys = ['hunter2']\n";
    for Case { file, variables, command, error } in [
        Case {
            file: "[receive]\nlisen = 1",
            variables: &[],
            command: "receive",
            error: "bridge.toml:2: lisen: unknown setting, expected one of listen, ",
        },
        Case {
            file: bot,
            variables: &[],
            command: "deliver",
            error: "bridge.toml:1: bot a: token: missing: deliver and run need it",
        },
        Case {
            file: "[[bots]]\nid = 'a'\ntoken = 'hunter2'\nintegration_id = 'b'\napi_url = 'http://example.com'",
            variables: &[],
            command: "deliver",
            error: "bridge.toml:1: bot a: settings: ",
        },
        Case {
            file: bot,
            variables: &[("BP_BOT_ID", "b")],
            command: "deliver",
            error: "bridge.toml: there is no bot b",
        },
        Case {
            file: bot,
            variables: &[("BRIDGE_KEY", "hunter2")],
            command: "receive",
            error: "BRIDGE_KEY is a setting of one bot, but bridge.toml has bots: set it there",
        },
        Case {
            file: bot,
            variables: &[("BP_TOKEN", "hunter2")],
            command: "deliver",
            error: "BP_TOKEN is a setting of one bot, but bridge.toml has bots: set it there",
        },
        Case {
            file: bot,
            variables: &[("BRIDGE_KEYS", "hunter2")],
            command: "receive",
            error: "environment: BRIDGE_KEYS is not a setting",
        },
        Case {
            file: "[[bots]]\nid = 'a'",
            variables: &[],
            command: "receive",
            error: "no authentication configured",
        },
        Case {
            file: "",
            variables: &[("BRIDGE_BOTS", "a,b"), ("BRIDGE_KEY", "hunter2")],
            command: "run",
            error: "without bots in a settings file, run serves one bot: set only BP_BOT_ID, or use --config",
        },
        Case {
            file: "[[bots]]\nid = 'a'\nwhatsapp_app_secret = 'hunter2'",
            variables: &[],
            command: "receive",
            error: "bridge.toml:3: bot a: whatsapp_app_secret: it needs whatsapp_verify_token",
        },
        Case { file: "", variables: &[], command: "receive", error: "no bot: set --bots" },
        Case { file: "", variables: &[], command: "deliver", error: "no bot: set --bot-id" },
        Case {
            file: bot,
            variables: &[("NATS_URL", "nats://me:hunter2@host")],
            command: "receive",
            error: "NATS_URL must not have a password",
        },
    ] {
        let arguments = [command, "--config", "bridge.toml", "--check-config"];
        let (code, _, errors) = run(file, variables, &arguments);
        assert_eq!(code, Some(2), "{file} {variables:?}: {errors}");
        assert!(errors.starts_with(&format!("error: {error}")), "{errors}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
        assert!(!errors.contains("hunter2"), "{errors}");
    }
    let (code, _, errors) = run("", &[], &["receive", "--config", "none.toml"]);
    assert_eq!(code, Some(2), "{errors}");
    assert!(errors.starts_with("error: none.toml cannot be read: "), "{errors}");
    let (code, _, errors) = run("", &[], &[]);
    assert_eq!((code, errors.as_str()), (Some(2), "error: no command: see --help\n"));
}
