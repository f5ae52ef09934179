//! Certificates that vouch for receivers, and the cryptography behind TLS.
//!
//! Contract: a server's certificate and name are always checked. Without a file of its own a sink trusts what the system trusts.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{CertificateError, ClientConfig, Error, RootCertStore};

/// Certificates that a sink trusts.
pub fn trusted(ca_file: Option<&Path>) -> io::Result<Vec<CertificateDer<'static>>> {
    let Some(path) = ca_file else {
        let found = rustls_native_certs::load_native_certs();
        return Ok(found.certs);
    };
    let fail = |why: String| io::Error::other(format!("{}: {why}", path.display()));
    let certificates = CertificateDer::pem_file_iter(path).map_err(|error| fail(error.to_string()))?;
    let certificates: Vec<_> = certificates.collect::<Result<_, _>>().map_err(|error| fail(error.to_string()))?;
    if certificates.is_empty() {
        return Err(fail("no certificate in it; a PEM file with BEGIN CERTIFICATE is needed".to_owned()));
    }
    Ok(certificates)
}

/// The cryptography.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// TLS towards a server, without a certificate of our own.
pub fn client(ca_file: Option<&Path>) -> io::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(trusted(ca_file)?);
    let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    let builder = builder.map_err(io::Error::other)?;
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}

/// What a person can do about a certificate that was refused; none if the error is about something else.
pub fn advice(error: &Error) -> Option<&'static str> {
    match error {
        Error::InvalidCertificate(CertificateError::Other(other))
            if other.to_string().contains("CaUsedAsEndEntity") =>
        {
            Some(
                " (the certificate is an authority and may not be a server's; make one for the server with basicConstraints CA:FALSE)",
            )
        }
        Error::InvalidCertificate(_) | Error::NoCertificatesPresented => {
            Some(" (its certificate is not trusted; see ca_file)")
        }
        _ => None,
    }
}

/// As [`advice`], of an error of a stream.
pub fn advice_on_stream(error: &io::Error) -> Option<&'static str> {
    error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()).and_then(advice)
}
