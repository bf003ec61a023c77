//! TLS by an authority of the device's own: it is made on the device, signs nothing but this screen's certificates, and may sign for
//! nothing outside private networks.
//!
//! A tablet that has taken the authority's certificate in ([`Authority::fingerprint`] tells whether it is the right one) sees no
//! warning and tells this device from any other. Its constraints hold in the browser: stolen, it opens no other site.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CidrSubnet, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints, SanType, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest as _, Sha256};
use sonotap::{Error, ErrorKind, Result};

/// Networks for whose addresses it may sign: private, link-local, loopback.
const NETWORKS: [(IpAddr, u8); 8] = [
    (IpAddr::V4(Ipv4Addr::new(10, 0, 0, 0)), 8),
    (IpAddr::V4(Ipv4Addr::new(172, 16, 0, 0)), 12),
    (IpAddr::V4(Ipv4Addr::new(192, 168, 0, 0)), 16),
    (IpAddr::V4(Ipv4Addr::new(169, 254, 0, 0)), 16),
    (IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), 8),
    (IpAddr::V6(Ipv6Addr::new(0xFC00, 0, 0, 0, 0, 0, 0, 0)), 7),
    (IpAddr::V6(Ipv6Addr::new(0xFE80, 0, 0, 0, 0, 0, 0, 0)), 10),
    (IpAddr::V6(Ipv6Addr::LOCALHOST), 128),
];
/// 2026-11-01, seconds since 1970: a clock that says less is wrong, and certificates begin here.
const RELEASED_S: u64 = 1_793_491_200;
/// A certificate begins so long before the device's time, and ends so long after: browsers refuse longer ones.
const BEFORE: Duration = Duration::from_secs(86_400);
const AFTER: Duration = Duration::from_secs(800 * 86_400);
/// Addresses of the device that have a certificate, at most.
const ADDRESSES_MAX: usize = 16;

/// An authority: certificate and private key.
///
/// ```
/// let authority = sonotap_remote::Authority::new(&["probe.example".into()])?;
/// let again = sonotap_remote::Authority::from_pem(&authority.to_pem())?;
/// assert_eq!(again.fingerprint(), authority.fingerprint());
/// assert_eq!(authority.fingerprint().len(), 95);
/// # Ok::<(), sonotap::Error>(())
/// ```
pub struct Authority {
    certificate: CertificateDer<'static>,
    certificate_pem: String,
    key: KeyPair,
    configs: Mutex<HashMap<IpAddr, Arc<ServerConfig>>>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Authority({})", self.fingerprint())
    }
}

impl Authority {
    /// Makes one, which may sign for addresses of private networks, for `*.local`, and for `names`.
    ///
    /// # Errors
    /// `Unavailable` when the system has no randomness; `Argument` for a name that is none.
    pub fn new(names: &[String]) -> Result<Self> {
        let key = KeyPair::generate().map_err(unavailable)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = name_of(&key);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        // The clock of a device may be wrong; an authority that has ended is replaced by hand.
        (params.not_before, params.not_after) = (date_time_ymd(2026, 1, 1), date_time_ymd(2046, 1, 1));
        let networks =
            NETWORKS.iter().map(|(ip, bits)| GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(*ip, *bits)));
        let own = ["local", "localhost"].map(str::to_owned).into_iter().chain(names.iter().cloned());
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: networks.chain(own.map(GeneralSubtree::DnsName)).collect(),
            excluded_subtrees: Vec::new(),
        });
        let certificate = params
            .self_signed(&key)
            .map_err(|e| Error::new(ErrorKind::Argument, format!("remote screen: an authority for {names:?}: {e}")))?;
        Ok(Self {
            certificate: certificate.der().clone(),
            certificate_pem: certificate.pem(),
            key,
            configs: Mutex::default(),
        })
    }

    /// Reads what [`Self::to_pem`] wrote.
    ///
    /// # Errors
    /// `Format` when it is not that.
    pub fn from_pem(text: &str) -> Result<Self> {
        let wrong = |what: &str| {
            Error::new(ErrorKind::Format, format!("expected {what} of an authority as PEM, got something else"))
        };
        let certificate = CertificateDer::from_pem_slice(text.as_bytes()).map_err(|_| wrong("the certificate"))?;
        let key = PrivatePkcs8KeyDer::from_pem_slice(text.as_bytes()).map_err(|_| wrong("the private key"))?;
        let key = KeyPair::try_from(&key).map_err(|_| wrong("the private key"))?;
        let end = "-----END CERTIFICATE-----";
        let certificate_pem = text.split_once(end).map(|(before, _)| format!("{before}{end}\n")).unwrap_or_default();
        Ok(Self { certificate, certificate_pem, key, configs: Mutex::default() })
    }

    /// Certificate and private key. Whoever has it can pose as this device.
    pub fn to_pem(&self) -> String {
        self.certificate_pem.clone() + &self.key.serialize_pem()
    }

    /// The certificate as bytes.
    pub(crate) fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// SHA-256 of the certificate, as tablets show it: `AB:CD:...`.
    pub fn fingerprint(&self) -> String {
        let digest = Sha256::digest(&self.certificate);
        digest.iter().map(|b| format!("{b:02X}")).collect::<Vec<_>>().join(":")
    }

    /// The settings for a connection to one of our addresses, with a certificate for it and for `names`. A new key at every start,
    /// which is kept nowhere.
    pub(crate) fn config(&self, own: IpAddr, names: &[String]) -> Result<Arc<ServerConfig>> {
        let mut configs = self.configs.lock().unwrap_or_else(PoisonError::into_inner);
        let own = own.to_canonical();
        if let Some(config) = configs.get(&own) {
            return Ok(config.clone());
        }
        let key = KeyPair::generate().map_err(unavailable)?;
        let certificate = self.sign(&key, own, names).map_err(unavailable)?;
        let chain = vec![certificate.der().clone(), self.certificate.clone()];
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
            .map_err(unavailable)?;
        let config = Arc::new(config);
        if configs.len() >= ADDRESSES_MAX {
            configs.clear();
        }
        configs.insert(own, config.clone());
        Ok(config)
    }

    fn sign(&self, key: &KeyPair, own: IpAddr, names: &[String]) -> Result<Certificate, rcgen::Error> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs().max(RELEASED_S);
        let now = date_time_ymd(1970, 1, 1) + Duration::from_secs(now);
        let mut params = CertificateParams::new(names.to_vec())?;
        params.subject_alt_names.push(SanType::IpAddress(own));
        if own.is_loopback() {
            params.subject_alt_names.push(SanType::DnsName("localhost".try_into()?));
        }
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "sonotap screen");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        (params.not_before, params.not_after) = (now - BEFORE, now + AFTER);
        let mut issuer = CertificateParams::default();
        issuer.distinguished_name = name_of(&self.key);
        params.signed_by(key, &Issuer::from_params(&issuer, &self.key))
    }
}

/// A name that follows from the key: two devices are told apart in a tablet's list.
fn name_of(key: &KeyPair) -> DistinguishedName {
    let digest = Sha256::digest(key.public_key_raw());
    let mut name = DistinguishedName::new();
    name.push(
        DnType::CommonName,
        format!("sonotap {:02x}{:02x}{:02x}{:02x}", digest[0], digest[1], digest[2], digest[3]),
    );
    name
}

fn unavailable(e: impl std::error::Error) -> Error {
    Error::new(ErrorKind::Unavailable, format!("remote screen: no certificate: {e}"))
}
