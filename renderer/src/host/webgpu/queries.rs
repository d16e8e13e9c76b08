//! Query sets (<https://www.w3.org/TR/webgpu/#queries>).

use std::sync::Arc;

use wasmtime::component::Resource;

use super::WebGpuCtxView;
use super::bindings::wasi::webgpu::webgpu as wit;
use super::device::Device;
use super::quota::{Claim, Kind};
use super::{labels, memory};

/// `gpu-query-set`
pub struct QuerySet {
    pub(super) wgpu: wgpu::QuerySet,
    kind: wit::GpuQueryType,
    count: u32,
    label: String,
    device: Device,
    claim: Option<Arc<Claim>>,
}

/// What is wrong with writing a query of an empty set, which wgpu would do: see [`WebGpuCtxView::make_query_set`].
pub(super) const NO_QUERIES: &str = "the query set has no queries";

impl QuerySet {
    /// Whether it has no queries.
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// <https://www.w3.org/TR/webgpu/#dom-gpuqueryset-destroy>
    fn destroy(&self) {
        self.wgpu.destroy();
        if let Some(claim) = &self.claim {
            claim.release_memory();
        }
    }

    /// The device was destroyed; another device's query set is not concerned.
    pub(super) fn destroy_with(&self, device: &Device) {
        if self.device.is(device) {
            self.destroy();
        }
    }
}

impl WebGpuCtxView<'_> {
    /// <https://www.w3.org/TR/webgpu/#dom-gpudevice-createqueryset>
    pub(super) fn make_query_set(
        &mut self,
        device: &Resource<Device>,
        descriptor: wit::GpuQuerySetDescriptor,
    ) -> wasmtime::Result<Result<Resource<QuerySet>, wit::CreateQuerySetError>> {
        let device = self.table.get(device)?.clone();
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
        let create = |device: &wgpu::Device, count| {
            device.create_query_set(&wgpu::QuerySetDescriptor { label: Some(&label), ty, count })
        };
        // wgpu has no set of no queries, which the standard allows.
        let count = descriptor.count.max(1);
        let (wgpu, claim) = if count <= wgpu::QUERY_SET_MAX_QUERIES {
            device.make_counted(
                (Kind::QuerySet, memory::query_set_bytes(count)),
                || format!("the {count} queries of the query set {label:?}"),
                |device| create(device, count),
                |device| create(device, 0),
                |_| {},
            )
        } else {
            (create(device.wgpu(), count), None)
        };
        let set = QuerySet { wgpu, kind: descriptor.type_, count: descriptor.count, label, device, claim };
        Ok(Ok(self.table.push(set)?))
    }
}

impl wit::HostGpuQuerySet for WebGpuCtxView<'_> {
    fn destroy(&mut self, this: Resource<QuerySet>) -> wasmtime::Result<()> {
        self.table.get(&this)?.destroy();
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
