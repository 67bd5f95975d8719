//! The store file: its tables, and the transactions that write these tables.
//!
//! The library redb locks, checks, syncs and repairs the file. A batch is covered by a stripe's snapshot if the
//! snapshot contains all of its writes. Coverage of a feed is the part of each minute for which the feed was up.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use candle_core::{Aggregator, Config, CoverageRing, StripeSnapshot, Timestamp};
use redb::backends::FileBackend;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

use crate::error::{StoreError, StoreErrorKind};
use crate::overlay::{Backend, WriteOverlay};

/// The version of the tables below. Every change of a table increases this number.
const FORMAT: u64 = 1;

/// The first bytes of every redb file.
const MAGIC: &[u8] = b"redb\x1A\x0A\xA9\x0D\x0A";

/// The size of redb's page cache, in bytes: 64 MiB.
///
/// A file is read once from start to end, and written pages are not read again. So a larger cache would not help.
const CACHE_BYTES: usize = 64 << 20;

/// The table of numbers by name: `format`, and `now` in microseconds since the epoch.
pub(crate) const NUMBERS: TableDefinition<'_, &str, i64> = TableDefinition::new("numbers");
/// The table of texts by name: `feed` is the name of the feed that was connected last.
pub(crate) const TEXTS: TableDefinition<'_, &str, &str> = TableDefinition::new("texts");
/// The table of the latest snapshot of each stripe, with the number of the last batch that the snapshot covers.
pub(crate) const STRIPES: TableDefinition<'_, u32, (u64, &[u8])> = TableDefinition::new("stripes");
/// The table of the feed's coverage by minute. It has a single key, and its value is encoded with postcard.
pub(crate) const COVERAGE: TableDefinition<'_, (), &[u8]> = TableDefinition::new("coverage");
/// The table of batches by batch number. It contains each batch that at least one stripe's snapshot does not cover.
pub(crate) const BATCHES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("batches");

/// An open store file.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) database: Database,
    overlay: WriteOverlay,
}

/// A [`CoverageRing`] as plain numbers.
pub(crate) type CoverageParts = (Option<i64>, [u32; 32]);

/// The content of one transaction.
#[derive(Debug)]
pub(crate) struct Commit<'a, S> {
    /// The batch to append, with its number; `None` without writes.
    pub(crate) batch: Option<(u64, &'a [u8])>,
    /// The stripe snapshots to write.
    pub(crate) snapshots: S,
    /// The number of the last batch that these snapshots cover.
    pub(crate) covered: u64,
    /// The number of the last batch that every stripe's snapshot covers. Batches up to this number are deleted.
    pub(crate) delete_through: u64,
    /// The time on the candles' clock; `None` if this time has not changed.
    pub(crate) now: Option<Timestamp>,
    /// The name of the feed that was connected last, if any.
    pub(crate) feed: Option<&'a str>,
    /// The feed's coverage by minute, up to now.
    pub(crate) coverage: CoverageParts,
}

/// Opens the backend of an existing file, and checks that the file is a redb file.
pub(crate) fn file_backend(path: &Path) -> Result<Backend, StoreErrorKind> {
    let mut file = fs::OpenOptions::new().read(true).write(true).open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::Error::from(io::ErrorKind::IsADirectory).into());
    }
    let mut start = Vec::with_capacity(MAGIC.len());
    io::Read::read_to_end(&mut io::Read::take(&mut file, MAGIC.len() as u64), &mut start)?;
    if start != MAGIC {
        return Err(StoreErrorKind::NotAStore);
    }
    Ok(Box::new(FileBackend::new(file)?))
}

/// Creates an empty store file, unless the file exists.
///
/// The file is written under a temporary name and then linked to its path. So a crash leaves either a complete store or
/// no store.
pub(crate) fn create(path: &Path, config: Config) -> Result<(), StoreError> {
    let create = || -> Result<(), StoreErrorKind> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".new-{}", std::process::id()));
        let temporary = path.with_file_name(name);
        let created = write_and_link(&temporary, path, config);
        // The removal fails if the file was not created. `created` contains that error.
        let _ = fs::remove_file(&temporary);
        created
    };
    create().map_err(|kind| StoreError::new(path, kind))
}

fn write_and_link(temporary: &Path, path: &Path, config: Config) -> Result<(), StoreErrorKind> {
    let file = fs::OpenOptions::new().read(true).write(true).create_new(true).open(temporary)?;
    initialise(Box::new(FileBackend::new(file)?), config)?;
    match fs::hard_link(temporary, path) {
        // Another process has created the store since. If that process uses the store, opening the store fails.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        linked => linked?,
    }
    // A new file name survives a loss of power only after the directory is synced.
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok(fs::File::open(directory)?.sync_all()?)
}

/// Writes the tables of an empty store to an empty backend.
pub(crate) fn initialise(backend: Backend, config: Config) -> Result<(), StoreErrorKind> {
    let overlay = WriteOverlay::new(backend);
    overlay.enable_writes()?;
    let database = Database::builder().create_with_backend(overlay.clone())?;
    let mut file = File { database, overlay };
    let aggregator = Aggregator::new(config);
    let snapshots = aggregator.snapshot();
    let coverage = CoverageRing::default().to_parts(Timestamp::EPOCH);
    file.commit(Commit { batch: None, snapshots, covered: 0, delete_through: 0, now: None, feed: None, coverage })?;
    file.close()
}

impl File {
    /// Opens a store and verifies the checksum of every page.
    ///
    /// Nothing is written to `backend` before [`enable_writes`](Self::enable_writes) is called.
    pub(crate) fn open(backend: Backend) -> Result<Self, StoreErrorKind> {
        let overlay = WriteOverlay::new(backend);
        let mut builder = Database::builder();
        builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
        let database = builder.create_with_backend(overlay.clone())?;
        let file = Self { database, overlay };
        let numbers = file.database.begin_read()?.open_table(NUMBERS)?;
        let format = numbers.get("format")?.ok_or(StoreErrorKind::NotAStore)?.value();
        match u64::try_from(format) {
            Ok(FORMAT) => Ok(file),
            Ok(format) if format > FORMAT => Err(StoreErrorKind::Newer { format }),
            _ => Err(StoreErrorKind::Damaged(format!("its format is {format}, the lowest is 1"))),
        }
    }

    /// Writes the buffered changes to the backend. Later changes are written immediately.
    pub(crate) fn enable_writes(&self) -> Result<(), StoreErrorKind> {
        Ok(self.overlay.enable_writes()?)
    }

    /// Returns the highest batch number that is stored or covered by a snapshot.
    pub(crate) fn last_batch(&self) -> Result<u64, StoreErrorKind> {
        let transaction = self.database.begin_read()?;
        let mut last = transaction.open_table(BATCHES)?.last()?.map_or(0, |(number, _)| number.value());
        for stripe in transaction.open_table(STRIPES)?.iter()? {
            last = last.max(stripe?.1.value().0);
        }
        Ok(last)
    }

    /// Writes `commit` in one transaction, and returns the number of written bytes. On return, they survive a loss of
    /// power.
    pub(crate) fn commit(
        &mut self,
        commit: Commit<'_, impl Iterator<Item = StripeSnapshot>>,
    ) -> Result<u64, StoreErrorKind> {
        let mut bytes = 0;
        // With redb's default durability, the commit below returns after the sync.
        let transaction = self.database.begin_write()?;
        {
            let mut numbers = transaction.open_table(NUMBERS)?;
            numbers.insert("format", FORMAT.cast_signed())?;
            if let Some(now) = commit.now {
                numbers.insert("now", now.as_micros())?;
            }
            let mut texts = transaction.open_table(TEXTS)?;
            if let Some(feed) = commit.feed {
                texts.insert("feed", feed)?;
            }
            // Encoding plain numbers can't fail.
            let coverage = postcard::to_allocvec(&commit.coverage).unwrap_or_default();
            transaction.open_table(COVERAGE)?.insert((), coverage.as_slice())?;
            let mut stripes = transaction.open_table(STRIPES)?;
            for snapshot in commit.snapshots {
                let encoded = snapshot.encode();
                bytes += encoded.len() as u64;
                stripes.insert(snapshot.stripe(), (commit.covered, encoded.as_slice()))?;
            }
            let mut batches = transaction.open_table(BATCHES)?;
            batches.retain_in(..=commit.delete_through, |_, _| false)?;
            if let Some((number, batch)) = commit.batch {
                bytes += batch.len() as u64;
                batches.insert(number, batch)?;
            }
        }
        transaction.commit()?;
        Ok(bytes)
    }

    /// Closes the file cleanly, so that the next process need not repair the file.
    pub(crate) fn close(self) -> Result<(), StoreErrorKind> {
        Ok(self.database.close()?)
    }
}

/// The path of a store file, with the function that opens its backend. Tests replace the function.
pub(crate) struct Location {
    pub(crate) path: PathBuf,
    pub(crate) open_backend: OpenBackend,
}

/// A function that opens the backend at a path.
pub(crate) type OpenBackend = Box<dyn Fn(&Path) -> Result<Backend, StoreErrorKind> + Send>;

impl Location {
    /// Returns the location of a file in the file system.
    pub(crate) fn of(path: &Path) -> Self {
        Self { path: path.to_owned(), open_backend: Box::new(file_backend) }
    }

    pub(crate) fn open(&self) -> Result<File, StoreErrorKind> {
        File::open((self.open_backend)(&self.path)?)
    }
}
