//! A storage backend that buffers writes, so that a file can be verified before its content changes.

use std::fmt::Debug;
use std::io;
use std::ops::Bound;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use redb::{BackendError, StorageBackend};

/// The storage of a database: a file, or memory in tests.
pub(crate) type Backend = Box<dyn StorageBackend>;

/// A layer over a backend that buffers writes in memory until [`enable_writes`](Self::enable_writes).
///
/// When redb opens a file, it writes a few pages: it marks the file as open, and repairs the file after a crash. Reads
/// return the buffered writes. Clones share one buffer.
#[derive(Clone, Debug)]
pub(crate) struct WriteOverlay(Arc<Layers>);

#[derive(Debug)]
struct Layers {
    backend: Backend,
    /// The buffered operations, oldest first; `None` once writes are enabled.
    buffer: Mutex<Option<Vec<Operation>>>,
}

/// A change of the backend.
#[derive(Debug)]
enum Operation {
    Write { offset: u64, data: Vec<u8> },
    SetLen(u64),
    Sync,
}

impl WriteOverlay {
    pub(crate) fn new(backend: Backend) -> Self {
        Self(Arc::new(Layers { backend, buffer: Mutex::new(Some(Vec::new())) }))
    }

    /// Applies the buffered operations to the backend in order, including syncs. Later operations are applied
    /// immediately.
    pub(crate) fn enable_writes(&self) -> io::Result<()> {
        let mut buffer = self.buffer();
        for operation in buffer.take().unwrap_or_default() {
            match operation {
                Operation::Write { offset, data } => self.0.backend.write(offset, &data)?,
                Operation::SetLen(len) => self.0.backend.set_len(len)?,
                Operation::Sync => self.0.backend.sync_data()?,
            }
        }
        Ok(())
    }

    fn buffer(&self) -> MutexGuard<'_, Option<Vec<Operation>>> {
        self.0.buffer.lock()
    }

    /// Buffers an operation, or applies it if writes are enabled.
    fn change(
        &self,
        operation: impl FnOnce() -> Operation,
        apply: impl FnOnce(&Backend) -> io::Result<()>,
    ) -> io::Result<()> {
        if let Some(buffered) = &mut *self.buffer() {
            buffered.push(operation());
            return Ok(());
        }
        apply(&self.0.backend)
    }
}

/// Applies `operations` to `block`, the bytes that the backend contains at `offset`.
fn overlay(operations: &[Operation], offset: u64, block: &mut [u8]) {
    let end = offset + block.len() as u64;
    for operation in operations {
        let (from, data) = match operation {
            Operation::Write { offset, data } => (*offset, Some(data)),
            Operation::SetLen(len) => (*len, None),
            Operation::Sync => continue,
        };
        let to = data.map_or(u64::MAX, |data| from + data.len() as u64);
        let (first, last) = (from.max(offset), to.min(end));
        if first >= last {
            continue;
        }
        #[expect(clippy::cast_possible_truncation, reason = "differences within a buffer")]
        let index = |position: u64, origin: u64| (position - origin) as usize;
        let target = &mut block[index(first, offset)..index(last, offset)];
        match data {
            Some(data) => target.copy_from_slice(&data[index(first, from)..index(last, from)]),
            None => target.fill(0),
        }
    }
}

impl StorageBackend for WriteOverlay {
    fn len(&self) -> io::Result<u64> {
        let mut len = self.0.backend.len()?;
        for operation in self.buffer().iter().flatten() {
            match operation {
                Operation::Write { offset, data } => len = len.max(offset + data.len() as u64),
                Operation::SetLen(set) => len = *set,
                Operation::Sync => {}
            }
        }
        Ok(len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let buffer = self.buffer();
        let Some(operations) = &*buffer else {
            drop(buffer);
            return self.0.backend.read(offset, out);
        };
        if operations.is_empty() {
            return self.0.backend.read(offset, out);
        }
        // Buffered writes can make the file longer than the backend.
        let stored = self.0.backend.len()?.saturating_sub(offset).min(out.len() as u64);
        out.fill(0);
        #[expect(clippy::cast_possible_truncation, reason = "at most the buffer's length")]
        self.0.backend.read(offset, &mut out[..stored as usize])?;
        overlay(operations, offset, out);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(|| Operation::SetLen(len), |backend| backend.set_len(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.change(|| Operation::Sync, |backend| backend.sync_data())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.change(|| Operation::Write { offset, data: data.to_vec() }, |backend| backend.write(offset, data))
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
