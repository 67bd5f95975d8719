//! The file: what lies where in it, and the three calls it has. Locks, checksums, syncing and repair are redb's.

use std::fs;
use std::io;
use std::num::NonZero;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;

use candle_core::{Aggregator, Arrival, Config, CoverageRing, SnapshotError, StripeSnapshot, Timestamp};
use redb::backends::FileBackend;
use redb::{AccessGuard, Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition};

use super::trial::{Medium, Trial};
use super::{Fault, StoreError};
use crate::codec::Record;

/// Goes up with each change of the tables below.
const FORMAT: u64 = 1;

/// How a file begins that redb wrote.
const MAGIC: &[u8] = b"redb\x1A\x0A\xA9\x0D\x0A";

/// What redb may cache. All of a file is read once, and what is written is not read again.
const CACHE_BYTES: usize = 64 << 20;

/// How many batches may be decoded before the one that is replayed: one is enough while decoding is the faster.
const DECODED_AHEAD: usize = 1;

/// Numbers: `format`, and `now` in microseconds since the epoch.
const NUMBERS: TableDefinition<'_, &str, i64> = TableDefinition::new("numbers");
/// Texts: the `feed` that was connected last.
const TEXTS: TableDefinition<'_, &str, &str> = TableDefinition::new("texts");
/// Each stripe's latest snapshot, with the number of the last batch that it covers.
const STRIPES: TableDefinition<'_, u32, (u64, &[u8])> = TableDefinition::new("stripes");
/// Which minutes the feed covered, as postcard writes it, at the one key there is.
const COVERAGE: TableDefinition<'_, (), &[u8]> = TableDefinition::new("coverage");
/// Batches that some stripe's snapshot does not cover, by number.
const BATCHES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("batches");

/// An open store file.
#[derive(Debug)]
pub(super) struct File {
    database: Database,
    trial: Trial,
}

/// Coverage as plain numbers.
pub(super) type CoverageParts = (Option<i64>, [u32; 32]);

/// What one transaction keeps.
#[derive(Debug)]
pub(super) struct Commit<'a, P> {
    /// A batch to append, with its number.
    pub(super) batch: Option<(u64, &'a [u8])>,
    /// Snapshots of stripes.
    pub(super) parts: P,
    /// The number of the last batch that they cover.
    pub(super) covered: u64,
    /// The number of the last batch that every stripe's snapshot covers: up to here batches are dropped.
    pub(super) drop_through: u64,
    /// The time on the candles' clock, if it moved.
    pub(super) now: Option<Timestamp>,
    /// The feed that is connected.
    pub(super) feed: Option<&'a str>,
    /// Which minutes the feed covered, as if it went down now.
    pub(super) coverage: CoverageParts,
}

/// What a file held.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) aggregator: Aggregator,
    pub(super) now: Option<Timestamp>,
    pub(super) feed: Option<String>,
    pub(super) coverage: CoverageRing,
    /// The position of the next write.
    pub(super) next_lsn: u64,
    /// By stripe: the number of the last batch that its snapshot covers.
    pub(super) covered: Vec<u64>,
    pub(super) last_batch: u64,
    pub(super) batches: u64,
    /// Ticks in these batches.
    pub(super) ticks: u64,
}

/// The medium of an existing file.
pub(super) fn medium(path: &Path) -> Result<Medium, Fault> {
    let mut file = fs::OpenOptions::new().read(true).write(true).open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::Error::from(io::ErrorKind::IsADirectory).into());
    }
    let mut start = Vec::with_capacity(MAGIC.len());
    io::Read::read_to_end(&mut io::Read::take(&mut file, MAGIC.len() as u64), &mut start)?;
    if start != MAGIC {
        return Err(Fault::Foreign);
    }
    Ok(Box::new(FileBackend::new(file)?))
}

/// Makes a store file out of an empty aggregator's settings, unless there is a file already. It is made under another
/// name, so that there is either a whole store or none, whenever we are killed.
pub(super) fn create(path: &Path, config: Config) -> Result<(), StoreError> {
    let making = || -> Result<(), Fault> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".new-{}", std::process::id()));
        let unfinished = path.with_file_name(name);
        let made = make(&unfinished, path, config);
        // Gone already, or of no use to anyone.
        let _ = fs::remove_file(&unfinished);
        made
    };
    making().map_err(|fault| StoreError::new(path, fault))
}

fn make(unfinished: &Path, path: &Path, config: Config) -> Result<(), Fault> {
    let file = fs::OpenOptions::new().read(true).write(true).create_new(true).open(unfinished)?;
    initialise(Box::new(FileBackend::new(file)?), config)?;
    match fs::hard_link(unfinished, path) {
        // Someone else was faster: theirs is as good, and if they use it, opening it says so.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        linked => linked?,
    }
    // A new name survives a loss of power only once its directory is written.
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok(fs::File::open(directory)?.sync_all()?)
}

/// Writes an empty store onto an empty medium.
pub(super) fn initialise(medium: Medium, config: Config) -> Result<(), Fault> {
    let trial = Trial::new(medium);
    trial.go_live()?;
    let database = Database::builder().create_with_backend(trial.clone())?;
    let mut file = File { database, trial };
    let parts = Aggregator::new(config);
    let coverage = CoverageRing::default().to_parts(Timestamp::EPOCH);
    let parts = parts.snapshot();
    file.commit(Commit { batch: None, parts, covered: 0, drop_through: 0, now: None, feed: None, coverage })?;
    file.close()
}

impl File {
    /// Opens a store on trial: until [`go_live`](Self::go_live) nothing is written to it.
    ///
    /// Every page is checked against its checksum.
    pub(super) fn open(medium: Medium) -> Result<Self, Fault> {
        let trial = Trial::new(medium);
        let mut builder = Database::builder();
        builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
        let database = builder.create_with_backend(trial.clone())?;
        let file = Self { database, trial };
        let numbers = file.database.begin_read()?.open_table(NUMBERS)?;
        let format = numbers.get("format")?.ok_or(Fault::Foreign)?.value();
        match u64::try_from(format) {
            Ok(FORMAT) => Ok(file),
            Ok(format) if format > FORMAT => Err(Fault::Newer { format }),
            _ => Err(Fault::Damaged(format!("there is no format {format}"))),
        }
    }

    /// Lets everything through to the file from now on.
    pub(super) fn go_live(&self) -> Result<(), Fault> {
        Ok(self.trial.go_live()?)
    }

    /// The number of the last batch that was ever appended, as far as it matters.
    pub(super) fn last_batch(&self) -> Result<u64, Fault> {
        let reading = self.database.begin_read()?;
        let newest = reading.open_table(BATCHES)?.last()?.map_or(0, |(number, _)| number.value());
        let mut last = newest;
        for stripe in reading.open_table(STRIPES)?.iter()? {
            last = last.max(stripe?.1.value().0);
        }
        Ok(last)
    }

    /// Everything in it: the stripes' snapshots, and on top of them the batches that they do not cover.
    pub(super) fn recover(&self, config: Config) -> Result<Content, Fault> {
        let reading = self.database.begin_read()?;
        let now = reading.open_table(NUMBERS)?.get("now")?.and_then(|now| Timestamp::from_micros(now.value()));
        let feed = reading.open_table(TEXTS)?.get("feed")?.map(|feed| feed.value().to_owned());
        let coverage = match reading.open_table(COVERAGE)?.get(())? {
            Some(bytes) => {
                coverage(bytes.value()).ok_or_else(|| Fault::Damaged("there is no such coverage".to_owned()))?
            }
            None => CoverageRing::default(),
        };
        let stripes = reading.open_table(STRIPES)?;
        let stored = stripes.iter()?.map(|stripe| Ok(stripe?.1)).collect::<Result<Vec<_>, Fault>>()?;
        let covered: Vec<u64> = stored.iter().map(|stripe| stripe.value().0).collect();
        let parts = decode(&stored)?;
        drop(stored);
        let mut lsns: Vec<_> = parts.iter().map(|part| (part.stripe(), part.lsn())).collect();
        let room = config.with_max_instruments(Config::MAX_INSTRUMENTS_LIMIT);
        let mut aggregator = Aggregator::restore(room, parts)?;
        // Each stripe is there once, or it would not have been restored.
        lsns.sort_unstable();
        let lsns: Vec<u64> = lsns.into_iter().map(|(_, lsn)| lsn).collect();
        let mut next_lsn = lsns.iter().max().map_or(1, |lsn| lsn.saturating_add(1));
        let table = reading.open_table(BATCHES)?;
        let logged = table.iter()?.collect::<Result<Vec<_>, _>>()?;
        let newest = logged.last().map_or(0, |(number, _)| number.value());
        let last_batch = newest.max(covered.iter().copied().max().unwrap_or(0));
        let mut ticks = 0;
        std::thread::scope(|scope| -> Result<(), Fault> {
            let (ahead, decoded) = sync_channel(DECODED_AHEAD);
            scope.spawn(|| {
                // A send fails where the replay has: nobody wants the rest.
                let _ = logged.iter().try_for_each(|(_, bytes)| ahead.send(Record::decode(bytes.value())));
                drop(ahead);
            });
            for blob in decoded {
                let blob = blob?;
                aggregator.reconfigure(room.with_rules(blob.rules()));
                let replayed = blob.replay(&aggregator, &lsns, blob.first_lsn(), Arrival::START, |_| {})?;
                next_lsn = next_lsn.max(replayed.next_lsn);
                ticks += blob.ticks() as u64;
            }
            Ok(())
        })?;
        aggregator.reconfigure(config);
        aggregator.forget_arrivals();
        let batches = table.len()?;
        Ok(Content { aggregator, now, feed, coverage, next_lsn, covered, last_batch, batches, ticks })
    }

    /// Keeps all that or nothing, and returns once it is safe; how many bytes it was.
    pub(super) fn commit(&mut self, commit: Commit<'_, impl Iterator<Item = StripeSnapshot>>) -> Result<u64, Fault> {
        let mut bytes = 0;
        // Durable when the commit returns, unless told otherwise.
        let writing = self.database.begin_write()?;
        {
            let mut numbers = writing.open_table(NUMBERS)?;
            numbers.insert("format", FORMAT.cast_signed())?;
            if let Some(now) = commit.now {
                numbers.insert("now", now.as_micros())?;
            }
            let mut texts = writing.open_table(TEXTS)?;
            if let Some(feed) = commit.feed {
                texts.insert("feed", feed)?;
            }
            // Plain numbers always serialise.
            let coverage = postcard::to_allocvec(&commit.coverage).unwrap_or_default();
            writing.open_table(COVERAGE)?.insert((), coverage.as_slice())?;
            let mut stripes = writing.open_table(STRIPES)?;
            for part in commit.parts {
                let encoded = part.encode();
                bytes += encoded.len() as u64;
                stripes.insert(part.stripe(), (commit.covered, encoded.as_slice()))?;
            }
            let mut batches = writing.open_table(BATCHES)?;
            batches.retain_in(..=commit.drop_through, |_, _| false)?;
            if let Some((number, batch)) = commit.batch {
                bytes += batch.len() as u64;
                batches.insert(number, batch)?;
            }
        }
        writing.commit()?;
        Ok(bytes)
    }

    /// Closes it, so that the next one to open it has nothing to repair.
    pub(super) fn close(self) -> Result<(), Fault> {
        Ok(self.database.close()?)
    }
}

/// The snapshots as they were taken; on every core, for a file is mostly these.
fn decode(stored: &[AccessGuard<'_, (u64, &'static [u8])>]) -> Result<Vec<StripeSnapshot>, Fault> {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let share = stored.len().div_ceil(cores).max(1);
    let decode = |stripe: &AccessGuard<'_, (u64, &'static [u8])>| StripeSnapshot::decode(stripe.value().1);
    std::thread::scope(|scope| {
        let shares: Vec<_> =
            stored.chunks(share).map(|share| scope.spawn(move || share.iter().map(decode).collect())).collect();
        let mut parts = Vec::with_capacity(stored.len());
        for share in shares {
            let share: Result<Vec<_>, SnapshotError> = share.join().unwrap_or_else(|panic| resume_unwind(panic));
            parts.append(&mut share?);
        }
        Ok(parts)
    })
}

fn coverage(bytes: &[u8]) -> Option<CoverageRing> {
    let (last, up_micros): CoverageParts = postcard::from_bytes(bytes).ok()?;
    CoverageRing::from_parts(last, up_micros)
}

/// Which file it is, and how to get at it: tests put other media in its place.
pub(super) struct Place {
    pub(super) path: PathBuf,
    pub(super) medium: Opening,
}

/// How to get at the medium of a path.
pub(super) type Opening = Box<dyn Fn(&Path) -> Result<Medium, Fault> + Send>;

impl Place {
    pub(super) fn of(path: &Path) -> Self {
        Self { path: path.to_owned(), medium: Box::new(medium) }
    }

    pub(super) fn open(&self) -> Result<File, Fault> {
        File::open((self.medium)(&self.path)?)
    }
}
