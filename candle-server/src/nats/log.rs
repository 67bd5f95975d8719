//! The log at the broker: its streams, how they must be set, and writing to them.

#[cfg(test)]
pub(super) mod memory;
mod streams;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::jetstream::context::{CreateStreamErrorKind, GetStreamErrorKind, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{Config, Info, LastRawMessageErrorKind};
use async_nats::jetstream::{self, Context};
use async_nats::{Client, ConnectError, ConnectErrorKind, ConnectOptions, Event};
use bytes::Bytes;

pub use streams::Keeping;
use streams::{differences, of_checkpoints, of_the_log};

use super::url::{LogUrl, UserInfo};

/// The oldest servers that are known to keep what is asked of them; older ones leave out silently what they do not know.
const OLDEST_SERVER: (i64, i64) = (2, 12);

/// The shortest `max_payload` of a server that will do: its default. A message of writes is cut at three quarters of it and
/// may go beyond by a run, and snapshots of 200,000 instruments are almost as long.
const SHORTEST_PAYLOAD: usize = 1 << 20;

/// The longest an answer may take: a broker that elects a leader gives none, and the next try finds the new one.
const ANSWER: Duration = Duration::from_secs(2);

/// How often the connection is tried: two unanswered, and another server is turned to.
const PING_EVERY: Duration = Duration::from_secs(2);

/// The broker's error for an expected last sequence that is none, where it does not tell the right one.
const NOT_LAST: u64 = 10164;

/// How to be let in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// A file of credentials, as the broker's tools make it.
    pub credentials: Option<PathBuf>,
    /// Certificates of authorities to trust besides the system's.
    pub authorities: Option<PathBuf>,
    /// What to show to a broker that asks who comes.
    pub identity: Option<Identity>,
}

/// Files by which a server is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its certificate.
    pub certificate: PathBuf,
    /// The certificate's key.
    pub key: PathBuf,
}

/// Why the log can't be used.
#[derive(Debug)]
pub(super) enum LogError {
    /// Nobody answers, for now.
    Away(String),
    /// It will not do, whoever tries again.
    Unfit(String),
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Away(what) | Self::Unfit(what)) = self;
        // Libraries may say more than one line.
        f.write_str(&what.replace('\n', " "))
    }
}

fn away(error: impl fmt::Display) -> LogError {
    LogError::Away(error.to_string())
}

/// Whether the handshake of TLS failed, for which the client has no kind of its own.
fn is_of_tls(error: &ConnectError) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<io::Error>());
    source.is_some_and(|error| error.kind() == io::ErrorKind::InvalidData)
}

/// What was said of a connection since it was last well.
#[derive(Debug, Default)]
struct Said {
    lost: AtomicBool,
    why: AtomicBool,
}

impl Said {
    /// What to say of a connection: that it is lost, why it does not come back, and that it did, each once.
    fn next(&self, event: &Event) -> Option<(tracing::Level, String)> {
        let was_said = |of: &AtomicBool, now| of.swap(now, Ordering::Relaxed);
        match event {
            Event::Disconnected if !was_said(&self.lost, true) => {
                Some((tracing::Level::WARN, "the connection to the broker is lost".to_owned()))
            }
            Event::ServerError(_) | Event::ClientError(_) if !was_said(&self.why, true) => {
                Some((tracing::Level::WARN, format!("the broker can't be used: {event}")))
            }
            Event::Connected if was_said(&self.lost, false) | was_said(&self.why, false) => {
                Some((tracing::Level::INFO, "there is a connection to the broker again".to_owned()))
            }
            _ => None,
        }
    }
}

/// What became of a message that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// It is stored, at this place.
    Stored(u64),
    /// Another message is where it should have been.
    Refused,
    /// That is not known: the same may be sent again.
    Unknown,
}

/// The log, connected.
#[derive(Clone, Debug)]
pub(super) struct Log {
    context: Context,
    client: Client,
    name: String,
    /// What stands for the broker, where a test does.
    #[cfg(test)]
    memory: Option<memory::Memory>,
}

impl Log {
    /// Connects to any of the servers.
    pub(super) async fn connect(url: &LogUrl, access: &Access) -> Result<Self, LogError> {
        let mut options = ConnectOptions::new()
            .name("candle-server")
            // Servers tell of others without a scheme, and the client takes those for `nats://`.
            .require_tls(url.is_secured())
            .ping_interval(PING_EVERY)
            .connection_timeout(ANSWER)
            .request_timeout(Some(ANSWER));
        let (shown, said) = (url.clone(), Arc::new(Said::default()));
        options = options.event_callback(move |event| {
            match said.next(&event) {
                Some((tracing::Level::INFO, line)) => tracing::info!(log = %shown, "{line}"),
                Some((_, line)) => tracing::warn!(log = %shown, "{line}"),
                None => {}
            }
            std::future::ready(())
        });
        options = match url.user_info() {
            Some(UserInfo::Password { user, password }) => options.user_and_password(user.clone(), password.clone()),
            Some(UserInfo::Token(token)) => options.token(token.clone()),
            None => options,
        };
        if let Some(path) = &access.credentials {
            let unreadable = |error| LogError::Unfit(format!("can't read the credentials {}: {error}", path.display()));
            options = options.credentials_file(path).await.map_err(unreadable)?;
        }
        if let Some(path) = &access.authorities {
            options = options.add_root_certificates(path.clone());
        }
        if let Some(Identity { certificate, key }) = &access.identity {
            options = options.add_client_certificate(certificate.clone(), key.clone());
        }
        let client = options.connect(url.servers()).await.map_err(|error| match error.kind() {
            ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => LogError::Unfit(format!(
                "{url} does not let us in: look at user and password in the address, or at --nats-credentials"
            )),
            ConnectErrorKind::Tls => LogError::Unfit(format!(
                "TLS to {url} can't be set up, look at --nats-ca, --nats-certificate and --nats-key: {error}"
            )),
            _ if is_of_tls(&error) => LogError::Unfit(format!(
                "TLS with {url} fails: {error}; --nats-ca names who vouches for it, --nats-certificate what vouches for us"
            )),
            _ => away(error),
        })?;
        if !client.is_server_compatible(OLDEST_SERVER.0, OLDEST_SERVER.1, 0) {
            let (major, minor) = OLDEST_SERVER;
            let version = client.server_info().version;
            return Err(LogError::Unfit(format!(
                "the server at {url} has version {version}; {major}.{minor} or later is needed"
            )));
        }
        let max_payload = client.max_payload();
        if max_payload < SHORTEST_PAYLOAD {
            return Err(LogError::Unfit(format!(
                "the server at {url} has max_payload {max_payload}; {SHORTEST_PAYLOAD} or more is needed"
            )));
        }
        let mut context = jetstream::new(client.clone());
        context.set_timeout(ANSWER);
        Ok(Self {
            context,
            client,
            name: url.name().to_owned(),
            #[cfg(test)]
            memory: None,
        })
    }

    /// A log that a test keeps in memory; its client never finds a broker.
    #[cfg(test)]
    pub(super) async fn in_memory(memory: memory::Memory) -> Self {
        let client = ConnectOptions::new().retry_on_initial_connect().connect("127.0.0.1:9").await.unwrap();
        let context = jetstream::new(client.clone());
        Self { context, client, name: "TEST".to_owned(), memory: Some(memory) }
    }

    pub(super) const fn context(&self) -> &Context {
        &self.context
    }

    /// The name of the stream of writes and views.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The name of the stream of checkpoints.
    pub(super) fn checkpoints(&self) -> String {
        format!("{}_CHECKPOINT", self.name)
    }

    pub(super) fn writes_subject(&self) -> String {
        format!("{}.writes", self.name)
    }

    pub(super) fn views_subject(&self) -> String {
        format!("{}.views", self.name)
    }

    pub(super) fn checkpoint_subject(&self, stripe: u32) -> String {
        format!("{}.checkpoint.{stripe}", self.name)
    }

    /// The longest message that the servers take, in bytes.
    pub(super) fn max_message_bytes(&self) -> usize {
        self.client.max_payload()
    }

    /// What is known of a stream, if there is one of this name.
    pub(super) async fn info(&self, name: &str) -> Result<Option<Info>, LogError> {
        match self.context.get_stream(name).await {
            Ok(stream) => Ok(Some(stream.cached_info().clone())),
            Err(error) => match error.kind() {
                GetStreamErrorKind::JetStream(error) if error.code() == 404 => Ok(None),
                GetStreamErrorKind::JetStream(error) if error.code() == 503 => Err(away(error)),
                GetStreamErrorKind::Request => Err(away(error)),
                _ => Err(LogError::Unfit(format!("the stream {name} can't be used: {error}"))),
            },
        }
    }

    /// Makes the streams, or looks whether those that are there will do.
    pub(super) async fn prepare(&self, keeping: &Keeping) -> Result<(), LogError> {
        let subjects = vec![self.writes_subject(), self.views_subject()];
        let log = of_the_log(self.name.clone(), subjects, keeping);
        let subjects = vec![format!("{}.checkpoint.*", self.name)];
        let checkpoints = of_checkpoints(self.checkpoints(), subjects, keeping);
        self.ensure(log).await?;
        self.ensure(checkpoints).await
    }

    async fn ensure(&self, wanted: Config) -> Result<(), LogError> {
        let found = match self.context.get_stream(&wanted.name).await {
            Ok(stream) => stream.cached_info().config.clone(),
            Err(error) => match error.kind() {
                GetStreamErrorKind::JetStream(error) if error.code() == 404 => {
                    let name = wanted.name.clone();
                    return self.context.create_stream(wanted).await.map(drop).map_err(|error| {
                        let line = format!("the stream {name} can't be made: {error}");
                        if may_pass(&error.kind()) { LogError::Away(line) } else { LogError::Unfit(line) }
                    });
                }
                _ => return Err(away(error)),
            },
        };
        differences(&wanted, &found).map_err(LogError::Unfit)
    }

    /// Sends a message once, to stand right behind the one at `expected` among those of its subject, if that is given.
    /// Of several with the same `id` one is stored.
    pub(super) async fn send(&self, subject: String, id: &str, expected: Option<u64>, bytes: Bytes) -> Sent {
        #[cfg(test)]
        if let Some(memory) = &self.memory {
            return memory.send(subject, id, expected, bytes);
        }
        let mut message = PublishMessage::build().payload(bytes).message_id(id);
        if let Some(expected) = expected {
            message = message.expected_last_subject_sequence(expected);
        }
        let sent = async { self.context.send_publish(subject, message).await?.await };
        match sent.await {
            Ok(ack) => Sent::Stored(ack.sequence),
            Err(error) if matches!(error.kind(), PublishErrorKind::WrongLastSequence) => Sent::Refused,
            Err(error) => {
                let code = std::error::Error::source(&error)
                    .and_then(|source| source.downcast_ref::<jetstream::Error>())
                    .map(|error| error.error_code().0);
                tracing::debug!(?code, "a message was not stored: {error}");
                if code == Some(NOT_LAST) { Sent::Refused } else { Sent::Unknown }
            }
        }
    }

    /// The last message of a gateway, as the stream's leader has it.
    pub(super) async fn last_writes(&self) -> Result<Option<(u64, Bytes)>, LogError> {
        #[cfg(test)]
        if let Some(memory) = &self.memory {
            return memory.last(&self.writes_subject());
        }
        let stream = self.context.get_stream_no_info(self.name()).await.map_err(away)?;
        match stream.get_last_raw_message_by_subject(&self.writes_subject()).await {
            Ok(message) => Ok(Some((message.sequence, message.payload))),
            Err(error) if matches!(error.kind(), LastRawMessageErrorKind::NoMessageFound) => Ok(None),
            Err(error) => Err(away(error)),
        }
    }

    /// Whether there is a connection: without one the client keeps what is said, and says it all once there is one.
    pub(super) fn is_connected(&self) -> bool {
        #[cfg(test)]
        if let Some(memory) = &self.memory {
            return memory.is_connected();
        }
        self.client.connection_state() == async_nats::connection::State::Connected
    }
}

/// Whether a stream that can't be made now may be made later: there may be a leader, or enough servers, by then.
fn may_pass(why: &CreateStreamErrorKind) -> bool {
    match why {
        CreateStreamErrorKind::JetStream(error) => error.code() == 503,
        CreateStreamErrorKind::TimedOut | CreateStreamErrorKind::JetStreamUnavailable => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
