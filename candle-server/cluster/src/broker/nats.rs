//! Implements the broker with the NATS JetStream client.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::jetstream::consumer::pull;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy};
use async_nats::jetstream::context::{CreateStreamErrorKind, GetStreamErrorKind, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{Config, Info, LastRawMessageErrorKind};
use async_nats::jetstream::{self, Context};
use async_nats::{Client, ConnectError, ConnectErrorKind, ConnectOptions, Event};
use bytes::Bytes;
use futures_util::StreamExt;

use super::streams::{self, StreamOptions};
use super::{Broker, BrokerError, Consumer, Delivered, PublishResult, StoredMessage, StreamInfo};
use crate::url::{LogUrl, UserInfo};

/// The oldest server version that supports all settings in use. Older servers ignore unknown settings without an error.
const OLDEST_SERVER: (i64, i64) = (2, 12);

/// The lowest `max_payload` of a usable server, in bytes. It is also the default of the server.
///
/// A message of writes has three quarters of this size, and one run of ticks more at most. With 200,000 instruments,
/// the snapshot of a stripe is almost as long as this limit.
const MIN_MAX_PAYLOAD: usize = 1 << 20;

/// The timeout for an answer. While the brokers elect a leader, no answer arrives, and a later attempt reaches the new
/// leader.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);

/// The interval at which the client pings the server. After two unanswered pings, the client connects to another
/// server.
const PING_INTERVAL: Duration = Duration::from_secs(2);

/// The error code for a wrong expected sequence, in an answer that does not contain the right sequence.
const WRONG_LAST_SEQUENCE: u64 = 10164;

/// The most bytes of messages that one pull request fetches.
const PULL_BYTES: usize = 8 << 20;

/// The time after which the broker ends a pull request.
const PULL_EXPIRY: Duration = Duration::from_secs(10);

/// The interval at which the broker sends a heartbeat while it has no message. After two intervals without a heartbeat,
/// the consumer fails.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// The time after which the broker deletes a consumer that no client reads.
const CONSUMER_EXPIRY: Duration = Duration::from_secs(30);

/// The files that a node uses to authenticate to the broker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Authentication {
    /// A `.creds` file, as the NATS tools write it.
    pub credentials: Option<PathBuf>,
    /// The certificates of authorities to trust in addition to those of the system.
    pub authorities: Option<PathBuf>,
    /// The certificate of this server, for brokers that require client certificates.
    pub certificate: Option<ClientCertificate>,
}

/// A client certificate with its private key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The file of the certificate.
    pub certificate: PathBuf,
    /// The file of the private key.
    pub key: PathBuf,
}

/// The servers of a log and the authentication for them. `Display` shows neither user info nor files.
#[derive(Clone, Debug)]
pub(crate) struct NatsAddress {
    pub(crate) url: LogUrl,
    pub(crate) authentication: Authentication,
}

impl fmt::Display for NatsAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.url.fmt(f)
    }
}

impl NatsAddress {
    /// Returns the options for the client.
    async fn options(&self) -> Result<ConnectOptions, BrokerError> {
        let mut options = ConnectOptions::new()
            .name("candle-server")
            // Servers announce other servers without a scheme, and the client reads such an address as `nats://`.
            .require_tls(self.url.is_secured())
            .ping_interval(PING_INTERVAL)
            .connection_timeout(REQUEST_TIMEOUT)
            .request_timeout(Some(REQUEST_TIMEOUT));
        let (url, connection_log) = (self.url.clone(), Arc::new(ConnectionLog::default()));
        options = options.event_callback(move |event| {
            match connection_log.line(&event) {
                Some((tracing::Level::INFO, line)) => tracing::info!(log = %url, "{line}"),
                Some((_, line)) => tracing::warn!(log = %url, "{line}"),
                None => {}
            }
            std::future::ready(())
        });
        options = match self.url.user_info() {
            Some(UserInfo::Password { user, password }) => options.user_and_password(user.clone(), password.clone()),
            Some(UserInfo::Token(token)) => options.token(token.clone()),
            None => options,
        };
        let Authentication { credentials, authorities, certificate } = &self.authentication;
        if let Some(path) = credentials {
            let unreadable = |error| {
                BrokerError::Unusable(format!("can't read the file {} of --nats-credentials: {error}", path.display()))
            };
            options = options.credentials_file(path).await.map_err(unreadable)?;
        }
        if let Some(path) = authorities {
            options = options.add_root_certificates(path.clone());
        }
        if let Some(ClientCertificate { certificate, key }) = certificate {
            options = options.add_client_certificate(certificate.clone(), key.clone());
        }
        Ok(options)
    }

    /// Converts the error of a failed connection attempt. The text names the option to check.
    fn connect_error(&self, error: &ConnectError) -> BrokerError {
        let url = &self.url;
        match error.kind() {
            ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => BrokerError::Unusable(
                format!("{url} rejects the login: check user and password in the address, or --nats-credentials"),
            ),
            ConnectErrorKind::Tls => BrokerError::Unusable(format!(
                "TLS to {url} can't be set up: {error}; check --nats-ca, --nats-certificate and --nats-key"
            )),
            _ if is_handshake_error(error) => BrokerError::Unusable(format!(
                "the TLS handshake with {url} failed: {error}; check --nats-ca (authorities that sign the broker's \
                 certificate) and --nats-certificate (the certificate of this server)"
            )),
            _ => BrokerError::unavailable(error),
        }
    }

    /// Checks the version and the limits of the server that the client is connected to.
    fn check_server(&self, client: &Client) -> Result<(), BrokerError> {
        let (url, (major, minor)) = (&self.url, OLDEST_SERVER);
        if !client.is_server_compatible(major, minor, 0) {
            let version = client.server_info().version;
            return Err(BrokerError::Unusable(format!(
                "the server at {url} has version {version}; {major}.{minor} or later is needed"
            )));
        }
        let max_payload = client.max_payload();
        if max_payload < MIN_MAX_PAYLOAD {
            return Err(BrokerError::Unusable(format!(
                "the server at {url} has max_payload {max_payload}; {MIN_MAX_PAYLOAD} or more is needed"
            )));
        }
        Ok(())
    }
}

/// Returns true if the TLS handshake failed. The client has no error kind for this case.
fn is_handshake_error(error: &ConnectError) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<io::Error>());
    source.is_some_and(|error| error.kind() == io::ErrorKind::InvalidData)
}

/// The events that were logged since the connection was last open.
#[derive(Debug, Default)]
struct ConnectionLog {
    lost: AtomicBool,
    cause: AtomicBool,
}

impl ConnectionLog {
    /// Returns the level and the log line for an event.
    ///
    /// The loss of the connection, the cause and the reconnect are logged once each.
    fn line(&self, event: &Event) -> Option<(tracing::Level, String)> {
        let was_logged = |line: &AtomicBool, now| line.swap(now, Ordering::Relaxed);
        match event {
            Event::Disconnected if !was_logged(&self.lost, true) => {
                Some((tracing::Level::WARN, "the connection to the broker is lost".to_owned()))
            }
            Event::ServerError(_) | Event::ClientError(_) if !was_logged(&self.cause, true) => {
                Some((tracing::Level::WARN, format!("can't connect to the broker: {event}")))
            }
            Event::Connected if was_logged(&self.lost, false) | was_logged(&self.cause, false) => {
                Some((tracing::Level::INFO, "reconnected to the broker".to_owned()))
            }
            _ => None,
        }
    }
}

/// A connection to NATS JetStream.
#[derive(Clone, Debug)]
pub(crate) struct NatsBroker {
    context: Context,
    client: Client,
    log_name: String,
}

impl NatsBroker {
    /// Creates a stream if it does not exist, and compares the settings of an existing stream.
    async fn ensure(&self, required: Config) -> Result<(), BrokerError> {
        let found = match self.context.get_stream(&required.name).await {
            Ok(stream) => stream.cached_info().config.clone(),
            Err(error) => match error.kind() {
                GetStreamErrorKind::JetStream(error) if error.code() == 404 => {
                    let name = required.name.clone();
                    return self.context.create_stream(required).await.map(drop).map_err(|error| {
                        let line = format!("can't create the stream {name}: {error}");
                        if is_temporary(&error.kind()) {
                            BrokerError::Unavailable(line)
                        } else {
                            BrokerError::Unusable(line)
                        }
                    });
                }
                _ => return Err(BrokerError::unavailable(error)),
            },
        };
        streams::compare(&required, &found).map_err(BrokerError::Unusable)
    }
}

impl Broker for NatsBroker {
    type Address = NatsAddress;

    async fn connect(address: &NatsAddress) -> Result<Self, BrokerError> {
        let options = address.options().await?;
        let client = options.connect(address.url.servers()).await.map_err(|error| address.connect_error(&error))?;
        address.check_server(&client)?;
        let mut context = jetstream::new(client.clone());
        context.set_timeout(REQUEST_TIMEOUT);
        Ok(Self { context, client, log_name: address.url.name().to_owned() })
    }

    fn is_connected(&self) -> bool {
        self.client.connection_state() == async_nats::connection::State::Connected
    }

    fn log_name(&self) -> &str {
        &self.log_name
    }

    fn max_message_bytes(&self) -> usize {
        self.client.max_payload()
    }

    async fn prepare(&self, options: &StreamOptions) -> Result<(), BrokerError> {
        let subjects = vec![self.writes_subject(), self.views_subject()];
        let log = streams::log_stream(self.log_name.clone(), subjects, options);
        let subjects = vec![format!("{}.checkpoint.*", self.log_name)];
        let checkpoints = streams::checkpoint_stream(self.checkpoint_stream(), subjects, options);
        self.ensure(log).await?;
        self.ensure(checkpoints).await
    }

    async fn info(&self, stream: &str) -> Result<Option<StreamInfo>, BrokerError> {
        match self.context.get_stream(stream).await {
            Ok(stream) => Ok(Some(stream.cached_info().into())),
            Err(error) => match error.kind() {
                GetStreamErrorKind::JetStream(error) if error.code() == 404 => Ok(None),
                GetStreamErrorKind::JetStream(error) if error.code() == 503 => Err(BrokerError::unavailable(error)),
                GetStreamErrorKind::Request => Err(BrokerError::unavailable(error)),
                _ => Err(BrokerError::Unusable(format!("can't read the state of the stream {stream}: {error}"))),
            },
        }
    }

    async fn publish(&self, subject: String, id: &str, expected: Option<u64>, payload: Bytes) -> PublishResult {
        let mut message = PublishMessage::build().payload(payload).message_id(id);
        if let Some(expected) = expected {
            message = message.expected_last_subject_sequence(expected);
        }
        let acknowledged = async { self.context.send_publish(subject, message).await?.await };
        match acknowledged.await {
            Ok(ack) => PublishResult::Stored(ack.sequence),
            Err(error) if matches!(error.kind(), PublishErrorKind::WrongLastSequence) => PublishResult::Rejected,
            Err(error) => {
                let code = std::error::Error::source(&error)
                    .and_then(|source| source.downcast_ref::<jetstream::Error>())
                    .map(|error| error.error_code().0);
                tracing::debug!(?code, "a message was not stored: {error}");
                if code == Some(WRONG_LAST_SEQUENCE) { PublishResult::Rejected } else { PublishResult::Unknown }
            }
        }
    }

    async fn last_writes(&self) -> Result<Option<(u64, Bytes)>, BrokerError> {
        let stream = self.context.get_stream_no_info(&self.log_name).await.map_err(BrokerError::unavailable)?;
        match stream.get_last_raw_message_by_subject(&self.writes_subject()).await {
            Ok(message) => Ok(Some((message.sequence, message.payload))),
            Err(error) if matches!(error.kind(), LastRawMessageErrorKind::NoMessageFound) => Ok(None),
            Err(error) => Err(BrokerError::unavailable(error)),
        }
    }

    async fn consume(&self, stream: &str, next: u64) -> Result<Consumer, BrokerError> {
        let stream = self.context.get_stream_no_info(stream).await.map_err(BrokerError::unavailable)?;
        let consumer = stream
            .create_consumer(pull::Config {
                deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: next },
                ack_policy: AckPolicy::None,
                memory_storage: true,
                num_replicas: 1,
                inactive_threshold: CONSUMER_EXPIRY,
                ..pull::Config::default()
            })
            .await
            .map_err(BrokerError::unavailable)?;
        let pending = consumer.cached_info().num_pending;
        let messages = consumer
            .stream()
            .max_bytes_per_batch(PULL_BYTES)
            .expires(PULL_EXPIRY)
            .heartbeat(HEARTBEAT)
            .messages()
            .await
            .map_err(BrokerError::unavailable)?;
        let delivered = messages.map(|message| {
            let message = message.map_err(BrokerError::unavailable)?;
            let info = message.info().map_err(BrokerError::unavailable)?;
            let (position, sequence, pending) = (info.consumer_sequence, info.stream_sequence, info.pending);
            let payload = message.message.payload;
            Ok(Delivered { position, message: StoredMessage { sequence, payload, pending } })
        });
        Ok(Consumer { pending, messages: delivered.boxed() })
    }
}

impl From<&Info> for StreamInfo {
    fn from(info: &Info) -> Self {
        Self {
            created: info.created.unix_timestamp_nanos(),
            first_sequence: info.state.first_sequence,
            last_sequence: info.state.last_sequence,
        }
    }
}

/// Returns true if creating the stream can succeed later, when a leader or enough servers are available.
fn is_temporary(cause: &CreateStreamErrorKind) -> bool {
    match cause {
        CreateStreamErrorKind::JetStream(error) => error.code() == 503,
        CreateStreamErrorKind::TimedOut | CreateStreamErrorKind::JetStreamUnavailable => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
