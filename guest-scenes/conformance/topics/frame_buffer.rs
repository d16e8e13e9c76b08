//! Pictures that are drawn on the processor: `wasi-gfx:frame-buffer`, and `surface-frame-buffer` of `wasi-gfx:surface`.

use conformance::kit::surface::{CreateDesc, Surface, surface_frame_buffer::Context};
use conformance::{Host, Topic};

conformance::export_topic!(run);

const RED: [u8; 4] = [0, 0, 255, 0];
const BLUE: [u8; 4] = [255, 0, 0, 0];

async fn run(topic: &mut Topic) {
    let mut host = Host::listen();
    let surface = Surface::new(CreateDesc { width: None, height: None });
    let context = Context::new(&surface);
    let bytes = (surface.width() * surface.height() * 4) as usize;
    // Nothing is to be shown by this.
    context.present();

    let buffer = context.get_current_buffer();
    topic.check("a new buffer has zeros for the surface's pixels", buffer.get_with_copy() == vec![0; bytes]);
    let picture = RED.repeat(bytes / RED.len());
    buffer.set_with_copy(&picture);
    topic.check("a buffer has what it was set to", buffer.get_with_copy() == picture);
    let same = context.get_current_buffer();
    topic.check("a buffer is the same one until it is presented", same.get_with_copy() == picture);
    context.present();
    host.asked(topic, "presented").await;

    topic.check("a presented buffer has no pixels any more", buffer.get_with_copy() == vec![0; bytes]);
    let next = context.get_current_buffer();
    topic.check("the next buffer has zeros again", next.get_with_copy() == vec![0; bytes]);

    let mut sizes = surface.on_resize();
    host.asked(topic, "resize").await;
    let size = sizes.next().await.expect("the stream of sizes goes on");
    let resized = context.get_current_buffer();
    let bytes = (size.width * size.height * 4) as usize;
    topic.equal("a buffer after a resize has its size", resized.get_with_copy().len(), bytes);
    next.set_with_copy(&BLUE.repeat(picture.len() / BLUE.len()));
    context.present();
    host.asked(topic, "presented in the size before the resize").await;
    context.get_current_buffer().set_with_copy(&RED.repeat(bytes / RED.len()));
    context.present();
    host.asked(topic, "presented in the size of the resize").await;
}
