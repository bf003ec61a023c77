//! Associations with archives and worklists, over TCP or TLS, and the messages on them.
//!
//! What a peer says in words is told nowhere: it may repeat the patient's name.

use std::collections::VecDeque;
use std::io::{self, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use dicom_core::value::PrimitiveValue;
use dicom_core::{DataElement, Tag, VR};
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;
use dicom_transfer_syntax_registry::entries::{EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN};
use dicom_ul::association::Error as UlError;
use dicom_ul::association::client::{ClientAssociation, ClientAssociationOptions, TlsStream};
use dicom_ul::pdu::{
    AssociationRJResult, PDataValue, PDataValueType, Pdu, PresentationContextNegotiated,
    PresentationContextResultReason,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use sonotap::profile::DicomProfile;
use sonotap::{Error, ErrorKind, Result};

/// Largest command set, bytes.
const COMMAND_BYTES_MAX: usize = 1 << 16;
/// Value of Command Data Set Type when no data set follows.
pub(crate) const NO_DATA_SET: u16 = 0x0101;

/// A peer: `AE-TITLE@HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    title: String,
    address: String,
    host: String,
}

impl FromStr for Destination {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let what = || {
            format!(
                "destination: expected AE-TITLE@HOST:PORT with a title of 1 to 16 letters, digits, - or _, got {text:?}"
            )
        };
        let (title, host, port) = DicomProfile::peer(text).ok_or_else(|| Error::new(ErrorKind::Argument, what()))?;
        let plain = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self { title: title.into(), address: format!("{host}:{port}"), host: plain })
    }
}

impl std::fmt::Display for Destination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}", self.title, self.address)
    }
}

impl Destination {
    /// A name for its folder of markers.
    pub(crate) fn folder_name(&self) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
        self.to_string().chars().map(plain).collect()
    }
}

/// TLS towards a peer: whose certificates are believed, and our own.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ClientConfig>,
    name: Option<String>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls(not shown)")
    }
}

impl Tls {
    /// Believes the certificates that `authorities` has signed, and no other. `own` is our certificate and its key, for peers that
    /// ask for one; `name` is whom the peer's certificate is for, where that is not its host. All files are PEM.
    ///
    /// # Errors
    /// `Io` or `Format` when a file cannot be read or has not what it should; `Config` when key and certificate do not belong
    /// together.
    pub fn open(authorities: &Path, own: Option<(&Path, &Path)>, name: Option<&str>) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(authorities)? {
            roots.add(certificate).map_err(|_| not_pem(authorities, "a certificate of an authority"))?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| Error::caused(ErrorKind::Unavailable, "TLS", e))?
            .with_root_certificates(roots);
        let config = match own {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let private = PrivateKeyDer::from_pem_file(key).map_err(|e| pem_error(key, "a private key", &e))?;
                let own = builder.with_client_auth_cert(certificates(certificate)?, private);
                own.map_err(|e| {
                    let what = format!("{}: expected the key of {}", key.display(), certificate.display());
                    Error::caused(ErrorKind::Config, what, e)
                })?
            }
        };
        Ok(Self { config: Arc::new(config), name: name.map(Into::into) })
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let what = "certificates";
    let all = CertificateDer::pem_file_iter(path).map_err(|e| pem_error(path, what, &e))?;
    let all: Vec<_> = all.collect::<Result<_, _>>().map_err(|e| pem_error(path, what, &e))?;
    if all.is_empty() { Err(not_pem(path, what)) } else { Ok(all) }
}

fn pem_error(path: &Path, what: &str, e: &rustls::pki_types::pem::Error) -> Error {
    match e {
        rustls::pki_types::pem::Error::Io(e) => {
            Error::new(ErrorKind::Io, format!("{}: cannot be read: {}", path.display(), e.kind()))
        }
        _ => not_pem(path, what),
    }
}

fn not_pem(path: &Path, what: &str) -> Error {
    Error::new(ErrorKind::Format, format!("{}: expected {what} as PEM, got something else", path.display()))
}

/// Who asks, and how.
#[derive(Clone, Copy)]
pub(crate) struct Caller<'a> {
    pub title: &'a str,
    /// On connecting, reading and writing.
    pub timeout: Duration,
    pub tls: Option<&'a Tls>,
}

impl Caller<'_> {
    /// Refuses a title that is none.
    pub(crate) fn check(&self) -> Result<()> {
        match DicomProfile::is_title(self.title) {
            true => Ok(()),
            false => Err(Error::new(
                ErrorKind::Argument,
                "calling title: expected 1 to 16 letters, digits, - or _, got something else",
            )),
        }
    }
}

/// Why there is no association.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoAssociation {
    /// The peer does not do what is asked for, and will not.
    NoContext,
    /// The peer takes no association from this title, and will not.
    Forbidden,
    /// Another time may do.
    Passing(&'static str),
}

enum Wire {
    Plain(ClientAssociation<TcpStream>),
    Tls(Box<ClientAssociation<TlsStream>>),
}

/// An open association.
pub(crate) struct Association {
    wire: Wire,
    /// Received, and not read yet.
    values: VecDeque<PDataValue>,
}

/// A message from the peer.
pub(crate) struct Message {
    pub command: InMemDicomObject,
    /// Its data set, in the syntax of its context.
    pub data: Option<Vec<u8>>,
}

impl Message {
    pub(crate) fn number(&self, tag: Tag) -> Option<u16> {
        self.command.get(tag)?.to_int::<u16>().ok()
    }
}

impl Association {
    /// Asks for one context a SOP class, each with its transfer syntaxes in the order of preference.
    pub(crate) fn open(
        to: &Destination,
        caller: &Caller,
        contexts: Vec<(String, Vec<String>)>,
    ) -> Result<Self, NoAssociation> {
        let mut asked = ClientAssociationOptions::new()
            .calling_ae_title(caller.title.to_owned())
            .called_ae_title(to.title.clone())
            .connection_timeout(caller.timeout)
            .read_timeout(caller.timeout)
            .write_timeout(caller.timeout);
        for (class_uid, syntaxes) in contexts {
            asked = asked.with_presentation_context(class_uid, syntaxes);
        }
        let address = to.address.as_str();
        let establish = || match caller.tls {
            None => asked.establish(address).map(Wire::Plain),
            Some(tls) => {
                let name = tls.name.as_deref().unwrap_or(&to.host);
                let asked = asked.tls_config(tls.config.clone()).server_name(name);
                asked.establish_tls(address).map(|association| Wire::Tls(Box::new(association)))
            }
        };
        // A peer that answers for a context that nobody proposed makes dicom-ul panic.
        match std::panic::catch_unwind(std::panic::AssertUnwindSafe(establish)) {
            Ok(Ok(mut wire)) => {
                // A command and its data set are two writes before an answer: Nagle's algorithm would hold the second back.
                let _ = match &mut wire {
                    Wire::Plain(association) => association.inner_stream().set_nodelay(true),
                    Wire::Tls(association) => association.inner_stream().sock.set_nodelay(true),
                };
                Ok(Self { wire, values: VecDeque::new() })
            }
            Ok(Err(UlError::NoAcceptedPresentationContexts { .. })) => Err(NoAssociation::NoContext),
            Ok(Err(UlError::Rejected { association_rj, .. }))
                if association_rj.result == AssociationRJResult::Permanent =>
            {
                Err(NoAssociation::Forbidden)
            }
            // A peer of TLS 1.3 refuses our certificate after it let us speak, and may hang up before its alert is read.
            Ok(Err(
                UlError::WireRead { .. }
                | UlError::WireSend { .. }
                | UlError::ReceivePdu { .. }
                | UlError::ConnectionClosed { .. },
            )) if caller.tls.is_some() => Err(NoAssociation::Passing(
                "the connection broke at once: the peer may refuse our certificate, or want one",
            )),
            Ok(Err(e)) => Err(NoAssociation::Passing(kind_of(&e))),
            Err(_) => Err(NoAssociation::Passing("the peer answered what was not asked")),
        }
    }

    /// The number and syntax of the context that the peer accepted for a SOP class.
    pub(crate) fn context(&self, class_uid: &str) -> Option<(u8, String)> {
        let contexts: &[PresentationContextNegotiated] = match &self.wire {
            Wire::Plain(association) => association.presentation_contexts(),
            Wire::Tls(association) => association.presentation_contexts(),
        };
        let accepted = contexts.iter().find(|c| {
            c.abstract_syntax.trim_end_matches('\0') == class_uid
                && c.reason == PresentationContextResultReason::Acceptance
        });
        accepted.map(|c| (c.id, c.transfer_syntax.trim_end_matches('\0').to_owned()))
    }

    /// Sends a command and its data set, if it has one.
    pub(crate) fn ask(
        &mut self,
        context: u8,
        command: InMemDicomObject,
        data: Option<&[u8]>,
    ) -> Result<(), &'static str> {
        let mut request = Vec::new();
        let made = command.write_dataset_with_ts(&mut request, &IMPLICIT_VR_LITTLE_ENDIAN.erased());
        made.map_err(|_| "the request cannot be written")?;
        let value = PDataValue {
            presentation_context_id: context,
            value_type: PDataValueType::Command,
            is_last: true,
            data: request,
        };
        let pdu = Pdu::PData { data: vec![value] };
        let sent = match &mut self.wire {
            Wire::Plain(association) => association.send(&pdu),
            Wire::Tls(association) => association.send(&pdu),
        };
        sent.map_err(|e| kind_of(&e))?;
        let Some(data) = data else { return Ok(()) };
        let written = match &mut self.wire {
            Wire::Plain(association) => {
                let mut writer = association.send_pdata(context);
                writer.write_all(data).and_then(|()| writer.finish())
            }
            Wire::Tls(association) => {
                let mut writer = association.send_pdata(context);
                writer.write_all(data).and_then(|()| writer.finish())
            }
        };
        written.map_err(|_| "the connection broke, or the peer took nothing in time")
    }

    /// Waits for a message whose data set has at most so many bytes.
    pub(crate) fn answer(&mut self, data_bytes_max: usize) -> Result<Message, &'static str> {
        let command = self.part(PDataValueType::Command, COMMAND_BYTES_MAX)?;
        let read = InMemDicomObject::read_dataset_with_ts(command.as_slice(), &IMPLICIT_VR_LITTLE_ENDIAN.erased());
        let command = read.map_err(|_| "expected an answer, got what is no command")?;
        let mut message = Message { command, data: None };
        if message.number(tags::COMMAND_DATA_SET_TYPE).is_some_and(|kind| kind != NO_DATA_SET) {
            message.data = Some(self.part(PDataValueType::Data, data_bytes_max)?);
        }
        Ok(message)
    }

    /// The pieces of a command or data set, up to its last.
    fn part(&mut self, kind: PDataValueType, bytes_max: usize) -> Result<Vec<u8>, &'static str> {
        let mut bytes = Vec::new();
        loop {
            while let Some(value) = self.values.pop_front() {
                if value.value_type != kind {
                    return Err("expected an answer, got its parts in another order");
                }
                bytes.extend_from_slice(&value.data);
                if bytes.len() > bytes_max {
                    return Err("expected an answer to the request, got a longer one");
                }
                if value.is_last {
                    return Ok(bytes);
                }
            }
            let received = match &mut self.wire {
                Wire::Plain(association) => association.receive(),
                Wire::Tls(association) => association.receive(),
            };
            match received.map_err(|e| kind_of(&e))? {
                Pdu::PData { data } => self.values.extend(data),
                _ => return Err("expected an answer to the request, got the end of the association"),
            }
        }
    }

    /// Says good-bye. Whether the peer does matters to nobody.
    pub(crate) fn release(self) {
        let _ = match self.wire {
            Wire::Plain(association) => association.release(),
            Wire::Tls(association) => association.release(),
        };
    }

    /// Ends it without a word.
    pub(crate) fn abort(self) {
        let _ = match self.wire {
            Wire::Plain(association) => association.abort(),
            Wire::Tls(association) => association.abort(),
        };
    }
}

/// A data set in one of the two native syntaxes; what is neither is encoded as explicit, as JPEG's is.
pub(crate) fn encoded(set: &InMemDicomObject, syntax_uid: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    set.write_dataset_with_ts(&mut bytes, &native(syntax_uid)).ok()?;
    Some(bytes)
}

/// Reads a data set in one of the two native syntaxes.
pub(crate) fn decoded(bytes: &[u8], syntax_uid: &str) -> Option<InMemDicomObject> {
    InMemDicomObject::read_dataset_with_ts(bytes, &native(syntax_uid)).ok()
}

fn native(syntax_uid: &str) -> dicom_transfer_syntax_registry::TransferSyntax {
    match syntax_uid {
        dicom_dictionary_std::uids::IMPLICIT_VR_LITTLE_ENDIAN => IMPLICIT_VR_LITTLE_ENDIAN.erased(),
        _ => EXPLICIT_VR_LITTLE_ENDIAN.erased(),
    }
}

/// An element of a command.
pub(crate) fn element(tag: Tag, vr: VR, value: impl Into<PrimitiveValue>) -> DataElement<InMemDicomObject> {
    DataElement::new(tag, vr, value.into())
}

/// What went wrong, without what the peer said.
fn kind_of(e: &UlError) -> &'static str {
    match e {
        UlError::ToAddress { .. } => "the host is not known",
        UlError::Connect { .. } => "nobody answers there",
        UlError::Rejected { .. } => "rejected for now",
        UlError::Aborted { .. } => "aborted by the peer",
        UlError::Timeout { .. } => "no answer in time",
        UlError::ConnectionClosed { .. } => "the connection was closed",
        UlError::TlsNotSupported => "the peer expects TLS",
        UlError::InvalidServerName { .. } => "its name for TLS is none",
        UlError::TlsHandshake { source, .. } => of_tls(source).unwrap_or("no TLS: it broke, or the peer has none"),
        UlError::WireSend { .. } | UlError::WireRead { .. } | UlError::SendPdu { .. } | UlError::ReceivePdu { .. } => {
            "the connection broke, or no answer came in time"
        }
        _ => "the peer does not follow the protocol",
    }
}

fn of_tls(e: &io::Error) -> Option<&'static str> {
    match e.get_ref()?.downcast_ref::<rustls::Error>()? {
        rustls::Error::InvalidCertificate(_) => {
            Some("no TLS: its certificate is of another authority or host, or its time is over")
        }
        rustls::Error::AlertReceived(_) => {
            Some("no TLS: the peer refuses our certificate, or has no version in common")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_is_a_title_a_host_and_a_port() {
        let read = |text: &str| text.parse::<Destination>().map(|d| (d.to_string(), d.folder_name()));
        assert_eq!(
            read("ARCHIVE@pacs.clinic:104").unwrap(),
            ("ARCHIVE@pacs.clinic:104".into(), "ARCHIVE_pacs.clinic_104".into())
        );
        assert_eq!(read("A@[::1]:11112").unwrap().1, "A____1__11112");
        assert_eq!("A@[::1]:11112".parse::<Destination>().unwrap().host, "::1");
        for wrong in [
            "",
            "ARCHIVE",
            "@host:104",
            "A@host",
            "A@host:0",
            "A@:104",
            "A B@host:1",
            "A@ho/st:1",
            "A@host:99999",
            "SEVENTEENLETTERSX@h:1",
        ] {
            let told = read(wrong).unwrap_err().to_string();
            assert!(told.starts_with("destination: expected AE-TITLE@HOST:PORT"), "{told}");
        }
    }

    #[test]
    fn files_that_are_no_certificates_are_named_and_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let told = |e: Result<Tls>| e.unwrap_err().to_string();
        assert!(told(Tls::open(&path, None, None)).contains("ca.pem: cannot be read"));
        std::fs::write(&path, "no certificate").unwrap();
        assert!(told(Tls::open(&path, None, None)).contains("ca.pem: expected certificates as PEM"));
    }
}
