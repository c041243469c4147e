//! The API of ImageStreams.

use http::{Method, StatusCode};
use reposure_parcel::problem::{Code, Problem};
use serde::{Deserialize, de::DeserializeOwned};
use tokio::sync::Semaphore;
use url::form_urlencoded;

use super::refusal;
use crate::{
    answer,
    api_server::{Answered, ApiServer, Call},
};

/// The most pages that are read for one answer.
pub(super) const PAGES: usize = 100;
/// The largest answer, in bytes: an ImageStream holds up to some KiB for each image that a tag was ever of.
const ANSWER: usize = 4 << 20;
/// How many answers are read at once: all of them take 8 MiB, and what is made of them as much.
const PARALLEL: usize = 2;
/// No more than the metadata of objects, where the API server can leave out the rest.
const METADATA: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";
/// Whole objects.
const OBJECT: &str = "application/json";

/// The ImageStreams of an API server.
#[derive(Debug)]
pub(super) struct Streams {
    server: ApiServer,
    turns: Semaphore,
}

/// A page of the names of ImageStreams.
#[derive(Debug)]
pub(super) struct Names {
    pub(super) names: Vec<String>,
    /// What the next page is called.
    pub(super) next: Option<String>,
}

/// An ImageStream, as far as it matters.
#[derive(Debug, Deserialize)]
pub(super) struct ImageStream {
    #[serde(default)]
    pub(super) status: StreamStatus,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct StreamStatus {
    pub(super) tags: Option<Vec<StreamTag>>,
}

/// A tag with its history, the newest image first.
#[derive(Debug, Deserialize)]
pub(super) struct StreamTag {
    pub(super) tag: String,
    pub(super) items: Option<Vec<StreamImage>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct StreamImage {
    /// Its digest.
    pub(super) image: String,
}

#[derive(Debug, Deserialize)]
struct List {
    metadata: ListMeta,
    /// An empty list of metadata is null.
    items: Option<Vec<Item>>,
}

#[derive(Debug, Deserialize)]
struct ListMeta {
    #[serde(rename = "continue")]
    next: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Item {
    metadata: ObjectMeta,
}

#[derive(Debug, Deserialize)]
struct ObjectMeta {
    name: String,
}

impl Streams {
    pub(super) fn new(server: ApiServer) -> Self {
        Self { server, turns: Semaphore::new(PARALLEL) }
    }

    /// Reads at most `limit` names, in their order.
    pub(super) async fn list(
        &self,
        project: &str,
        limit: usize,
        next: Option<&str>,
    ) -> Result<Names, Problem> {
        let doing = format!("cannot list the ImageStreams of project {project}");
        let path = page(project, limit, next);
        let answered = self.call(&doing, Method::GET, &path, METADATA).await?;
        let list: List = read(&doing, &answered)?;
        let names = list.items.into_iter().flatten().map(|item| item.metadata.name).collect();
        Ok(Names { names, next: list.metadata.next.filter(|next| !next.is_empty()) })
    }

    /// Reads an ImageStream; none if there is none.
    pub(super) async fn get(&self, project: &str, stream: &str) -> Result<Option<ImageStream>, Problem> {
        let doing = format!("cannot read ImageStream {project}/{stream}");
        let path = format!("{}/{stream}", folder(project, "imagestreams"));
        let answered = self.call(&doing, Method::GET, &path, OBJECT).await?;
        if answered.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        read(&doing, &answered).map(Some)
    }

    /// Deletes a tag, and tells whether it was there.
    pub(super) async fn untag(&self, project: &str, stream: &str, tag: &str) -> Result<bool, Problem> {
        let doing = format!("cannot delete ImageStreamTag {project}/{stream}:{tag}");
        let path = format!("{}/{stream}:{tag}", folder(project, "imagestreamtags"));
        let answered = self.call(&doing, Method::DELETE, &path, OBJECT).await?;
        match answered.status {
            StatusCode::NOT_FOUND => Ok(false),
            status if status.is_success() => Ok(true),
            _ => Err(refusal::of(&doing, &answered)),
        }
    }

    async fn call(
        &self,
        doing: &str,
        method: Method,
        path: &str,
        accept: &'static str,
    ) -> Result<Answered, Problem> {
        // It is closed by nobody.
        let _turn = self.turns.acquire().await;
        let called = self.server.call(Call { method, path, accept, largest: ANSWER }).await;
        called.map_err(|error| {
            let message = format!("{doing}: {}", answer::chain(&error));
            Problem::new(Code::UpstreamUnreachable, message).transient()
        })
    }
}

fn folder(project: &str, resource: &str) -> String {
    format!("/apis/image.openshift.io/v1/namespaces/{project}/{resource}")
}

fn page(project: &str, limit: usize, next: Option<&str>) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("limit", &limit.to_string());
    query.extend_pairs(next.map(|next| ("continue", next)));
    format!("{}?{}", folder(project, "imagestreams"), query.finish())
}

fn read<T: DeserializeOwned>(doing: &str, answered: &Answered) -> Result<T, Problem> {
    if !answered.status.is_success() {
        return Err(refusal::of(doing, answered));
    }
    let malformed =
        |error| Problem::new(Code::UpstreamRefused, format!("{doing}: the API server's answer: {error}"));
    serde_json::from_slice(&answered.body).map_err(malformed)
}
