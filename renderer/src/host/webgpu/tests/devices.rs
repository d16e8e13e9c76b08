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
