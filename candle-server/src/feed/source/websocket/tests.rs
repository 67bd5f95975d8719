use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::protocol::frame::Frame as RawFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use super::*;

type Server = WebSocketStream<TcpStream>;

fn address(scheme: &str, listener: &TcpListener) -> SocketUrl {
    format!("{scheme}://{}/path", listener.local_addr().unwrap()).parse().unwrap()
}

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

/// Both ends of a new connection.
async fn pair() -> (Connection, Server) {
    let listener = listener().await;
    let url = address("ws", &listener);
    let accept = async { accept_async(listener.accept().await.unwrap().0).await.unwrap() };
    let (client, server) = tokio::join!(Connection::open(&url), accept);
    (client.unwrap(), server)
}

/// All that a connection brings until it ends, and why it ended.
async fn to_the_end(client: &mut Connection) -> (Vec<Frame>, Ended) {
    let mut frames = Vec::new();
    loop {
        match client.run().await {
            Ok(run) => frames.extend_from_slice(run),
            Err(ended) => return (frames, ended),
        }
    }
}

fn text(text: &str) -> Frame {
    Frame::Text(text.into())
}

#[tokio::test]
async fn every_frame_arrives_in_order_before_the_good_bye() {
    let (mut client, mut server) = pair().await;
    let sender = tokio::spawn(async move {
        for number in 0..5000 {
            server.feed(Message::text(number.to_string())).await.unwrap();
        }
        server.close(None).await.unwrap();
        while let Some(Ok(_)) = server.next().await {}
    });
    let (frames, ended) = to_the_end(&mut client).await;
    assert_eq!(frames, (0..5000).map(|number| text(&number.to_string())).collect::<Vec<_>>());
    assert_eq!(ended.reason(), "closed");
    drop(client);
    sender.await.unwrap();
}

#[tokio::test]
async fn frames_that_are_ready_come_as_one_run() {
    let (mut client, mut server) = pair().await;
    for frame in ["one", "two", "three"] {
        server.feed(Message::text(frame)).await.unwrap();
    }
    server.flush().await.unwrap();
    // Loopback hands over what one write sent in one piece; nothing else is sent until it was read.
    assert_eq!(client.run().await.unwrap(), [text("one"), text("two"), text("three")]);
}

#[tokio::test]
async fn a_run_is_bounded_in_frames_and_in_bytes() {
    let (mut client, mut server) = pair().await;
    let sender = tokio::spawn(async move {
        for _ in 0..5000 {
            server.feed(Message::text("x")).await.unwrap();
        }
        for _ in 0..16 {
            server.feed(Message::text("x".repeat(300_000))).await.unwrap();
        }
        server.flush().await.unwrap();
    });
    let mut frames = 0;
    while frames < 5016 {
        let run = client.run().await.unwrap();
        assert!(run.len() <= MAX_RUN_FRAMES);
        let bytes = |frame: &Frame| if let Frame::Text(text) = frame { text.len() } else { 0 };
        assert!(run[..run.len() - 1].iter().map(bytes).sum::<usize>() < MAX_RUN_BYTES);
        frames += run.len();
    }
    sender.await.unwrap();
}

#[tokio::test]
async fn fragments_become_one_frame_and_pings_none() {
    let (mut client, mut server) = pair().await;
    let fragment = |part: &'static str, data, last| Message::Frame(RawFrame::message(part, OpCode::Data(data), last));
    server.send(fragment("[1,", Data::Text, false)).await.unwrap();
    server.send(Message::Ping("are you there".into())).await.unwrap();
    server.send(fragment("2]", Data::Continue, true)).await.unwrap();
    assert_eq!(client.run().await.unwrap(), [text("[1,2]")]);
    server.send(Message::text("more")).await.unwrap();
    client.run().await.unwrap();
    assert_eq!(server.next().await.unwrap().unwrap(), Message::Pong("are you there".into()));
}

#[tokio::test]
async fn a_binary_frame_is_unreadable_and_the_connection_goes_on() {
    let (mut client, mut server) = pair().await;
    server.send(Message::binary(vec![0, 159, 146])).await.unwrap();
    assert_eq!(
        client.run().await.unwrap(),
        [Frame::Unreadable(Unreadable::Binary, Bytes::from_static(&[0, 159, 146]))]
    );
    server.send(Message::text("next")).await.unwrap();
    assert_eq!(client.run().await.unwrap(), [text("next")]);
}

#[tokio::test]
async fn an_oversize_frame_is_unreadable_and_ends_the_connection() {
    let (mut client, mut server) = pair().await;
    let sender = tokio::spawn(async move {
        server.send(Message::text("first")).await.unwrap();
        // The other side gives up while this is under way.
        let _ = server.send(Message::text("x".repeat(MAX_MESSAGE_BYTES + 1))).await;
    });
    let (frames, ended) = to_the_end(&mut client).await;
    assert_eq!(frames, [text("first"), Frame::Unreadable(Unreadable::Oversize, Bytes::new())]);
    assert_eq!(ended.reason(), "oversize");
    drop(client);
    sender.await.unwrap();
}

#[tokio::test]
async fn the_longest_frame_allowed_is_read() {
    let (mut client, mut server) = pair().await;
    let longest = "x".repeat(MAX_MESSAGE_BYTES);
    let frame = text(&longest);
    let sender = tokio::spawn(async move { server.send(Message::text(longest)).await.unwrap() });
    assert_eq!(client.run().await.unwrap(), [frame]);
    sender.await.unwrap();
}

#[tokio::test]
async fn text_that_is_not_utf8_is_unreadable_and_breaks_the_protocol() {
    let (mut client, mut server) = pair().await;
    let frame = RawFrame::message(&b"\xff\xfe"[..], OpCode::Data(Data::Text), true);
    server.send(Message::Frame(frame)).await.unwrap();
    let (frames, ended) = to_the_end(&mut client).await;
    assert_eq!(frames, [Frame::Unreadable(Unreadable::NotUtf8, Bytes::new())]);
    assert_eq!(ended.reason(), "protocol");
}

#[tokio::test]
async fn a_cut_socket_ends_the_connection_after_its_last_frame() {
    let (mut client, mut server) = pair().await;
    server.send(Message::text("last")).await.unwrap();
    drop(server);
    let (frames, ended) = to_the_end(&mut client).await;
    assert_eq!(frames, [text("last")]);
    assert!(["protocol", "lost", "closed"].contains(&ended.reason()), "{ended}");
}

#[tokio::test]
async fn a_silent_connection_is_pinged_and_given_up_after_twenty_seconds() {
    let (mut client, server) = pair().await;
    let mut raw = server.into_inner();
    tokio::time::pause();
    let start = Instant::now();
    assert_eq!(client.run().await.unwrap_err().reason(), "silent");
    assert_eq!(start.elapsed().as_secs(), SILENCE.as_secs());
    let mut frame = [0; 2];
    raw.read_exact(&mut frame).await.unwrap();
    assert_eq!(frame, [0x89, 0x80], "a ping, masked and empty");
}

#[tokio::test]
async fn pongs_keep_a_quiet_connection_alive() {
    let (mut client, mut server) = pair().await;
    let (quiet_for, quiet) = tokio::sync::oneshot::channel();
    let pings = tokio::spawn(async move {
        for _ in 0..6 {
            assert!(server.next().await.unwrap().unwrap().is_ping());
            // Asking for more sends the pong; nothing waits for it here.
            let _ = server.flush().await;
        }
        quiet_for.send(()).unwrap();
        server.send(Message::text("still here")).await.unwrap();
        server
    });
    tokio::time::pause();
    let start = Instant::now();
    assert_eq!(client.run().await.unwrap(), [text("still here")]);
    quiet.await.unwrap();
    assert!(start.elapsed() >= 5 * PING_EVERY, "{:?}", start.elapsed());
    assert_eq!(client.healthy_for(), Duration::ZERO);
    drop(pings.await.unwrap());
}

#[tokio::test]
async fn what_came_while_the_caller_was_busy_is_no_silence() {
    let (mut client, mut server) = pair().await;
    server.send(Message::text("early")).await.unwrap();
    tokio::time::pause();
    tokio::time::advance(3 * SILENCE).await;
    assert_eq!(client.run().await.unwrap(), [text("early")]);
}

#[tokio::test]
async fn health_is_the_time_between_first_and_latest_data() {
    let (mut client, mut server) = pair().await;
    tokio::time::pause();
    for _ in 0..3 {
        server.send(Message::text("x")).await.unwrap();
        client.run().await.unwrap();
        tokio::time::advance(Duration::from_secs(5)).await;
    }
    assert_eq!(client.healthy_for().as_secs(), 10);
}

#[tokio::test]
async fn a_closed_port_is_unreachable() {
    let listener = listener().await;
    let url = address("ws", &listener);
    drop(listener);
    assert_eq!(Connection::open(&url).await.unwrap_err().reason(), "unreachable");
}

#[tokio::test]
async fn an_answer_that_is_no_upgrade_is_a_refusal() {
    let listener = listener().await;
    let url = address("ws", &listener);
    let answer = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut request = [0; 4096];
        let _ = socket.read(&mut request).await.unwrap();
        socket.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await.unwrap();
        socket
    };
    let (client, _socket) = tokio::join!(Connection::open(&url), answer);
    let ended = client.unwrap_err();
    assert_eq!(ended.reason(), "refused");
    assert_eq!(ended.to_string(), "the server refused the WebSocket with status 404 Not Found");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_answers_times_out() {
    for scheme in ["ws", "wss"] {
        let listener = listener().await;
        let start = Instant::now();
        let url = address(scheme, &listener);
        assert_eq!(Connection::open(&url).await.unwrap_err().reason(), "timed-out");
        assert_eq!(start.elapsed().as_secs(), CONNECT_TIMEOUT.as_secs());
    }
}

#[tokio::test]
async fn tls_to_a_server_without_it_is_a_clean_error() {
    let listener = listener().await;
    let url = address("wss", &listener);
    let answer = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        socket
    };
    let (client, _socket) = tokio::join!(Connection::open(&url), answer);
    let ended = client.unwrap_err();
    assert_eq!(ended.reason(), "tls", "{ended}");
}
