//! Tries: every function of `wasi:webgpu` and of the surface, in any order, with right and wrong arguments, on live, destroyed and
//! invalid objects of several devices; handles dropped in any order; any number of asynchronous calls under way, some of them given up.
//!
//! Must happen: nothing worse than errors that the scene is told. It runs until a viewer's focus changes, and then returns.
//!
//! It goes in sequences, each with objects of its own, from a seed that is made of the session's seed and the sequence's number; so a
//! sequence that hurts can be run again alone. The session's seed has these parts:
//!
//! | bits | what |
//! |---|---|
//! | 0 to 31 | the seed of the run |
//! | 32 to 61 | the number of the first sequence |
//! | 62 | run that one only |
//! | 63 | log every call before it is made, and make one call a tick |
//!
//! GPU work stays small whatever the numbers: at most eight vertices and instances a draw, at most eight workgroups in each dimension
//! or more than a device takes, shaders without loops, and buffers for indirect commands that only the CPU writes, with counts below four.

mod calls;
mod objects;
mod values;

use core::pin::Pin;
use core::task::Poll;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;

use hostile::{Random, Ticks, seed};
use kit::input::Event;
use kit::log::{Level, log};

use calls::CALLS;
use objects::Objects;

const CALLS_PER_SEQUENCE: usize = 600;
/// Calls between two looks at what asynchronous calls have come to.
const CALLS_PER_TURN: usize = 20;
/// Asynchronous calls under way at once.
const MAX_PENDING: usize = 16;
/// One sequence in so many gives everything up at its end without waiting for what is under way.
const IMPATIENCE: usize = 2;
/// Turns that a patient sequence gives to what is under way: some of it never ends.
const PATIENCE_TURNS: usize = 20;
/// Calls that are told when the scene itself panics.
const REMEMBERED_CALLS: usize = 100;

/// What an asynchronous call leaves.
type Result = Box<dyn FnOnce(&mut Objects, &mut Random)>;
type Pending = Pin<Box<dyn Future<Output = Option<Result>>>>;

/// All that a call may use.
struct World {
    random: Random,
    objects: Objects,
    pending: Vec<Pending>,
}

impl World {
    /// Lets a call go on beside the others; when there are too many, one of them is given up.
    fn start(&mut self, call: impl Future<Output = Option<Result>> + 'static) {
        if self.pending.len() >= MAX_PENDING {
            let given_up = self.random.below(self.pending.len());
            drop(self.pending.swap_remove(given_up));
        }
        self.pending.push(Box::pin(call));
    }

    /// Polls everything that is under way, and keeps what came of it.
    async fn turn(&mut self) {
        let mut results = Vec::new();
        poll_fn(|context| {
            self.pending.retain_mut(|pending| match pending.as_mut().poll(context) {
                Poll::Ready(result) => {
                    results.extend(result);
                    false
                }
                Poll::Pending => true,
            });
            Poll::Ready(())
        })
        .await;
        for result in results {
            result(&mut self.objects, &mut self.random);
        }
        wit_bindgen::yield_async().await;
    }
}

struct Start;

impl kit::bindings::Guest for Start {
    async fn start() {
        tell_of_panics();
        let seed = seed();
        let (traced, alone) = (seed >> 63 == 1, seed >> 62 & 1 == 1);
        let (run, first) = (seed & 0xffff_ffff, seed >> 32 & 0x3fff_ffff);
        let mut events = kit::bindings::scenecast::scene::input::events();
        let mut focus = Box::pin(async move {
            while let Some(event) = events.next().await {
                if matches!(event, Event::Focus(_)) {
                    break;
                }
            }
        });
        let mut ticks = Ticks::begin();
        let mut calls = 0;
        for number in first.. {
            log(Level::Info, &format!("sequence {number}"));
            calls += sequence(run, number, traced.then_some(&mut ticks)).await;
            let stop = poll_fn(|context| Poll::Ready(focus.as_mut().poll(context).is_ready())).await;
            if alone || stop {
                log(Level::Info, &format!("made {calls} calls in {} sequences", number - first + 1));
                return;
            }
        }
    }
}

kit::bindings::export_start!(Start with_types_in kit::bindings);

async fn sequence(run: u64, number: u64, mut traced: Option<&mut Ticks>) -> u64 {
    let mut world =
        World { random: Random::new(run << 32 ^ number), objects: Objects::default(), pending: Vec::new() };
    let count = world.random.below(CALLS_PER_SEQUENCE);
    calls::devices::open(&mut world).await;
    for call in 0..count {
        let (name, make) = CALLS[world.random.below(CALLS.len())];
        remember(name);
        if let Some(ticks) = &mut traced {
            log(Level::Info, &format!("sequence {number}, call {call}: {name}"));
            ticks.next().await;
        }
        make(&mut world);
        if world.random.one_in(4) {
            world.objects.drop_one(&mut world.random);
        }
        if call % CALLS_PER_TURN == 0 {
            world.turn().await;
        }
    }
    if world.random.one_in(IMPATIENCE) {
        world.pending.clear();
    }
    for _ in 0..PATIENCE_TURNS {
        world.turn().await;
    }
    world.objects.drop_all(&mut world.random);
    count as u64
}

thread_local! {
    static LAST_CALLS: RefCell<VecDeque<&'static str>> = const { RefCell::new(VecDeque::new()) };
}

fn remember(call: &'static str) {
    LAST_CALLS.with_borrow_mut(|calls| {
        calls.truncate(REMEMBERED_CALLS - 1);
        calls.push_front(call);
    });
}

/// A panic here is this scene's own mistake, or a host that returned what it must not.
fn tell_of_panics() {
    std::panic::set_hook(Box::new(|panic| {
        log(Level::Error, &panic.to_string());
        LAST_CALLS
            .with_borrow(|calls| log(Level::Error, &format!("the last calls, newest first: {calls:?}")));
    }));
}
