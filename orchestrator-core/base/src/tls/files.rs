//! Certificates and keys as they lie in files, and how much of a change in them is noticed.

use std::{
    fs::File,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject as _},
};

use super::certificate::About;

/// A file of certificates that is larger is something else.
const MOST_BYTES: u64 = 1 << 20;

/// What is wrong with a setting's file, in words that follow the setting's name. Nothing of a key is quoted.
#[derive(Debug, thiserror::Error)]
#[error("{setting}: {why}")]
pub(super) struct FileError {
    /// The setting that names the file.
    pub(super) setting: &'static str,
    /// What is wrong.
    pub(super) why: String,
}

/// A file that a setting names.
#[derive(Clone, Debug)]
pub(super) struct Named {
    pub(super) setting: &'static str,
    pub(super) path: PathBuf,
}

/// A certificate, its intermediates, and its key.
pub(super) struct Identity {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: PrivateKeyDer<'static>,
}

impl Named {
    pub(super) fn wrong(&self, why: impl std::fmt::Display) -> FileError {
        FileError { setting: self.setting, why: format!("{} {why}", self.path.display()) }
    }

    /// What is in it.
    pub(super) fn read(&self) -> Result<Vec<u8>, FileError> {
        read(&self.path).map_err(|error| self.wrong(format_args!("cannot be read: {error}")))
    }

    /// At least one certificate.
    pub(super) fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, FileError> {
        let text = self.read()?;
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
        let found = found.map_err(|error| self.wrong(format_args!("is no PEM file: {error}")))?;
        if found.is_empty() {
            return Err(self.wrong("holds no certificate in PEM"));
        }
        Ok(found)
    }

    pub(super) fn key(&self) -> Result<PrivateKeyDer<'static>, FileError> {
        PrivateKeyDer::from_pem_slice(&self.read()?).map_err(|error| match error {
            pem::Error::NoItemsFound => {
                self.wrong("holds no private key in PEM that can be read without a password")
            }
            error => self.wrong(format_args!("is no PEM file: {error}")),
        })
    }

    /// The certificates, as those whose signatures count.
    pub(super) fn authorities(&self) -> Result<RootCertStore, FileError> {
        let mut roots = RootCertStore::empty();
        for certificate in self.certificates()? {
            roots.add(certificate).map_err(|error| {
                self.wrong(format_args!("holds a certificate that is no authority's: {error}"))
            })?;
        }
        Ok(roots)
    }
}

impl Identity {
    pub(super) fn read(cert: &Named, key: &Named) -> Result<Self, FileError> {
        Ok(Self { chain: cert.certificates()?, key: key.key()? })
    }

    /// What its first certificate says of itself.
    pub(super) fn about(&self) -> Option<About> {
        self.chain.first().and_then(|leaf| About::read(leaf))
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("larger than {MOST_BYTES} bytes")));
    }
    Ok(bytes)
}

/// What the files hold, as one number. By content: links are turned and times kept when certificates are rolled out, and a key is
/// not worth keeping a copy of.
pub(super) fn fingerprint<'a>(files: impl IntoIterator<Item = &'a Named>) -> u64 {
    let mut hasher = DefaultHasher::new();
    for file in files {
        match read(&file.path) {
            Ok(bytes) => bytes.hash(&mut hasher),
            Err(error) => format!("{:?}", error.kind()).hash(&mut hasher),
        }
    }
    hasher.finish()
}
