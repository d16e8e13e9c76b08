//! Buffers and their mapping (<https://www.w3.org/TR/webgpu/#buffers>).

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::channel::oneshot;
use wasmtime::component::{Accessor, Resource};

use super::bindings::wasi::webgpu::webgpu as wit;
use super::device::Device;
use super::quota::{Claim, Kind};
use super::{WebGpu, WebGpuCtxView, labels, memory};

/// Where a mapped range may begin.
const MAP_OFFSET_ALIGNMENT: u64 = 8;
/// Of what a mapped range's length is a multiple.
const MAP_SIZE_ALIGNMENT: u64 = 4;
/// One byte of it is bound.
const STAND_IN_BYTES: u64 = 4;

/// `gpu-buffer`
pub struct Buffer {
    pub(super) wgpu: wgpu::Buffer,
    device: Device,
    usage: wit::GpuBufferUsage,
    label: String,
    map: Arc<Mutex<MapState>>,
    /// `None` if there was no memory for it.
    pub(super) claim: Option<Arc<Claim>>,
    /// The copy that wgpu keeps of a buffer that is mapped at its creation, unless it is one that can be mapped to write.
    mapped_copy: Mutex<Option<Arc<Claim>>>,
    /// What is bound for vertices and indices in place of a buffer of no bytes.
    stand_in: Option<wgpu::Buffer>,
}

/// wgpu panics where a mapping is misused, so its state is followed here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum MapState {
    #[default]
    Unmapped,
    /// Between `map-async` and its answer. `unmap` and another `map-async` may follow each other before the first answer comes,
    /// and so answers are told apart.
    Pending {
        ticket: u64,
        range: Range<u64>,
        writable: bool,
    },
    Mapped {
        range: Range<u64>,
        writable: bool,
    },
}

impl Buffer {
    fn map(&self) -> MutexGuard<'_, MapState> {
        // One assignment at a time: never half-written.
        self.map.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `offset` and `size` as a range, if it is within the buffer.
    pub(super) fn range(&self, offset: Option<u64>, size: Option<u64>) -> Option<Range<u64>> {
        let start = offset.unwrap_or(0);
        let size = match size {
            Some(size) => size,
            None => self.wgpu.size().checked_sub(start)?,
        };
        let end = start.checked_add(size)?;
        (end <= self.wgpu.size()).then_some(start..end)
    }

    /// What wgpu is told to bind of this part of the buffer, for vertices or indices that lie at multiples of so many bytes.
    ///
    /// No bytes may be bound, which wgpu's interface cannot say; it is then told to bind one, which no index fits into, and no vertex
    /// except of a single format of one byte.
    pub(super) fn bound(
        &self,
        offset: Option<u64>,
        size: Option<u64>,
        alignment: u64,
    ) -> Option<(&wgpu::Buffer, Range<u64>)> {
        let range = self.range(offset, size)?;
        if !range.is_empty() {
            Some((&self.wgpu, range))
        } else if !range.start.is_multiple_of(alignment) {
            None
        } else if self.wgpu.size() > 0 {
            Some((&self.wgpu, 0..1))
        } else {
            self.stand_in.as_ref().map(|stand_in| (stand_in, 0..1))
        }
    }

    /// What can be read and written now.
    fn mapped_range(
        &self,
        offset: Option<u64>,
        size: Option<u64>,
    ) -> Result<(Range<u64>, bool), wit::GetMappedRangeError> {
        let refuse = |message: String| wit::GetMappedRangeError {
            kind: wit::GetMappedRangeErrorKind::OperationError,
            message,
        };
        let MapState::Mapped { range: mapped, writable } = self.map().clone() else {
            return Err(refuse(format!("the buffer {:?} is not mapped", self.label)));
        };
        let range =
            self.range(offset, size).filter(|range| range.start >= mapped.start && range.end <= mapped.end);
        let Some(range) = range else {
            return Err(refuse(format!(
                "offset {offset:?} and size {size:?} are not within the mapped range {mapped:?} of the buffer {:?}",
                self.label
            )));
        };
        if !aligned(&range) {
            return Err(refuse(format!(
                "a mapped range begins at a multiple of {MAP_OFFSET_ALIGNMENT} and has a multiple of {MAP_SIZE_ALIGNMENT} bytes; \
                 {range:?} does not"
            )));
        }
        Ok((range, writable))
    }

    /// True if there was a mapping, or one on its way.
    fn unmap(&self) -> bool {
        let was = std::mem::take(&mut *self.map());
        // wgpu answers a pending request with an error in this call, so the lock must be free.
        if was != MapState::Unmapped {
            // To unmap an invalid buffer is no error: <https://www.w3.org/TR/webgpu/#dom-gpubuffer-unmap>
            self.device.unheard(|_| self.wgpu.unmap());
            let copy = self.mapped_copy.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(copy) = copy {
                copy.release_with_next_submit();
            }
        }
        was != MapState::Unmapped
    }

    /// <https://www.w3.org/TR/webgpu/#dom-gpubuffer-destroy>
    fn destroy(&self) {
        self.unmap();
        self.wgpu.destroy();
        if let Some(stand_in) = &self.stand_in {
            stand_in.destroy();
        }
        if let Some(claim) = &self.claim {
            claim.release_memory();
        }
    }

    /// The device was destroyed; another device's buffer is not concerned.
    pub(super) fn destroy_with(&self, device: &Device) {
        if self.device.is(device) {
            self.destroy();
        }
    }

    /// What a range has for which wgpu has no memory. An invalid buffer can be read and written like others:
    /// <https://www.w3.org/TR/webgpu/#dom-gpudevice-createbuffer> maps a buffer before anybody knows whether it is valid. One that there was
    /// no memory for cannot.
    fn lacking(&self, range: &Range<u64>) -> Result<Vec<u8>, wit::GetMappedRangeError> {
        let length = range.end.saturating_sub(range.start);
        match usize::try_from(length) {
            Ok(bytes) if self.claim.is_some() => Ok(vec![0; bytes]),
            _ => Err(wit::GetMappedRangeError {
                kind: wit::GetMappedRangeErrorKind::RangeError,
                message: format!("there is no memory for {length} bytes of the buffer {:?}", self.label),
            }),
        }
    }
}

fn aligned(range: &Range<u64>) -> bool {
    range.start.is_multiple_of(MAP_OFFSET_ALIGNMENT)
        && range.end.saturating_sub(range.start).is_multiple_of(MAP_SIZE_ALIGNMENT)
}

fn map_error(kind: wit::MapAsyncErrorKind, message: impl Into<String>) -> wit::MapAsyncError {
    wit::MapAsyncError { kind, message: message.into() }
}

fn lost() -> wit::MapAsyncError {
    map_error(wit::MapAsyncErrorKind::AbortError, "the device was lost")
}

/// A buffer if there is memory for it, and its place in the quota.
///
/// Where JavaScript throws a `RangeError` for a buffer that cannot be mapped at its creation, the interface has no result to carry one. It
/// is invalid then like any other that there is no memory for, and so is each of its mapped ranges.
fn create(
    device: &Device,
    label: &str,
    (size, usage, mapped_at_creation): (u64, wit::GpuBufferUsage, bool),
) -> (wgpu::Buffer, Option<Arc<Claim>>, Option<Arc<Claim>>) {
    let describe =
        |size, usage| wgpu::BufferDescriptor { label: Some(label), size, usage, mapped_at_creation };
    let descriptor = describe(size, usage.into());
    let refused = size > device.wgpu().limits().max_buffer_size
        || (mapped_at_creation && !size.is_multiple_of(wgpu::COPY_BUFFER_ALIGNMENT));
    if refused {
        return (device.wgpu().create_buffer(&descriptor), None, None);
    }
    let bytes = memory::buffer_bytes(size);
    let has_copy = mapped_at_creation && !usage.contains(wit::GpuBufferUsage::MAP_WRITE);
    let copy = if has_copy { device.claim_memory(None, bytes).map(Some) } else { Ok(None) };
    // Without a place for the copy, the buffer asks for more than there can be.
    let needed = if copy.is_ok() { bytes } else { u64::MAX };
    let (wgpu, claim) = device.make_counted(
        (Kind::Buffer, needed),
        || format!("the {size} bytes of the buffer {label:?}"),
        |device| device.create_buffer(&descriptor),
        // No buffer has no usage.
        |device| device.create_buffer(&describe(size, wgpu::BufferUsages::empty())),
        |device| drop(device.create_buffer(&describe(0, descriptor.usage))),
    );
    let copy = copy.ok().flatten().filter(|copy| {
        let is_made = claim.as_ref().is_some_and(|claim| claim.has_memory());
        if !is_made {
            copy.without_memory();
        }
        is_made
    });
    (wgpu, claim, copy)
}

impl WebGpuCtxView<'_> {
    /// <https://www.w3.org/TR/webgpu/#dom-gpudevice-createbuffer>
    pub(super) fn make_buffer(
        &mut self,
        device: &Resource<Device>,
        descriptor: wit::GpuBufferDescriptor,
    ) -> wasmtime::Result<Resource<Buffer>> {
        let device = self.table.get(device)?.clone();
        let mapped = descriptor.mapped_at_creation.unwrap_or(false);
        let (size, usage) = (descriptor.size, descriptor.usage);
        let label = labels::of(descriptor.label);
        let (wgpu, claim, mapped_copy) = create(&device, &label, (size, usage, mapped));
        let map =
            if mapped { MapState::Mapped { range: 0..size, writable: true } } else { MapState::Unmapped };
        let bound = wgpu.usage() & (wgpu::BufferUsages::VERTEX | wgpu::BufferUsages::INDEX);
        let stand_in = (size == 0 && !bound.is_empty()).then(|| {
            device.wgpu().create_buffer(&wgpu::BufferDescriptor {
                label: Some(&label),
                size: STAND_IN_BYTES,
                usage: bound,
                mapped_at_creation: false,
            })
        });
        let buffer = Buffer {
            stand_in,
            wgpu,
            device,
            usage,
            label,
            map: Arc::new(Mutex::new(map)),
            claim,
            mapped_copy: Mutex::new(mapped_copy),
        };
        Ok(self.table.push(buffer)?)
    }

    /// The part of `map-async` that happens at the call.
    fn start_map(
        &mut self,
        this: &Resource<Buffer>,
        mode: wit::GpuMapMode,
        offset: Option<u64>,
        size: Option<u64>,
    ) -> wasmtime::Result<
        Result<impl Future<Output = Result<(), wit::MapAsyncError>> + Send + use<>, wit::MapAsyncError>,
    > {
        let buffer = self.table.get(this)?;
        let label = &buffer.label;
        if *buffer.map() != MapState::Unmapped {
            let message = format!("the buffer {label:?} is mapped, or about to be");
            buffer.device.invalid(message.clone());
            return Ok(Err(map_error(wit::MapAsyncErrorKind::OperationError, message)));
        }
        if buffer.device.is_lost() {
            return Ok(Err(lost()));
        }
        let (wgpu_mode, usage) = if mode == wit::GpuMapMode::READ {
            (wgpu::MapMode::Read, wit::GpuBufferUsage::MAP_READ)
        } else {
            (wgpu::MapMode::Write, wit::GpuBufferUsage::MAP_WRITE)
        };
        let range = buffer.range(offset, size);
        let refusal = match &range {
            _ if mode != wit::GpuMapMode::READ && mode != wit::GpuMapMode::WRITE => {
                Some("a buffer is mapped either to read or to write".to_owned())
            }
            _ if !buffer.usage.contains(usage) => {
                Some(format!("the usage of the buffer {label:?} lacks {usage:?}"))
            }
            None => Some(format!("offset {offset:?} and size {size:?} are not within the buffer {label:?}")),
            Some(range) if !aligned(range) => Some(format!(
                "a mapped range begins at a multiple of {MAP_OFFSET_ALIGNMENT} and has a multiple of {MAP_SIZE_ALIGNMENT} bytes; \
                 {range:?} does not"
            )),
            Some(_) => None,
        };
        let (None, Some(range)) = (&refusal, range) else {
            let message = refusal.unwrap_or_default();
            buffer.device.invalid(message.clone());
            return Ok(Err(map_error(wit::MapAsyncErrorKind::OperationError, message)));
        };
        let ticket = self.ctx.next_ticket();
        let writable = wgpu_mode == wgpu::MapMode::Write;
        *buffer.map() = MapState::Pending { ticket, range: range.clone(), writable };
        let (done, answer) = oneshot::channel();
        let map = Arc::clone(&buffer.map);
        let loss = buffer.device.loss();
        buffer.wgpu.slice(range.clone()).map_async(wgpu_mode, move |result| {
            let mut state = map.lock().unwrap_or_else(PoisonError::into_inner);
            let still_wanted =
                matches!(*state, MapState::Pending { ticket: pending, .. } if pending == ticket);
            let answer = match result {
                _ if still_wanted && loss.borrow().is_some() => {
                    *state = MapState::Unmapped;
                    Err(lost())
                }
                Ok(()) if still_wanted => {
                    *state = MapState::Mapped { range, writable };
                    Ok(())
                }
                Err(_) if still_wanted => {
                    *state = MapState::Unmapped;
                    Err(map_error(wit::MapAsyncErrorKind::OperationError, "the buffer could not be mapped"))
                }
                _ => Err(map_error(
                    wit::MapAsyncErrorKind::AbortError,
                    "the buffer was unmapped or destroyed before it was mapped",
                )),
            };
            // Whoever asked may have stopped waiting.
            let _ = done.send(answer);
        });
        buffer.device.poll_soon();
        let answer = buffer.device.unless_lost(answer);
        let map = Arc::clone(&buffer.map);
        Ok(Ok(async move {
            answer.await.unwrap_or_else(|| {
                let mut state = map.lock().unwrap_or_else(PoisonError::into_inner);
                if matches!(*state, MapState::Pending { ticket: pending, .. } if pending == ticket) {
                    *state = MapState::Unmapped;
                }
                Err(lost())
            })
        }))
    }
}

impl<T: 'static> wit::HostGpuBufferWithStore<T> for WebGpu {
    /// <https://www.w3.org/TR/webgpu/#dom-gpubuffer-mapasync>
    async fn map_async(
        accessor: &Accessor<T, Self>,
        this: Resource<Buffer>,
        mode: wit::GpuMapMode,
        offset: Option<u64>,
        size: Option<u64>,
    ) -> wasmtime::Result<Result<(), wit::MapAsyncError>> {
        let _operation = accessor.with(|mut access| access.get().ctx.outstanding().begin());
        let started = accessor.with(|mut access| access.get().start_map(&this, mode, offset, size))?;
        match started {
            Err(error) => Ok(Err(error)),
            Ok(answer) => Ok(answer.await),
        }
    }
}

impl wit::HostGpuBuffer for WebGpuCtxView<'_> {
    fn size(&mut self, this: Resource<Buffer>) -> wasmtime::Result<u64> {
        Ok(self.table.get(&this)?.wgpu.size())
    }

    fn usage(&mut self, this: Resource<Buffer>) -> wasmtime::Result<wit::GpuBufferUsage> {
        Ok(self.table.get(&this)?.usage)
    }

    fn map_state(&mut self, this: Resource<Buffer>) -> wasmtime::Result<wit::GpuBufferMapState> {
        Ok(match *self.table.get(&this)?.map() {
            MapState::Unmapped => wit::GpuBufferMapState::Unmapped,
            MapState::Pending { .. } => wit::GpuBufferMapState::Pending,
            MapState::Mapped { .. } => wit::GpuBufferMapState::Mapped,
        })
    }

    fn get_mapped_range_get_with_copy(
        &mut self,
        this: Resource<Buffer>,
        offset: Option<u64>,
        size: Option<u64>,
    ) -> wasmtime::Result<Result<Vec<u8>, wit::GetMappedRangeError>> {
        let buffer = self.table.get(&this)?;
        let range = match buffer.mapped_range(offset, size) {
            Ok((range, _)) => range,
            Err(error) => return Ok(Err(error)),
        };
        if range.is_empty() {
            return Ok(Ok(Vec::new()));
        }
        Ok(match buffer.wgpu.slice(range.clone()).get_mapped_range() {
            Ok(view) => Ok(view.to_vec()),
            Err(_) => buffer.lacking(&range),
        })
    }

    fn get_mapped_range_set_with_copy(
        &mut self,
        this: Resource<Buffer>,
        data: Vec<u8>,
        offset: Option<u64>,
        size: Option<u64>,
    ) -> wasmtime::Result<Result<(), wit::GetMappedRangeError>> {
        let buffer = self.table.get(&this)?;
        let (range, writable) = match buffer.mapped_range(offset, size) {
            Ok(mapped) => mapped,
            Err(error) => return Ok(Err(error)),
        };
        let length = usize::try_from(range.end.saturating_sub(range.start))?;
        if data.len() > length {
            return Ok(Err(wit::GetMappedRangeError {
                kind: wit::GetMappedRangeErrorKind::RangeError,
                message: format!("{} bytes do not fit into the {length} of the range", data.len()),
            }));
        }
        // What is written to a range that is mapped to read never reaches the buffer.
        if data.is_empty() || !writable {
            return Ok(Ok(()));
        }
        Ok(match buffer.wgpu.slice(range.clone()).get_mapped_range_mut() {
            Ok(mut view) => {
                view.slice(..data.len()).copy_from_slice(&data);
                Ok(())
            }
            // Nobody would see what is written to an invalid buffer.
            Err(_) => buffer.lacking(&range).map(drop),
        })
    }

    fn unmap(&mut self, this: Resource<Buffer>) -> wasmtime::Result<Result<(), wit::UnmapError>> {
        self.table.get(&this)?.unmap();
        Ok(Ok(()))
    }

    fn destroy(&mut self, this: Resource<Buffer>) -> wasmtime::Result<()> {
        self.table.get(&this)?.destroy();
        Ok(())
    }

    super::object_base!(Buffer);
}
