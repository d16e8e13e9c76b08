//! The records of JavaScript (`record<DOMString, T>`), which the interface has as resources.

use wasmtime::component::Resource;

use super::WebGpuCtxView;
use super::bindings::wasi::webgpu::webgpu as wit;
use crate::host::OverLimit;

/// Entries of one record. WebGPU has some 40 limits, and a pipeline rarely a dozen constants; so few are searched one after the other.
const MAX_ENTRIES: usize = 1024;

/// A map from names, in the order in which they were added: <https://webidl.spec.whatwg.org/#idl-record>
pub struct Record<V>(Vec<(String, V)>);

/// `record-gpu-pipeline-constant-value`
pub type ConstantRecord = Record<f64>;
/// `record-option-gpu-size64`
pub type LimitRecord = Record<Option<u64>>;

impl<V> Record<V> {
    fn find(&self, key: &str) -> Option<&V> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// A key that is there keeps its place.
    fn add(&mut self, key: String, value: V) -> Result<(), OverLimit> {
        if let Some((_, old)) = self.0.iter_mut().find(|(name, _)| *name == key) {
            *old = value;
        } else if self.0.len() < MAX_ENTRIES {
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
            Ok(self.table.push(Record(Vec::new()))?)
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
