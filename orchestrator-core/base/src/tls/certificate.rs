//! What people want to know of a certificate: whose it is, and until when it is good.
//!
//! rustls checks certificates and shows nothing of them, so the few fields are read here (RFC 5280, section 4.1). Nothing is
//! decided by what is read, but for warnings and lines of the log.

use std::fmt;

use jiff::civil::DateTime;

use crate::clock::UnixMicros;

/// How much of a subject is shown.
const MOST_CHARACTERS: usize = 256;

/// Whose certificate, and until when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// As `CN=edge, O=Example`; empty where the certificate has only alternative names.
    pub subject: String,
    /// The last moment at which it is good.
    pub not_after: UnixMicros,
}

impl About {
    /// Reads a certificate in DER. `None`: it is none, or of a form that is not understood.
    pub fn read(der: &[u8]) -> Option<Self> {
        let mut certificate = Der(Der(der).take(SEQUENCE)?);
        let mut fields = Der(certificate.take(SEQUENCE)?);
        let (tag, _) = fields.next()?;
        if tag == VERSION {
            // The serial number.
            fields.next()?;
        }
        let _algorithm = fields.take(SEQUENCE)?;
        let _issuer = fields.take(SEQUENCE)?;
        let mut validity = Der(fields.take(SEQUENCE)?);
        let subject = fields.take(SEQUENCE)?;
        let _not_before = validity.next()?;
        let (tag, not_after) = validity.next()?;
        Some(Self { subject: name(subject)?, not_after: time(tag, not_after)? })
    }

    /// Whether it is not good any more at `now`.
    pub fn has_expired(&self, now: UnixMicros) -> bool {
        self.not_after < now
    }
}

/// `CN=edge, valid until 2027-01-01T00:00:00.000000Z`
impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subject = if self.subject.is_empty() { "no subject" } else { &self.subject };
        write!(f, "{subject}, valid until {}", self.not_after)
    }
}

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT: u8 = 0x06;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// DER elements, one behind the other.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The next element: its tag and content.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = if first < 0x80 {
            (usize::from(first), rest)
        } else {
            let bytes = usize::from(first & 0x7f);
            // None is BER's indefinite length; more than four would be a certificate of gigabytes.
            if !(1..=4).contains(&bytes) {
                return None;
            }
            let (length, rest) = rest.split_at_checked(bytes)?;
            (length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, content))
    }

    /// The content of the next element, if it is of this kind.
    fn take(&mut self, wanted: u8) -> Option<&'a [u8]> {
        self.next().filter(|(tag, _)| *tag == wanted).map(|(_, content)| content)
    }
}

/// A distinguished name, the most telling attribute first as people write it, which is the last in the certificate.
fn name(content: &[u8]) -> Option<String> {
    let mut parts = Vec::new();
    let mut sets = Der(content);
    while !sets.0.is_empty() {
        let mut set = Der(sets.take(SET)?);
        while !set.0.is_empty() {
            let mut attribute = Der(set.take(SEQUENCE)?);
            let kind = attribute.take(OBJECT)?;
            let (_, value) = attribute.next()?;
            parts.push(format!("{}={}", kind_of(kind), shown(value)));
        }
    }
    parts.reverse();
    Some(parts.join(", ").chars().take(MOST_CHARACTERS).collect())
}

/// An attribute's short name (RFC 4514, section 3).
fn kind_of(object: &[u8]) -> &'static str {
    match object {
        [0x55, 4, 3] => "CN",
        [0x55, 4, 5] => "serialNumber",
        [0x55, 4, 6] => "C",
        [0x55, 4, 7] => "L",
        [0x55, 4, 8] => "ST",
        [0x55, 4, 10] => "O",
        [0x55, 4, 11] => "OU",
        _ => "other",
    }
}

/// Text for a log: what an issuer may have signed unseen must not make lines of its own.
fn shown(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    text.chars().map(|c| if c.is_control() || c == ',' { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// `YYMMDDHHMMSSZ` (1950 to 2049) or `YYYYMMDDHHMMSSZ`.
fn time(tag: u8, content: &[u8]) -> Option<UnixMicros> {
    let text = std::str::from_utf8(content).ok()?.strip_suffix('Z')?;
    let is_digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let (year, rest) = match tag {
        UTC_TIME if is_digits && text.len() == 12 => {
            let year: i16 = text[..2].parse().ok()?;
            (if year < 50 { 2000 + year } else { 1900 + year }, &text[2..])
        }
        GENERALIZED_TIME if is_digits && text.len() == 14 => (text[..4].parse().ok()?, &text[4..]),
        _ => return None,
    };
    let part = |at: usize| rest[at..at + 2].parse::<i8>().ok();
    let moment = DateTime::new(year, part(0)?, part(2)?, part(4)?, part(6)?, part(8)?, 0).ok()?;
    let moment = moment.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(UnixMicros(moment.timestamp().as_microsecond()))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, date_time_ymd};

    use super::*;

    fn made(year: i32, names: &[(DnType, &str)]) -> About {
        let mut params = CertificateParams::new(vec!["edge.example".to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, text) in names {
            params.distinguished_name.push(kind.clone(), *text);
        }
        params.not_after = date_time_ymd(year, 2, 3);
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        About::read(certificate.der()).unwrap()
    }

    #[test]
    fn a_certificate_says_whose_it_is_and_until_when() {
        let names = [(DnType::OrganizationName, "Example\nInc"), (DnType::CommonName, "edge")];
        // From 2050 on the date has another form.
        assert_eq!(
            made(2049, &names).to_string(),
            "CN=edge, O=Example\u{fffd}Inc, valid until 2049-02-03T00:00:00.000000Z"
        );
        let nameless = made(2051, &[]);
        assert_eq!(nameless.to_string(), "no subject, valid until 2051-02-03T00:00:00.000000Z");
        assert!(!nameless.has_expired(nameless.not_after));
        assert!(nameless.has_expired(UnixMicros(nameless.not_after.0 + 1)));
    }

    proptest::proptest! {
        #[test]
        fn anything_may_be_read(bytes: Vec<u8>, cut in 0_usize..400, at in 0_usize..400, with: u8) {
            let _ = About::read(&bytes);
            // Something that is nearly a certificate goes deeper than noise.
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new(vec!["edge.example".to_owned()]).unwrap();
            let mut der = params.self_signed(&key).unwrap().der().to_vec();
            if let Some(byte) = der.get_mut(at) {
                *byte = with;
            }
            der.truncate(der.len().saturating_sub(cut));
            let _ = About::read(&der);
        }
    }
}
