//! Devices: their loss, and how many a scene may have.

use super::*;

#[tokio::test]
async fn a_destroyed_device_is_lost_silently_and_its_calls_do_nothing() {
    let mut scene = Scene::new().await;
    let texture = scene.texture();
    let view = scene.view().create_view(lend(&texture), None).unwrap();
    let device = scene.device();
    HostGpuDevice::destroy(&mut scene.view(), device).unwrap();
    let encoder = scene.encoder();
    let pass = scene.pass(&encoder, &view);
    HostGpuRenderPassEncoder::end(&mut scene.view(), pass).unwrap();
    let commands = scene.finish(&encoder);
    scene.submit(&[&commands]);
    scene.buffer(16, GpuBufferUsage::VERTEX, true);
    scene.shader(RED);
    let device = scene.device();
    call(&mut scene.store, async |host| {
        let queue = host.with(|mut access| access.get().queue(device)).unwrap();
        WebGpu::on_submitted_work_done(host, queue).await.unwrap();
    })
    .await;
    assert_eq!(scene.errors(), Vec::<String>::new());
}

#[tokio::test]
async fn a_buffer_of_a_lost_device_is_not_mapped() {
    let mut scene = Scene::new().await;
    let readable = scene.buffer(16, GpuBufferUsage::MAP_READ | GpuBufferUsage::COPY_DST, false);
    let device = scene.device();
    HostGpuDevice::destroy(&mut scene.view(), device).unwrap();
    let answer = call(&mut scene.store, async |host| {
        WebGpu::map_async(host, lend(&readable), GpuMapMode::READ, None, None).await.unwrap()
    })
    .await;
    assert!(matches!(answer.unwrap_err().kind, MapAsyncErrorKind::AbortError));
}

#[tokio::test]
async fn a_scene_has_a_bounded_number_of_devices_and_one_that_is_dropped_makes_room() {
    let mut scene = Scene::new().await;
    let open = async |scene: &mut Scene| {
        call(&mut scene.store, async |host| {
            let gpu: Resource<GpuObject> = host.with(|mut access| access.get().get_gpu()).unwrap();
            let adapter = WebGpu::request_adapter(host, gpu, None).await.unwrap().unwrap();
            WebGpu::request_device(host, adapter, None).await.map(|device| device.unwrap())
        })
        .await
    };
    let mut last = None;
    for _ in 1..limits::DEVICES {
        last = Some(open(&mut scene).await.unwrap());
    }
    assert!(open(&mut scene).await.unwrap_err().downcast_ref::<OverQuota>().is_some());
    HostGpuDevice::drop(&mut scene.view(), last.unwrap()).unwrap();
    assert!(open(&mut scene).await.is_ok());
}

/// What became of a device, by its `lost`.
fn reason_of_loss(scene: &mut Scene, device: &Resource<Device>) -> GpuDeviceLostReason {
    let lost = scene.view().table.get(device).unwrap().loss();
    let info = lost.borrow().clone().expect("the device is lost");
    let info = scene.view().table.push(info).unwrap();
    scene.view().reason(info).unwrap()
}

#[tokio::test]
async fn row_37_a_device_that_its_driver_gave_up_is_lost_and_counted_and_the_next_one_works() {
    let mut scene = Scene::new().await;
    let work = scene.view().ctx.gpu_work();
    let device = scene.device();
    scene.view().table.get(&device).unwrap().fail("the GPU was reset");
    scene.view().table.get(&device).unwrap().fail("and this is not told any more");
    let device = scene.device();
    assert_eq!(reason_of_loss(&mut scene, &device), GpuDeviceLostReason::Unknown);
    assert_eq!(work.losses(), 1);
    // What is asked of it has no effect and is no error.
    scene.buffer(16, GpuBufferUsage::VERTEX, true);
    assert_eq!(scene.errors(), Vec::<String>::new());
    scene.device = call(&mut scene.store, async |host| {
        let gpu: Resource<GpuObject> = host.with(|mut access| access.get().get_gpu()).unwrap();
        let adapter = WebGpu::request_adapter(host, gpu, None).await.unwrap().unwrap();
        WebGpu::request_device(host, adapter, None).await.unwrap().unwrap()
    })
    .await;
    let texture = scene.texture();
    scene.view().create_view(lend(&texture), None).unwrap();
    assert_eq!(scene.errors(), Vec::<String>::new());
    assert_eq!(work.losses(), 1);
}

#[tokio::test]
async fn row_37_a_device_that_the_scene_destroys_is_no_loss_of_the_drivers() {
    let mut scene = Scene::new().await;
    let device = scene.device();
    HostGpuDevice::destroy(&mut scene.view(), device).unwrap();
    let device = scene.device();
    assert_eq!(reason_of_loss(&mut scene, &device), GpuDeviceLostReason::Destroyed);
    assert_eq!(scene.view().ctx.gpu_work().losses(), 0);
}

#[tokio::test]
async fn row_22_work_that_is_submitted_is_unfinished_until_the_driver_is_asked() {
    let mut scene = Scene::new().await;
    let work = scene.view().ctx.gpu_work();
    assert_eq!(work.unfinished(), []);
    let encoder = scene.encoder();
    let commands = scene.finish(&encoder);
    scene.submit(&[&commands]);
    assert_eq!(work.unfinished().len(), 1);
    while !work.unfinished().is_empty() {
        work.poll();
    }
}
