//! Which certificate is shown when, after a change of the files.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;

use super::*;

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut parameters = CertificateParams::new([]).unwrap();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap()
}

/// Puts another certificate of `signer` into a folder, with these authorities.
fn write(folder: &TempDir, signer: &Authority, authorities: &[&Authority]) {
    let key = KeyPair::generate().unwrap();
    let made = CertificateParams::new(["r".to_owned()]).unwrap().signed_by(&key, signer).unwrap();
    let authorities: String = authorities.iter().map(|authority| authority.pem()).collect();
    for (name, text) in [("tls.crt", made.pem()), ("tls.key", key.serialize_pem()), ("ca.crt", authorities)] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
}

/// Looks again at the time, and tells whether another certificate is shown than before.
async fn changes(certificate: &mut Certificate, now: Instant) -> bool {
    let before = certificate.current.borrow().clone();
    certificate.refresh(now).await;
    !Arc::ptr_eq(&before, &certificate.current.borrow())
}

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_certificate_of_another_authority_waits_until_that_is_known() {
    let (folder, one, two, now) = (tempfile::tempdir().unwrap(), authority(), authority(), Instant::now());
    write(&folder, &one, &[&one]);
    let mut shown = Certificate::new(folder.path().into()).await.unwrap();
    assert!(!changes(&mut shown, now).await);
    write(&folder, &one, &[&one]);
    assert!(changes(&mut shown, now).await, "of the same one at once");

    write(&folder, &two, &[&two]);
    assert!(!changes(&mut shown, now).await, "the surrogates may not know it");
    assert!(!changes(&mut shown, now + SPREAD / 2).await);
    assert!(changes(&mut shown, now + SPREAD).await);
    write(&folder, &two, &[&two]);
    assert!(changes(&mut shown, now + SPREAD).await);

    // Back again: the first is forgotten by then.
    write(&folder, &one, &[&one]);
    assert!(!changes(&mut shown, now + SPREAD).await);
    // What has not been shown is not followed.
    write(&folder, &two, &[&two]);
    assert!(changes(&mut shown, now + SPREAD + SECOND).await);
    assert!(!changes(&mut shown, now + SPREAD * 3).await);
}

#[tokio::test]
async fn an_authority_that_was_told_of_before_is_known() {
    let (folder, one, two, now) = (tempfile::tempdir().unwrap(), authority(), authority(), Instant::now());
    write(&folder, &one, &[&one]);
    let mut shown = Certificate::new(folder.path().into()).await.unwrap();
    write(&folder, &one, &[&one, &two]);
    assert!(changes(&mut shown, now).await);
    write(&folder, &two, &[&two, &one]);
    assert!(!changes(&mut shown, now + SECOND).await, "told of a second ago");
    assert!(changes(&mut shown, now + SECOND + SPREAD).await);
    write(&folder, &one, &[&one]);
    assert!(changes(&mut shown, now + SECOND + SPREAD).await, "both were told of");
}

#[tokio::test]
async fn without_authorities_it_is_the_certificate_itself_that_others_have_to_know() {
    let (folder, one, two, now) = (tempfile::tempdir().unwrap(), authority(), authority(), Instant::now());
    write(&folder, &one, &[]);
    let mut shown = Certificate::new(folder.path().into()).await.unwrap();
    write(&folder, &two, &[]);
    assert!(!changes(&mut shown, now).await);
    assert!(changes(&mut shown, now + SPREAD).await);
    std::fs::write(folder.path().join("tls.key"), "no key").unwrap();
    assert!(!changes(&mut shown, now + SPREAD * 2).await, "what cannot be used takes nothing away");
}
