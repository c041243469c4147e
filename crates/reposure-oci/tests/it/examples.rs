//! The programs in `examples/`, one after the other.

use reposure_testing::{Auth, MemoryRegistry, Options, RandomImage, Users};

#[path = "../../examples/copy_image.rs"]
#[allow(dead_code, reason = "its main")]
mod copy_image;
#[path = "../../examples/inspect_archive.rs"]
#[allow(dead_code, reason = "its main")]
mod inspect_archive;
#[path = "../../examples/pull_archive.rs"]
#[allow(dead_code, reason = "its main")]
mod pull_archive;
#[path = "../../examples/push_archive.rs"]
#[allow(dead_code, reason = "its main")]
mod push_archive;
#[path = "../../examples/tags.rs"]
#[allow(dead_code, reason = "its main")]
mod tags;

fn arguments<const N: usize>(texts: [&str; N]) -> [String; N] {
    texts.map(Into::into)
}

#[tokio::test]
async fn programs_do_what_they_say() {
    let scratch = tempfile::tempdir().unwrap();
    let path = |name: &str| scratch.path().join(name).display().to_string();
    let registry = MemoryRegistry::start(Options::default()).await.unwrap();
    let image = RandomImage::new(1, 2, 1000).unwrap();
    image.write_oci_archive("v1", std::fs::File::create(path("app.tar")).unwrap()).unwrap();
    let digest = image.digest();

    let lines = inspect_archive::run(&arguments([&path("app.tar")])).await.unwrap();
    assert_eq!(lines[..2], ["names: v1".to_owned(), format!("image {digest}")]);
    assert_eq!(lines.len(), 2 + 3);

    let push = arguments([&path("app.tar"), &registry.url(), "repo/app:v1"]);
    assert_eq!(push_archive::run(&push).await.unwrap(), digest);

    let pull = arguments([&registry.url(), "repo/app:v1", &path("pulled.tar")]);
    assert_eq!(pull_archive::run(&pull).await.unwrap(), digest);
    let lines = inspect_archive::run(&arguments([&path("pulled.tar")])).await.unwrap();
    assert_eq!(lines[..2], [format!("names: {}/repo/app:v1", registry.host()), format!("image {digest}")]);

    let auth = Auth::Basic(Users::new("ann", "hush"));
    let other = MemoryRegistry::start(Options { auth, ..Options::default() }).await.unwrap();
    std::fs::write(path("username"), "ann").unwrap();
    std::fs::write(path("password"), "hush").unwrap();
    let copy = arguments([&registry.url(), "repo/app:v1", &other.url(), "backup:v2", &path("")]);
    assert_eq!(copy_image::run(&copy).await.unwrap(), digest);
    assert_eq!(other.manifest("backup", "v2").unwrap(), image.manifest());
    copy_image::run(&copy[..4]).await.unwrap_err();

    push_archive::run(&arguments([&path("app.tar"), &registry.url(), "repo/app:v2"])).await.unwrap();
    let list = arguments([&registry.url(), "repo/app"]);
    assert_eq!(tags::run(&list).await.unwrap(), ["v1", "v2"]);
    assert_eq!(tags::run(&[&list[..], &["v1".into()]].concat()).await.unwrap(), ["v2"]);
}
