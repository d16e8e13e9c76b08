//! Immediate data as WebGPU has it (<https://www.w3.org/TR/webgpu/#dom-gpubindingcommandsmixin-setimmediates>): it may be set before a
//! pipeline, it may be more than the pipeline takes, and it outlives a change of pipelines. wgpu's belongs to the pipeline that is set,
//! takes no more than that one has, and is forgotten with it. So what was set is kept here, and wgpu is told what it can take.

/// A slot: what is set or not as a whole.
const SLOT_BYTES: usize = 4;
/// The largest `maxImmediateSize` that a device has, in slots.
const MAX_SLOTS: usize = 16;
/// The same in bytes.
pub(super) const MAX_IMMEDIATE_BYTES: usize = MAX_SLOTS * SLOT_BYTES;

/// The immediate data of a pass or of a bundle.
#[derive(Debug)]
pub(super) struct Immediates {
    data: [u8; MAX_IMMEDIATE_BYTES],
    is_set: [bool; MAX_SLOTS],
    /// Whether anything is set: most passes set nothing, and then there is nothing to do.
    is_any_set: bool,
    /// `maxImmediateSize`
    limit: usize,
    /// The bytes that the pipeline takes, which are none while there is no pipeline.
    taken: usize,
}

impl Immediates {
    /// Of a device with this `maxImmediateSize`, in bytes.
    pub(super) fn new(limit: u32) -> Self {
        let limit =
            usize::try_from(limit).map_or(MAX_IMMEDIATE_BYTES, |limit| limit.min(MAX_IMMEDIATE_BYTES));
        Self {
            data: [0; MAX_IMMEDIATE_BYTES],
            is_set: [false; MAX_SLOTS],
            is_any_set: false,
            limit,
            taken: 0,
        }
    }

    /// Keeps what is set; returns the part that wgpu must be told now.
    pub(super) fn set<'a>(&mut self, offset: u32, data: &'a [u8]) -> Result<&'a [u8], &'static str> {
        const WRONG: &str = "immediate data must lie at a multiple of four, be a multiple of four bytes, and end within the device's limit";
        let start = usize::try_from(offset).map_err(|_| WRONG)?;
        let end = start.checked_add(data.len()).filter(|end| *end <= self.limit).ok_or(WRONG)?;
        if !start.is_multiple_of(SLOT_BYTES) || !data.len().is_multiple_of(SLOT_BYTES) {
            return Err(WRONG);
        }
        self.data.get_mut(start..end).ok_or(WRONG)?.copy_from_slice(data);
        self.is_set.get_mut(start / SLOT_BYTES..end / SLOT_BYTES).ok_or(WRONG)?.fill(true);
        self.is_any_set |= !data.is_empty();
        Ok(data.get(..self.taken.saturating_sub(start)).unwrap_or(data))
    }

    /// A pipeline is set that takes so many bytes. True if wgpu must be told what [`Immediates::parts`] are.
    #[inline]
    pub(super) fn set_pipeline(&mut self, taken: u32) -> bool {
        self.taken =
            usize::try_from(taken).map_or(MAX_IMMEDIATE_BYTES, |taken| taken.min(MAX_IMMEDIATE_BYTES));
        self.is_any_set && self.taken > 0
    }

    /// What is set of what the pipeline takes: each run of slots with its offset.
    pub(super) fn parts(&self) -> impl Iterator<Item = (u32, &[u8])> {
        let mut from = 0;
        std::iter::from_fn(move || {
            let slots = self.is_set.get(..self.taken / SLOT_BYTES)?;
            let start = slots.get(from..)?.iter().position(|is_set| *is_set)?.saturating_add(from);
            let length = slots.get(start..)?.iter().take_while(|is_set| **is_set).count();
            from = start.saturating_add(length);
            let bytes = start.saturating_mul(SLOT_BYTES)..from.saturating_mul(SLOT_BYTES);
            Some((u32::try_from(bytes.start).ok()?, self.data.get(bytes)?))
        })
    }

    /// What executing bundles does.
    pub(super) fn reset(&mut self) {
        *self = Self::new(u32::try_from(self.limit).unwrap_or(0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(immediates: &Immediates) -> Vec<(u32, Vec<u8>)> {
        immediates.parts().map(|(offset, data)| (offset, data.to_vec())).collect()
    }

    #[test]
    fn a_pipeline_gets_what_was_set_before_it_and_no_more_than_it_takes() {
        let mut immediates = Immediates::new(64);
        assert!(!immediates.set_pipeline(16), "nothing is set");
        immediates.set_pipeline(0);
        assert_eq!(immediates.set(4, &[1; 8]), Ok(&[][..]));
        assert_eq!(immediates.set(16, &[2; 8]), Ok(&[][..]));
        assert!(immediates.set_pipeline(20));
        assert_eq!(parts(&immediates), [(4, vec![1; 8]), (16, vec![2; 4])]);
        assert_eq!(immediates.set(16, &[3; 8]), Ok(&[3; 4][..]));
        assert!(immediates.set_pipeline(64));
        assert_eq!(parts(&immediates), [(4, vec![1; 8]), (16, vec![3; 8])]);
        immediates.reset();
        assert!(!immediates.set_pipeline(64));
        assert_eq!(parts(&immediates), []);
    }

    #[test]
    fn immediate_data_lies_within_the_limit_in_whole_slots() {
        let mut immediates = Immediates::new(16);
        for (offset, bytes) in [(2, 4), (0, 6), (16, 4), (12, 8), (u32::MAX - 3, 8)] {
            assert!(immediates.set(offset, &vec![1; bytes]).is_err(), "{bytes} bytes at {offset}");
        }
        assert!(immediates.set(16, &[]).is_ok());
        assert!(!immediates.set_pipeline(16), "nothing was set");
    }
}
