//! A password that has changed here before the registry knows of it.

use std::{path::Path, sync::Arc, time::Duration};

use reposure_oci::{DirectTransport, auth::CredentialsFolder, registry::Client};
use reposure_testing::{Auth, MemoryRegistry, Options, Users};

use crate::fixture::{content, limits, name, options, streamed};

/// A bit more than the folder is not looked at again for.
const NOTICED: Duration = Duration::from_millis(1100);

fn write(folder: &Path, password: &str) {
    std::fs::write(folder.join("username"), "ann").unwrap();
    std::fs::write(folder.join("password"), password).unwrap();
}

async fn upload(client: &Client<DirectTransport>, size: usize) -> bool {
    let (bytes, digest) = content(size);
    let body = streamed(&bytes, 1 << 16);
    client.upload_monolithic(&name("a"), &digest, size as u64, body).await.is_ok()
}

/// What can be sent but once goes with the old password, as does what can be sent again.
async fn goes_on(auth: Auth) {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "hush");
    let registry = MemoryRegistry::start(Options { auth, ..Options::default() }).await.unwrap();
    let mut direct = options(&registry);
    direct.credentials = Arc::new(CredentialsFolder::new(folder.path(), ["r"]));
    let client = Client::with_limits(DirectTransport::new(direct).unwrap(), limits());
    assert!(upload(&client, 1 << 20).await);

    write(folder.path(), "one that the registry does not know yet");
    tokio::time::sleep(NOTICED).await;
    registry.revoke_tokens();
    assert!(upload(&client, 2 << 20).await);
    assert!(client.tags(&name("a")).await.unwrap().is_empty());
    assert!(upload(&client, 3 << 20).await);
    // Of those who never had another one, a wrong password is told at once.
    let wrong = tempfile::tempdir().unwrap();
    write(wrong.path(), "wrong");
    let mut direct = options(&registry);
    direct.credentials = Arc::new(CredentialsFolder::new(wrong.path(), ["r"]));
    assert!(!upload(&Client::with_limits(DirectTransport::new(direct).unwrap(), limits()), 10).await);
}

#[tokio::test]
async fn a_password_that_the_registry_does_not_know_yet_breaks_nothing() {
    let users = || Users::new("ann", "hush");
    tokio::join!(goes_on(Auth::Basic(users())), goes_on(Auth::bearer(users())));
}
