//! What an authority has revoked, and what a certificate must say about its use.

use rcgen::KeyUsagePurpose;
use rustls_pki_types::CertificateRevocationListDer;
use rustls_pki_types::pem::PemObject;

use super::super::testing::{Authority, BELOW, Identity, Kind, bundle, now};
use super::super::{CertificateFault, Judgement, LineResult, TrustAnchors, verify};
use super::{refused, verdict};
use crate::clock::Timestamp;

/// A signer whose certificate has this serial number.
fn numbered(authority: &Authority, serial: u64) -> Identity {
    authority.identity(Kind::P256, |params| params.serial_number = Some(serial.into()))
}

#[test]
fn conf_050_a_revoked_certificate_is_refused_and_what_is_not_known_is_said() {
    use LineResult::{Fail, Pass, Warn};
    let (authority, namesake) = (Authority::new(), Authority::new());
    let below = authority.below();
    let direct = numbered(&authority, 7).signed(bundle());
    let indirect = numbered(&below, 7).with(&below).signed(bundle());
    let (valid, revoked) = (Judgement::Valid, Judgement::BadCertificate(CertificateFault::Revoked));
    let list = |of: &Authority, serials: &[u64]| of.revocation_list(serials, 2026);
    let later = Timestamp::parse_rfc3339("2026-12-01T00:00:00Z").expect("it is an instant");
    for (name, signed, at, lists, judgement, result, text) in [
        ("no list", &direct, now(), vec![], valid, Pass, "is not checked"),
        ("another number", &direct, now(), vec![list(&authority, &[8])], valid, Pass, "was not revoked"),
        ("its number", &direct, now(), vec![list(&authority, &[6, 7])], revoked, Fail, "was revoked"),
        ("overdue", &direct, later, vec![list(&authority, &[8])], valid, Warn, "no list in force"),
        ("overdue, its number", &direct, later, vec![list(&authority, &[7])], revoked, Fail, "was revoked"),
        ("another authority's", &direct, now(), vec![list(&below, &[7])], valid, Warn, "no list in force"),
        (
            "of one with the same name",
            &direct,
            now(),
            vec![list(&namesake, &[8])],
            Judgement::BadCertificate(CertificateFault::Untrusted),
            Fail,
            "is not signed by that authority",
        ),
        ("half of the way", &indirect, now(), vec![list(&authority, &[7])], valid, Warn, "no list in force"),
        (
            "all of the way",
            &indirect,
            now(),
            vec![list(&authority, &[7]), list(&below, &[8])],
            valid,
            Pass,
            "was not revoked",
        ),
        ("between", &indirect, now(), vec![list(&authority, &[BELOW])], revoked, Fail, "was revoked"),
    ] {
        let mut trust = authority.trust();
        for list in &lists {
            trust.add_revocation_lists(list.as_bytes()).expect("it is a list");
        }
        let found = verify(signed, "R", &trust, at).remove(0).1;
        let line = found.lines.iter().find(|line| line.rule == "CONF-050").expect("it is looked at");
        assert_eq!((found.judgement, line.result), (judgement, result), "{name}: {line:?}");
        assert!(line.text.contains(text), "{name}: {line:?}");
    }
}

#[test]
fn a_file_of_revocation_lists_holds_one_in_der_or_several_in_pem_and_nothing_else() {
    let (authority, below) = (Authority::new(), Authority::new().below());
    let (one, other) = (authority.revocation_list(&[1], 2026), below.revocation_list(&[], 2026));
    let der = CertificateRevocationListDer::from_pem_slice(one.as_bytes()).expect("it is one");
    let mut broken = der.to_vec();
    broken[4] ^= 1;
    for (name, file, is_read) in [
        ("PEM", one.clone().into_bytes(), true),
        ("two", format!("{one}{other}").into_bytes(), true),
        ("DER", der.to_vec(), true),
        ("broken", broken, false),
        ("a certificate", authority.certificate.pem().into_bytes(), false),
        ("nothing", Vec::new(), false),
    ] {
        let added = TrustAnchors::default().add_revocation_lists(&file);
        assert_eq!(added.is_ok(), is_read, "{name}");
    }
}

#[test]
fn conf_051_a_certificate_that_does_not_say_what_its_key_is_for_is_refused_where_it_must() {
    let authority = Authority::new();
    let mut strict = authority.trust();
    strict.require_key_usage(true);
    let fault = Judgement::BadCertificate(CertificateFault::KeyUsage);
    for (usages, otherwise, required) in [
        (vec![], Judgement::Valid, fault),
        (vec![KeyUsagePurpose::DigitalSignature], Judgement::Valid, Judgement::Valid),
        (vec![KeyUsagePurpose::ContentCommitment], Judgement::Valid, Judgement::Valid),
        (vec![KeyUsagePurpose::KeyAgreement], fault, fault),
    ] {
        let name = format!("{usages:?}");
        let identity = authority.identity(Kind::P256, |params| params.key_usages = usages);
        let signed = identity.signed(bundle());
        let found = [&authority.trust(), &strict].map(|trust| verdict(&signed, trust));
        assert_eq!(found.each_ref().map(|found| found.judgement), [otherwise, required], "{name}");
        if required == fault {
            refused(&found[1], fault, "CONF-051");
        }
    }
}
