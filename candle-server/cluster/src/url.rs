//! Parses the address of a log, for the options `--publish` and `--feed nats://`.

use std::fmt;
use std::str::FromStr;

use async_nats::ServerAddr;
use percent_encoding::percent_decode_str;

/// The longest name of a log, in bytes. The names of its streams are a few letters longer.
const MAX_NAME_BYTES: usize = 64;

/// The address of a log: the servers of the broker and the name of the log.
///
/// The format is `nats://[USER:PASSWORD@]HOST[:PORT][,HOST[:PORT]]/NAME`, or `tls://` instead of `nats://`. `Display`
/// and `Debug` do not show the user info.
///
/// ```
/// use candle_cluster::LogUrl;
///
/// let log: LogUrl = "nats://user:secret@a:4222,b/QUOTES".parse().unwrap();
/// assert_eq!(log.to_string(), "nats://a:4222,b:4222/QUOTES");
/// assert!("nats://a:4222".parse::<LogUrl>().is_err());
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct LogUrl {
    /// The servers, without user info because the NATS client logs them.
    servers: Vec<ServerAddr>,
    user_info: Option<UserInfo>,
    name: String,
}

/// The user info of an address. The type has no `Debug`, so that no log line can contain the user info.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum UserInfo {
    Password { user: String, password: String },
    Token(String),
}

impl UserInfo {
    /// Parses the text before the `@` of an address. Returns `None` if the text is empty.
    fn of(text: &str) -> Option<Self> {
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        match text.split_once(':') {
            _ if text.is_empty() => None,
            Some((user, password)) => Some(Self::Password { user: decoded(user), password: decoded(password) }),
            None => Some(Self::Token(decoded(text))),
        }
    }
}

impl LogUrl {
    /// Returns the servers of the broker.
    pub(crate) fn servers(&self) -> &[ServerAddr] {
        &self.servers
    }

    /// Returns true if the client must use TLS for every server, including servers that another server announces.
    pub(crate) fn is_secured(&self) -> bool {
        self.servers.iter().any(ServerAddr::tls_required)
    }

    /// Returns the user info, which is used for all servers.
    pub(crate) const fn user_info(&self) -> Option<&UserInfo> {
        self.user_info.as_ref()
    }

    /// Returns the name of the log.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl FromStr for LogUrl {
    type Err = LogUrlError;

    fn from_str(text: &str) -> Result<Self, LogUrlError> {
        let (scheme, rest) = text.split_once("://").ok_or(LogUrlError)?;
        let (authority, name) = rest.split_once('/').ok_or(LogUrlError)?;
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if !matches!(scheme, "nats" | "tls")
            || !name.bytes().all(is_name)
            || !(1..=MAX_NAME_BYTES).contains(&name.len())
        {
            return Err(LogUrlError);
        }
        let (user, hosts) = authority.rsplit_once('@').map_or(("", authority), |(user, hosts)| (user, hosts));
        let server = |host: &str| {
            let server: ServerAddr = format!("{scheme}://{host}").parse().map_err(|_| LogUrlError)?;
            // A query is rejected: no server needs one, and it could contain a secret that the client would log.
            let is_server = !host.contains(['?', '#']) && !server.host().is_empty();
            if is_server { Ok(server) } else { Err(LogUrlError) }
        };
        let servers = hosts.split(',').map(server).collect::<Result<_, _>>()?;
        Ok(Self { servers, user_info: UserInfo::of(user), name: name.to_owned() })
    }
}

impl fmt::Display for LogUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, server) in self.servers.iter().enumerate() {
            match index {
                0 => write!(f, "{}://", server.scheme())?,
                _ => f.write_str(",")?,
            }
            write!(f, "{}:{}", server.host(), server.port())?;
        }
        write!(f, "/{}", self.name)
    }
}

impl fmt::Debug for LogUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogUrl({self})")
    }
}

/// The error for a text that is not the address of a log. The error does not contain the text, which may have a
/// password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogUrlError;

impl fmt::Display for LogUrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "expected nats://HOST[:PORT][,HOST[:PORT]]/NAME or tls://HOST[:PORT][,HOST[:PORT]]/NAME, with a NAME of letters, \
             digits, _ and -",
        )
    }
}

impl std::error::Error for LogUrlError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_servers_and_a_name() {
        for wrong in [
            "nats:",
            "nats://a",
            "nats://a/",
            "nats:///X",
            "nats://a,,b/X",
            "nats://a/X.Y",
            "http://a/X",
            "nats://a:x/X",
            "nats://a?token=secret/X",
        ] {
            assert_eq!(wrong.parse::<LogUrl>(), Err(LogUrlError), "{wrong}");
        }
    }

    #[test]
    fn user_info_is_kept_for_the_handshake_and_never_shown() {
        let log: LogUrl = "tls://me:a%2Fsecret@a,b:1/X".parse().unwrap();
        let user_info = |log: &LogUrl| match log.user_info() {
            Some(UserInfo::Password { user, password }) => format!("{user}:{password}"),
            Some(UserInfo::Token(token)) => token.clone(),
            None => "nobody".to_owned(),
        };
        assert_eq!(user_info(&log), "me:a/secret");
        assert_eq!(user_info(&"nats://token@a/X".parse().unwrap()), "token");
        assert_eq!(user_info(&"nats://a/X".parse().unwrap()), "nobody");
        assert_eq!(format!("{log} {log:?}"), "tls://a:4222,b:1/X LogUrl(tls://a:4222,b:1/X)");
        // The NATS client logs the servers.
        let without: LogUrl = "tls://a,b:1/X".parse().unwrap();
        assert_eq!(log.servers(), without.servers());
    }
}
