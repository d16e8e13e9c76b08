//! A connection on which a test writes what it wants, and not what a client would.

use std::{
    io::{ErrorKind, Read, Write},
    net::{IpAddr, SocketAddr, TcpStream},
    os::fd::OwnedFd,
    time::Duration,
};

use rustix::net::{AddressFamily, SocketType, bind, connect, socket};

use super::Server;

/// Whatever the server does within a time, it does within this.
const PATIENCE: Duration = Duration::from_mins(1);

/// See the module.
pub struct Raw {
    stream: TcpStream,
    received: Vec<u8>,
}

/// An answer, as it came. The names of its headers are in small letters.
#[derive(Debug)]
pub struct RawReply {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Raw {
    /// Connects to a server.
    pub fn connect(server: &Server) -> Self {
        Self::over(TcpStream::connect(address(server)).expect("the server takes connections"))
    }

    /// Connects from that address of this machine: all that begin with 127 are.
    pub fn connect_from(local: [u8; 4], server: &Server) -> Self {
        let socket: OwnedFd = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
        bind(&socket, &SocketAddr::new(IpAddr::from(local), 0)).expect("an address of this machine");
        connect(&socket, &address(server)).expect("the server takes connections");
        Self::over(TcpStream::from(socket))
    }

    pub fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
        Self { stream, received: Vec::new() }
    }

    pub fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the server takes it");
    }

    /// Writes if the server still takes it.
    pub fn try_write(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Reads one answer that says how long it is.
    pub fn read_reply(&mut self) -> RawReply {
        let head_end = loop {
            if let Some(end) = find(&self.received, b"\r\n\r\n") {
                break end + 4;
            }
            assert!(self.receive(), "the connection ended within an answer");
        };
        let head = String::from_utf8_lossy(&self.received[..head_end]).to_ascii_lowercase();
        let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let length: usize = header("content-length:").map_or(0, |length| length.parse().expect("a length"));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        while self.received.len() < head_end + length {
            assert!(self.receive(), "the connection ended within a body");
        }
        let body = String::from_utf8_lossy(&self.received[head_end..head_end + length]).into_owned();
        self.received.drain(..head_end + length);
        RawReply { status, head, body }
    }

    /// Asks for a page, and reads until the server closes.
    pub fn get(mut self, path: &str) -> String {
        self.write(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").as_bytes());
        self.read_to_end()
    }

    /// What comes until the server closes; fails the test when it does not.
    pub fn read_to_end(mut self) -> String {
        while self.receive() {}
        String::from_utf8_lossy(&self.received).into_owned()
    }

    /// Whether the server has closed it, without waiting.
    pub fn is_closed(&mut self) -> bool {
        self.stream.set_nonblocking(true).expect("a socket");
        let mut buffer = [0; 4096];
        let closed = loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => break true,
                Ok(_) => {}
                Err(error) => break error.kind() != ErrorKind::WouldBlock,
            }
        };
        self.stream.set_nonblocking(false).expect("a socket");
        closed
    }

    /// False at the end.
    fn receive(&mut self) -> bool {
        let mut buffer = [0; 16 << 10];
        match self.stream.read(&mut buffer) {
            Ok(count) => {
                self.received.extend_from_slice(&buffer[..count]);
                count > 0
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
            Err(error) => panic!("the server neither answers nor closes: {error}"),
        }
    }
}

fn address(server: &Server) -> SocketAddr {
    server.origin.strip_prefix("http://").and_then(|address| address.parse().ok()).expect("an address")
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
