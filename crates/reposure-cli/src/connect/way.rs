//! The kinds of channels, and which right each of them takes.

use std::fmt;

use clap::ValueEnum;
use reposure_parcel::wire::Right;

/// A way to the surrogate, all of them, or one to the registry itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ChannelChoice {
    /// The first that is open of `proxy`, `port-forward` and `exec`
    #[default]
    Auto,
    /// Requests to the pod's `proxy` subresource
    Proxy,
    /// Streams of the pod's `portforward` subresource
    PortForward,
    /// Processes by the pod's `exec` subresource
    Exec,
    /// The same by `kubectl exec`, for what only kubectl can log in to
    Kubectl,
    /// No surrogate: connections to the registry itself, with credentials of your own
    Direct,
}

impl ChannelChoice {
    /// Returns the ways that it means, in the order in which they are tried; none for those that find theirs by themselves.
    pub(super) const fn ways(self) -> &'static [Way] {
        match self {
            Self::Auto => &Way::ALL,
            Self::Proxy => &[Way::Proxy],
            Self::PortForward => &[Way::PortForward],
            Self::Exec => &[Way::Exec],
            Self::Kubectl | Self::Direct => &[],
        }
    }
}

/// A kind of channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Proxy,
    PortForward,
    Exec,
}

impl Way {
    /// Every way, in the order in which they are tried.
    pub(crate) const ALL: [Self; 3] = [Self::Proxy, Self::PortForward, Self::Exec];

    /// Returns the other ways, those behind this one first.
    pub(super) fn others(self) -> impl Iterator<Item = Self> {
        let round = Self::ALL.into_iter().cycle().skip_while(move |way| *way != self);
        round.skip(1).take(Self::ALL.len() - 1)
    }

    /// Finds a way by its name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|way| way.to_string() == name)
    }

    /// Returns the subresource of pods that it needs a right to.
    pub(crate) const fn subresource(self) -> &'static str {
        match self {
            Self::Proxy => "proxy",
            Self::PortForward => "portforward",
            Self::Exec => "exec",
        }
    }

    /// Returns what the right names of a pod and its port.
    pub(crate) fn object(self, pod: &str, port: u16) -> String {
        match self {
            Self::Proxy => format!("https:{pod}:{port}"),
            Self::PortForward | Self::Exec => pod.into(),
        }
    }

    /// Returns the verbs that it takes to work with the rights of `right`.
    pub(crate) const fn verbs(self, right: Right) -> &'static [&'static str] {
        match (self, right) {
            (Self::Proxy, Right::Pull) => &["get"],
            (Self::Proxy, Right::Push) => &["get", "create", "update"],
            (Self::Proxy, Right::Admin) => &["get", "create", "update", "delete"],
            // A WebSocket is asked for by GET, which newer API servers take for a creation.
            (Self::PortForward | Self::Exec, _) => &["get", "create"],
        }
    }

    /// Tells whether the surrogate asks those who come that way for a token.
    pub(crate) const fn needs_token(self) -> bool {
        !matches!(self, Self::Exec)
    }
}

impl fmt::Display for Way {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Proxy => "proxy",
            Self::PortForward => "port-forward",
            Self::Exec => "exec",
        })
    }
}
