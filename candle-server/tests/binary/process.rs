//! Starts processes of the binary, and reads their output.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

/// The maximum time for any step: 90 s. A longer step is a failure.
pub(crate) const GUARD: Duration = Duration::from_secs(90);

/// Returns a command that runs the binary, in an environment without settings.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_candle-server"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CANDLE_")) {
        command.env_remove(name);
    }
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Runs a process until it ends, and returns its output.
pub(crate) fn run(mut command: Command) -> Output {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut running = Running { child: Some(child) };
    running.wait();
    running.child.take().unwrap().wait_with_output().unwrap()
}

/// Runs a command, and checks that it writes one line to stderr and exits with 2. Returns the line.
pub(crate) fn refusal(command: Command) -> String {
    let shown = format!("{command:?}");
    let output = run(command);
    let line = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{shown}: {line}");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "", "{shown}");
    assert!(line.ends_with('\n') && line.lines().count() == 1, "{shown}: not one line: {line:?}");
    line
}

/// A process that is killed when this value is dropped.
pub(crate) struct Running {
    child: Option<Child>,
}

impl Running {
    /// Waits until the process has ended.
    fn wait(&mut self) -> ExitStatus {
        let child = self.child.as_mut().unwrap();
        let begun = Instant::now();
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return status;
            }
            assert!(begun.elapsed() < GUARD, "the process did not end");
            std::thread::yield_now();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A server that has printed its address.
pub(crate) struct Server {
    running: Running,
    /// The first line of stdout.
    pub(crate) start_line: String,
    pub(crate) address: SocketAddr,
    stdout: BufReader<ChildStdout>,
}

impl Server {
    /// Starts the server on a free port and waits for its start line.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_command(command(&[&["--listen", "127.0.0.1:0"], arguments].concat()))
    }

    pub(crate) fn start_command(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let running = Running { child: Some(child) };
        let mut start_line = String::new();
        stdout.read_line(&mut start_line).unwrap();
        let address = start_line.trim_end().rsplit('/').next().unwrap().parse().unwrap();
        Self { running, start_line, address, stdout }
    }

    /// Returns the standard input of the process. The command must have piped its standard input.
    pub(crate) fn stdin(&mut self) -> impl Write + use<> {
        self.running.child.as_mut().unwrap().stdin.take().unwrap()
    }

    /// Reads stderr until it contains `text`, and returns the output so far.
    ///
    /// The process is killed after [`GUARD`], so that a missing text fails the test.
    pub(crate) fn stderr_until(&mut self, text: &str) -> String {
        let child = self.running.child.as_mut().unwrap();
        let pid = child.id().to_string();
        let (found, waiting) = std::sync::mpsc::channel::<()>();
        let watchdog = std::thread::spawn(move || {
            if waiting.recv_timeout(GUARD) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                let _ = Command::new("kill").args(["-KILL", &pid]).status();
            }
        });
        let stderr = child.stderr.as_mut().unwrap();
        let mut read = Vec::new();
        let mut byte = [0];
        while !String::from_utf8_lossy(&read).contains(text) {
            stderr.read_exact(&mut byte).unwrap_or_else(|_| panic!("{text}: {}", String::from_utf8_lossy(&read)));
            read.push(byte[0]);
        }
        drop(found);
        watchdog.join().unwrap();
        String::from_utf8(read).unwrap()
    }

    /// Sends a GET request for `path`, and returns the status and the body of the response.
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        let mut socket = TcpStream::connect(self.address).unwrap();
        socket.set_read_timeout(Some(GUARD)).unwrap();
        write!(socket, "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
        let mut reply = String::new();
        socket.read_to_string(&mut reply).unwrap();
        let (head, body) = reply.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    /// Sends the signal with this name, and waits until the process has ended.
    ///
    /// Returns the exit code, and the output on stdout and stderr that was not read before.
    pub(crate) fn end_by(mut self, signal: &str) -> (Option<i32>, String, String) {
        let id = self.running.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &id]).status().unwrap().success());
        let code = self.running.wait().code();
        let (mut out, mut err) = (String::new(), String::new());
        self.stdout.read_to_string(&mut out).unwrap();
        let stderr = self.running.child.as_mut().unwrap().stderr.as_mut().unwrap();
        stderr.read_to_string(&mut err).unwrap();
        (code, out, err)
    }
}
