//! How a device is lost: who is told, and what of (<https://www.w3.org/TR/webgpu/#lose-the-device>).
//!
//! Knows the device's errors, which end with it, and nothing else of devices.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::sync::watch;
use wasmtime::StoreContextMut;
use wasmtime::component::{FutureProducer, Resource};

use super::super::WebGpuCtxView;
use super::super::bindings::wasi::webgpu::webgpu as wit;
use super::super::errors::ErrorSink;
use super::super::quota::Quota;

/// Why a device ended.
#[derive(Clone, Debug)]
pub struct LostInfo {
    pub(super) reason: wit::GpuDeviceLostReason,
    pub(super) message: String,
}

/// What is told of the loss of a device, and to whom.
#[derive(Clone)]
pub(super) struct Loss {
    pub(super) errors: Arc<ErrorSink>,
    pub(super) lost: Arc<watch::Sender<Option<LostInfo>>>,
    pub(super) quota: Arc<Quota>,
}

impl Loss {
    /// The first loss counts. One that nobody asked for is noted for those who watch over the scene.
    pub(super) fn happened(&self, info: LostInfo) {
        self.errors.lose();
        let was_given_up = info.reason == wit::GpuDeviceLostReason::Unknown;
        let is_first = self.lost.send_if_modified(|slot| {
            let first = slot.is_none();
            slot.get_or_insert(info);
            first
        });
        if is_first && was_given_up {
            self.quota.count_loss();
        }
    }

    /// The driver gave the device up.
    pub(super) fn given_up(&self, message: &str) {
        let reason = wit::GpuDeviceLostReason::Unknown;
        self.happened(LostInfo { reason, message: message.to_owned() });
    }
}

/// The host's end of `lost`'s future.
pub(super) struct LostFuture<T: 'static> {
    pub(super) info: BoxFuture<'static, Option<LostInfo>>,
    pub(super) view: fn(&mut T) -> WebGpuCtxView<'_>,
}

impl<T: 'static> FutureProducer<T> for LostFuture<T> {
    type Item = Resource<LostInfo>;

    fn poll_produce(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut store: StoreContextMut<T>,
        finish: bool,
    ) -> Poll<wasmtime::Result<Option<Self::Item>>> {
        match self.info.poll_unpin(cx) {
            Poll::Ready(Some(info)) => Poll::Ready(Ok(Some((self.view)(store.data_mut()).table.push(info)?))),
            // A device that nobody has any longer is never lost.
            Poll::Ready(None) | Poll::Pending if finish => Poll::Ready(Ok(None)),
            Poll::Ready(None) => {
                self.info = futures::future::pending().boxed();
                Poll::Pending
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl wit::HostGpuDeviceLostInfo for WebGpuCtxView<'_> {
    fn reason(&mut self, this: Resource<LostInfo>) -> wasmtime::Result<wit::GpuDeviceLostReason> {
        Ok(self.table.get(&this)?.reason)
    }

    fn message(&mut self, this: Resource<LostInfo>) -> wasmtime::Result<String> {
        Ok(self.table.get(&this)?.message.clone())
    }

    super::super::drop_entry!(LostInfo);
}
