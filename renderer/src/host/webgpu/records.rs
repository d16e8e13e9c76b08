//! The records of JavaScript (`record<DOMString, T>`), which the interface has as resources.

use std::sync::Arc;

use wasmtime::component::Resource;

use super::WebGpuCtxView;
use super::bindings::wasi::webgpu::webgpu as wit;
use crate::host::OverLimit;

/// Entries of one record. WebGPU has some 40 limits, and a pipeline rarely a dozen constants; so few are searched one after the other.
const MAX_ENTRIES: usize = 1024;

/// A name in a record. Those of limits are short, and those of constants are identifiers of a shader.
const MAX_KEY_BYTES: usize = 1024;
/// Records at once: a call takes two at most, and keeps none. All of them with their names together are below 64 MiB.
const MAX_RECORDS: usize = 60;

/// One of the [`MAX_RECORDS`], until it is dropped.
pub(super) struct RecordSlot {
    _counted: Arc<()>,
}

/// Counts the records of a scene.
#[derive(Default)]
pub(super) struct RecordSlots(Arc<()>);

impl RecordSlots {
    fn take(&self) -> Result<RecordSlot, OverLimit> {
        // The count's own is one more.
        if Arc::strong_count(&self.0) > MAX_RECORDS {
            return Err(OverLimit { what: "records at once", limit: MAX_RECORDS });
        }
        Ok(RecordSlot { _counted: Arc::clone(&self.0) })
    }
}

/// A map from names, in the order in which they were added: <https://webidl.spec.whatwg.org/#idl-record>
pub struct Record<V>(Vec<(String, V)>, #[expect(dead_code, reason = "it is held to be counted")] RecordSlot);

/// `record-gpu-pipeline-constant-value`
pub type ConstantRecord = Record<f64>;
/// `record-option-gpu-size64`
pub type LimitRecord = Record<Option<u64>>;

impl<V> Record<V> {
    fn find(&self, key: &str) -> Option<&V> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// A key that is there keeps its place.
    fn add(&mut self, mut key: String, value: V) -> Result<(), OverLimit> {
        if key.len() > MAX_KEY_BYTES {
            return Err(OverLimit { what: "bytes in a name of a record", limit: MAX_KEY_BYTES });
        }
        if let Some((_, old)) = self.0.iter_mut().find(|(name, _)| *name == key) {
            *old = value;
        } else if self.0.len() < MAX_ENTRIES {
            key.shrink_to_fit();
            self.0.push((key, value));
        } else {
            return Err(OverLimit { what: "entries in a record", limit: MAX_ENTRIES });
        }
        Ok(())
    }
}

impl<V> IntoIterator for Record<V> {
    type Item = (String, V);
    type IntoIter = std::vec::IntoIter<(String, V)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

macro_rules! record_methods {
    ($record:ident, $value:ty) => {
        fn new(&mut self) -> wasmtime::Result<Resource<$record>> {
            let slot = self.ctx.records.take()?;
            Ok(self.table.push(Record(Vec::new(), slot))?)
        }

        fn add(&mut self, this: Resource<$record>, key: String, value: $value) -> wasmtime::Result<()> {
            Ok(self.table.get_mut(&this)?.add(key, value)?)
        }

        fn get(&mut self, this: Resource<$record>, key: String) -> wasmtime::Result<Option<$value>> {
            Ok(self.table.get(&this)?.find(&key).copied())
        }

        fn has(&mut self, this: Resource<$record>, key: String) -> wasmtime::Result<bool> {
            Ok(self.table.get(&this)?.find(&key).is_some())
        }

        fn remove(&mut self, this: Resource<$record>, key: String) -> wasmtime::Result<()> {
            self.table.get_mut(&this)?.0.retain(|(name, _)| *name != key);
            Ok(())
        }

        fn keys(&mut self, this: Resource<$record>) -> wasmtime::Result<Vec<String>> {
            Ok(self.table.get(&this)?.0.iter().map(|(key, _)| key.clone()).collect())
        }

        fn values(&mut self, this: Resource<$record>) -> wasmtime::Result<Vec<$value>> {
            Ok(self.table.get(&this)?.0.iter().map(|(_, value)| *value).collect())
        }

        fn entries(&mut self, this: Resource<$record>) -> wasmtime::Result<Vec<(String, $value)>> {
            Ok(self.table.get(&this)?.0.clone())
        }

        super::drop_entry!($record);
    };
}

impl wit::HostRecordGpuPipelineConstantValue for WebGpuCtxView<'_> {
    record_methods!(ConstantRecord, f64);
}

impl wit::HostRecordOptionGpuSize64 for WebGpuCtxView<'_> {
    record_methods!(LimitRecord, Option<u64>);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scene_has_so_many_records_at_once_and_their_names_are_bounded() {
        let slots = RecordSlots::default();
        let taken: Vec<_> = (0..MAX_RECORDS).map(|_| slots.take().unwrap()).collect();
        assert!(slots.take().is_err());
        drop(taken);
        let mut record = Record(Vec::new(), slots.take().unwrap());
        assert!(record.add("a".repeat(MAX_KEY_BYTES + 1), 0.0).is_err());
        for number in 0..MAX_ENTRIES {
            record.add(format!("{number:0MAX_KEY_BYTES$}"), 0.0).unwrap();
        }
        assert!(record.add("one more".to_owned(), 0.0).is_err());
    }
}
