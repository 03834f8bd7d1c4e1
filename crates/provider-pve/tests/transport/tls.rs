//! Which certificates are accepted.

use pvx_provider_pve::client::{ApiError, Client, Endpoint, Fingerprint, Request, TlsTrust};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use serde_json::json;

use crate::server::{Server, data, options, self_signed};

fn client(endpoint: Endpoint, trust: TlsTrust) -> Client {
    Client::new(options(vec![endpoint], trust)).unwrap()
}

async fn ask(client: &Client) -> Result<u32, ApiError> {
    client.get(&Request::get("/version")).await
}

/// A CA like that of a Proxmox cluster, and a node certificate that it signed.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "Proxmox Virtual Environment");
        let key = KeyPair::generate().unwrap();
        Self { issuer: CertifiedIssuer::self_signed(params, key).unwrap() }
    }

    async fn server(&self, names: &[&str]) -> Server {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
        let certificate =
            CertificateParams::new(names).unwrap().signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        Server::start_with((certificate.der().clone(), key), |_| data(&json!(1))).await
    }

    fn trust(&self) -> TlsTrust {
        TlsTrust::CaPem(self.issuer.pem().into_bytes())
    }
}

/// The error's text, after checking that nothing was sent.
async fn refused(server: &Server, trust: TlsTrust) -> String {
    let error = ask(&client(server.endpoint(), trust)).await.unwrap_err();
    let ApiError::Tls { attempts, .. } = &error else { panic!("{error}") };
    let refusal = attempts[0].refusal.as_ref().unwrap();
    assert_eq!(refusal.presented, server.fingerprint());
    assert!(server.seen().is_empty());
    assert!(!error.is_transient());
    error.to_string()
}

#[tokio::test]
async fn a_pinned_certificate_is_accepted_whatever_it_names() {
    let server = Server::start_with(self_signed(&["other.example"]), |_| data(&json!(1))).await;
    let pin: Fingerprint = server.fingerprint().to_string().to_lowercase().parse().unwrap();
    let client = client(server.endpoint(), TlsTrust::Fingerprints(vec![pin]));
    assert_eq!(ask(&client).await.unwrap(), 1);
}

#[tokio::test]
async fn another_certificate_is_refused_with_both_fingerprints() {
    let server = Server::start(|_| data(&json!(1))).await;
    let other = Fingerprint::of(b"another");
    let text = refused(&server, TlsTrust::Fingerprints(vec![other])).await;
    assert!(text.contains(&server.fingerprint().to_string()), "{text}");
    assert!(text.contains(&format!("expected {other}")), "{text}");
    assert!(text.contains("pvenode cert info"), "{text}");
}

#[tokio::test]
async fn a_node_certificate_of_the_given_ca_is_accepted() {
    let authority = Authority::new();
    let server = authority.server(&["127.0.0.1", "pve1", "pve1.lab.example"]).await;
    assert_eq!(ask(&client(server.endpoint(), authority.trust())).await.unwrap(), 1);
}

#[tokio::test]
async fn the_wrong_ca_the_wrong_name_and_a_bare_certificate_are_refused() {
    let authority = Authority::new();
    let server = authority.server(&["127.0.0.1"]).await;
    let text = refused(&server, Authority::new().trust()).await;
    assert!(text.contains("was not signed by the given CA"), "{text}");

    let server = authority.server(&["pve1.lab.example"]).await;
    let text = refused(&server, authority.trust()).await;
    assert!(text.contains("not made out for '127.0.0.1'"), "{text}");

    let server = Server::start(|_| data(&json!(1))).await;
    let text = refused(&server, authority.trust()).await;
    assert!(text.contains(&server.fingerprint().to_string()), "{text}");
}

#[tokio::test]
async fn insecure_accepts_anything() {
    let server = Server::start_with(self_signed(&["other.example"]), |_| data(&json!(1))).await;
    assert_eq!(ask(&client(server.endpoint(), TlsTrust::Insecure)).await.unwrap(), 1);
}

#[tokio::test]
async fn an_untrusted_endpoint_is_passed_over_for_a_trusted_one() {
    let stranger = Server::start(|_| data(&json!(1))).await;
    let known = Server::start(|_| data(&json!(2))).await;
    let trust = TlsTrust::Fingerprints(vec![known.fingerprint()]);
    let client = Client::new(options(vec![stranger.endpoint(), known.endpoint()], trust)).unwrap();
    assert_eq!(ask(&client).await.unwrap(), 2);
    assert!(stranger.seen().is_empty());
}
