//! Certificates made on the spot, and TLS settings that trust them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A self-signed certificate for `localhost` and `127.0.0.1`, as PEM files in a folder.
pub struct Pair {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// Makes one; `name` tells it apart in the folder.
pub fn pair(folder: &Path, name: &str) -> Pair {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into(), "127.0.0.1".into()])
        .expect("a certificate");
    let pair = Pair {
        certificate: folder.join(format!("{name}.crt")),
        key: folder.join(format!("{name}.key")),
    };
    std::fs::write(&pair.certificate, made.cert.pem()).expect("a file is written");
    std::fs::write(&pair.key, made.signing_key.serialize_pem()).expect("a file is written");
    pair
}

fn read(pair: &Pair) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
    (
        CertificateDer::from_pem_file(&pair.certificate).expect("a certificate"),
        PrivateKeyDer::from_pem_file(&pair.key).expect("a key"),
    )
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// A server that shows this certificate.
pub fn server(pair: &Pair) -> Arc<rustls::ServerConfig> {
    let (certificate, key) = read(pair);
    let config = rustls::ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("a matching pair");
    Arc::new(config)
}

/// A client that trusts these certificates.
pub fn client(trusted: &[&Pair]) -> Arc<rustls::ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    for pair in trusted {
        roots.add(read(pair).0).expect("a root");
    }
    let config = rustls::ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}
