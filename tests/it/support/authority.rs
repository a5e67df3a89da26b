//! A certificate authority of a test's own, and what it issues.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, RsaKeySize,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// What a key is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Ecdsa,
    Rsa,
}

/// An authority with its certificate in a file.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub certificate: PathBuf,
    pem: String,
    folder: PathBuf,
}

/// A certificate with its chain, and its key, as PEM files.
pub struct Issued {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// The variables by which OpenSSL, curl, Node and Python's requests trust a certificate, and go to it directly.
pub fn trusting(certificate: &Path) -> [(&'static str, &OsStr); 5] {
    let file = certificate.as_os_str();
    [
        ("CURL_CA_BUNDLE", file),
        ("NODE_EXTRA_CA_CERTS", file),
        ("REQUESTS_CA_BUNDLE", file),
        ("SSL_CERT_FILE", file),
        ("NO_PROXY", OsStr::new("*")),
    ]
}

impl Authority {
    /// A new one, whose files are in this folder; `name` tells it apart.
    pub fn new(folder: &Path, name: &str) -> Self {
        let (params, key) = authority(name);
        let pem = params.self_signed(&key).expect("a certificate").pem();
        let certificate = folder.join(format!("{name}.ca.crt"));
        std::fs::write(&certificate, &pem).expect("a file is written");
        Self {
            issuer: Issuer::new(params, key),
            certificate,
            pem,
            folder: folder.to_owned(),
        }
    }

    /// An authority below this one, whose certificate stands in the chains of what it issues.
    pub fn below(&self, name: &str) -> Self {
        let (params, key) = authority(name);
        let made = params.signed_by(&key, &self.issuer).expect("a certificate");
        Self {
            issuer: Issuer::new(params, key),
            certificate: self.certificate.clone(),
            pem: made.pem(),
            folder: self.folder.clone(),
        }
    }

    /// A certificate for these names, good now.
    pub fn issue(&self, name: &str, names: &[&str], kind: Kind) -> Issued {
        self.issue_for(name, names, kind, (2024, 2099))
    }

    /// As [`Authority::issue`], from the first to the last of these years.
    pub fn issue_for(&self, name: &str, names: &[&str], kind: Kind, years: (i32, i32)) -> Issued {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = rcgen::date_time_ymd(years.0, 1, 1);
        params.not_after = rcgen::date_time_ymd(years.1, 12, 31);
        let key = match kind {
            Kind::Ecdsa => KeyPair::generate(),
            Kind::Rsa => KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048),
        }
        .expect("a key");
        let made = params.signed_by(&key, &self.issuer).expect("a certificate");
        let issued = Issued {
            certificate: self.folder.join(format!("{name}.crt")),
            key: self.folder.join(format!("{name}.key")),
        };
        std::fs::write(&issued.certificate, format!("{}{}", made.pem(), self.pem))
            .expect("a file is written");
        std::fs::write(&issued.key, key.serialize_pem()).expect("a file is written");
        issued
    }

    /// What trusts this authority alone.
    pub fn roots(&self) -> rustls::RootCertStore {
        let mut roots = rustls::RootCertStore::empty();
        let own = CertificateDer::from_pem_file(&self.certificate).expect("a certificate");
        roots.add(own).expect("a root");
        roots
    }
}

fn authority(name: &str) -> (CertificateParams, KeyPair) {
    let mut params = CertificateParams::new(Vec::<String>::new()).expect("no names");
    let subject = format!("{name} authority");
    params.distinguished_name.push(DnType::CommonName, subject);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    (params, KeyPair::generate().expect("a key"))
}

impl Issued {
    /// The certificate itself, without its chain.
    pub fn leaf(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_file(&self.certificate).expect("a certificate")
    }

    /// Puts a copy of both files at another's paths, each in one step.
    pub fn replace(&self, other: &Issued) {
        for (from, to) in [
            (&self.certificate, &other.certificate),
            (&self.key, &other.key),
        ] {
            let fresh = to.with_extension("new");
            std::fs::copy(from, &fresh).expect("a copy");
            std::fs::rename(&fresh, to).expect("a rename");
        }
    }

    /// The arguments of a proxy that shows it to clients.
    pub fn arguments(&self) -> [&str; 4] {
        [
            "--tls-cert",
            self.certificate.to_str().expect("a path"),
            "--tls-key",
            self.key.to_str().expect("a path"),
        ]
    }

    /// A server that shows it, with these protocols offered.
    pub fn server(&self, protocols: &[&str]) -> Arc<rustls::ServerConfig> {
        let chain = CertificateDer::pem_file_iter(&self.certificate)
            .expect("a chain")
            .collect::<Result<Vec<_>, _>>()
            .expect("certificates");
        let key = PrivateKeyDer::from_pem_file(&self.key).expect("a key");
        let mut config = rustls::ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .expect("a matching pair");
        config.alpn_protocols = protocols
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        Arc::new(config)
    }
}

/// What both sides of a test do their cryptography with.
pub fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}
