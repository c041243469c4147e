//! The tools that are compared.

/// A way to bring an image into a registry in the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Peer {
    /// Ours.
    Reposure,
    /// crane over `kubectl port-forward`.
    Crane,
    /// oras over `kubectl port-forward`.
    Oras,
    /// regctl over `kubectl port-forward`.
    Regctl,
    /// `kubectl cp` of a file of the same size into a pod, which is no push, but what people do.
    KubectlCp,
}

impl Peer {
    pub(crate) const ALL: [Self; 5] =
        [Self::Reposure, Self::Crane, Self::Oras, Self::Regctl, Self::KubectlCp];

    /// Those that push images.
    pub(crate) const PUSHING: [Self; 4] = [Self::Reposure, Self::Crane, Self::Oras, Self::Regctl];

    /// Puts peers into the order of a run: nobody is always the first.
    pub(crate) fn in_turn<const N: usize>(mut peers: [Self; N], run: usize) -> [Self; N] {
        peers.rotate_left(run % N);
        peers
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Reposure => "reposure",
            Self::Crane => "crane",
            Self::Oras => "oras",
            Self::Regctl => "regctl",
            Self::KubectlCp => "kubectl cp",
        }
    }
}
