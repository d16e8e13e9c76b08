//! Query sets (<https://www.w3.org/TR/webgpu/#queries>).

use wasmtime::component::Resource;

use super::WebGpuCtxView;
use super::bindings::wasi::webgpu::webgpu as wit;
use super::device::Device;
use super::labels;

/// `gpu-query-set`
pub struct QuerySet {
    pub(super) wgpu: wgpu::QuerySet,
    kind: wit::GpuQueryType,
    count: u32,
    label: String,
}

impl WebGpuCtxView<'_> {
    /// <https://www.w3.org/TR/webgpu/#dom-gpudevice-createqueryset>
    pub(super) fn make_query_set(
        &mut self,
        device: &Resource<Device>,
        descriptor: wit::GpuQuerySetDescriptor,
    ) -> wasmtime::Result<Result<Resource<QuerySet>, wit::CreateQuerySetError>> {
        let device = self.table.get(device)?;
        let ty = match descriptor.type_ {
            wit::GpuQueryType::Occlusion => wgpu::QueryType::Occlusion,
            wit::GpuQueryType::Timestamp
                if device.wgpu().features().contains(wgpu::Features::TIMESTAMP_QUERY) =>
            {
                wgpu::QueryType::Timestamp
            }
            wit::GpuQueryType::Timestamp => {
                return Ok(Err(wit::CreateQuerySetError {
                    kind: wit::CreateQuerySetErrorKind::TypeError,
                    message: "timestamp-query is not enabled on this device".to_owned(),
                }));
            }
        };
        let label = labels::of(descriptor.label);
        let wgpu = device.wgpu().create_query_set(&wgpu::QuerySetDescriptor {
            label: Some(&label),
            ty,
            count: descriptor.count,
        });
        let set = QuerySet { wgpu, kind: descriptor.type_, count: descriptor.count, label };
        Ok(Ok(self.table.push(set)?))
    }
}

impl wit::HostGpuQuerySet for WebGpuCtxView<'_> {
    fn destroy(&mut self, this: Resource<QuerySet>) -> wasmtime::Result<()> {
        self.table.get(&this)?.wgpu.destroy();
        Ok(())
    }

    fn type_(&mut self, this: Resource<QuerySet>) -> wasmtime::Result<wit::GpuQueryType> {
        Ok(self.table.get(&this)?.kind)
    }

    fn count(&mut self, this: Resource<QuerySet>) -> wasmtime::Result<u32> {
        Ok(self.table.get(&this)?.count)
    }

    super::object_base!(QuerySet);
}
