//! What render passes and compute passes have in common: their states, and the commands that both record.
//!
//! A scene calls these thousands of times a frame: they allocate nothing, take no lock unless they are wrong or use the texture of a surface, and leave all checks that wgpu makes to wgpu.

use std::cell::RefCell;

use super::bind_groups::BindGroup;
use super::command_encoding::Recording;
use super::commands::{Allowance, BindingCommands, DebugCommands};
use super::device::Device;
use super::immediates::Immediates;
use super::textures::SurfaceTextureLife;

/// A pass, of either kind, with what one kind has of its own.
pub struct Pass<P, Own = ()> {
    // A cell, so that the pass and what a command names can be borrowed from the table together. It is borrowed for one recorded
    // command, which calls nobody back.
    state: RefCell<PassState<P>>,
    recording: Recording,
    immediates: RefCell<Immediates>,
    pub(super) own: Own,
    pub(super) label: String,
}

/// It takes the encoder's allowance along, so that nothing that it records takes a lock.
pub(super) enum PassState<P> {
    Recording {
        pass: P,
        left: Allowance,
    },
    /// It records nothing more, and the encoder knows why. It still locks the encoder.
    Inert,
    /// Its encoder was not open when it began, and does not wait for its end.
    Misplaced,
    Ended,
}

impl<P, Own> Pass<P, Own> {
    pub(super) fn new(state: PassState<P>, recording: Recording, label: String, own: Own) -> Self {
        let immediates = Immediates::new(recording.device().wgpu().limits().max_immediate_size);
        Self { state: RefCell::new(state), recording, immediates: RefCell::new(immediates), own, label }
    }

    pub(super) fn device(&self) -> &Device {
        self.recording.device()
    }

    /// Records a command that brings so many bytes along.
    #[inline]
    pub(super) fn record(&self, bytes: usize, command: impl FnOnce(&mut P)) {
        self.record_many(1, bytes, command);
    }

    /// Records what counts as so many commands and brings so many bytes along.
    #[inline]
    pub(super) fn record_many(&self, commands: u32, bytes: usize, command: impl FnOnce(&mut P)) {
        let mut state = self.state.borrow_mut();
        match &mut *state {
            PassState::Recording { pass, left } => {
                match left.spend(commands, bytes, |blocks| self.recording.take(blocks)) {
                    Ok(()) => command(pass),
                    Err(over) => {
                        self.recording.fail(over.to_string());
                        *state = PassState::Inert;
                    }
                }
            }
            PassState::Inert | PassState::Misplaced => {}
            PassState::Ended => self.used_after_end(),
        }
    }

    /// What it records uses textures of surfaces.
    #[inline]
    pub(super) fn uses<'a>(&self, lives: impl IntoIterator<Item = &'a SurfaceTextureLife>) {
        self.recording.uses(lives);
    }

    /// What was to be recorded is wrong. The encoder says so when it is finished; for a pass that has ended that may be too late.
    #[cold]
    pub(super) fn refuse(&self, message: impl Into<String>) {
        match &*self.state.borrow() {
            PassState::Recording { .. } => self.recording.fail(message),
            PassState::Inert | PassState::Misplaced => {}
            PassState::Ended => self.used_after_end(),
        }
    }

    #[cold]
    fn used_after_end(&self) {
        self.recording.device().invalid(format!("the pass {:?} was used after its end", self.label));
    }

    /// <https://www.w3.org/TR/webgpu/#dom-gpurenderpassencoder-end>
    pub(super) fn end(&self) {
        let invalid = |what: &str| {
            self.recording.device().invalid(format!("the pass {:?} was ended {what}", self.label));
        };
        let left = match self.state.replace(PassState::Ended) {
            // wgpu ends a pass when it is dropped, and wants its encoder then.
            PassState::Recording { pass, left } => {
                drop(pass);
                Some(left)
            }
            PassState::Inert => None,
            PassState::Misplaced => return invalid("that its encoder could not begin"),
            PassState::Ended => return invalid("twice"),
        };
        if !self.recording.unlock(left) {
            invalid("after its encoder was finished");
        }
    }
}

/// The methods that wgpu's passes have under the same names, without a trait in common.
pub trait WgpuPass {
    fn push_debug_group(&mut self, label: &str);
    fn pop_debug_group(&mut self);
    fn insert_debug_marker(&mut self, label: &str);
    fn set_bind_group(&mut self, index: u32, group: Option<&wgpu::BindGroup>, offsets: &[u32]);
    fn set_immediates(&mut self, offset: u32, data: &[u8]);
}

macro_rules! wgpu_pass {
    ($pass:ty) => {
        impl WgpuPass for $pass {
            fn push_debug_group(&mut self, label: &str) {
                self.push_debug_group(label);
            }

            fn pop_debug_group(&mut self) {
                self.pop_debug_group();
            }

            fn insert_debug_marker(&mut self, label: &str) {
                self.insert_debug_marker(label);
            }

            fn set_bind_group(&mut self, index: u32, group: Option<&wgpu::BindGroup>, offsets: &[u32]) {
                self.set_bind_group(index, group, offsets);
            }

            fn set_immediates(&mut self, offset: u32, data: &[u8]) {
                self.set_immediates(offset, data);
            }
        }
    };
}

wgpu_pass!(wgpu::RenderPass<'static>);
wgpu_pass!(wgpu::ComputePass<'static>);

impl<P: WgpuPass, Own> DebugCommands for Pass<P, Own> {
    fn push_debug_group(&self, label: &str) {
        self.record(label.len(), |pass| pass.push_debug_group(label));
    }

    fn pop_debug_group(&self) {
        self.record(0, P::pop_debug_group);
    }

    fn insert_debug_marker(&self, label: &str) {
        self.record(label.len(), |pass| pass.insert_debug_marker(label));
    }
}

impl<P: WgpuPass, Own> Pass<P, Own> {
    /// Records the pipeline, which takes so many bytes of immediate data, and gives it what of them is set.
    #[inline]
    pub(super) fn record_pipeline(&self, immediate_bytes: u32, set_pipeline: impl FnOnce(&mut P)) {
        self.record(0, set_pipeline);
        if self.immediates.borrow_mut().set_pipeline(immediate_bytes) {
            for (offset, data) in self.immediates.borrow().parts() {
                self.record(data.len(), |pass| pass.set_immediates(offset, data));
            }
        }
    }

    /// Bundles are executed, which leave no immediate data.
    pub(super) fn reset_immediates(&self) {
        self.immediates.borrow_mut().reset();
    }
}

impl<P: WgpuPass, Own> BindingCommands for Pass<P, Own> {
    #[inline]
    fn set_bind_group(&self, index: u32, group: Option<&BindGroup>, offsets: &[u32]) {
        self.record(size_of_val(offsets), |pass| {
            pass.set_bind_group(index, group.map(|group| &group.wgpu), offsets);
            if let Some(group) = group {
                self.uses(group.lives.iter());
            }
        });
    }

    fn set_immediates(&self, range_offset: u32, data: &[u8]) {
        match self.immediates.borrow_mut().set(range_offset, data) {
            Ok([]) => self.record(0, |_| {}),
            Ok(taken) => self.record(taken.len(), |pass| pass.set_immediates(range_offset, taken)),
            Err(message) => self.refuse(message),
        }
    }

    fn fail(&self, message: &'static str) {
        self.refuse(message);
    }
}
