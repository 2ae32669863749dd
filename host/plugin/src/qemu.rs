//! QEMU's interface for plugins, as far as it is needed: version 1, of QEMU 4.2 to 8.2.
//!
//! The functions are QEMU's own, found when it loads the plugin; Debian ships no header for them. Everything unsafe
//! is here.

use crate::{Placed, executed, has_read, install, translated};
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::marker::PhantomData;

/// What QEMU calls this plugin.
pub type Id = u64;

/// The version of the interface, which QEMU looks at before anything else.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals)] // QEMU's name.
pub static qemu_plugin_version: c_int = 1;

/// `QEMU_PLUGIN_CB_NO_REGS`: a callback leaves the core's registers alone.
const NO_REGISTERS: c_int = 0;
/// `QEMU_PLUGIN_MEM_RW`: accesses of either kind. Asked for readings alone, QEMU 7.2 reports none.
const ACCESSES: c_int = 3;

unsafe extern "C" {
    fn qemu_plugin_register_vcpu_tb_trans_cb(id: Id, callback: extern "C" fn(Id, *mut c_void));
    fn qemu_plugin_register_vcpu_insn_exec_cb(
        instruction: *mut c_void,
        callback: extern "C" fn(c_uint, *mut c_void),
        flags: c_int,
        data: *mut c_void,
    );
    fn qemu_plugin_register_vcpu_mem_cb(
        instruction: *mut c_void,
        callback: extern "C" fn(c_uint, u32, u64, *mut c_void),
        flags: c_int,
        accesses: c_int,
        data: *mut c_void,
    );
    fn qemu_plugin_tb_n_insns(block: *const c_void) -> usize;
    fn qemu_plugin_tb_get_insn(block: *const c_void, index: usize) -> *mut c_void;
    fn qemu_plugin_insn_data(instruction: *const c_void) -> *const u8;
    fn qemu_plugin_insn_size(instruction: *const c_void) -> usize;
    fn qemu_plugin_insn_vaddr(instruction: *const c_void) -> u64;
}

/// Instructions that QEMU has translated as a whole and not executed yet.
pub struct Translation<'t> {
    block: *mut c_void,
    lifetime: PhantomData<&'t ()>,
}

impl Translation<'_> {
    pub fn len(&self) -> usize {
        // SAFETY: QEMU keeps the block during its callback, beyond which no Translation lives.
        unsafe { qemu_plugin_tb_n_insns(self.block) }
    }

    /// One of its [`len`](Self::len) instructions.
    pub fn instruction(&mut self, index: usize) -> Translated<'_> {
        assert!(index < self.len());
        // SAFETY: as above, and the block has such an instruction.
        Translated { instruction: unsafe { qemu_plugin_tb_get_insn(self.block, index) }, lifetime: PhantomData }
    }
}

/// One instruction of a [`Translation`].
pub struct Translated<'t> {
    instruction: *mut c_void,
    lifetime: PhantomData<&'t ()>,
}

impl<'t> Translated<'t> {
    /// Its bytes, as they lie in memory.
    pub fn code(&self) -> &'t [u8] {
        // SAFETY: QEMU keeps so many bytes there as long as the block, and writes nothing to them.
        unsafe {
            std::slice::from_raw_parts(qemu_plugin_insn_data(self.instruction), qemu_plugin_insn_size(self.instruction))
        }
    }

    /// Where it lies.
    pub fn address(&self) -> u64 {
        // SAFETY: QEMU keeps the instruction as long as the block.
        unsafe { qemu_plugin_insn_vaddr(self.instruction) }
    }

    /// Has [`executed`] called before each of its executions. QEMU never says when it drops a translation, so
    /// `placed` stays for good.
    pub fn on_execution(&mut self, placed: Placed) {
        let data = Box::leak(Box::new(placed));
        // SAFETY: the callback takes what `data` is, which is never freed, and only reads it.
        unsafe {
            let data = &raw mut *data;
            qemu_plugin_register_vcpu_insn_exec_cb(self.instruction, on_execution, NO_REGISTERS, data.cast());
        }
    }

    /// Has [`has_read`] called after each reading of memory by it.
    pub fn on_reading(&mut self) {
        // SAFETY: the callback does not look at its data.
        unsafe {
            qemu_plugin_register_vcpu_mem_cb(
                self.instruction,
                on_reading,
                NO_REGISTERS,
                ACCESSES,
                std::ptr::null_mut(),
            );
        }
    }
}

/// Has [`translated`] called for every translation from now on.
pub fn on_translation(id: Id) {
    // SAFETY: `id` came from QEMU.
    unsafe { qemu_plugin_register_vcpu_tb_trans_cb(id, on_block) }
}

/// QEMU's first call: not 0 where the plugin cannot be used, which ends QEMU.
///
/// # Safety
/// `values` are `count` strings that end with a zero.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qemu_plugin_install(
    id: Id,
    _machine: *const c_void,
    count: c_int,
    values: *const *const c_char,
) -> c_int {
    let argument = |index| {
        // SAFETY: the caller says that so many strings are there.
        unsafe { CStr::from_ptr(*values.add(index)) }.to_string_lossy().into_owned()
    };
    let arguments: Vec<_> = (0..usize::try_from(count).unwrap_or(0)).map(argument).collect();
    match install(id, &arguments) {
        Ok(()) => 0,
        Err(reason) => {
            eprintln!("{reason}");
            1
        }
    }
}

extern "C" fn on_block(_id: Id, block: *mut c_void) {
    translated(Translation { block, lifetime: PhantomData });
}

extern "C" fn on_execution(_core: c_uint, data: *mut c_void) {
    // SAFETY: this is the Placed that was registered with this function, never freed nor written.
    executed(unsafe { &*data.cast::<Placed>() });
}

extern "C" fn on_reading(_core: c_uint, _access: u32, address: u64, _data: *mut c_void) {
    has_read(address);
}
