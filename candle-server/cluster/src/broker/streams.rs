//! The settings of the two streams.

use std::time::Duration;

use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};

/// The age at which the broker deletes a message of the log.
///
/// The age covers the candle window of 30 minutes, plus one minute for nodes that start.
const MAX_AGE: Duration = Duration::from_mins(31);

/// The time for which the broker recognizes a repeated message of the log by its id.
///
/// The broker accepts at most [`MAX_AGE`]. The longest time is used, because a node may repeat a message of views after
/// a long disconnection. A broker that starts reads the ids of all messages of this time, which takes 1 s for 3.5 GB.
const DUPLICATE_WINDOW: Duration = MAX_AGE;

/// The time for which the broker recognizes a repeated snapshot by its id. A snapshot is repeated for at most 1 minute.
const SNAPSHOT_DUPLICATE_WINDOW: Duration = Duration::from_mins(2);

/// The options of streams that a gateway creates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamOptions {
    /// The number of brokers that store a copy of each stream.
    pub replicas: usize,
    /// The maximum size of the log, in bytes.
    pub max_bytes: u64,
}

/// Returns the settings that both streams share.
fn stream(name: String, subjects: Vec<String>, options: &StreamOptions) -> Config {
    Config {
        name,
        subjects,
        storage: StorageType::File,
        num_replicas: options.replicas,
        discard: DiscardPolicy::Old,
        retention: RetentionPolicy::Limits,
        allow_direct: true,
        ..Config::default()
    }
}

/// Returns the settings of the log.
pub(super) fn log_stream(name: String, subjects: Vec<String>, options: &StreamOptions) -> Config {
    Config {
        max_age: MAX_AGE,
        max_bytes: options.max_bytes.try_into().unwrap_or(i64::MAX),
        duplicate_window: DUPLICATE_WINDOW,
        ..stream(name, subjects, options)
    }
}

/// Returns the settings of the checkpoint stream.
pub(super) fn checkpoint_stream(name: String, subjects: Vec<String>, options: &StreamOptions) -> Config {
    Config {
        max_messages_per_subject: 1,
        duplicate_window: SNAPSHOT_DUPLICATE_WINDOW,
        ..stream(name, subjects, options)
    }
}

/// Compares the settings of a stream with the required settings.
///
/// # Errors
/// One line that lists all differences.
pub(super) fn compare(required: &Config, found: &Config) -> Result<(), String> {
    let settings = [
        ("subjects", format!("{:?}", required.subjects), format!("{:?}", found.subjects)),
        ("storage", format!("{:?}", required.storage), format!("{:?}", found.storage)),
        ("retention", format!("{:?}", required.retention), format!("{:?}", found.retention)),
        ("discard", format!("{:?}", required.discard), format!("{:?}", found.discard)),
        ("replicas", required.num_replicas.to_string(), found.num_replicas.to_string()),
        ("max age", format!("{:?}", required.max_age), format!("{:?}", found.max_age)),
        ("duplicate window", format!("{:?}", required.duplicate_window), format!("{:?}", found.duplicate_window)),
        ("max bytes", limit(required.max_bytes), limit(found.max_bytes)),
        ("max messages", limit(required.max_messages), limit(found.max_messages)),
        ("max message size", limit(required.max_message_size.into()), limit(found.max_message_size.into())),
        ("no ack", required.no_ack.to_string(), found.no_ack.to_string()),
        ("max messages per subject", limit(required.max_messages_per_subject), limit(found.max_messages_per_subject)),
    ];
    let differences: Vec<String> = settings
        .into_iter()
        .filter(|(_, required, found)| required != found)
        .map(|(name, required, found)| format!("{name} {found} instead of {required}"))
        .collect();
    if differences.is_empty() {
        return Ok(());
    }
    Err(format!("the stream {} has {}; change its settings or delete it", found.name, differences.join(", ")))
}

/// Returns a limit as text. The values 0 and -1 mean that there is no limit.
fn limit(value: i64) -> String {
    if value <= 0 { "unlimited".to_owned() } else { value.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_settings_of_a_stream_are_reported_in_one_line() {
        let options = StreamOptions { replicas: 3, max_bytes: 1 };
        let required = log_stream("X".to_owned(), vec!["X.writes".to_owned()], &options);
        assert_eq!(compare(&required, &Config { max_messages: -1, ..required.clone() }), Ok(()));
        let found = Config { num_replicas: 1, max_age: Duration::ZERO, ..required.clone() };
        let line =
            "the stream X has replicas 1 instead of 3, max age 0ns instead of 1860s; change its settings or delete it";
        assert_eq!(compare(&required, &found), Err(line.to_owned()));
        assert_eq!(compare(&required, &Config { max_message_size: -1, ..required.clone() }), Ok(()));
        for found in
            [Config { max_message_size: 9999, ..required.clone() }, Config { no_ack: true, ..required.clone() }]
        {
            assert!(compare(&required, &found).is_err());
        }
    }

    #[test]
    fn the_id_of_a_message_is_recognized_as_long_as_the_message_is_stored() {
        let required = log_stream("X".to_owned(), Vec::new(), &StreamOptions { replicas: 1, max_bytes: 1 });
        assert_eq!(required.duplicate_window, required.max_age);
        let found = Config { duplicate_window: Duration::from_mins(2), ..required.clone() };
        let line = "the stream X has duplicate window 120s instead of 1860s; change its settings or delete it";
        assert_eq!(compare(&required, &found), Err(line.to_owned()));
    }

    #[test]
    fn the_settings_of_both_streams_are_fixed() {
        let options = StreamOptions { replicas: 3, max_bytes: 16 << 30 };
        let subjects = vec!["X.writes".to_owned(), "X.views".to_owned()];
        let log = log_stream("X".to_owned(), subjects, &options);
        let settings = r#"{"name":"X","max_bytes":17179869184,"max_msgs":0,"max_msgs_per_subject":0,"discard":"old","subjects":["X.writes","X.views"],"retention":"limits","max_consumers":0,"max_age":1860000000000,"storage":"file","num_replicas":3,"duplicate_window":1860000000000,"allow_direct":true,"consumer_limits":null}"#;
        assert_eq!(serde_json::to_string(&log).unwrap(), settings);
        let subjects = vec!["X.checkpoint.*".to_owned()];
        let checkpoints = checkpoint_stream("X_CHECKPOINT".to_owned(), subjects, &options);
        let settings = r#"{"name":"X_CHECKPOINT","max_bytes":0,"max_msgs":0,"max_msgs_per_subject":1,"discard":"old","subjects":["X.checkpoint.*"],"retention":"limits","max_consumers":0,"max_age":0,"storage":"file","num_replicas":3,"duplicate_window":120000000000,"allow_direct":true,"consumer_limits":null}"#;
        assert_eq!(serde_json::to_string(&checkpoints).unwrap(), settings);
    }
}
