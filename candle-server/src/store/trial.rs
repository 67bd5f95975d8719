//! Opening a file without touching it: what would be written is held back until the content has proved itself.

use std::fmt::Debug;
use std::io;
use std::ops::Bound;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use redb::{BackendError, StorageBackend};

/// What a database is stored on.
pub(super) type Medium = Box<dyn StorageBackend>;

/// A backend on trial. The database may repair what a crash left, lsn the file as open, and so on: all of it stays in
/// memory, a few pages, until [`go_live`](Self::go_live).
#[derive(Debug)]
pub(super) struct Trial(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    backend: Medium,
    /// What was held back, in order; `None` once live.
    held: Mutex<Option<Vec<Step>>>,
}

#[derive(Debug)]
enum Step {
    Write { offset: u64, data: Vec<u8> },
    SetLen(u64),
    Sync,
}

impl Clone for Trial {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl Trial {
    pub(super) fn new(backend: Medium) -> Self {
        Self(Arc::new(Inner { backend, held: Mutex::new(Some(Vec::new())) }))
    }

    /// Does what was held back, in the same order and with the same syncs between, and everything else at once from now
    /// on.
    pub(super) fn go_live(&self) -> io::Result<()> {
        let mut held = self.held();
        for step in held.take().unwrap_or_default() {
            match step {
                Step::Write { offset, data } => self.0.backend.write(offset, &data)?,
                Step::SetLen(len) => self.0.backend.set_len(len)?,
                Step::Sync => self.0.backend.sync_data()?,
            }
        }
        Ok(())
    }

    fn held(&self) -> MutexGuard<'_, Option<Vec<Step>>> {
        self.0.held.lock()
    }

    /// Holds a step back, or does it if there is nothing to hold back any more.
    fn step(&self, step: impl FnOnce() -> Step, now: impl FnOnce(&Medium) -> io::Result<()>) -> io::Result<()> {
        if let Some(held) = &mut *self.held() {
            held.push(step());
            return Ok(());
        }
        now(&self.0.backend)
    }
}

/// What `steps` make of `out`, which was read from `offset` of a file.
fn apply(steps: &[Step], offset: u64, out: &mut [u8]) {
    let end = offset + out.len() as u64;
    for step in steps {
        let (from, data) = match step {
            Step::Write { offset, data } => (*offset, Some(data)),
            Step::SetLen(len) => (*len, None),
            Step::Sync => continue,
        };
        let upto = data.map_or(u64::MAX, |data| from + data.len() as u64);
        let (first, last) = (from.max(offset), upto.min(end));
        if first >= last {
            continue;
        }
        #[expect(clippy::cast_possible_truncation, reason = "differences within a buffer")]
        let place = |at: u64, origin: u64| (at - origin) as usize;
        let target = &mut out[place(first, offset)..place(last, offset)];
        match data {
            Some(data) => target.copy_from_slice(&data[place(first, from)..place(last, from)]),
            None => target.fill(0),
        }
    }
}

impl StorageBackend for Trial {
    fn len(&self) -> io::Result<u64> {
        let mut len = self.0.backend.len()?;
        for step in self.held().iter().flatten() {
            match step {
                Step::Write { offset, data } => len = len.max(offset + data.len() as u64),
                Step::SetLen(set) => len = *set,
                Step::Sync => {}
            }
        }
        Ok(len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let held = self.held();
        let Some(steps) = &*held else {
            drop(held);
            return self.0.backend.read(offset, out);
        };
        if steps.is_empty() {
            return self.0.backend.read(offset, out);
        }
        let there = self.0.backend.len()?.saturating_sub(offset).min(out.len() as u64);
        out.fill(0);
        #[expect(clippy::cast_possible_truncation, reason = "at most the buffer's length")]
        self.0.backend.read(offset, &mut out[..there as usize])?;
        apply(steps, offset, out);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.step(|| Step::SetLen(len), |backend| backend.set_len(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.step(|| Step::Sync, |backend| backend.sync_data())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.step(|| Step::Write { offset, data: data.to_vec() }, |backend| backend.write(offset, data))
    }

    fn close(&self) -> io::Result<()> {
        self.0.backend.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.backend.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.backend.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.backend.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.backend.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.backend.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.backend.query_lock_range(start, end)
    }
}
