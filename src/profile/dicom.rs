//! `[dicom]`: the archive and the worklist of a network, and how they are reached.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// DICOM peers. Nothing is sent or asked without this section, or without naming a peer on the command line.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct DicomProfile {
    /// Where ended exams are sent: `AE-TITLE@HOST:PORT`.
    pub archive: Option<String>,
    /// Whose worklist is asked: `AE-TITLE@HOST:PORT`.
    pub worklist: Option<String>,
    /// Our AE title.
    pub calling: String,
    /// Only orders of this modality; all when empty.
    pub modality: String,
    /// Only orders for the device of this AE title; all when empty.
    pub station: String,
    /// On connecting, reading and writing, s.
    pub timeout_s: f64,
    /// TLS towards both.
    pub tls: Option<DicomTlsProfile>,
}

impl Default for DicomProfile {
    fn default() -> Self {
        Self {
            archive: None,
            worklist: None,
            calling: "SONOTAP".into(),
            modality: "US".into(),
            station: String::new(),
            timeout_s: 15.0,
            tls: None,
        }
    }
}

impl DicomProfile {
    /// Reads `AE-TITLE@HOST:PORT` as title, host and port; an IPv6 host is in brackets. `None` when it is none.
    pub fn peer(text: &str) -> Option<(&str, &str, u16)> {
        let (title, address) = text.split_once('@')?;
        let (host, port) = address.rsplit_once(':')?;
        let is_host = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:[]_".contains(&b));
        let port = port.parse::<u16>().ok().filter(|p| *p > 0)?;
        (Self::is_title(title) && is_host).then_some((title, host, port))
    }

    /// Whether a text is an AE title: 1 to 16 letters, digits, - or _.
    pub fn is_title(title: &str) -> bool {
        (1..=16).contains(&title.len()) && title.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    }
}

/// TLS. All files are PEM.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DicomTlsProfile {
    /// Certificates of the authorities that the peers' certificates are of; no other is believed.
    pub authorities: PathBuf,
    /// Our certificate, where peers ask for one; `key` is beside it.
    pub certificate: Option<PathBuf>,
    /// Our private key.
    pub key: Option<PathBuf>,
    /// Whom the peers' certificates are for, where that is not their host.
    pub name: Option<String>,
}
