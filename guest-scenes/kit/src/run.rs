//! The event loop: input, then the tick, then the picture.

use core::pin::{Pin, pin};

use futures::future::{Either, select};
use futures::poll;
use wit_bindgen::{StreamRead, StreamReader, StreamResult};

use crate::bindings::scenecast::scene::input::{Event, events};
use crate::bindings::wasi_gfx::surface::surface::{FrameEvent, Surface};
use crate::{Gpu, Scene, Size, Target};

/// Events that one read of the input takes at most; more wait for the next read.
const INPUT_BATCH: usize = 64;
/// Reads of input at one tick at most, so that a flood of input delays a frame and does not prevent it.
const INPUT_READS_PER_TICK: usize = 16;

/// Runs a scene until its surface ends.
pub async fn run<S: Scene>() {
    // Asked for first, so that what viewers do while the scene is being made is not lost.
    let mut input = Input { events: events(), open: true };
    let gpu = Gpu::request().await;
    let (surface, context) = gpu.open_window();
    let mut ticks = surface.on_frame();
    let mut scene = S::new(&gpu).await;
    let mut drawn_size = None;

    while input.until_tick(&mut ticks, |event| scene.input(event, surface_size(&surface))).await {
        // The surface's own size says the same as its stream of resizes, and cannot be late.
        let changed = scene.update();
        if !changed && drawn_size == Some(surface_size(&surface)) {
            continue;
        }
        let texture = context.get_current_texture();
        let size = Size { width: texture.width(), height: texture.height() };
        if drawn_size != Some(size) {
            scene.resize(&gpu, size);
            drawn_size = Some(size);
        }
        scene.draw(&gpu, &Target { view: texture.create_view(None), size });
        context.present();
    }
}

fn surface_size(surface: &Surface) -> Size {
    Size { width: surface.width(), height: surface.height() }
}

struct Input {
    events: StreamReader<Event>,
    /// Until the host has ended the stream.
    open: bool,
}

impl Input {
    /// Waits for the next tick and delivers everything that was sent before it. False when there is no further tick.
    async fn until_tick(
        &mut self,
        ticks: &mut StreamReader<FrameEvent>,
        mut deliver: impl FnMut(&Event),
    ) -> bool {
        let mut tick = pin!(ticks.next());
        while self.open {
            let (ticked, batch) = self.tick_or_input(tick.as_mut()).await;
            batch.iter().for_each(&mut deliver);
            if let Some(is_tick) = ticked {
                if !batch.is_empty() {
                    self.drain(&mut deliver).await;
                }
                return is_tick;
            }
        }
        tick.await.is_some()
    }

    /// Waits for the tick or for input, whichever is first; with a tick comes what the read held by then. The tick is `Some(false)`
    /// at the end of all ticks.
    async fn tick_or_input(
        &mut self,
        tick: Pin<&mut impl Future<Output = Option<FrameEvent>>>,
    ) -> (Option<bool>, Vec<Event>) {
        let mut read = pin!(self.events.read(Vec::with_capacity(INPUT_BATCH)));
        match select(tick, read.as_mut()).await {
            // A read that is dropped would lose what it holds; one that is cancelled hands it over.
            Either::Left((ticked, _)) => (Some(ticked.is_some()), read.cancel().1),
            Either::Right(((status, batch), _)) => {
                self.open = status != StreamResult::Dropped;
                (None, batch)
            }
        }
    }

    /// Delivers what can be read without waiting.
    async fn drain(&mut self, deliver: &mut impl FnMut(&Event)) {
        for _ in 0..INPUT_READS_PER_TICK {
            let mut read = pin!(self.events.read(Vec::with_capacity(INPUT_BATCH)));
            let batch = read_now(read.as_mut()).await;
            if batch.is_empty() {
                return;
            }
            batch.iter().for_each(&mut *deliver);
        }
    }
}

/// What a read yields without waiting.
async fn read_now(mut read: Pin<&mut StreamRead<'_, Event>>) -> Vec<Event> {
    match poll!(read.as_mut()) {
        core::task::Poll::Ready((_, batch)) => batch,
        core::task::Poll::Pending => read.cancel().1,
    }
}
