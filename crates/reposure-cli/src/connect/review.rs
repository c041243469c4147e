//! What the user may do, by the API server's own word.

use std::time::Duration;

use futures::future::try_join_all;
use k8s_openapi::api::authorization::v1::{
    LocalSubjectAccessReview, ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
    SubjectAccessReviewSpec,
};
use kube::{Api, Client, api::PostParams};
use tokio::time::timeout;

/// How long the API server may take to say whether a right is held: as long as a surrogate may take to say hello.
const DEADLINE: Duration = Duration::from_secs(10);

/// Nobody says whether a right is held.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReviewError {
    #[error("cannot ask for rights")]
    Kube(#[from] kube::Error),
    #[error("the API server did not say within {} s whether a right is held", DEADLINE.as_secs())]
    Silent,
}

/// Somebody, as the API server knows him.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) user: Option<String>,
    pub(crate) groups: Vec<String>,
}

/// A right that somebody may hold or not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Review<'a> {
    pub(crate) verb: &'a str,
    pub(crate) resource: &'a str,
    pub(crate) subresource: &'a str,
    pub(crate) name: &'a str,
}

impl Review<'_> {
    /// Asks whether the user of the kubeconfig holds it.
    ///
    /// See [Kubernetes, "Checking API access"](https://kubernetes.io/docs/reference/access-authn-authz/authorization/#checking-api-access).
    pub(crate) async fn ask(self, client: &Client, namespace: &str) -> Result<bool, ReviewError> {
        let spec = SelfSubjectAccessReviewSpec {
            resource_attributes: Some(self.attributes(namespace)),
            ..SelfSubjectAccessReviewSpec::default()
        };
        let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
        let reviews: Api<SelfSubjectAccessReview> = Api::all(client.clone());
        let answer = timeout(DEADLINE, reviews.create(&PostParams::default(), &review)).await;
        let review = answer.map_err(|_| ReviewError::Silent)??;
        Ok(review.status.is_some_and(|status| status.allowed))
    }

    /// Asks whether somebody else holds it, which takes the right to create `localsubjectaccessreviews` in the namespace, as the
    /// built-in role `admin` has it.
    pub(crate) async fn ask_of(
        self,
        who: &Identity,
        client: &Client,
        namespace: &str,
    ) -> Result<bool, ReviewError> {
        let mut review = LocalSubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: who.user.clone(),
                groups: Some(who.groups.clone()),
                resource_attributes: Some(self.attributes(namespace)),
                ..SubjectAccessReviewSpec::default()
            },
            ..LocalSubjectAccessReview::default()
        };
        review.metadata.namespace = Some(namespace.into());
        let reviews: Api<LocalSubjectAccessReview> = Api::namespaced(client.clone(), namespace);
        let answer = timeout(DEADLINE, reviews.create(&PostParams::default(), &review)).await;
        let review = answer.map_err(|_| ReviewError::Silent)??;
        Ok(review.status.is_some_and(|status| status.allowed))
    }

    fn attributes(self, namespace: &str) -> ResourceAttributes {
        ResourceAttributes {
            namespace: Some(namespace.into()),
            verb: Some(self.verb.into()),
            resource: Some(self.resource.into()),
            subresource: Some(self.subresource.into()),
            name: Some(self.name.into()),
            ..ResourceAttributes::default()
        }
    }
}

/// Returns which of `verbs` the user may not do to the subresource of pods of this name. All are asked for at once.
pub(crate) async fn missing(
    client: &Client,
    namespace: &str,
    verbs: Vec<&'static str>,
    subresource: &str,
    name: &str,
) -> Result<Vec<&'static str>, ReviewError> {
    let ask = |verb| Review { verb, resource: "pods", subresource, name }.ask(client, namespace);
    let held = try_join_all(verbs.iter().copied().map(ask)).await?;
    Ok(verbs.into_iter().zip(held).filter(|(_, held)| !held).map(|(verb, _)| verb).collect())
}
