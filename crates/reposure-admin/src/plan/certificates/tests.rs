//! Certificates over years: each plan is written, and the next one goes on from there.

use k8s_openapi::{api::core::v1::Secret, jiff::ToSpan as _};
use rcgen::{CertificateParams, KeyPair};
use reposure_api::{
    labels::{AUTHORITIES_SINCE, Application, CERTIFICATE, labels},
    names::{SIMPLE_AUTHENTICATION, SIMPLE_AUTHORITY},
};

use super::{read::Certificate, *};
use k8s_openapi::jiff::{SignedDuration, Timestamp};

const START: &str = "2028-02-29T12:00:00Z";
const SECOND: SignedDuration = SignedDuration::from_secs(1);

/// The Secrets of a cluster, and the time.
struct World {
    found: Found,
    names: CertificateNames,
    now: Timestamp,
}

impl World {
    fn new() -> Self {
        let addresses = ["10.96.1.2".parse().unwrap(), "fd00::2".parse().unwrap()];
        let names = CertificateNames::new("team", &addresses);
        Self { found: Found::default(), names, now: START.parse().unwrap() }
    }

    /// Returns a world in which everything was made just now.
    fn settled() -> Self {
        let mut world = Self::new();
        assert_eq!(world.step(), [SIMPLE_AUTHORITY, SIMPLE_AUTHENTICATION]);
        world
    }

    fn plan(&self) -> Certificates {
        simple_certificates(&self.found, &self.names, self.now).unwrap()
    }

    fn outlook(&self) -> Outlook {
        match self.plan() {
            Certificates::Ours(outlook) => outlook,
            Certificates::Foreign => panic!("taken for somebody else's"),
        }
    }

    /// Writes what is planned, and returns the names of what was written.
    fn step(&mut self) -> Vec<String> {
        let writes = self.outlook().writes;
        let names = writes.iter().map(|secret| secret.metadata.name.clone().unwrap()).collect();
        for secret in writes {
            self.write(secret);
        }
        names
    }

    fn write(&mut self, mut secret: Secret) {
        secret.metadata.resource_version = Some("1".into());
        match secret.metadata.name.as_deref() {
            Some(SIMPLE_AUTHORITY) => self.found.authority = Some(secret),
            _ => self.found.certificate = Some(secret),
        }
    }

    /// Lets time pass, and writes nothing before the end of it.
    fn at(&mut self, time: Timestamp) -> &mut Self {
        self.now = time;
        self
    }

    /// Does whatever there is to be done when it is to be done, until `end`, and checks all the while that whoever has trusted the
    /// bundle for as long as it takes to spread is shown what he trusts.
    fn live_until(&mut self, end: Timestamp) -> usize {
        let mut steps = 0;
        loop {
            let next = self.outlook().next;
            assert!(
                next > self.now,
                "there is something to be done at {next}, and it is {} already",
                self.now
            );
            if next > end {
                self.now = end;
                return steps;
            }
            let (before, known) = (self.bundle(), self.found.clone());
            self.now = next;
            let shown = self.shown();
            assert!(shown.is_good(self.now), "{shown:?} at {next}");
            assert!(!self.step().is_empty(), "nothing was done at {next}");
            let shown = self.shown();
            let trusts =
                |bundle: &[Certificate]| bundle.iter().any(|authority| shown.is_signed_by(authority));
            assert!(trusts(&before) || known.certificate.is_none(), "shown before it is trusted at {next}");
            assert!(trusts(&self.bundle()));
            steps += 1;
        }
    }

    fn value(secret: Option<&Secret>, key: &str) -> Vec<u8> {
        secret
            .and_then(|secret| secret.data.as_ref()?.get(key))
            .map(|value| value.0.clone())
            .unwrap_or_default()
    }

    fn shown(&self) -> Certificate {
        Certificate::first(&Self::value(self.found.certificate.as_ref(), "tls.crt")).unwrap()
    }

    fn bundle(&self) -> Vec<Certificate> {
        Certificate::all(&Self::value(self.found.certificate.as_ref(), "ca.crt"))
    }

    fn authority(&self) -> Certificate {
        Certificate::first(&Self::value(self.found.authority.as_ref(), "tls.crt")).unwrap()
    }

    fn next_authority(&self) -> Option<Certificate> {
        Certificate::first(&Self::value(self.found.authority.as_ref(), "next.crt"))
    }

    fn certificate(&mut self) -> &mut Secret {
        self.found.certificate.as_mut().unwrap()
    }

    fn set(&mut self, key: &str, value: &[u8]) {
        let value = k8s_openapi::ByteString(value.into());
        self.certificate().data.as_mut().unwrap().insert(key.into(), value);
    }
}

/// Returns what version 0.2 made: signed by itself, for five years.
fn legacy(names: &CertificateNames, now: Timestamp) -> Secret {
    let key = KeyPair::generate().unwrap();
    let mut parameters = CertificateParams::new(names.of_service().cloned().collect::<Vec<_>>()).unwrap();
    // It knew nothing of forwarded ports.
    let addresses = names.addresses.iter().copied().filter(|address| !address.is_loopback());
    let addresses = addresses.map(rcgen::SanType::IpAddress);
    parameters.subject_alt_names.extend(addresses);
    let year = i32::from(now.to_zoned(k8s_openapi::jiff::tz::TimeZone::UTC).year());
    parameters.not_before = rcgen::date_time_ymd(year, 1, 1);
    parameters.not_after = rcgen::date_time_ymd(year + 5, 1, 1);
    let pem = parameters.self_signed(&key).unwrap().pem();
    let mut secret = Secret { type_: Some("kubernetes.io/tls".into()), ..Secret::default() };
    secret.metadata.name = Some(SIMPLE_AUTHENTICATION.into());
    secret.metadata.labels = Some(labels(Application::Simple, None, "reposure-cli"));
    let bytes = |text: &str| k8s_openapi::ByteString(text.as_bytes().into());
    let data = [("tls.crt", &pem), ("ca.crt", &pem), ("tls.key", &key.serialize_pem())];
    secret.data = Some(data.into_iter().map(|(key, text)| (key.into(), bytes(text))).collect());
    secret
}

#[test]
fn an_authority_signs_a_certificate_for_all_names() {
    let world = World::settled();
    let (shown, authority) = (world.shown(), world.authority());
    assert!(
        shown.is_signed_by(&authority)
            && authority.is_signed_by(&authority)
            && !authority.is_signed_by(&shown)
    );
    assert!(shown.covers(&world.names));
    let (_, parsed) = x509_parser::parse_x509_certificate(&authority.der).unwrap();
    assert_eq!(parsed.subject().to_string(), "O=Reposure simple registry, CN=team");
    let constraints = parsed.basic_constraints().unwrap().unwrap().value;
    assert!(constraints.ca && constraints.path_len_constraint == Some(0));
    assert!(parsed.key_usage().unwrap().unwrap().value.key_cert_sign());
    let (_, parsed) = x509_parser::parse_x509_certificate(&shown.der).unwrap();
    assert!(!parsed.basic_constraints().unwrap().unwrap().value.ca);
    assert!(parsed.extended_key_usage().unwrap().unwrap().value.server_auth);
    assert_eq!(world.bundle(), std::slice::from_ref(&authority));
    assert_eq!(shown.end.duration_since(world.now), LIFE);
    assert_eq!(authority.end.duration_since(world.now), AUTHORITY_LIFE);
    // The key of the authority is in no Secret that a pod mounts.
    let key = World::value(world.found.authority.as_ref(), "tls.key");
    let mounted = world.found.certificate.as_ref().unwrap().data.as_ref().unwrap();
    assert!(mounted.values().all(|value| value.0 != key));
    let keys: Vec<_> = mounted.keys().map(String::as_str).collect();
    assert_eq!(keys, ["ca.crt", "tls.crt", "tls.key"]);
}

#[test]
fn a_certificate_is_renewed_at_two_thirds_and_not_before() {
    let mut world = World::settled();
    let (shown, authority) = (world.shown(), world.authority());
    let due = shown.renewal();
    assert_eq!(world.outlook().next, due);
    let whole = shown.end.duration_since(shown.begin);
    assert_eq!(due.duration_since(shown.begin).as_secs(), whole.as_secs() / 3 * 2);
    assert!(world.at(due.checked_sub(SECOND).unwrap()).step().is_empty());
    assert_eq!(world.at(due).step(), [SIMPLE_AUTHENTICATION]);
    assert_ne!(world.shown(), shown);
    assert!(world.shown().is_signed_by(&authority));
    assert_eq!(world.bundle(), [authority]);
    assert!(world.step().is_empty(), "written again");
    assert_eq!(world.outlook().end.duration_since(due), LIFE);
}

#[test]
fn a_certificate_that_has_ended_or_not_begun_is_replaced() {
    for time in ["2028-06-01T00:00:00Z", "2028-02-29T10:59:59Z"] {
        let mut world = World::settled();
        world.at(time.parse().unwrap());
        assert!(world.step().contains(&SIMPLE_AUTHENTICATION.to_owned()), "{time}");
        assert!(world.shown().is_good(world.now));
    }
}

#[test]
fn other_addresses_are_another_certificate_and_fewer_are_not() {
    let mut world = World::settled();
    world.names = CertificateNames::new("team", &["10.96.1.2".parse().unwrap()]);
    assert!(world.step().is_empty());
    world.names = CertificateNames::new("team", &["10.96.1.3".parse().unwrap()]);
    assert_eq!(world.step(), [SIMPLE_AUTHENTICATION]);
    assert!(world.shown().covers(&world.names));
}

#[test]
fn a_certificate_of_somebody_else_is_left_alone() {
    // Put in the place of ours.
    let mut world = World::settled();
    let other = legacy(&world.names, world.now);
    world.set("tls.crt", &other.data.as_ref().unwrap()["tls.crt"].0);
    world.at("2040-01-01T00:00:00Z".parse().unwrap());
    assert!(matches!(world.plan(), Certificates::Foreign));
    // Brought along: without our labels, or with more than version 0.2 wrote.
    let change: [fn(&mut Secret); 4] = [
        |secret| secret.metadata.labels = None,
        |secret| drop(secret.data.as_mut().unwrap().remove("ca.crt")),
        |secret| {
            secret.metadata.annotations =
                Some([("cert-manager.io/certificate-name".into(), "x".into())].into());
        },
        |secret| {
            drop(
                secret.data.as_mut().unwrap().insert("tls.crt".into(), k8s_openapi::ByteString(b"x".into())),
            );
        },
    ];
    for change in change {
        let mut world = World::new();
        let mut secret = legacy(&world.names, world.now);
        change(&mut secret);
        world.found.certificate = Some(secret);
        assert!(matches!(world.plan(), Certificates::Foreign));
    }
}

#[test]
fn an_authority_of_somebody_else_or_a_damaged_one_is_said() {
    let mut world = World::settled();
    let plan = |world: &World| simple_certificates(&world.found, &world.names, world.now).err();
    let authority = world.found.authority.clone();
    world.found.authority.as_mut().unwrap().metadata.annotations = None;
    assert!(matches!(plan(&world), Some(CertificateError::ForeignAuthority)));
    world.found.authority = authority;
    world.found.authority.as_mut().unwrap().data.as_mut().unwrap().remove("tls.key");
    assert!(matches!(plan(&world), Some(CertificateError::DamagedAuthority)));
    assert!(simple_certificates(&Found::default(), &CertificateNames::new("nöt", &[]), world.now).is_err());
}

#[test]
fn a_new_authority_is_told_of_before_it_signs() {
    let mut world = World::settled();
    let old = world.authority();
    let due = old.renewal();
    // The certificate of the time, so that nothing else is due.
    world.at(due.checked_sub(SignedDuration::from_hours(24)).unwrap()).step();
    assert_eq!(world.next_authority(), None);
    assert_eq!(world.outlook().next, due);
    let shown = world.shown();
    assert_eq!(world.at(due).step(), [SIMPLE_AUTHORITY, SIMPLE_AUTHENTICATION]);
    let new = world.next_authority().unwrap();
    assert_eq!((world.authority(), world.shown()), (old.clone(), shown.clone()));
    assert_eq!(world.bundle(), [old.clone(), new.clone()]);

    let spread = due + SPREAD;
    assert_eq!(world.outlook().next, spread);
    assert!(world.at(spread - SECOND).step().is_empty());
    assert_eq!(world.at(spread).step(), [SIMPLE_AUTHORITY, SIMPLE_AUTHENTICATION]);
    assert_eq!((world.authority(), world.next_authority()), (new.clone(), None));
    assert!(world.shown().is_signed_by(&new) && !world.shown().is_signed_by(&old));
    assert_eq!(world.bundle(), [new.clone(), old], "others may still show what the old one signed");

    let settled = world.shown().begin + SPREAD;
    assert_eq!(world.outlook().next, settled);
    assert_eq!(world.at(settled).step(), [SIMPLE_AUTHENTICATION]);
    assert_eq!(world.bundle(), [new]);
    assert!(world.step().is_empty());
}

#[test]
fn the_certificate_is_renewed_while_a_new_authority_is_told_of() {
    let mut world = World::settled();
    let due = world.authority().renewal();
    // Two thirds of this one's life are over between the time of the authority and its spreading.
    world.at(due.checked_sub(SignedDuration::from_hours(58 * 24)).unwrap()).step();
    let renewal = world.shown().renewal();
    world.at(due).step();
    assert!(due < renewal && renewal < due + SPREAD, "{renewal}");
    assert_eq!(world.outlook().next, renewal);
    let old = world.authority();
    assert_eq!(world.at(renewal).step(), [SIMPLE_AUTHENTICATION]);
    assert!(world.shown().is_signed_by(&old), "the new one is not trusted yet");
    assert_eq!(world.outlook().next, due + SPREAD, "and not a renewal later");
}

#[test]
fn nobody_is_shown_what_he_does_not_trust_for_thirty_years() {
    let mut world = World::settled();
    let first = world.authority();
    let end = world.now.to_zoned(k8s_openapi::jiff::tz::TimeZone::UTC).checked_add(30.years()).unwrap();
    let steps = world.live_until(end.timestamp());
    assert_ne!(world.authority(), first);
    // Six renewals a year, and three for each authority.
    assert!((180..210).contains(&steps), "{steps}");
}

#[test]
fn what_version_0_2_made_is_replaced_when_the_authority_is_known() {
    let mut world = World::new();
    let old = legacy(&world.names, world.now);
    world.found.certificate = Some(old.clone());
    let outlook = world.outlook();
    assert_eq!((outlook.next, outlook.replaced), (world.now + SPREAD, Some(world.now + SPREAD)));
    assert_eq!(world.step(), [SIMPLE_AUTHORITY, SIMPLE_AUTHENTICATION]);
    let shown = world.shown();
    assert_eq!(world.certificate().data.as_ref().unwrap()["tls.key"], old.data.as_ref().unwrap()["tls.key"]);
    assert_eq!(world.bundle(), [world.authority(), shown.clone()]);
    assert!(world.step().is_empty());
    assert_eq!(world.at(world.now + SPREAD).step(), [SIMPLE_AUTHENTICATION]);
    assert_ne!(world.shown(), shown);
    assert_eq!(world.bundle(), [world.authority(), shown], "the old one stays for a while");
    assert_eq!(world.outlook().replaced, None);
}

#[test]
fn what_version_0_2_made_is_replaced_at_once_where_it_is_of_no_use() {
    let mut world = World::new();
    world.found.certificate = Some(legacy(&CertificateNames::new("other", &[]), world.now));
    world.step();
    assert!(world.shown().is_signed_by(&world.authority()));
    let mut world = World::new();
    world.found.certificate = Some(legacy(&world.names, world.now));
    let end = world.shown().end;
    // A day is not enough, and better than none.
    world.at(end - SignedDuration::from_hours(24)).step();
    assert!(world.shown().is_signed_by(&world.authority()));
}

#[test]
fn a_lost_authority_is_followed_by_another_that_is_told_of_first() {
    let mut world = World::settled();
    let (old, shown) = (world.authority(), world.shown());
    world.found.authority = None;
    assert_eq!(world.step(), [SIMPLE_AUTHORITY, SIMPLE_AUTHENTICATION]);
    assert_eq!((world.shown(), world.bundle()), (shown, vec![world.authority(), old.clone()]));
    world.at(world.now + SPREAD).step();
    assert!(world.shown().is_signed_by(&world.authority()));
    // Without either there is nothing to be careful of.
    world.found = Found::default();
    world.step();
    assert_eq!(world.bundle(), [world.authority()]);
}

#[test]
fn what_was_written_by_half_is_gone_on_with() {
    // The authority was written, and what it signs was not.
    let mut world = World::settled();
    world.found.certificate = None;
    assert_eq!(world.step(), [SIMPLE_AUTHENTICATION]);
    // The authority that is to follow was written, and is in no bundle.
    let mut world = World::settled();
    let due = world.authority().renewal();
    world.at(due - SignedDuration::from_hours(1)).step();
    let certificate = world.found.certificate.clone();
    world.at(due).step();
    world.found.certificate = certificate;
    let later = due + SPREAD + SPREAD;
    assert_eq!(world.at(later).step(), [SIMPLE_AUTHENTICATION]);
    assert_eq!(world.bundle().len(), 2);
    assert_eq!(world.outlook().next, later + SPREAD, "told of from now on only");
}

#[test]
fn what_cert_manager_made_is_replaced_when_that_is_asked_for() {
    let mut world = World::new();
    let mut secret = legacy(&world.names, world.now);
    let annotations = [("cert-manager.io/certificate-name".into(), "reposure-simple".into())];
    secret.metadata.annotations = Some(annotations.into());
    world.found.certificate = Some(secret);
    assert!(matches!(world.plan(), Certificates::Foreign));
    // The issuer that was made for it has left the Secret of its authority.
    let mut authority = legacy(&world.names, world.now);
    authority.metadata.name = Some(SIMPLE_AUTHORITY.into());
    let annotations = [("cert-manager.io/certificate-name".into(), SIMPLE_AUTHORITY.into())];
    authority.metadata.annotations = Some(annotations.into());
    world.found.authority = Some(authority);
    world.found.replace_cert_manager = true;
    assert_eq!(world.step(), [SIMPLE_AUTHORITY, SIMPLE_AUTHENTICATION]);
    assert_eq!(world.bundle().len(), 2);
    let data = world.found.authority.as_ref().and_then(|secret| secret.data.as_ref()).unwrap();
    assert_eq!(data.keys().collect::<Vec<_>>(), ["tls.crt", "tls.key"]);
    assert!(world.step().is_empty(), "once is enough");
    world.found.replace_cert_manager = false;
    world.at(world.now + SPREAD).step();
    assert!(world.shown().is_signed_by(&world.authority()));
}

#[test]
fn a_clock_that_was_wrong_and_a_full_bundle_do_no_harm() {
    let mut world = World::settled();
    let annotations = world.certificate().metadata.annotations.as_mut().unwrap();
    annotations.insert(AUTHORITIES_SINCE.into(), "2999-01-01T00:00:00Z".into());
    assert!(annotations.contains_key(CERTIFICATE));
    world.found.authority = None;
    world.step();
    assert_eq!(world.outlook().next, world.now + SPREAD);
    let mut world = World::settled();
    let many: String =
        (0..100).map(|_| issue::authority("team", world.now).unwrap().certificate.pem()).collect();
    world.set("ca.crt", many.as_bytes());
    world.step();
    let bundle = world.bundle();
    assert_eq!((bundle.len(), &bundle[0]), (8, &world.authority()));
}

#[test]
fn the_operator_may_read_and_change_two_secrets_by_name() {
    let operator = crate::plan::service_account("system", "reposure-operator");
    let other = crate::plan::service_account("system", "other");
    let [role, binding] = simple_certificates_role("team", &operators(&[operator.clone(), other]));
    let role = serde_json::to_value(role).unwrap();
    let names = serde_json::json!([SIMPLE_AUTHENTICATION, SIMPLE_AUTHORITY]);
    let expected = serde_json::json!([{"apiGroups": [""], "resources": ["secrets"], "resourceNames": names, "verbs": ["get", "patch"]}]);
    assert_eq!((&role["rules"], &role["metadata"]["namespace"]), (&expected, &"team".into()));
    let binding = serde_json::to_value(binding).unwrap();
    assert_eq!(binding["subjects"], serde_json::json!([operator]));
}
