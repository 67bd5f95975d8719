//! The errors of a store.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use candle_core::SnapshotError;
use candle_engine::codec::DecodeError;
use redb::{CommitError, DatabaseError, StorageError, TableError, TransactionError};

/// An error of a store, with the path of its file.
///
/// ```
/// let error = candle_store::check("Cargo.toml".as_ref()).unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "Cargo.toml is not a candle store; give another path, or move the file away to start a new store"
/// );
/// ```
#[derive(Debug)]
pub struct StoreError {
    path: PathBuf,
    kind: StoreErrorKind,
}

/// The reason for a [`StoreError`].
#[derive(Debug)]
pub enum StoreErrorKind {
    /// The file is not a store.
    NotAStore,
    /// The file is a store, but its content cannot be read.
    Damaged(String),
    /// A later version of this program wrote the file.
    Newer {
        /// The version of the file format.
        format: u64,
    },
    /// Another process uses the file.
    Locked,
    /// An operation on the file failed.
    Io(io::Error),
    /// The store was read, but the output could not be written.
    Output(io::Error),
}

impl StoreError {
    pub(crate) fn new(path: &Path, kind: impl Into<StoreErrorKind>) -> Self {
        Self { path: path.to_owned(), kind: kind.into() }
    }

    /// Returns the reason for the error.
    pub const fn kind(&self) -> &StoreErrorKind {
        &self.kind
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, kind } = self;
        let path = path.display();
        match kind {
            StoreErrorKind::NotAStore => {
                write!(f, "{path} {kind}; give another path, or move the file away to start a new store")
            }
            StoreErrorKind::Damaged(_) => write!(
                f,
                "the store {path} is damaged ({kind}); restore a copy, or move the file away to start a new store"
            ),
            StoreErrorKind::Newer { .. } => write!(f, "the store {path} {kind}; use that version or a later one"),
            StoreErrorKind::Locked => write!(f, "the store {path} {kind}; stop that process or give another path"),
            StoreErrorKind::Io(_) => write!(f, "can't use the store {path}: {kind}"),
            StoreErrorKind::Output(_) => write!(f, "can't write the content of the store {path} to the output: {kind}"),
        }
    }
}

impl fmt::Display for StoreErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAStore => f.write_str("is not a candle store"),
            // The message of a library can have several lines, but an error of the server has one line.
            Self::Damaged(what) => f.write_str(&what.replace('\n', " ")),
            Self::Newer { format } => write!(f, "has format {format}, which a later version wrote"),
            Self::Locked => f.write_str("is used by another process"),
            Self::Io(error) | Self::Output(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.kind {
            StoreErrorKind::Io(error) | StoreErrorKind::Output(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for StoreErrorKind {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // The operating system returns neither kind for a file. redb returns these kinds for content that it can't
            // read.
            io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData => Self::Damaged(error.to_string()),
            _ => Self::Io(error),
        }
    }
}

impl From<StorageError> for StoreErrorKind {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Io(error) => error.into(),
            other => Self::Damaged(other.to_string()),
        }
    }
}

impl From<DatabaseError> for StoreErrorKind {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => Self::Locked,
            DatabaseError::Storage(error) => error.into(),
            other => Self::Damaged(other.to_string()),
        }
    }
}

impl From<TableError> for StoreErrorKind {
    fn from(error: TableError) -> Self {
        match error {
            TableError::Storage(error) => error.into(),
            TableError::TableDoesNotExist(_) => Self::NotAStore,
            other => Self::Damaged(other.to_string()),
        }
    }
}

impl From<TransactionError> for StoreErrorKind {
    fn from(error: TransactionError) -> Self {
        match error {
            TransactionError::Storage(error) => error.into(),
            other => Self::Damaged(other.to_string()),
        }
    }
}

impl From<CommitError> for StoreErrorKind {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Storage(error) => error.into(),
            other => Self::Damaged(other.to_string()),
        }
    }
}

impl From<DecodeError> for StoreErrorKind {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::Newer { version } => Self::Newer { format: version.into() },
            DecodeError::Damaged => Self::Damaged(error.to_string()),
        }
    }
}

impl From<SnapshotError> for StoreErrorKind {
    fn from(error: SnapshotError) -> Self {
        Self::Damaged(error.to_string())
    }
}
