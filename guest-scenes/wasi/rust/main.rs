//! A program of Rust's standard library alone, built for wasm32-wasip2: it prints what WASI gives it, one `name: value` a line.
//!
//! Tests read its lines; it must not decide what is right.

use std::{
    collections::hash_map::RandomState,
    env,
    fs::File,
    hash::BuildHasher,
    io::{self, Read, Write},
    net::{TcpListener, TcpStream, ToSocketAddrs, UdpSocket},
    thread::sleep,
    time::{Duration, Instant, SystemTime},
};

fn main() {
    println!("arguments: {}", env::args().count());
    println!("environment: {}", env::vars().count());

    println!("open: {}", outcome(File::open("/etc/passwd")));
    println!("create: {}", outcome(File::create("scene.txt")));
    println!("list: {}", outcome(std::fs::read_dir("/")));

    println!("tcp connect: {}", outcome(TcpStream::connect("127.0.0.1:80")));
    println!("tcp listen: {}", outcome(TcpListener::bind("0.0.0.0:0")));
    println!("udp bind: {}", outcome(UdpSocket::bind("0.0.0.0:0")));
    println!("lookup: {}", outcome(("scene.invalid", 80).to_socket_addrs()));

    let mut input = Vec::new();
    println!("stdin: {:?}", io::stdin().read_to_end(&mut input).map_err(|error| error.kind()));

    let before = Instant::now();
    sleep(Duration::from_millis(20));
    println!("slept: {}", before.elapsed().as_micros());
    println!(
        "date: {}",
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs())
    );

    // The standard library has no random numbers; what it seeds its hash maps with comes from the host.
    println!("random: {:016x}", RandomState::new().hash_one(0));

    eprintln!("error output: \u{1b}[31mred");
    print!("unfinished");
    let _ = io::stdout().flush();
}

/// The kind of an error; `ok` for anything else.
fn outcome<T>(result: io::Result<T>) -> String {
    result.map_or_else(|error| format!("{:?}", error.kind()), |_| "ok".to_owned())
}
