//! How the streams of a log must be set.

use std::time::Duration;

use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};

/// How long ticks stay: the window of 30 minutes, and one for whoever starts meanwhile.
const MAX_AGE: Duration = Duration::from_mins(31);

/// For how long the broker knows a message again by its id: while it keeps the message, which is the most it can be asked
/// for. A node tells views again without asking first, however long it or its link stood still meanwhile. A broker that
/// starts reads the messages of this time for their ids: 3.5 GB took it 1 s.
const DUPLICATE_WINDOW: Duration = MAX_AGE;

/// The same for snapshots: nobody sends one again for longer than a round.
const SNAPSHOT_DUPLICATE_WINDOW: Duration = Duration::from_mins(2);

/// How the streams are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keeping {
    /// Copies of each stream.
    pub replicas: usize,
    /// The most bytes of ticks.
    pub max_bytes: u64,
}

/// What both streams have in common.
fn stream(name: String, subjects: Vec<String>, keeping: &Keeping) -> Config {
    Config {
        name,
        subjects,
        storage: StorageType::File,
        num_replicas: keeping.replicas,
        discard: DiscardPolicy::Old,
        retention: RetentionPolicy::Limits,
        allow_direct: true,
        ..Config::default()
    }
}

/// The settings of a stream of writes and views.
pub(super) fn of_the_log(name: String, subjects: Vec<String>, keeping: &Keeping) -> Config {
    Config {
        max_age: MAX_AGE,
        max_bytes: keeping.max_bytes.try_into().unwrap_or(i64::MAX),
        duplicate_window: DUPLICATE_WINDOW,
        ..stream(name, subjects, keeping)
    }
}

/// The settings of a stream of snapshots.
pub(super) fn of_checkpoints(name: String, subjects: Vec<String>, keeping: &Keeping) -> Config {
    Config {
        max_messages_per_subject: 1,
        duplicate_window: SNAPSHOT_DUPLICATE_WINDOW,
        ..stream(name, subjects, keeping)
    }
}

/// What of a stream's settings is not as it must be, in one line.
pub(super) fn differences(wanted: &Config, found: &Config) -> Result<(), String> {
    let settings = [
        ("subjects", format!("{:?}", wanted.subjects), format!("{:?}", found.subjects)),
        ("storage", format!("{:?}", wanted.storage), format!("{:?}", found.storage)),
        ("retention", format!("{:?}", wanted.retention), format!("{:?}", found.retention)),
        ("discard", format!("{:?}", wanted.discard), format!("{:?}", found.discard)),
        ("replicas", wanted.num_replicas.to_string(), found.num_replicas.to_string()),
        ("max age", format!("{:?}", wanted.max_age), format!("{:?}", found.max_age)),
        ("duplicate window", format!("{:?}", wanted.duplicate_window), format!("{:?}", found.duplicate_window)),
        ("max bytes", bound(wanted.max_bytes), bound(found.max_bytes)),
        ("max messages", bound(wanted.max_messages), bound(found.max_messages)),
        ("max message size", bound(wanted.max_message_size.into()), bound(found.max_message_size.into())),
        ("no ack", wanted.no_ack.to_string(), found.no_ack.to_string()),
        ("max messages per subject", bound(wanted.max_messages_per_subject), bound(found.max_messages_per_subject)),
    ];
    let different: Vec<String> = settings
        .into_iter()
        .filter(|(_, wanted, found)| wanted != found)
        .map(|(name, wanted, found)| format!("{name} {found} and not {wanted}"))
        .collect();
    if different.is_empty() { Ok(()) } else { Err(format!("the stream {} has {}", found.name, different.join(", "))) }
}

/// A bound as the broker tells it: none is 0, or -1.
fn bound(most: i64) -> String {
    if most <= 0 { "without bound".to_owned() } else { most.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_is_set_otherwise_is_one_clear_line() {
        let keeping = Keeping { replicas: 3, max_bytes: 1 };
        let wanted = of_the_log("X".to_owned(), vec!["X.writes".to_owned()], &keeping);
        assert_eq!(differences(&wanted, &Config { max_messages: -1, ..wanted.clone() }), Ok(()));
        let found = Config { num_replicas: 1, max_age: Duration::ZERO, ..wanted.clone() };
        let line = "the stream X has replicas 1 and not 3, max age 0ns and not 1860s";
        assert_eq!(differences(&wanted, &found), Err(line.to_owned()));
        assert_eq!(differences(&wanted, &Config { max_message_size: -1, ..wanted.clone() }), Ok(()));
        for found in [Config { max_message_size: 9999, ..wanted.clone() }, Config { no_ack: true, ..wanted.clone() }] {
            assert!(differences(&wanted, &found).is_err());
        }
    }

    #[test]
    fn a_message_is_known_again_for_as_long_as_it_is_kept() {
        let wanted = of_the_log("X".to_owned(), Vec::new(), &Keeping { replicas: 1, max_bytes: 1 });
        assert_eq!(wanted.duplicate_window, wanted.max_age);
        let found = Config { duplicate_window: Duration::from_mins(2), ..wanted.clone() };
        let line = "the stream X has duplicate window 120s and not 1860s";
        assert_eq!(differences(&wanted, &found), Err(line.to_owned()));
    }

    #[test]
    fn the_settings_of_both_streams_are_fixed() {
        let keeping = Keeping { replicas: 3, max_bytes: 16 << 30 };
        let subjects = vec!["X.writes".to_owned(), "X.views".to_owned()];
        let log = of_the_log("X".to_owned(), subjects, &keeping);
        let settings = r#"{"name":"X","max_bytes":17179869184,"max_msgs":0,"max_msgs_per_subject":0,"discard":"old","subjects":["X.writes","X.views"],"retention":"limits","max_consumers":0,"max_age":1860000000000,"storage":"file","num_replicas":3,"duplicate_window":1860000000000,"allow_direct":true,"consumer_limits":null}"#;
        assert_eq!(serde_json::to_string(&log).unwrap(), settings);
        let subjects = vec!["X.checkpoint.*".to_owned()];
        let checkpoints = of_checkpoints("X_CHECKPOINT".to_owned(), subjects, &keeping);
        let settings = r#"{"name":"X_CHECKPOINT","max_bytes":0,"max_msgs":0,"max_msgs_per_subject":1,"discard":"old","subjects":["X.checkpoint.*"],"retention":"limits","max_consumers":0,"max_age":0,"storage":"file","num_replicas":3,"duplicate_window":120000000000,"allow_direct":true,"consumer_limits":null}"#;
        assert_eq!(serde_json::to_string(&checkpoints).unwrap(), settings);
    }
}
