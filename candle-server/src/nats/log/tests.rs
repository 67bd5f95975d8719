use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

use super::*;

/// What becomes of a connection to a server of this version that takes messages of so many bytes.
async fn connected(version: &str, max_payload: usize) -> Result<Log, LogError> {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("nats://{}/X", server.local_addr().unwrap()).parse().unwrap();
    let serve = async {
        let (socket, _) = server.accept().await.unwrap();
        let mut socket = BufReader::new(socket);
        let info = format!("INFO {{\"version\":\"{version}\",\"max_payload\":{max_payload}}}\r\n");
        socket.write_all(info.as_bytes()).await.unwrap();
        let mut line = String::new();
        while !line.ends_with("PING\r\n") {
            socket.read_line(&mut line).await.unwrap();
        }
        socket.write_all(b"PONG\r\n").await.unwrap();
    };
    let access = Access::default();
    tokio::join!(Log::connect(&url, &access), serve).0
}

#[tokio::test]
async fn a_server_that_takes_only_short_messages_is_refused_in_one_clear_line() {
    let refused = connected("2.15.1", SHORTEST_PAYLOAD - 1).await;
    let Err(LogError::Unfit(line)) = refused else { panic!("{refused:?}") };
    assert!(line.ends_with("has max_payload 1048575; 1048576 or more is needed"), "{line}");
    assert!(connected("2.15.1", 1_048_576).await.is_ok(), "the default");
}

#[tokio::test]
async fn an_old_server_is_refused_in_one_clear_line() {
    for old in ["2.9.10", "2.11.14"] {
        let refused = connected(old, SHORTEST_PAYLOAD).await;
        let Err(LogError::Unfit(line)) = refused else { panic!("{refused:?}") };
        assert!(line.ends_with(&format!("has version {old}; 2.12 or later is needed")), "{line}");
    }
    for new in ["2.12.0", "2.15.1", "3.0.0"] {
        assert!(connected(new, SHORTEST_PAYLOAD).await.is_ok(), "{new}");
    }
}

#[test]
fn whether_a_stream_may_be_made_later_is_told_by_the_code() {
    let of = |code: u16, description: &str| {
        let error = format!(r#"{{"code":{code},"err_code":10058,"description":"{description}"}}"#);
        may_pass(&CreateStreamErrorKind::JetStream(serde_json::from_str(&error).unwrap()))
    };
    assert!(of(503, "JetStream system temporarily unavailable"));
    assert!(!of(400, "stream name Q503 is in use, and the request timed out"));
    assert!(may_pass(&CreateStreamErrorKind::TimedOut) && !may_pass(&CreateStreamErrorKind::InvalidStreamName));
}

#[test]
fn why_a_connection_does_not_come_back_is_said_after_that_it_is_lost() {
    let said = Said::default();
    let refused = || Event::ClientError(async_nats::ClientError::Other("refused".to_owned()));
    let events = [Event::Connected, Event::Disconnected, refused(), refused(), Event::Connected, Event::Connected];
    let lines: Vec<_> = events.iter().filter_map(|event| said.next(event)).map(|(_, line)| line).collect();
    let lost = "the connection to the broker is lost";
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert_eq!((lines[0].as_str(), lines[2].as_str()), (lost, "there is a connection to the broker again"));
    assert!(lines[1].contains("refused"), "{lines:?}");
}
