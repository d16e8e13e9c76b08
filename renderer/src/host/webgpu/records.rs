//! The records of JavaScript (`record<DOMString, T>`), which the interface has as resources.

use std::collections::BTreeMap;

use wasmtime::component::Resource;

use super::WebGpuCtxView;
use super::bindings::wasi::webgpu::webgpu as wit;
use crate::host::OverLimit;

/// Entries of one record. WebGPU has some 40 limits, and a pipeline rarely a dozen constants.
const MAX_ENTRIES: usize = 1024;

/// A map from names, in the order of the names.
pub struct Record<V>(BTreeMap<String, V>);

/// `record-gpu-pipeline-constant-value`
pub type ConstantRecord = Record<f64>;
/// `record-option-gpu-size64`
pub type LimitRecord = Record<Option<u64>>;

impl<V> Record<V> {
    fn add(&mut self, key: String, value: V) -> Result<(), OverLimit> {
        if self.0.len() >= MAX_ENTRIES && !self.0.contains_key(&key) {
            return Err(OverLimit { what: "entries in a record", limit: MAX_ENTRIES });
        }
        self.0.insert(key, value);
        Ok(())
    }
}

impl<V> IntoIterator for Record<V> {
    type Item = (String, V);
    type IntoIter = std::collections::btree_map::IntoIter<String, V>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

macro_rules! record_methods {
    ($record:ident, $value:ty) => {
        fn new(&mut self) -> wasmtime::Result<Resource<$record>> {
            Ok(self.table.push(Record(BTreeMap::new()))?)
        }

        fn add(&mut self, this: Resource<$record>, key: String, value: $value) -> wasmtime::Result<()> {
            Ok(self.table.get_mut(&this)?.add(key, value)?)
        }

        fn get(&mut self, this: Resource<$record>, key: String) -> wasmtime::Result<Option<$value>> {
            Ok(self.table.get(&this)?.0.get(&key).copied())
        }

        fn has(&mut self, this: Resource<$record>, key: String) -> wasmtime::Result<bool> {
            Ok(self.table.get(&this)?.0.contains_key(&key))
        }

        fn remove(&mut self, this: Resource<$record>, key: String) -> wasmtime::Result<()> {
            self.table.get_mut(&this)?.0.remove(&key);
            Ok(())
        }

        fn keys(&mut self, this: Resource<$record>) -> wasmtime::Result<Vec<String>> {
            Ok(self.table.get(&this)?.0.keys().cloned().collect())
        }

        fn values(&mut self, this: Resource<$record>) -> wasmtime::Result<Vec<$value>> {
            Ok(self.table.get(&this)?.0.values().copied().collect())
        }

        fn entries(&mut self, this: Resource<$record>) -> wasmtime::Result<Vec<(String, $value)>> {
            Ok(self.table.get(&this)?.0.iter().map(|(key, value)| (key.clone(), *value)).collect())
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
