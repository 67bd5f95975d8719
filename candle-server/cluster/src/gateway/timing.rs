//! The intervals and timeouts of a gateway.

use std::time::Duration;

/// The interval at which recorded writes are published: twenty messages a second, faster than a person can see.
pub(super) const SEND_INTERVAL: Duration = Duration::from_millis(50);

/// The interval of messages without writes.
pub(super) const HEARTBEAT: Duration = Duration::from_millis(200);

/// The time without a message of the leader after which a standby claims the lease: 25 heartbeats.
///
/// A broker that elects a leader stores no message for 4 to 7 s. Then both gateways claim the lease, and either can
/// get it.
pub(super) const LEASE_TIMEOUT: Duration = Duration::from_secs(5);

/// The time for which the leader must report that its feed is down before a standby with a feed claims the lease. When
/// a market goes silent, one gateway notices a little before the other, and no failover is needed.
pub(super) const FEED_DOWN_TIMEOUT: Duration = Duration::from_secs(2);

/// The time before the last message of the log from which a standby keeps writes. It covers the difference between the
/// clocks of two gateways, and quotes that the leader missed before it noticed that its feed was down.
pub(super) const BUFFER_DURATION: Duration = Duration::from_secs(30);

/// A time that is surely longer than the difference between the clocks of two gateways. A standby that runs out of
/// memory drops writes that are older than the last message of the log by more than this.
pub(super) const MAX_CLOCK_DIFFERENCE: Duration = Duration::from_secs(2);

/// The longest time in which remaining writes are published and the lease is released.
pub(super) const RELEASE_TIMEOUT: Duration = Duration::from_secs(3);
