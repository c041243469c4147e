//! What the user may do, by the API server's own word.

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::{Api, Client, api::PostParams};

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
    pub(crate) async fn ask(self, client: &Client, namespace: &str) -> kube::Result<bool> {
        let attributes = ResourceAttributes {
            namespace: Some(namespace.into()),
            verb: Some(self.verb.into()),
            resource: Some(self.resource.into()),
            subresource: Some(self.subresource.into()),
            name: Some(self.name.into()),
            ..ResourceAttributes::default()
        };
        let spec = SelfSubjectAccessReviewSpec {
            resource_attributes: Some(attributes),
            ..SelfSubjectAccessReviewSpec::default()
        };
        let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
        let reviews: Api<SelfSubjectAccessReview> = Api::all(client.clone());
        let review = reviews.create(&PostParams::default(), &review).await?;
        Ok(review.status.is_some_and(|status| status.allowed))
    }
}
