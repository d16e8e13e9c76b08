//! A worker that says what a worker may not say. Which of it is written in the file `garbage` beside the program.

use std::{
    io::{Read as _, Write as _},
    os::{fd::AsFd as _, unix::net::UnixStream},
    path::PathBuf,
    time::Duration,
};

use renderer_protocol::{
    AccessUnit, AdapterInfo, Cell, FrameSize, FromWorker, Hello, LogLine, LogSource, StageTimes,
    codec::encode,
};

/// A file in the folder of this program.
pub(crate) fn beside(name: &str) -> PathBuf {
    std::env::current_exe().unwrap().with_file_name(name)
}

/// Whether somebody put this program where the real one was.
pub(crate) fn is_in_place_of_a_worker() -> bool {
    beside("scenecast-itself").exists()
}

/// Says it, and waits for its end.
pub(crate) fn misbehave() -> ! {
    let what = std::fs::read_to_string(beside("garbage")).unwrap();
    let mut broker = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned().unwrap());
    // The broker may have heard enough, and the socket be closed.
    let _ = say(&mut broker, &what);
    std::thread::sleep(Duration::from_mins(10));
    std::process::exit(0)
}

fn say(broker: &mut UnixStream, what: &str) -> std::io::Result<()> {
    // A server on a machine with a GPU takes no worker that has none.
    let is_cpu = beside("without-a-gpu").exists();
    let ready = || {
        let adapter = AdapterInfo { name: "evil".to_owned(), driver: String::new(), is_cpu };
        FromWorker::Ready { adapter, cell: Cell::default() }
    };
    match what {
        "a foreign greeting" => return broker.write_all(&encode(&Hello { version: 9 }).unwrap()),
        "noise for a greeting" => return noise(broker),
        _ => {}
    }
    broker.write_all(&encode(&Hello::current()).unwrap())?;
    let mut send = |message: &FromWorker| broker.write_all(&encode(message).unwrap());
    match what {
        "a scene that runs before it is given" => return send(&FromWorker::Started),
        "a huge length for a start" => return broker.write_all(&u32::MAX.to_le_bytes()),
        "a long name" => {
            let adapter = AdapterInfo { name: "x".repeat(1 << 20), driver: String::new(), is_cpu };
            return send(&FromWorker::Ready { adapter, cell: Cell::default() });
        }
        _ => send(&ready())?,
    }
    // The scene has been given when messages come.
    await_start(broker)?;
    let mut send = |message: &FromWorker| broker.write_all(&encode(message).unwrap());
    match what {
        "noise" => noise(broker),
        "a huge length" => broker.write_all(&u32::MAX.to_le_bytes()),
        "a message that is none" => broker.write_all(&[3, 0, 0, 0, 255, 255, 255]),
        "bytes after a message" => broker.write_all(&[2, 0, 0, 0, 1, 0]),
        "ready a second time" => send(&ready()),
        "two starts" => {
            send(&FromWorker::Started)?;
            send(&FromWorker::Started)
        }
        "an answer to no question" => send(&FromWorker::Pong { nonce: 77 }),
        "an empty picture" => send(&unit(1, Vec::new())),
        "a picture of a later year" => send(&unit(u64::MAX, vec![0, 0, 1])),
        "a picture that goes back in time" => {
            send(&unit(2_000_000, vec![0, 0, 1]))?;
            send(&unit(1_000_000, vec![0, 0, 1]))
        }
        "input that nobody made" => {
            let FromWorker::AccessUnit(mut unit) = unit(1, vec![0, 0, 1]) else { unreachable!() };
            unit.input_sequence = 5;
            send(&FromWorker::AccessUnit(unit))
        }
        "a long line" => {
            send(&FromWorker::Log(LogLine { source: LogSource::Stdout, line: "x".repeat(1 << 20) }))
        }
        other => panic!("{other:?} is no garbage"),
    }
}

/// Everything a generator gives, for as long as it is taken; the same each time.
fn noise(broker: &mut UnixStream) -> std::io::Result<()> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    loop {
        let bytes: Vec<u8> = (0..4096)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                // A length that begins so is one that could come.
                (state >> 32) as u8
            })
            .collect();
        broker.write_all(&bytes)?;
    }
}

/// Reads the broker's greeting and its first message.
fn await_start(broker: &mut UnixStream) -> std::io::Result<()> {
    for _ in 0..2 {
        let mut length = [0; 4];
        broker.read_exact(&mut length)?;
        let mut body = vec![0; u32::from_le_bytes(length) as usize];
        broker.read_exact(&mut body)?;
    }
    Ok(())
}

fn unit(pts_us: u64, data: Vec<u8>) -> FromWorker {
    FromWorker::AccessUnit(AccessUnit {
        pts_us,
        keyframe: true,
        size: FrameSize::new(640, 360).unwrap(),
        input_sequence: 0,
        keep_alive: false,
        times: StageTimes::default(),
        cpu_times: StageTimes::default(),
        data,
    })
}
