//! The ways to log in to NATS. With wrong credentials, the bridge ends instead of trying again.

mod support;

use std::fs;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use botpress_sandbox::Sandbox;
use nkeys::KeyPair;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa};
use serde_json::{Value, json};
use support::{Nats, Setup};
use tempfile::TempDir;

/// A JWT in the form that NATS expects.
fn token(issuer: &KeyPair, subject: &KeyPair, claims: Value) -> String {
    let encoded = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let claims = json!({
        "jti": "1", "iat": 1_700_000_000, "iss": issuer.public_key(), "name": "bridge",
        "sub": subject.public_key(), "nats": claims,
    });
    let head = encoded(&json!({ "typ": "JWT", "alg": "ed25519-nkey" }));
    let text = format!("{head}.{}", encoded(&claims));
    let signature = URL_SAFE_NO_PAD.encode(issuer.sign(text.as_bytes()).unwrap());
    format!("{text}.{signature}")
}

fn write(folder: &TempDir, name: &str, text: &str) -> String {
    let path = folder.path().join(name);
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// Logs in with these settings. Returns the exit code and the errors.
fn log_in(setup: &Setup, settings: &[(&'static str, &str)]) -> (Option<i32>, String) {
    let with = |setup: Setup, (name, value): &(&'static str, &str)| setup.with(name, value);
    let setup = settings.iter().fold(setup.clone(), with);
    let (code, _, errors) = setup.run(&["dead", "list"]);
    (code, errors)
}

#[tokio::test]
async fn an_nkey_logs_in() {
    let Some(mut nats) = Nats::start().await else { return };
    let sandbox = Sandbox::start().await.unwrap();
    let setup = Setup::new(&nats, &sandbox);
    let [user, other] = [KeyPair::new_user(), KeyPair::new_user()];
    let users = format!("authorization {{ users = [{{ nkey: {} }}] }}", user.public_key());
    nats.configure(&users).await;
    let folder = TempDir::new().unwrap();
    let [right, wrong] = [user, other].map(|user| user.seed().unwrap());
    let file = |name, text: &str| write(&folder, name, &format!("{text}\n"));
    let (code, errors) = log_in(&setup, &[("NATS_NKEY", &file("right", &right))]);
    assert_eq!(code, Some(0), "{errors}");
    struct Case<'a> {
        seed: &'a str,
        error: &'static str,
    }
    for Case { seed, error } in [
        Case { seed: &wrong, error: "rejects the credentials" },
        Case { seed: "SUhunter2", error: "rejects the credentials" },
    ] {
        let (code, errors) = log_in(&setup, &[("NATS_NKEY", &file("wrong", seed))]);
        assert_eq!(code, Some(2), "{errors}");
        assert!(errors.contains(error) && !errors.contains(seed), "{errors}");
    }
    assert_eq!(log_in(&setup, &[]).0, Some(2));
}

#[tokio::test]
async fn a_credentials_file_logs_in() {
    let Some(mut nats) = Nats::start().await else { return };
    let sandbox = Sandbox::start().await.unwrap();
    let setup = Setup::new(&nats, &sandbox);
    let (operator, account, user) =
        (KeyPair::new_operator(), KeyPair::new_account(), KeyPair::new_user());
    // With an operator, JetStream needs a system account.
    let system = KeyPair::new_account();
    let unlimited = json!({
        "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true,
        "conn": -1, "leaf": -1, "mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1,
    });
    let of_account = json!({ "type": "account", "version": 2, "limits": unlimited });
    let of_user = json!({
        "type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1, "pub": {}, "sub": {},
    });
    nats.configure(&format!(
        "operator: {}\nsystem_account: {}\nresolver: MEMORY\n\
         resolver_preload: {{ {}: {}, {}: {} }}",
        token(&operator, &operator, json!({ "type": "operator", "version": 2 })),
        system.public_key(),
        system.public_key(),
        token(&operator, &system, json!({ "type": "account", "version": 2 })),
        account.public_key(),
        token(&operator, &account, of_account),
    ))
    .await;
    let folder = TempDir::new().unwrap();
    let credentials = |name: &str, token: &str, user: &KeyPair| {
        let seed = user.seed().unwrap();
        let text = format!(
            "-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        );
        write(&folder, name, &text)
    };
    let right = credentials("right", &token(&account, &user, of_user.clone()), &user);
    let (code, errors) = log_in(&setup, &[("NATS_CREDS", &right)]);
    assert_eq!(code, Some(0), "{errors}");
    struct Case {
        file: String,
        error: &'static str,
    }
    let stranger = KeyPair::new_account();
    for Case { file, error } in [
        Case {
            file: credentials("wrong", &token(&stranger, &user, of_user), &user),
            error: "rejects the credentials",
        },
        Case { file: write(&folder, "none", "hunter2"), error: "is not a credentials file" },
        Case { file: "/nowhere".to_owned(), error: "NATS_CREDS: /nowhere cannot be read: " },
    ] {
        let (code, errors) = log_in(&setup, &[("NATS_CREDS", &file)]);
        assert_eq!(code, Some(2), "{errors}");
        assert!(errors.contains(error) && !errors.contains("hunter2"), "{errors}");
    }
    let both = [("NATS_CREDS", right.as_str()), ("NATS_TOKEN", "hunter2")];
    assert_eq!(log_in(&setup, &both).0, Some(2));
}

/// A certificate authority, and files with its certificate, a server's certificate and a client's certificate.
struct Certificates {
    folder: TempDir,
}

impl Certificates {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        let authority = CertifiedIssuer::self_signed(authority, key).unwrap();
        write(&folder, "ca.pem", &authority.pem());
        for name in ["server", "client"] {
            let key = rcgen::KeyPair::generate().unwrap();
            let certificate = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
            let certificate = certificate.signed_by(&key, &authority).unwrap();
            write(&folder, &format!("{name}.pem"), &certificate.pem());
            write(&folder, &format!("{name}.key"), &key.serialize_pem());
        }
        Self { folder }
    }

    fn path(&self, name: &str) -> String {
        Path::display(&self.folder.path().join(name)).to_string()
    }
}

#[tokio::test]
async fn a_client_certificate_and_a_private_authority_log_in() {
    let Some(mut nats) = Nats::start().await else { return };
    let sandbox = Sandbox::start().await.unwrap();
    let setup = Setup::new(&nats, &sandbox);
    let [ours, others] = [Certificates::new(), Certificates::new()];
    nats.configure(&format!(
        "tls {{ cert_file: '{}', key_file: '{}', ca_file: '{}', verify: true }}",
        ours.path("server.pem"),
        ours.path("server.key"),
        ours.path("ca.pem"),
    ))
    .await;
    struct Case {
        settings: Vec<(&'static str, String)>,
        code: i32,
        error: &'static str,
    }
    let ca = |of: &Certificates| ("NATS_CA", of.path("ca.pem"));
    let cert = |of: &Certificates| ("NATS_CERT", of.path("client.pem"));
    let key = |of: &Certificates| ("NATS_KEY", of.path("client.key"));
    for Case { settings, code, error } in [
        Case { settings: vec![ca(&ours), cert(&ours), key(&ours)], code: 0, error: "" },
        Case {
            settings: vec![ca(&others), cert(&ours), key(&ours)],
            code: 2,
            error: "the certificates are not accepted: ",
        },
        Case {
            settings: vec![ca(&ours), cert(&others), key(&others)],
            code: 2,
            error: "the certificates are not accepted: ",
        },
        Case { settings: vec![ca(&ours)], code: 2, error: "the certificates are not accepted: " },
        Case {
            settings: vec![ca(&ours), cert(&ours)],
            code: 2,
            error: "NATS_CERT and NATS_KEY need each other",
        },
        Case {
            settings: vec![("NATS_CA", "/nowhere".to_owned())],
            code: 2,
            error: "NATS_CA: /nowhere cannot be read: ",
        },
    ] {
        let given: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let (seen, errors) = log_in(&setup, &given);
        assert_eq!(seen, Some(code), "{given:?}: {errors}");
        assert!(errors.contains(error), "{given:?}: {errors}");
    }
}
