//! Certificates: whom we trust, and how we show who we are, to the database, to the broker and to its console alike.
//!
//! A server is always verified, chain and name. Files are read anew for every connection, so that a certificate that
//! is renewed counts from the next one on.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

/// The files that a URL names, each in PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Files {
    /// The authorities whose servers are trusted; without it, those that the system trusts.
    pub(crate) authorities: Option<PathBuf>,
    /// The certificate that we show, with its chain.
    pub(crate) certificate: Option<PathBuf>,
    /// Its key.
    pub(crate) key: Option<PathBuf>,
}

/// What the three files are called in a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Names {
    pub(crate) authorities: &'static str,
    pub(crate) certificate: &'static str,
    pub(crate) key: &'static str,
}

/// As RabbitMQ's clients call them.
pub(crate) const AMQP: Names = Names { authorities: "cacertfile", certificate: "certfile", key: "keyfile" };

/// As PostgreSQL's clients call them.
pub(crate) const POSTGRESQL: Names =
    Names { authorities: "sslrootcert", certificate: "sslcert", key: "sslkey" };

/// A file that holds not what it should.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(String);

impl Unreadable {
    pub(crate) fn new(reason: impl ToString) -> Self {
        Self(reason.to_string())
    }
}

/// What was read from the files.
#[derive(Debug)]
pub(crate) struct Certificates {
    pub(crate) authorities: Vec<CertificateDer<'static>>,
    pub(crate) own: Option<Own>,
}

/// How we show who we are.
pub(crate) struct Own {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
    /// The same key in PEM, for a client that reads only that.
    pub(crate) key_pem: Vec<u8>,
}

impl std::fmt::Debug for Own {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Own").field("chain", &self.chain).finish_non_exhaustive()
    }
}

impl Files {
    /// Takes a parameter of a URL, if it is one of these names.
    pub(crate) fn take(&mut self, names: Names, name: &str, value: &str) -> bool {
        let file = match name {
            name if name == names.authorities => &mut self.authorities,
            name if name == names.certificate => &mut self.certificate,
            name if name == names.key => &mut self.key,
            _ => return false,
        };
        *file = Some(value.into());
        true
    }

    /// Reads all that is named.
    pub(crate) fn read(&self, names: Names) -> Result<Certificates, Unreadable> {
        let authorities = match &self.authorities {
            Some(file) => certificates(names.authorities, file)?,
            None => of_the_system()?,
        };
        let own = match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => {
                let key_pem = std::fs::read(key).map_err(|error| unreadable(names.key, key, error))?;
                let parsed = PrivateKeyDer::from_pem_slice(&key_pem);
                let key = parsed.map_err(|error| unreadable(names.key, key, error))?;
                Some(Own { chain: certificates(names.certificate, certificate)?, key, key_pem })
            }
            (None, None) => None,
            _ => {
                let Names { certificate, key, .. } = names;
                return Err(Unreadable(format!("{certificate} and {key} belong together; one is missing")));
            }
        };
        Ok(Certificates { authorities, own })
    }

    /// How to speak TLS with them.
    pub(crate) fn client(&self, names: Names) -> Result<Arc<ClientConfig>, Unreadable> {
        let Certificates { authorities, own } = self.read(names)?;
        let mut roots = RootCertStore::empty();
        let (taken, _) = roots.add_parsable_certificates(authorities);
        if taken == 0 {
            return Err(Unreadable(format!("{} holds no certificate of an authority", names.authorities)));
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let versions = versions.map_err(|error| Unreadable(error.to_string()))?;
        let trusting = versions.with_root_certificates(roots);
        let client = match own {
            Some(Own { chain, key, .. }) => trusting
                .with_client_auth_cert(chain, key)
                .map_err(|error| Unreadable(format!("{} and {}: {error}", names.certificate, names.key)))?,
            None => trusting.with_no_client_auth(),
        };
        Ok(Arc::new(client))
    }
}

fn certificates(name: &str, file: &Path) -> Result<Vec<CertificateDer<'static>>, Unreadable> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let read = read.map_err(|error| unreadable(name, file, error))?;
    if read.is_empty() {
        return Err(unreadable(name, file, "it holds no certificate in PEM"));
    }
    Ok(read)
}

fn unreadable(name: &str, file: &Path, error: impl std::fmt::Display) -> Unreadable {
    Unreadable(format!("{name}={}: {error}", file.display()))
}

fn of_the_system() -> Result<Vec<CertificateDer<'static>>, Unreadable> {
    let found = rustls_native_certs::load_native_certs().certs;
    if found.is_empty() {
        let none = "the system trusts no authority; is ca-certificates installed?";
        return Err(Unreadable(none.to_owned()));
    }
    Ok(found)
}

/// What to do about a failure of TLS, to stand after it.
pub(crate) fn remedy(names: Names, failure: &str) -> Option<String> {
    let Names { authorities, certificate, key } = names;
    let said = |texts: &[&str]| texts.iter().any(|text| failure.contains(text));
    if said(&["UnknownIssuer", "BadSignature"]) {
        return Some(format!(
            "its certificate is of an authority that is not trusted here: name the authority's file with {authorities}="
        ));
    }
    if said(&["not valid for name", "NotValidForName"]) {
        let remedy = "its certificate is for another host: use a name in the URL that the certificate has";
        return Some(remedy.to_owned());
    }
    if said(&["CertificateRequired", "valid client certificate"]) {
        return Some(format!(
            "it wants a certificate of ours: name its file with {certificate}= and its key's with {key}="
        ));
    }
    if said(&["UnknownCA", "BadCertificate", "DecryptError", "CertificateUnknown"]) {
        return Some(format!("it does not trust the certificate of {certificate}="));
    }
    if said(&["expired", "Expired"]) {
        return Some("a certificate has expired".to_owned());
    }
    if said(&["InvalidContentType", "corrupt message"]) {
        return Some("it does not speak TLS at this port".to_owned());
    }
    None
}

/// What it may mean that a server hung up on a secure connection: what it said of our certificate can be lost with it.
pub(crate) fn hung_up(names: Names, failure: &str) -> Option<String> {
    let Names { certificate, key, .. } = names;
    failure.contains("reset by peer").then(|| {
        format!(
            "it hung up: perhaps it wants a certificate of ours: name its file with {certificate}= and its key's with \
            {key}=; or it does not trust the certificate of {certificate}="
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_there_or_holds_nothing_is_named() {
        let missing = Files { authorities: Some("/nowhere/ca.pem".into()), ..Files::default() };
        let error = missing.client(AMQP).unwrap_err().to_string();
        assert!(error.starts_with("cacertfile=/nowhere/ca.pem: "), "{error}");
        let empty = Files { authorities: Some("/dev/null".into()), ..Files::default() };
        let error = empty.client(POSTGRESQL).unwrap_err().to_string();
        assert!(error.starts_with("sslrootcert=/dev/null: "), "{error}");
        let half = Files { certificate: Some("/dev/null".into()), ..missing };
        let half = Files { authorities: None, ..half };
        let error = half.read(AMQP).unwrap_err().to_string();
        assert_eq!(error, "certfile and keyfile belong together; one is missing");
    }
}
