//! TLS on both sides: certificates for clients, chosen by name and reloaded while running; trust towards the portal.

use crate::proxy::config::{CertificateFiles, Config};
use crate::proxy::net::certificate;
use crate::proxy::net::pem;
use crate::proxy::net::pem::unusable;
use arc_swap::ArcSwap;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{CipherSuite, RootCertStore};
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex, PoisonError};

/// AES-128 comes before AES-256, as in most recommendations: its hash is SHA-256, for which processors have instructions,
/// where the other's SHA-384 is a seventh of what a handshake costs.
fn provider() -> Arc<CryptoProvider> {
    let mut provider = aws_lc_rs::default_provider();
    let first = [
        CipherSuite::TLS13_AES_128_GCM_SHA256,
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    ];
    provider
        .cipher_suites
        .sort_by_key(|suite| !first.contains(&suite.suite()));
    Arc::new(provider)
}

/// The certificates for clients; the first serves names that no other has.
#[derive(Debug)]
pub struct Certificates {
    files: Vec<CertificateFiles>,
    loaded: ArcSwap<Loaded>,
    /// The files that could not be used.
    refused: Mutex<Vec<Option<FileState>>>,
}

#[derive(Debug)]
struct Loaded {
    keys: Vec<Arc<CertifiedKey>>,
    files: Vec<Option<FileState>>,
    warnings: Vec<String>,
}

/// Tells one state of a file from any other, also after a swap that keeps the times of the new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileState {
    device: u64,
    inode: u64,
    size: u64,
    /// In seconds and nanoseconds.
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Certificates {
    /// # Errors
    /// Names the file that cannot be used and why.
    pub fn load(files: &[CertificateFiles]) -> Result<Arc<Self>, String> {
        Ok(Arc::new(Certificates {
            loaded: ArcSwap::from_pointee(Loaded::read(files)?),
            refused: Mutex::default(),
            files: files.to_vec(),
        }))
    }

    /// Reads all files again. New handshakes use the new ones, connections that are open go on; if one is bad, all the old
    /// ones stay.
    ///
    /// # Errors
    /// Names the file that cannot be used and why.
    pub fn reload(&self) -> Result<(), String> {
        match Loaded::read(&self.files) {
            Ok(loaded) => self.loaded.store(Arc::new(loaded)),
            Err(why) => {
                *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = states(&self.files);
                return Err(why);
            }
        }
        Ok(())
    }

    /// Whether a file is neither the one that was read nor the one that was last refused.
    pub fn changed(&self) -> bool {
        let now = states(&self.files);
        self.loaded.load().files != now
            && *self.refused.lock().unwrap_or_else(PoisonError::into_inner) != now
    }

    /// What is strange about the files in use, for ops.
    pub fn warnings(&self) -> Vec<String> {
        self.loaded.load().warnings.clone()
    }

    /// Says what is strange about them in the operational log.
    pub fn say_warnings(&self) {
        for warning in self.warnings() {
            tracing::warn!("{warning}");
        }
    }

    /// Each certificate's file, and when it ends, in seconds since 1970.
    pub fn ends(&self) -> Vec<(String, i64)> {
        let loaded = self.loaded.load();
        let ends = loaded.keys.iter().map(|key| {
            key.cert
                .first()
                .and_then(|leaf| certificate::not_after(leaf))
        });
        self.files
            .iter()
            .zip(ends)
            .filter_map(|(files, end)| Some((files.certificate.display().to_string(), end?)))
            .collect()
    }
}

fn states(files: &[CertificateFiles]) -> Vec<Option<FileState>> {
    let state = |file: std::fs::Metadata| FileState {
        device: file.dev(),
        inode: file.ino(),
        size: file.size(),
        modified: (file.mtime(), file.mtime_nsec()),
        changed: (file.ctime(), file.ctime_nsec()),
    };
    files
        .iter()
        .flat_map(|f| [&f.certificate, &f.key])
        .map(|path| std::fs::metadata(path).map(state).ok())
        .collect()
}

impl Loaded {
    fn read(files: &[CertificateFiles]) -> Result<Self, String> {
        let states = states(files);
        let mut warnings = Vec::new();
        let keys = files
            .iter()
            .map(|f| {
                let chain = pem::certificates(&f.certificate)?;
                let key = pem::key(&f.key)?;
                if let Some(at) = certificate::break_in_chain(chain.iter().map(AsRef::as_ref)) {
                    warnings.push(unusable(
                        &f.certificate,
                        format_args!(
                            "certificate {} did not issue certificate {at} before it; clients that need the chain will \
                             not trust it: put the server's first, then each one's issuer",
                            at + 1
                        ),
                    ));
                }
                let pair =
                    CertifiedKey::from_der(chain, key, &provider()).map_err(|e| match e {
                        rustls::Error::InconsistentKeys(_) => unusable(
                            &f.key,
                            format_args!(
                                "it is not the key of the certificate in {}",
                                f.certificate.display()
                            ),
                        ),
                        e => unusable(&f.certificate, e),
                    })?;
                Ok(Arc::new(pair))
            })
            .collect::<Result<_, String>>()?;
        Ok(Loaded {
            keys,
            files: states,
            warnings,
        })
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let loaded = self.loaded.load();
        if loaded.keys.len() > 1
            && let Some(name) = hello
                .server_name()
                .and_then(|n| ServerName::try_from(n).ok())
        {
            let serves = |key: &&Arc<CertifiedKey>| {
                key.cert
                    .first()
                    .and_then(|cert| ParsedCertificate::try_from(cert).ok())
                    .is_some_and(|cert| verify_server_name(&cert, &name).is_ok())
            };
            if let Some(key) = loaded.keys.iter().find(serves) {
                return Some(key.clone());
            }
        }
        loaded.keys.first().cloned()
    }
}

/// Whether this machine has the authorities by which the portal's certificate is to be checked.
///
/// # Errors
/// A system without authorities.
pub fn check_authorities(config: &Config) -> Result<(), String> {
    client(config).map(drop)
}

/// Reads all files that TLS needs on both sides, for a look before the start. Gives what is strange about them.
///
/// # Errors
/// Names the file that cannot be used and why.
pub fn check(config: &Config) -> Result<Vec<String>, String> {
    let mut warnings = Vec::new();
    if !config.certificates.is_empty() {
        let certificates = Certificates::load(&config.certificates)?;
        warnings = certificates.warnings();
        server(certificates, config.http2)?;
    }
    if config.upstream_ca.is_some() {
        client(config)?;
    }
    Ok(warnings)
}

/// What clients are offered: TLS 1.2 and 1.3, suites in our order, tickets for resumption, HTTP/2 only when asked for.
///
/// # Errors
/// When the system gives no randomness.
pub fn server(
    certificates: Arc<Certificates>,
    http2: bool,
) -> Result<Arc<rustls::ServerConfig>, String> {
    let mut config = rustls::ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .with_no_client_auth()
        .with_cert_resolver(certificates);
    config.ignore_client_order = true;
    config.ticketer = aws_lc_rs::Ticketer::new().map_err(|e| e.to_string())?;
    config.alpn_protocols = if http2 {
        vec![b"h2".to_vec(), b"http/1.1".to_vec()]
    } else {
        vec![b"http/1.1".to_vec()]
    };
    Ok(Arc::new(config))
}

/// How the portal's certificate is checked; `None` where the portal is not reached by TLS.
///
/// # Errors
/// A CA file that cannot be used, or a system without authorities.
pub fn client(config: &Config) -> Result<Option<Arc<rustls::ClientConfig>>, String> {
    if !matches!(
        config.portal,
        crate::proxy::config::Portal::Tcp { tls: true, .. }
    ) {
        return Ok(None);
    }
    let builder = rustls::ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?;
    let verifier: Arc<dyn ServerCertVerifier> = if config.upstream_insecure {
        Arc::new(Unchecked(provider()))
    } else if let Some(path) = &config.upstream_ca {
        let own = pem::certificates(path)?;
        let mut roots = RootCertStore::empty();
        for certificate in own.clone() {
            roots.add(certificate).map_err(|e| unusable(path, e))?;
        }
        let by_authority = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
            .build()
            .map_err(|e| unusable(path, e))?;
        Arc::new(Named { own, by_authority })
    } else {
        by_the_system()?
    };
    let mut client = builder
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    client.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Some(Arc::new(client)))
}

/// The system's certificate authorities.
fn by_the_system() -> Result<Arc<dyn ServerCertVerifier>, String> {
    let verifier = rustls_platform_verifier::Verifier::new(provider()).map_err(|e| {
        format!("the system's certificate authorities cannot be read ({e}); name a file of them with --upstream-ca")
    })?;
    Ok(Arc::new(verifier))
}

/// A client that trusts the system's authorities, for commands that ask a portal by themselves.
pub fn plain_client() -> Result<Arc<rustls::ClientConfig>, String> {
    let client = rustls::ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(by_the_system()?)
        .with_no_client_auth();
    Ok(Arc::new(client))
}

/// `--upstream-ca`: certificates signed by these, and these themselves. A self-signed certificate, as self-hosted portals
/// have them, often is marked as an authority's, which may not stand for a server by RFC 5280; named in the file, it is
/// the one that is meant.
#[derive(Debug)]
struct Named {
    own: Vec<CertificateDer<'static>>,
    by_authority: Arc<WebPkiServerVerifier>,
}

impl ServerCertVerifier for Named {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if !self.own.iter().any(|own| own == certificate) {
            return self
                .by_authority
                .verify_server_cert(certificate, chain, name, ocsp, now);
        }
        verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        match certificate::not_after(certificate) {
            Some(end) if end >= now => Ok(ServerCertVerified::assertion()),
            _ => Err(rustls::CertificateError::Expired.into()),
        }
    }
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.by_authority
            .verify_tls12_signature(message, cert, signature)
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.by_authority
            .verify_tls13_signature(message, cert, signature)
    }
    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.by_authority.supported_verify_schemes()
    }
}

/// The same trust, offering HTTP/2 first.
pub fn offering_http2(client: &rustls::ClientConfig) -> Arc<rustls::ClientConfig> {
    let mut client = client.clone();
    client.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Arc::new(client)
}

/// `--upstream-insecure`: any certificate will do.
#[derive(Debug)]
struct Unchecked(Arc<CryptoProvider>);

impl ServerCertVerifier for Unchecked {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        // A certificate of X.509 v1 or a short key cannot be checked here; unchecked, neither is worth less.
        Ok(HandshakeSignatureValid::assertion())
    }
    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }
    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
