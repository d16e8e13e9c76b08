//! The server may run as root. A process without capabilities is still the owner of root's files, which Landlock keeps, and no more.

use rustix::{
    io::Errno,
    thread::{
        CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set,
        clear_ambient_capability_set, remove_capability_from_bounding_set, set_capabilities,
    },
};

pub(crate) fn drop() -> Result<(), String> {
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    drop_bounding().map_err(|error| error.to_string())?;
    clear_ambient_capability_set().map_err(|error| error.to_string())?;
    set_capabilities(None, none).map_err(|error| error.to_string())?;
    let left = capabilities(None).map_err(|error| error.to_string())?;
    let left = left.effective | left.permitted | left.inheritable;
    if left.is_empty() { Ok(()) } else { Err(format!("{left:?} are left")) }
}

/// What a program started later could get back. No program can be started; and an ordinary user, who may not do this, has none to get.
fn drop_bounding() -> rustix::io::Result<()> {
    for bit in 0..u64::BITS {
        let capability = CapabilitySet::from_bits_retain(1 << bit);
        match capability_is_in_bounding_set(capability) {
            Ok(true) => match remove_capability_from_bounding_set(capability) {
                Ok(()) => {}
                Err(Errno::PERM) => return Ok(()),
                Err(error) => return Err(error),
            },
            Ok(false) => {}
            // Beyond the last one that this kernel knows.
            Err(Errno::INVAL) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
