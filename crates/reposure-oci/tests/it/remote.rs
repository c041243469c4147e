//! Images of a registry as a source.

use bytes::Bytes;
use http::Method;
use reposure_oci::{
    Artifact, Digest, Image, ImageName, Platform,
    remote::{self, RemoteError},
};
use reposure_testing::{Fault, Injection, RandomImage};
use serde_json::{Value, json};

use crate::fixture::Fixture;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const FOREIGN: &str = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip";

async fn read(fixture: &Fixture, name: &str, only: Option<&str>) -> Result<Artifact, RemoteError> {
    let name: ImageName = name.parse().unwrap();
    let only: Option<Platform> = only.map(|only| only.parse().unwrap());
    remote::fetch(&fixture.client, &name, only.as_ref()).await
}

fn image(artifact: &Artifact) -> &dyn Image {
    match artifact {
        Artifact::Image(image) => image.as_ref(),
        Artifact::Index(index) => panic!("{index:?}"),
    }
}

fn put_json(fixture: &Fixture, tag: &str, media_type: &str, manifest: &Value) -> Digest {
    let bytes = Bytes::from(manifest.to_string());
    fixture.registry.put_manifest("app", Some(tag), media_type, bytes).parse().unwrap()
}

fn child(digest: &Digest, size: usize, platform: &Value) -> Value {
    json!({"mediaType": INDEX, "digest": digest, "size": size, "platform": platform})
}

#[tokio::test]
async fn blobs_are_fetched_by_ranges_and_go_on_where_they_broke_off() {
    let fixture = Fixture::new().await;
    let random = RandomImage::new(1, 2, 200_000).unwrap();
    fixture.put("app", "v1", &random);
    let artifact = read(&fixture, "app:v1", None).await.unwrap();
    let image = image(&artifact);
    assert_eq!(image.manifest().await.unwrap().bytes(), random.manifest());
    for (part, bytes) in image.parts().iter().zip(random.blobs()) {
        let blob = part.ready().unwrap();
        assert_eq!(blob.read_at(0, bytes.len()).await.unwrap(), bytes);
    }
    let (layer, bytes) = (image.parts()[1].ready().unwrap(), random.blobs()[1].clone());
    let cut = Injection { times: 3, ..Injection::next(Method::GET, "/blobs/", Fault::Truncate(30_000)) };
    fixture.registry.inject(cut);
    fixture.registry.clear_requests();
    assert_eq!(layer.read_at(50_000, 150_000).await.unwrap(), bytes.slice(50_000..200_000));
    let path = format!("/v2/app/blobs/{}", Digest::sha256_of(&bytes));
    assert_eq!(fixture.registry.count(&Method::GET, &path), 4);

    let cut = Injection { times: 100, ..Injection::next(Method::GET, "/blobs/", Fault::Truncate(100)) };
    fixture.registry.inject(cut);
    let error = layer.read_at(0, 100_000).await.unwrap_err();
    assert_eq!(error.to_string(), "cannot fetch 100000 bytes at 0 of the blob");
    assert!(layer.read_at(200_000, 200_000).await.is_err());
}

#[tokio::test]
async fn a_blob_without_ranges_is_read_on() {
    let fixture = Fixture::new().await;
    let random = RandomImage::new(1, 1, 200_000).unwrap();
    fixture.put("app", "v1", &random);
    let artifact = read(&fixture, "app:v1", None).await.unwrap();
    let (layer, bytes) = (image(&artifact).parts()[1].ready().unwrap(), random.blobs()[1].clone());
    fixture.registry.change_quirks(|quirks| quirks.ignore_range = true);
    fixture.registry.clear_requests();
    // The first one shows that ranges are ignored, and the second one is read on.
    for (offset, gets) in [(1000, 1), (20_000, 2), (50_000, 2), (90_000, 2), (50_000, 3), (100_000, 3)] {
        assert_eq!(layer.read_at(offset as u64, 10_000).await.unwrap(), bytes.slice(offset..offset + 10_000));
        assert_eq!(fixture.registry.count(&Method::GET, "/blobs/"), gets, "{offset}");
    }
    let size = bytes.len() as u64;
    assert_eq!(layer.read_at(size - 1, 1).await.unwrap(), bytes.slice(bytes.len() - 1..));
}

#[tokio::test]
async fn layers_are_bounded() {
    let fixture = Fixture::new().await;
    let random = RandomImage::new(6, 1, 1000).unwrap();
    fixture.put("app", "v1", &random);
    let mut manifest: Value = serde_json::from_slice(random.manifest()).unwrap();
    let layer = manifest["layers"][0].clone();
    for (layers, good) in [(128, true), (129, false)] {
        manifest["layers"] = json!(vec![&layer; layers]);
        put_json(&fixture, "many", random.media_type(), &manifest);
        let read = read(&fixture, "app:many", None).await;
        match read {
            Ok(_) => assert!(good),
            Err(error) => {
                let digest = Digest::sha256_of(manifest.to_string());
                let url = format!("{}/v2/app/manifests/{digest}", fixture.registry.url());
                let expected =
                    format!("image {digest} has 129 layers, over the limit of 128 (GET {url}, 200 OK)");
                assert!(!good && error.to_string() == expected, "{error}");
            }
        }
    }
}

#[tokio::test]
async fn an_index_comes_whole_or_one_platform_of_it() {
    let fixture = Fixture::new().await;
    let children: Vec<Digest> = (2..4).map(|seed| fixture.put_image("app", "child", seed)).collect();
    let size = RandomImage::new(2, 1, 1000).unwrap().manifest().len();
    let describe = |digest: &Digest, architecture: &str| {
        let mut child = child(digest, size, &json!({"os": "linux", "architecture": architecture}));
        child["mediaType"] = json!("application/vnd.oci.image.manifest.v1+json");
        child
    };
    let inner = json!({"schemaVersion": 2, "manifests": [describe(&children[0], "amd64"), describe(&children[1], "arm64")]});
    put_json(&fixture, "inner", INDEX, &inner);
    let artifact = read(&fixture, "app:inner", None).await.unwrap();
    let Artifact::Index(index) = &artifact else { panic!("{artifact:?}") };
    assert_eq!(index.children().len(), 2);

    let digest = Digest::sha256_of(inner.to_string());
    let mut nested = child(&digest, inner.to_string().len(), &Value::Null);
    nested.as_object_mut().unwrap().remove("platform");
    put_json(&fixture, "outer", INDEX, &json!({"schemaVersion": 2, "manifests": [nested]}));
    for name in ["app:inner", "app:outer"] {
        let artifact = read(&fixture, name, Some("linux/arm64")).await.unwrap();
        assert_eq!(image(&artifact).manifest().await.unwrap().digest(), &children[1]);
    }
    let error = read(&fixture, "app:inner", Some("linux/s390x")).await.unwrap_err();
    assert_eq!(error.to_string(), "there is no image of linux/s390x, but of: linux/amd64, linux/arm64");

    // One that is missing matters only where it is asked for.
    let away = Digest::sha256_of("away");
    let sparse =
        json!({"schemaVersion": 2, "manifests": [describe(&children[0], "amd64"), describe(&away, "arm64")]});
    fixture.registry.change_quirks(|quirks| quirks.sparse = true);
    put_json(&fixture, "sparse", INDEX, &sparse);
    assert!(read(&fixture, "app:sparse", Some("linux/amd64")).await.is_ok());
    assert!(
        matches!(read(&fixture, "app:sparse", None).await, Err(RemoteError::Manifest { source, .. }) if source.is_not_found())
    );
    let mut wrong = describe(&children[0], "amd64");
    wrong["size"] = json!(size + 1);
    put_json(&fixture, "wrong", INDEX, &json!({"schemaVersion": 2, "manifests": [wrong]}));
    let error = read(&fixture, "app:wrong", None).await.unwrap_err();
    let (url, digest) = (fixture.registry.url(), &children[0]);
    let expected = format!(
        "the manifest of app@{digest} has {size} bytes, where the index above it says {} (GET {url}/v2/app/manifests/{digest}, 200 OK)",
        size + 1
    );
    assert_eq!(error.to_string(), expected);
}

#[tokio::test]
async fn layers_that_need_not_be_there_are_left_out_where_they_are_not() {
    let fixture = Fixture::new().await;
    let random = RandomImage::new(5, 2, 1000).unwrap();
    fixture.put("app", "v1", &random);
    let mut manifest: Value = serde_json::from_slice(random.manifest()).unwrap();
    manifest["layers"][0]["mediaType"] = json!(FOREIGN);
    let away = json!({"mediaType": FOREIGN, "digest": Digest::sha256_of("away"), "size": 4});
    manifest["layers"].as_array_mut().unwrap().push(away);
    fixture.registry.change_quirks(|quirks| quirks.sparse = true);
    put_json(&fixture, "foreign", random.media_type(), &manifest);
    let artifact = read(&fixture, "app:foreign", None).await.unwrap();
    assert_eq!(image(&artifact).parts().len(), 3);
}

#[tokio::test]
async fn indexes_are_bounded() {
    let fixture = Fixture::new().await;
    let url = |tag: &str| format!("(GET {}/v2/app/manifests/{tag}, 200 OK)", fixture.registry.url());
    let mut inner = json!({"schemaVersion": 2, "manifests": []});
    let deepest = Digest::sha256_of(inner.to_string()).to_string();
    for levels in 0..5 {
        let digest = put_json(&fixture, "deep", INDEX, &inner);
        // What is four levels below the first one must be an image.
        assert_eq!(read(&fixture, "app:deep", None).await.is_ok(), levels < 4, "{levels}");
        let mut nested = child(&digest, inner.to_string().len(), &Value::Null);
        nested.as_object_mut().unwrap().remove("platform");
        inner = json!({"schemaVersion": 2, "manifests": [nested]});
    }
    let error = read(&fixture, "app:deep", None).await.unwrap_err().to_string();
    assert_eq!(error, format!("app@{deepest} nests indexes more than 4 deep {}", url(&deepest)));
    let digest = put_json(&fixture, "empty", INDEX, &json!({"schemaVersion": 2, "manifests": []}));
    let mut nested =
        child(&digest, json!({"schemaVersion": 2, "manifests": []}).to_string().len(), &Value::Null);
    nested.as_object_mut().unwrap().remove("platform");
    // With the index itself.
    for (children, good) in [(1023, true), (1024, false)] {
        let wide = json!({"schemaVersion": 2, "manifests": vec![&nested; children]});
        put_json(&fixture, "wide", INDEX, &wide);
        match read(&fixture, "app:wide", None).await {
            Ok(_) => assert!(good),
            Err(error) => {
                let expected = format!("app:wide leads to more than 1024 manifests {}", url("wide"));
                assert!(!good && error.to_string() == expected, "{error}");
            }
        }
    }
}
