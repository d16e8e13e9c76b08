//! The pipeline as its neighbours see it: textures go in, access units come out.

use std::{sync::mpsc, time::Duration};

use renderer_protocol::{AccessUnit, EndReason, FrameSize, SceneFault};

use super::*;
use crate::{
    encode::test_bitstream::{Decoder, IDR_SLICE, PPS, SPS, nal_types, psnr_db, sps},
    frame::{CpuPicture, PresentInfo, Presented, Presenter, convert_cpu::tests::reference, test_gpu},
};

const FORMAT: wgpu::TextureFormat = wgpu::TextureFormat::Rgba8Unorm;
/// Keep-alives stay away from the tests that are not about them.
const NEVER_US: u64 = 3_600_000_000;
/// Longer than anything takes; ends a test that would hang.
const PATIENCE: Duration = Duration::from_mins(1);

impl Sink for mpsc::SyncSender<Output> {
    fn send(&mut self, output: Output) -> Result<(), SinkClosed> {
        mpsc::SyncSender::send(self, output).map_err(|_| SinkClosed)
    }
}

struct Rig {
    device: wgpu::Device,
    queue: wgpu::Queue,
    presenter: Presenter,
    handle: PipelineHandle,
    thread: JoinHandle<PipelineEnd>,
    outputs: mpsc::Receiver<Output>,
}

/// Waits for nothing that a test does not ask for.
const QUIET: Timing = Timing { keep_alive_us: NEVER_US, settle_us: 0, gpu_timeout_ms: GPU_TIMEOUT_MS };

fn rig(timing: Timing, outputs: usize) -> Rig {
    rig_on(true, timing, outputs)
}

/// With the conversion of a CPU adapter, or that of a GPU, which the software driver runs, too.
fn rig_on(is_cpu: bool, timing: Timing, outputs: usize) -> Rig {
    let (device, queue) = test_gpu::open();
    let (sink, outputs) = mpsc::sync_channel(outputs);
    let clock = FrameClock::real();
    let config =
        PipelineConfig { clock, frame_rate_hz: 30, bitrate_bps: 2_000_000, encoder_threads: 1, timing };
    let Pipeline { frames, handle, thread } = Pipeline::spawn(config, sink).unwrap();
    let presenter = Presenter::new(frames, is_cpu);
    Rig { device, queue, presenter, handle, thread, outputs }
}

impl Rig {
    /// Presents a picture of one grey, with its number as sequence.
    fn present(&mut self, (width, height): (u32, u32), grey: u8, number: u64) -> Presented {
        let size = FrameSize::new(width, height).unwrap();
        let texture = test_gpu::texture((&self.device, &self.queue), size, FORMAT, |x, _| {
            vec![grey, grey, if x < width / 2 { 200 } else { grey }, 255]
        });
        let info = PresentInfo { pts_us: number * 1000, input_sequence: number, scene_us: 123 };
        self.presenter.present(&self.device, &self.queue, &texture, info).unwrap()
    }

    fn output(&self) -> Output {
        self.outputs.recv_timeout(PATIENCE).expect("an output")
    }

    fn unit(&self) -> AccessUnit {
        match self.output() {
            Output::AccessUnit(unit) => unit,
            other => panic!("{other:?} instead of an access unit"),
        }
    }
}

#[test]
fn a_presented_frame_comes_out_as_an_access_unit_that_tells_where_it_came_from() {
    let mut rig = rig(QUIET, 8);
    assert_eq!(rig.present((64, 48), 90, 7), Presented::Posted);
    let unit = rig.unit();
    assert_eq!(nal_types(&unit.data), [SPS, PPS, IDR_SLICE]);
    assert_eq!((unit.pts_us, unit.input_sequence, unit.times.scene_us), (7000, 7, 123));
    assert!(unit.keyframe && !unit.keep_alive);
    assert_eq!(unit.size, FrameSize::new(64, 48).unwrap());
    rig.present((64, 48), 180, 8);
    let unit = rig.unit();
    assert_eq!((unit.pts_us, unit.input_sequence, unit.keyframe), (8000, 8, false));
}

#[test]
fn an_unchanged_frame_is_not_encoded_and_its_input_is_acknowledged_by_the_next_that_is() {
    let mut rig = rig(QUIET, 8);
    rig.present((64, 48), 90, 1);
    rig.unit();
    rig.present((64, 48), 90, 9);
    // The one way to see that it was taken: a keyframe that is asked for carries its sequence.
    let acknowledged = loop {
        rig.handle.request_keyframe();
        let unit = rig.unit();
        assert!(unit.keyframe, "an access unit that nobody asked for: {unit:?}");
        if unit.input_sequence == 9 {
            break unit;
        }
    };
    assert!(!acknowledged.keep_alive);
}

#[test]
fn a_still_picture_gives_keep_alives_of_a_few_bytes_whose_times_rise() {
    let mut rig = rig(Timing { keep_alive_us: 2_000, ..QUIET }, 8);
    rig.present((64, 48), 90, 3);
    let mut previous = rig.unit();
    assert!(!previous.keep_alive);
    for _ in 0..5 {
        let unit = rig.unit();
        assert!(unit.keep_alive && !unit.keyframe, "{unit:?}");
        assert!(unit.pts_us > previous.pts_us, "{} after {}", unit.pts_us, previous.pts_us);
        assert!(unit.data.len() < 100, "{} bytes", unit.data.len());
        assert_eq!(unit.input_sequence, 3);
        previous = unit;
    }
}

#[test]
fn a_picture_that_stops_changing_becomes_sharper_until_there_is_nothing_to_add() {
    let mut rig = rig(Timing { settle_us: NEVER_US, ..QUIET }, 8);
    let size = FrameSize::new(320, 180).unwrap();
    let texel = |frame: u32, x: u32, y: u32| {
        let texel = ((x / 3 + 5 * frame) * 37 + (y / 3) * 91) % 200;
        [texel, 255 - texel, (x + y) % 256, 255].map(|value| u8::try_from(value).unwrap())
    };
    rig.handle.set_bitrate(300_000);
    let (mut decoder, black) = (Decoder::new(), I420::new(size));
    let mut moving = None;
    for frame in 0..4 {
        let texture =
            test_gpu::texture((&rig.device, &rig.queue), size, FORMAT, |x, y| texel(frame, x, y).to_vec());
        rig.presenter.present(&rig.device, &rig.queue, &texture, PresentInfo::default()).unwrap();
        moving = Some(decoder.decode(&rig.unit().data, &black));
    }
    let (mut refinements, mut small) = (0, 0);
    let still = loop {
        let unit = rig.unit();
        assert!(!unit.keep_alive && !unit.keyframe);
        let picture = decoder.decode(&unit.data, &black);
        refinements += 1;
        small = if unit.data.len() < SETTLED_BYTES { small + 1 } else { 0 };
        if small == SETTLED_UNITS {
            break picture;
        }
    };
    assert!(rig.outputs.recv_timeout(Duration::from_millis(300)).is_err(), "it goes on when it has settled");
    let presented = reference(|x, y| std::array::from_fn(|channel| f64::from(texel(3, x, y)[channel])), size);
    let (moving_db, still_db) = (psnr_db(&moving.unwrap(), &presented)[0], psnr_db(&still, &presented)[0]);
    assert!(still_db > moving_db + 3.0, "from {moving_db} to {still_db} dB in {refinements} steps");
}

#[test]
fn a_keyframe_that_is_asked_for_while_nothing_moves_shows_the_picture_at_once() {
    let mut rig = rig(QUIET, 8);
    rig.present((64, 48), 90, 1);
    let first = rig.unit();
    rig.handle.request_keyframe();
    let joined = rig.unit();
    assert_eq!(nal_types(&joined.data), [SPS, PPS, IDR_SLICE]);
    assert!(joined.pts_us > first.pts_us && !joined.keep_alive);
    let black = I420::new(first.size);
    let (before, after) =
        (Decoder::new().decode(&first.data, &black), Decoder::new().decode(&joined.data, &black));
    assert!(psnr_db(&before, &after).iter().all(|db| *db > 35.0));
}

#[test]
fn requests_before_the_first_picture_are_one_keyframe() {
    let mut rig = rig(QUIET, 8);
    rig.handle.request_keyframe();
    rig.handle.request_keyframe();
    rig.present((64, 48), 90, 1);
    assert!(rig.unit().keyframe);
    rig.present((64, 48), 180, 2);
    let second = rig.unit();
    assert_eq!((second.keyframe, second.input_sequence), (false, 2));
}

#[test]
fn another_size_starts_with_a_keyframe_of_that_size() {
    let mut rig = rig(QUIET, 8);
    for (number, (width, height)) in [(64, 48), (128, 96), (34, 18)].into_iter().enumerate() {
        rig.present((width, height), 90, number as u64);
        let unit = rig.unit();
        assert!(unit.keyframe);
        assert_eq!(unit.size, FrameSize::new(width, height).unwrap());
        assert_eq!((sps(&unit.data).width, sps(&unit.data).height), (width, height));
    }
}

#[test]
fn while_the_output_is_blocked_the_latest_frame_wins_and_every_other_is_counted() {
    // A channel without room: the pipeline waits with the first access unit until it is taken.
    let mut rig = rig(QUIET, 0);
    let last = 12;
    for number in 1..=last {
        rig.present((64, 48), 10 * u8::try_from(number).unwrap(), number);
    }
    let (mut units, mut dropped, mut shown) = (0, 0, 0);
    while units + dropped < last {
        match rig.output() {
            Output::AccessUnit(unit) => {
                units += 1;
                shown = unit.input_sequence;
            }
            Output::FramesDropped { count } => dropped += u64::from(count),
            Output::Ended(end) => panic!("{end}"),
        }
    }
    assert_eq!((units + dropped, shown), (last, last));
    assert!(dropped > 0, "a blocked pipeline took every frame");
}

#[test]
fn nothing_is_encoded_while_nobody_watches_and_the_picture_of_now_when_somebody_does() {
    let mut rig = rig(Timing { keep_alive_us: 1_000, ..QUIET }, 8);
    rig.handle.set_watched(false);
    rig.present((64, 48), 90, 5);
    assert!(rig.outputs.recv_timeout(Duration::from_millis(50)).is_err());
    rig.handle.set_watched(true);
    let unit = rig.unit();
    assert_eq!((unit.input_sequence, unit.keyframe, unit.keep_alive), (5, true, false));
}

#[test]
fn it_ends_when_it_is_stopped_when_the_presenter_goes_and_when_nobody_takes_its_output() {
    let stopped = rig(QUIET, 8);
    stopped.handle.stop();
    assert!(matches!(stopped.output(), Output::Ended(PipelineEnd::Stopped)));
    assert_eq!(stopped.thread.join().unwrap(), PipelineEnd::Stopped);
    assert!(stopped.outputs.recv().is_err(), "an output after the last");

    let left = rig(QUIET, 8);
    drop(left.presenter);
    assert_eq!(left.thread.join().unwrap(), PipelineEnd::Stopped);

    let mut alone = rig(QUIET, 8);
    drop(alone.outputs);
    let size = FrameSize::new(64, 48).unwrap();
    let texture = test_gpu::texture((&alone.device, &alone.queue), size, FORMAT, |_, _| vec![1; 4]);
    alone.presenter.present(&alone.device, &alone.queue, &texture, PresentInfo::default()).unwrap();
    assert_eq!(alone.thread.join().unwrap(), PipelineEnd::Sink(SinkClosed));
    assert_eq!(
        alone.presenter.present(&alone.device, &alone.queue, &texture, PresentInfo::default()),
        Ok(Presented::Closed)
    );
}

#[test]
fn a_scene_s_work_that_takes_too_long_ends_the_pipeline() {
    let mut rig = rig(Timing { gpu_timeout_ms: 20, ..QUIET }, 8);
    test_gpu::keep_busy(&rig.device, &rig.queue);
    rig.present((64, 48), 90, 1);
    let Output::Ended(PipelineEnd::GpuTimeout { waited_ms }) = rig.output() else { panic!("no time-out") };
    assert!(waited_ms >= 20);
    assert_eq!(rig.present((64, 48), 90, 2), Presented::Closed);
}

#[test]
fn a_gpu_that_hangs_is_the_scene_s_fault_and_a_lost_device_is_not() {
    let hang = PipelineEnd::from(CaptureError::Timeout { waited_ms: GPU_TIMEOUT_MS });
    assert_eq!(EndReason::from(hang), EndReason::Scene(SceneFault::GpuTimeout { waited_ms: GPU_TIMEOUT_MS }));
    let lost = PipelineEnd::from(CaptureError::Device("lost".to_owned()));
    assert!(matches!(EndReason::from(lost), EndReason::Internal(_)));
}

#[test]
fn a_gpu_s_conversion_gives_the_same_picture_as_a_cpu_adapter_s() {
    let size = FrameSize::new(100, 38).unwrap();
    let decoded = [true, false].map(|is_cpu| {
        let rig = rig_on(is_cpu, QUIET, 8);
        let format = wgpu::TextureFormat::Bgra8UnormSrgb;
        let texture = test_gpu::texture((&rig.device, &rig.queue), size, format, |x, y| {
            [2 * x, 5 * y, 90, 255].map(|value| u8::try_from(value).unwrap()).to_vec()
        });
        let mut presenter = rig.presenter;
        presenter.present(&rig.device, &rig.queue, &texture, PresentInfo::default()).unwrap();
        let Output::AccessUnit(unit) = rig.outputs.recv_timeout(PATIENCE).unwrap() else {
            panic!("no access unit")
        };
        Decoder::new().decode(&unit.data, &I420::new(size))
    });
    let psnr_db = psnr_db(&decoded[0], &decoded[1]);
    assert!(psnr_db.iter().all(|db| *db > 40.0), "{psnr_db:?} dB");
}

#[test]
fn a_picture_that_was_drawn_on_the_processor_comes_out_as_the_same_one_of_a_gpu_does() {
    let size = FrameSize::new(100, 38).unwrap();
    let pixel = |x: u32, y: u32| [2 * x, 5 * y, 90, 0].map(|value| u8::try_from(value).unwrap());
    let units = [true, false].map(|on_gpu| {
        let mut rig = rig(QUIET, 8);
        let info = PresentInfo { pts_us: 5_000, input_sequence: 3, scene_us: 12 };
        if on_gpu {
            let format = wgpu::TextureFormat::Bgra8Unorm;
            let texture =
                test_gpu::texture((&rig.device, &rig.queue), size, format, |x, y| pixel(x, y).to_vec());
            rig.presenter.present(&rig.device, &rig.queue, &texture, info).unwrap();
        } else {
            let positions = (0..size.height()).flat_map(|y| (0..size.width()).map(move |x| (x, y)));
            let pixels = positions.flat_map(|(x, y)| pixel(x, y)).collect();
            let picture = CpuPicture::new(size, pixels).unwrap();
            assert_eq!(rig.presenter.present_picture(picture, info), Presented::Posted);
        }
        rig.unit()
    });
    assert_eq!(units[0].data, units[1].data);
    let facts = units.map(|unit| (unit.size, unit.pts_us, unit.input_sequence, unit.times.scene_us));
    assert_eq!(facts, [(size, 5_000, 3, 12); 2]);
}

#[test]
fn a_scene_that_presents_without_pause_has_its_lost_pictures_told_once_a_frame() {
    let clock = FrameClock::real();
    let mut rig = rig(QUIET, 100_000);
    let size = FrameSize::new(64, 48).unwrap();
    let last = 2_000_u64;
    for number in 1..=last {
        // The last one is like no other, so it is shown.
        let grey = if number == last { 255 } else { u8::try_from(number % 200).unwrap() };
        let pixels = vec![grey; CpuPicture::bytes(size)];
        let info = PresentInfo { pts_us: number, input_sequence: number, ..PresentInfo::default() };
        rig.presenter.present_picture(CpuPicture::new(size, pixels).unwrap(), info);
    }
    let mut reports = 0;
    loop {
        match rig.output() {
            Output::AccessUnit(unit) if unit.input_sequence == last => break,
            Output::AccessUnit(_) => {}
            Output::FramesDropped { .. } => reports += 1,
            Output::Ended(end) => panic!("{end}"),
        }
    }
    let frames = clock.now_us() / 33_333;
    assert!(reports <= frames + 1, "{reports} reports in {frames} frames' time");
}

#[test]
fn pictures_of_both_kinds_share_one_mailbox_and_the_latest_wins() {
    // A channel without room: the pipeline waits with the first access unit until it is taken.
    let mut rig = rig(QUIET, 0);
    let size = FrameSize::new(64, 48).unwrap();
    let last: u8 = 12;
    for number in 1..=last {
        if number % 2 == 0 {
            let pixels = vec![10 * number; CpuPicture::bytes(size)];
            let info = PresentInfo { input_sequence: number.into(), ..PresentInfo::default() };
            rig.presenter.present_picture(CpuPicture::new(size, pixels).unwrap(), info);
        } else {
            rig.present((64, 48), 10 * number, number.into());
        }
    }
    let (mut units, mut dropped, mut shown) = (0, 0, 0);
    while units + dropped < u32::from(last) {
        match rig.output() {
            Output::AccessUnit(unit) => {
                units += 1;
                shown = unit.input_sequence;
            }
            Output::FramesDropped { count } => dropped += count,
            Output::Ended(end) => panic!("{end}"),
        }
    }
    assert_eq!((units + dropped, shown), (last.into(), last.into()));
}
