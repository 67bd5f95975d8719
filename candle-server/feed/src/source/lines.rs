//! Reads messages from standard input or a file, one message per line.

use std::path::Path;
use std::time::Duration;

use candle_core::Timestamp;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::time::{Instant, sleep_until};

use crate::intake::Intake;
use crate::message::{Message, Unreadable, decode};
use crate::url::Pace;

/// The maximum length of a line, in bytes: 1 MiB, as for a WebSocket frame. An array of ten thousand quotes fits.
const MAX_LINE_BYTES: usize = 1 << 20;
/// The size of the read buffer, in bytes: 256 KiB. One system call then reads more than a thousand quotes.
const READ_BUFFER_BYTES: usize = 256 << 10;

/// Opens a file of messages.
///
/// # Errors
/// Returns an error if the file cannot be opened, or is a directory.
pub fn open(path: &Path) -> std::io::Result<std::fs::File> {
    let file = std::fs::File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(std::io::ErrorKind::IsADirectory.into());
    }
    Ok(file)
}

/// Sends the messages of `input` to `intake` until the input ends.
///
/// # Errors
/// Returns an error if the input cannot be read.
pub(crate) async fn play(intake: &mut Intake, input: impl AsyncRead + Unpin, pace: Pace) -> std::io::Result<()> {
    let mut reader = BufReader::with_capacity(READ_BUFFER_BYTES, input);
    let mut block = Vec::new();
    let mut pacer = Pacer::new(pace);
    intake.connected();
    loop {
        let read = reader.fill_buf().await?;
        if read.is_empty() {
            break;
        }
        // Complete lines are recorded together, so that their look-ups overlap. An incomplete line stays in the buffer.
        block.extend_from_slice(read);
        let length = read.len();
        reader.consume(length);
        let complete = block.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        record(intake, &block[..complete], &mut pacer).await;
        block.drain(..complete);
        if block.len() > MAX_LINE_BYTES {
            intake.unreadable(Unreadable::Oversize, &block);
            block.clear();
            skip_line(&mut reader).await?;
        }
    }
    record(intake, &block, &mut pacer).await;
    Ok(())
}

/// Skips the rest of a line.
async fn skip_line(reader: &mut (impl AsyncBufReadExt + Unpin)) -> std::io::Result<()> {
    loop {
        let read = reader.fill_buf().await?;
        let end = read.iter().position(|byte| *byte == b'\n');
        let length = end.map_or(read.len(), |end| end + 1);
        let is_over = end.is_some() || read.is_empty();
        reader.consume(length);
        if is_over {
            return Ok(());
        }
    }
}

/// Records the messages of complete lines at the replay speed.
async fn record(intake: &mut Intake, block: &[u8], pacer: &mut Pacer) {
    let lines = || block.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    match pacer.pace {
        Pace::Full => {
            intake.frames(lines().map(Ok));
            // A file is always ready to read, so only this yield lets other tasks of the thread run.
            tokio::task::yield_now().await;
        }
        Pace::Times(_) => {
            for line in lines() {
                pacer.wait_for(line).await;
                intake.frames(std::iter::once(Ok(line)));
            }
        }
    }
}

/// Delays each message until its time at the replay speed.
struct Pacer {
    pace: Pace,
    /// The first timestamp of the input, and the time at which this timestamp was read.
    first: Option<(Timestamp, Instant)>,
}

impl Pacer {
    const fn new(pace: Pace) -> Self {
        Self { pace, first: None }
    }

    async fn wait_for(&mut self, line: &[u8]) {
        let Pace::Times(speed) = self.pace else { return };
        let mut time = None;
        decode(line, |message| {
            if let Ok(Message::Quote(quote)) = message {
                time = time.or(quote.time);
            }
        });
        let Some(time) = time else { return };
        let (first, started) = *self.first.get_or_insert_with(|| (time, Instant::now()));
        let due = (time.as_micros() - first.as_micros()) as f64 / 1e6 / speed;
        // A message older than the first one is due immediately. If the due time is beyond the range of the clock,
        // there is no wait.
        if let Some(due) = Duration::try_from_secs_f64(due).ok().and_then(|due| started.checked_add(due)) {
            sleep_until(due).await;
        }
    }
}
