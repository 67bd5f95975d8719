//! Why a store can't be used.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::codec::DecodeError;
use candle_core::SnapshotError;
use redb::{CommitError, DatabaseError, StorageError, TableError, TransactionError};

/// What is wrong with a store file, and which one it is.
///
/// ```
/// let error = candle_server::store::check("Cargo.toml".as_ref()).unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "Cargo.toml is no candle store; name another file, or move it away to start a new store"
/// );
/// ```
#[derive(Debug)]
pub struct StoreError {
    path: PathBuf,
    fault: Fault,
}

/// What is wrong with a store.
#[derive(Debug)]
pub enum Fault {
    /// The file holds something else.
    Foreign,
    /// It was a store once.
    Damaged(String),
    /// It is of a later version of this program.
    Newer {
        /// The version of its format.
        format: u64,
    },
    /// Another process uses it.
    Locked,
    /// The system refuses.
    Io(io::Error),
    /// The store is well; what was to be written elsewhere can't be.
    Output(io::Error),
}

impl StoreError {
    pub(super) fn new(path: &Path, fault: impl Into<Fault>) -> Self {
        Self { path: path.to_owned(), fault: fault.into() }
    }

    /// What is wrong.
    pub const fn fault(&self) -> &Fault {
        &self.fault
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.fault {
            Fault::Foreign => {
                write!(f, "{path} is no candle store; name another file, or move it away to start a new store")
            }
            fault @ Fault::Damaged(_) => {
                write!(
                    f,
                    "the store {path} is damaged ({fault}); put a copy in its place, or move it away to start anew"
                )
            }
            fault @ Fault::Newer { .. } => write!(f, "the store {path} {fault}; use that version or a later one"),
            fault @ Fault::Locked => write!(f, "the store {path} {fault}; stop that one or name another file"),
            fault @ Fault::Io(_) => write!(f, "can't use the store {path}: {fault}"),
            fault @ Fault::Output(_) => write!(f, "can't write what is in the store {path}: {fault}"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign => f.write_str("is no candle store"),
            // Libraries may say more than one line.
            Self::Damaged(what) => f.write_str(&what.replace('\n', " ")),
            Self::Newer { format } => write!(f, "has format {format}, which a later version wrote"),
            Self::Locked => f.write_str("is used by another process"),
            Self::Io(error) | Self::Output(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.fault {
            Fault::Io(error) | Fault::Output(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // Nothing that the system says of a file: only reading what should be there says so.
            io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData => Self::Damaged(error.to_string()),
            _ => Self::Io(error),
        }
    }
}

impl From<StorageError> for Fault {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Io(error) => error.into(),
            other => Self::Damaged(other.to_string()),
        }
    }
}

impl From<DatabaseError> for Fault {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => Self::Locked,
            DatabaseError::Storage(error) => error.into(),
            other => Self::Damaged(other.to_string()),
        }
    }
}

impl From<TableError> for Fault {
    fn from(error: TableError) -> Self {
        match error {
            TableError::Storage(error) => error.into(),
            TableError::TableDoesNotExist(_) => Self::Foreign,
            other => Self::Damaged(other.to_string()),
        }
    }
}

impl From<TransactionError> for Fault {
    fn from(error: TransactionError) -> Self {
        match error {
            TransactionError::Storage(error) => error.into(),
            other => Self::Damaged(other.to_string()),
        }
    }
}

impl From<CommitError> for Fault {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Storage(error) => error.into(),
            other => Self::Damaged(other.to_string()),
        }
    }
}

impl From<DecodeError> for Fault {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::Newer { version } => Self::Newer { format: version.into() },
            DecodeError::Damaged => Self::Damaged(error.to_string()),
        }
    }
}

impl From<SnapshotError> for Fault {
    fn from(error: SnapshotError) -> Self {
        Self::Damaged(error.to_string())
    }
}
