//! Where a log is: the texts of `--publish` and `--feed nats://`.

use std::fmt;
use std::str::FromStr;

use async_nats::ServerAddr;

/// The longest name of a log: streams have a few letters more.
const MAX_NAME_BYTES: usize = 64;

/// The servers of a cluster and the name of a log there: `nats://[USER:PASSWORD@]HOST[:PORT][,HOST[:PORT]]/NAME`, or the
/// same with `tls://`.
///
/// `Display` and `Debug` leave out user info.
///
/// ```
/// use candle_server::nats::LogUrl;
///
/// let log: LogUrl = "nats://user:secret@a:4222,b/QUOTES".parse().unwrap();
/// assert_eq!(log.to_string(), "nats://a:4222,b:4222/QUOTES");
/// assert!("nats://a:4222".parse::<LogUrl>().is_err());
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct LogUrl {
    servers: Vec<ServerAddr>,
    name: String,
}

impl LogUrl {
    /// Any of the cluster's servers, secrets included: for the handshake and nothing else.
    pub(super) fn servers(&self) -> &[ServerAddr] {
        &self.servers
    }

    /// The name of the log.
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
            let user = if user.is_empty() { String::new() } else { format!("{user}@") };
            let server: ServerAddr = format!("{scheme}://{user}{host}").parse().map_err(|_| LogUrlError)?;
            if host.is_empty() || server.host().is_empty() { Err(LogUrlError) } else { Ok(server) }
        };
        let servers = hosts.split(',').map(server).collect::<Result<_, _>>()?;
        Ok(Self { servers, name: name.to_owned() })
    }
}

impl fmt::Display for LogUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, server) in self.servers.iter().enumerate() {
            match place {
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

/// A text that names no log. Its line never repeats what was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogUrlError;

impl fmt::Display for LogUrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a log is nats://HOST[:PORT][,HOST[:PORT]]/NAME or the same with tls://, NAME of letters, digits, _ and -",
        )
    }
}

impl std::error::Error for LogUrlError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_has_servers_and_a_name() {
        for wrong in [
            "nats:",
            "nats://a",
            "nats://a/",
            "nats:///X",
            "nats://a,,b/X",
            "nats://a/X.Y",
            "http://a/X",
            "nats://a:x/X",
        ] {
            assert_eq!(wrong.parse::<LogUrl>(), Err(LogUrlError), "{wrong}");
        }
    }

    #[test]
    fn its_secrets_are_shown_to_nobody_and_sent_to_all_servers() {
        let log: LogUrl = "tls://me:secret@a,b:1/X".parse().unwrap();
        assert!(log.servers().iter().all(|server| server.password() == Some("secret")));
        assert_eq!(format!("{log} {log:?}"), "tls://a:4222,b:1/X LogUrl(tls://a:4222,b:1/X)");
    }
}
