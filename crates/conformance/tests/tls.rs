//! Over https: which servers a client trusts, which HTTP version is chosen, and that an untrusted server gets nothing.

use std::io::Cursor;
use std::sync::Arc;

use botpress_messages::{Client, Retry};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use test_support::*;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::server::TlsStream;

const H2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap()
}

/// Starts a server with a certificate of this authority, and with support for these versions of HTTP.
async fn serve(authority: &Authority, versions: &[&[u8]]) -> String {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    let certificate = certificate.signed_by(&key, authority).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.into()], key)
        .unwrap();
    config.alpn_protocols = versions.iter().map(|version| version.to_vec()).collect();

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        loop {
            let (connection, _) = listener.accept().await.unwrap();
            // A client that does not trust the server disconnects.
            if let Ok(connection) = acceptor.accept(connection).await {
                tokio::spawn(respond(connection));
            }
        }
    });
    url
}

/// Shows in the tags of the response which HTTP version was agreed on.
async fn respond(mut connection: TlsStream<TcpStream>) {
    let version = connection.get_ref().1.alpn_protocol().unwrap_or_default().to_vec();
    let mut body = stored();
    body["message"]["tags"]["http"] = String::from_utf8_lossy(&version).into();
    if version == H2 {
        let builder = h2::server::Builder::new();
        let mut connection = builder.handshake::<_, Cursor<Vec<u8>>>(connection).await.unwrap();
        while let Some(Ok((_, mut respond))) = connection.accept().await {
            let head = http::Response::builder().body(()).unwrap();
            let mut stream = respond.send_response(head, false).unwrap();
            stream.send_data(Cursor::new(body.to_string().into_bytes()), true).unwrap();
        }
    } else {
        request(&mut connection).await;
        connection.write_all(&ok(&body)).await.unwrap();
    }
}

/// A client that trusts only this authority, and makes one attempt.
fn trusting(authority: &Authority, url: &str) -> Client {
    let certificate = reqwest::Certificate::from_pem(authority.pem().as_bytes()).unwrap();
    let settings = builder(url).http(move |http| http.tls_certs_only([certificate.clone()]));
    settings.retry(Retry::off()).build().unwrap()
}

#[tokio::test]
async fn a_certificate_is_trusted_and_http_2_preferred() {
    let authority = authority();
    for (versions, best) in [(&[H2, HTTP1][..], "h2"), (&[H2], "h2"), (&[HTTP1], "http/1.1")] {
        let url = serve(&authority, versions).await;
        let stored = trusting(&authority, &url).get_or_create(&hello()).await.unwrap();
        assert_eq!(stored.record.tags["http"], best);
    }
}

/// Nothing is sent, and the error reports that.
#[tokio::test]
async fn an_untrusted_server_gets_nothing() {
    let impostor = serve(&authority(), &[H2, HTTP1]).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let plain = format!("https://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.unwrap();
        connection.write_all(&http("400 Bad Request", "", "")).await.unwrap();
    });
    for (url, cause) in [(impostor, "certificate"), (plain, "corrupt message")] {
        let error = trusting(&authority(), &url).get_or_create(&hello()).await.unwrap_err();
        assert!(!error.maybe_stored() && is_transport(&error), "{error:?}");
        assert!(error.to_string().contains(cause), "{error}");
    }
}
