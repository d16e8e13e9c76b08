//! WASI 0.3, which no standard library uses yet: what has nothing behind it says so, and what a scene has works.
//!
//! Its interfaces are named here with the functions that are called; a host that offers more of an interface fits.

use conformance::Topic;

use wasi::cli::{environment, stderr, stdin, stdout};
use wasi::clocks::{monotonic_clock, system_clock};
use wasi::filesystem::preopens;
use wasi::random::{insecure, insecure_seed, random};
use wasi::sockets::ip_name_lookup::{ErrorCode as LookupError, resolve_addresses};
use wasi::sockets::types::{ErrorCode as SocketError, IpAddressFamily, TcpSocket, UdpSocket};

wit_bindgen::generate!({
    inline: "
        package scenecast:conformance;

        world wasi {
            import wasi:cli/environment@0.3.0;
            import wasi:cli/stdin@0.3.0;
            import wasi:cli/stdout@0.3.0;
            import wasi:cli/stderr@0.3.0;
            import wasi:clocks/monotonic-clock@0.3.0;
            import wasi:clocks/system-clock@0.3.0;
            import wasi:filesystem/preopens@0.3.0;
            import wasi:random/random@0.3.0;
            import wasi:random/insecure@0.3.0;
            import wasi:random/insecure-seed@0.3.0;
            import wasi:sockets/ip-name-lookup@0.3.0;
            import wasi:sockets/types@0.3.0;
        }

        package wasi:cli@0.3.0 {
            interface environment {
                get-environment: func() -> list<tuple<string, string>>;
                get-arguments: func() -> list<string>;
                get-initial-cwd: func() -> option<string>;
            }
            interface types {
                enum error-code { io, illegal-byte-sequence, pipe }
            }
            interface stdin {
                use types.{error-code};
                read-via-stream: func() -> tuple<stream<u8>, future<result<_, error-code>>>;
            }
            interface stdout {
                use types.{error-code};
                write-via-stream: func(data: stream<u8>) -> future<result<_, error-code>>;
            }
            interface stderr {
                use types.{error-code};
                write-via-stream: func(data: stream<u8>) -> future<result<_, error-code>>;
            }
        }

        package wasi:clocks@0.3.0 {
            interface monotonic-clock {
                now: func() -> u64;
                get-resolution: func() -> u64;
                wait-until: async func(when: u64);
                wait-for: async func(how-long: u64);
            }
            interface system-clock {
                record instant { seconds: s64, nanoseconds: u32 }
                now: func() -> instant;
            }
        }

        package wasi:filesystem@0.3.0 {
            interface types {
                resource descriptor;
            }
            interface preopens {
                use types.{descriptor};
                get-directories: func() -> list<tuple<descriptor, string>>;
            }
        }

        package wasi:random@0.3.0 {
            interface random {
                get-random-bytes: func(max-len: u64) -> list<u8>;
                get-random-u64: func() -> u64;
            }
            interface insecure {
                get-insecure-random-u64: func() -> u64;
            }
            interface insecure-seed {
                get-insecure-seed: func() -> tuple<u64, u64>;
            }
        }

        package wasi:sockets@0.3.0 {
            interface types {
                variant error-code {
                    access-denied, not-supported, invalid-argument, out-of-memory, timeout, invalid-state, address-not-bindable,
                    address-in-use, remote-unreachable, connection-refused, connection-broken, connection-reset,
                    connection-aborted, datagram-too-large, other(option<string>),
                }
                enum ip-address-family { ipv4, ipv6 }
                variant ip-address {
                    ipv4(tuple<u8, u8, u8, u8>),
                    ipv6(tuple<u16, u16, u16, u16, u16, u16, u16, u16>),
                }
                resource tcp-socket {
                    create: static func(address-family: ip-address-family) -> result<tcp-socket, error-code>;
                }
                resource udp-socket {
                    create: static func(address-family: ip-address-family) -> result<udp-socket, error-code>;
                }
            }
            interface ip-name-lookup {
                use types.{ip-address};
                variant error-code {
                    access-denied, invalid-argument, name-unresolvable, temporary-resolver-failure, permanent-resolver-failure,
                    other(option<string>),
                }
                resolve-addresses: async func(name: string) -> result<list<ip-address>, error-code>;
            }
        }
    ",
    generate_all,
});

conformance::export_topic!(run);

const MILLISECOND: u64 = 1_000_000;

async fn run(topic: &mut Topic) {
    surroundings(topic);
    streams(topic).await;
    clocks(topic).await;
    randomness(topic);
    network(topic).await;
}

fn surroundings(topic: &mut Topic) {
    topic.equal("the environment is empty", environment::get_environment(), vec![]);
    topic.check("there are no arguments", environment::get_arguments().is_empty());
    topic.equal("there is no current folder", environment::get_initial_cwd(), None);
    topic.check("no folder is open", preopens::get_directories().is_empty());
}

async fn streams(topic: &mut Topic) {
    let (mut output, data) = wit_stream::new();
    let written = stdout::write_via_stream(data);
    let rest = output.write_all(b"standard output, unfinish".to_vec()).await;
    topic.check("all of it is taken", rest.is_empty());
    let rest = output.write_all(b"ed\n".to_vec()).await;
    topic.check("all of it is taken", rest.is_empty());
    drop(output);
    topic.check("standard output takes everything", written.await.is_ok());

    let (mut output, data) = wit_stream::new();
    let written = stderr::write_via_stream(data);
    output.write_all(b"standard error in \x1b[31mred\n".to_vec()).await;
    drop(output);
    topic.check("standard error takes everything", written.await.is_ok());

    let (input, end) = stdin::read_via_stream();
    topic.equal("standard input is empty", input.collect().await, vec![]);
    topic.check("and it ends in order", end.await.is_ok());
}

async fn clocks(topic: &mut Topic) {
    let began = monotonic_clock::now();
    topic.equal("the clock counts microseconds", monotonic_clock::get_resolution(), 1_000);
    monotonic_clock::wait_for(20 * MILLISECOND).await;
    topic.check("a wait for a duration takes it", monotonic_clock::now() >= began + 20 * MILLISECOND);
    let until = monotonic_clock::now() + 20 * MILLISECOND;
    monotonic_clock::wait_until(until).await;
    topic.check("a wait until a time ends when it has come", monotonic_clock::now() >= until);
    monotonic_clock::wait_until(began).await;
    monotonic_clock::wait_for(0).await;

    let wall = system_clock::now();
    topic.check(
        "the date is the time since the start",
        (0..3_600).contains(&wall.seconds) && wall.nanoseconds < 1_000_000_000,
    );
}

fn randomness(topic: &mut Topic) {
    topic.equal("as many bytes come as were asked for", random::get_random_bytes(24).len(), 24);
    topic.equal("no more come than a call may have", random::get_random_bytes(u64::MAX).len(), 1 << 20);
    topic.check("numbers differ", random::get_random_u64() != random::get_random_u64());
    topic.check(
        "and so do insecure ones",
        insecure::get_insecure_random_u64() != insecure::get_insecure_random_u64(),
    );
    topic.say(&format!("seed {:?}", insecure_seed::get_insecure_seed()));
}

async fn network(topic: &mut Topic) {
    for family in [IpAddressFamily::Ipv4, IpAddressFamily::Ipv6] {
        topic.check(
            "no TCP socket is made",
            matches!(TcpSocket::create(family), Err(SocketError::AccessDenied)),
        );
        topic.check(
            "no UDP socket is made",
            matches!(UdpSocket::create(family), Err(SocketError::AccessDenied)),
        );
    }
    // Not even an address is looked up, which would need nobody.
    for name in ["scene.invalid", "localhost", "127.0.0.1"] {
        let looked_up = resolve_addresses(name.to_owned()).await;
        topic.check("no name is looked up", matches!(looked_up, Err(LookupError::PermanentResolverFailure)));
    }
}
