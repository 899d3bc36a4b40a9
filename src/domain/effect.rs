//! Effects on the world outside that may have happened: what may be done about them.

/// What to do when an earlier run may or may not have had the effect. It is the provider's nature, so it stands
/// with the provider's adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// The provider takes an idempotency key: do it again with the same one.
    Key,
    /// The provider names the effect by our own id in what it reports: look at what came, and let later reports
    /// settle what is still unknown. Never repeat it.
    Lookup,
    /// Twice is better than never.
    Resend,
    /// Nothing but a person can tell.
    Hold,
}

impl Policy {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Lookup => "lookup",
            Self::Resend => "resend",
            Self::Hold => "hold",
        }
    }

    /// Whether the effect may be had again without asking anybody.
    pub const fn repeats(self) -> bool {
        matches!(self, Self::Key | Self::Resend)
    }
}
