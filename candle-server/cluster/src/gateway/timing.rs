//! The intervals and timeouts of a gateway.

use std::time::Duration;

/// The interval at which recorded writes are published. People do not notice a delay of 50 ms.
pub(super) const SEND_INTERVAL: Duration = Duration::from_millis(50);

/// The interval at which a leader without writes publishes a heartbeat message.
pub(super) const HEARTBEAT: Duration = Duration::from_millis(200);

/// The time without a message of the leader after which a standby claims the lease: 25 heartbeats.
///
/// Brokers that elect a leader store no message for 4 to 7 s. In that case both gateways may claim the lease, and
/// either gateway can get it.
pub(super) const LEASE_TIMEOUT: Duration = Duration::from_secs(5);

/// The time after which a standby replaces a leader that reports that its feed is down.
///
/// When a market goes silent, one gateway notices the silence slightly before the other. No failover is needed then.
pub(super) const FEED_DOWN_TIMEOUT: Duration = Duration::from_secs(2);

/// The time span before the last message of the log whose writes a standby buffers.
///
/// 30 s are longer than the difference between the clocks of two gateways, and than the time in which a leader notices
/// that its feed is down.
pub(super) const BUFFER_DURATION: Duration = Duration::from_secs(30);

/// The largest assumed difference between the clocks of two gateways.
///
/// If its buffer is full, a standby drops only writes that are older than the last message of the log by more than this
/// time.
pub(super) const MAX_CLOCK_DIFFERENCE: Duration = Duration::from_secs(2);

/// The timeout for publishing the remaining writes and releasing the lease.
pub(super) const RELEASE_TIMEOUT: Duration = Duration::from_secs(3);
