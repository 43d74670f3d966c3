//! What a connection needs to know beside an address.

use std::time::Duration;

use larder_protocol::ProtocolVersion;

/// How to connect, and how long to try.
#[derive(Clone, Debug)]
pub struct Options {
    /// The user for AUTH; `default` if only a password is set.
    pub user: Option<String>,
    /// The password for AUTH.
    pub password: Option<String>,
    /// The protocol to ask for. RESP3 falls back to RESP2 where the server does not know HELLO.
    pub protocol: ProtocolVersion,
    /// The longest wait for a connection.
    pub connect_timeout: Duration,
    /// The longest wait for a reply; `None` for blocking commands. Past it the connection is closed, and the fate of
    /// what it carried is unknown.
    pub reply_timeout: Option<Duration>,
    /// How long [`crate::Client`] and [`crate::ClusterClient`] try again what was refused or could not be sent.
    pub deadline: Duration,
    /// The first wait before something is tried again; it doubles each time.
    pub backoff_min: Duration,
    /// The longest such wait.
    pub backoff_max: Duration,
    /// The topology is not asked for more often than this.
    pub refresh_interval_min: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            user: None,
            password: None,
            protocol: ProtocolVersion::Resp3,
            connect_timeout: Duration::from_secs(5),
            reply_timeout: Some(Duration::from_secs(30)),
            deadline: Duration::from_secs(10),
            backoff_min: Duration::from_millis(5),
            backoff_max: Duration::from_millis(500),
            refresh_interval_min: Duration::from_millis(100),
        }
    }
}
