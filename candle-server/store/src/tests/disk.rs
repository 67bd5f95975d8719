//! Simulates a disk in memory, which can lose unsynced writes, become full, or fail.

use std::io;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard};

use redb::{BackendError, StorageBackend};

/// A kind of loss.
#[derive(Clone, Copy, Debug)]
pub(super) enum Loss {
    /// The process is killed. All of its writes have reached the operating system.
    Process,
    /// The machine loses power. Every write that was not synced is lost.
    Power,
}

/// A simulated disk. Clones share its content.
#[derive(Clone, Debug)]
pub(super) struct Disk(Arc<Mutex<DiskState>>);

#[derive(Clone, Debug)]
struct DiskState {
    /// All bytes, including unsynced bytes.
    written: Vec<u8>,
    /// The unsynced changes, oldest first. Each has the offset, the bytes before the change, and the length before the
    /// change.
    unsynced: Vec<(usize, Vec<u8>, usize)>,
    /// The maximum length of the disk, in bytes.
    max_len: usize,
    is_broken: bool,
}

impl Disk {
    pub(super) fn new() -> Self {
        Self::with_bytes(Vec::new())
    }

    pub(super) fn with_bytes(bytes: Vec<u8>) -> Self {
        let state = DiskState { written: bytes, unsynced: Vec::new(), max_len: usize::MAX, is_broken: false };
        Self(Arc::new(Mutex::new(state)))
    }

    /// Returns the disk as a new process reads it after a loss.
    pub(super) fn after(&self, loss: Loss) -> Self {
        let mut state = self.state().clone();
        match loss {
            Loss::Process => state.unsynced.clear(),
            Loss::Power => {
                for (offset, before, len) in std::mem::take(&mut state.unsynced).into_iter().rev() {
                    state.written.resize(len, 0);
                    state.written[offset..offset + before.len()].copy_from_slice(&before);
                }
            }
        }
        Self(Arc::new(Mutex::new(state)))
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        self.state().written.clone()
    }

    pub(super) fn len(&self) -> usize {
        self.state().written.len()
    }

    /// Sets the maximum length of the disk, in bytes.
    pub(super) fn limit(&self, max_len: usize) {
        self.state().max_len = max_len;
    }

    /// Makes every write and sync fail until [`repair`](Self::repair).
    pub(super) fn break_down(&self) {
        self.state().is_broken = true;
    }

    pub(super) fn repair(&self) {
        self.state().is_broken = false;
    }

    fn state(&self) -> MutexGuard<'_, DiskState> {
        self.0.lock().unwrap()
    }
}

impl DiskState {
    /// Saves the bytes before a change, so that a loss of power can undo the change.
    fn record_before(&mut self, offset: usize, len: usize) {
        let end = (offset + len).min(self.written.len());
        let before = self.written.get(offset..end).unwrap_or_default().to_vec();
        self.unsynced.push((offset.min(self.written.len()), before, self.written.len()));
    }

    fn check(&self, end: usize) -> io::Result<()> {
        if self.is_broken {
            return Err(io::Error::other("the disk is broken"));
        }
        if end > self.max_len && end > self.written.len() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }
}

fn index(at: u64) -> usize {
    usize::try_from(at).unwrap()
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state().written.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.state();
        let start = index(offset);
        let found = start.checked_add(out.len()).and_then(|end| state.written.get(start..end));
        out.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let (mut state, len) = (self.state(), index(len));
        state.check(len)?;
        let old_len = state.written.len();
        state.record_before(len.min(old_len), old_len);
        state.written.resize(len, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.state();
        state.check(0)?;
        state.unsynced.clear();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let (mut state, start) = (self.state(), index(offset));
        let end = start + data.len();
        state.check(end)?;
        state.record_before(start, data.len());
        if state.written.len() < end {
            state.written.resize(end, 0);
        }
        state.written[start..end].copy_from_slice(data);
        Ok(())
    }

    fn try_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(true)
    }

    fn try_lock_shared_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(true)
    }

    fn unlock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }

    fn query_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(false)
    }
}
