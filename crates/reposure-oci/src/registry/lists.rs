//! `/v2/_catalog` and `/v2/NAME/tags/list`.

use std::{collections::HashSet, hash::Hash, str::FromStr};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use http::Method;
use serde::Deserialize;

use super::{
    answer::refuse_html,
    call::Call,
    client::Client,
    code::ErrorCode,
    error::{Error, Failure},
    limits::{LIST_BODY, PAGE, PAGES},
    link, location,
    operation::{Action, Operation},
};
use crate::{
    name::{RepositoryName, Tag},
    transport::Transport,
};

/// A page of either list. Either may be `null`, or hold `null`.
#[derive(Deserialize)]
struct Page {
    #[serde(alias = "repositories")]
    tags: Option<Vec<Option<String>>>,
}

impl<T: Transport> Client<T> {
    /// Lists the tags of a repository, as the registry orders them.
    ///
    /// What is no tag is left out: Artifactory lists digests too.
    ///
    /// # Errors
    /// When there is no such repository, or the list is endless.
    ///
    /// # Cancel safety
    /// A call that is dropped has no effect.
    pub async fn tags(&self, repository: &RepositoryName) -> Result<Vec<Tag>, Error> {
        let operation = Operation::of(Action::ListTags, repository);
        self.list(operation, format!("/v2/{repository}/tags/list")).await
    }

    /// Lists the repositories, as the registry orders them. Distribution lists empty ones too.
    ///
    /// # Errors
    /// When the registry does not list them, or the list is endless.
    ///
    /// # Cancel safety
    /// A call that is dropped has no effect.
    pub async fn catalog(&self) -> Result<Vec<RepositoryName>, Error> {
        self.list(Operation::global(Action::ListRepositories), "/v2/_catalog".into()).await
    }

    /// Lists the tags of every repository, in the registry's order, `parallel` repositories at once (at least 1).
    ///
    /// # Errors
    /// When the registry does not list its repositories, or not the tags of one.
    ///
    /// # Cancel safety
    /// A call that is dropped has no effect.
    pub async fn all_tags(&self, parallel: usize) -> Result<Vec<(RepositoryName, Vec<Tag>)>, Error> {
        let repositories = self.catalog().await?;
        stream::iter(repositories)
            .map(|repository| async move {
                let tags = self.tags(&repository).await?;
                Ok((repository, tags))
            })
            .buffered(parallel.max(1))
            .try_collect()
            .await
    }

    async fn list<N: FromStr + Hash + Eq + Clone>(
        &self,
        operation: Operation,
        path: String,
    ) -> Result<Vec<N>, Error> {
        let mut call = Call::new(operation, Method::GET, format!("{path}?n={PAGE}"));
        let (mut names, mut seen) = (Vec::new(), HashSet::new());
        for _ in 0..PAGES {
            let (page, next) = self.page(&mut call, &path).await?;
            let before = names.len();
            let parsed = page.iter().filter_map(|name| name.parse::<N>().ok());
            names.extend(parsed.filter(|name| seen.insert(name.clone())));
            // A page that brings nothing new would be followed by itself.
            match next.or_else(|| after(&page, &path)).filter(|_| names.len() > before) {
                Some(next) => call.path = next,
                None => return Ok(names),
            }
        }
        Err(call.error(Failure::Endless(PAGES)))
    }

    /// Returns the names on a page, and the path of the next one.
    async fn page(&self, call: &mut Call, path: &str) -> Result<(Vec<String>, Option<String>), Error> {
        let answer = match self.call(call, LIST_BODY).await {
            Err(error) if is_about_size(&error) && call.path != path => {
                call.path = path.into();
                self.call(call, LIST_BODY).await?
            }
            other => other?,
        };
        let failed = |failure| call.error(failure);
        refuse_html(answer.status(), answer.headers(), answer.body()).map_err(failed)?;
        let page: Page =
            serde_json::from_slice(answer.body()).map_err(|error| failed(Failure::Malformed(error)))?;
        // The host may be one that only the registry knows; the list goes on where it began.
        let next = link::next(answer.headers()).and_then(|link| location::resolve(&call.path, &link));
        Ok((page.tags.unwrap_or_default().into_iter().flatten().collect(), next.map(|next| next.path)))
    }
}

/// Tells whether the registry takes no pages of this size.
fn is_about_size(error: &Error) -> bool {
    error.has_code(&ErrorCode::PaginationNumberInvalid)
}

/// Returns the path of the page after a full one without `Link`, as in Gitea.
fn after(page: &[String], path: &str) -> Option<String> {
    let last = page.last().filter(|_| page.len() == PAGE)?;
    Some(format!("{path}?n={PAGE}&last={last}"))
}
