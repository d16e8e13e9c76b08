//! Clients that mean no good: pages of others, floods of offers, connections that are held, another protocol.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use serde_json::json;
use tests::viewer::h264_offer;

use crate::support::{Raw, Server, ServerOptions, wait_for};

#[test]
fn row_40_a_page_of_another_origin_changes_nothing() {
    let server = Server::start(&ServerOptions { built_scenes: &["orbit"], ..ServerOptions::default() });
    let own = server.origin.clone();
    let own_by_name = own.replace("127.0.0.1", "localhost");
    let session = server.running_session("orbit");
    let none = "0".repeat(32);
    let (of_session, whep) = (format!("/api/sessions/{session}"), format!("/whep/{session}"));
    let viewer = format!("{whep}/{none}");
    let grants = format!("{of_session}/grants");
    let foreign: [&[(&str, &str)]; 7] = [
        &[("origin", "http://evil.example")],
        &[("origin", "null")],
        &[("origin", "http://127.0.0.1:1")],
        &[("origin", &own_by_name)],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("origin", &own), ("sec-fetch-site", "cross-site")],
    ];
    let body = json!({ "scene": "orbit" }).to_string();
    for (method, path, content_type, body) in [
        ("POST", "/api/sessions", "application/json", body.as_str()),
        // What a form of another page can send without asking first.
        ("POST", "/api/sessions", "text/plain", &body),
        ("DELETE", &of_session, "", ""),
        ("POST", &grants, "application/json", "{}"),
        ("POST", &whep, "application/sdp", "v=0\r\n"),
        ("PATCH", &viewer, "application/trickle-ice-sdpfrag", "x"),
        ("DELETE", &viewer, "", ""),
    ] {
        for page in foreign {
            let mut headers = page.to_vec();
            if !content_type.is_empty() {
                headers.push(("content-type", content_type));
            }
            server.send(method, path, &headers, body.as_bytes()).assert_problem(403, "foreign_origin");
        }
    }
    assert_eq!(server.get("/api/sessions").json().as_array().unwrap().len(), 1, "nothing was created");
    assert_eq!(server.session(&session)["state"], "running", "nothing was ended");
    let metrics = server.get("/api/metrics").text;
    assert!(metrics.contains("scenecast_refused_requests_total{reason=\"foreign_origin\"} 49"), "{metrics}");
    for page in [&[("origin", own.as_str())][..], &[("origin", &own), ("sec-fetch-site", "same-origin")], &[]]
    {
        let headers = [page, &[("content-type", "application/json")]].concat();
        let created = server.send("POST", "/api/sessions", &headers, br#"{"scene":"nothing"}"#);
        created.assert_problem(404, "unknown_scene");
    }
}

#[test]
fn a_player_on_a_page_that_is_allowed_may_join_and_one_on_another_may_not() {
    let server = Server::start(&ServerOptions {
        flags: &["--allow-origin", "https://player.example", "--auth-token", "viewer:0123456789abcdef"],
        ..ServerOptions::default()
    });
    let path = format!("/whep/{}", "0".repeat(32));
    let post = |origin| {
        let headers =
            [("origin", origin), ("sec-fetch-site", "cross-site"), ("content-type", "application/sdp")];
        server.send("POST", &path, &headers, b"v=0\r\n")
    };
    let allowed = post("https://player.example");
    allowed.assert_problem(401, "unauthorized");
    // Readable there, so that the player can say what is missing.
    assert_eq!(allowed.header("access-control-allow-origin"), "https://player.example");
    post("https://other.example").assert_problem(403, "foreign_origin");
}

#[test]
fn row_42_offers_that_are_never_followed_up_take_a_bounded_place_for_a_short_time() {
    const OFFERS: u32 = 10_000;
    const LOADERS: u32 = 8;
    const PENDING: u32 = 32;
    let server = Server::start(&ServerOptions {
        built_scenes: &["orbit"],
        flags: &["--max-viewers", "100", "--max-pending-offers", "32"],
        ..ServerOptions::default()
    });
    let session = server.running_session("orbit");
    let request = format!(
        "POST /whep/{session} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/sdp\r\ncontent-length: {}\r\n\r\n{}",
        h264_offer().len(),
        h264_offer()
    );
    // One place is kept, so that the session does not end for want of viewers while all others are freed.
    let join = || server.post_sdp(&format!("/whep/{session}"), h264_offer().as_bytes());
    assert_eq!(join().status, 201);
    let (memory_before, descriptors_before) = server.resources();
    let (taken, refused) = (AtomicU32::new(0), AtomicU32::new(0));
    let started = Instant::now();
    thread::scope(|scope| {
        for _ in 0..LOADERS {
            scope.spawn(|| {
                let mut connection = Raw::connect(&server);
                for number in 0..OFFERS / LOADERS {
                    if number % 500 == 499 {
                        connection = Raw::connect(&server);
                    }
                    connection.write(request.as_bytes());
                    let reply = connection.read_reply();
                    match reply.status {
                        201 => taken.fetch_add(1, Ordering::Relaxed),
                        503 => {
                            assert!(reply.body.contains("too_many_pending_offers"), "{}", reply.body);
                            assert!(reply.head.contains("retry-after: 1"), "{}", reply.head);
                            refused.fetch_add(1, Ordering::Relaxed)
                        }
                        status => panic!("{status}: {}", reply.body),
                    };
                }
            });
        }
    });
    let elapsed = started.elapsed();
    let (memory_during, descriptors_during) = server.resources();
    let (taken, refused) = (taken.into_inner(), refused.into_inner());
    println!("{OFFERS} offers in {elapsed:?}: {taken} taken, {refused} refused");
    assert_eq!(taken + refused, OFFERS);
    // All places at once, and all of them again every ten seconds.
    let rounds = 1 + u32::try_from(elapsed.as_secs() / 9).unwrap();
    assert!(taken <= PENDING * rounds, "{taken} offers were taken in {elapsed:?}");
    let freed = Instant::now();
    // Each viewer that has not come is taken out, and so a new one finds a place.
    wait_for("a place", || (join().status == 201).then_some(()));
    println!("a place was free after {:?}", freed.elapsed());
    wait_for("descriptors and memory to come back", || {
        let (memory, descriptors) = server.resources();
        let is_back = descriptors <= descriptors_before + 2 && memory < memory_before + (24 << 20);
        is_back.then(|| {
            println!(
                "memory {memory_before} -> {memory_during} -> {memory}, descriptors {descriptors_before} -> {descriptors_during} -> \
                 {descriptors}"
            );
        })
    });
}

#[test]
fn row_54_heads_that_never_end_hold_their_places_for_seconds_and_nobody_elses() {
    let server = Server::start(&ServerOptions::default());
    let started = Instant::now();
    let mut held: Vec<Raw> = (0..200)
        .map(|_| {
            let mut connection = Raw::connect(&server);
            connection.write(b"GET / HTTP/1.1\r\nhost: localhost\r\nx-a: ");
            connection
        })
        .collect();
    assert!(Raw::connect(&server).get("/api/health").starts_with("HTTP/1.1 200"));
    while held.iter_mut().any(|connection| !connection.is_closed()) {
        assert!(started.elapsed() < Duration::from_mins(1), "some are still open");
        for connection in &mut held {
            connection.try_write(b"b");
        }
        thread::sleep(Duration::from_millis(500));
    }
    println!("all were closed after {:?}", started.elapsed());
    assert!(started.elapsed() >= Duration::from_secs(4), "a slow client has some seconds");
}

#[test]
fn row_54_a_body_that_trickles_is_given_up() {
    let server = Server::start(&ServerOptions { built_scenes: &["orbit"], ..ServerOptions::default() });
    let session = server.running_session("orbit");
    let started = Instant::now();
    let mut held: Vec<(&str, Raw)> = [
        "POST /api/sessions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 16000\r\n\r\n".to_owned(),
        format!("POST /whep/{session} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/sdp\r\ntransfer-encoding: chunked\r\n\r\n"),
    ]
    .iter()
    .zip([" ", "1\r\na\r\n"])
    .map(|(head, piece)| {
        let mut connection = Raw::connect(&server);
        connection.write(head.as_bytes());
        (piece, connection)
    })
    .collect();
    let mut is_over = false;
    while !is_over {
        assert!(started.elapsed() < Duration::from_mins(1), "they are still waited for");
        is_over = held.iter_mut().all(|(piece, connection)| {
            !connection.try_write(piece.as_bytes()) || started.elapsed() > Duration::from_secs(12)
        });
        thread::sleep(Duration::from_millis(200));
    }
    for (_, connection) in held {
        let answer = connection.read_to_end();
        assert!(answer.starts_with("HTTP/1.1 408") || answer.is_empty(), "{answer}");
    }
    let metrics = server.get("/api/metrics").text;
    assert!(metrics.contains("scenecast_refused_requests_total{reason=\"request_timeout\"} 2"), "{metrics}");
}

#[test]
fn row_54_idle_connections_are_closed_and_one_address_cannot_have_them_all() {
    let server = Server::start(&ServerOptions::default());
    let (_, descriptors_before) = server.resources();
    // One address: what is beyond its share is closed at once.
    let mut held: Vec<Raw> = (0..400).map(|_| Raw::connect_from([127, 0, 0, 2], &server)).collect();
    wait_for("the share of an address", || {
        let open = held.iter_mut().filter_map(|connection| (!connection.is_closed()).then_some(())).count();
        (open <= 256).then_some(())
    });
    assert!(Raw::connect(&server).get("/api/health").starts_with("HTTP/1.1 200"), "others have their own");
    drop(held);

    // Many addresses: each asks once, as keep-alive clients do, and then holds the connection.
    let started = Instant::now();
    let mut idle = Vec::new();
    for number in 0..2_000_u16 {
        let [high, low] = (number % 20 + 256).to_be_bytes();
        let mut connection = Raw::connect_from([127, 1, high, low], &server);
        connection.write(b"GET /api/health HTTP/1.1\r\nhost: localhost\r\n\r\n");
        idle.push(connection);
    }
    let (_, descriptors) = server.resources();
    println!("2000 connections after {:?}: {descriptors} descriptors", started.elapsed());
    assert!(descriptors <= descriptors_before + 1_100, "{descriptors}");
    // Those that are idle give their places to those that wait.
    for connection in idle {
        let answers = connection.read_to_end();
        assert!(answers.starts_with("HTTP/1.1 200"), "{answers}");
    }
    println!("all were answered and closed after {:?}", started.elapsed());
    wait_for("the descriptors to come back", || {
        (server.resources().1 <= descriptors_before + 2).then_some(())
    });
}

#[test]
fn row_55_http_2_is_refused_and_the_server_goes_on() {
    let server = Server::start(&ServerOptions::default());
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    // HEADERS without an end, CONTINUATION, empty DATA, RST_STREAM, of a stream each.
    let frames: Vec<u8> = (0_u32..1_000)
        .flat_map(|number| {
            let stream = (number * 2 + 1).to_be_bytes();
            let frame = |kind: u8, payload: &[u8]| {
                [&[0, 0, u8::try_from(payload.len()).unwrap(), kind, 0][..], &stream, payload].concat()
            };
            [frame(1, &[0x82]), frame(9, &[]), frame(0, &[]), frame(3, &[0, 0, 0, 8])].concat()
        })
        .collect();
    for _ in 0..20 {
        let mut connection = Raw::connect(&server);
        connection.write(preface);
        connection.try_write(&settings);
        connection.try_write(&frames);
        let answer = connection.read_to_end();
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 4") || answer.starts_with("HTTP/1.1 5"),
            "{answer:?}"
        );
    }
    let mut connection = Raw::connect(&server);
    connection.write(
        b"GET /api/health HTTP/1.1\r\nhost: localhost\r\nconnection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n\r\n",
    );
    assert_eq!(connection.read_reply().status, 200, "the offer to change the protocol is not taken up");
    connection.write(b"GET /api/health HTTP/1.1\r\nhost: localhost\r\n\r\n");
    assert_eq!(connection.read_reply().status, 200);
    assert_eq!(server.get("/api/health").status, 200);
}
