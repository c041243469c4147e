//! The tools that are compared.

/// A way to bring an image into a registry in the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Peer {
    /// Ours.
    Reposure,
    /// Ours, over its channel of that name.
    PortForward,
    /// Ours, over its channel of that name.
    Exec,
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

    /// All of them, with each of our channels.
    pub(crate) const WITH_CHANNELS: [Self; 7] = [
        Self::Reposure,
        Self::PortForward,
        Self::Exec,
        Self::Crane,
        Self::Oras,
        Self::Regctl,
        Self::KubectlCp,
    ];

    /// Those that push images.
    pub(crate) const PUSHING: [Self; 4] = [Self::Reposure, Self::Crane, Self::Oras, Self::Regctl];

    /// Puts peers into the order of a run: nobody is always the first.
    pub(crate) fn in_turn(peers: &[Self], run: usize) -> impl Iterator<Item = Self> {
        peers.iter().copied().cycle().skip(run % peers.len().max(1)).take(peers.len())
    }

    /// Returns the channel that ours takes.
    pub(crate) const fn channel(self) -> &'static str {
        match self {
            Self::PortForward => "port-forward",
            Self::Exec => "exec",
            _ => "auto",
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Reposure => "reposure",
            Self::PortForward => "reposure, port-forward",
            Self::Exec => "reposure, exec",
            Self::Crane => "crane",
            Self::Oras => "oras",
            Self::Regctl => "regctl",
            Self::KubectlCp => "kubectl cp",
        }
    }
}
