//! Tickets for blobs, and requests without TLS.

use http::StatusCode;
use reposure_oci::Digest;
use reposure_parcel::{
    config::{Access, Scheme},
    hello::Hello,
    limits,
    problem::Code,
    ticket::{CAPABILITY, Tickets, Wanted},
    wire,
};
use reposure_surrogate::Surrogate;

use crate::harness::{REPOSITORY, Stage, SurrogateClient, config};

fn wanted(count: usize) -> Wanted {
    let digests = (0..count).map(|number| Digest::sha256_of(number.to_le_bytes())).collect();
    Wanted { repository: REPOSITORY.parse().unwrap(), digests }
}

#[tokio::test]
async fn a_registry_without_tls_has_a_ticket_for_each_blob() {
    let stage = Stage::start().await;
    assert!(stage.client.get(wire::HELLO).await.json::<Hello>().can(CAPABILITY));
    let given: Tickets = stage.client.post(wire::TICKETS, &wanted(2)).await.json();
    assert!(given.tickets.len() == 2 && given.tickets[0] != given.tickets[1], "{given:?}");
    let too_many = stage.client.post(wire::TICKETS, &wanted(limits::EXISTS_DIGESTS + 1)).await;
    assert_eq!(too_many.code(), Code::TooLarge);
}

#[tokio::test]
async fn a_registry_with_tls_has_none() {
    let mut config = config("127.0.0.1:1", Access::Loopback);
    config.upstream.scheme = Scheme::Https;
    let surrogate = Surrogate::start(config).await.unwrap();
    let client = SurrogateClient::new(&surrogate);
    assert!(!client.get(wire::HELLO).await.json::<Hello>().can(CAPABILITY));
    assert_eq!(client.post(wire::TICKETS, &wanted(1)).await.code(), Code::NotFound);
}

/// As it comes from a forwarded port.
#[tokio::test]
async fn who_is_beside_the_surrogate_needs_no_tls() {
    let stage = Stage::start().await;
    let base = format!("http://{}", stage.surrogate.address());
    let plain = SurrogateClient { base, ..stage.client };
    let hello = plain.get(wire::HELLO).await;
    assert_eq!(hello.status, StatusCode::OK);
    assert!(hello.json::<Hello>().can(wire::PLAIN));
}
